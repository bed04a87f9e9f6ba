//! A child process that lives to close descriptors, and grace periods without waiting for programs.
//!
//! In: descriptors. Out: nothing to wait for. The child runs none of our code but a few system calls.

use std::os::fd::{AsRawFd as _, OwnedFd};

/// Lets a child close these, which may take the kernel long; this process holds them no more when it returns. If there can be no
/// child they are closed here.
pub(crate) fn close_in_background(fds: Vec<OwnedFd>) {
    let Ok((wait, go)) = std::io::pipe() else {
        return;
    };
    // SAFETY: other threads may hold locks, so the child makes system calls only: it neither allocates nor returns.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain system calls on descriptors of this process, with a buffer that lives long enough.
        unsafe {
            // Signals of the terminal and its closing are not for this one.
            libc::setsid();
            libc::close(go.as_raw_fd());
            for standard in 0..3 {
                libc::close(standard);
            }
            // Until the parent has let go: whoever is the last to close one waits for the kernel.
            let mut byte = 0u8;
            libc::read(wait.as_raw_fd(), std::ptr::from_mut(&mut byte).cast(), 1);
            libc::_exit(0);
        }
    }
    drop(fds);
    drop(go);
}

/// Waits until every BPF program that was running has ended.
pub(crate) fn wait_for_programs() {
    /// `MEMBARRIER_CMD_GLOBAL`: an RCU grace period.
    const GLOBAL: libc::c_int = 1;
    // SAFETY: takes no pointers. Kernels that cannot do it return an error, and the wait is left out.
    unsafe {
        libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0);
    }
}
