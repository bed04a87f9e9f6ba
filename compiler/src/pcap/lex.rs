//! Text of a filter to tokens.
//!
//! The longest token wins, as in pcap's scanner: `tcp-syn` is one word, `10-20` is one name (what `portrange` wants) and no
//! subtraction, `1:2:3:4:5:6` is a MAC address, `2:2` is three tokens. Errors are the text that no token starts with and numbers
//! beyond 32 bits.

use std::net::Ipv6Addr;
use std::ops::Range;

use nettrace_grammar::diag::Diagnostic;
use nettrace_grammar::{Span, codes};

use super::words::{Word, constant, keyword};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tok {
    Word(Word),
    /// A number or the name of one.
    Number(u32),
    /// Two to four decimal numbers with dots.
    Dotted(Vec<u32>),
    V6(Ipv6Addr),
    Mac([u8; 6]),
    /// Anything else that names something; a backslash before it takes a keyword's meaning away.
    Name(String),
    /// An operator, as text.
    Op(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) span: Span,
}

/// Where a filter's text stands in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    base: Span,
    exact: bool,
}

impl Place {
    /// `base` covers the text. Where the lengths differ (a string with escapes), marks can only be put under the whole of it.
    pub(super) fn new(text: &str, base: Span) -> Place {
        let exact = (base.hi - base.lo) as usize == text.len();
        Place { base, exact }
    }

    /// The place of a piece of the text.
    pub(super) fn span(self, range: Range<usize>) -> Span {
        match self.exact {
            true => Span::new(
                self.base.lo + range.start as u32,
                self.base.lo + range.end as u32,
            ),
            false => self.base,
        }
    }
}

/// Longer ones first.
const OPERATORS: &[&str] = &[
    "&&", "||", ">=", "<=", "!=", "==", "<<", ">>", "+", "-", "*", "/", "%", ":", "[", "]", "!",
    "<", ">", "(", ")", "&", "|", "^", "=",
];

/// No address is longer in text.
const LONGEST_ADDRESS: usize = 45;

/// All tokens of a text.
pub(super) fn lex(text: &str, place: Place) -> Result<Vec<Token>, Diagnostic> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        at += blank;
        let rest = &rest[blank..];
        if rest.is_empty() {
            break;
        }
        let (tok, len) = token(rest, at, place)?;
        tokens.push(Token {
            tok,
            span: place.span(at..at + len),
        });
        at += len;
    }
    Ok(tokens)
}

/// The token that a text starts with, and its length.
fn token(rest: &str, at: usize, place: Place) -> Result<(Tok, usize), Diagnostic> {
    if let Some(name) = rest.strip_prefix('\\') {
        let end = name.find([' ', '!', '(', ')', '\n', '\t']);
        let name = &name[..end.unwrap_or(name.len())];
        if !name.is_empty() {
            return Ok((Tok::Name(name.to_string()), name.len() + 1));
        }
    }
    let word = word(rest);
    if let Some((tok, len)) = address(rest, word.len()) {
        return Ok((tok, len));
    }
    if !word.is_empty() {
        let span = place.span(at..at + word.len());
        return Ok((classify(word, span)?, word.len()));
    }
    if let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
        return Ok((Tok::Op(op), op.len()));
    }
    let odd = rest.chars().next().map_or(1, char::len_utf8);
    Err(unknown(&rest[..odd], place.span(at..at + odd)))
}

fn unknown(text: &str, span: Span) -> Diagnostic {
    let message = match text {
        "$" => "addresses that begin with `$` are ARCnet's".to_string(),
        _ => format!("{text:?} means nothing in a packet filter"),
    };
    let diag = Diagnostic::error(codes::BAD_FILTER, span, message);
    match text {
        "\"" | "'" => diag.help("names and addresses need no quotes here"),
        "{" | "}" => diag.help("groups are written in parentheses: ( )"),
        "~" => diag.help("the filter language has no complement; `x ^ 0xffffffff` gives it"),
        ";" | "," => diag.help("tests are joined with `and` and `or`"),
        "$" => diag.note("nettrace sees Ethernet frames and IP packets"),
        _ => diag,
    }
}

/// Letters, digits and `-_.`, beginning with a letter or digit and not ending in `-` or `_`.
fn word(rest: &str) -> &str {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return "";
    }
    let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['-', '_'])
}

/// A MAC or IPv6 address, if it is no shorter than the word there.
fn address(rest: &str, word: usize) -> Option<(Tok, usize)> {
    let inside = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '-');
    if !rest.starts_with(|c: char| c.is_ascii_hexdigit()) && !rest.starts_with("::") {
        return None;
    }
    let run = rest.find(|c| !inside(c)).unwrap_or(rest.len());
    let run = &rest[..run.min(LONGEST_ADDRESS)];
    // Everything before the end is ASCII.
    (word.max(2)..=run.len()).rev().find_map(|len| {
        let text = &run[..len];
        let mac = mac(text).map(Tok::Mac);
        let v6 = || text.parse().ok().map(Tok::V6);
        Some((mac.or_else(v6)?, len))
    })
}

/// `a:b:c:d:e:f`, the same with dots or dashes, `aabb.ccdd.eeff`, `aabbccddeeff`.
fn mac(text: &str) -> Option<[u8; 6]> {
    if !(11..=17).contains(&text.len()) {
        return None;
    }
    let mut bytes = [0; 6];
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if text.len() == 12 && digits(text) {
        bytes.copy_from_slice(hex(text)?.to_be_bytes().get(2..)?);
        return Some(bytes);
    }
    let quads: Vec<&str> = text.split('.').collect();
    if quads.len() == 3 && quads.iter().all(|quad| quad.len() == 4 && digits(quad)) {
        bytes.copy_from_slice(hex(&quads.concat())?.to_be_bytes().get(2..)?);
        return Some(bytes);
    }
    for separator in [':', '-', '.'] {
        let parts: Vec<&str> = text.split(separator).collect();
        let shaped = |part: &&str| matches!(part.len(), 1 | 2) && digits(part);
        if parts.len() == 6 && parts.iter().all(shaped) {
            for (byte, part) in bytes.iter_mut().zip(parts) {
                *byte = u8::from_str_radix(part, 16).ok()?;
            }
            return Some(bytes);
        }
    }
    None
}

/// What a word is.
fn classify(word: &str, span: Span) -> Result<Tok, Diagnostic> {
    if let Some(keyword) = keyword(word) {
        return Ok(Tok::Word(keyword));
    }
    if let Some(number) = constant(word) {
        return Ok(Tok::Number(number));
    }
    if word.bytes().all(|b| b.is_ascii_digit()) || is_hex(word) {
        return number(word, span).map(Tok::Number);
    }
    let parts: Vec<&str> = word.split('.').collect();
    let decimal = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if matches!(parts.len(), 2..=4) && parts.iter().all(decimal) {
        let parts = parts.iter().map(|part| part.parse().unwrap_or(u32::MAX));
        return Ok(Tok::Dotted(parts.collect()));
    }
    Ok(Tok::Name(word.to_string()))
}

fn is_hex(word: &str) -> bool {
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Decimal, `0x` hexadecimal or `0` octal.
fn number(word: &str, span: Span) -> Result<u32, Diagnostic> {
    let (digits, radix) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&word[2..], 16),
        [b'0', _, ..] => (&word[1..], 8),
        _ => (word, 10),
    };
    if radix == 8 && digits.contains(['8', '9']) {
        return Err(Diagnostic::error(
            codes::BAD_FILTER,
            span,
            format!("`{word}` begins with 0 and has a digit that octal numbers lack"),
        )
        .help("write it without the leading 0"));
    }
    u32::from_str_radix(digits, radix).map_err(|_| {
        let message = format!("the number `{word}` does not fit into 32 bits");
        Diagnostic::error(codes::BAD_FILTER, span, message).note("the largest is 4294967295")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toks(text: &str) -> Vec<Tok> {
        let base = Span::new(0, text.len() as u32);
        let tokens = lex(text, Place::new(text, base)).unwrap();
        tokens.into_iter().map(|token| token.tok).collect()
    }

    #[test]
    fn the_longest_token_wins() {
        assert_eq!(toks("tcp-syn"), [Tok::Number(2)]);
        assert_eq!(toks("10-20"), [Tok::Name("10-20".to_string())]);
        assert_eq!(toks("2:2").len(), 3);
        assert_eq!(toks("portrange").len(), 1);
        assert_eq!(toks("a-(b").len(), 4);
    }

    #[test]
    fn addresses() {
        assert_eq!(toks("1:2:3:4:5:6"), [Tok::Mac([1, 2, 3, 4, 5, 6])]);
        assert_eq!(toks("0102.0304.0506"), [Tok::Mac([1, 2, 3, 4, 5, 6])]);
        assert_eq!(toks("01-02-3-4-5-6"), [Tok::Mac([1, 2, 3, 4, 5, 6])]);
        assert_eq!(toks("1.2.3.4.5.6"), [Tok::Mac([1, 2, 3, 4, 5, 6])]);
        assert_eq!(toks("010203040506"), [Tok::Mac([1, 2, 3, 4, 5, 6])]);
        assert_eq!(toks("1.2.3.4"), [Tok::Dotted(vec![1, 2, 3, 4])]);
        assert_eq!(toks("::1"), [Tok::V6(Ipv6Addr::LOCALHOST)]);
        assert_eq!(toks("fe80::1/64").len(), 3);
        assert_eq!(
            toks("::ffff:1.2.3.4"),
            [Tok::V6("::ffff:1.2.3.4".parse().unwrap())]
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(
            toks("0x1F 017 19"),
            [Tok::Number(31), Tok::Number(15), Tok::Number(19)]
        );
        assert_eq!(toks("\\tcp"), [Tok::Name("tcp".to_string())]);
        for wrong in ["08", "4294967296", "0x100000000"] {
            let base = Span::new(0, wrong.len() as u32);
            assert!(lex(wrong, Place::new(wrong, base)).is_err(), "{wrong}");
        }
    }
}
