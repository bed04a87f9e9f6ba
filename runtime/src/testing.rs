//! Hand-made records, plans and programs for this crate's tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use nettrace_compiler::artifact::*;
use nettrace_compiler::index::Id;
use nettrace_grammar::Diagnostic;

use crate::attach::{BtfFunction, KernelFunctions};
use crate::live::{Entries, Live, Missed};
use crate::output::Names;
use crate::output::text::TextSink;
use crate::output::writer::Writer;
use crate::ring::Ring;
use crate::symbols::kernel::{KernelSymbols, Table};

/// The symbols of an imaginary kernel.
pub(crate) const KALLSYMS: &str = "\
ffffffff81000000 T _stext
ffffffff81000100 T ip_output
ffffffff81000200 t nf_hook_slow
ffffffff81000300 T do_exit
ffffffff81000400 T after_exit
ffffffff82000000 B _end
ffffffffc0a10000 t nf_ct_delete\t[nf_conntrack]
";

pub(crate) fn names() -> Names {
    with_symbols(Names::new(&plan(vec![program(
        "p",
        &["kprobe:nf_ct_delete"],
    )])))
}

pub(crate) fn with_symbols(mut names: Names) -> Names {
    names.kernel = KernelSymbols::fixed(Table::read(KALLSYMS.as_bytes()).expect("fixture"));
    names
}

pub(crate) fn int(bytes: u8, signed: bool) -> Layout {
    Layout::Int { bytes, signed }
}

pub(crate) const U64: Layout = Layout::Int {
    bytes: 8,
    signed: false,
};
pub(crate) const I64: Layout = Layout::Int {
    bytes: 8,
    signed: true,
};

pub(crate) fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

pub(crate) fn padded(text: &str, cap: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(cap, 0);
    bytes
}

/// The control map's value with these losses per program.
pub(crate) fn control(losses: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; control_size(losses.len()) as usize];
    for (program, lost) in (0..).map(ProgramId).zip(losses) {
        let offset = control_lost(program) as usize;
        bytes[offset..offset + 8].copy_from_slice(&lost.to_ne_bytes());
    }
    bytes
}

/// Fields one after another, each aligned, the first at `start`; and the size of it all.
pub(crate) fn fields(start: u32, members: &[(&str, Layout)]) -> (Vec<Field>, u32) {
    let mut offset = start;
    let mut align = 1;
    let mut fields = Vec::new();
    for (name, layout) in members {
        align = align.max(layout.align());
        offset = offset.next_multiple_of(layout.align());
        fields.push(Field {
            name: (*name).to_string(),
            offset,
            layout: layout.clone(),
        });
        offset += layout.size();
    }
    (fields, offset.next_multiple_of(align))
}

pub(crate) fn tuple(members: &[Layout]) -> Layout {
    let members: Vec<(&str, Layout)> = members.iter().map(|m| ("", m.clone())).collect();
    let (fields, size) = fields(0, &members);
    Layout::Tuple { fields, size }
}

pub(crate) fn record(members: &[(&str, Layout)]) -> Layout {
    let (fields, size) = fields(0, members);
    Layout::Record { fields, size }
}

pub(crate) fn program(symbol: &str, probes: &[&str]) -> Program {
    let target = |(cookie, probe): (u64, &&str)| Target {
        attach: Attach::Kprobe {
            symbol: (*probe).to_string(),
            module: None,
            offset: 0,
        },
        probe: (*probe).to_string(),
        cookie,
        packet: None,
        span: (0, 0),
    };
    Program {
        symbol: symbol.to_string(),
        targets: (0..).zip(probes).map(target).collect(),
        span: (0, 0),
        uses_cookie: false,
    }
}

/// A plan without maps and events; its control map is `m0`.
pub(crate) fn plan(programs: Vec<Program>) -> Plan {
    let control = Map {
        symbol: "control".to_string(),
        kind: MapKind::Array,
        key_size: 4,
        value_size: control_size(programs.len()),
        max_entries: 1,
        flags: 0,
        script: None,
    };
    Plan {
        version: PLAN_VERSION,
        programs: programs.into_iter().collect(),
        maps: [control].into_iter().collect(),
        events: Default::default(),
        ring: None,
        control: Some(MapId(0)),
        settings: Settings::default(),
        entry: 0,
        sources: Vec::new(),
    }
}

pub(crate) fn script_map(name: &str, kind: MapKind, key: Option<Layout>, value: Stored) -> Map {
    let value_size = match &value {
        Stored::Plain(layout) => layout.size(),
        Stored::Count | Stored::Sum { .. } => 8,
        Stored::Hist { bits } => 8 * hist_buckets(*bits),
        Stored::Lhist { min, max, step } => 8 * lhist_buckets(*min, *max, *step),
        _ => 16,
    };
    Map {
        symbol: format!("nt_{}", name.trim_start_matches('@')),
        kind,
        key_size: key.as_ref().map_or(4, Layout::size),
        value_size,
        max_entries: 16,
        flags: 0,
        script: Some(ScriptMap {
            name: name.to_string(),
            key,
            value,
        }),
    }
}

/// Adds an event with these fields behind the id.
pub(crate) fn event(plan: &mut Plan, action: Action, members: &[Layout]) -> u64 {
    let members: Vec<(&str, Layout)> = members.iter().map(|m| ("", m.clone())).collect();
    let (fields, end) = fields(8, &members);
    let size = end.next_multiple_of(8);
    u64::from(
        plan.events
            .push(Event {
                action,
                fields,
                size,
                span: (0, 0),
                program: nettrace_compiler::artifact::ProgramId(0),
                time: None,
                group: None,
            })
            .0,
    )
}

/// A format with one `%d`-like conversion per `%` in the text.
pub(crate) fn format(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (i, part) in text.split('%').enumerate() {
        let part = if i > 0 {
            let (conversion, rest) = part.split_at(1);
            let conversion = match conversion {
                "d" => Conversion::Signed,
                "s" => Conversion::Text,
                other => panic!("no conversion {other}"),
            };
            pieces.push(Piece::Value(spec(8, conversion)));
            rest
        } else {
            part
        };
        pieces.push(Piece::Text(part.to_string()));
    }
    pieces
}

pub(crate) fn spec(bytes: u8, conversion: Conversion) -> Spec {
    Spec {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: 0,
        precision: None,
        bytes,
        conversion,
    }
}

/// Maps in memory, and a list of what was asked for.
#[derive(Default)]
pub(crate) struct FakeLive {
    pub(crate) maps: BTreeMap<u32, Entries>,
    pub(crate) log: Vec<String>,
    /// Where `fire` and `run_end` put the records that their programs send.
    pub(crate) ring: ListRing,
    pub(crate) on_fire: VecDeque<Vec<u8>>,
    pub(crate) on_end: Vec<Vec<u8>>,
    pub(crate) missed: Vec<Missed>,
}

impl FakeLive {
    pub(crate) fn fill(&mut self, map: u32, entries: &[(&[u8], &[u8])]) {
        let filled = Entries {
            key_size: entries.first().map_or(4, |e| e.0.len()),
            value_size: entries.first().map_or(8, |e| e.1.len()),
            keys: entries.iter().flat_map(|e| e.0.iter().copied()).collect(),
            values: entries.iter().flat_map(|e| e.1.iter().copied()).collect(),
        };
        self.maps.insert(map, filled);
    }
}

impl Live for FakeLive {
    fn entries(&mut self, map: MapId) -> Result<Entries, Diagnostic> {
        Ok(self.maps.get(&map.0).cloned().unwrap_or_default())
    }
    fn clear(&mut self, map: MapId) -> Result<(), Diagnostic> {
        self.log.push(format!("clear {map}"));
        Ok(())
    }
    fn zero(&mut self, map: MapId) -> Result<(), Diagnostic> {
        self.log.push(format!("zero {map}"));
        Ok(())
    }
    fn fire(&mut self, program: ProgramId, target: &Target) -> Result<(), Diagnostic> {
        self.log
            .push(format!("fire p{} {}", program.index(), target.probe));
        self.ring.send(self.on_fire.pop_front());
        Ok(())
    }
    fn missed(&mut self) -> Vec<Missed> {
        self.missed.clone()
    }
    fn silence(&mut self) {
        self.log.push("silence".to_string());
    }
    fn detach(&mut self, _: &dyn Fn() -> bool) {
        self.log.push("detach".to_string());
    }
    fn run_end(&mut self) -> Result<(), Diagnostic> {
        self.log.push("end".to_string());
        self.ring.send(self.on_end.drain(..));
        Ok(())
    }
}

/// Records from a list that its clones share.
#[derive(Clone, Default)]
pub(crate) struct ListRing(Rc<RefCell<VecDeque<Vec<u8>>>>);

impl ListRing {
    pub(crate) fn send(&self, records: impl IntoIterator<Item = Vec<u8>>) {
        self.0.borrow_mut().extend(records);
    }
}

impl Ring for ListRing {
    fn next_record(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        let record = self.0.borrow_mut().pop_front();
        record.is_some_and(|record| {
            each(&record);
            true
        })
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

pub(crate) fn sink() -> TextSink<Vec<u8>, Vec<u8>> {
    TextSink::new(Writer::new(Vec::new(), Vec::new()))
}

/// What a sink has printed: results, messages.
pub(crate) fn printed(mut sink: TextSink<Vec<u8>, Vec<u8>>) -> (String, String) {
    use crate::output::Sink;
    sink.finish().expect("a vector takes everything");
    let (output, messages) = sink.into_parts();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("test output is text");
    (text(output), text(messages))
}

/// A kernel without a function anyone could trace.
pub(crate) struct NoFunctions;

impl KernelFunctions for NoFunctions {
    fn btf_function(&self, symbol: &str, _: Option<&str>) -> Option<BtfFunction> {
        let module = None;
        (symbol == "present").then_some(BtfFunction { id: 1, module })
    }
    fn module_loaded(&self, _: &str) -> bool {
        false
    }
    fn untraceable(&self, _: &str, _: Option<&str>) -> Option<String> {
        None
    }
    fn similar(&self, _: &str) -> Vec<String> {
        vec!["present".to_owned()]
    }
}
