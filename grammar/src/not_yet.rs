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
    /// The first token only; what follows is read as usual.
    Word,
    /// Up to the end of the next pair of braces, or to a `;` before them.
    Braces,
    /// A condition and braces, with any number of `else` behind them.
    IfElse,
    /// Up to `;`.
    Semicolon,
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
    /// What the parser gets in its place; nothing when only a word is dropped.
    pub(crate) stands_for: Option<Tok<'static>>,
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
    stands_for: Option<Tok<'static>>,
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
const PLAIN_MAP: &str = "use the map without declaring it";

static STRUCT: Construct = row(
    "type definitions",
    Shape::Braces,
    Some(Tok::SkippedItem),
    KERNEL_TYPES,
);
static MACRO: Construct = row(
    "macros",
    Shape::Braces,
    Some(Tok::SkippedItem),
    "write the macro's body where it is used",
);
static FN: Construct = row(
    "functions of the script",
    Shape::Braces,
    Some(Tok::SkippedItem),
    "write the function's body where it is used",
);
static IMPORT: Construct = row("imports", Shape::Semicolon, Some(Tok::SkippedItem), "");
static MAP_ITEM: Construct = row(
    "map declarations",
    Shape::Semicolon,
    Some(Tok::SkippedItem),
    PLAIN_MAP,
);
static MAP_STMT: Construct = row(
    "map declarations",
    Shape::Semicolon,
    Some(Tok::SkippedStmt),
    PLAIN_MAP,
);
static WHILE: Construct = row("`while` loops", Shape::Braces, Some(Tok::SkippedStmt), "");
static FOR: Construct = row("`for` loops", Shape::Braces, Some(Tok::SkippedStmt), "");
static UNROLL: Construct = row(
    "`unroll`",
    Shape::Braces,
    Some(Tok::SkippedStmt),
    "write the body as often as it is to run",
);
static BREAK: Construct = row("`break`", Shape::Word, Some(Tok::SkippedStmt), "");
static CONTINUE: Construct = row("`continue`", Shape::Word, Some(Tok::SkippedStmt), "");
static COMPTIME: Construct = row(
    "`comptime`",
    Shape::Word,
    None,
    "constant expressions are computed at compile time without it",
);
static TYPEOF: Construct = row(
    "`typeof`",
    Shape::Parens,
    Some(Tok::SkippedType),
    "name the type",
);
static TYPEINFO: Construct = row("`typeinfo`", Shape::Parens, Some(Tok::SkippedExpr), "");
static IF_VALUE: Construct = row(
    "`if` as a value",
    Shape::IfElse,
    Some(Tok::SkippedExpr),
    "use `condition ? a : b`, or assign in each branch",
);
static BLOCK_VALUE: Construct = row(
    "blocks as values",
    Shape::Braces,
    Some(Tok::SkippedExpr),
    "put the statements before this one",
);
pub(crate) static RECORD: Construct = row(
    "records",
    Shape::Parens,
    Some(Tok::SkippedExpr),
    "use a tuple: `(1, \"x\")`; its parts are `.0`, `.1`",
);

/// The construct that a word outside of braces starts.
pub(crate) fn item(word: &str, next_is_map: bool) -> Option<&'static Construct> {
    Some(match word {
        "struct" | "union" | "enum" => &STRUCT,
        "macro" => &MACRO,
        "fn" => &FN,
        "import" => &IMPORT,
        "let" if next_is_map => &MAP_ITEM,
        _ => return None,
    })
}

/// The construct that a token inside braces or a predicate starts. `value` tells that the token stands where an operand is
/// due, `next` is the token behind it.
pub(crate) fn inside(
    tok: &Tok<'_>,
    value: bool,
    next: Option<&Tok<'_>>,
) -> Option<&'static Construct> {
    Some(match tok {
        Tok::While => &WHILE,
        Tok::For => &FOR,
        Tok::Unroll => &UNROLL,
        Tok::Break => &BREAK,
        Tok::Continue => &CONTINUE,
        Tok::Comptime => &COMPTIME,
        Tok::Typeof => &TYPEOF,
        Tok::Typeinfo => &TYPEINFO,
        Tok::If if value => &IF_VALUE,
        Tok::LBrace if value => &BLOCK_VALUE,
        Tok::Let if matches!(next, Some(Tok::Map(_))) => &MAP_STMT,
        _ => return None,
    })
}

/// Where a construct of that shape ends: it starts at `lo`, its first word ends at `at`.
pub(crate) fn end(text: &str, lo: usize, at: usize, shape: Shape) -> usize {
    match shape {
        Shape::Word => at,
        Shape::Semicolon => skip_until(text, at, |tok| *tok == Tok::Semi),
        Shape::Parens => skip_until(text, at, |tok| *tok == Tok::RParen),
        // A value block's brace has been read already.
        Shape::Braces if text.get(lo..at) == Some("{") => {
            skip_until(text, lo, |tok| *tok == Tok::RBrace)
        }
        Shape::Braces => skip_until(text, at, |tok| matches!(tok, Tok::RBrace | Tok::Semi)),
        Shape::IfElse => {
            let mut end = skip_until(text, at, |tok| *tok == Tok::RBrace);
            while let Some(next) = raw(text, end)
                && next.tok == Ok(Tok::Else)
            {
                end = skip_until(text, next.hi, |tok| *tok == Tok::RBrace);
            }
            end
        }
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
