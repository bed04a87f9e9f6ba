//! One script among several that run side by side.
//!
//! In: a loaded script. Out: what is known of each of its programs while it runs. Who reads the ring and waits is [`super::Units`].

use std::collections::HashSet;
use std::rc::Rc;

use nettrace_compiler::artifact::{Plan, ProgramId};
use nettrace_compiler::index::Id as _;
use nettrace_grammar::Diagnostic;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::live::Live as _;
use crate::load::Loaded;
use crate::loss::Losses;
use crate::output::{Labels, Lost};
use crate::run::refused;
use crate::timers::{self, Timer};

/// A script in the kernel with all that belongs to it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) plan: Rc<Plan>,
    pub(super) loaded: Loaded,
    pub(super) labels: Rc<Labels>,
    pub(super) losses: Losses,
    pub(super) timers: Vec<(u64, Timer)>,
    /// Programs that are attached, timers and `end` among them.
    pub(super) running: HashSet<ProgramId>,
    /// Programs whose events nobody wants to see.
    pub(super) muted: HashSet<ProgramId>,
    /// Events that each program has sent.
    sent: Vec<u64>,
    /// What `elapsed` counts from, once it was needed.
    pub(super) start: Option<u64>,
}

impl Unit {
    pub(super) fn new(loaded: Loaded) -> Unit {
        let plan = Rc::new(loaded.plan().clone());
        Unit {
            labels: Rc::new(Labels::new(&plan)),
            losses: Losses::new(&plan),
            timers: Vec::new(),
            running: HashSet::new(),
            muted: HashSet::new(),
            sent: vec![0; plan.programs.len()],
            start: None,
            loaded,
            plan,
        }
    }

    /// A program has sent an event.
    pub(super) fn count(&mut self, program: ProgramId) {
        if let Some(sent) = self.sent.get_mut(program.index()) {
            *sent += 1;
        }
    }

    /// Starts the clocks of programs; their descriptors are reported as `first` and the numbers behind it.
    pub(super) fn start_timers(
        &mut self,
        which: &dyn Fn(ProgramId) -> bool,
        first: u64,
        epoll: &Epoll,
    ) -> Result<u64, Diagnostic> {
        let started = timers::start(&self.plan, which).map_err(|e| refused("timerfd", e))?;
        let mut next = first;
        for timer in started {
            let readable = EpollEvent::new(EpollFlags::EPOLLIN, next);
            epoll
                .add(&timer, readable)
                .map_err(|e| refused("epoll", e))?;
            self.timers.push((next, timer));
            next += 1;
        }
        Ok(next)
    }

    /// Reads the loss counters; gives what was lost since the last time.
    pub(super) fn look_for_losses(&mut self) -> Result<Vec<Lost>, Diagnostic> {
        let control = self.plan.control;
        let Some((id, map)) = control.and_then(|id| Some((id, self.plan.maps.get(id)?))) else {
            return Ok(Vec::new());
        };
        let entries = self.loaded.entries(id)?;
        let stride = (map.value_size as usize).next_multiple_of(8);
        Ok(self.losses.update(&entries.values, stride))
    }

    /// What is known of each program.
    pub(super) fn stats(&mut self, entry: u32) -> Vec<ProgramStats> {
        let missed = self.loaded.missed();
        let of = |(program, description): (ProgramId, &nettrace_compiler::artifact::Program)| {
            let (runs, nanoseconds) = self.loaded.run_counts(program);
            let missed = missed.iter().filter(|m| m.program == program);
            ProgramStats {
                entry,
                program,
                targets: description.targets.len(),
                running: self.running.contains(&program),
                muted: self.muted.contains(&program),
                runs,
                nanoseconds,
                events: self.sent.get(program.index()).copied().unwrap_or(0),
                lost: self.losses.of(program),
                missed: missed.map(|m| m.busy + m.nested).sum(),
            }
        };
        self.plan.programs.iter_enumerated().map(of).collect()
    }
}

/// What is known of a running program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramStats {
    /// Its script.
    pub entry: u32,
    /// The program in its plan.
    pub program: ProgramId,
    /// How many places it attaches to.
    pub targets: usize,
    /// Attached.
    pub running: bool,
    /// Its events are not printed.
    pub muted: bool,
    /// How often it ran while the kernel counted.
    pub runs: u64,
    /// How long that took, all runs together.
    pub nanoseconds: u64,
    /// Events that were received from it.
    pub events: u64,
    /// Events that did not fit into the ring.
    pub lost: u64,
    /// Hits at which the kernel did not run it.
    pub missed: u64,
}
