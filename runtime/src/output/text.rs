//! The text format: what a terminal shows.
//!
//! Results are collected and written once per batch of events; messages go to standard error at once, after the results
//! that came before them. The forms are those of bpftrace.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use nettrace_grammar::render::render_one;
use nettrace_grammar::{Diagnostic, SourceMap};

use super::stream::Output;
use super::value::{write_display, write_failure, write_key, write_result, write_value};
use super::{Lost, Names, Sink, TextKind, hist};
use crate::decode::{DecodeError, Value};
use crate::table::{Reduced, Row, Table};

/// Collected output is written when there is this much, even within a batch.
const MUCH: usize = 64 << 10;

/// Prints text.
#[derive(Debug)]
pub struct TextSink<O, M> {
    collected: Vec<u8>,
    output: O,
    messages: M,
    quiet: bool,
    /// Why output cannot be written any more.
    failure: Option<io::Error>,
}

impl<O: Output, M: Write> TextSink<O, M> {
    /// Results go to `output`, messages to `messages`. Quiet: no progress messages.
    pub fn new(output: O, messages: M, quiet: bool) -> Self {
        TextSink {
            collected: Vec::new(),
            output,
            messages,
            quiet,
            failure: None,
        }
    }

    /// What was written to, for tests.
    pub fn into_parts(self) -> (O, M) {
        (self.output, self.messages)
    }

    fn write(&mut self) {
        if self.failure.is_none()
            && let Err(error) = self.output.write_all(&self.collected)
        {
            self.failure = Some(error);
        }
        self.collected.clear();
    }

    fn write_if_much(&mut self) {
        if self.collected.len() >= MUCH {
            self.write();
        }
    }

    fn message(&mut self, text: std::fmt::Arguments<'_>) {
        self.write();
        // There is nobody left to tell when standard error fails.
        let _ = self.messages.write_fmt(text);
    }
}

impl<O: Output, M: Write> Sink for TextSink<O, M> {
    fn text(&mut self, _kind: TextKind, text: &[u8]) {
        self.collected.extend_from_slice(text);
        self.write_if_much();
    }

    fn value(&mut self, value: &Result<Value<'_>, DecodeError>, names: &mut Names) {
        write_result(&mut self.collected, value, names);
        self.collected.push(b'\n');
        self.write_if_much();
    }

    fn map(&mut self, table: &Table<'_>, names: &mut Names) {
        for row in &table.rows {
            write_row(&mut self.collected, table.name, row, names);
            self.write_if_much();
        }
    }

    fn attached(&mut self, probes: usize) {
        if !self.quiet {
            let plural = if probes == 1 { "" } else { "s" };
            self.message(format_args!("Attached {probes} probe{plural}\n"));
        }
    }

    fn lost(&mut self, lost: &[Lost]) {
        for Lost { probe, events } in lost {
            self.message(format_args!("Lost {events} events ({probe})\n"));
        }
    }

    fn lost_total(&mut self, lost: &[Lost]) {
        let total: u64 = lost.iter().map(|lost| lost.events).sum();
        self.message(format_args!("WARNING: Total lost event count: {total}\n"));
        for Lost { probe, events } in lost {
            self.message(format_args!("    {probe}: {events}\n"));
        }
    }

    fn problem(&mut self, diag: &Diagnostic) {
        // Nothing at run time points into the script.
        let text = render_one(&SourceMap::new(), diag, false);
        self.message(format_args!("{text}"));
    }

    fn end(&mut self) {
        self.collected.extend_from_slice(b"\n\n");
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write();
        match &self.failure {
            Some(error) => Err(error.kind().into()),
            None => Ok(()),
        }
    }

    fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.output.watched()
    }
}

fn write_row(out: &mut Vec<u8>, name: &str, row: &Row<'_>, names: &mut Names) {
    out.extend_from_slice(name.as_bytes());
    if let Some(key) = &row.key {
        out.push(b'[');
        write_key(out, key, names);
        out.push(b']');
    }
    out.push(b':');
    match &row.value {
        Ok(Reduced::Value(value)) => {
            out.push(b' ');
            write_value(out, value, names);
        }
        Ok(Reduced::Stats {
            count,
            average,
            total,
        }) => {
            write_display(out, format_args!(" {{ .count = {count}, .average = "));
            write_value(out, average, names);
            out.extend_from_slice(b", .total = ");
            write_value(out, total, names);
            out.extend_from_slice(b" }");
        }
        // A blank line follows the rows.
        Ok(Reduced::Hist { bits, buckets }) => {
            out.push(b'\n');
            hist::write_hist(out, *bits, buckets);
        }
        Ok(Reduced::Lhist {
            min,
            max,
            step,
            buckets,
        }) => {
            out.push(b'\n');
            hist::write_lhist(out, *min, *max, *step, buckets);
        }
        Err(error) => {
            out.push(b' ');
            write_failure(out, error);
        }
    }
    out.push(b'\n');
}
