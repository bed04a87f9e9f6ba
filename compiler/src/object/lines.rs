//! Turns spans into the line records that the kernel quotes in verifier logs and `bpftool prog dump xlated linum` prints.

use nettrace_grammar::{SourceMap, Span};

/// Longer line texts are cut: the kernel quotes at most 1 KiB, and nobody reads more.
const MAX_TEXT: usize = 200;
/// Bits of a line record that hold the column.
const COLUMN_BITS: u32 = 10;

/// Where an instruction comes from, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// File name.
    pub(super) file: String,
    /// The script's own line.
    pub(super) text: String,
    /// `line << 10 | column`; columns beyond 1023 are 1023.
    pub(super) line_col: u32,
}

/// The line a span begins on; `None` when the map holds no such place.
pub(super) fn line(sources: &SourceMap, span: Span) -> Option<Line> {
    let (file, at) = sources.position(span.lo)?;
    let column = at.col.min((1 << COLUMN_BITS) - 1);
    let number = at.line.min(u32::MAX >> COLUMN_BITS);
    Some(Line {
        file: ascii(&sources.file(file).name),
        text: ascii(sources.line_text(span.lo).trim()),
        line_col: number << COLUMN_BITS | column,
    })
}

/// Printable ASCII with everything else escaped: the kernel cuts texts by bytes, and some readers of its log insist on UTF-8.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let before = out.len();
        match c {
            '\t' => out.push(' '),
            ' '..='~' => out.push(c),
            _ => out.extend(c.escape_default()),
        }
        if out.len() > MAX_TEXT {
            out.truncate(before);
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_ascii() {
        let mut sources = SourceMap::new();
        let long = "x".repeat(1000);
        sources.add("größe.nt", format!("begin {{\n\tprint(\"ü\");\n{long} }}"));
        let second = line(&sources, Span::new(10, 12)).expect("a line");
        assert_eq!(second.file, "gr\\u{f6}\\u{df}e.nt");
        assert_eq!(second.text, "print(\"\\u{fc}\");");
        assert_eq!(second.line_col, 2 << 10 | 3);
        let third = line(&sources, Span::new(1000, 1001)).expect("a line");
        assert_eq!(third.text.len(), MAX_TEXT);
        assert!(line(&SourceMap::new(), Span::new(0, 1)).is_none());
    }
}
