//! Where the events of a muted program go.

use std::io;

use nettrace_grammar::Diagnostic;

use crate::decode::{DecodeError, Value};
use crate::output::{Ledger, Lost, Names, Sink, Skipped, TextKind};
use crate::table::Table;

/// Prints nothing.
#[derive(Debug)]
pub(super) struct Nobody;

impl Sink for Nobody {
    fn text(&mut self, _: TextKind, _: &[u8]) {}
    fn value(&mut self, _: &Result<Value<'_>, DecodeError>, _: &mut Names) {}
    fn map(&mut self, _: &Table<'_>, _: &mut Names) {}
    fn attached(&mut self, _: usize, _: &[Skipped]) {}
    fn lost(&mut self, _: &[Lost]) {}
    fn ledger(&mut self, _: &Ledger) {}
    fn problem(&mut self, _: &Diagnostic) {}
    fn end(&mut self) {}
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
