//! printf: a parsed format and a record's fields to text.
//!
//! Flags, width and precision mean what they mean in C. What differs from bpftrace, which ignores precision and pads before the
//! sign, is listed in docs/differences-from-bpftrace.md. A value that cannot be printed appears as `!{reason}`.

pub(crate) mod number;

use nettrace_compiler::artifact::{Conversion, Field, Piece, Spec};

use self::number::Digits;
use super::Names;
use super::value::{Keep, write_escaped, write_failure, write_plain_hex, write_value};
use crate::decode::{Value, decode_field, sign_extend};

/// Widths and precisions beyond this are cut: they are mistakes, and each would be that many bytes per event.
const MAX_WIDTH: usize = 4096;

/// Appends a formatted record. The pieces take the fields in order.
pub fn write_printf(
    out: &mut Vec<u8>,
    pieces: &[Piece],
    fields: &[Field],
    record: &[u8],
    names: &mut Names,
) {
    let mut fields = fields.iter();
    // What `*` has said about the next value.
    let (mut width, mut precision) = (None, None);
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Width => width = fields.next().and_then(|f| number_in(f, record)),
            Piece::Precision => precision = fields.next().and_then(|f| number_in(f, record)),
            Piece::Value(spec) => match fields.next().map(|field| decode_field(field, record)) {
                Some(Ok(value)) if width.is_some() || precision.is_some() => {
                    let spec = with_stars(spec.clone(), width.take(), precision.take());
                    write_spec(out, &spec, &value, names);
                }
                Some(Ok(value)) => write_spec(out, spec, &value, names),
                Some(Err(error)) => write_failure(out, error),
                None => write_failure(out, "no argument"),
            },
        }
    }
}

fn number_in(field: &Field, record: &[u8]) -> Option<i64> {
    let bits = decode_field(field, record).ok()?.bits()?;
    Some(bits as i64)
}

/// A conversion with the width and the precision that its `*` had.
fn with_stars(mut spec: Spec, width: Option<i64>, precision: Option<i64>) -> Spec {
    if let Some(width) = width {
        spec.left |= width < 0;
        spec.width = u32::try_from(width.unsigned_abs()).unwrap_or(u32::MAX);
    }
    if let Some(precision) = precision {
        let clamped = u32::try_from(precision.min(MAX_WIDTH as i64));
        spec.precision = clamped.ok();
    }
    spec
}

/// Appends one value as a conversion specification says.
pub fn write_spec(out: &mut Vec<u8>, spec: &Spec, value: &Value<'_>, names: &mut Names) {
    match spec.conversion {
        Conversion::Text => padded(out, spec, |out| {
            write_value(out, value, names);
        }),
        Conversion::Buffer | Conversion::BufferHex | Conversion::BufferPlain => {
            match raw_bytes(value) {
                Some(bytes) => padded(out, spec, |out| match spec.conversion {
                    Conversion::BufferPlain => write_plain_hex(out, bytes),
                    Conversion::BufferHex => write_escaped(out, bytes, Keep::Nothing),
                    _ => write_escaped(out, bytes, Keep::Printable),
                }),
                None => write_failure(out, "not a buffer"),
            }
        }
        _ => match value.bits() {
            Some(bits) => write_integer(out, spec, bits),
            None => write_failure(out, "not a number"),
        },
    }
}

fn raw_bytes<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match *value {
        Value::Buffer(bytes) | Value::Text { bytes, .. } => Some(bytes),
        Value::Array(items) => items.raw(),
        _ => None,
    }
}

fn width(spec: &Spec) -> usize {
    (spec.width as usize).min(MAX_WIDTH)
}

/// Appends text, cut to the precision and filled with blanks to the width. Both count bytes, as in C.
fn padded(out: &mut Vec<u8>, spec: &Spec, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    if let Some(precision) = spec.precision {
        out.truncate(out.len().min(start + precision as usize));
    }
    let written = out.len() - start;
    let missing = width(spec).saturating_sub(written);
    out.resize(out.len() + missing, b' ');
    if !spec.left {
        out[start..].rotate_right(missing);
    }
}

fn write_integer(out: &mut Vec<u8>, spec: &Spec, bits: u64) {
    let bits_wide = match spec.bytes {
        0 if i32::try_from(bits as i64).is_ok() => 32,
        0 => 64,
        bytes => u32::from(bytes.min(8)) * 8,
    };
    let unsigned = bits & (u64::MAX >> (64 - bits_wide));
    match spec.conversion {
        Conversion::Signed => {
            let value = sign_extend(unsigned, bits_wide);
            let sign: &[u8] = match value {
                ..0 => b"-",
                _ if spec.plus => b"+",
                _ if spec.space => b" ",
                _ => b"",
            };
            write_digits(
                out,
                spec,
                sign,
                &Digits::new(value.unsigned_abs(), 10, false),
            );
        }
        Conversion::Char => {
            let byte = bits as u8;
            padded(
                out,
                &Spec {
                    precision: None,
                    ..spec.clone()
                },
                |out| out.push(byte),
            );
        }
        // Not cut to a length: a pointer has one size.
        Conversion::Pointer => write_digits(out, spec, b"0x", &Digits::new(bits, 16, false)),
        Conversion::Hex => {
            let prefix: &[u8] = if spec.alternate && unsigned != 0 {
                b"0x"
            } else {
                b""
            };
            write_digits(out, spec, prefix, &Digits::new(unsigned, 16, false));
        }
        Conversion::HexUpper => {
            let prefix: &[u8] = if spec.alternate && unsigned != 0 {
                b"0X"
            } else {
                b""
            };
            write_digits(out, spec, prefix, &Digits::new(unsigned, 16, true));
        }
        Conversion::Octal => {
            let digits = Digits::new(unsigned, 8, false);
            // `#` makes the first digit a zero, unless precision does.
            let enough = spec
                .precision
                .is_some_and(|p| p as usize > digits.as_bytes().len());
            let prefix: &[u8] = if spec.alternate && unsigned != 0 && !enough {
                b"0"
            } else {
                b""
            };
            write_digits(out, spec, prefix, &digits);
        }
        _ => write_digits(out, spec, b"", &Digits::new(unsigned, 10, false)),
    }
}

/// Blanks, prefix, zeros, digits, blanks: `0` fills behind the prefix, unless there is a precision or `-`.
fn write_digits(out: &mut Vec<u8>, spec: &Spec, prefix: &[u8], digits: &Digits) {
    let digits = match (spec.precision, digits.as_bytes()) {
        // C: zero with precision zero has no digits; `%#.0o` still shows its zero.
        (Some(0), b"0") if !(spec.alternate && spec.conversion == Conversion::Octal) => b"",
        (_, digits) => digits,
    };
    let used = prefix.len() + digits.len();
    let zeros = match spec.precision {
        Some(precision) => (precision as usize)
            .min(MAX_WIDTH)
            .saturating_sub(digits.len()),
        None if spec.zero && !spec.left => width(spec).saturating_sub(used),
        None => 0,
    };
    let blanks = width(spec).saturating_sub(used + zeros);
    let fill = |out: &mut Vec<u8>, count, byte| out.resize(out.len() + count, byte);
    if !spec.left {
        fill(out, blanks, b' ');
    }
    out.extend_from_slice(prefix);
    fill(out, zeros, b'0');
    out.extend_from_slice(digits);
    if spec.left {
        fill(out, blanks, b' ');
    }
}

#[cfg(test)]
mod tests;
