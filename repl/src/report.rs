//! Diagnostics to standard error, and what they mean for the exit code.

use std::io::{self, IsTerminal, Write};

use nettrace_grammar::diag::Severity;
use nettrace_grammar::render::render;
use nettrace_grammar::{Diagnostic, SourceMap, codes};

use crate::cli::Color;

/// How the command ends. The numbers are bpftrace's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// All went well.
    Done,
    /// The script said `exit(N)`.
    Script(i32),
    /// A mistake in the script or on the command line.
    Mistake,
    /// A bug of nettrace.
    Bug,
    /// The system refused to load or attach.
    Refused,
}

impl Exit {
    /// What the shell sees.
    pub(crate) fn code(self) -> i32 {
        match self {
            Exit::Done => 0,
            Exit::Script(code) => code & 0xff,
            Exit::Mistake => 1,
            Exit::Bug => 2,
            Exit::Refused => 255,
        }
    }
}

/// Prints diagnostics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reporter {
    color: bool,
}

impl Reporter {
    /// `auto` means: on a terminal, unless NO_COLOR is set or the terminal is dumb.
    pub(crate) fn new(color: Color) -> Reporter {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && !set("NO_COLOR") && !dumb,
        };
        Reporter { color }
    }

    /// Whether messages have colours.
    pub(crate) fn colors(self) -> bool {
        self.color
    }

    /// Prints; a standard error that cannot be written to is no reason to stop.
    pub(crate) fn print(self, sources: &SourceMap, diags: &[Diagnostic]) {
        if !diags.is_empty() {
            let text = render(sources, diags, self.color);
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
    }

    /// Prints diagnostics that have no place in a script.
    pub(crate) fn host(self, diag: Diagnostic) {
        self.print(&SourceMap::new(), &[diag]);
    }
}

/// How the command ends when these were found; `None` when none of them is an error.
pub(crate) fn verdict(diags: &[Diagnostic]) -> Option<Exit> {
    let errors = || diags.iter().filter(|d| d.severity == Severity::Error);
    if errors().any(|d| d.code == codes::INTERNAL) {
        return Some(Exit::Bug);
    }
    // NT6xxx are about the host.
    if errors().any(|d| !(6000..7000).contains(&d.code.0)) {
        return Some(Exit::Mistake);
    }
    errors().next().map(|_| Exit::Refused)
}
