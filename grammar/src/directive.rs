//! Preprocessor lines and the shebang.
//!
//! In: the text of a line from its `#` on. Out: a [`Directive`] and, for the lines that need a C preprocessor, which
//! nettrace does not have, one error. `#include` is kept: kernel types come from BTF, and the compiler says what it makes
//! of the header. `#define NAME value` is read by [`crate::define`].

use crate::ast::{Directive, DirectiveKind};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;

/// Length of the line that `rest` starts with, without its line break; a backslash at a line's end continues it.
pub(crate) fn line_len(rest: &str) -> usize {
    let mut end = 0;
    loop {
        let line = rest.get(end..).unwrap_or("");
        let Some(len) = line.find('\n') else {
            return rest.len();
        };
        end += len;
        if !line
            .get(..len)
            .unwrap_or("")
            .trim_end_matches('\r')
            .ends_with('\\')
        {
            return end;
        }
        end += 1;
    }
}

/// What the line says. `first` tells whether it is the first of the file, where `#!` names an interpreter.
pub(crate) fn read(
    line: &str,
    span: Span,
    first: bool,
    in_body: bool,
) -> (Directive, Option<Diagnostic>) {
    let (kind, problem) = classify(line, span, first, in_body);
    (Directive { kind, span }, problem)
}

fn classify(
    line: &str,
    span: Span,
    first: bool,
    in_body: bool,
) -> (DirectiveKind, Option<Diagnostic>) {
    if first && line.starts_with("#!") {
        return (DirectiveKind::Shebang, None);
    }
    let (name, argument) = split(line);
    let problem = match name {
        "include" => match included(argument) {
            Some(path) if !in_body => {
                let path = path.to_string();
                return (DirectiveKind::Include { path }, None);
            }
            Some(_) => Diagnostic::error(codes::UNEXPECTED_TOKEN, span, "`#include` inside a probe")
                .help("move it above the first probe"),
            None => Diagnostic::error(codes::UNEXPECTED_TOKEN, span, "`#include` without a file")
                .help("write `#include <net/sock.h>`; nettrace needs no headers for types that the kernel's BTF has"),
        },
        // Parts of an `#if` that has been reported.
        "else" | "elif" | "endif" => return (DirectiveKind::Error, None),
        "undef" => not_yet(span, name).help("give the second value another name"),
        "if" | "ifdef" | "ifndef" => not_yet(span, name)
            .help("remove the condition and keep one side of it; kernel types come from BTF and need no headers"),
        "" => Diagnostic::error(codes::BAD_TOKEN, span, "`#` starts nothing here")
            .help("comments start with `//`"),
        _ if known_to_c(name) => not_yet(span, name),
        _ => Diagnostic::error(codes::BAD_TOKEN, span, format!("unknown preprocessor line `#{}`", cut(name)))
            .help("comments start with `//`"),
    };
    (DirectiveKind::Error, Some(problem))
}

/// The word behind `#`, and what follows it without a comment.
pub(crate) fn split(line: &str) -> (&str, &str) {
    let rest = line.trim_start_matches('#').trim_start();
    let name = crate::header::identifier(rest);
    let argument = rest.get(name.len()..).unwrap_or("");
    let comment = argument
        .find("//")
        .into_iter()
        .chain(argument.find("/*"))
        .min();
    let argument = argument
        .get(..comment.unwrap_or(argument.len()))
        .unwrap_or("");
    (name, argument.trim())
}

fn not_yet(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(
        codes::NOT_YET,
        span,
        format!("nettrace has no C preprocessor and does not know `#{name}`"),
    )
}

fn known_to_c(name: &str) -> bool {
    matches!(
        name,
        "pragma" | "error" | "warning" | "line" | "elifdef" | "elifndef" | "embed"
    )
}

fn cut(name: &str) -> String {
    name.chars().take(30).collect()
}

/// The path of `<path>` or `"path"`; a comment may follow it.
fn included(argument: &str) -> Option<&str> {
    let (path, close) = if let Some(rest) = argument.strip_prefix('<') {
        (rest, '>')
    } else {
        (argument.strip_prefix('"')?, '"')
    };
    let path = path.split_once(close)?.0.trim();
    (!path.is_empty()).then_some(path)
}
