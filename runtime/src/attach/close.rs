//! Closing many links.
//!
//! In: descriptors of links. Out: closed ones. A link to a single probe takes the kernel 90 ms (measured on 6.1), nearly all of it
//! spent waiting for grace periods: of tasks-trace RCU while it holds one lock (20 ms, whatever one does), of SRCU and RCU while it
//! holds another one, of RCU without a lock. Threads let the three overlap, and expedited grace periods make the latter two short
//! (see [`crate::sys::rcu`]): 24 ms are left. Who does not want to wait leaves the rest to the background.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Progress, Stop};
use crate::sys::{process, rcu};

/// Up to this many are closed by this thread.
const FEW: usize = 8;
/// From this many on the kernel is asked to hurry.
const MANY: usize = 64;
/// More of them only wait for the same locks.
const THREADS: usize = 16;
/// How often `stop` is asked.
const PATIENCE: Duration = Duration::from_millis(20);

/// Closes links side by side. Once `stop` says so, those that are left are closed in the background.
pub(crate) fn close_all(links: Vec<OwnedFd>, progress: &Progress, stop: Stop<'_>) {
    if links.len() <= FEW {
        progress.advance(links.len());
        return;
    }
    let hurry = (links.len() >= MANY).then(rcu::expedite);
    let total = links.len();
    let rest = Mutex::new(links);
    let cancelled = AtomicBool::new(false);
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let work = |done: Sender<()>| {
            while !cancelled.load(Ordering::Relaxed) {
                let link = rest.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(link) = link else {
                    return;
                };
                drop(link);
                let _ = done.send(());
            }
        };
        let started = (0..THREADS).filter(|_| {
            let done = sender.clone();
            thread::Builder::new()
                .spawn_scoped(scope, move || work(done))
                .is_ok()
        });
        // Without a thread they are closed when `rest` is dropped.
        if started.count() > 0 && !watch(&receiver, total, progress, stop) {
            cancelled.store(true, Ordering::Relaxed);
        }
    });
    let rest = rest.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !rest.is_empty() && stop() {
        process::close_in_background(rest);
        hurry.into_iter().for_each(rcu::Expedited::leave);
    }
}

/// Waits until all are closed; false when it is told to stop before.
fn watch(done: &Receiver<()>, total: usize, progress: &Progress, stop: Stop<'_>) -> bool {
    let mut closed = 0;
    while closed < total {
        match done.recv_timeout(PATIENCE) {
            Ok(()) => {
                closed += 1;
                progress.advance(1);
            }
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => progress.look(),
        }
        if stop() {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Instant;

    use super::*;

    /// Descriptors that tell the reader when the last one is closed.
    fn pipe_ends(count: usize) -> (std::io::PipeReader, Vec<OwnedFd>) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let ends = (0..count).map(|_| writer.try_clone().expect("a copy").into());
        (reader, ends.collect())
    }

    #[test]
    fn all_are_closed() {
        for count in [0, 3, 300] {
            let (mut reader, links) = pipe_ends(count);
            close_all(links, &Progress::hidden(), &|| false);
            assert_eq!(reader.read(&mut [0]).expect("the end"), 0);
        }
    }

    #[test]
    fn who_does_not_wait_gets_them_closed_all_the_same() {
        let (mut reader, links) = pipe_ends(300);
        close_all(links, &Progress::hidden(), &|| true);
        let begun = Instant::now();
        assert_eq!(reader.read(&mut [0]).expect("the end"), 0);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
