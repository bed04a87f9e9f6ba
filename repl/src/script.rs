//! Where scripts come from: a file, standard input, the command line, or nettrace's own library.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nettrace_compiler::unit::Unit;
use nettrace_grammar::source::{MAX_SOURCE_BYTES, decode};
use nettrace_grammar::{Diagnostic, FileId, SourceMap, codes};

use crate::imports::Files;

/// A script with its place in a source map of its own.
#[derive(Debug)]
pub(crate) struct Script {
    /// Holds this script and what it imports.
    pub(crate) sources: SourceMap,
    /// The script in it.
    pub(crate) file: FileId,
    /// What belongs to it: its tree, the macros of imported files, its options.
    pub(crate) unit: Unit,
    /// What is wrong with the text itself.
    pub(crate) problems: Vec<Diagnostic>,
}

impl Script {
    /// Text from the command line.
    pub(crate) fn inline(text: &str) -> Script {
        Script::new("stdin", text.as_bytes())
    }

    /// A file; `-` is standard input.
    pub(crate) fn read(path: &str) -> Result<Script, Diagnostic> {
        let (name, bytes) = if path == "-" {
            ("stdin", read_some(io::stdin().lock()))
        } else {
            (path, read_file(Path::new(path)))
        };
        match bytes {
            Ok(bytes) => Ok(Script::new(name, &bytes)),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    pub(crate) fn new(name: &str, bytes: &[u8]) -> Script {
        let mut sources = SourceMap::new();
        let (text, not_utf8) = decode(bytes);
        let file = sources.add(name, text);
        let mut problems = Vec::new();
        if bytes.len() > MAX_SOURCE_BYTES {
            let message = format!("`{name}` is larger than {} MiB", MAX_SOURCE_BYTES >> 20);
            problems
                .push(Diagnostic::host(codes::TOO_LARGE, message).help("is this really a script?"));
        }
        problems.extend(not_utf8.map(|problem| problem.diagnostic(sources.file(file))));
        let unit = Unit::read(&mut sources, file, &Files);
        Script {
            sources,
            file,
            unit,
            problems,
        }
    }
}

/// Reads a file up to a little beyond what a script may have.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_some(File::open(path)?)
}

fn read_some(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SOURCE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Says why a file cannot be read and what the user may have meant.
pub(crate) fn unreadable(path: &str, error: &io::Error) -> Diagnostic {
    let diag = Diagnostic::host(codes::FILE_ERROR, format!("cannot read `{path}`: {error}"));
    let is_program = path.contains('{');
    let is_probe = !path.contains('/') && path.contains(':');
    match error.kind() {
        io::ErrorKind::NotFound if is_program => {
            diag.help("a program on the command line needs `-e`: nettrace -e '…'")
        }
        io::ErrorKind::NotFound if is_probe => {
            diag.help(format!("to list probes: nettrace -l '{path}'"))
        }
        io::ErrorKind::NotFound => diag.help("`nettrace --help` shows what can be run"),
        _ => diag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_given_as_a_file_name_gets_a_hint() {
        let diag = Script::read("begin { }").expect_err("no such file");
        assert_eq!(
            diag.help,
            ["a program on the command line needs `-e`: nettrace -e '…'"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_told() {
        let script = Script::new("junk", b"begin \xff { }");
        assert_eq!(script.problems.len(), 1);
    }
}
