//! Where tracefs is, mounting it when it is not mounted and that is allowed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nettrace_grammar::{Diagnostic, codes};
use nix::mount::{MsFlags, mount};

/// Usual places, the modern one first.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The directory that holds `events`.
///
/// # Errors
/// `NO_TRACEFS` when it is not there and cannot be mounted.
pub fn root() -> Result<PathBuf, Diagnostic> {
    // One thread mounts, the others find it mounted.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _guard = MOUNTING.lock();
    let found = || {
        PLACES
            .iter()
            .map(Path::new)
            .find(|place| place.join("events").is_dir())
    };
    if let Some(place) = found() {
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
    match (mounted, found()) {
        (_, Some(place)) => Ok(place.to_owned()),
        (Ok(()), None) => Err(missing("it is mounted, but has no `events`")),
        (Err(errno), None) => Err(missing(&format!("mounting it failed: {}", errno.desc()))),
    }
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
        Err(e) => Err(Diagnostic::host(
            codes::NO_TRACEFS,
            "the tracing file system cannot be read",
        )
        .note(format!("{}: {e}", path.display()))
        .help("run it as root")),
    }
}
