//! Scripts that run side by side: each is loaded, attached, stopped and replaced by itself; they share maps and one ring buffer, so that
//! the order of their events is kept.
//!
//! In: object files, each compiled as an entry of one session (see [`nettrace_compiler::session`]). Out: their output through one
//! [`Sink`]. [`Tracer`] runs it all in a thread of its own, so that who types is never waited for.

mod nobody;
mod unit;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nettrace_compiler::artifact::{Attach, Layout, MapId, Plan, ProgramId, Stored};
use nettrace_grammar::{Diagnostic, codes};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use self::nobody::Nobody;
use self::unit::Unit;
use crate::decode::decode;
use crate::events::{self, Dispatcher, State};
use crate::host::HostFunctions;
use crate::live::{Live as _, Missed};
use crate::load::{Attached, LoadOptions, Loaded, SharedMaps};
use crate::order::Order;
use crate::output::{Sink, Skipped};
use crate::ring::{KernelRing, Ring as _};
use crate::run::pace::Pace;
use crate::run::{milliseconds, now, read_start, refused, wait};
use crate::{sys, wire};

pub use unit::ProgramStats;
pub use worker::{Silence, Tracer};

/// Records handled before anything else gets its turn.
const BATCH: usize = 1024;
/// Bytes in front of each record in the ring.
const RECORD_HEADER: u64 = 8;
/// How often losses are told.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of the ring, for judging the pace before there is one.
const RING_ROOM: u64 = 4 << 20;

/// What epoll reports beside the ring; timers have the numbers behind it.
const WAKE: u64 = 0;

/// Programs of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The script.
    pub entry: u32,
    /// Which of its programs.
    pub programs: BTreeSet<ProgramId>,
}

impl Programs {
    /// Whether this is one of them.
    pub fn has(&self, stats: &ProgramStats) -> bool {
        self.entry == stats.entry && self.programs.contains(&stats.program)
    }
}

/// What came of adding a script.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// Places that its programs are attached to.
    pub targets: usize,
    /// Functions that were left out.
    pub skipped: Vec<Skipped>,
    /// Targets that were skipped, and whatever else is not as it should be.
    pub warnings: Vec<Diagnostic>,
    /// There was nothing to attach, attaching was interrupted, or it called `exit()`: it is not in the kernel any more.
    pub gone: bool,
    /// The code of `exit()`, called in a `begin` program.
    pub exit: Option<i32>,
}

/// Something that happened by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The script has called `exit()` and is gone.
    Exited {
        /// The script.
        entry: u32,
        /// The code.
        code: i32,
    },
    /// Nobody takes the output any more.
    Closed,
}

/// The scripts.
pub struct Units {
    options: LoadOptions,
    functions: HostFunctions,
    shared: SharedMaps,
    ring: Option<KernelRing>,
    sink: Box<dyn Sink>,
    state: Option<Box<State>>,
    units: BTreeMap<u32, Unit>,
    order: Order,
    pace: Pace,
    bytes: u64,
    /// Everything but the ring.
    others: Epoll,
    /// The ring, and everything else as one.
    all: Epoll,
    next_timer: u64,
    losses_seen: Instant,
    active: bool,
    closed: bool,
    exits: Vec<(u32, i32)>,
    notices: Vec<Notice>,
    interrupt: Arc<AtomicBool>,
    /// The kernel counts runs while this is open.
    counting: Option<std::os::fd::OwnedFd>,
}

impl Units {
    /// No script yet. `vmlinux` is the file of `--btf`; while `interrupt` is set, attaching ends early.
    ///
    /// # Errors
    /// `KERNEL_REFUSED`: no epoll.
    pub fn new(
        sink: Box<dyn Sink>,
        options: LoadOptions,
        vmlinux: Option<&Path>,
        interrupt: Arc<AtomicBool>,
    ) -> Result<Units, Diagnostic> {
        let epoll = || Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| refused("epoll", e));
        let (others, all) = (epoll()?, epoll()?);
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        all.add(&others.0, readable)
            .map_err(|e| refused("epoll", e))?;
        Ok(Units {
            options: LoadOptions {
                since: Some(now()),
                ..options
            },
            functions: HostFunctions::new(vmlinux),
            shared: SharedMaps::default(),
            ring: None,
            sink,
            state: Some(Box::default()),
            units: BTreeMap::new(),
            order: Order::default(),
            pace: Pace::new(RING_ROOM, Instant::now()),
            bytes: 0,
            others,
            all,
            next_timer: WAKE + 1,
            losses_seen: Instant::now(),
            active: false,
            closed: false,
            exits: Vec::new(),
            notices: Vec::new(),
            interrupt,
            counting: None,
        })
    }

    // ---- scripts ------------------------------------------------------------------------------------------------------

    /// Loads a script, runs its `begin` programs and attaches the others. A script that has no others is gone afterwards.
    ///
    /// Programs of an older script that it replaces record until it does, and are detached then; if it fails they go on.
    ///
    /// # Errors
    /// As [`Loaded::load`] and [`Loaded::attach`].
    pub fn add(
        &mut self,
        elf: &[u8],
        replaces: Option<&Programs>,
    ) -> Result<Added, Vec<Diagnostic>> {
        let loaded = Loaded::load_beside(elf, &self.functions, self.options, &self.shared)?;
        loaded.check_host()?;
        wire::check(loaded.plan()).map_err(one)?;
        self.listen(&loaded).map_err(one)?;
        let new = self.shared.add(&loaded);
        let entry = loaded.plan().entry;
        let unit = Unit::new(loaded);
        if stores_probes(&unit.plan)
            && let Some(state) = &mut self.state
        {
            state.names.remember(&unit.labels);
        }
        self.units.insert(entry, unit);
        let added = self.start_unit(entry, replaces);
        if !matches!(&added, Ok(added) if !added.gone) {
            self.remove(entry);
        }
        // Whoever has interrupted may not hear what came of it, and knows of no new maps.
        let given_up = matches!(&added, Ok(added) if added.gone) && self.interrupted();
        if added.is_err() || given_up {
            new.iter().for_each(|map| self.shared.forget(map));
        }
        self.flush();
        added
    }

    fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::SeqCst)
    }

    fn start_unit(
        &mut self,
        entry: u32,
        replaces: Option<&Programs>,
    ) -> Result<Added, Vec<Diagnostic>> {
        let Some(unit) = self.units.get_mut(&entry) else {
            return Ok(Added::default());
        };
        let mut added = Added {
            warnings: unit.loaded.take_warnings(),
            ..Added::default()
        };
        unit.loaded.run_begin().map_err(one)?;
        self.settle();
        let exit = self.exits.iter().find(|(e, _)| *e == entry);
        if let Some(&(_, code)) = exit {
            self.exits.retain(|(e, _)| *e != entry);
            (added.gone, added.exit) = (true, Some(code));
            return Ok(added);
        }
        let all: BTreeSet<ProgramId> = match self.units.get(&entry) {
            Some(unit) => waiting(&unit.plan).collect(),
            None => BTreeSet::new(),
        };
        if all.is_empty() {
            added.gone = true;
            return Ok(added);
        }
        match self.attach(entry, &all)? {
            Attached::All(targets, skipped) => (added.targets, added.skipped) = (targets, skipped),
            Attached::Stopped => added.gone = true,
        }
        // Nobody waits any more: what is attached now would have no number.
        added.gone |= self.interrupted();
        if let Some(unit) = self.units.get_mut(&entry) {
            added.warnings.extend(unit.loaded.take_warnings());
        }
        if let (false, Some(old)) = (added.gone, replaces) {
            self.silence(old);
            self.detach(old);
        }
        Ok(added)
    }

    /// Has programs of a script that were detached record again.
    ///
    /// # Errors
    /// As [`Loaded::attach`].
    pub fn start(&mut self, which: &Programs) -> Result<usize, Vec<Diagnostic>> {
        let Some(unit) = self.units.get(&which.entry) else {
            return Ok(0);
        };
        let stopped = which.programs.iter().copied();
        let stopped = stopped.filter(|id| !unit.running.contains(id)).collect();
        match self.attach(which.entry, &stopped)? {
            Attached::All(targets, _) => Ok(targets),
            Attached::Stopped => {
                self.detach(which);
                Ok(0)
            }
        }
    }

    fn attach(
        &mut self,
        entry: u32,
        which: &BTreeSet<ProgramId>,
    ) -> Result<Attached, Vec<Diagnostic>> {
        let Some(unit) = self.units.get_mut(&entry) else {
            return Ok(Attached::Stopped);
        };
        let chosen = |id: ProgramId| which.contains(&id);
        let interrupt = Arc::clone(&self.interrupt);
        let stop = || interrupt.load(Ordering::SeqCst);
        let attached = unit.loaded.attach_some(&self.functions, &stop, &chosen)?;
        if let Attached::All(..) = attached {
            let started = unit.start_timers(&chosen, self.next_timer, &self.others);
            self.next_timer = started.map_err(one)?;
            unit.running.extend(which.iter().copied());
        }
        Ok(attached)
    }

    /// Detaches programs; what they have sent is printed. They can be started again.
    pub fn stop(&mut self, which: &Programs) {
        self.silence(which);
        self.detach(which);
        self.flush();
    }

    /// If all of a script's programs are meant, none of them records from here on.
    fn silence(&mut self, which: &Programs) {
        if let Some(unit) = self.units.get(&which.entry)
            && unit.running.iter().all(|id| which.programs.contains(id))
        {
            unit.loaded.enable(false);
        }
    }

    fn detach(&mut self, which: &Programs) {
        let Some(unit) = self.units.get_mut(&which.entry) else {
            return;
        };
        let chosen = |id: ProgramId| which.programs.contains(&id);
        unit.timers.retain(|(_, timer)| !chosen(timer.program));
        unit.running.retain(|id| !chosen(*id));
        unit.loaded.detach_some(&chosen, &|| false);
        self.settle();
    }

    /// Removes a script from the kernel.
    pub fn remove(&mut self, entry: u32) {
        if let Some(unit) = self.units.get_mut(&entry) {
            unit.loaded.enable(false);
            unit.timers.clear();
            let missed = unit.loaded.missed();
            unit.loaded.detach(&|| false);
            self.settle();
            self.last_losses(entry, &missed);
        }
        self.units.remove(&entry);
    }

    /// Tells what a script has lost that goes.
    fn last_losses(&mut self, entry: u32, missed: &[Missed]) {
        let Some(unit) = self.units.get_mut(&entry) else {
            return;
        };
        // What was not told so far is part of the totals.
        if let Err(problem) = unit.look_for_losses() {
            self.sink.problem(&problem);
        }
        self.sink.ledger(&unit.losses.ledger(missed));
        self.flush();
    }

    /// Whether the events of programs are printed.
    pub fn mute(&mut self, which: &Programs, muted: bool) {
        if let Some(unit) = self.units.get_mut(&which.entry) {
            match muted {
                true => unit.muted.extend(which.programs.iter().copied()),
                false => unit.muted.retain(|id| !which.programs.contains(id)),
            }
        }
    }

    /// What is known of every program that attaches to something.
    pub fn stats(&mut self) -> Vec<ProgramStats> {
        self.look_for_losses();
        let mut all = Vec::new();
        for (entry, unit) in &mut self.units {
            let waits: BTreeSet<ProgramId> = waiting(&unit.plan).collect();
            let stats = unit.stats(*entry).into_iter();
            all.extend(stats.filter(|s| waits.contains(&s.program)));
        }
        all
    }

    /// Entries that maps had no room for, by map.
    pub fn refused_entries(&mut self) -> BTreeMap<String, u64> {
        self.look_for_losses();
        let mut all = BTreeMap::new();
        for unit in self.units.values() {
            for full in unit.losses.ledger(&[]).map_full {
                *all.entry(full.probe).or_default() += full.events;
            }
        }
        all
    }

    /// Has the kernel count runs and their time, or not.
    ///
    /// # Errors
    /// `KERNEL_REFUSED`, before Linux 5.8.
    pub fn count_runs(&mut self, on: bool) -> Result<(), Diagnostic> {
        self.counting = match on {
            true if self.counting.is_some() => return Ok(()),
            true => Some(
                sys::info::count_runs()
                    .map_err(|e| crate::privilege::refused("count runs of programs", &e))?,
            ),
            false => None,
        };
        Ok(())
    }

    /// Scripts whose plan has a map of this name.
    pub fn users_of(&self, map: &str) -> Vec<u32> {
        let uses = |unit: &Unit| named(&unit.plan, map).is_some();
        let users = self.units.iter().filter(|(_, unit)| uses(unit));
        users.map(|(entry, _)| *entry).collect()
    }

    /// Empties a map that a script uses; false when none does.
    ///
    /// # Errors
    /// `KERNEL_REFUSED`.
    pub fn clear_map(&mut self, map: &str) -> Result<bool, Diagnostic> {
        for unit in self.units.values_mut() {
            if let Some(id) = named(&unit.plan, map) {
                return unit.loaded.clear(id).map(|()| true);
            }
        }
        Ok(false)
    }

    /// Scripts that come later make a new map of this name.
    pub fn forget_map(&mut self, map: &str) {
        self.shared.forget(map);
    }

    /// Prints a value that no program sends.
    pub fn show(&mut self, layout: &Layout, bytes: &[u8]) {
        let mut state = self.state.take().unwrap_or_default();
        self.sink.value(&decode(layout, bytes), &mut state.names);
        self.state = Some(state);
        self.flush();
    }

    /// Prints what has been sent so far.
    pub fn settle_now(&mut self) {
        self.settle();
    }

    /// What has happened by itself since the last time.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Ends all scripts as the end of a run does: recording stops, `end` programs run, losses are told, all is detached.
    pub fn finish(&mut self) {
        for unit in self.units.values_mut() {
            unit.timers.clear();
            unit.loaded.silence();
        }
        self.settle();
        for unit in self.units.values_mut() {
            // Those that were stopped do not run.
            if ends(&unit.plan).any(|id| unit.running.contains(&id))
                && let Err(problem) = unit.loaded.run_end()
            {
                self.sink.problem(&problem);
            }
        }
        self.settle();
        self.look_for_losses();
        for unit in self.units.values_mut() {
            let missed = unit.loaded.missed();
            self.sink.ledger(&unit.losses.ledger(&missed));
        }
        self.flush();
        let interrupt = Arc::clone(&self.interrupt);
        for unit in self.units.values_mut() {
            unit.loaded.detach(&|| interrupt.load(Ordering::SeqCst));
        }
        self.units.clear();
        let _ = self.sink.finish();
    }

    // ---- events -------------------------------------------------------------------------------------------------------

    /// Reads the ring of the first script that has one; all others use the same.
    fn listen(&mut self, loaded: &Loaded) -> Result<(), Diagnostic> {
        if self.ring.is_some() {
            return Ok(());
        }
        if let Some(ring) = loaded.ring()? {
            if let Some(fd) = ring.descriptor() {
                let readable = EpollEvent::new(EpollFlags::EPOLLIN, 0);
                self.all
                    .add(fd, readable)
                    .map_err(|e| refused("epoll", e))?;
            }
            self.ring = Some(ring);
        }
        Ok(())
    }

    /// Prints all that has been sent so far.
    fn settle(&mut self) {
        while self.batch(usize::MAX) > 0 {}
        let mut order = std::mem::take(&mut self.order);
        order.release_all(|record| self.carry_out(record));
        self.order = order;
        self.flush();
    }

    /// Reads up to `limit` records; returns how many there were.
    fn batch(&mut self, limit: usize) -> usize {
        let Some(mut ring) = self.ring.take() else {
            return 0;
        };
        let mut order = std::mem::take(&mut self.order);
        let started = now();
        let mut count = 0;
        let mut take = |record: &[u8]| {
            self.bytes += record.len() as u64 + RECORD_HEADER;
            let time = self.time(record);
            if time.is_none() && order.is_empty() {
                self.carry_out(record);
            } else {
                order.hold(record, time);
            }
        };
        while count < limit && ring.next_record(&mut take) {
            count += 1;
        }
        let read = match count < limit {
            true => started,
            false => started.min(order.latest()),
        };
        order.release(read, |record| self.carry_out(record));
        self.order = order;
        self.ring = Some(ring);
        self.active |= count > 0;
        count
    }

    fn time(&mut self, record: &[u8]) -> Option<u64> {
        let unit = self.units.get_mut(&events::entry_of(record)?)?;
        let Unit {
            plan,
            loaded,
            start,
            ..
        } = unit;
        events::time_of(plan, record, || {
            *start.get_or_insert_with(|| read_start(plan, loaded))
        })
    }

    fn carry_out(&mut self, record: &[u8]) {
        let Some(entry) = events::entry_of(record) else {
            return;
        };
        // What a script sent before it was removed.
        let Some(unit) = self.units.get_mut(&entry) else {
            return;
        };
        let sender = events::sender(&unit.plan, record);
        let muted = sender.is_some_and(|program| unit.muted.contains(&program));
        if let Some(program) = sender {
            unit.count(program);
        }
        let mut state = self.state.take().unwrap_or_default();
        state.names.speak_for(&unit.labels);
        let mut nobody = Nobody;
        let sink: &mut dyn Sink = match muted {
            true => &mut nobody,
            false => &mut *self.sink,
        };
        let mut dispatcher = Dispatcher::resume(&unit.plan, sink, state);
        dispatcher.record(record, &mut unit.loaded);
        let mut state = dispatcher.pause();
        if let Some(code) = state.exit.take()
            && !self.exits.iter().any(|(e, _)| *e == entry)
        {
            self.exits.push((entry, code));
        }
        self.state = Some(state);
    }

    /// Ends the scripts that have called `exit()`.
    fn end_exited(&mut self) {
        for (entry, code) in std::mem::take(&mut self.exits) {
            let Some(unit) = self.units.get_mut(&entry) else {
                continue;
            };
            unit.timers.clear();
            unit.loaded.silence();
            self.settle();
            if let Some(unit) = self.units.get_mut(&entry)
                && let Err(problem) = unit.loaded.run_end()
            {
                self.sink.problem(&problem);
            }
            self.remove(entry);
            self.exits.retain(|(e, _)| *e != entry);
            self.notices.push(Notice::Exited { entry, code });
        }
    }

    fn flush(&mut self) {
        if self.sink.flush().is_err() && !self.closed {
            self.closed = true;
            self.notices.push(Notice::Closed);
        }
    }

    fn look_for_losses(&mut self) {
        self.active = false;
        self.losses_seen = Instant::now();
        for unit in self.units.values_mut() {
            match unit.look_for_losses() {
                Ok(lost) => self.sink.lost(&lost),
                Err(problem) => self.sink.problem(&problem),
            }
        }
    }

    // ---- waiting ------------------------------------------------------------------------------------------------------

    /// Reads what is there, and waits for more unless there is much. Returns when there was something to do.
    fn turn(&mut self) -> Result<bool, Diagnostic> {
        let read = self.batch(BATCH);
        self.end_exited();
        if self.active && self.losses_seen.elapsed() >= LOSS_INTERVAL {
            self.look_for_losses();
        }
        self.flush();
        let bytes = std::mem::take(&mut self.bytes);
        let mut nap = self.pace.read(read, bytes, Instant::now());
        let mut ready = [EpollEvent::empty(); 16];
        if read == BATCH {
            nap = Duration::ZERO;
        } else if nap.is_zero() {
            wait(&self.all, &mut ready, self.timeout())?;
        }
        let nap = EpollTimeout::try_from(nap).unwrap_or(EpollTimeout::ZERO);
        let due: Vec<u64> = wait(&self.others, &mut ready, nap)?
            .iter()
            .map(EpollEvent::data)
            .collect();
        let mut woken = false;
        for number in due {
            match number {
                WAKE => woken = true,
                timer => self.fire(timer),
            }
        }
        Ok(woken)
    }

    fn timeout(&self) -> EpollTimeout {
        let losses = self
            .active
            .then(|| LOSS_INTERVAL.saturating_sub(self.losses_seen.elapsed()));
        let held = self.order.due_in(now());
        let first = losses.into_iter().chain(held).min();
        first.map_or(EpollTimeout::NONE, milliseconds)
    }

    fn fire(&mut self, number: u64) {
        for unit in self.units.values_mut() {
            let Some((_, timer)) = unit.timers.iter().find(|(n, _)| *n == number) else {
                continue;
            };
            let Some(target) = timer.target(&unit.plan) else {
                return;
            };
            for _ in 0..timer.expirations() {
                if let Err(problem) = unit.loaded.fire(timer.program, target) {
                    self.sink.problem(&problem);
                    timer.stop();
                    return;
                }
            }
        }
    }
}

impl std::fmt::Debug for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Units")
            .field("units", &self.units)
            .finish_non_exhaustive()
    }
}

/// Why this process may not trace at all; `None` when it may.
pub fn forbidden() -> Option<Diagnostic> {
    let probe = sys::map::MapCreate {
        name: "nt_may",
        kind: nettrace_compiler::artifact::MapKind::Array as u32,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        flags: 0,
        btf: None,
    };
    let refused = |e| crate::privilege::refused("trace", &e);
    probe.create().err().map(refused)
}

fn one(diag: Diagnostic) -> Vec<Diagnostic> {
    vec![diag]
}

/// The programs that are there after the `begin` programs have run.
fn waiting(plan: &Plan) -> impl Iterator<Item = ProgramId> {
    having(plan, |attach| !matches!(attach, Attach::Begin))
}

fn ends(plan: &Plan) -> impl Iterator<Item = ProgramId> {
    having(plan, |attach| matches!(attach, Attach::End))
}

fn having(plan: &Plan, which: fn(&Attach) -> bool) -> impl Iterator<Item = ProgramId> {
    let programs = plan.programs.iter_enumerated();
    let programs = programs.filter(move |(_, p)| p.targets.iter().any(|t| which(&t.attach)));
    programs.map(|(id, _)| id)
}

/// Whether a script's maps hold names of probes, which are printed as long as the maps live.
fn stores_probes(plan: &Plan) -> bool {
    let is_name = |layout: &Layout| matches!(layout, Layout::ProbeName);
    let mut maps = plan.maps.iter().filter_map(|map| map.script.as_ref());
    maps.any(|map| {
        let value = matches!(&map.value, Stored::Plain(layout) if layout.any(&is_name));
        value || map.key.as_ref().is_some_and(|key| key.any(&is_name))
    })
}

/// The map of this name in a plan.
fn named(plan: &Plan, name: &str) -> Option<MapId> {
    let mut maps = plan.maps.iter_enumerated();
    let found = maps.find(|(_, map)| map.script.as_ref().is_some_and(|s| s.name == name));
    found.map(|(id, _)| id)
}

/// What is said when the thread that traces is not there any more.
pub(crate) fn gone() -> Diagnostic {
    Diagnostic::host(
        codes::INTERNAL,
        "the part of nettrace that traces has ended",
    )
    .help("leave the session and start it again; please report it")
}
