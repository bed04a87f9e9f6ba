//! The BTF of vmlinux, mapped into memory.
//!
//! In: `/sys/kernel/btf/vmlinux`, or a file that the user names (a raw section, or an ELF file that has one). Out: a [`Section`].
//! btf-rs reads a mapped file in 3 ms and anything else in 200 ms, so everything is mapped: where `/sys` cannot be (before
//! Linux 6.16), and for files that somebody might cut while they are mapped, a copy in memory is.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::rc::Rc;

use btf_rs::{Backend, Btf};
use memmap2::{MmapOptions, UncheckedAdvice};
use nettrace_compiler::kernel::btf::Section;
use nettrace_grammar::{Diagnostic, codes};
use nix::sys::memfd::{MFdFlags, memfd_create};
use object::{Object as _, ObjectSection as _};

/// Where the running kernel shows its BTF.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The running kernel's section.
///
/// # Errors
/// `NO_BTF` when the kernel has none, `NO_PRIVILEGE` or `FILE_ERROR` when it cannot be read, `NO_BTF` when it cannot be understood.
pub(super) fn running() -> Result<Section, Box<Diagnostic>> {
    let path = Path::new(VMLINUX);
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Box::new(no_btf()),
        _ => unreadable(path, &error),
    })?;
    match section(&file) {
        Ok(Ok(section)) => return Ok(section),
        Ok(Err(why)) => return Err(not_understood(path, &why)),
        // Not mappable on this kernel.
        Err(_) => {}
    }
    let copy = in_memory(&file).map_err(|error| unreadable(path, &error))?;
    from_copy(path, &copy)
}

/// The section in a file of the user's.
///
/// # Errors
/// `FILE_ERROR` when it cannot be read, `NO_BTF` when it holds no BTF.
pub(super) fn from_file(path: &Path) -> Result<Section, Box<Diagnostic>> {
    let bytes = section_bytes(path)?;
    let copy = in_memory(&*bytes).map_err(|error| unreadable(path, &error))?;
    drop(bytes);
    from_copy(path, &copy)
}

/// The bytes of the BTF section in a file, which is the section itself or an ELF file.
pub(super) fn section_bytes(path: &Path) -> Result<Vec<u8>, Box<Diagnostic>> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(bytes);
    }
    let found = object::File::parse(&*bytes)
        .map_err(|e| e.to_string())
        .and_then(|elf| {
            let section = elf.section_by_name(".BTF");
            let section =
                section.ok_or_else(|| "the ELF file has no section `.BTF`".to_string())?;
            section
                .data()
                .map(<[u8]>::to_vec)
                .map_err(|e| e.to_string())
        });
    found.map_err(|why| not_understood(path, &why))
}

fn from_copy(path: &Path, copy: &File) -> Result<Section, Box<Diagnostic>> {
    match section(copy).map_err(|error| unreadable(path, &error))? {
        Ok(section) => Ok(section),
        Err(why) => Err(not_understood(path, &why)),
    }
}

/// A file without a name that holds these bytes. They go through a small buffer, so that they are in memory only once.
fn in_memory(mut source: impl Read) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"nettrace-btf", MFdFlags::MFD_CLOEXEC)?);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(file),
            Ok(read) => file.write_all(buffer.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Maps a file twice, once for the name index and once for btf-rs, which opens a path; both share the pages. The outer error is
/// that of mapping.
fn section(file: &File) -> io::Result<Result<Section, String>> {
    // SAFETY: the file is the kernel's own, which never changes, or a copy that only this process knows.
    // Private: the kernel refuses to share its own.
    let map = Rc::new(unsafe { MmapOptions::new().map_copy_read_only(file)? });
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let section = Section::vmlinux(map.clone(), |_| {
        // What the walk over all types has touched counts as our memory until it is given back; lookups need little of it.
        // SAFETY: the pages of a read-only mapping come back unchanged when they are touched again.
        let _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
        Btf::from_file_with_backend(&path, Backend::Mmap)
    });
    Ok(section.map_err(|error| error.to_string()))
}

fn no_btf() -> Diagnostic {
    Diagnostic::host(codes::NO_BTF, "this kernel has no type information (BTF)")
        .note(format!("{VMLINUX} does not exist: the kernel was built without CONFIG_DEBUG_INFO_BTF=y"))
        .help("boot a kernel with CONFIG_DEBUG_INFO_BTF=y; all current distributions build theirs with it")
        .help("if a file has the BTF of exactly this kernel, name it with `--btf FILE`")
}

fn not_understood(path: &Path, why: &str) -> Box<Diagnostic> {
    let message = format!("the type information in {} cannot be read", path.display());
    Box::new(
        Diagnostic::host(codes::NO_BTF, message)
            .note(why.to_string())
            .help(format!(
                "`bpftool btf dump file {}` shows what is in it",
                path.display()
            )),
    )
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Box<Diagnostic> {
    let (code, help) = match error.kind() {
        io::ErrorKind::PermissionDenied => (codes::NO_PRIVILEGE, "run it as root"),
        _ => (
            codes::FILE_ERROR,
            "see whether the file exists and is what you mean",
        ),
    };
    let message = format!("cannot read {}: {error}", path.display());
    Box::new(Diagnostic::host(code, message).help(help))
}
