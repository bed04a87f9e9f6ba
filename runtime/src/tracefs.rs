//! Where tracefs is, mounting it when it is not mounted and that is allowed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nettrace_grammar::{Diagnostic, codes};
use nix::mount::{MsFlags, mount};

use crate::privilege;
use crate::sys::SysError;

/// Usual places, the modern one first.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The directory that holds `events`.
///
/// # Errors
/// `NO_TRACEFS` when it is not there and cannot be mounted, or may not be read.
pub fn root() -> Result<PathBuf, Diagnostic> {
    // One thread mounts, the others find it mounted.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _guard = MOUNTING.lock();
    if let Some(place) = found()? {
        return Ok(place.to_owned());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mounted = mount(
        Some("tracefs"),
        PLACES[0],
        Some("tracefs"),
        flags,
        None::<&str>,
    );
    match (found()?, mounted) {
        (Some(place), _) => Ok(place.to_owned()),
        (None, Ok(())) => Err(missing("it is mounted, but has no `events`")),
        (None, Err(errno)) => Err(missing(&format!("mounting it failed: {}", errno.desc()))),
    }
}

/// The first usual place that has `events`; an error when one may have it and is closed to this process.
fn found() -> Result<Option<&'static Path>, Diagnostic> {
    let mut closed = None;
    for place in PLACES.map(Path::new) {
        match place.join("events").metadata() {
            Ok(_) => return Ok(Some(place)),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                closed = closed.or(Some(place))
            }
            Err(_) => {}
        }
    }
    match closed {
        None => Ok(None),
        Some(place) => Err(unreadable(place, io::ErrorKind::PermissionDenied.into())),
    }
}

fn unreadable(path: &Path, error: io::Error) -> Diagnostic {
    if error.kind() != io::ErrorKind::PermissionDenied {
        let error = SysError {
            call: "read",
            io_error: error,
        };
        return privilege::refused("read the tracing file system", &error);
    }
    Diagnostic::host(codes::NO_TRACEFS, "the tracing file system cannot be read")
        .note(format!("{}: {error}", path.display()))
        .help("run it as root; usually nobody else may read it")
}

fn missing(why: &str) -> Diagnostic {
    Diagnostic::host(codes::NO_TRACEFS, "the tracing file system is not there")
        .note(why.to_owned())
        .note("tracepoints are found through it; the kernel needs CONFIG_FTRACE=y for it")
        .help(format!("mount -t tracefs tracefs {}", PLACES[0]))
}

/// The number of a tracepoint, `None` when there is no such one.
pub(crate) fn tracepoint_id(category: &str, event: &str) -> Result<Option<u64>, Diagnostic> {
    // Names from an object file must not lead elsewhere.
    if [category, event]
        .iter()
        .any(|n| n.contains('/') || *n == "..")
    {
        return Ok(None);
    }
    let path = root()?.join("events").join(category).join(event).join("id");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(&path, e)),
    }
}
