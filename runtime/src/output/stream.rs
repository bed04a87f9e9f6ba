//! Where output bytes go: standard output or a file, without ever getting stuck.
//!
//! SIGINT and SIGTERM are blocked (see [`crate::signals`]), so a plain `write` to a pipe that nobody empties could not be
//! interrupted. A [`Stream`] waits for room and for signals at once, and gives up after the second signal.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

use crate::signals::Signals;

/// A write of this size to a pipe with room does not block (PIPE_BUF).
const PIECE: usize = 4096;

/// What a sink writes to.
pub trait Output: Write {
    /// The descriptor whose reader may go away; the event loop watches it.
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Output for Vec<u8> {}

/// An open descriptor.
#[derive(Debug)]
pub struct Stream {
    fd: OwnedFd,
    /// Regular files always have room.
    is_file: bool,
    signals: Option<Rc<Signals>>,
}

impl Stream {
    /// Writes to this descriptor.
    pub fn new(fd: OwnedFd, signals: Option<Rc<Signals>>) -> Stream {
        let mode = fstat(&fd).map_or(0, |stat| stat.st_mode);
        let is_file = SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFREG;
        Stream {
            fd,
            is_file,
            signals,
        }
    }

    /// Writes to standard output.
    pub fn stdout(signals: Option<Rc<Signals>>) -> io::Result<Stream> {
        let fd = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Stream::new(fd, signals))
    }

    /// Waits until there is room; fails when the user insists on an end.
    fn wait(&self) -> io::Result<()> {
        loop {
            let mut fds = vec![PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
            fds.extend(
                self.signals
                    .iter()
                    .map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)),
            );
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            let ready = fds.first().and_then(PollFd::any).unwrap_or(false);
            if self
                .signals
                .as_ref()
                .is_some_and(|signals| signals.forced())
            {
                return Err(io::Error::other("interrupted twice"));
            }
            if ready {
                return Ok(());
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = if self.is_file {
            bytes
        } else {
            self.wait()?;
            &bytes[..bytes.len().min(PIECE)]
        };
        loop {
            match nix::unistd::write(&self.fd, piece) {
                Ok(written) => return Ok(written),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.wait()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Stream {
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}
