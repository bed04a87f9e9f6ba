//! Diagnostics to text for people.
//!
//! In: diagnostics and the sources they point into. Out: text in the manner of rustc, ASCII only so that a serial
//! console shows it, with ANSI colours on request. The form is stable: goldens compare it.
//! A mark over several lines is shown by its first line, and of a long line only the part around the mark, so that
//! a script of one 10 MB line does not fill the terminal.

use crate::diag::{Diagnostic, Label, Severity};
use crate::source::{FileId, SourceMap, Span};
use codespan_reporting::diagnostic as cs;
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term::{self, Chars, Config};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of a source line that are shown at most.
const MAX_LINE: usize = 160;

/// Of these, bytes before the first mark.
const LEAD: usize = 60;

/// Bytes of a message, note or help that are shown at most.
const MAX_TEXT: usize = 4000;

/// All diagnostics one after the other, each followed by an empty line.
pub fn render(map: &SourceMap, diags: &[Diagnostic], color: bool) -> String {
    diags
        .iter()
        .map(|diag| render_one(map, diag, color))
        .collect()
}

/// One diagnostic, followed by an empty line.
pub fn render_one(map: &SourceMap, diag: &Diagnostic, color: bool) -> String {
    let mut view = View::new(map);
    let diagnostic = view.diagnostic(diag);
    let config = Config {
        chars: Chars::ascii(),
        ..Config::default()
    };
    let text = if color {
        let mut out = term::termcolor::Ansi::new(Vec::new());
        term::emit_to_write_style(&mut out, &config, &view, &diagnostic)
            .map(|()| String::from_utf8_lossy(out.get_ref()).into_owned())
    } else {
        term::emit_into_string(&config, &view, &diagnostic)
            .map(|text| without_trailing_blanks(&text))
    };
    // Only writing or a range outside of its file can fail; neither can happen here, and the message matters most.
    text.unwrap_or_else(|_| format!("{}\n\n", headline(diag)))
}

/// The borders beside labels end in blanks, which nobody sees and every editor removes.
fn without_trailing_blanks(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.trim_end_matches(' '));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first line of a diagnostic: `error[NT1004]: message`.
pub fn headline(diag: &Diagnostic) -> String {
    let severity = match diag.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{severity}[{}]: {}", diag.code, cut(&diag.message))
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_string();
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{}…", text.get(..end).unwrap_or(""))
}

/// The sources as codespan sees them: every line cut to its window.
struct View<'a> {
    map: &'a SourceMap,
    /// What is shown of lines that are too long, by file and line index.
    windows: BTreeMap<(FileId, usize), Range<usize>>,
}

/// A label inside its file.
struct Place {
    file: FileId,
    line: usize,
    range: Range<usize>,
}

impl<'a> View<'a> {
    fn new(map: &'a SourceMap) -> View<'a> {
        View {
            map,
            windows: BTreeMap::new(),
        }
    }

    fn diagnostic(&mut self, diag: &Diagnostic) -> cs::Diagnostic<FileId> {
        let severity = match diag.severity {
            Severity::Error => cs::Severity::Error,
            Severity::Warning => cs::Severity::Warning,
        };
        let mut notes: Vec<String> = Vec::new();
        let mut labels = Vec::new();
        // The primary mark first: it decides which part of a long line is shown.
        let (primary, secondary): (Vec<&Label>, Vec<&Label>) =
            diag.labels.iter().partition(|label| label.primary);
        for label in primary.into_iter().chain(secondary) {
            let Some(place) = self.place(label.span) else {
                continue;
            };
            let window = self.window(&place);
            if place.range.start < window.start || place.range.start > window.end {
                let column = self.column(&place);
                notes.push(format!(
                    "note: at line {}, column {column}: {}",
                    place.line + 1,
                    label.text
                ));
                continue;
            }
            let end = place.range.end.min(window.end).max(place.range.start);
            let style = if label.primary {
                cs::LabelStyle::Primary
            } else {
                cs::LabelStyle::Secondary
            };
            labels.push(
                cs::Label::new(style, place.file, place.range.start..end)
                    .with_message(cut(&label.text)),
            );
        }
        notes.extend(diag.notes.iter().map(|note| format!("note: {}", cut(note))));
        notes.extend(diag.help.iter().map(|help| format!("help: {}", cut(help))));
        cs::Diagnostic::new(severity)
            .with_code(diag.code.to_string())
            .with_message(cut(&diag.message))
            .with_labels(labels)
            .with_notes(notes)
    }

    /// Where a span stands, as far as its first line reaches.
    fn place(&self, span: Span) -> Option<Place> {
        let (file, at) = self.map.position(span.lo)?;
        let line = at.line as usize - 1;
        let text = self.map.file(file);
        let (start, end) = self.line(file, line)?;
        let boundary = |offset: u32| {
            text.text
                .floor_char_boundary((offset.saturating_sub(text.base)) as usize)
        };
        let lo = boundary(span.lo).clamp(start, end);
        let hi = boundary(span.hi).clamp(lo, end);
        Some(Place {
            file,
            line,
            range: lo..hi,
        })
    }

    /// Start and end of a line in its file, without the line break.
    fn line(&self, file: FileId, line: usize) -> Option<(usize, usize)> {
        let range = self.map.file(file).line_range(line)?;
        Some((range.start, range.end))
    }

    /// The part of the line that is shown; decided by the first place on it.
    fn window(&mut self, place: &Place) -> Range<usize> {
        let Some((start, end)) = self.line(place.file, place.line) else {
            return place.range.clone();
        };
        if end - start <= MAX_LINE {
            return start..end;
        }
        let text = &self.map.file(place.file).text;
        let window = self
            .windows
            .entry((place.file, place.line))
            .or_insert_with(|| {
                let from = place.range.start.saturating_sub(LEAD).max(start);
                let to = (from + MAX_LINE).min(end);
                text.floor_char_boundary(from)..text.floor_char_boundary(to)
            });
        window.clone()
    }

    fn column(&self, place: &Place) -> usize {
        let start = self
            .line(place.file, place.line)
            .map_or(0, |(start, _)| start);
        place.range.start - start + 1
    }
}

impl<'a> Files<'a> for View<'_> {
    type FileId = FileId;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(&self.map.file(id).name)
    }

    fn source(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(&self.map.file(id).text)
    }

    fn line_index(&'a self, id: FileId, byte_index: usize) -> Result<usize, Error> {
        let file = self.map.file(id);
        let (_, at) = self
            .map
            .position(file.base + byte_index as u32)
            .ok_or(Error::FileMissing)?;
        Ok(at.line as usize - 1)
    }

    fn line_range(&'a self, id: FileId, line_index: usize) -> Result<Range<usize>, Error> {
        let (start, end) = self.line(id, line_index).ok_or(Error::FileMissing)?;
        match self.windows.get(&(id, line_index)) {
            Some(window) => Ok(window.clone()),
            // Lines between marked ones are shown too.
            None => {
                let to = self
                    .map
                    .file(id)
                    .text
                    .floor_char_boundary(end.min(start + MAX_LINE));
                Ok(start..to)
            }
        }
    }

    /// The column in the whole line, not in its window; in bytes, as everywhere.
    fn column_number(
        &'a self,
        id: FileId,
        line_index: usize,
        byte_index: usize,
    ) -> Result<usize, Error> {
        let (start, _) = self.line(id, line_index).ok_or(Error::FileMissing)?;
        Ok(byte_index - start + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn map() -> (SourceMap, u32) {
        let mut map = SourceMap::new();
        map.add("a.nt", "begin\n{\n    print(foo);\n}\n");
        let b = map.add("b.nt", "end { x }");
        let base = map.file(b).base;
        (map, base)
    }

    #[test]
    fn marks_notes_and_help() {
        let (map, _) = map();
        let diag = Diagnostic::error(codes::UNKNOWN_NAME, Span::new(18, 21), "unknown name `foo`")
            .label("not a builtin")
            .note("constants come from the kernel's enums")
            .help("did you mean `func`?");
        assert_eq!(
            render_one(&map, &diag, false),
            "\
error[NT1001]: unknown name `foo`
  --> a.nt:3:11
  |
3 |     print(foo);
  |           ^^^ not a builtin
  |
  = note: constants come from the kernel's enums
  = help: did you mean `func`?

"
        );
    }

    #[test]
    fn two_files_and_a_span_over_lines() {
        let (map, b) = map();
        let diag = Diagnostic::warning(codes::UNREACHABLE, Span::new(b + 4, b + 9), "two places")
            .also(Span::new(6, 25), "the other");
        assert_eq!(
            render_one(&map, &diag, false),
            "\
warning[NT5007]: two places
  --> b.nt:1:5
  |
1 | end { x }
  |     ^^^^^
  |
  --> a.nt:2:1
  |
2 | {
  | - the other

"
        );
    }

    #[test]
    fn a_problem_of_the_host_has_no_place() {
        let (map, _) = map();
        let diag =
            Diagnostic::host(codes::NO_KPROBES, "this kernel has no kprobes").help("use fentry");
        assert_eq!(
            render_one(&map, &diag, false),
            "error[NT6003]: this kernel has no kprobes\n = help: use fentry\n\n"
        );
        assert!(render_one(&SourceMap::new(), &diag, true).contains("\u{1b}["));
    }

    #[test]
    fn only_a_part_of_a_long_line_is_shown() {
        let mut map = SourceMap::new();
        map.add(
            "x",
            format!("{}é?{}", "é".repeat(1 << 20), "b".repeat(1 << 20)),
        );
        let at = (2 << 20) + 2;
        let diag = Diagnostic::error(codes::BAD_TOKEN, Span::new(at, at + 1), "here")
            .also(Span::new(0, 2), "far away");
        let text = render_one(&map, &diag, false);
        assert!(text.len() < 1000, "{} bytes", text.len());
        assert!(text.contains("--> x:1:2097155"), "{text}");
        assert!(
            text.contains("note: at line 1, column 1: far away"),
            "{text}"
        );
        assert!(text.contains("é?bbb"), "{text}");
    }

    #[test]
    fn a_span_outside_of_everything_does_no_harm() {
        let (map, _) = map();
        for span in [
            Span::new(9999, 99999),
            Span::new(24, 27),
            Span::new(3, 9999),
        ] {
            let text = render_one(&map, &Diagnostic::error(codes::INTERNAL, span, "m"), false);
            assert!(text.starts_with("error[NT9001]: m\n  --> "), "{text}");
        }
    }
}
