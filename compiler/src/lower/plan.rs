//! What becomes part of the plan: programs, maps, events.
//!
//! In: the typed program, and requests while its probes are lowered. Out: [`Plan`]. nettrace's own maps are made when
//! something first needs them, so a script that prints nothing has no ring buffer.

use std::collections::{HashMap, HashSet};

use nettrace_grammar::Span;

use super::total::{self, Visit};
use crate::artifact::{
    Action, Clock, Event, EventId, EventTime, Field, Layout, Map, MapId, MapKind, PLAN_VERSION,
    Plan, Program, ProgramId, ScriptMap, Stored, control_full, control_size, event_number,
    hist_buckets, lhist_buckets,
};
use crate::index::IndexVec;
use crate::ir::{Func, FuncBuilder, FuncId, FuncKind};
use crate::kernel::Kernel;
use crate::typed::{self, Aggregate, MapValue, Probe, ScriptMapId};
use crate::types::Ty;
/// `BPF_F_NO_PREALLOC` of `linux/bpf.h`.
const NO_PREALLOC: u32 = 1;
/// Maps whose entries take more than this in total are not allocated in advance.
const PREALLOC_LIMIT: u64 = 1 << 20;
/// How many CPUs to expect when judging the size of a per-CPU map.
const TYPICAL_CPUS: u64 = 8;

/// The plan under construction.
#[derive(Debug)]
pub(crate) struct Plans {
    plan: Plan,
    /// How many programs the whole script has.
    programs: usize,
    /// How many places they attach to.
    targets: usize,
    /// It is an entry of an interactive session.
    in_session: bool,
    /// Bytes of the ring buffer.
    ring_bytes: u32,
    symbols: HashSet<String>,
    layouts: HashMap<Ty, Layout>,
    scratch: Option<MapId>,
    /// The largest region any program needs.
    scratch_room: u32,
    zeros: Option<MapId>,
    /// Subprograms that programs use, in the order of their numbers.
    subprograms: Vec<Subprogram>,
}

/// A subprogram.
#[derive(Debug)]
enum Subprogram {
    /// Looks at the values of a per-CPU map.
    Visitor(MapId, Visit),
    /// A round of a loop; absent while it is being lowered.
    Body(Option<Func>),
    /// Called once for each entry of a map, does nothing.
    Nothing,
}

impl Plans {
    pub(crate) fn new(
        program: &typed::Program,
        kernel: &dyn Kernel,
        sources: Vec<(String, String)>,
    ) -> Plans {
        let mut plans = Plans {
            plan: Plan {
                version: PLAN_VERSION,
                programs: IndexVec::new(),
                maps: IndexVec::new(),
                events: IndexVec::new(),
                ring: None,
                control: None,
                settings: program.settings.clone(),
                entry: program.entry.unwrap_or(0),
                sources,
            },
            programs: program.probes.len(),
            targets: program.probes.iter().map(|p| p.targets.len()).sum(),
            in_session: program.entry.is_some(),
            ring_bytes: program.limits.ring_bytes,
            symbols: HashSet::new(),
            layouts: HashMap::new(),
            scratch: None,
            scratch_room: 0,
            zeros: None,
            subprograms: Vec::new(),
        };
        for map in program.maps.iter() {
            let map = plans.script_map(program, kernel, map);
            plans.plan.maps.push(map);
        }
        plans
    }

    /// The finished plan.
    pub(crate) fn finish(mut self) -> Plan {
        if let Some(scratch) = self.scratch {
            self.plan.maps[scratch].value_size = self.scratch_room.max(8);
        }
        self.plan
    }

    // ---- types --------------------------------------------------------------------------------------------------------

    /// The bytes of a type.
    pub(crate) fn layout(
        &mut self,
        program: &typed::Program,
        kernel: &dyn Kernel,
        ty: Ty,
    ) -> Layout {
        self.layouts
            .entry(ty)
            .or_insert_with(|| crate::types::layout::layout(&program.types, kernel, ty))
            .clone()
    }

    // ---- programs -----------------------------------------------------------------------------------------------------

    /// Adds a program.
    pub(crate) fn program(&mut self, probe: &Probe) -> ProgramId {
        let name = probe
            .targets
            .first()
            .map_or(probe.kind.name, |target| target.probe.as_str());
        let symbol = self.fresh_symbol(&identifier(name));
        self.plan.programs.push(Program {
            symbol,
            targets: probe.targets.clone(),
            span: (probe.span.lo, probe.span.hi),
            uses_cookie: false,
        })
    }

    /// A program's ELF symbol.
    pub(crate) fn symbol(&self, program: ProgramId) -> String {
        self.plan.programs[program].symbol.clone()
    }

    /// The program reads the attach cookie.
    pub(crate) fn use_cookie(&mut self, program: ProgramId) {
        self.plan.programs[program].uses_cookie = true;
    }

    /// Whether the script attaches to more than one place, so that recording must start everywhere at once; in a session all scripts
    /// can be stopped and started at once.
    pub(crate) fn shared(&self) -> bool {
        self.targets > 1 || self.in_session
    }

    /// What a record of this event begins with.
    pub(crate) fn event_number(&self, id: EventId) -> u64 {
        event_number(self.plan.entry, id)
    }

    fn fresh_symbol(&mut self, wanted: &str) -> String {
        let mut symbol = wanted.to_string();
        let mut n = 0;
        while !self.symbols.insert(symbol.clone()) {
            n += 1;
            symbol = format!("{wanted}_{n}");
        }
        symbol
    }

    /// The subprogram that visits the values of a per-CPU map.
    pub(crate) fn visitor(&mut self, map: MapId, visit: Visit) -> FuncId {
        let known = self
            .subprograms
            .iter()
            .position(|sub| matches!(sub, Subprogram::Visitor(m, v) if (*m, *v) == (map, visit)));
        let at = known.unwrap_or_else(|| {
            self.subprograms.push(Subprogram::Visitor(map, visit));
            self.subprograms.len() - 1
        });
        self.func_id(at)
    }

    /// The subprogram that does nothing with an entry of a map: the kernel counts its calls.
    pub(crate) fn nothing(&mut self) -> FuncId {
        let known = self
            .subprograms
            .iter()
            .position(|sub| matches!(sub, Subprogram::Nothing));
        let at = known.unwrap_or_else(|| {
            self.subprograms.push(Subprogram::Nothing);
            self.subprograms.len() - 1
        });
        self.func_id(at)
    }

    /// Room for the body of a loop, and its symbol; [`Plans::set_body`] fills it.
    pub(crate) fn body(&mut self, program: ProgramId) -> (FuncId, String) {
        let symbol = self.fresh_symbol(&format!("{}_loop", self.plan.programs[program].symbol));
        self.subprograms.push(Subprogram::Body(None));
        (self.func_id(self.subprograms.len() - 1), symbol)
    }

    /// The body of a loop.
    pub(crate) fn set_body(&mut self, id: FuncId, func: Func) {
        let at = (id.0 as usize).wrapping_sub(self.programs);
        if let Some(Subprogram::Body(body)) = self.subprograms.get_mut(at) {
            *body = Some(func);
        }
    }

    /// Subprograms stand behind the programs in the module.
    fn func_id(&self, at: usize) -> FuncId {
        FuncId((self.programs + at) as u32)
    }

    /// All subprograms, in the order of their numbers.
    pub(crate) fn subprograms(&mut self, program: &typed::Program) -> Vec<Func> {
        let subprograms = std::mem::take(&mut self.subprograms);
        let finish = |sub| match sub {
            Subprogram::Body(func) => func,
            Subprogram::Nothing => {
                let name = self.fresh_symbol("nt_each_entry");
                let mut b = FuncBuilder::new(name, FuncKind::Subprogram, 4, Span::default());
                let go_on = b.iconst(0);
                b.ret(go_on);
                Some(b.finish())
            }
            Subprogram::Visitor(map, visit) => {
                let name = self.fresh_symbol(&format!("{}_cpus", self.plan.maps[map].symbol));
                let span = program
                    .maps
                    .get(ScriptMapId(map.0))
                    .map_or(Span::default(), |m| m.span);
                Some(total::visitor(name, map, visit, span))
            }
        };
        subprograms.into_iter().filter_map(finish).collect()
    }

    // ---- maps ---------------------------------------------------------------------------------------------------------

    /// A map of the plan.
    pub(crate) fn map(&self, id: MapId) -> &Map {
        &self.plan.maps[id]
    }

    /// The kernel map behind a map of the script: they stand in the same order, before nettrace's own.
    pub(crate) fn of_script(&self, map: ScriptMapId) -> MapId {
        MapId(map.0)
    }

    /// The ring buffer.
    pub(crate) fn ring(&mut self) -> MapId {
        if let Some(ring) = self.plan.ring {
            return ring;
        }
        let ring = self.own_map("nt_ring", MapKind::Ringbuf, 0, self.ring_bytes);
        self.plan.maps[ring].key_size = 0;
        self.plan.ring = Some(ring);
        ring
    }

    /// The control map.
    pub(crate) fn control(&mut self) -> MapId {
        if let Some(control) = self.plan.control {
            return control;
        }
        let size = control_size(self.programs);
        let control = self.own_map("nt_control", MapKind::Array, size, 1);
        self.plan.control = Some(control);
        control
    }

    /// Where the control map counts the entries that a map had no room for.
    pub(crate) fn counter_of_full(&mut self, map: MapId) -> u32 {
        let control = self.control();
        let offset = control_full(self.programs, map);
        let control = &mut self.plan.maps[control];
        control.value_size = control.value_size.max(offset + 8);
        offset
    }

    /// The scratch map: one entry per program.
    pub(crate) fn scratch(&mut self) -> MapId {
        if let Some(scratch) = self.scratch {
            return scratch;
        }
        let entries = self.programs.max(1) as u32;
        let scratch = self.own_map("nt_scratch", MapKind::PercpuArray, 8, entries);
        self.scratch = Some(scratch);
        scratch
    }

    /// A program needs this much scratch.
    pub(crate) fn scratch_room(&mut self, bytes: u32) {
        self.scratch_room = self.scratch_room.max(bytes.next_multiple_of(8));
    }

    /// A map whose only value is at least so many bytes of zero, which nobody writes.
    pub(crate) fn zeros(&mut self, bytes: u32) -> MapId {
        let zeros = match self.zeros {
            Some(zeros) => zeros,
            None => self.own_map("nt_zeros", MapKind::Array, 8, 1),
        };
        self.zeros = Some(zeros);
        let map = &mut self.plan.maps[zeros];
        map.value_size = map.value_size.max(bytes.next_multiple_of(8));
        zeros
    }

    fn own_map(&mut self, name: &str, kind: MapKind, value_size: u32, max_entries: u32) -> MapId {
        let symbol = self.fresh_symbol(name);
        self.plan.maps.push(Map {
            symbol,
            kind,
            key_size: 4,
            value_size,
            max_entries,
            flags: 0,
            script: None,
        })
    }

    fn script_map(
        &mut self,
        program: &typed::Program,
        kernel: &dyn Kernel,
        map: &typed::Map,
    ) -> Map {
        let key = map.key.map(|key| self.layout(program, kernel, key));
        let stored = match map.value {
            MapValue::Plain(ty) => Stored::Plain(self.layout(program, kernel, ty)),
            MapValue::Aggregate(kind) => stored(kind),
        };
        let value_size = stored_size(&stored);
        let per_cpu = !matches!(stored, Stored::Plain(_));
        let lru = map.declared.is_some_and(|declared| declared.lru);
        let kind = match (&key, per_cpu, lru) {
            (None, false, _) => MapKind::Array,
            (None, true, _) => MapKind::PercpuArray,
            (Some(_), false, false) => MapKind::Hash,
            (Some(_), true, false) => MapKind::PercpuHash,
            (Some(_), false, true) => MapKind::LruHash,
            (Some(_), true, true) => MapKind::LruPercpuHash,
        };
        let key_size = key.as_ref().map_or(4, Layout::size);
        let max_entries = match key {
            Some(_) => map
                .declared
                .map_or(program.limits.max_map_keys, |declared| declared.entries),
            None => 1,
        };
        let copies = if per_cpu { TYPICAL_CPUS } else { 1 };
        let all = (u64::from(key_size) + u64::from(value_size) * copies) * u64::from(max_entries);
        let flags = match key {
            // Entries of LRU maps are always allocated beforehand.
            Some(_) if all > PREALLOC_LIMIT && !lru => NO_PREALLOC,
            _ => 0,
        };
        let name = match map.name.as_str() {
            "" => "at",
            name => name,
        };
        Map {
            symbol: self.fresh_symbol(&format!("nt_{}", identifier(name))),
            kind,
            key_size,
            value_size,
            max_entries,
            flags,
            script: Some(ScriptMap {
                name: format!("@{}", map.name),
                key,
                value: stored,
            }),
        }
    }

    // ---- events -------------------------------------------------------------------------------------------------------

    /// Adds a kind of event: the id, then values of these layouts.
    pub(crate) fn event(
        &mut self,
        program: ProgramId,
        action: Action,
        layouts: Vec<Layout>,
        span: Span,
    ) -> EventId {
        let mut at = 8;
        let fields = layouts
            .into_iter()
            .map(|layout| {
                let offset = u32::next_multiple_of(at, layout.align());
                at = offset + layout.size();
                Field {
                    name: String::new(),
                    offset,
                    layout,
                }
            })
            .collect();
        self.plan.events.push(Event {
            action,
            fields,
            size: at.next_multiple_of(8),
            span: (span.lo, span.hi),
            program,
            time: None,
            group: None,
        })
    }

    /// Notes which field of an event says to which group it belongs.
    pub(crate) fn grouped(&mut self, id: EventId, field: usize) {
        let event = &mut self.plan.events[id];
        event.group = event.fields.get(field).map(|field| field.offset);
    }

    /// Notes which field of an event says when it happened.
    pub(crate) fn timed(&mut self, id: EventId, field: usize, clock: Clock) {
        let event = &mut self.plan.events[id];
        let offset = event.fields.get(field).map(|field| field.offset);
        event.time = offset.map(|offset| EventTime { offset, clock });
    }

    /// An event of the plan.
    pub(crate) fn event_of(&self, id: EventId) -> &Event {
        &self.plan.events[id]
    }
}

fn stored(kind: Aggregate) -> Stored {
    match kind {
        Aggregate::Count => Stored::Count,
        Aggregate::Sum { signed } => Stored::Sum { signed },
        Aggregate::Avg { signed } => Stored::Avg { signed },
        Aggregate::Min { signed } => Stored::Min { signed },
        Aggregate::Max { signed } => Stored::Max { signed },
        Aggregate::Stats { signed } => Stored::Stats { signed },
        Aggregate::Hist { bits } => Stored::Hist { bits },
        Aggregate::Lhist { min, max, step } => Stored::Lhist { min, max, step },
    }
}

fn stored_size(stored: &Stored) -> u32 {
    match stored {
        Stored::Plain(layout) => layout.size().max(1),
        Stored::Count | Stored::Sum { .. } => 8,
        Stored::Avg { .. } | Stored::Min { .. } | Stored::Max { .. } | Stored::Stats { .. } => 16,
        Stored::Hist { bits } => 8 * hist_buckets(*bits),
        Stored::Lhist { min, max, step } => 8 * lhist_buckets(*min, *max, *step),
    }
}

/// A name made of what ELF symbols of BPF objects may hold.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}
