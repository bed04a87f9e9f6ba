//! Perf events that programs hang on: tracepoints by their number, kprobes by the PMU of that name.

use std::ffi::CStr;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use aya_obj::generated::perf_event_attr;

use super::SysError;

/// `PERF_TYPE_TRACEPOINT`.
const TYPE_TRACEPOINT: u32 = 2;
/// `PERF_FLAG_FD_CLOEXEC`.
const CLOEXEC: libc::c_ulong = 8;

/// The kprobe PMU of this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KprobePmu {
    /// Value for `perf_event_attr.type`.
    pub(crate) kind: u32,
    /// Bit of `config` that asks for the function's return.
    pub(crate) return_bit: u32,
}

/// An event on a tracepoint.
pub(crate) fn tracepoint(id: u64) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.type_ = TYPE_TRACEPOINT;
    attr.config = id;
    open(&mut attr)
}

/// An event on a function's entry, an instruction in it, or its return.
pub(crate) fn kprobe(
    pmu: KprobePmu,
    function: &CStr,
    offset: u64,
    on_return: bool,
) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.type_ = pmu.kind;
    attr.config = u64::from(on_return) << pmu.return_bit;
    attr.__bindgen_anon_3.kprobe_func = function.as_ptr() as u64;
    attr.__bindgen_anon_4.probe_offset = offset;
    open(&mut attr)
}

fn attr() -> perf_event_attr {
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    // Every hit, not a sample of them.
    attr.__bindgen_anon_1.sample_period = 1;
    attr.__bindgen_anon_2.wakeup_events = 1;
    attr
}

fn open(attr: &mut perf_event_attr) -> Result<OwnedFd, SysError> {
    const CALL: &str = "perf_event_open";
    #[cfg(test)]
    if let Some(errno) = super::faults::take(CALL) {
        return Err(SysError::from_errno(CALL, errno));
    }
    // Any process, counted on CPU 0: programs on tracepoints and kprobes run on every CPU regardless.
    let (pid, cpu, group): (libc::pid_t, libc::c_int, libc::c_int) = (-1, 0, -1);
    // SAFETY: the kernel reads `attr` and the name it points to, which outlive the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_mut(attr),
            pid,
            cpu,
            group,
            CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(SysError::last(CALL));
    }
    let fd = RawFd::try_from(fd).map_err(|_| SysError::from_errno(CALL, libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
