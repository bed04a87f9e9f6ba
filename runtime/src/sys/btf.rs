//! BTF objects of the kernel: our own, and those of modules by name.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_btf_info, bpf_cmd};

use super::{SysError, address, address_mut, attr, bpf, bpf_fd};

/// Gives a `.BTF` section to the kernel.
pub(crate) fn load(section: &[u8]) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.__bindgen_anon_7.btf = address(section);
    attr.__bindgen_anon_7.btf_size = section.len() as u32;
    bpf_fd("BPF_BTF_LOAD", bpf_cmd::BPF_BTF_LOAD, &mut attr)
}

/// The BTF of a loaded module, `None` when there is none. Ids in split BTF go on after those of vmlinux.
pub(crate) fn of_module(name: &str) -> Result<Option<OwnedFd>, SysError> {
    let mut id = 0;
    loop {
        let mut attr = attr();
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
        match bpf(
            "BPF_BTF_GET_NEXT_ID",
            bpf_cmd::BPF_BTF_GET_NEXT_ID,
            &mut attr,
        ) {
            Ok(_) => {}
            Err(e) if e.is(&[libc::ENOENT]) => return Ok(None),
            Err(e) => return Err(e),
        }
        // SAFETY: the kernel has filled in this member.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        let fd = match fd_by_id(id) {
            Ok(fd) => fd,
            // Unloaded in between.
            Err(e) if e.is(&[libc::ENOENT]) => continue,
            Err(e) => return Err(e),
        };
        if kernel_name(std::os::fd::AsFd::as_fd(&fd))?.as_deref() == Some(name) {
            return Ok(Some(fd));
        }
    }
}

fn fd_by_id(id: u32) -> Result<OwnedFd, SysError> {
    let mut attr = attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    bpf_fd(
        "BPF_BTF_GET_FD_BY_ID",
        bpf_cmd::BPF_BTF_GET_FD_BY_ID,
        &mut attr,
    )
}

/// The module (or `vmlinux`) this BTF belongs to; `None` for that of a program.
fn kernel_name(fd: BorrowedFd<'_>) -> Result<Option<String>, SysError> {
    let mut name = [0u8; 64];
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut info: bpf_btf_info = unsafe { std::mem::zeroed() };
    info.name = address_mut(&mut name);
    info.name_len = name.len() as u32;
    let mut attr = attr();
    attr.info.bpf_fd = fd.as_raw_fd().cast_unsigned();
    attr.info.info_len = size_of::<bpf_btf_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    bpf(
        "BPF_OBJ_GET_INFO_BY_FD",
        bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
        &mut attr,
    )?;
    let len = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    let text = String::from_utf8_lossy(&name[..len]).into_owned();
    Ok((info.kernel_btf != 0).then_some(text))
}
