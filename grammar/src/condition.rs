//! `#ifdef BPFTRACE_HAVE_BTF` and `#ifdef` of a name that the script defines: the conditions of the C preprocessor that nettrace decides.
//!
//! In: preprocessor lines in order. Out: which lines belong to a side that is not compiled. Published scripts put their headers
//! and definitions for kernels without BTF behind this name; nettrace always has BTF. Every other condition (a header might
//! define the name) is reported by
//! [`crate::directive`] and both its sides are read.

use crate::codes;
use crate::diag::Diagnostic;
use crate::directive;
use crate::source::Span;

/// The name that is always defined.
const HAVE_BTF: &str = "BPFTRACE_HAVE_BTF";

/// What to do with a line.
pub(crate) enum Verdict {
    /// Not part of a condition that is decided here.
    Other,
    /// Part of one; the next line is compiled.
    Go,
    /// Part of one; so many bytes behind the line are not compiled.
    Skip(usize),
    /// Part of one, and wrong.
    Wrong(Diagnostic),
}

/// The conditions that are open.
#[derive(Default)]
pub(crate) struct Conditions {
    /// From the outermost; whether it is decided here.
    open: Vec<bool>,
    /// Names that the script has defined so far.
    defined: Vec<String>,
}

impl Conditions {
    /// Judges a line; `behind` is the text from its line break on.
    pub(crate) fn read(&mut self, line: &str, span: Span, behind: &str) -> Verdict {
        let (name, argument) = directive::split(line);
        match name {
            "define" => {
                self.defined
                    .push(crate::header::identifier(argument).to_string());
                Verdict::Other
            }
            "ifdef" | "ifndef" if self.is_defined(argument) => {
                self.open.push(true);
                if name == "ifdef" {
                    Verdict::Go
                } else {
                    self.skip(span, behind, true)
                }
            }
            "if" | "ifdef" | "ifndef" => {
                self.open.push(false);
                Verdict::Other
            }
            "else" if self.open.last() == Some(&true) => self.skip(span, behind, false),
            "endif" if self.open.last() == Some(&true) => {
                self.open.pop();
                Verdict::Go
            }
            "endif" if self.open.pop().is_some() => Verdict::Other,
            "else" | "elif" if self.open.last() == Some(&false) => Verdict::Other,
            "else" | "elif" | "endif" if self.open.is_empty() => {
                let message = format!("`#{name}` without `#ifdef`");
                Verdict::Wrong(Diagnostic::error(codes::UNEXPECTED_TOKEN, span, message))
            }
            "elif" => {
                let message = "nettrace does not know `#elif` behind a condition that it decides";
                Verdict::Wrong(Diagnostic::error(codes::NOT_YET, span, message))
            }
            _ => Verdict::Other,
        }
    }

    fn is_defined(&self, name: &str) -> bool {
        name == HAVE_BTF || self.defined.iter().any(|defined| defined == name)
    }

    /// Passes over the side that starts behind the line, up to its `#endif` or, if that counts, its `#else`.
    fn skip(&mut self, span: Span, behind: &str, to_else: bool) -> Verdict {
        let mut depth = 0usize;
        let mut at = 0;
        for line in behind.split_inclusive('\n') {
            at += line.len();
            let line = line.trim();
            let name = if line.starts_with('#') {
                directive::split(line).0
            } else {
                ""
            };
            match name {
                "if" | "ifdef" | "ifndef" => depth += 1,
                "else" if depth == 0 && to_else => return Verdict::Skip(at),
                "endif" if depth == 0 => {
                    self.open.pop();
                    return Verdict::Skip(at);
                }
                "endif" => depth -= 1,
                _ => {}
            }
        }
        let open = Diagnostic::error(codes::UNTERMINATED, span, "condition without an end")
            .help("close it with `#endif`");
        Verdict::Wrong(open)
    }
}
