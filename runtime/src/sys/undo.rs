//! Settings of the kernel that are put back even if this process is killed.
//!
//! In: what to do at the end. Out: a guard. A child waits for the guard's end or that of this process, does it and ends; it is
//! started before the settings are changed.

use std::ffi::CString;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, pipe};
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// A text that a file gets at the end. Opening it truncates it.
#[derive(Debug)]
pub(crate) struct Restore {
    path: CString,
    text: &'static [u8],
}

impl Restore {
    /// `None` for a path with a NUL.
    pub(crate) fn new(path: &Path, text: &'static [u8]) -> Option<Restore> {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
        Some(Restore { path, text })
    }

    /// System calls only: runs in a forked child.
    fn run(&self) {
        // SAFETY: a path that ends with NUL, a buffer with its length.
        unsafe {
            let flags = libc::O_WRONLY | libc::O_TRUNC | libc::O_CLOEXEC;
            let fd = libc::open(self.path.as_ptr(), flags);
            if fd >= 0 {
                if !self.text.is_empty() {
                    libc::write(fd, self.text.as_ptr().cast(), self.text.len());
                }
                libc::close(fd);
            }
        }
    }
}

/// What a child does at the end.
#[derive(Debug)]
pub(crate) enum AtEnd<'a> {
    /// Writes files, in order.
    Restore(&'a [Restore]),
    /// Writes `text` at the beginning of a file, if nobody else holds a lock on it.
    LastHolder(&'a File, &'static [u8]),
}

/// While this lives, nothing is put back.
#[derive(Debug)]
pub(crate) struct Undo {
    alive: Option<PipeWriter>,
    child: libc::pid_t,
}

impl Undo {
    /// Starts the child; `None` when that fails.
    pub(crate) fn arm(at_end: &AtEnd<'_>) -> Option<Undo> {
        let ((wait, alive), (mut ready, tell)) = (pipe().ok()?, pipe().ok()?);
        // SAFETY: other threads may hold locks, so the child makes system calls only: it neither allocates nor returns.
        let child = unsafe { libc::fork() };
        match child {
            0 => watch(at_end, &wait, &tell),
            1.. => {
                drop(tell);
                // Until the child has let go of our other descriptors: closing ours would not close them.
                let _ = ready.read(&mut [0]);
                Some(Undo {
                    alive: Some(alive),
                    child,
                })
            }
            _ => None,
        }
    }

    /// Leaves the child to itself: it works when those who have inherited descriptors of this process have ended, too.
    pub(crate) fn leave(mut self) {
        self.alive = None;
        std::mem::forget(self);
    }
}

impl Drop for Undo {
    /// Returns when everything is put back.
    fn drop(&mut self) {
        self.alive = None;
        // SAFETY: the child is ours; no status is asked for.
        unsafe {
            libc::waitpid(self.child, std::ptr::null_mut(), 0);
        }
    }
}

/// The child: waits for the end of its parent or of the guard, and does what is to be done.
fn watch(at_end: &AtEnd<'_>, wait: &PipeReader, tell: &PipeWriter) -> ! {
    const FIRST_OTHER: libc::c_uint = 3;
    let kept = match at_end {
        AtEnd::LastHolder(file, _) => file.as_raw_fd(),
        AtEnd::Restore(_) => wait.as_raw_fd(),
    };
    // SAFETY: plain system calls on descriptors of this process, with buffers that live long enough. The three that are needed take
    // the places of the standard ones; all were opened while those existed, so none is overwritten before it is copied.
    unsafe {
        libc::setsid();
        libc::dup2(kept, 0);
        libc::dup2(wait.as_raw_fd(), 1);
        libc::dup2(tell.as_raw_fd(), 2);
        libc::syscall(libc::SYS_close_range, FIRST_OTHER, libc::c_uint::MAX, 0);
        let mut byte = 0u8;
        libc::write(2, std::ptr::from_ref(&byte).cast(), 1);
        libc::close(2);
        libc::read(1, std::ptr::from_mut(&mut byte).cast(), 1);
    }
    match at_end {
        AtEnd::Restore(files) => files.iter().for_each(Restore::run),
        AtEnd::LastHolder(_, text) => {
            // SAFETY: as above.
            unsafe {
                if libc::flock(0, libc::LOCK_EX | libc::LOCK_NB) == 0 {
                    libc::pwrite(0, text.as_ptr().cast(), text.len(), 0);
                }
            }
        }
    }
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_back_when_the_guard_ends() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("setting");
        std::fs::write(&path, "before\n")?;
        let restore = [Restore::new(&path, b"before\n")].map(|r| r.expect("a path"));
        let undo = Undo::arm(&AtEnd::Restore(&restore)).expect("a child");
        std::fs::write(&path, "changed for a while\n")?;
        drop(undo);
        assert_eq!(std::fs::read_to_string(&path)?, "before\n");
        Ok(())
    }
}
