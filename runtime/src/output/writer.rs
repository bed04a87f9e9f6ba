//! Where every format puts its results, and what a person is told beside them.
//!
//! In: results, built up in one buffer. Out: writes of whole batches, and messages on standard error: what was attached, lost or
//! went wrong. The messages are the same in every format; they come after the results that were there before them.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use nettrace_grammar::render::render_one;
use nettrace_grammar::{Diagnostic, SourceMap};

use super::stream::Output;
use super::{Ledger, Lost, Skipped, sum};

/// Collected results are written when there is this much, even within a batch.
const MUCH: usize = 64 << 10;

/// When results are written. Whatever is chosen, everything is written at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Buffering {
    /// When no more events wait: at once on a quiet system, in large pieces on a busy one.
    #[default]
    Batch,
    /// After each event that ends a line.
    Line,
    /// Only in large pieces.
    Full,
    /// After each event.
    Off,
}

/// Collects results and writes them; writes messages.
#[derive(Debug)]
pub struct Writer<O, M> {
    collected: Vec<u8>,
    output: O,
    messages: M,
    quiet: bool,
    buffering: Buffering,
    /// Why output cannot be written any more.
    failure: Option<io::Error>,
}

impl<O: Output, M: Write> Writer<O, M> {
    /// Results go to `output`, messages to `messages`.
    pub fn new(output: O, messages: M) -> Self {
        Writer {
            collected: Vec::new(),
            output,
            messages,
            quiet: false,
            buffering: Buffering::default(),
            failure: None,
        }
    }

    /// No progress messages if `quiet`.
    pub fn quiet(self, quiet: bool) -> Self {
        Writer { quiet, ..self }
    }

    /// When results are written.
    pub fn buffering(self, buffering: Buffering) -> Self {
        Writer { buffering, ..self }
    }

    /// What was written to, for tests.
    pub fn into_parts(self) -> (O, M) {
        (self.output, self.messages)
    }

    /// Whether progress messages are unwanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Where the next result is appended.
    pub(super) fn results(&mut self) -> &mut Vec<u8> {
        &mut self.collected
    }

    /// A result is complete.
    pub(super) fn completed(&mut self) {
        let now = match self.buffering {
            Buffering::Off => true,
            Buffering::Line => self.collected.ends_with(b"\n"),
            Buffering::Batch | Buffering::Full => false,
        };
        if now || self.collected.len() >= MUCH {
            self.write();
        }
    }

    fn write(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        if self.failure.is_none()
            && let Err(error) = self.output.write_all(&self.collected)
        {
            self.failure = Some(error);
        }
        self.collected.clear();
    }

    /// The batch is over.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.buffering {
            Buffering::Full => self.failed(),
            _ => self.finish(),
        }
    }

    /// Writes all there is.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write();
        self.failed()
    }

    fn failed(&self) -> io::Result<()> {
        match &self.failure {
            Some(error) => Err(again(error)),
            None => Ok(()),
        }
    }

    /// The descriptor whose reader may go away.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.output.watched()
    }

    fn message(&mut self, text: std::fmt::Arguments<'_>) {
        self.write();
        // There is nobody left to tell when standard error fails.
        let _ = self.messages.write_fmt(text);
    }

    /// All probes are attached but the skipped ones.
    pub(super) fn tell_attached(&mut self, probes: usize, skipped: &[Skipped]) {
        if self.quiet {
            return;
        }
        let plural = |n| if n == 1 { "" } else { "s" };
        let mut text = format!("Attached {probes} probe{}", plural(probes));
        let left_out = skipped.iter().map(|s| s.functions).sum();
        if left_out > 0 {
            let reasons = skipped
                .iter()
                .map(|s| format!("{} {}", s.functions, s.reason));
            let reasons: Vec<String> = reasons.collect();
            text.push_str(&format!(
                "; {left_out} function{} skipped: {}",
                plural(left_out),
                reasons.join(", ")
            ));
        }
        self.message(format_args!("{text}\n"));
    }

    /// Events were lost since the last report.
    pub(super) fn tell_lost(&mut self, lost: &[Lost]) {
        for Lost { probe, events } in lost {
            self.message(format_args!("Lost {events} events ({probe})\n"));
        }
    }

    /// What was lost in the whole run; nothing if nothing was.
    pub(super) fn tell_ledger(&mut self, ledger: &Ledger) {
        self.tell_losses("WARNING: Total lost event count:", &ledger.ring_full, "");
        self.tell_losses(
            "WARNING: Entries that did not fit into full maps:",
            &ledger.map_full,
            "    (a larger one: `let @map = hash(N);` or `config = { max_map_keys = N }`)\n",
        );
        self.tell_losses(
            "WARNING: Hits missed because another BPF program was running on the CPU:",
            &ledger.busy,
            "    (an interrupt hit a probe while a program ran; fewer probes, or fentry and rawtracepoint probes, miss less)\n",
        );
        self.tell_losses(
            "WARNING: Hits missed because the kernel was handling another probe:",
            &ledger.nested,
            "    (a probed function was called while a probe was handled; fewer probes miss less)\n",
        );
    }

    fn tell_losses(&mut self, title: &str, lost: &[Lost], advice: &str) {
        if lost.is_empty() {
            return;
        }
        self.message(format_args!("{title} {}\n", sum(lost)));
        for Lost { probe, events } in lost {
            self.message(format_args!("    {probe}: {events}\n"));
        }
        self.message(format_args!("{advice}"));
    }

    /// A problem of the host or a bug of nettrace.
    pub(super) fn tell_problem(&mut self, diag: &Diagnostic) {
        // Nothing at run time points into the script.
        let text = render_one(&SourceMap::new(), diag, false);
        self.message(format_args!("{text}"));
    }
}

/// An error cannot be cloned; its cause can be told again.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers each write.
    #[derive(Default)]
    struct Pieces(Vec<String>);

    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Output for Pieces {}

    /// What is written after each result, at the end of the batch, and at the end.
    fn pieces(buffering: Buffering, results: &[&str]) -> Vec<String> {
        let mut writer = Writer::new(Pieces::default(), Vec::new()).buffering(buffering);
        for result in results {
            writer.results().extend_from_slice(result.as_bytes());
            writer.completed();
        }
        writer.flush().expect("room");
        let batch = writer.output.0.len();
        writer.finish().expect("room");
        let mut pieces = writer.into_parts().0.0;
        pieces.insert(batch, "-- end of batch".to_string());
        pieces
    }

    #[test]
    fn when_results_are_written() {
        let results = ["a\n", "b", "c\n"];
        let end = "-- end of batch";
        assert_eq!(pieces(Buffering::Batch, &results), ["a\nbc\n", end]);
        assert_eq!(pieces(Buffering::Line, &results), ["a\n", "bc\n", end]);
        assert_eq!(pieces(Buffering::Off, &results), ["a\n", "b", "c\n", end]);
        assert_eq!(pieces(Buffering::Full, &results), [end, "a\nbc\n"]);
    }

    #[test]
    fn much_is_written_at_once() {
        let long = "x".repeat(MUCH);
        assert_eq!(
            pieces(Buffering::Full, &[&long, "y"]),
            [long.as_str(), "-- end of batch", "y"]
        );
    }

    #[test]
    fn messages_come_after_the_results_before_them() {
        let mut writer = Writer::new(Pieces::default(), Vec::new()).buffering(Buffering::Full);
        writer.results().extend_from_slice(b"result\n");
        writer.completed();
        writer.tell_attached(2, &[]);
        let (output, messages) = writer.into_parts();
        assert_eq!(output.0, ["result\n"]);
        assert_eq!(messages, b"Attached 2 probes\n");
    }

    #[test]
    fn skipped_functions_are_counted_by_reason() {
        let mut writer = Writer::new(Pieces::default(), Vec::new());
        let skipped = |reason, functions| Skipped { reason, functions };
        let some = [
            skipped("not traceable", 30),
            skipped("with several addresses", 5),
        ];
        writer.tell_attached(1512, &some);
        writer.tell_attached(1, &[skipped("gone", 1)]);
        let messages = String::from_utf8(writer.into_parts().1).expect("text");
        assert_eq!(
            messages,
            "\
Attached 1512 probes; 35 functions skipped: 30 not traceable, 5 with several addresses
Attached 1 probe; 1 function skipped: 1 gone
"
        );
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Output for Full {}

    #[test]
    fn a_full_disk_keeps_its_name() {
        let mut writer = Writer::new(Full, Vec::new());
        writer.results().push(b'x');
        writer.completed();
        for _ in 0..2 {
            let error = writer.flush().expect_err("no room");
            assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        }
    }
}
