//! Links: what keeps a program attached for as long as its descriptor is open.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd};

use super::{SysError, address, attr, bpf_fd};

/// `BPF_F_KPROBE_MULTI_RETURN`.
const MULTI_RETURN: u32 = 1;

/// Attaches a program to a perf event (kprobe, tracepoint).
pub(crate) fn perf_event(
    program: BorrowedFd<'_>,
    event: BorrowedFd<'_>,
    cookie: u64,
) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd().cast_unsigned();
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    attr.link_create.__bindgen_anon_3.perf_event.bpf_cookie = cookie;
    create(&mut attr)
}

/// Attaches a program to many functions at once; all or none. `cookies` is empty or as long as `symbols`.
pub(crate) fn kprobe_multi(
    program: BorrowedFd<'_>,
    symbols: &[CString],
    cookies: &[u64],
    on_return: bool,
) -> Result<OwnedFd, SysError> {
    let names: Vec<u64> = symbols.iter().map(|s| s.as_ptr() as u64).collect();
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32;
    let multi = aya_obj::generated::bpf_attr__bindgen_ty_14__bindgen_ty_3__bindgen_ty_3 {
        flags: if on_return { MULTI_RETURN } else { 0 },
        cnt: names.len() as u32,
        syms: address(&names),
        addrs: 0,
        cookies: if cookies.is_empty() {
            0
        } else {
            address(cookies)
        },
    };
    attr.link_create.__bindgen_anon_3.kprobe_multi = multi;
    create(&mut attr)
}

/// Attaches an fentry or fexit program to the function it was loaded for.
pub(crate) fn trampoline(
    program: BorrowedFd<'_>,
    attach_type: bpf_attach_type,
    cookie: u64,
) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.link_create.attach_type = attach_type as u32;
    attr.link_create.__bindgen_anon_3.tracing.cookie = cookie;
    match create(&mut attr) {
        // Links of this kind are made by another command before 5.19, and have no cookie there.
        Err(e) if e.is(&[libc::EINVAL]) && cookie == 0 => raw_tracepoint(program, None, 0),
        other => other,
    }
}

/// Attaches a program to a raw tracepoint.
pub(crate) fn raw_tracepoint(
    program: BorrowedFd<'_>,
    name: Option<&CStr>,
    cookie: u64,
) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.raw_tracepoint.name = name.map_or(0, |n| n.as_ptr() as u64);
    attr.raw_tracepoint.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.raw_tracepoint.cookie = cookie;
    bpf_fd(
        "BPF_RAW_TRACEPOINT_OPEN",
        bpf_cmd::BPF_RAW_TRACEPOINT_OPEN,
        &mut attr,
    )
}

fn create(attr: &mut aya_obj::generated::bpf_attr) -> Result<OwnedFd, SysError> {
    bpf_fd("BPF_LINK_CREATE", bpf_cmd::BPF_LINK_CREATE, attr)
}
