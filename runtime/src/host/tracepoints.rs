//! Tracepoints of tracefs.
//!
//! In: `events/CATEGORY/EVENT/format` and `available_events`. Out: fields and names. tracefs is mounted when it is not.

use std::io;
use std::path::PathBuf;

use nettrace_compiler::kernel::tracepoint::parse_format;
use nettrace_compiler::kernel::{Tracepoint, glob};
use nettrace_grammar::{Diagnostic, codes};

use crate::tracefs;

/// The tracepoint, `None` when there is no such one.
///
/// # Errors
/// `NO_TRACEFS` when tracefs is not there or cannot be read.
pub(super) fn read(category: &str, event: &str) -> Result<Option<Tracepoint>, Box<Diagnostic>> {
    // Names from a script must not lead elsewhere.
    if [category, event]
        .iter()
        .any(|n| n.is_empty() || n.contains('/') || n.starts_with('.'))
    {
        return Ok(None);
    }
    let path = tracefs::root()
        .map_err(Box::new)?
        .join("events")
        .join(category)
        .join(event)
        .join("format");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(parse_format(category, event, &text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// `(category, event)` of those that match two patterns, in name order.
///
/// # Errors
/// As [`read`].
pub(super) fn matching(
    category: &str,
    event: &str,
) -> Result<Vec<(String, String)>, Box<Diagnostic>> {
    let path = tracefs::root().map_err(Box::new)?.join("available_events");
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(path, &error))?;
    let mut found: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(c, e)| glob::matches(category, c) && glob::matches(event, e))
        .map(|(c, e)| (c.to_string(), e.to_string()))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn unreadable(path: PathBuf, error: &io::Error) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::host(codes::NO_TRACEFS, "the tracing file system cannot be read")
            .note(format!("{}: {error}", path.display()))
            .help("run it as root"),
    )
}
