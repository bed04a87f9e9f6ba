//! Signals as something to ask and to wait for, instead of handlers.
//!
//! [`Signals::block`] is called first thing in `main`, before any thread starts. From then on SIGINT and SIGTERM ask for an
//! orderly end (a second one for a prompt end), SIGUSR1 for a dump of all maps; nothing is ever interrupted half-way.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The blocked signals.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
    stops: Cell<u32>,
    dump: Cell<bool>,
}

impl Signals {
    /// Blocks the signals in this thread and the ones it starts later.
    pub fn block() -> io::Result<Signals> {
        Signals::of(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1])
    }

    /// The same for other signals.
    pub fn of(signals: &[Signal]) -> io::Result<Signals> {
        let set = block(signals)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals {
            fd,
            stops: Cell::new(0),
            dump: Cell::new(false),
        })
    }

    /// Whether the run shall end. Cheap enough to ask between any two probes while attaching.
    pub fn stop_requested(&self) -> bool {
        self.collect();
        self.stops.get() > 0
    }

    /// Whether the end shall come at once.
    pub fn forced(&self) -> bool {
        self.collect();
        self.stops.get() > 1
    }

    /// How many signals have asked for the end so far.
    pub fn stops(&self) -> u32 {
        self.collect();
        self.stops.get()
    }

    /// Whether SIGUSR1 came since the last time, as far as [`Signals::stop_requested`] has seen.
    pub fn take_dump_request(&self) -> bool {
        self.dump.replace(false)
    }

    fn collect(&self) {
        // Not readable means no signal; there is no other error on a valid descriptor.
        while let Ok(Some(info)) = self.fd.read_signal() {
            if info.ssi_signo == Signal::SIGUSR1 as u32 {
                self.dump.set(true);
            } else {
                self.stops.set(self.stops.get().saturating_add(1));
            }
        }
    }
}

/// Whether a signal that asks for the end waits to be collected, without taking it: for work that knows no [`Signals`].
pub(crate) fn pending() -> bool {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: the set is written by the call, and read only if that succeeded.
    unsafe {
        libc::sigpending(set.as_mut_ptr()) == 0
            && [libc::SIGINT, libc::SIGTERM]
                .iter()
                .any(|signal| libc::sigismember(set.as_ptr(), *signal) == 1)
    }
}

fn block(signals: &[Signal]) -> io::Result<SigSet> {
    let mut set = SigSet::empty();
    signals.iter().for_each(|signal| set.add(*signal));
    set.thread_block()?;
    Ok(set)
}

/// Blocks signals in this thread and the ones it starts later; reading the descriptor waits for one of them.
pub fn blocking(signals: &[Signal]) -> io::Result<SignalFd> {
    let set = block(signals)?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?)
}

impl AsFd for Signals {
    /// Readable when a signal has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
