//! Bytes as JSON strings.
//!
//! In: any bytes. Out: a quoted string in UTF-8. What is no UTF-8 becomes U+FFFD, once for each piece that cannot be read.

/// How bytes below 0x80 are written: 0 as they are, `u` as `\u00XX`, else a backslash and this letter.
const ESCAPES: [u8; 128] = {
    let mut table = [0; 128];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x7f] = b'u';
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const HEX: [u8; 16] = *b"0123456789abcdef";

/// Appends a string with its quotes.
pub(super) fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    if bytes.is_ascii() {
        write_escaped(out, bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            write_escaped(out, chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    out.push(b'"');
}

/// Valid UTF-8: bytes that need no escape are copied in runs.
fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| escape(byte) != 0) {
        let (plain, after) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else {
            return;
        };
        match escape(byte) {
            b'u' => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn escape(byte: u8) -> u8 {
    ESCAPES.get(usize::from(byte)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, bytes);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn escapes() {
        assert_eq!(show(b""), r#""""#);
        assert_eq!(show(b"nf_ct_delete"), r#""nf_ct_delete""#);
        assert_eq!(show(b"a\"b\\c\n\t\r"), r#""a\"b\\c\n\t\r""#);
        assert_eq!(show(b"\x00\x1b[0m\x7f"), r#""\u0000\u001b[0m\u007f""#);
    }

    #[test]
    fn text_beyond_ascii() {
        assert_eq!(
            show("Zürich \u{1f980}\n".as_bytes()),
            "\"Zürich \u{1f980}\\n\""
        );
        // Latin-1 umlaut, lonely continuation byte, cut-off character.
        assert_eq!(show(b"Z\xfcrich"), "\"Z\u{fffd}rich\"");
        assert_eq!(
            show(b"\x80\xff\"\xe2\x82"),
            "\"\u{fffd}\u{fffd}\\\"\u{fffd}\""
        );
    }

    #[test]
    fn every_byte_reads_back() {
        for byte in 0..=255u8 {
            let text = show(&[b'<', byte, b'>']);
            let back: String = serde_json::from_str(&text).expect("a JSON string");
            assert_eq!(back, String::from_utf8_lossy(&[b'<', byte, b'>']));
        }
    }
}
