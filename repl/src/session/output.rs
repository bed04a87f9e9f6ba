//! Where a session prints: results on standard output, messages on standard error.
//!
//! In: what the tracer and the session have to say. Out: whole lines. While somebody types, events go through the editor, which puts
//! them above the line.

use std::io::{self, Write};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nettrace_runtime::output::Sink;
use nettrace_runtime::output::stream::{Output, Stream};
use nettrace_runtime::output::text::TextSink;
use nettrace_runtime::output::writer::Writer;

/// Prints lines above the line that is typed.
pub(crate) trait Above: Send {
    /// Prints; a text that does not end with a line break gets one.
    fn print(&mut self, text: String);
}

/// The sink of a session without an editor.
pub(crate) fn plain() -> Box<dyn Sink> {
    match Stream::stdout(None) {
        Ok(output) => {
            let writer = Writer::new(output, io::stderr()).quiet(true);
            Box::new(TextSink::new(writer).broad(|| WIDTH))
        }
        Err(_) => Box::new(TextSink::new(Writer::new(Vec::new(), io::stderr()))),
    }
}

/// The sink of a session in which somebody types.
pub(crate) fn above(printer: Box<dyn Above>) -> Box<dyn Sink> {
    let printer = std::rc::Rc::new(std::cell::RefCell::new(printer));
    let lines = |printer| Lines {
        printer,
        rest: Vec::new(),
    };
    let writer = Writer::new(lines(printer.clone()), lines(printer)).quiet(true);
    Box::new(TextSink::new(writer).broad(columns))
}

/// Columns of a line that no terminal has.
const WIDTH: usize = 100;

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);

/// Columns of the terminal, which may have changed since the last time; of what is no terminal, those of a common one.
pub(super) fn columns() -> usize {
    let mut size = nix::libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the call fills in the struct that it is given, and that it was declared with.
    let read = unsafe { window_size(io::stdout().as_raw_fd(), &raw mut size) };
    match (read, size.ws_col) {
        (Ok(_), columns @ 20..) => usize::from(columns),
        _ => 80,
    }
}

/// Hands on whole lines.
struct Lines {
    printer: std::rc::Rc<std::cell::RefCell<Box<dyn Above>>>,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

/// A line without an end is printed when it is this long.
const LONG: usize = 4 << 10;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let end = match self.rest.iter().rposition(|&b| b == b'\n') {
            Some(end) => end + 1,
            None if self.rest.len() >= LONG => self.rest.len(),
            None => return Ok(bytes.len()),
        };
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let text = String::from_utf8_lossy(&whole);
        self.printer.borrow_mut().print(harmless(&text));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text with `\\xNN` for control characters that would move the cursor: they would garble the line that is typed. Tabs, line breaks
/// and colours stay.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        let (before, control) = rest.split_at(at);
        out.push_str(before);
        let length = match colour(control) {
            Some(length) => {
                out.push_str(control.get(..length).unwrap_or(""));
                length
            }
            None => {
                let c = control.chars().next().unwrap_or(' ');
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
                c.len_utf8()
            }
        };
        rest = control.get(length..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// Bytes of the colour change that a text begins with: `ESC [ numbers m`.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    numbers.get(end..)?.starts_with('m').then_some(2 + end + 1)
}

impl Output for Lines {
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(harmless("a\tb\n"), "a\tb\n");
        assert_eq!(harmless("a\rb\x1b[2Jc\x07"), "a\\x0db\\x1b[2Jc\\x07");
        assert_eq!(harmless("\x1b[1;31mred\x1b[0m"), "\x1b[1;31mred\x1b[0m");
        assert_eq!(harmless("é\u{9b}2J\x1b"), "é\\x9b2J\\x1b");
        assert_eq!(harmless("\x1b["), "\\x1b[");
    }
}
