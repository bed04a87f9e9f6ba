//! Values as JSON.
//!
//! In: a decoded [`Value`] and [`Names`]. Out: numbers, strings, arrays and objects. Enums and pointers are numbers; what has
//! only a text form (symbols, stacks, addresses) is a string. Never fails: what cannot be shown is the string `!{reason}`.

use super::string::write_string;
use crate::decode::{DecodeError, Fields, Items, Value};
use crate::output::Names;
use crate::output::format::number;
use crate::output::value::{write_display, write_failure, write_result, write_value};

/// Numbers up to here, and down to its negative, are exact in the double-precision numbers of most JSON readers.
const EXACT: u128 = 1 << 53;

/// Writes values.
pub(super) struct Values<'a> {
    /// Where they go.
    pub(super) out: &'a mut Vec<u8>,
    /// Room for text forms.
    scratch: &'a mut Vec<u8>,
    names: &'a mut Names,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        out: &'a mut Vec<u8>,
        scratch: &'a mut Vec<u8>,
        names: &'a mut Names,
    ) -> Self {
        Values {
            out,
            scratch,
            names,
        }
    }

    /// A value, or the reason why there is none.
    pub(super) fn result(&mut self, value: &Result<Value<'_>, DecodeError>) {
        match value {
            Ok(value) => self.value(value),
            Err(error) => self.failure(error),
        }
    }

    /// `"!{reason}"`
    pub(super) fn failure(&mut self, error: &DecodeError) {
        self.scratch.clear();
        write_failure(self.scratch, error);
        write_string(self.out, self.scratch);
    }

    /// A value.
    pub(super) fn value(&mut self, value: &Value<'_>) {
        match *value {
            Value::Signed(n)
            | Value::Enum {
                number: n,
                signed: true,
                ..
            } => write_integer(self.out, n.into()),
            Value::Enum {
                number: n,
                signed: false,
                ..
            } => write_integer(self.out, (n as u64).into()),
            Value::Unsigned(n) | Value::Pointer(n) => write_integer(self.out, n.into()),
            Value::Bool(b) => {
                let text: &[u8] = if b { b"true" } else { b"false" };
                self.out.extend_from_slice(text);
            }
            Value::Buffer(bytes) => self.bytes(bytes),
            Value::Tuple(fields) => self.tuple(fields),
            Value::Record(fields) => self.record(fields),
            Value::Array(items) => self.array(items),
            Value::Text { .. }
            | Value::Stack(_)
            | Value::KernelSymbol(_)
            | Value::KernelModule(_)
            | Value::UserSymbol { .. }
            | Value::Ip(_)
            | Value::Mac(_)
            | Value::Time { .. }
            | Value::Device { .. }
            | Value::NetNs(_)
            | Value::Flow(_)
            | Value::Rule(_)
            | Value::KFormat(_)
            | Value::Meaning(..)
            | Value::Flags { .. }
            | Value::Probe(_) => {
                self.scratch.clear();
                write_value(self.scratch, value, self.names);
                write_string(self.out, self.scratch);
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.push(b'[');
        for (i, &byte) in bytes.iter().enumerate() {
            self.comma(i, b",");
            number::unsigned(self.out, byte.into());
        }
        self.out.push(b']');
    }

    fn tuple(&mut self, fields: Fields<'_>) {
        self.out.push(b'[');
        for (i, (_, value)) in fields.iter().enumerate() {
            self.comma(i, b",");
            self.result(&value);
        }
        self.out.push(b']');
    }

    fn array(&mut self, items: Items<'_>) {
        self.out.push(b'[');
        for (i, value) in items.iter().enumerate() {
            self.comma(i, b",");
            self.result(&value);
        }
        self.out.push(b']');
    }

    fn record(&mut self, fields: Fields<'_>) {
        self.out.push(b'{');
        for (i, (name, value)) in fields.iter().enumerate() {
            self.comma(i, b", ");
            write_string(self.out, name.as_bytes());
            self.out.extend_from_slice(b": ");
            self.result(&value);
        }
        self.out.push(b'}');
    }

    fn comma(&mut self, index: usize, comma: &[u8]) {
        if index > 0 {
            self.out.extend_from_slice(comma);
        }
    }

    /// A map's key as the name of a member: the text form without the parentheses of tuples and without the blanks between
    /// values. Blanks inside strings stay: they tell keys apart.
    pub(super) fn key(&mut self, key: &Result<Value<'_>, DecodeError>) {
        self.scratch.clear();
        write_key(self.scratch, key, self.names);
        write_string(self.out, self.scratch);
    }
}

fn write_key(out: &mut Vec<u8>, key: &Result<Value<'_>, DecodeError>, names: &mut Names) {
    match key {
        Ok(Value::Tuple(fields)) => {
            for (i, (_, value)) in fields.iter().enumerate() {
                out.extend_from_slice(if i == 0 { b"" } else { b"," });
                write_key(out, &value, names);
            }
        }
        Ok(Value::Record(fields)) => {
            out.push(b'{');
            for (i, (name, value)) in fields.iter().enumerate() {
                out.extend_from_slice(if i == 0 { b"." } else { b",." });
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                write_key(out, &value, names);
            }
            out.push(b'}');
        }
        other => write_result(out, other, names),
    }
}

/// A number of 64 bits, signed or not; one that a double-precision reader would round is a string of its digits.
pub(super) fn write_integer(out: &mut Vec<u8>, number: i128) {
    let magnitude = number.unsigned_abs();
    let digits = magnitude >> magnitude.trailing_zeros().min(127);
    if digits <= EXACT {
        if number < 0 {
            out.push(b'-');
        }
        number::unsigned(out, u64::try_from(magnitude).unwrap_or(u64::MAX));
    } else {
        write_display(out, format_args!("\"{number}\""));
    }
}
