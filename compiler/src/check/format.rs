//! printf: a format string to pieces, and its arguments to what they ask for.
//!
//! `%[-][+][ ][#][0][width][.precision][hh|h|l|ll|j|z|t|L]conversion`, where `*` as a width or precision is the argument before
//! the value. Integers without a length are those of C, 32 bits wide;
//! a number that 32 bits cannot hold is printed whole all the same, never cut.

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{CallSite, Checker};
use crate::artifact::{Conversion, Piece, Spec};
use crate::typed::Expr;
use crate::types::{Type, Types};

/// Widths and precisions beyond this are a mistake.
const MAX_WIDTH: u32 = 4096;

/// Why a format cannot be read.
struct Unreadable {
    message: String,
    help: Option<&'static str>,
}

/// A conversion, and whether a length modifier fixed its width.
struct Parsed {
    spec: Spec,
    sized: bool,
    /// The width, the precision is an argument.
    width_given: bool,
    precision_given: bool,
    /// As written.
    text: String,
}

enum Part {
    Text(String),
    Value(Parsed),
}

impl Part {
    /// How many arguments it takes.
    fn arguments(&self) -> usize {
        match self {
            Part::Text(_) => 0,
            Part::Value(p) => 1 + usize::from(p.width_given) + usize::from(p.precision_given),
        }
    }
}

/// The pieces and the arguments of a printf; `None` after reporting.
pub(crate) fn check(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<(Vec<Piece>, Vec<Expr>)> {
    let (first, rest) = site.args.split_first()?;
    let format = c.literal_text(first, "the format of printf()");
    let values: Vec<Option<Expr>> = rest.iter().map(|e| c.value(e)).collect();
    let parts = match parse(&format?) {
        Ok(parts) => parts,
        Err(problem) => {
            let mut diag = Diagnostic::error(codes::BAD_FORMAT, first.span, problem.message);
            if let Some(help) = problem.help {
                diag = diag.help(help);
            }
            c.report(diag);
            return None;
        }
    };
    let wanted = parts.iter().map(Part::arguments).sum();
    if wanted != rest.len() {
        count_mismatch(c, site, wanted);
        return None;
    }
    let mut pieces = Vec::new();
    let mut args = Some(Vec::new());
    let mut values = values.into_iter().zip(rest);
    for part in parts {
        let parsed = match part {
            Part::Text(text) => {
                pieces.push(Piece::Text(text));
                continue;
            }
            Part::Value(parsed) => parsed,
        };
        let stars = [
            (parsed.width_given, Piece::Width),
            (parsed.precision_given, Piece::Precision),
        ];
        for (_, piece) in stars.into_iter().filter(|(given, _)| *given) {
            let (value, at) = values.next()?;
            match (value.and_then(|v| star(c, v, &parsed.text, at)), &mut args) {
                (Some(value), Some(args)) => {
                    pieces.push(piece);
                    args.push(value);
                }
                _ => args = None,
            }
        }
        let (value, at) = values.next()?;
        let arg = value.and_then(|v| argument(c, v, parsed, at));
        match (arg, &mut args) {
            (Some((piece, value)), Some(args)) => {
                pieces.push(piece);
                args.push(value);
            }
            _ => args = None,
        }
    }
    Some((pieces, args?))
}

/// A width or precision that is an argument.
fn star(c: &mut Checker<'_>, value: Expr, text: &str, at: &ast::Expr) -> Option<Expr> {
    if !c.is_int_like(value.ty) {
        let ty = c.describe(value.ty);
        let message = format!("a `*` of `{text}` takes a number, not {ty}");
        c.report(Diagnostic::error(codes::BAD_FORMAT, at.span, message));
        return None;
    }
    Some(c.widen(value))
}

fn count_mismatch(c: &mut Checker<'_>, site: &CallSite<'_>, wanted: usize) {
    let given = site.args.len().saturating_sub(1);
    let few = if given < wanted { "few" } else { "many" };
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (wants, gets) = (plural(wanted, "value"), plural(given, "value"));
    let message = format!("too {few} arguments: the format takes {wants}, the call has {gets}");
    let mut diag = Diagnostic::error(codes::BAD_FORMAT, site.span, message);
    if let Some(extra) = site.args.get(wanted + 1) {
        diag = diag.also(extra.span, "the first one too many");
    }
    c.report(diag.help("a literal percent sign is written `%%`"));
}

/// Checks an argument against its conversion.
fn argument(
    c: &mut Checker<'_>,
    value: Expr,
    parsed: Parsed,
    at: &ast::Expr,
) -> Option<(Piece, Expr)> {
    let Parsed {
        mut spec,
        sized,
        text,
        ..
    } = parsed;
    match spec.conversion {
        Conversion::Text => {
            c.expect_printable(&value, at)?;
            Some((Piece::Value(spec), value))
        }
        Conversion::Buffer | Conversion::BufferHex | Conversion::BufferPlain => {
            if !matches!(c.types.get(value.ty), Type::Buf { .. }) {
                mismatch(
                    c,
                    &value,
                    &text,
                    at,
                    "it prints a buffer: `buf(address, length)`",
                );
                return None;
            }
            Some((Piece::Value(spec), value))
        }
        _ => {
            let pointer = c.pointee(value.ty).is_some();
            let named = matches!(c.types.get(value.ty), Type::KSym | Type::NetNs);
            let number = c.is_int_like(value.ty) || pointer || named;
            if !number {
                let help = match c.types.get(value.ty) {
                    Type::Record(_) | Type::Array { .. } => {
                        "it prints a number; %s prints a whole struct or array"
                    }
                    _ => "it prints a number; %s prints anything",
                };
                mismatch(c, &value, &text, at, help);
                return None;
            }
            if !sized {
                spec.bytes = match c.size_of(value.ty) {
                    Some(..=4) => 4,
                    // Whether `%x` of -1 has 8 or 16 digits depends on what 32 bits can hold.
                    _ if matches!(c.types.get(value.ty), Type::Int { signed: true, .. }) => 0,
                    _ => 8,
                };
            }
            if matches!(spec.conversion, Conversion::Signed | Conversion::Unsigned) {
                c.warn_printed(&value, &text);
            }
            // Extended by the value's own sign: the conversion then looks at as many bytes as it wants.
            let wide = match c.is_int_like(value.ty) {
                true => c.widen(value),
                false => c.convert(value, Types::U64),
            };
            Some((Piece::Value(spec), wide))
        }
    }
}

fn mismatch(c: &mut Checker<'_>, value: &Expr, text: &str, at: &ast::Expr, help: &str) {
    let ty = c.describe(value.ty);
    let message = format!("`{text}` cannot print {ty}");
    c.report(
        Diagnostic::error(codes::BAD_FORMAT, at.span, message)
            .label(format!("this is {ty}"))
            .help(help),
    );
}

fn parse(format: &str) -> Result<Vec<Part>, Unreadable> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at + 1..).unwrap_or("");
        if let Some(after) = rest.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let (parsed, used) = conversion(rest)?;
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(Part::Value(parsed));
        rest = rest.get(used..).unwrap_or("");
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

/// The conversion at the start of a text, behind the `%`, and its length.
fn conversion(text: &str) -> Result<(Parsed, usize), Unreadable> {
    let mut spec = Spec {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        width: 0,
        precision: None,
        bytes: 4,
        conversion: Conversion::Text,
    };
    let mut at = 0;
    let next = |at: usize| text.get(at..).and_then(|t| t.chars().next());
    while let Some(flag) = next(at).filter(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => spec.left = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            '#' => spec.alternate = true,
            _ => spec.zero = true,
        }
        at += 1;
    }
    let width_given = next(at) == Some('*');
    match width_given {
        true => at += 1,
        false => spec.width = count(text, &mut at)?.unwrap_or(0),
    }
    let mut precision_given = false;
    if next(at) == Some('.') {
        at += 1;
        precision_given = next(at) == Some('*');
        match precision_given {
            true => at += 1,
            false => spec.precision = Some(count(text, &mut at)?.unwrap_or(0)),
        }
    }
    let lengths = [
        ("hh", 1),
        ("h", 2),
        ("ll", 8),
        ("l", 8),
        ("j", 8),
        ("z", 8),
        ("t", 8),
        ("L", 8),
    ];
    let tail = text.get(at..).unwrap_or("");
    let length = lengths.iter().find(|(name, _)| tail.starts_with(name));
    if let Some((name, bytes)) = length {
        spec.bytes = *bytes;
        at += name.len();
    }
    let tail = text.get(at..).unwrap_or("");
    let (conversion, used) = letter(tail).ok_or_else(|| unknown(tail))?;
    at += used;
    spec.conversion = conversion;
    if matches!(conversion, Conversion::Pointer) {
        spec.bytes = 8;
    }
    let parsed = Parsed {
        spec,
        width_given,
        precision_given,
        sized: length.is_some() || matches!(conversion, Conversion::Pointer),
        text: format!("%{}", text.get(..at).unwrap_or("")),
    };
    Ok((parsed, at))
}

/// A width or precision.
fn count(text: &str, at: &mut usize) -> Result<Option<u32>, Unreadable> {
    let tail = text.get(*at..).unwrap_or("");
    let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok(None);
    }
    *at += digits;
    let number = tail.get(..digits).and_then(|d| d.parse().ok());
    match number.filter(|n| *n <= MAX_WIDTH) {
        Some(n) => Ok(Some(n)),
        None => Err(Unreadable {
            message: format!("a width of more than {MAX_WIDTH} characters"),
            help: None,
        }),
    }
}

fn letter(text: &str) -> Option<(Conversion, usize)> {
    const LETTERS: [(&str, Conversion); 12] = [
        ("rx", Conversion::BufferHex),
        ("rh", Conversion::BufferPlain),
        ("r", Conversion::Buffer),
        ("d", Conversion::Signed),
        ("i", Conversion::Signed),
        ("u", Conversion::Unsigned),
        ("o", Conversion::Octal),
        ("x", Conversion::Hex),
        ("X", Conversion::HexUpper),
        ("c", Conversion::Char),
        ("p", Conversion::Pointer),
        ("s", Conversion::Text),
    ];
    LETTERS
        .iter()
        .find(|(name, _)| text.starts_with(name))
        .map(|(name, conversion)| (*conversion, name.len()))
}

fn unknown(tail: &str) -> Unreadable {
    match tail.chars().next() {
        None => Unreadable {
            message: "the format ends in a single `%`".to_string(),
            help: Some("a literal percent sign is written `%%`"),
        },
        Some(c) if "eEfFgGaA".contains(c) => Unreadable {
            message: format!(
                "there is no conversion `%{c}`: the language has no floating point numbers"
            ),
            help: Some("multiply first, then divide: `$n * 100 / $total`"),
        },
        Some(c) => Unreadable {
            message: format!("there is no conversion `%{}`", c.escape_default()),
            help: Some(
                "the conversions are d i u o x X c p s r rx rh; a percent sign is written `%%`",
            ),
        },
    }
}
