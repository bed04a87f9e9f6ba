//! String literals: where they end, what their escapes mean, and how to write bytes as one.
//!
//! In: the text behind an opening quote. Out: bytes. The language knows `\n \t \r \" \\`, octal `\0`-`\377` with up to three
//! digits and `\x` with up to two hexadecimal ones; a raw line break ends nothing and is refused.

use std::fmt::Write;

/// An escape that does not exist.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    /// Offset of the backslash behind the opening quote.
    pub(crate) at: usize,
    /// Bytes from the backslash on that belong to it.
    pub(crate) len: usize,
    /// What is wrong with it.
    pub(crate) what: &'static str,
}

/// Offset of the quote that ends the string; `Err` is the end of the line where there is none.
pub(crate) fn closing_quote(rest: &str) -> Result<usize, usize> {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\n' => return Err(at),
            b'\\' if bytes.get(at + 1).is_some_and(|&next| next != b'\n') => at += 2,
            _ => at += 1,
        }
    }
    Err(bytes.len())
}

/// The bytes that the text between two quotes stands for.
pub(crate) fn resolve(text: &str) -> Result<Vec<u8>, Problem> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let (value, len) = one(text, at)?;
        out.push(value);
        at += len;
    }
    Ok(out)
}

/// The escape at `at`: its value and its length with the backslash.
fn one(text: &str, at: usize) -> Result<(u8, usize), Problem> {
    let rest = text.get(at + 1..).unwrap_or("");
    let first = rest.chars().next();
    let simple = match first {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('"') => b'"',
        Some('\\') => b'\\',
        Some('0'..='7') => return octal(rest, at),
        Some('x' | 'X') => return hexadecimal(rest, at),
        other => {
            return Err(Problem {
                at,
                len: 1 + other.map_or(0, char::len_utf8),
                what: "unknown escape sequence",
            });
        }
    };
    Ok((simple, 2))
}

fn octal(rest: &str, at: usize) -> Result<(u8, usize), Problem> {
    let digits = rest
        .bytes()
        .take(3)
        .take_while(|b| (b'0'..=b'7').contains(b));
    let (value, len) = digits.fold((0u32, 0), |(value, len), digit| {
        (value * 8 + u32::from(digit - b'0'), len + 1)
    });
    match u8::try_from(value) {
        Ok(value) => Ok((value, 1 + len)),
        Err(_) => Err(Problem {
            at,
            len: 1 + len,
            what: "octal escape above `\\377`",
        }),
    }
}

fn hexadecimal(rest: &str, at: usize) -> Result<(u8, usize), Problem> {
    let digits = rest.chars().skip(1).take(2).map_while(|c| c.to_digit(16));
    let (value, len) = digits.fold((0u32, 0), |(value, len), digit| {
        (value * 16 + digit, len + 1)
    });
    match u8::try_from(value) {
        Ok(value) if len > 0 => Ok((value, 2 + len)),
        _ => Err(Problem {
            at,
            len: 2,
            what: "`\\x` without a hexadecimal digit",
        }),
    }
}

/// Writes bytes as a string literal with its quotes: the inverse of [`resolve`].
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                // Two digits always, so that a digit behind the escape stays a character of its own.
                c if c.is_ascii_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes() {
        assert_eq!(resolve(r#"a\n\t\r\"\\"#), Ok(b"a\n\t\r\"\\".to_vec()));
        assert_eq!(resolve(r"\101\1018\0"), Ok(b"AA8\0".to_vec()));
        assert_eq!(resolve(r"\x41\X4g"), Ok(b"A\x04g".to_vec()));
    }

    #[test]
    fn wrong_escapes_say_where() {
        let wrong = |text| resolve(text).map_err(|p| (p.at, p.len));
        assert_eq!(wrong(r"ab\q"), Err((2, 2)));
        assert_eq!(wrong(r"\400"), Err((0, 4)));
        assert_eq!(wrong(r"\xg"), Err((0, 2)));
        assert_eq!(wrong("\\é"), Err((0, 3)));
    }

    #[test]
    fn an_escaped_quote_does_not_end_the_string() {
        assert_eq!(closing_quote(r#"a\"b" c"#), Ok(4));
        assert_eq!(closing_quote("ab\n\""), Err(2));
        assert_eq!(closing_quote("ab\\"), Err(3));
    }

    #[test]
    fn any_bytes_survive_quoting() {
        let all: Vec<u8> = (0..=255).collect();
        let quoted = quote(&all);
        let inside = &quoted[1..quoted.len() - 1];
        assert_eq!(resolve(inside), Ok(all));
    }
}
