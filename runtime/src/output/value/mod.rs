//! The text form of every value: what `print()`, `%s` and map dumps show.
//!
//! In: a decoded [`Value`] and [`Names`]. Out: bytes appended to a buffer. Never fails: what cannot be shown appears as
//! `!{reason}` in its place.

mod broad;
mod flow;
mod kformat;
mod meaning;

use std::io::Write;

use nettrace_compiler::artifact::StackMode;

pub use broad::{write_broad, write_broad_after};

use super::Names;
use super::format::number;
use crate::decode::{DecodeError, Fields, Items, Stack, Value};

/// Appends a value's text form.
pub fn write_value(out: &mut Vec<u8>, value: &Value<'_>, names: &mut Names) {
    match *value {
        Value::Signed(n) => number::signed(out, n),
        Value::Unsigned(n) => number::unsigned(out, n),
        Value::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Value::Enum {
            name: Some(name), ..
        } => out.extend_from_slice(name.as_bytes()),
        Value::Enum {
            number,
            signed: true,
            ..
        } => number::signed(out, number),
        Value::Enum {
            number,
            signed: false,
            ..
        } => number::unsigned(out, number as u64),
        Value::Pointer(address) => number::pointer(out, address),
        Value::Text { bytes, cut } => {
            out.extend_from_slice(bytes);
            if cut {
                out.extend_from_slice(names.trailer().as_bytes());
            }
        }
        Value::Buffer(bytes) => write_escaped(out, bytes, Keep::Printable),
        Value::Stack(stack) => write_stack(out, stack, names),
        Value::KernelSymbol(address) => match names.kernel.lookup(address) {
            Some(symbol) => out.extend_from_slice(symbol.name),
            None => number::pointer(out, address),
        },
        Value::KernelModule(address) => match names.kernel.lookup(address) {
            Some(symbol) => {
                out.extend_from_slice(symbol.module.unwrap_or("kernel").as_bytes());
            }
            None => number::pointer(out, address),
        },
        Value::UserSymbol { pid, address } => {
            match names.user.lookup(pid, &[address]).pop().flatten() {
                Some(symbol) => out.extend_from_slice(symbol.name.as_bytes()),
                None => number::pointer(out, address),
            }
        }
        Value::Ip(ip) => write_display(out, ip),
        Value::Mac(mac) => write_mac(out, mac),
        Value::Time { nsecs, format } => names.clock.write(out, format, nsecs),
        Value::Device { netns, index } => match names.network.device(netns, index) {
            Some(name) => out.extend_from_slice(name),
            None => write_display(out, format_args!("#{index}")),
        },
        Value::NetNs(inode) => match names.network.namespace(inode) {
            Some(name) => out.extend_from_slice(name),
            None => number::unsigned(out, inode),
        },
        Value::Flow(flow) => flow::write(out, flow),
        Value::Rule(rule) => match names.network.rule(&rule) {
            Ok(text) => out.extend_from_slice(text),
            Err(why) => write_display(out, format_args!("({why})")),
        },
        Value::KFormat(message) => kformat::write(out, message),
        Value::Meaning(stack, rows) => meaning::write(out, stack, rows, names),
        Value::Flags {
            bits,
            names,
            separator,
        } => flow::write_flags(out, bits, names, separator),
        Value::Probe(cookie) => match names.probe(cookie) {
            Some(probe) => out.extend_from_slice(probe.as_bytes()),
            None => write_failure(out, format_args!("no probe has cookie {cookie}")),
        },
        Value::Tuple(fields) => {
            out.push(b'(');
            write_fields(out, fields, names);
            out.push(b')');
        }
        Value::Record(fields) => write_record(out, fields, names),
        Value::Array(items) => write_array(out, items, names),
    }
}

/// Appends a value, or the reason why there is none.
pub fn write_result(out: &mut Vec<u8>, value: &Result<Value<'_>, DecodeError>, names: &mut Names) {
    match value {
        Ok(value) => write_value(out, value, names),
        Err(error) => write_failure(out, error),
    }
}

/// Appends a map key: a tuple's values without its parentheses.
pub fn write_key(out: &mut Vec<u8>, key: &Result<Value<'_>, DecodeError>, names: &mut Names) {
    match key {
        Ok(Value::Tuple(fields)) => write_fields(out, *fields, names),
        other => write_result(out, other, names),
    }
}

/// Appends `!{reason}`.
pub(crate) fn write_failure(out: &mut Vec<u8>, reason: impl std::fmt::Display) {
    write_display(out, format_args!("!{{{reason}}}"));
}

/// Appends whatever prints itself, without a string in between.
pub(crate) fn write_display(out: &mut Vec<u8>, shown: impl std::fmt::Display) {
    // Writing into a vector cannot fail, and a `Display` that fails has shown what it could.
    let _ = write!(out, "{shown}");
}

/// Which bytes of a buffer stay as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Printable,
    Nothing,
}

const HEX: [u8; 16] = *b"0123456789abcdef";
const HEX_UPPER: [u8; 16] = *b"0123456789ABCDEF";

fn hex_pair(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [
        digits[usize::from(byte >> 4)],
        digits[usize::from(byte & 15)],
    ]
}

/// Appends the bytes of a buffer as `\xNN`, printable ones as they are if so wished.
pub(crate) fn write_escaped(out: &mut Vec<u8>, bytes: &[u8], keep: Keep) {
    for &byte in bytes {
        if keep == Keep::Printable && (b' '..=b'~').contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            out.extend_from_slice(&hex_pair(byte, &HEX));
        }
    }
}

/// Appends the bytes of a buffer as `NN NN`.
pub(crate) fn write_plain_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for (i, &byte) in bytes.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&hex_pair(byte, &HEX));
    }
}

fn write_mac(out: &mut Vec<u8>, mac: [u8; 6]) {
    for (i, byte) in mac.into_iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        out.extend_from_slice(&hex_pair(byte, &HEX_UPPER));
    }
}

fn write_fields(out: &mut Vec<u8>, fields: Fields<'_>, names: &mut Names) {
    for (i, (_, value)) in fields.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        write_result(out, &value, names);
    }
}

fn write_record(out: &mut Vec<u8>, fields: Fields<'_>, names: &mut Names) {
    if fields.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    for (i, (name, value)) in fields.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"{ ." } else { b", ." });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" = ");
        write_result(out, &value, names);
    }
    out.extend_from_slice(b" }");
}

fn write_array(out: &mut Vec<u8>, items: Items<'_>, names: &mut Names) {
    out.push(b'[');
    for (i, value) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_result(out, &value, names);
    }
    out.push(b']');
}

/// A line break, then one frame per line.
fn write_stack(out: &mut Vec<u8>, stack: Stack<'_>, names: &mut Names) {
    out.push(b'\n');
    match (stack.mode, stack.pid) {
        (StackMode::Raw, _) => {
            for address in stack.frames() {
                number::hex(out, address);
                out.push(b'\n');
            }
        }
        (mode, None) => write_kernel_frames(out, stack, mode, names),
        (mode, Some(pid)) => write_user_frames(out, stack, mode, pid, names),
    }
}

fn start_frame(out: &mut Vec<u8>, mode: StackMode, address: u64) {
    if mode == StackMode::Perf {
        out.push(b'\t');
        number::hex(out, address);
        out.push(b' ');
    } else {
        out.extend_from_slice(b"        ");
    }
}

fn write_kernel_frames(out: &mut Vec<u8>, stack: Stack<'_>, mode: StackMode, names: &mut Names) {
    for (depth, address) in stack.frames().enumerate() {
        start_frame(out, mode, address);
        // All but the innermost are return addresses. After a call that does not return, that is the start of the next
        // function: look one byte back, as the kernel's own backtraces do.
        let back = u64::from(depth > 0);
        match names.kernel.lookup(address.wrapping_sub(back)) {
            Some(symbol) => {
                out.extend_from_slice(symbol.name);
                out.push(b'+');
                number::unsigned(out, symbol.offset + back);
                if let Some(module) = symbol.module {
                    out.extend_from_slice(b" [");
                    out.extend_from_slice(module.as_bytes());
                    out.push(b']');
                }
            }
            None => number::pointer(out, address),
        }
        out.push(b'\n');
    }
}

fn write_user_frames(
    out: &mut Vec<u8>,
    stack: Stack<'_>,
    mode: StackMode,
    pid: u64,
    names: &mut Names,
) {
    let addresses: Vec<u64> = stack.frames().collect();
    let symbols = names.user.lookup(pid, &addresses);
    for (&address, symbol) in addresses.iter().zip(symbols) {
        start_frame(out, mode, address);
        match symbol {
            Some(symbol) => {
                out.extend_from_slice(symbol.name.as_bytes());
                out.push(b'+');
                number::unsigned(out, symbol.offset);
            }
            None => number::pointer(out, address),
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
