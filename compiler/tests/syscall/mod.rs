//! bpf(2), as much of it as running a program once takes.
//!
//! Offsets of the attributes: `union bpf_attr` of `include/uapi/linux/bpf.h`.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_CREATE: i64 = 0;
const MAP_LOOKUP: i64 = 1;
const PROG_LOAD: i64 = 5;
const PROG_TEST_RUN: i64 = 10;

const ARRAY: u32 = 2;
const RINGBUF: u32 = 27;
const PROG_TYPE_SYSCALL: u32 = 31;
/// `BPF_F_SLEEPABLE`, which that type demands.
const SLEEPABLE: u32 = 1 << 4;

/// The attributes of a call.
struct Attr([u8; 144]);

impl Attr {
    fn new() -> Attr {
        Attr([0; 144])
    }

    fn u32(mut self, at: usize, value: u32) -> Attr {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn pointer<T>(mut self, at: usize, value: *const T) -> Attr {
        self.0[at..at + 8].copy_from_slice(&(value as u64).to_ne_bytes());
        self
    }

    fn call(&mut self, command: i64) -> Result<i32, String> {
        // SAFETY: the attributes are valid for the length given; what they point to outlives the call at each caller.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        if result < 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        Ok(result as i32)
    }

    fn fd(&mut self, command: i64) -> Result<OwnedFd, String> {
        let fd = self.call(command)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Whether this process may load programs.
pub(crate) fn permitted() -> Result<(), String> {
    // r0 = 0; exit
    let nothing = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    Program::load(&nothing).map(|_| ())
}

/// What `bpf_get_current_pid_tgid` gives to a program that this thread runs.
pub(crate) fn pid_tgid() -> u64 {
    // SAFETY: no arguments, cannot fail.
    let tid = unsafe { libc::gettid() };
    u64::from(std::process::id()) << 32 | tid as u64
}

/// A map.
pub(crate) struct Map(OwnedFd);

impl Map {
    /// An array with one value.
    pub(crate) fn array(value_size: u32) -> Result<Map, String> {
        let mut attr = Attr::new().u32(0, ARRAY).u32(4, 4);
        attr = attr.u32(8, value_size).u32(12, 1);
        Ok(Map(attr.fd(MAP_CREATE)?))
    }

    /// A ring buffer.
    pub(crate) fn ring(bytes: u32) -> Result<Map, String> {
        let mut attr = Attr::new().u32(0, RINGBUF).u32(12, bytes);
        Ok(Map(attr.fd(MAP_CREATE)?))
    }

    /// Its descriptor.
    pub(crate) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// The only value.
    pub(crate) fn value(&self, size: usize) -> Result<Vec<u8>, String> {
        let key = 0u32;
        let mut value = vec![0; size];
        let mut attr = Attr::new().u32(0, self.fd() as u32).pointer(8, &key);
        attr = attr.pointer(16, value.as_mut_ptr());
        attr.call(MAP_LOOKUP)?;
        Ok(value)
    }
}

/// A loaded program.
pub(crate) struct Program(OwnedFd);

impl Program {
    /// Loads it; the error ends with the verifier's log.
    pub(crate) fn load(insns: &[[u8; 8]]) -> Result<Program, String> {
        let mut log = vec![0u8; 1 << 20];
        let license = c"GPL";
        let mut attr = Attr::new()
            .u32(0, PROG_TYPE_SYSCALL)
            .u32(4, insns.len() as u32)
            .pointer(8, insns.as_ptr())
            .pointer(16, license.as_ptr())
            .u32(24, 1)
            .u32(28, log.len() as u32)
            .pointer(32, log.as_mut_ptr())
            .u32(44, SLEEPABLE);
        attr.fd(PROG_LOAD).map(Program).map_err(|error| {
            let end = log.iter().position(|&b| b == 0).unwrap_or(0);
            format!("{error}\n{}", String::from_utf8_lossy(&log[..end]))
        })
    }

    /// Runs it once.
    pub(crate) fn run(&self, context: &mut [u8]) -> Result<u32, String> {
        let mut attr = Attr::new()
            .u32(0, self.0.as_raw_fd() as u32)
            .u32(40, context.len() as u32)
            .pointer(48, context.as_mut_ptr());
        attr.call(PROG_TEST_RUN)?;
        Ok(u32::from_ne_bytes([
            attr.0[4], attr.0[5], attr.0[6], attr.0[7],
        ]))
    }
}
