//! Programs: `BPF_PROG_LOAD` and `BPF_PROG_TEST_RUN`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_cmd, bpf_insn};

use super::{SysError, address, address_mut, attr, bpf, bpf_fd, object_name};

/// Everything about a program that the kernel checks when it is loaded.
pub(crate) struct ProgramLoad<'a> {
    /// Cut to 15 bytes.
    pub(crate) name: &'a str,
    /// `enum bpf_prog_type`.
    pub(crate) kind: u32,
    /// `enum bpf_attach_type`; 0 where it has no meaning.
    pub(crate) expected_attach: u32,
    /// Relocated.
    pub(crate) insns: &'a [bpf_insn],
    pub(crate) license: &'a CStr,
    /// Function and line records refer to its types and strings.
    pub(crate) btf: Option<BorrowedFd<'a>>,
    /// Records and the size of each.
    pub(crate) func_info: (&'a [u8], usize),
    /// Records and the size of each.
    pub(crate) line_info: (&'a [u8], usize),
    /// The function a trampoline is for.
    pub(crate) attach_btf_id: u32,
    /// The module whose BTF that id belongs to.
    pub(crate) attach_btf: Option<BorrowedFd<'a>>,
}

/// A program the kernel did not take.
#[derive(Debug)]
pub(crate) struct LoadFailure {
    pub(crate) error: SysError,
    /// What the verifier said; empty when it did not come to that. Bytes that were not UTF-8 are replaced.
    pub(crate) log: String,
}

/// `log_level`: the instructions as they are verified, and statistics.
const LOG_VERBOSE: u32 = 1 | 4;
const FIRST_LOG_BYTES: usize = 64 << 10;
/// Largest log the kernel accepts since 5.2 is 2^30 / 4; nobody reads more than this.
const MAX_LOG_BYTES: usize = 16 << 20;
/// A pending signal makes the verifier give up with EAGAIN.
const RETRIES: u32 = 5;

impl ProgramLoad<'_> {
    /// Loads it; asks for the verifier's log only when that failed, because writing it makes verification several times slower.
    pub(crate) fn load(&self) -> Result<OwnedFd, LoadFailure> {
        let error = match self.load_once(&mut []) {
            Ok(fd) => return Ok(fd),
            Err(error) => error,
        };
        let mut log = Vec::new();
        if error.is(&[libc::EPERM, libc::E2BIG]) {
            // Refused before the verifier, unless it has something to say.
            log.resize(FIRST_LOG_BYTES, 0);
            let error = match self.load_once(&mut log) {
                Ok(fd) => return Ok(fd),
                Err(error) => error,
            };
            return Err(LoadFailure {
                error,
                log: text_of(&log),
            });
        }
        let mut size = FIRST_LOG_BYTES;
        loop {
            log.clear();
            log.resize(size, 0);
            match self.load_once(&mut log) {
                Ok(fd) => return Ok(fd),
                Err(e) if e.is(&[libc::ENOSPC]) && size < MAX_LOG_BYTES => size *= 4,
                Err(error) => {
                    return Err(LoadFailure {
                        error,
                        log: text_of(&log),
                    });
                }
            }
        }
    }

    fn load_once(&self, log: &mut [u8]) -> Result<OwnedFd, SysError> {
        let mut retries = RETRIES;
        loop {
            match self.try_load(log) {
                Err(e) if e.is(&[libc::EAGAIN]) && retries > 0 => retries -= 1,
                other => return other,
            }
        }
    }

    fn try_load(&self, log: &mut [u8]) -> Result<OwnedFd, SysError> {
        let mut attr = attr();
        // SAFETY: all bytes are zero, every field of the union is valid.
        let u = unsafe { &mut attr.__bindgen_anon_3 };
        u.prog_type = self.kind;
        u.expected_attach_type = self.expected_attach;
        u.prog_name = object_name(self.name);
        u.insns = address(self.insns);
        u.insn_cnt = self.insns.len() as u32;
        u.license = self.license.as_ptr() as u64;
        if let Some(btf) = self.btf {
            u.prog_btf_fd = btf.as_raw_fd().cast_unsigned();
            let (records, size) = self.func_info;
            if size > 0 && !records.is_empty() {
                u.func_info = address(records);
                u.func_info_rec_size = size as u32;
                u.func_info_cnt = (records.len() / size) as u32;
            }
            let (records, size) = self.line_info;
            if size > 0 && !records.is_empty() {
                u.line_info = address(records);
                u.line_info_rec_size = size as u32;
                u.line_info_cnt = (records.len() / size) as u32;
            }
        }
        u.attach_btf_id = self.attach_btf_id;
        if let Some(btf) = self.attach_btf {
            u.__bindgen_anon_1.attach_btf_obj_fd = btf.as_raw_fd().cast_unsigned();
        }
        if !log.is_empty() {
            u.log_level = LOG_VERBOSE;
            u.log_size = log.len() as u32;
            u.log_buf = address_mut(log);
        }
        bpf_fd("BPF_PROG_LOAD", bpf_cmd::BPF_PROG_LOAD, &mut attr)
    }
}

fn text_of(log: &[u8]) -> String {
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).into_owned()
}

/// Arguments a raw tracepoint program may read: 12 of 8 bytes.
const RAW_TP_ARGS: usize = 12;

/// Runs a raw tracepoint program once, on this CPU, with arguments that are 0. The result is what it returned.
pub(crate) fn run_raw_tracepoint(program: BorrowedFd<'_>) -> Result<u32, SysError> {
    let args = [0u64; RAW_TP_ARGS];
    let mut attr = attr();
    attr.test.prog_fd = program.as_raw_fd().cast_unsigned();
    attr.test.ctx_in = address(&args);
    attr.test.ctx_size_in = size_of_val(&args) as u32;
    bpf("BPF_PROG_TEST_RUN", bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)?;
    // SAFETY: the kernel has filled in this member.
    Ok(unsafe { attr.test.retval })
}

/// The kernel's number of a loaded program.
#[cfg(test)]
pub(crate) fn id(program: BorrowedFd<'_>) -> Result<u32, SysError> {
    use aya_obj::generated::bpf_prog_info;
    // SAFETY: a C struct of integers, for which zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attr = attr();
    attr.info.bpf_fd = program.as_raw_fd().cast_unsigned();
    attr.info.info_len = size_of::<bpf_prog_info>() as u32;
    attr.info.info = std::ptr::from_mut(&mut info) as u64;
    bpf(
        "BPF_OBJ_GET_INFO_BY_FD",
        bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
        &mut attr,
    )?;
    Ok(info.id)
}

/// Whether a program of this number is loaded.
#[cfg(test)]
pub(crate) fn exists(id: u32) -> bool {
    let mut attr = attr();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    bpf_fd(
        "BPF_PROG_GET_FD_BY_ID",
        bpf_cmd::BPF_PROG_GET_FD_BY_ID,
        &mut attr,
    )
    .is_ok()
}
