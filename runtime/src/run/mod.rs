//! The run: waits for records, timers and signals, and ends in good order.
//!
//! Order of the end: stop recording, print what was sent before, run `end`, print its output, print all maps, tell the losses,
//! detach what takes long to detach. After
//! `exit()` what was sent later is dropped. A second signal cuts the end short. A reader that has gone away ends the run
//! without a word. [`pace`] decides how often the ring is read.

pub(crate) mod pace;

use std::io;
use std::time::{Duration, Instant};

use nettrace_compiler::artifact::{Attach, CONTROL_START, MapId, Plan};
use nettrace_grammar::{Diagnostic, codes};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::clock_gettime;

use self::pace::Pace;
use crate::decode::native;
use crate::events::Dispatcher;
use crate::live::Live;
use crate::loss::Losses;
use crate::order::Order;
use crate::output::{Sink, Skipped};
use crate::ring::Ring;
use crate::signals::Signals;
use crate::timers::{self, Timer};
use crate::wire;

/// Records handled before timers, signals and the output get their turn.
const BATCH: usize = 1024;
/// Bytes in front of each record in the ring: its length and state.
const RECORD_HEADER: u64 = 8;
/// How often losses are told.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);
/// Exit code when the run itself failed.
const FAILED: i32 = 255;

// What epoll reports beside the ring; timers are numbered from TIMERS on.
const SIGNALS: u64 = 0;
const READER: u64 = 1;
const TIMERS: u64 = 2;

/// A script that is running or about to.
pub struct Session<'a> {
    plan: &'a Plan,
    ring: Option<Box<dyn Ring>>,
    events: Dispatcher<'a>,
    losses: Losses,
    /// Bytes of the ring that were read since the pace was last judged.
    bytes: u64,
    order: Order,
    /// What `elapsed` counts from, once it was needed.
    start: Option<u64>,
    /// When losses were last looked for, and whether records have come since.
    losses_seen: Instant,
    active: bool,
    /// Nobody reads the output any more.
    closed: bool,
    /// Some of the output could not be written.
    unwritten: bool,
}

impl<'a> Session<'a> {
    /// Fails if the plan describes values that cannot be decoded. `ring` is the plan's ring buffer, if it has one.
    pub fn new(
        plan: &'a Plan,
        ring: Option<Box<dyn Ring>>,
        sink: &'a mut dyn Sink,
    ) -> Result<Session<'a>, Diagnostic> {
        Ok(Session {
            plan,
            ring,
            events: Dispatcher::new(plan, sink)?,
            losses: Losses::new(plan),
            bytes: 0,
            order: Order::default(),
            start: None,
            losses_seen: Instant::now(),
            active: false,
            closed: false,
            unwritten: false,
        })
    }

    /// Prints what has been sent so far; for the output of `begin`, before the other probes attach.
    pub fn drain(&mut self, live: &mut dyn Live) {
        while self.batch(live, usize::MAX) > 0 {}
        self.release_all(live);
        self.flush();
    }

    /// Whether the script has called `exit()` already.
    pub fn has_exited(&self) -> bool {
        self.events.exit_code().is_some()
    }

    /// Tells that all probes are attached.
    pub fn attached(&mut self, probes: usize, skipped: &[Skipped]) {
        self.start = None;
        self.events.sink.attached(probes, skipped);
    }

    /// Runs until `exit()`, a signal or the end of whoever reads the output; returns the exit code.
    pub fn run(mut self, live: &mut dyn Live, signals: &Signals) -> i32 {
        let outcome = if self.waits_for_anything() {
            self.wait(live, signals)
        } else {
            Ok(())
        };
        let failed = outcome.is_err();
        self.events.told(outcome);
        let code = self.finish(live, signals);
        if failed { FAILED } else { code }
    }

    /// A script with nothing but `begin` and `end` finishes by itself.
    fn waits_for_anything(&self) -> bool {
        let mut targets = self
            .plan
            .programs
            .iter()
            .flat_map(|program| &program.targets);
        targets.any(|target| !matches!(target.attach, Attach::Begin | Attach::End))
    }

    fn wait(&mut self, live: &mut dyn Live, signals: &Signals) -> Result<(), Diagnostic> {
        let timers = timers::start(self.plan, &|_| true).map_err(|e| refused("timerfd", e))?;
        let others = self
            .watch(&timers, signals)
            .map_err(|e| refused("epoll", e))?;
        let all = self.watch_ring(&others).map_err(|e| refused("epoll", e))?;
        let mut pace = Pace::new(self.ring_size(), Instant::now());
        let mut ready = [EpollEvent::empty(); 16];
        loop {
            let read = self.batch(live, BATCH);
            self.look_for_losses(live);
            self.flush();
            if self.closed || self.has_exited() || signals.stop_requested() {
                return Ok(());
            }
            if signals.take_dump_request() {
                self.print_maps(live, signals);
                self.flush();
            }
            let mut nap = pace.read(read, std::mem::take(&mut self.bytes), Instant::now());
            if read == BATCH {
                nap = Duration::ZERO;
            } else if nap.is_zero() {
                wait(&all, &mut ready, self.timeout())?;
            }
            let nap = EpollTimeout::try_from(nap).unwrap_or(EpollTimeout::ZERO);
            for event in wait(&others, &mut ready, nap)? {
                match event.data() {
                    SIGNALS => {}
                    READER => self.closed = true,
                    number => self.fire(&timers, number - TIMERS, live),
                }
            }
        }
    }

    fn ring_size(&self) -> u64 {
        let ring = self.plan.ring.and_then(|ring| self.plan.maps.get(ring));
        ring.map_or(0, |ring| ring.max_entries.into())
    }

    /// Everything but the ring.
    fn watch(&self, timers: &[Timer], signals: &Signals) -> nix::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = |number| EpollEvent::new(EpollFlags::EPOLLIN, number);
        epoll.add(signals, readable(SIGNALS))?;
        for (timer, number) in timers.iter().zip(TIMERS..) {
            epoll.add(timer, readable(number))?;
        }
        if let Some(output) = self.events.sink.watched() {
            // No event asked for: only its error and hang-up are reported. Files cannot be watched and need not be.
            let _ = epoll.add(output, EpollEvent::new(EpollFlags::empty(), READER));
        }
        Ok(epoll)
    }

    /// The ring, and everything else as one.
    fn watch_ring(&self, others: &Epoll) -> nix::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, 0);
        epoll.add(&others.0, readable)?;
        if let Some(ring) = self.ring.as_ref().and_then(|ring| ring.descriptor()) {
            epoll.add(ring, readable)?;
        }
        Ok(epoll)
    }

    /// Without records there are no losses either: an idle tracer sleeps.
    fn timeout(&self) -> EpollTimeout {
        let losses = self
            .active
            .then(|| LOSS_INTERVAL.saturating_sub(self.losses_seen.elapsed()));
        let held = self.order.due_in(now());
        let first = losses.into_iter().chain(held).min();
        first.map_or(EpollTimeout::NONE, milliseconds)
    }

    /// Reads up to `limit` records, and carries out what has waited long enough for earlier ones; returns how many were read.
    fn batch(&mut self, live: &mut dyn Live, limit: usize) -> usize {
        let Some(ring) = &mut self.ring else {
            return 0;
        };
        let started = now();
        let (events, order) = (&mut self.events, &mut self.order);
        let (plan, start) = (self.plan, &mut self.start);
        let bytes = &mut self.bytes;
        let mut take = |record: &[u8]| {
            *bytes += record.len() as u64 + RECORD_HEADER;
            let time = events.time(record, || {
                *start.get_or_insert_with(|| read_start(plan, live))
            });
            if time.is_none() && order.is_empty() {
                events.record(record, live);
            } else {
                order.hold(record, time);
            }
        };
        let mut count = 0;
        while count < limit && ring.next_record(&mut take) {
            count += 1;
        }
        // Whoever has not read everything has seen all that was reserved before the last record, and not what was until now.
        let read = match count < limit {
            true => started,
            false => started.min(order.latest()),
        };
        order.release(read, |record| events.record(record, live));
        self.active |= count > 0;
        count
    }

    fn release_all(&mut self, live: &mut dyn Live) {
        let events = &mut self.events;
        self.order.release_all(|record| events.record(record, live));
    }

    fn flush(&mut self) {
        let written = self.events.sink.flush();
        self.look_at(written);
    }

    fn finished(&mut self) {
        let written = self.events.sink.finish();
        self.look_at(written);
    }

    /// Output that is not taken any more ends the run. A reader that has gone away knows that itself, and so does who insists on an
    /// end; anything else is told.
    fn look_at(&mut self, written: io::Result<()>) {
        let Err(error) = written else {
            return;
        };
        if !self.closed && is_host_problem(&error) {
            self.unwritten = true;
            let message = format!("cannot write the output: {error}");
            let mut diag = Diagnostic::host(codes::FILE_ERROR, message);
            if error.kind() == io::ErrorKind::StorageFull {
                diag = diag.help("make room, or write elsewhere with `-o FILE`");
            }
            self.events.sink.problem(&diag.note("tracing ends here"));
        }
        self.closed = true;
    }

    fn fire(&mut self, timers: &[Timer], number: u64, live: &mut dyn Live) {
        let timer = usize::try_from(number).ok().and_then(|i| timers.get(i));
        let Some(timer) = timer else {
            return;
        };
        let Some(target) = timer.target(self.plan) else {
            return;
        };
        for _ in 0..timer.expirations() {
            if let Err(problem) = live.fire(timer.program, target) {
                self.events.sink.problem(&problem);
                // Told once: it would fail each time.
                timer.stop();
                return;
            }
        }
    }

    fn look_for_losses(&mut self, live: &mut dyn Live) {
        if self.active && self.losses_seen.elapsed() >= LOSS_INTERVAL {
            self.update_losses(live);
        }
    }

    fn update_losses(&mut self, live: &mut dyn Live) {
        self.active = false;
        self.losses_seen = Instant::now();
        let Some((control, map)) = self
            .plan
            .control
            .and_then(|id| Some((id, self.plan.maps.get(id)?)))
        else {
            return;
        };
        match live.entries(control) {
            Ok(entries) => {
                let stride = (map.value_size as usize).next_multiple_of(8);
                let lost = self.losses.update(&entries.values, stride);
                self.events.sink.lost(&lost);
            }
            Err(problem) => self.events.sink.problem(&problem),
        }
    }

    fn finish(&mut self, live: &mut dyn Live, signals: &Signals) -> i32 {
        let missed = live.missed();
        live.silence();
        // After `exit()` this takes the records and drops them.
        self.drain_until_forced(live, signals);
        let code = self.events.take_exit();
        self.events.let_go();
        let ended = live.run_end();
        self.events.told(ended);
        self.drain_until_forced(live, signals);
        let code = code.or(self.events.take_exit());
        self.events.let_go();
        self.update_losses(live);
        self.flush();
        if !self.closed && !signals.forced() {
            self.events.sink.end();
            if self.plan.settings.print_maps_on_exit {
                self.print_maps(live, signals);
            }
            self.flush();
        }
        self.events.sink.ledger(&self.losses.ledger(&missed));
        self.finished();
        let before = signals.stops();
        live.detach(&|| signals.stops() > before);
        if self.unwritten {
            return FAILED;
        }
        code.unwrap_or(0)
    }

    fn drain_until_forced(&mut self, live: &mut dyn Live, signals: &Signals) {
        while !signals.forced() && !self.closed && self.batch(live, BATCH) > 0 {
            self.flush();
        }
        self.release_all(live);
    }

    /// All maps of the script, by name.
    fn print_maps(&mut self, live: &mut dyn Live, signals: &Signals) {
        let plan = self.plan;
        let name = |id: &MapId| {
            let script = plan.maps.get(*id).and_then(|map| map.script.as_ref());
            script.map(|script| script.name.as_str())
        };
        let mut maps: Vec<MapId> = wire::script_maps(plan).collect();
        maps.sort_by_key(name);
        for map in maps {
            if signals.forced() {
                return;
            }
            self.events.print_map(map, 0, 0, live);
        }
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`; the clock that events tell.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    now.map_or(u64::MAX, |now| {
        u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX)
    })
}

/// What `elapsed` counts from.
pub(crate) fn read_start(plan: &Plan, live: &mut dyn Live) -> u64 {
    let control = plan.control.and_then(|id| live.entries(id).ok());
    let start = control.and_then(|c| native(c.values.get(CONTROL_START as usize..)?).ok());
    start.unwrap_or(0)
}

fn is_host_problem(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::BrokenPipe && error.raw_os_error().is_some()
}

/// Waits; a signal's interruption is no event.
pub(crate) fn wait<'e>(
    epoll: &Epoll,
    ready: &'e mut [EpollEvent],
    timeout: EpollTimeout,
) -> Result<&'e [EpollEvent], Diagnostic> {
    match epoll.wait(ready, timeout) {
        Ok(count) => Ok(ready.get(..count).unwrap_or_default()),
        Err(Errno::EINTR) => Ok(&[]),
        Err(errno) => Err(refused("epoll_wait", errno)),
    }
}

pub(crate) fn refused(what: &str, errno: Errno) -> Diagnostic {
    Diagnostic::host(
        codes::KERNEL_REFUSED,
        format!("{what} failed: {}", errno.desc()),
    )
}

/// Rounded up: one too early would find nothing to do.
pub(crate) fn milliseconds(time: Duration) -> EpollTimeout {
    EpollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO)
}

#[cfg(test)]
mod tests;
