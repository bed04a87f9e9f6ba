//! Decides whether a `(` opens a type: the one place where the grammar is not LR(1).
//!
//! In: the text behind a `(`. Out: yes or no. bpftrace asks its symbol tables; nettrace decides by what is written, so that
//! a script means the same on every kernel:
//!
//! * `struct`, `union` and `enum` always start a type, and so do the names of [`is_type_name`].
//! * `(name *)`, with any number of stars, is a type: no expression ends in `*`.
//! * `(name)` and `(name[4])` with any other name are a cast when what follows can only start an operand: a word,
//!   a number, a string, `$`, `@`, `(`, `!` or `~`. Before `-`, `*` and `&`, which may be binary, they are an
//!   expression, so `(pid) - 1` subtracts. Who means a cast there writes `(name)(-1)`.
//! * The parentheses of `if (x)` hold a condition, never an unknown name's cast: `if (x) printf()` lacks its braces.

use crate::ast::{TypeExpr, TypeSuffix};
use crate::lexer::raw;
use crate::token::Tok;

/// What stands before the `(`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// `sizeof` or `offsetof`: a type may stand alone between the parentheses.
    Sizeof,
    /// `if`: parentheses around a condition.
    If,
    /// Anything else an operand may follow.
    Operand,
}

/// Tokens looked at, at most: a type of more parts than that is not one.
const REACH: usize = 40;

/// Whether a type follows the `(` that ends at `at`.
pub(crate) fn opens_type(text: &str, at: usize, before: Before) -> bool {
    let mut at = at;
    let mut next = || {
        let lexeme = raw(text, at)?;
        at = lexeme.hi;
        lexeme.tok.ok()
    };
    let mut first = next();
    while matches!(first, Some(Tok::Ident(name)) if is_qualifier(name)) {
        first = next();
    }
    let known = match first {
        Some(Tok::Struct | Tok::Union | Tok::Enum | Tok::Typeof) => return true,
        Some(Tok::Ident(name)) if is_type_word(name) || is_type_name(name) => true,
        Some(Tok::Ident(_)) => false,
        _ => return false,
    };
    let mut pointer = false;
    let mut multiword = known;
    for _ in 0..REACH {
        match next() {
            Some(Tok::Ident(name)) if multiword && (is_type_word(name) || is_type_name(name)) => {}
            Some(Tok::Struct | Tok::Union | Tok::Enum) if multiword => return true,
            Some(Tok::Star) => (pointer, multiword) = (true, false),
            Some(Tok::LBracket) => {
                multiword = false;
                match next() {
                    Some(Tok::RBracket) => pointer = true,
                    Some(Tok::Int(_)) if next() == Some(Tok::RBracket) => {}
                    _ => return false,
                }
            }
            Some(Tok::RParen) => {
                let certain = known || pointer;
                return match before {
                    Before::Sizeof => certain,
                    Before::If => certain && next().is_some_and(|tok| may_start_operand(&tok)),
                    Before::Operand if certain => true,
                    Before::Operand => next().is_some_and(|tok| must_start_operand(&tok)),
                };
            }
            Some(Tok::Comma) => return before == Before::Sizeof && (known || pointer),
            _ => return false,
        }
    }
    false
}

/// Tokens that start an operand and never continue an expression.
fn must_start_operand(tok: &Tok<'_>) -> bool {
    use Tok::*;
    matches!(
        tok,
        Ident(_) | Int(_) | Str(_) | Var(_) | Map(_) | Positional(_) | PositionalCount
    ) || matches!(
        tok,
        True | False | Sizeof | Offsetof | LParen | Not | Tilde | Typeinfo
    )
}

fn may_start_operand(tok: &Tok<'_>) -> bool {
    must_start_operand(tok)
        || matches!(
            tok,
            Tok::Minus | Tok::Star | Tok::Amp | Tok::PlusPlus | Tok::MinusMinus
        )
}

/// Whether a type in parentheses is recognised as one whatever follows it.
pub(crate) fn is_certain(ty: &TypeExpr) -> bool {
    let pointer =
        |suffix: &TypeSuffix| matches!(suffix, TypeSuffix::Pointer | TypeSuffix::Array(None));
    let name = ty.name.name.as_str();
    ty.tag.is_some() || ty.suffixes.iter().any(pointer) || is_type_name(name) || name.contains(' ')
}

/// Words of C that make up a type's name, alone or one after the other.
pub(crate) fn is_type_word(name: &str) -> bool {
    matches!(
        name,
        "unsigned" | "signed" | "char" | "short" | "int" | "long"
    )
}

/// Words before a type that change nothing for a tracer.
pub(crate) fn is_qualifier(name: &str) -> bool {
    matches!(name, "const" | "volatile")
}

/// Names that are certainly types: those of the language, of C, and the kernel's families of typedefs. All other names may
/// be types too, when the kernel has them, but may as well be builtins or constants.
pub(crate) fn is_type_name(name: &str) -> bool {
    let kernel = name.strip_prefix("__").unwrap_or(name);
    is_sized(
        kernel,
        &["int", "uint", "u", "s"],
        &["8", "16", "32", "64", "128"],
    ) || is_sized(kernel, &["be", "le"], &["16", "32", "64"])
        || name.ends_with("_t")
        || matches!(
            name,
            "bool"
                | "_Bool"
                | "void"
                | "char"
                | "short"
                | "int"
                | "long"
                | "float"
                | "double"
                | "unsigned"
                | "signed"
        )
        || matches!(name, "string" | "buffer" | "inet" | "__sum16" | "__wsum")
}

fn is_sized(name: &str, kinds: &[&str], sizes: &[&str]) -> bool {
    kinds
        .iter()
        .filter_map(|kind| name.strip_prefix(kind))
        .any(|size| sizes.contains(&size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast(text: &str) -> bool {
        opens_type(text, 1, Before::Operand)
    }

    #[test]
    fn casts() {
        for text in [
            "(struct sk_buff *)arg1",
            "(uint16)($th->source << 8)",
            "(uint16)-1",
            "(int8[4])$x",
            "(u8 *)$p",
            "(nf_conn_t)x",
            "(foo)$x",
            "(foo)(x)",
            "(foo *) - 1",
            "(unsigned long)-1",
            "(const struct sock *)arg0",
            "(string[16])$x",
            "(const foo *)$x",
        ] {
            assert!(cast(text), "{text}");
        }
    }

    #[test]
    fn expressions() {
        for text in [
            "(pid) - 1",
            "(pid) * 2",
            "(pid)",
            "(pid);",
            "(pid)[1]",
            "(a * b)",
            "(a * *b)",
            "(a[1] + 2)",
            "($x)",
            "(1)",
            "()",
            "((a))",
        ] {
            assert!(!cast(text), "{text}");
        }
    }

    #[test]
    fn conditions_and_sizes() {
        assert!(!opens_type("(x) printf()", 1, Before::If));
        assert!(opens_type("(uint8)$x {", 1, Before::If));
        assert!(opens_type("(uint8)", 1, Before::Sizeof));
        assert!(opens_type("(struct S, a.b)", 1, Before::Sizeof));
        assert!(!opens_type("(x)", 1, Before::Sizeof));
        assert!(!opens_type("(x[4])", 1, Before::Sizeof));
    }
}
