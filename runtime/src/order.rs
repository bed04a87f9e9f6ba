//! Events of several CPUs in the order of the times they tell.
//!
//! In: ring records in the order in which their room was reserved. That order is right for events of which one came after the
//! other; only events that happen at once on two CPUs may tell times that contradict it, because a script reads the clock a
//! moment before or after the reservation. Out: the same records; those that tell a time wait for [`WINDOW`], so that a record
//! with an earlier time can still pass them. Records without a time keep their place behind those that came before them.

use std::collections::VecDeque;
use std::time::Duration;

/// How long a record waits for earlier ones: longer than a program is interrupted between reading the clock and reserving, and
/// not noticed by who watches the output.
pub(crate) const WINDOW: Duration = Duration::from_millis(20);
/// A time so far ahead is none, and must not hold up the others.
const AHEAD: u64 = 1_000_000_000;
/// More records do not wait; the oldest go first.
const MAX_HELD: usize = 8 << 10;
/// Buffers of records that have gone are kept up to this size for those that come.
const MAX_SPARE: usize = 1 << 10;

/// Holds records back. Times are nanoseconds of `CLOCK_BOOTTIME`.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// By time; equal times as they came.
    held: VecDeque<Held>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Held {
    time: u64,
    record: Vec<u8>,
}

impl Order {
    /// Whether no record waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Keeps a copy of a record. Without a time it stays behind all that are here.
    pub(crate) fn hold(&mut self, record: &[u8], time: Option<u64>) {
        let latest = self.latest();
        let time = time.unwrap_or(latest);
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.extend_from_slice(record);
        let held = Held { time, record: copy };
        if time >= latest {
            self.held.push_back(held);
        } else {
            let place = self.held.partition_point(|other| other.time <= time);
            self.held.insert(place, held);
        }
    }

    /// The latest time that a record here tells.
    pub(crate) fn latest(&self) -> u64 {
        self.held.back().map_or(0, |held| held.time)
    }

    /// Hands out the records that have waited long enough, earliest first. `read` is a time up to which all records have been seen: the
    /// clock while a reader keeps up, the time of the last record while it lags behind.
    pub(crate) fn release(&mut self, read: u64, mut each: impl FnMut(&[u8])) {
        let due = read.saturating_sub(WINDOW.as_nanos() as u64);
        let is_ahead = |time: u64| time > read.saturating_add(AHEAD);
        while let Some(held) = self
            .held
            .pop_front_if(|held| held.time <= due || is_ahead(held.time))
        {
            each(&held.record);
            self.recycle(held.record);
        }
        while self.held.len() > MAX_HELD
            && let Some(held) = self.held.pop_front()
        {
            each(&held.record);
            self.recycle(held.record);
        }
    }

    /// Hands out all records.
    pub(crate) fn release_all(&mut self, mut each: impl FnMut(&[u8])) {
        for held in self.held.drain(..) {
            each(&held.record);
        }
    }

    /// How long until the next record has waited long enough; `None` if none waits.
    pub(crate) fn due_in(&self, now: u64) -> Option<Duration> {
        let first = self.held.front()?;
        let age = Duration::from_nanos(now.saturating_sub(first.time));
        Some(WINDOW.saturating_sub(age))
    }

    fn recycle(&mut self, mut record: Vec<u8>) {
        if record.capacity() <= MAX_SPARE && self.spare.len() < MAX_HELD {
            record.clear();
            self.spare.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Holds these, named by one byte, and returns the order in which they are handed out `later`.
    fn play(records: &[(u8, Option<u64>)], now: u64) -> (String, String) {
        let mut order = Order::default();
        for (name, time) in records {
            order.hold(&[*name], *time);
        }
        let (mut released, mut rest) = (String::new(), String::new());
        order.release(now, |record| released.push(char::from(record[0])));
        order.release_all(|record| rest.push(char::from(record[0])));
        assert!(order.is_empty());
        (released, rest)
    }

    fn text(released: &str, rest: &str) -> (String, String) {
        (released.to_string(), rest.to_string())
    }

    #[test]
    fn times_decide_inside_the_window() {
        let records = [
            (b'a', Some(100 * MS)),
            (b'c', Some(103 * MS)),
            (b'b', Some(102 * MS)),
            (b'd', Some(103 * MS)),
            (b'e', Some(119 * MS)),
        ];
        assert_eq!(play(&records, 119 * MS), text("", "abcde"));
        assert_eq!(play(&records, 122 * MS), text("ab", "cde"));
        assert_eq!(play(&records, 139 * MS), text("abcde", ""));
    }

    #[test]
    fn records_without_a_time_stay_behind_those_before_them() {
        let records = [
            (b'a', Some(100 * MS)),
            (b'-', None),
            (b'b', Some(101 * MS)),
            (b'=', None),
            // Passes b and what followed it.
            (b'A', Some(100 * MS)),
        ];
        assert_eq!(play(&records, 200 * MS), text("a-Ab=", ""));
    }

    #[test]
    fn a_time_that_has_not_come_holds_nothing_up() {
        let records = [(b'a', Some(u64::MAX)), (b'b', Some(5 * MS))];
        assert_eq!(play(&records, 10 * MS), text("", "ba"));
        assert_eq!(play(&records, 25 * MS), text("ba", ""));
        // Read while the clock went on.
        let just_now = [(b'a', Some(30 * MS)), (b'b', Some(5 * MS))];
        assert_eq!(play(&just_now, 29 * MS), text("b", "a"));
    }

    #[test]
    fn waiting_is_bounded() {
        let mut order = Order::default();
        let more = 10;
        for i in 0..MAX_HELD + more {
            order.hold(&(i as u64).to_ne_bytes(), Some(50 * MS));
        }
        let mut released = 0;
        order.release(50 * MS, |_| released += 1);
        assert_eq!(released, more);
        assert_eq!(
            order.due_in(51 * MS),
            Some(WINDOW - Duration::from_millis(1))
        );
        assert_eq!(order.due_in(500 * MS), Some(Duration::ZERO));
        assert_eq!(Order::default().due_in(0), None);
    }
}
