//! Constructs of bpftrace's language that nettrace does not know yet.
//!
//! In: the first token of one. Out: one error that names it and what to write instead, and the shape of what to pass over,
//! so that the rest of the script is still read. A construct that becomes known loses its row here and gets rules in
//! `grammar.lalrpop`.

use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::{Lexeme, raw};
use crate::source::Span;
use crate::token::Tok;

/// How far a construct reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Up to the end of the next pair of braces, or to a `;` before them.
    Braces,
    /// A pair of parentheses.
    Parens,
}

/// One construct.
pub(crate) struct Construct {
    /// How the error calls it.
    what: &'static str,
    /// What to write instead; empty where there is nothing.
    help: &'static str,
    /// How far it reaches.
    pub(crate) shape: Shape,
    /// What the parser gets in its place.
    pub(crate) stands_for: Tok<'static>,
}

impl Construct {
    /// The error for the construct whose first words stand at `span`.
    pub(crate) fn diagnostic(&self, span: Span) -> Diagnostic {
        let diag = Diagnostic::error(
            codes::NOT_YET,
            span,
            format!("nettrace does not know {} yet", self.what),
        );
        if self.help.is_empty() {
            diag
        } else {
            diag.help(self.help)
        }
    }
}

const fn row(
    what: &'static str,
    shape: Shape,
    stands_for: Tok<'static>,
    help: &'static str,
) -> Construct {
    Construct {
        what,
        help,
        shape,
        stands_for,
    }
}

const KERNEL_TYPES: &str =
    "types of the kernel and its modules need no definition: they come from BTF";
static STRUCT: Construct = row(
    "type definitions",
    Shape::Braces,
    Tok::SkippedItem,
    KERNEL_TYPES,
);
static FN: Construct = row(
    "functions of the script",
    Shape::Braces,
    Tok::SkippedItem,
    "write the function's body where it is used",
);
static TYPEOF: Construct = row("`typeof`", Shape::Parens, Tok::SkippedType, "name the type");
static TYPEINFO: Construct = row("`typeinfo`", Shape::Parens, Tok::SkippedExpr, "");
/// The construct that a word outside of braces starts.
pub(crate) fn item(word: &str) -> Option<&'static Construct> {
    Some(match word {
        "struct" | "union" | "enum" => &STRUCT,
        "fn" => &FN,
        _ => return None,
    })
}

/// The construct that a token inside braces or a predicate starts.
pub(crate) fn inside(tok: &Tok<'_>) -> Option<&'static Construct> {
    Some(match tok {
        Tok::Typeof => &TYPEOF,
        Tok::Typeinfo => &TYPEINFO,
        _ => return None,
    })
}

/// Where a construct of that shape ends; its first word ends at `at`.
pub(crate) fn end(text: &str, at: usize, shape: Shape) -> usize {
    match shape {
        Shape::Parens => skip_until(text, at, |tok| *tok == Tok::RParen),
        Shape::Braces => skip_until(text, at, |tok| matches!(tok, Tok::RBrace | Tok::Semi)),
    }
}

/// The end of the first token outside of all brackets for which `stop` holds; or the start of a brace that closes
/// more than was opened.
fn skip_until(text: &str, from: usize, stop: impl Fn(&Tok<'_>) -> bool) -> usize {
    let mut at = from;
    let mut depth = 0usize;
    while let Some(Lexeme { tok, lo, hi }) = raw(text, at) {
        at = hi;
        let Ok(tok) = tok else { continue };
        match tok {
            Tok::LBrace | Tok::LParen | Tok::LBracket => depth += 1,
            Tok::RBrace | Tok::RParen | Tok::RBracket if depth == 0 => return lo,
            Tok::RBrace | Tok::RParen | Tok::RBracket => depth -= 1,
            _ => {}
        }
        if depth == 0 && stop(&tok) {
            return at;
        }
    }
    text.len()
}
