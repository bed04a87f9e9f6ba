//! The text format: what a terminal shows. The forms are those of bpftrace.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use nettrace_grammar::Diagnostic;

use super::stream::Output;
use super::value::{
    write_broad, write_broad_after, write_display, write_failure, write_key, write_result,
    write_value,
};
use super::writer::Writer;
use super::{Ledger, Lost, Names, Sink, Skipped, TextKind, hist};
use crate::decode::{DecodeError, Value};
use crate::table::{Reduced, Row, Table};

/// Prints text.
#[derive(Debug)]
pub struct TextSink<O, M> {
    writer: Writer<O, M>,
    /// Columns of a line, for values that are broken into lines.
    width: Option<fn() -> usize>,
}

impl<O: Output, M: Write> TextSink<O, M> {
    /// Prints to this writer.
    pub fn new(writer: Writer<O, M>) -> Self {
        TextSink {
            writer,
            width: None,
        }
    }

    /// Breaks structs that are wider than a line into one member per line.
    pub fn broad(self, width: fn() -> usize) -> Self {
        TextSink {
            width: Some(width),
            ..self
        }
    }

    /// What was written to, for tests.
    pub fn into_parts(self) -> (O, M) {
        self.writer.into_parts()
    }
}

impl<O: Output, M: Write> Sink for TextSink<O, M> {
    fn text(&mut self, kind: TextKind, text: &[u8]) {
        let out = self.writer.results();
        out.extend_from_slice(text);
        if kind == TextKind::Join {
            out.push(b'\n');
        }
        self.writer.completed();
    }

    fn value(&mut self, value: &Result<Value<'_>, DecodeError>, names: &mut Names) {
        let out = self.writer.results();
        match self.width {
            Some(width) => write_broad(out, value, names, width()),
            None => write_result(out, value, names),
        }
        out.push(b'\n');
        self.writer.completed();
    }

    fn map(&mut self, table: &Table<'_>, names: &mut Names) {
        for row in &table.rows {
            write_row(self.writer.results(), table.name, row, names, self.width);
            self.writer.completed();
        }
    }

    fn attached(&mut self, probes: usize, skipped: &[Skipped]) {
        self.writer.tell_attached(probes, skipped);
    }

    fn lost(&mut self, lost: &[Lost]) {
        self.writer.tell_lost(lost);
    }

    fn ledger(&mut self, ledger: &Ledger) {
        self.writer.tell_ledger(ledger);
    }

    fn problem(&mut self, diag: &Diagnostic) {
        self.writer.tell_problem(diag);
    }

    fn end(&mut self) {
        self.writer.results().extend_from_slice(b"\n\n");
        self.writer.completed();
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.finish()
    }

    fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.writer.watched()
    }
}

fn write_row(
    out: &mut Vec<u8>,
    name: &str,
    row: &Row<'_>,
    names: &mut Names,
    width: Option<fn() -> usize>,
) {
    let start = out.len();
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
            match width {
                Some(width) => write_broad_after(out, value, names, width(), out.len() - start),
                None => write_value(out, value, names),
            }
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
