//! The history file: entries of earlier sessions, searchable with Ctrl-R.
//!
//! In: the environment (`XDG_STATE_HOME`, `HOME`). Out: `nettrace/history` in the state directory. Where there is none, or it cannot be
//! written, the session remembers only its own entries.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustyline::history::FileHistory;
use rustyline::{Editor, Helper};

/// Where the history is.
#[derive(Debug)]
pub(super) struct Place {
    file: Option<PathBuf>,
}

impl Place {
    /// Looks at the environment and makes the directory.
    pub(super) fn find() -> Place {
        let variable = |name| std::env::var_os(name);
        let directory = directory(variable("XDG_STATE_HOME"), variable("HOME"));
        let file = directory.and_then(|directory| {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&directory).ok()?;
            Some(directory.join("history"))
        });
        Place { file }
    }

    /// Reads what earlier sessions have left.
    pub(super) fn load<H: Helper>(&self, editor: &mut Editor<H, FileHistory>) {
        if let Some(file) = &self.file {
            // The first session finds none.
            let _ = editor.load_history(file);
        }
    }

    /// Remembers an entry, in the file at once: a session may be killed.
    pub(super) fn add<H: Helper>(&self, editor: &mut Editor<H, FileHistory>, entry: &str) {
        let new = editor.add_history_entry(entry).unwrap_or(false);
        if let (true, Some(file)) = (new, &self.file) {
            let _ = editor.append_history(file);
        }
    }
}

fn directory(state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: &OsString| Path::new(path).is_absolute();
    let state = state.filter(absolute).map(PathBuf::from);
    let own = || {
        home.filter(absolute)
            .map(|home| Path::new(&home).join(".local/state"))
    };
    Some(state.or_else(own)?.join("nettrace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_that_of_xdg() {
        let at = |state: Option<&str>, home: Option<&str>| {
            directory(state.map(OsString::from), home.map(OsString::from))
        };
        assert_eq!(
            at(Some("/s"), Some("/h")),
            Some(PathBuf::from("/s/nettrace"))
        );
        assert_eq!(
            at(None, Some("/h")),
            Some(PathBuf::from("/h/.local/state/nettrace"))
        );
        assert_eq!(
            at(Some("relative"), Some("/h")),
            Some(PathBuf::from("/h/.local/state/nettrace"))
        );
        assert_eq!(at(None, None), None);
    }
}
