//! Closing many links at once.

use std::os::fd::OwnedFd;
use std::thread;

/// Up to this many are closed by this thread.
const FEW: usize = 1;
/// Closing waits for the kernel's grace periods rather than for a CPU, so there may be more threads than CPUs.
const THREADS: usize = 32;

/// Closes descriptors side by side.
pub(crate) fn close_all(mut fds: Vec<OwnedFd>) {
    if fds.len() <= FEW {
        return;
    }
    let share = fds.len().div_ceil(THREADS);
    thread::scope(|scope| {
        while !fds.is_empty() {
            let part = fds.split_off(fds.len().saturating_sub(share));
            let spawned = thread::Builder::new().spawn_scoped(scope, move || drop(part));
            // Without a new thread the part has been dropped with the closure: closed all the same.
            drop(spawned);
        }
    });
}
