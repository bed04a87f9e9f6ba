//! Expedited RCU grace periods while many probes are detached.
//!
//! In: nothing. Out: a guard; while it lives `/sys/kernel/rcu_expedited` is 1. The kernel waits for two or three grace periods per
//! single probe, one after the other: 1,700 probes take a minute and more, and a fraction of that with this setting, which many
//! systems boot with (`rcupdate.rcu_expedited=1`). It costs interruptions of the other CPUs for that time.
//!
//! The setting is put back even if this process is killed. Several processes agree by locks on the file:
//! who finds it unlocked and 0 turns it on, the last one to hold a lock turns it off.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};

use nix::fcntl::{Flock, FlockArg};

use super::undo::{AtEnd, Undo};

const SETTING: &str = "/sys/kernel/rcu_expedited";
const ON: &[u8] = b"1\n";
const OFF: &[u8] = b"0\n";

/// Grace periods are expedited while this lives.
#[derive(Debug)]
pub(crate) struct Expedited(Option<Guard>);

#[derive(Debug)]
struct Guard {
    lock: Flock<File>,
    undo: Undo,
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
            guard.undo.leave();
        }
    }
}

impl Drop for Expedited {
    fn drop(&mut self) {
        if let Some(guard) = self.0.take() {
            // The child takes the lock that this process still shares with it.
            drop(guard.undo);
            drop(guard.lock);
        }
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
    (&*lock).write_all(ON).ok()?;
    // Others may join.
    let _ = lock.relock(FlockArg::LockSharedNonblock);
    Some(lock)
}

/// From here on it is put back at the end.
fn watched(lock: Flock<File>) -> Option<Guard> {
    match Undo::arm(&AtEnd::LastHolder(&lock, OFF)) {
        Some(undo) => Some(Guard { lock, undo }),
        None => {
            let _ = (&*lock).write_all(OFF);
            None
        }
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
