//! The JSON format: one object a line on standard output, for every result and for what a program must know about the run.
//!
//! Shapes are bpftrace's (docs/output.md lists them): `type` says what an object is, `data` holds it. Standard error shows a
//! person the same messages as with the text format. Every line is valid JSON in UTF-8, whatever bytes the kernel held.

mod string;
mod value;

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use nettrace_compiler::artifact::Stored;
use nettrace_grammar::Diagnostic;

use self::string::write_string;
use self::value::{Values, write_integer};
use super::hist::{Bounds, linear_bounds, power_bounds, shown};
use super::stream::Output;
use super::value::write_display;
use super::writer::Writer;
use super::{Ledger, Lost, Names, Sink, Skipped, TextKind};
use crate::decode::{DecodeError, Value};
use crate::table::{Reduced, Row, Table};

/// Prints JSON lines.
#[derive(Debug)]
pub struct JsonSink<O, M> {
    writer: Writer<O, M>,
    /// Room for the text forms of values, kept between events.
    scratch: Vec<u8>,
}

impl<O: Output, M: Write> JsonSink<O, M> {
    /// Prints to this writer.
    pub fn new(writer: Writer<O, M>) -> Self {
        JsonSink {
            writer,
            scratch: Vec::new(),
        }
    }

    /// What was written to, for tests.
    pub fn into_parts(self) -> (O, M) {
        self.writer.into_parts()
    }

    /// One line: `data` is written by `data`.
    fn line(&mut self, kind: &str, data: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) {
        let out = self.writer.results();
        out.extend_from_slice(b"{\"type\": \"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\", \"data\": ");
        data(out, &mut self.scratch);
        out.extend_from_slice(b"}\n");
        self.writer.completed();
    }
}

impl<O: Output, M: Write> Sink for JsonSink<O, M> {
    fn text(&mut self, kind: TextKind, text: &[u8]) {
        let kind = match kind {
            TextKind::Printf => "printf",
            TextKind::Time => "time",
            TextKind::Join => "join",
        };
        self.line(kind, |out, _| write_string(out, text));
    }

    fn value(&mut self, value: &Result<Value<'_>, DecodeError>, names: &mut Names) {
        self.line("value", |out, scratch| {
            Values::new(out, scratch, names).result(value);
        });
    }

    fn map(&mut self, table: &Table<'_>, names: &mut Names) {
        // A keyed map without entries has nothing to tell; it would look like a scalar.
        if table.rows.is_empty() {
            return;
        }
        let kind = match table.stored {
            Stored::Avg { .. } | Stored::Stats { .. } => "stats",
            Stored::Hist { .. } | Stored::Lhist { .. } => "hist",
            _ => "map",
        };
        self.line(kind, |out, scratch| {
            out.push(b'{');
            write_string(out, table.name.as_bytes());
            out.extend_from_slice(b": ");
            write_rows(&mut Values::new(out, scratch, names), table);
            out.push(b'}');
        });
    }

    fn attached(&mut self, probes: usize, skipped: &[Skipped]) {
        if !self.writer.is_quiet() {
            let out = self.writer.results();
            write_display(
                out,
                format_args!(
                    "{{\"type\": \"attached_probes\", \"count\": {probes}, \"data\": {{\"probes\": {probes}"
                ),
            );
            for (i, Skipped { reason, functions }) in skipped.iter().enumerate() {
                out.extend_from_slice(if i == 0 { b", \"skipped\": {" } else { b", " });
                write_string(out, reason.as_bytes());
                write_display(out, format_args!(": {functions}"));
            }
            out.extend_from_slice(if skipped.is_empty() {
                b"}}\n"
            } else {
                b"}}}\n"
            });
            self.writer.completed();
        }
        self.writer.tell_attached(probes, skipped);
    }

    fn lost(&mut self, lost: &[Lost]) {
        for Lost { probe, events } in lost {
            let out = self.writer.results();
            write_display(
                out,
                format_args!(
                    "{{\"type\": \"lost_events\", \"count\": {events}, \"data\": {{\"events\": {events}, \"probe\": "
                ),
            );
            write_string(out, probe.as_bytes());
            out.extend_from_slice(b"}}\n");
            self.writer.completed();
        }
        self.writer.tell_lost(lost);
    }

    fn ledger(&mut self, ledger: &Ledger) {
        // Nothing lost is worth knowing, too.
        self.line("loss_ledger", |out, _| {
            write_display(out, format_args!("{{\"total\": {}", ledger.total()));
            write_losses(out, "ring_full", &ledger.ring_full);
            for (cause, lost) in [
                ("map_full", &ledger.map_full),
                ("program_busy", &ledger.busy),
                ("probe_nested", &ledger.nested),
            ] {
                if !lost.is_empty() {
                    write_losses(out, cause, lost);
                }
            }
            out.push(b'}');
        });
        self.writer.tell_ledger(ledger);
    }

    fn problem(&mut self, diag: &Diagnostic) {
        self.writer.tell_problem(diag);
    }

    fn end(&mut self) {}

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

/// `, "name": {"kprobe:ip_rcv": 3}`
fn write_losses(out: &mut Vec<u8>, name: &str, losses: &[Lost]) {
    write_display(out, format_args!(", \"{name}\": {{"));
    for (i, Lost { probe, events }) in losses.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"" } else { b", " });
        write_string(out, probe.as_bytes());
        write_display(out, format_args!(": {events}"));
    }
    out.push(b'}');
}

/// A scalar map's value, or an object of a keyed map's values.
fn write_rows(values: &mut Values<'_>, table: &Table<'_>) {
    if !table.keyed {
        // An array of one entry.
        if let Some(row) = table.rows.first() {
            write_reduced(values, row);
        }
        return;
    }
    values.out.push(b'{');
    for (i, row) in table.rows.iter().enumerate() {
        if i > 0 {
            values.out.extend_from_slice(b", ");
        }
        if let Some(key) = &row.key {
            values.key(key);
        }
        values.out.extend_from_slice(b": ");
        write_reduced(values, row);
    }
    values.out.push(b'}');
}

fn write_reduced(values: &mut Values<'_>, row: &Row<'_>) {
    match &row.value {
        Ok(Reduced::Value(value)) => values.value(value),
        Ok(Reduced::Stats {
            count,
            average,
            total,
        }) => {
            values.out.extend_from_slice(b"{\"count\": ");
            write_integer(values.out, (*count).into());
            values.out.extend_from_slice(b", \"average\": ");
            values.value(average);
            values.out.extend_from_slice(b", \"total\": ");
            values.value(total);
            values.out.push(b'}');
        }
        Ok(Reduced::Hist { bits, buckets }) => {
            write_buckets(values.out, buckets, |index| power_bounds(index, *bits));
        }
        Ok(Reduced::Lhist {
            min,
            max,
            step,
            buckets,
        }) => write_buckets(values.out, buckets, |index| {
            linear_bounds(index, buckets.len(), *min, *max, *step)
        }),
        Err(error) => values.failure(error),
    }
}

/// `[{"min": 2, "max": 3, "count": 1}]`, from the first to the last bucket that counted anything.
fn write_buckets(out: &mut Vec<u8>, buckets: &[u64], bounds: impl Fn(usize) -> Bounds) {
    out.push(b'[');
    let shown = shown(buckets);
    let first = shown.start;
    let rows = buckets.iter().enumerate().skip(first).take(shown.len());
    for (index, count) in rows {
        out.extend_from_slice(if index == first { b"{" } else { b",{" });
        let Bounds { min, max } = bounds(index);
        // Bounds stay numbers: they are labels, and a reader knows the powers of two.
        for (name, bound) in [("min", min), ("max", max)] {
            if let Some(bound) = bound {
                write_display(out, format_args!("\"{name}\": {bound}, "));
            }
        }
        out.extend_from_slice(b"\"count\": ");
        write_integer(out, (*count).into());
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests;
