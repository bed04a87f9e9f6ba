//! Digits of integers, without allocation.

/// Room for 64 binary digits.
const ROOM: usize = 64;

/// The digits of a number in some base, right-aligned in a buffer on the stack.
pub(crate) struct Digits {
    buffer: [u8; ROOM],
    start: usize,
}

impl Digits {
    /// `base` is 2 to 16; letters are lower or upper case.
    pub(crate) fn new(mut value: u64, base: u64, upper: bool) -> Digits {
        let mut digits = Digits {
            buffer: [0; ROOM],
            start: ROOM,
        };
        loop {
            let digit = (value % base) as u8;
            let letter = if upper { b'A' } else { b'a' };
            digits.start -= 1;
            digits.buffer[digits.start] = match digit {
                0..=9 => b'0' + digit,
                _ => letter + digit - 10,
            };
            value /= base;
            if value == 0 {
                return digits;
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// Appends a decimal number.
pub(crate) fn unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(Digits::new(value, 10, false).as_bytes());
}

/// Appends a decimal number with its sign.
pub(crate) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// Appends bare hexadecimal digits.
pub(crate) fn hex(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(Digits::new(value, 16, false).as_bytes());
}

/// Appends `0x` and hexadecimal digits.
pub(crate) fn pointer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(b"0x");
    hex(out, value);
}
