//! The one seam for raw `bpf(2)` and `perf_event_open(2)` beside aya.
//!
//! In: file descriptors and plain data. Out: owned file descriptors, bytes, or a [`SysError`] that names the call. Every descriptor is
//! close-on-exec and closed when dropped. What an error means to a user is not decided here.

pub(crate) mod btf;
pub(crate) mod info;
pub(crate) mod link;
pub(crate) mod map;
pub(crate) mod perf;
pub(crate) mod process;
pub(crate) mod prog;
pub(crate) mod rcu;
pub(crate) mod undo;

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};

/// A system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {io_error}")]
pub struct SysError {
    /// The call as the manual names it: `BPF_PROG_LOAD`, `perf_event_open`.
    pub call: &'static str,
    /// Why.
    pub io_error: io::Error,
}

impl SysError {
    pub(crate) fn last(call: &'static str) -> SysError {
        SysError {
            call,
            io_error: io::Error::last_os_error(),
        }
    }

    pub(crate) fn from_errno(call: &'static str, errno: i32) -> SysError {
        SysError {
            call,
            io_error: io::Error::from_raw_os_error(errno),
        }
    }

    /// The error number, 0 when there is none.
    pub(crate) fn errno(&self) -> i32 {
        self.io_error.raw_os_error().unwrap_or(0)
    }

    /// Whether this is one of the error numbers.
    pub(crate) fn is(&self, errnos: &[i32]) -> bool {
        errnos.contains(&self.errno())
    }
}

/// An attribute union with all bytes zero.
fn attr() -> bpf_attr {
    // SAFETY: a union of C structs of integers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// Calls `bpf(2)`; the result is what the command returns, not negative.
fn bpf(call: &'static str, cmd: bpf_cmd, attr: &mut bpf_attr) -> Result<i64, SysError> {
    #[cfg(test)]
    if let Some(errno) = faults::take(call) {
        return Err(SysError::from_errno(call, errno));
    }
    // SAFETY: the kernel reads and writes `attr` and what its fields point to; callers keep those alive for the call and give
    // their true sizes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            cmd as libc::c_int,
            std::ptr::from_mut(attr),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        Err(SysError::last(call))
    } else {
        Ok(result)
    }
}

/// Like [`bpf`] for commands that return a new descriptor.
fn bpf_fd(call: &'static str, cmd: bpf_cmd, attr: &mut bpf_attr) -> Result<OwnedFd, SysError> {
    let fd = bpf(call, cmd, attr)?;
    let fd = RawFd::try_from(fd).map_err(|_| SysError::from_errno(call, libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The address of bytes, as attributes hold it.
fn address<T>(data: &[T]) -> u64 {
    data.as_ptr() as u64
}

/// Likewise for bytes that the kernel writes.
fn address_mut<T>(data: &mut [T]) -> u64 {
    data.as_mut_ptr() as u64
}

/// A kernel object's name: at most 15 bytes of letters, digits, `_` and `.`.
fn object_name(name: &str) -> [libc::c_char; 16] {
    let mut out = [0; 16];
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
    for (to, from) in out.iter_mut().take(15).zip(name.bytes()) {
        *to = (if allowed(from) { from } else { b'_' }).cast_signed();
    }
    out
}

/// Makes calls fail in unit tests, so that paths that need a certain kernel can be tested on any.
#[cfg(test)]
pub(crate) mod faults {
    use std::cell::RefCell;

    thread_local! {
        static PLANNED: RefCell<Vec<(&'static str, i32)>> = const { RefCell::new(Vec::new()) };
    }

    /// The next such call of this thread fails with this error number.
    pub(crate) fn plan(call: &'static str, errno: i32) {
        PLANNED.with_borrow_mut(|p| p.push((call, errno)));
    }

    pub(super) fn take(call: &str) -> Option<i32> {
        PLANNED.with_borrow_mut(|planned| {
            let at = planned.iter().position(|(c, _)| *c == call)?;
            Some(planned.remove(at).1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call() {
        let error = SysError::from_errno("BPF_PROG_LOAD", libc::EPERM);
        assert_eq!(
            error.to_string(),
            "BPF_PROG_LOAD: Operation not permitted (os error 1)"
        );
        assert!(error.is(&[libc::EPERM]));
    }

    #[test]
    fn object_names_are_what_the_kernel_accepts() {
        let text = |name: &str| -> String {
            object_name(name)
                .iter()
                .take_while(|b| **b != 0)
                .map(|b| char::from(b.cast_unsigned()))
                .collect()
        };
        assert_eq!(text("kprobe_nf_ct_delete"), "kprobe_nf_ct_de");
        assert_eq!(text("a b"), "a_b");
    }
}
