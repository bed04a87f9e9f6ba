//! The same action on many targets, side by side, until told to stop; progress is shown.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::Site;

/// Up to this many are done one after the other.
const FEW: usize = 8;
/// Attaching waits for the kernel rather than for a CPU.
const THREADS: usize = 8;
/// How often `stop` is asked.
const PATIENCE: Duration = Duration::from_millis(10);

/// Calls `action` for every item; results in the order of the items, `None` for those not begun when `stop` said so.
pub(super) fn each<T: Sync, R: Send>(
    items: &[T],
    site: &Site<'_>,
    action: impl Fn(&T) -> R + Sync,
) -> Vec<Option<R>> {
    if items.len() <= FEW {
        return items
            .iter()
            .map(|item| (!(site.stop)()).then(|| action(item)))
            .inspect(|_| site.progress.advance(1))
            .collect();
    }
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let next = AtomicUsize::new(0);
    let cancelled = AtomicBool::new(false);
    let (sender, receiver) = channel();
    let work = || {
        let sender = sender.clone();
        while !cancelled.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return;
            };
            if sender.send((index, action(item))).is_err() {
                return;
            }
        }
    };
    let mut done = 0;
    thread::scope(|scope| {
        let started = (0..THREADS)
            .filter(|_| thread::Builder::new().spawn_scoped(scope, work).is_ok())
            .count();
        if started == 0 {
            work();
        }
        while done < items.len() {
            match receiver.recv_timeout(PATIENCE) {
                Ok((index, result)) => {
                    done += 1;
                    site.progress.advance(1);
                    if let Some(slot) = results.get_mut(index) {
                        *slot = Some(result);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => site.progress.look(),
            }
            if (site.stop)() {
                cancelled.store(true, Ordering::Relaxed);
                break;
            }
        }
    });
    // What was under way when `stop` said so.
    for (index, result) in receiver.try_iter() {
        if let Some(slot) = results.get_mut(index) {
            *slot = Some(result);
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::{Progress, Stop};
    use crate::testing::NoFunctions;

    fn site<'a>(stop: Stop<'a>, progress: &'a Progress) -> Site<'a> {
        Site {
            functions: &NoFunctions,
            stop,
            progress,
        }
    }

    #[test]
    fn results_come_in_order() {
        for count in [0, 3, 100u32] {
            let items: Vec<u32> = (0..count).collect();
            let results = each(&items, &site(&|| false, &Progress::hidden()), |n| n * 2);
            let wanted: Vec<Option<u32>> = items.iter().map(|n| Some(n * 2)).collect();
            assert_eq!(results, wanted);
        }
    }

    #[test]
    fn stopping_leaves_the_rest_undone() {
        let items = [0u32; 1000];
        let begun = AtomicUsize::new(0);
        let stop = || begun.load(Ordering::Relaxed) >= 20;
        let results = each(&items, &site(&stop, &Progress::hidden()), |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        });
        let done = results.iter().flatten().count();
        assert_eq!(done, begun.load(Ordering::Relaxed), "nothing begun is lost");
        assert!((20..1000).contains(&done), "{done}");
    }
}
