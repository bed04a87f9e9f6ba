//! An attach point's text to its parts: `kprobe:nf_conntrack:nf_ct_*` to three.
//!
//! In: the text as written, positional parameters. Out: parts with their places. Quoted parts keep special characters; `$1` is
//! replaced by the first positional parameter, `$name` by an option of the script.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::{Part, Resolver, whole};
use crate::check::span_of_option;
use crate::unit::OptionValue;

/// An option may name other options (`calls($root)`); one that names itself comes to an end.
const NESTED_OPTIONS: u32 = 4;

/// The parts between the colons; `None` after reporting.
pub(super) fn parts(r: &mut Resolver<'_>, point: &ast::AttachPoint) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (at, c) in point.text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ':' if !quoted => {
                parts.push(part(r, point, start, at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        let diag = Diagnostic::error(
            codes::BAD_PROBE,
            point.span,
            "a quote of this probe has no end",
        );
        r.error(diag);
        return None;
    }
    parts.push(part(r, point, start, point.text.len())?);
    Some(parts)
}

fn part(r: &mut Resolver<'_>, point: &ast::AttachPoint, start: usize, end: usize) -> Option<Part> {
    let text = point.text.get(start..end).unwrap_or("");
    let lo = point
        .span
        .lo
        .saturating_add(start as u32)
        .min(point.span.hi);
    let span = Span::new(lo, lo.saturating_add(text.len() as u32).min(point.span.hi));
    // What is nothing but an option is best shown where it was given.
    let given = text.trim().strip_prefix('$');
    let given = given.and_then(|name| span_of_option(r.option_spans, name));
    let text = insert_params(r, text, span, NESTED_OPTIONS)?;
    Some(Part {
        text: text.replace('"', "").trim().to_string(),
        span: given.unwrap_or(span),
    })
}

/// The text of an option of the script, given or not.
fn option(r: &mut Resolver<'_>, name: &str, span: Span) -> Option<String> {
    let known = r.options.iter().rev().find(|(n, _)| n == name);
    let Some((_, value)) = known else {
        let message =
            format!("this probe needs the option `{name}`, which the script does not have");
        let help = format!("make it one: `getopt(\"{name}\", \"*\")`");
        r.error(Diagnostic::error(codes::BAD_PROBE, span, message).help(help));
        return None;
    };
    Some(match value {
        OptionValue::Text(text) => text.clone(),
        OptionValue::Number(n) => n.to_string(),
        OptionValue::Flag(flag) => flag.to_string(),
    })
}

/// Replaces `$N` by the parameter and `$name` by the script's option of that name, so many levels deep.
fn insert_params(r: &mut Resolver<'_>, text: &str, span: Span, nested: u32) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let letters = tail
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        let (name, after) = tail.split_at(letters);
        if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let value = option(r, name, span)?;
            match nested.checked_sub(1) {
                Some(nested) => out.push_str(&insert_params(r, &value, span, nested)?),
                None => out.push_str(&value),
            }
            rest = after;
            continue;
        }
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = tail.split_at(digits);
        let param = number
            .parse::<usize>()
            .ok()
            .and_then(|n| n.checked_sub(1))
            .and_then(|n| r.params.get(n));
        match param {
            Some(value) => out.push_str(value),
            None => {
                let message =
                    format!("this probe needs the parameter `${number}`, which was not given");
                let help = "parameters follow the script on the command line";
                r.error(Diagnostic::error(codes::BAD_PROBE, span, message).help(help));
                return None;
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// A number as attach points write it: decimal or `0x` hexadecimal.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Reports a probe that is not written as its kind wants it.
pub(super) fn bad_form(
    r: &mut Resolver<'_>,
    point: &ast::AttachPoint,
    usage: &str,
    message: String,
) {
    let span = whole(point).span;
    r.error(
        Diagnostic::error(codes::BAD_PROBE, span, message).help(format!("the form is `{usage}`")),
    );
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_of_attach_points() {
        assert_eq!(number("0x10"), Some(16));
        assert_eq!(number("12"), Some(12));
        assert_eq!(number("0x"), None);
        assert_eq!(number("-1"), None);
    }
}
