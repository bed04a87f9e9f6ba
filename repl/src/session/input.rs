//! Entries from something that is no terminal: a file, a pipe.
//!
//! In: standard input. Out: one entry after the other, each as many lines as its brackets need. Ends at the end of the input or when a
//! signal comes.

use std::io;
use std::os::fd::AsFd as _;

use nettrace_runtime::signals::Signals;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::entry;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// An entry.
    Entry(String),
    /// Ctrl-C: the line is thrown away.
    Cleared,
    /// No more entries.
    End,
}

/// Lines of standard input.
pub(crate) struct Lines<'s> {
    signals: &'s Signals,
    bytes: Vec<u8>,
    ended: bool,
}

impl<'s> Lines<'s> {
    pub(crate) fn new(signals: &'s Signals) -> Lines<'s> {
        Lines {
            signals,
            bytes: Vec::new(),
            ended: false,
        }
    }

    /// The next entry.
    pub(crate) fn next(&mut self) -> Read {
        let mut entry = String::new();
        loop {
            let Some(line) = self.line() else {
                return match entry.trim().is_empty() || self.signals.stop_requested() {
                    true => Read::End,
                    false => Read::Entry(entry),
                };
            };
            // A command ends an entry that is not finished; so does an empty line.
            if line.starts_with(':') && !entry.is_empty() {
                self.bytes.splice(..0, line.into_bytes());
                return Read::Entry(entry);
            }
            let gives_up = line.trim().is_empty() && !entry.is_empty();
            entry.push_str(&line);
            if gives_up || !entry::is_unfinished(&entry) {
                return Read::Entry(entry);
            }
        }
    }

    /// The next line with its line break.
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if self.ended {
                let rest = std::mem::take(&mut self.bytes);
                return (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned());
            }
            if !self.fill() {
                self.ended = true;
            }
        }
    }

    /// Waits for more; false at the end or when a signal has come.
    fn fill(&mut self) -> bool {
        let stdin = io::stdin();
        loop {
            let mut fds = [
                PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(_) => return false,
                Ok(_) => {}
            }
            if self.signals.stop_requested() {
                self.bytes.clear();
                return false;
            }
            let mut piece = [0u8; 4096];
            return match nix::unistd::read(stdin.as_fd(), &mut piece) {
                Ok(0) => false,
                Ok(n) => {
                    self.bytes.extend_from_slice(piece.get(..n).unwrap_or(&[]));
                    true
                }
                Err(Errno::EINTR | Errno::EAGAIN) => continue,
                Err(_) => false,
            };
        }
    }
}
