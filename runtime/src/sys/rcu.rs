//! Expedited RCU grace periods while many probes are detached.
//!
//! In: nothing. Out: a guard; while it lives `/sys/kernel/rcu_expedited` is 1. The kernel waits for two or three grace periods per
//! single probe, one after the other: 1,700 probes take a minute and more, and a fraction of that with this setting, which many
//! systems boot with (`rcupdate.rcu_expedited=1`). It costs interruptions of the other CPUs for that time.
//!
//! The setting is put back even if this process is killed: a child waits for its end. Several processes agree by locks on the file:
//! who finds it unlocked and 0 turns it on, the last one to hold a lock turns it off.

use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::fd::AsRawFd as _;

use nix::fcntl::{Flock, FlockArg};

const SETTING: &str = "/sys/kernel/rcu_expedited";

/// Grace periods are expedited while this lives.
#[derive(Debug)]
pub(crate) struct Expedited(Option<Guard>);

#[derive(Debug)]
struct Guard {
    lock: Flock<File>,
    /// The child puts the setting back when all copies of this are closed.
    alive: PipeWriter,
    child: libc::pid_t,
}

/// Asks for expedited grace periods; the guard does nothing where they are on already or cannot be had.
pub(crate) fn expedite() -> Expedited {
    Expedited(turn_on().and_then(watched))
}

impl Expedited {
    /// Leaves it on until those who have inherited descriptors of this process have ended, too.
    pub(crate) fn leave(mut self) {
        if let Some(guard) = self.0.take() {
            // Dropping the lock would unlock it for the child.
            std::mem::forget(guard.lock);
        }
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        let Some(guard) = self.0.take() else {
            return;
        };
        drop(guard.alive);
        // SAFETY: the child is ours; no status is asked for.
        unsafe {
            libc::waitpid(guard.child, std::ptr::null_mut(), 0);
        }
        drop(guard.lock);
    }
}

/// `None` when it is on already, or cannot be turned on.
fn turn_on() -> Option<Flock<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(SETTING)
        .ok()?;
    let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        // Somebody has turned it on.
        Err((file, _)) => return Flock::lock(file, FlockArg::LockSharedNonblock).ok(),
    };
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    if text.trim() != "0" {
        return None;
    }
    set(&lock, "1\n").ok()?;
    // Others may join.
    let _ = lock.relock(FlockArg::LockSharedNonblock);
    Some(lock)
}

fn set(mut file: &File, value: &str) -> std::io::Result<()> {
    file.write_all(value.as_bytes())
}

/// Starts the child.
fn watched(lock: Flock<File>) -> Option<Guard> {
    let pipes = pipe().and_then(|alive| Ok((alive, pipe()?)));
    let Ok(((wait, alive), (mut ready, tell))) = pipes else {
        let _ = set(&lock, "0\n");
        return None;
    };
    // SAFETY: other threads may hold locks, so the child makes system calls only: it neither allocates nor returns.
    let child = unsafe { libc::fork() };
    match child {
        0 => restore(&lock, &wait, &tell),
        1.. => {
            drop(tell);
            // Until the child has let go of our other descriptors: closing ours would not close them.
            let _ = ready.read(&mut [0]);
            Some(Guard { lock, alive, child })
        }
        _ => {
            let _ = set(&lock, "0\n");
            None
        }
    }
}

/// The child: waits for the end of its parent or of the guard, and puts the setting back.
fn restore(lock: &File, wait: &PipeReader, tell: &PipeWriter) -> ! {
    const FIRST_OTHER: libc::c_uint = 3;
    // SAFETY: plain system calls on descriptors of this process, with buffers that live long enough. The three that are needed take
    // the places of the standard ones; all were opened while those existed, so none is overwritten before it is copied.
    unsafe {
        libc::setsid();
        libc::dup2(lock.as_raw_fd(), 0);
        libc::dup2(wait.as_raw_fd(), 1);
        libc::dup2(tell.as_raw_fd(), 2);
        libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, 0);
        let mut byte = 0u8;
        libc::write(2, std::ptr::from_ref(&byte).cast(), 1);
        libc::close(2);
        libc::read(1, std::ptr::from_mut(&mut byte).cast(), 1);
        if libc::flock(0, libc::LOCK_EX | libc::LOCK_NB) == 0 {
            libc::pwrite(0, c"0\n".as_ptr().cast(), 2, 0);
        }
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> Option<String> {
        let text = std::fs::read_to_string(SETTING).ok()?;
        Some(text.trim().to_owned())
    }

    #[test]
    fn it_is_put_back() {
        if setting().as_deref() != Some("0")
            || OpenOptions::new().write(true).open(SETTING).is_err()
        {
            eprintln!("skipped: needs root and a machine that does not expedite already");
            return;
        }
        let first = expedite();
        assert!(first.0.is_some());
        assert_eq!(setting().as_deref(), Some("1"));
        let second = expedite();
        drop(first);
        assert_eq!(setting().as_deref(), Some("1"), "somebody else needs it");
        drop(second);
        assert_eq!(setting().as_deref(), Some("0"));
    }
}
