//! When to read the ring: at once on a quiet system, every few milliseconds on a busy one.
//!
//! The kernel wakes a reader that has read everything with an interrupt, in the middle of what is traced, and the reader then finds
//! a record or two. A reader that lets records gather is woken by nobody (only the record behind the last one that was read
//! does that) and writes them all at once.

use std::time::{Duration, Instant};

/// How long the reader lets records gather. The ring holds many times what comes meanwhile, and nobody sees the delay.
pub(super) const NAP: Duration = Duration::from_millis(4);
/// How often the pace is judged.
const PERIOD: Duration = Duration::from_millis(10);
/// As many records in a period are a busy system.
const MANY: usize = 100;

/// Judges how busy the system is.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    records: usize,
    busy: bool,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace {
            since: now,
            records: 0,
            busy: false,
        }
    }

    /// So many records were read; says whether to let the next ones gather for [`NAP`].
    pub(super) fn read(&mut self, records: usize, now: Instant) -> bool {
        self.records += records;
        let passed = now.saturating_duration_since(self.since);
        if passed >= PERIOD {
            let periods = passed.as_secs_f64() / PERIOD.as_secs_f64();
            self.busy = self.records as f64 >= MANY as f64 * periods;
            self.since = now;
            self.records = 0;
        }
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_system_is_read_less_often() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        assert!(!pace.read(1, at(1)), "the first record is printed at once");
        assert!(!pace.read(500, at(2)), "so is a short burst");
        assert!(pace.read(500, at(11)));
        assert!(pace.read(1, at(15)), "judged again after a period only");
        assert!(!pace.read(1, at(22)));
        assert!(!pace.read(150, at(10_000)), "a burst after a long time");
    }
}
