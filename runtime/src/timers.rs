//! Clocks of `interval` targets.
//!
//! In: a plan. Out: a descriptor for each target, readable when its program is due. Who waits for them runs the programs.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nettrace_compiler::artifact::{Attach, Plan, ProgramId, Target};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

/// A timer that is late runs its program once for each missed period, but not more often than this.
const MAX_CATCH_UP: u64 = 1000;

/// The clock of one target.
#[derive(Debug)]
pub(crate) struct Timer {
    pub(crate) program: ProgramId,
    /// The target among those of the program.
    target: usize,
    clock: TimerFd,
}

impl Timer {
    /// How many periods have passed since the last time.
    pub(crate) fn expirations(&self) -> u64 {
        let mut count = [0u8; 8];
        match nix::unistd::read(&self.clock, &mut count) {
            Ok(8) => u64::from_ne_bytes(count).min(MAX_CATCH_UP),
            _ => 0,
        }
    }

    /// What the program is run for.
    pub(crate) fn target<'p>(&self, plan: &'p Plan) -> Option<&'p Target> {
        plan.programs.get(self.program)?.targets.get(self.target)
    }

    /// Never due again.
    pub(crate) fn stop(&self) {
        let _ = self.clock.unset();
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.clock.as_fd()
    }
}

/// Starts the clocks of the programs that `which` names.
pub(crate) fn start(plan: &Plan, which: &dyn Fn(ProgramId) -> bool) -> nix::Result<Vec<Timer>> {
    let mut timers = Vec::new();
    let programs = plan.programs.iter_enumerated();
    for (program, description) in programs.filter(|(program, _)| which(*program)) {
        for (target, named) in description.targets.iter().enumerate() {
            if let Attach::Interval { period } = named.attach {
                let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
                let clock = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
                let period = TimeSpec::from_duration(Duration::from_nanos(period.max(1)));
                clock.set(Expiration::Interval(period), TimerSetTimeFlags::empty())?;
                timers.push(Timer {
                    program,
                    target,
                    clock,
                });
            }
        }
    }
    Ok(timers)
}
