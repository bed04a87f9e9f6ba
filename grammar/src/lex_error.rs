//! The words for text that is no token.
//!
//! In: a [`LexError`] with the text it is about. Out: a diagnostic.

use crate::codes;
use crate::diag::Diagnostic;
use crate::number::Problem;
use crate::source::Span;
use crate::token::LexError;

/// The diagnostic for a token that could not be read.
pub(crate) fn diagnostic(error: &LexError, text: &str, span: Span) -> Diagnostic {
    match error {
        LexError::BadChar => bad_characters(text, span),
        LexError::Number(problem) => bad_number(problem, text, span),
        LexError::OpenString => open_string(span),
        LexError::Escape(problem) => {
            let lo = span.lo + 1 + problem.at as u32;
            let at = Span::new(lo, lo + problem.len as u32);
            Diagnostic::error(codes::BAD_ESCAPE, at, problem.what)
                .help("the escapes are `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\`, `\\NNN` (octal) and `\\xNN`; a backslash itself is `\\\\`")
        }
    }
}

/// A quote that its line does not close.
pub(crate) fn open_string(span: Span) -> Diagnostic {
    Diagnostic::error(codes::UNTERMINATED, span, "string without an end")
        .label("no `\"` closes it on this line")
        .help("a line break inside a string is written `\\n`")
}

/// A number with a fraction.
pub(crate) fn fraction(span: Span) -> Diagnostic {
    Diagnostic::error(codes::BAD_NUMBER, span, "numbers have no fraction")
        .note("eBPF computes with integers only")
        .help("use a smaller unit: `1500ms` is one and a half seconds in nanoseconds")
}

/// A `}` too many, in a text that is a body without braces.
pub(crate) fn nothing_to_close(span: Span) -> Diagnostic {
    Diagnostic::error(codes::UNEXPECTED_TOKEN, span, "this `}` closes nothing")
}

/// More brackets than [`crate::lexer::MAX_NESTING`].
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    let limit = crate::lexer::MAX_NESTING;
    Diagnostic::error(codes::TOO_DEEP, span, "nesting too deep")
        .note(format!(
            "the limit is {limit} levels; the rest of the script was not read"
        ))
        .help("assign parts of it to variables first")
}

/// A statement of more tokens than the lexer reads.
pub(crate) fn too_large(span: Span, limit: usize) -> Diagnostic {
    Diagnostic::error(codes::TOO_LARGE, span, "statement too large").note(format!(
        "the limit is {limit} words and signs; the rest of the script was not read"
    ))
}

/// Length of the run of characters that no token starts with, at least the first of `rest`.
pub(crate) fn bad_run(rest: &str) -> usize {
    if let Some(len) = quoted(rest) {
        return len;
    }
    let blank = rest.starts_with(is_unicode_blank);
    let bad = |&(_, c): &(usize, char)| {
        let hopeless = !c.is_ascii()
            || c.is_ascii_control() && !c.is_ascii_whitespace()
            || "'`\\#$".contains(c);
        hopeless && is_unicode_blank(c) == blank
    };
    let first = rest.chars().next().map_or(0, char::len_utf8);
    rest.char_indices()
        .skip(1)
        .take_while(bad)
        .last()
        .map_or(first, |(at, c)| at + c.len_utf8())
}

/// Length of a literal in quotes that the language does not have, if one starts here: `'a'`, `“text”`.
fn quoted(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    let close: &[char] = match first {
        '\'' => &['\''],
        '“' | '”' | '„' | '«' => &['“', '”', '»', '"'],
        '‘' | '’' => &['‘', '’', '\''],
        _ => return None,
    };
    let inside = rest.get(first.len_utf8()..)?;
    let line = inside.lines().next()?;
    let (at, last) = line.char_indices().find(|(_, c)| close.contains(c))?;
    Some(first.len_utf8() + at + last.len_utf8())
}

/// Whether the bad text is a whole literal in the wrong quotes.
pub(crate) fn is_quoted(text: &str) -> bool {
    quoted(text) == Some(text.len())
}

/// Whether the text consists of blanks that only look like ASCII's.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_unicode_blank)
}

fn is_unicode_blank(c: char) -> bool {
    !c.is_ascii() && c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}' | '\u{2060}')
}

fn bad_characters(text: &str, span: Span) -> Diagnostic {
    let first = text.chars().next().unwrap_or(' ');
    let shown: String = text.chars().take(20).flat_map(char::escape_debug).collect();
    let diag = |message| Diagnostic::error(codes::BAD_TOKEN, span, message);
    if is_blank(text) {
        let code = u32::from(first);
        return diag(format!(
            "a blank that is none for the language (U+{code:04X})"
        ))
        .help("replace it by a space; it often comes from copying a web page");
    }
    match first {
        '“' | '”' | '„' | '«' | '»' => {
            diag(format!("typographic quote `{first}`")).help("strings are written with `\"`")
        }
        '\'' | '‘' | '’' => diag(format!("`{first}` starts nothing"))
            .help("strings are written with `\"`; there are no character literals"),
        '–' | '—' | '−' => {
            diag(format!("typographic dash `{first}`")).help("minus is written `-`")
        }
        '$' => diag("`$` without a name".to_string())
            .help("variables are `$name`, parameters `$1` and `$#`"),
        '#' => diag("`#` starts nothing here".to_string()).help("comments start with `//`"),
        '\u{fffd}' => diag("text that is not UTF-8".to_string()),
        _ => diag(format!("unexpected `{shown}`")),
    }
}

fn bad_number(problem: &Problem, text: &str, span: Span) -> Diagnostic {
    let shown: String = text.chars().take(40).collect();
    let diag = |message| Diagnostic::error(codes::BAD_NUMBER, span, message);
    match problem {
        Problem::TooLarge { max } => diag(format!("number too large: `{shown}`"))
            .note(format!("the largest value here is {max}")),
        Problem::Tail(tail) => {
            let tail: String = tail.chars().take(20).collect();
            diag(format!("unknown suffix `{tail}` of a number"))
                .note("suffixes are u, l, ul, ll, ull, and for durations ns, us, ms, s, m, h, d")
        }
        Problem::Digit { digit, base } => diag(format!("`{digit}` is not an {base} digit"))
            .note("a number that starts with 0 is octal")
            .help("drop the leading zeros for a decimal number"),
        Problem::NoDigits => diag(format!("number without digits: `{shown}`")),
        Problem::ParameterZero => {
            diag("there is no parameter `$0`".to_string()).note("parameters count from `$1`")
        }
    }
}
