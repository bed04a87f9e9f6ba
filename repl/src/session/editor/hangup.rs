//! Signals that end a session while somebody types: the terminal is put back as it was, and everything is detached.
//!
//! SIGTERM and SIGHUP are blocked and read here, in a thread of their own, as the editor waits for keys only. The process exits: the
//! kernel detaches what its descriptors held.

use std::io;
use std::process;
use std::thread;

use nettrace_runtime::signals;
use nix::sys::signal::Signal;
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// From now on SIGTERM and SIGHUP end the session in good order. To be called before any other thread starts.
pub(crate) fn watch() -> io::Result<()> {
    let terminal = tcgetattr(io::stdin()).ok();
    let ends = signals::blocking(&[Signal::SIGTERM, Signal::SIGHUP])?;
    let wait = move || {
        if ends.read_signal().is_ok() {
            put_back(terminal.as_ref());
            process::exit(0);
        }
    };
    thread::Builder::new()
        .name("hangup".to_string())
        .spawn(wait)
        .map(|_| ())
}

fn put_back(terminal: Option<&Termios>) {
    if let Some(before) = terminal {
        // The terminal may be gone, which is why we end.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        let _ = nix::unistd::write(io::stdout(), b"\r\n");
    }
}
