//! What the kernel tells about programs, links and maps: hits that did not come through, sizes.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{
    bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_info, bpf_prog_info, bpf_stats_type,
};

use super::{SysError, attr, bpf, bpf_fd};

/// Hits of a program that the kernel left out because another program was running on the same CPU; 0 where the kernel does not
/// count them (kprobes before 6.7).
pub(crate) fn recursion_misses(program: BorrowedFd<'_>) -> u64 {
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    match read(program, &mut info) {
        Some(()) => info.recursion_misses,
        None => 0,
    }
}

/// How many entries a map has room for; bytes of a ring buffer.
pub(crate) fn max_entries(map: BorrowedFd<'_>) -> Result<u32, SysError> {
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut info: bpf_map_info = unsafe { std::mem::zeroed() };
    match read(map, &mut info) {
        Some(()) => Ok(info.max_entries),
        None => Err(SysError::last("BPF_OBJ_GET_INFO_BY_FD")),
    }
}

/// How often a program ran and how many nanoseconds that took in total, while [`count_runs`] was in force.
pub(crate) fn run_counts(program: BorrowedFd<'_>) -> (u64, u64) {
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    match read(program, &mut info) {
        Some(()) => (info.run_cnt, info.run_time_ns),
        None => (0, 0),
    }
}

/// Has the kernel count the runs of all programs until the descriptor is closed (5.8).
pub(crate) fn count_runs() -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.enable_stats.type_ = bpf_stats_type::BPF_STATS_RUN_TIME as u32;
    bpf_fd("BPF_ENABLE_STATS", bpf_cmd::BPF_ENABLE_STATS, &mut attr)
}

/// Hits that did not reach the program of a kprobe or kprobe-multi link, because a probe was hit while another one was handled; 0
/// where the kernel does not count them (before 6.7).
pub(crate) fn link_misses(link: BorrowedFd<'_>) -> u64 {
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    if read(link, &mut info).is_none() {
        return 0;
    }
    const MULTI: u32 = bpf_link_type::BPF_LINK_TYPE_KPROBE_MULTI as u32;
    const PERF: u32 = bpf_link_type::BPF_LINK_TYPE_PERF_EVENT as u32;
    /// `BPF_PERF_EVENT_KPROBE`, `BPF_PERF_EVENT_KRETPROBE`.
    const KPROBES: [u32; 2] = [3, 4];
    // SAFETY: the kernel fills in the member that belongs to the type; what it does not know stays zero.
    unsafe {
        match info.type_ {
            MULTI => info.__bindgen_anon_1.kprobe_multi.missed,
            PERF if KPROBES.contains(&info.__bindgen_anon_1.perf_event.type_) => {
                info.__bindgen_anon_1
                    .perf_event
                    .__bindgen_anon_1
                    .kprobe
                    .missed
            }
            _ => 0,
        }
    }
}

/// Fills in as much of the struct as the kernel knows.
fn read<T>(object: BorrowedFd<'_>, info: &mut T) -> Option<()> {
    let mut attr = attr();
    attr.info.bpf_fd = object.as_raw_fd().cast_unsigned();
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = std::ptr::from_mut(info) as u64;
    bpf(
        "BPF_OBJ_GET_INFO_BY_FD",
        bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
        &mut attr,
    )
    .ok()
    .map(|_| ())
}
