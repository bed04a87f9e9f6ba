//! When to read the ring: at once on a quiet system, every few milliseconds on a busy one.
//!
//! The kernel wakes a reader that has read everything with an interrupt, in the middle of what is traced, and the reader then finds
//! a record or two. A reader that lets records gather is woken by nobody (only the record behind the last one that was read
//! does that) and writes them all at once.

use std::time::{Duration, Instant};

/// The longest time that the reader lets records gather; nobody sees the delay.
const NAP: Duration = Duration::from_millis(4);
/// What may gather: this part of the ring's room.
const PART: u64 = 8;
/// How often the pace is judged.
const PERIOD: Duration = Duration::from_millis(10);
/// As many records in a period are a busy system.
const MANY: usize = 100;

/// Judges how busy the system is.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes of the ring.
    room: u64,
    since: Instant,
    records: usize,
    bytes: u64,
    /// How long to let records gather.
    nap: Duration,
}

impl Pace {
    /// For a ring with this much room.
    pub(crate) fn new(room: u64, now: Instant) -> Pace {
        Pace {
            room,
            since: now,
            records: 0,
            bytes: 0,
            nap: Duration::ZERO,
        }
    }

    /// So many records of so many bytes together were read; says how long to let the next ones gather.
    pub(crate) fn read(&mut self, records: usize, bytes: u64, now: Instant) -> Duration {
        self.records += records;
        self.bytes += bytes;
        let passed = now.saturating_duration_since(self.since);
        if passed >= PERIOD {
            let periods = passed.as_secs_f64() / PERIOD.as_secs_f64();
            let busy = self.records as f64 >= MANY as f64 * periods;
            self.nap = if busy {
                self.longest(passed)
            } else {
                Duration::ZERO
            };
            (self.since, self.records, self.bytes) = (now, 0, 0);
        }
        self.nap
    }

    /// How long until a part of the ring is full, in whole milliseconds, when bytes come as they did.
    fn longest(&self, passed: Duration) -> Duration {
        let bytes = u128::from(self.bytes.max(1));
        let fills = passed.as_millis() * u128::from(self.room / PART) / bytes;
        NAP.min(Duration::from_millis(
            u64::try_from(fills).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_system_is_read_less_often() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(1 << 20, start);
        let mut read = |records, ms| pace.read(records, records as u64 * 64, at(ms));
        assert_eq!(read(1, 1), Duration::ZERO, "the first record");
        assert_eq!(read(500, 2), Duration::ZERO, "a short burst");
        assert_eq!(read(500, 11), NAP);
        assert_eq!(read(1, 15), NAP, "judged again after a period only");
        assert_eq!(read(1, 22), Duration::ZERO);
        assert_eq!(read(150, 10_000), Duration::ZERO, "a burst after long");
    }

    #[test]
    fn the_ring_does_not_overflow_meanwhile() {
        let start = Instant::now();
        // 100 MB/s: an eighth of the ring is full after 1.3 ms.
        let nap = |room| {
            let later = start + Duration::from_millis(10);
            Pace::new(room, start).read(1000, 1 << 20, later)
        };
        assert_eq!(nap(1 << 20), Duration::from_millis(1));
        assert_eq!(nap(2 << 20), Duration::from_millis(2));
        assert_eq!(nap(64 << 20), NAP);
        assert_eq!(nap(0), Duration::ZERO);
    }
}
