//! Source files and positions in them.
//!
//! All files of one compilation share one offset space, so that a [`Span`] is eight bytes and needs no file id;
//! [`SourceMap`] turns it back into file, line and column.

use crate::codes;
use crate::diag::Diagnostic;
use std::fmt;

/// Half-open byte range `lo..hi` in the offset space of a [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// First byte.
    pub lo: u32,
    /// One past the last byte.
    pub hi: u32,
}

impl Span {
    /// The span `lo..hi`.
    pub fn new(lo: u32, hi: u32) -> Span {
        Span { lo, hi: hi.max(lo) }
    }

    /// The smallest span that covers both.
    pub fn to(self, end: Span) -> Span {
        Span {
            lo: self.lo.min(end.lo),
            hi: self.hi.max(end.hi),
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.lo, self.hi)
    }
}

/// A file of a [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FileId(pub u32);

/// One source text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// What the user calls it: a path, or `stdin` for `-e` and standard input, as bpftrace does.
    pub name: String,
    /// The whole text. Bytes that were not UTF-8 have been replaced by U+FFFD.
    pub text: String,
    /// Offset of the text's first byte in the map's space.
    pub base: u32,
    /// Offsets, relative to the text, at which lines start.
    line_starts: Vec<u32>,
}

impl SourceFile {
    /// Byte range in `text` of a line, counted from 0, without its line break; `None` past the last one.
    pub fn line_range(&self, line: usize) -> Option<std::ops::Range<usize>> {
        let start = *self.line_starts.get(line)? as usize;
        let end = match self.line_starts.get(line + 1) {
            Some(&next) => next as usize - 1,
            None => self.text.len(),
        };
        let cr = self.text.get(start..end)?.ends_with('\r');
        Some(start..end - usize::from(cr))
    }
}

/// What was found instead of UTF-8 in a script's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotUtf8 {
    /// Offset of the first bad byte in the text that [`decode`] returned, where U+FFFD stands for it.
    pub at: usize,
    /// That byte.
    pub byte: u8,
    /// How many replacements there are.
    pub count: usize,
}

impl NotUtf8 {
    /// The error to show, for a text that was added as `file`.
    pub fn diagnostic(&self, file: &SourceFile) -> Diagnostic {
        let lo = file.base + self.at.min(file.text.len()) as u32;
        let span = Span::new(lo, lo + char::REPLACEMENT_CHARACTER.len_utf8() as u32);
        let diag = Diagnostic::error(codes::NOT_UTF8, span, "the script is not UTF-8 text")
            .label(format!("byte 0x{:02x}", self.byte))
            .help("save it as UTF-8; in strings any byte can be written `\\xNN`");
        match self.count {
            0 | 1 => diag,
            count => diag.note(format!("{count} places of the script are not UTF-8")),
        }
    }
}

/// Text of a script's bytes. What is not UTF-8 is replaced by U+FFFD, and the first such place is told.
pub fn decode(bytes: &[u8]) -> (String, Option<NotUtf8>) {
    let mut text = String::with_capacity(bytes.len());
    let mut problem: Option<NotUtf8> = None;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if let Some(&byte) = chunk.invalid().first() {
            let at = text.len();
            let problem = problem.get_or_insert(NotUtf8 { at, byte, count: 0 });
            problem.count += 1;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (text, problem)
}

/// A position for people: both numbers count from 1; columns count bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineCol {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub col: u32,
}

/// Every source text of a compilation.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

/// The largest script accepted, in bytes: keeps every offset far inside a `u32`.
pub const MAX_SOURCE_BYTES: usize = 64 << 20;

impl SourceMap {
    /// An empty map.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Adds a text and returns its id. Text beyond [`MAX_SOURCE_BYTES`] is cut off at a character boundary;
    /// the caller reports that (it knows the file's size).
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let mut text = text.into();
        if text.len() > MAX_SOURCE_BYTES {
            let mut end = MAX_SOURCE_BYTES;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        // One byte between files, so that an empty span at a file's end belongs to that file only.
        let base = self
            .files
            .last()
            .map_or(0, |f| f.base + f.text.len() as u32 + 1);
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i as u32 + 1))
            .collect();
        self.files.push(SourceFile {
            name: name.into(),
            text,
            base,
            line_starts,
        });
        FileId(self.files.len() as u32 - 1)
    }

    /// The file with this id.
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// All files in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files
            .iter()
            .enumerate()
            .map(|(i, f)| (FileId(i as u32), f))
    }

    /// The file that holds an offset; `None` only for an empty map.
    pub fn file_at(&self, offset: u32) -> Option<FileId> {
        let after = self.files.partition_point(|f| f.base <= offset);
        (after > 0).then(|| FileId(after as u32 - 1))
    }

    /// Line and column of an offset, with its file.
    pub fn position(&self, offset: u32) -> Option<(FileId, LineCol)> {
        let id = self.file_at(offset)?;
        let file = self.file(id);
        let rel = (offset - file.base).min(file.text.len() as u32);
        let line = file.line_starts.partition_point(|&s| s <= rel) as u32;
        let start = file.line_starts[line as usize - 1];
        Some((
            id,
            LineCol {
                line,
                col: rel - start + 1,
            },
        ))
    }

    /// The text under a span (empty when the span does not lie inside one file).
    pub fn text(&self, span: Span) -> &str {
        let Some(id) = self.file_at(span.lo) else {
            return "";
        };
        let file = self.file(id);
        let range = (span.lo - file.base) as usize..(span.hi.max(span.lo) - file.base) as usize;
        file.text.get(range).unwrap_or("")
    }

    /// The whole line an offset stands on, without its line break.
    pub fn line_text(&self, offset: u32) -> &str {
        let Some((id, at)) = self.position(offset) else {
            return "";
        };
        let file = self.file(id);
        let start = file.line_starts[at.line as usize - 1] as usize;
        file.text[start..].lines().next().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_told() {
        assert_eq!(decode("é".as_bytes()), ("é".to_string(), None));
        let (text, problem) = decode(b"a\xe9b\xff");
        assert_eq!(text, "a\u{fffd}b\u{fffd}");
        let expected = NotUtf8 {
            at: 1,
            byte: 0xe9,
            count: 2,
        };
        assert_eq!(problem, Some(expected));
    }

    #[test]
    fn positions_are_found_across_files() {
        let mut map = SourceMap::new();
        let a = map.add("a.nt", "begin\n{ }");
        let b = map.add("b.nt", "end");
        assert_eq!(map.position(0), Some((a, LineCol { line: 1, col: 1 })));
        assert_eq!(map.position(6), Some((a, LineCol { line: 2, col: 1 })));
        let base = map.file(b).base;
        assert_eq!(
            map.position(base + 1),
            Some((b, LineCol { line: 1, col: 2 }))
        );
        assert_eq!(map.text(Span::new(base, base + 3)), "end");
        assert_eq!(map.line_text(7), "{ }");
    }
}
