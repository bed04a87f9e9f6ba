//! A clock that is cheap to ask and some milliseconds behind: for the age of what every event looks up.
//!
//! It is `CLOCK_MONOTONIC_COARSE` of clock_gettime(2), the time of the kernel's last tick. The exact clock costs a system call, and in
//! virtual machines often an exit to the host, wherever the kernel's clock source is not the processor's own counter.

use std::ops::Add;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Coarse(Duration);

impl Coarse {
    /// The last tick.
    pub(crate) fn now() -> Coarse {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE);
        Coarse(now.map_or(Duration::ZERO, Duration::from))
    }

    /// How long ago this was.
    pub(crate) fn elapsed(self) -> Duration {
        Coarse::now().since(self)
    }

    /// How long after `earlier` this is; zero if it is not.
    pub(crate) fn since(self, earlier: Coarse) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// A moment before this one, for tests of what gets old.
    #[cfg(test)]
    pub(crate) fn before(self, time: Duration) -> Coarse {
        Coarse(self.0.saturating_sub(time))
    }
}

impl Add<Duration> for Coarse {
    type Output = Coarse;

    fn add(self, later: Duration) -> Coarse {
        Coarse(self.0.saturating_add(later))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_behind_the_exact_clock_but_not_far() {
        let begun = Coarse::now();
        std::thread::sleep(Duration::from_millis(50));
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_millis(30), "{passed:?}");
        assert_eq!(begun.since(Coarse::now()), Duration::ZERO);
    }
}
