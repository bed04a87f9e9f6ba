//! Messages of the kernel: a format string as printk knows them, and its arguments.

use std::io::Write as _;

use crate::decode::KFormat;

/// Appends the message. Conversions that need more than the argument itself (`%pI4`, `%pV`) print the pointer; those without a kept
/// argument stay as they are written.
pub(super) fn write(out: &mut Vec<u8>, message: KFormat<'_>) {
    let mut rest = message.format();
    let mut next = 0;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let (text, tail) = rest.split_at(at);
        out.extend_from_slice(text);
        let length = conversion(tail);
        let (spec, behind) = tail.split_at(length);
        rest = behind;
        match spec.last() {
            Some(b'%') if length == 2 => out.push(b'%'),
            Some(kind) if length > 1 => {
                match message.arg(next) {
                    Some(value) => argument(out, spec, *kind, value, message.string(next)),
                    None => out.extend_from_slice(spec),
                }
                next += 1;
            }
            _ => out.extend_from_slice(spec),
        }
    }
    while let [text @ .., b'\n' | b' '] = rest {
        rest = text;
    }
    out.extend_from_slice(rest);
}

/// Length of the conversion that `text` starts with.
fn conversion(text: &[u8]) -> usize {
    let flags = text
        .iter()
        .skip(1)
        .take_while(|b| b"-+ #0123456789.*hlzjt".contains(b))
        .count();
    let end = (2 + flags).min(text.len());
    // `%pI4` and its like.
    match text.get(end - 1) {
        Some(b'p') => {
            end + text
                .iter()
                .skip(end)
                .take_while(|b| b.is_ascii_alphanumeric())
                .count()
        }
        _ => end,
    }
}

fn argument(out: &mut Vec<u8>, spec: &[u8], kind: u8, value: u64, string: &[u8]) {
    let modifier = |text: &[u8]| spec.windows(text.len()).any(|w| w == text);
    let bytes = match () {
        () if modifier(b"hh") => 1,
        () if modifier(b"h") => 2,
        () if modifier(b"l") || modifier(b"z") || modifier(b"j") || modifier(b"t") => 8,
        () => 4,
    };
    let unused = 64 - 8 * bytes;
    let unsigned = value << unused >> unused;
    let signed = (value << unused) as i64 >> unused;
    // Writing to a vector cannot fail.
    _ = match kind {
        b's' => out.write_all(string),
        b'd' | b'i' => write!(out, "{signed}"),
        b'u' => write!(out, "{unsigned}"),
        b'x' if modifier(b"#") => write!(out, "{unsigned:#x}"),
        b'x' => write!(out, "{unsigned:x}"),
        b'X' => write!(out, "{unsigned:X}"),
        b'o' => write!(out, "{unsigned:o}"),
        b'c' => out.write_all(&[value as u8]),
        _ => write!(out, "{value:#x}"),
    };
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{KFORMAT_STRING, KFORMAT_TEXT, Layout};

    use crate::decode::{Value, decode};

    fn show(format: &str, args: &[u64], first_string: &str) -> String {
        let layout = Layout::KFormat;
        let mut bytes = vec![0; layout.size() as usize];
        bytes[..format.len()].copy_from_slice(format.as_bytes());
        for (n, arg) in args.iter().enumerate() {
            let at = KFORMAT_TEXT as usize + 8 * n;
            bytes[at..at + 8].copy_from_slice(&arg.to_ne_bytes());
        }
        let strings = KFORMAT_TEXT as usize + 32;
        assert!(first_string.len() < KFORMAT_STRING as usize);
        bytes[strings..strings + first_string.len()].copy_from_slice(first_string.as_bytes());
        let mut out = Vec::new();
        match decode(&layout, &bytes) {
            Ok(Value::KFormat(message)) => super::write(&mut out, message),
            other => panic!("{other:?}"),
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn messages_are_made_whole() {
        assert_eq!(
            show("invalid packet ignored in state %s ", &[1], "ESTABLISHED"),
            "invalid packet ignored in state ESTABLISHED"
        );
        assert_eq!(
            show(
                "ACK is over the upper bound %u (ACKed data not seen yet)",
                &[5000],
                ""
            ),
            "ACK is over the upper bound 5000 (ACKed data not seen yet)"
        );
        assert_eq!(
            show("%d of %hhu, 100%%: %#x", &[u64::MAX, 300, 16], ""),
            "-1 of 44, 100%: 0x10"
        );
        assert_eq!(
            show("%pI4h and %lu", &[7, 1 << 40], ""),
            "0x7 and 1099511627776"
        );
    }

    #[test]
    fn what_is_missing_stays() {
        assert_eq!(show("%u %u %u %u %u", &[1, 2, 3, 4], ""), "1 2 3 4 %u");
        assert_eq!(show("100%", &[], ""), "100%");
    }
}
