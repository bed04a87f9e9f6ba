//! The control map, mapped into our memory: the flag that lets programs record, and the time of the start.
//!
//! In: the map's descriptor. Out: words that programs read. Loss counters in the same map are read like any map's entries;
//! writing the flag through the system call would overwrite them.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nettrace_compiler::artifact::{CONTROL_ENABLED, CONTROL_START};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::sys::SysError;

/// `BPF_F_MMAPABLE`, which the map must have.
pub(crate) const MMAPABLE: u32 = 1 << 10;

/// The mapped value.
#[derive(Debug)]
pub(crate) struct Control {
    start: NonNull<libc::c_void>,
    len: NonZeroUsize,
}

impl Control {
    /// Maps the value of `size` bytes.
    pub(crate) fn map(fd: BorrowedFd<'_>, size: u32) -> Result<Control, SysError> {
        let words = (size as usize).max(CONTROL_START as usize + 8);
        let len = NonZeroUsize::new(words.next_multiple_of(page_size()))
            .ok_or_else(|| SysError::from_errno("mmap", libc::EINVAL))?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no other memory.
        let start = unsafe {
            mmap(
                None,
                len,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                fd,
                0,
            )
        }
        .map_err(|errno| SysError::from_errno("mmap", errno as i32))?;
        Ok(Control { start, len })
    }

    /// Lets programs record, or stops them.
    pub(crate) fn enable(&self, on: bool) {
        self.store(CONTROL_ENABLED, u64::from(on));
    }

    /// Tells from when on `elapsed` counts: now.
    pub(crate) fn start(&self) {
        if let Ok(now) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) {
            let nanoseconds = Duration::from(now).as_nanos();
            self.start_at(u64::try_from(nanoseconds).unwrap_or(0));
        }
    }

    /// Tells from when on `elapsed` counts, nanoseconds of `CLOCK_BOOTTIME`.
    pub(crate) fn start_at(&self, nanoseconds: u64) {
        self.store(CONTROL_START, nanoseconds);
    }

    fn store(&self, offset: u32, value: u64) {
        debug_assert!(offset as usize + 8 <= self.len.get());
        // SAFETY: `map` made the mapping at least as long as both words, and page-aligned; the kernel's side only ever reads and
        // writes whole words.
        let word = unsafe {
            self.start
                .byte_add(offset as usize)
                .cast::<AtomicU64>()
                .as_ref()
        };
        word.store(value, Ordering::SeqCst);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made; no reference into it outlives `self`.
        let _ = unsafe { munmap(self.start, self.len.get()) };
    }
}

/// Bytes of a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: takes no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096).max(1)
}
