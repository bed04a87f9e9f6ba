//! Files of packets that a script writes.
//!
//! In: events of [`Action::Packet`]. Out: pcapng files, made before anything attaches and written to as packets come. A file that cannot be
//! written is told once; the rest of the run goes on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use nettrace_compiler::artifact::{Action, Field, Plan};
use nettrace_grammar::{Diagnostic, codes};

use crate::decode::{DecodeError, Value, decode_field};
use crate::output::Names;
use crate::output::pcapng::{Interface, Packet, PcapngWriter};
use crate::output::value::write_value;

type Capture = PcapngWriter<BufWriter<File>>;

/// Files by name; `None` for one that could not be written.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    files: HashMap<String, Option<Capture>>,
}

impl Captures {
    /// Makes all files of a plan.
    pub(crate) fn create(plan: &Plan) -> Result<Captures, Diagnostic> {
        let mut captures = Captures::default();
        for event in plan.events.iter() {
            if let Action::Packet { file } = &event.action
                && !captures.files.contains_key(file)
            {
                let capture = create(file).map_err(|error| unwritable(file, &error))?;
                captures.files.insert(file.clone(), Some(capture));
            }
        }
        Ok(captures)
    }

    /// Appends the packet of an event.
    ///
    /// # Errors
    /// The outer ones are of the event, the inner ones of the file.
    pub(crate) fn packet(
        &mut self,
        file: &str,
        fields: &[Field],
        record: &[u8],
        names: &mut Names,
    ) -> Result<Result<(), Diagnostic>, DecodeError> {
        let short = || DecodeError::Short { need: 1, have: 0 };
        let field = |at: usize| decode_field(fields.get(at).ok_or_else(short)?, record);
        let number = |at: usize| Ok(field(at)?.bits().unwrap_or(0));
        let mut text = |at: usize| {
            let mut text = Vec::new();
            write_value(&mut text, &field(at)?, names);
            Ok(text)
        };
        let interface = Interface {
            device: text(3)?,
            netns: text(4)?,
        };
        let comment = text(6)?;
        let bytes = match field(5)? {
            Value::Buffer(bytes) => bytes,
            _ => &[],
        };
        let packet = Packet {
            time: names.clock.since_1970(number(0)?),
            ethernet: number(1)? != 0,
            bytes,
            length: u32::try_from(number(2)?).unwrap_or(u32::MAX),
            comment: &comment,
        };
        Ok(self.write(file, |capture| capture.packet(&interface, packet)))
    }

    /// Writes what has been collected.
    pub(crate) fn flush(&mut self) -> Vec<Diagnostic> {
        let names: Vec<String> = self.files.keys().cloned().collect();
        names
            .iter()
            .filter_map(|name| self.write(name, PcapngWriter::flush).err())
            .collect()
    }

    fn write(
        &mut self,
        file: &str,
        write: impl FnOnce(&mut Capture) -> io::Result<()>,
    ) -> Result<(), Diagnostic> {
        if !self.files.contains_key(file) {
            // A script that joined a session later.
            let capture = create(file);
            let failed = capture.as_ref().err().map(|error| unwritable(file, error));
            self.files.insert(file.to_string(), capture.ok());
            if let Some(diag) = failed {
                return Err(diag);
            }
        }
        let Some(slot) = self.files.get_mut(file) else {
            return Ok(());
        };
        match slot.as_mut().map(write) {
            Some(Err(error)) => {
                *slot = None;
                Err(unwritable(file, &error))
            }
            _ => Ok(()),
        }
    }
}

fn create(file: &str) -> io::Result<Capture> {
    PcapngWriter::new(BufWriter::new(File::create(Path::new(file))?))
}

fn unwritable(file: &str, error: &io::Error) -> Diagnostic {
    let message = format!("cannot write packets to `{file}`: {error}");
    Diagnostic::host(codes::FILE_ERROR, message)
}
