//! The probes of a session by number.
//!
//! In: what was attached for an entry. Out: which programs of which script a number means, what they were written as. Whether they run
//! is the tracer's to know.

use std::collections::{BTreeMap, BTreeSet};

use nettrace_compiler::artifact::{Attach, Plan, ProgramId};
use nettrace_grammar::{SourceMap, Span};
use nettrace_runtime::units::Programs;

/// A probe of the session.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Its script and programs: several when its targets needed different code.
    pub(crate) programs: Programs,
    /// What it is attached to, as written.
    pub(crate) title: String,
    /// The whole text of the probe.
    pub(crate) text: String,
    /// The script it is from, if it was not typed: a name of `:run` or a file.
    pub(crate) origin: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Board {
    placed: BTreeMap<u32, Placed>,
    last: u32,
}

impl Board {
    /// Gives numbers to the probes of a script that go on after it was started. The first one gets `number`, if there is one.
    pub(crate) fn place(
        &mut self,
        plan: &Plan,
        sources: &SourceMap,
        origin: Option<&str>,
        number: Option<u32>,
    ) -> Vec<u32> {
        let mut given = number;
        let mut numbers = Vec::new();
        for (span, programs) in by_probe(plan) {
            let number = given.take().unwrap_or_else(|| {
                self.last += 1;
                self.last
            });
            let text = sources.text(Span::new(span.0, span.1)).to_string();
            let placed = Placed {
                programs: Programs {
                    entry: plan.entry,
                    programs,
                },
                title: title(&text),
                text,
                origin: origin.map(str::to_string),
            };
            self.placed.insert(number, placed);
            numbers.push(number);
        }
        numbers
    }

    /// The probe of this number.
    pub(crate) fn get(&self, number: u32) -> Option<&Placed> {
        self.placed.get(&number)
    }

    /// Forgets a number.
    pub(crate) fn remove(&mut self, number: u32) {
        self.placed.remove(&number);
    }

    /// All probes by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Placed)> {
        self.placed.iter().map(|(number, placed)| (*number, placed))
    }

    /// Numbers of the probes of a script.
    pub(crate) fn of_entry(&self, entry: u32) -> Vec<u32> {
        let own = self.iter().filter(|(_, p)| p.programs.entry == entry);
        own.map(|(number, _)| number).collect()
    }
}

/// The programs of each probe in the order of the script, `begin` left out.
fn by_probe(plan: &Plan) -> Vec<((u32, u32), BTreeSet<ProgramId>)> {
    let mut probes: Vec<((u32, u32), BTreeSet<ProgramId>)> = Vec::new();
    for (id, program) in plan.programs.iter_enumerated() {
        let mut targets = program.targets.iter();
        if targets.all(|target| matches!(target.attach, Attach::Begin)) {
            continue;
        }
        match probes.iter_mut().find(|(span, _)| *span == program.span) {
            Some((_, programs)) => {
                programs.insert(id);
            }
            None => probes.push((program.span, BTreeSet::from([id]))),
        }
    }
    probes
}

/// The attach points of a probe, on one line.
fn title(text: &str) -> String {
    let head = text.split(['{', '/']).next().unwrap_or(text);
    let words: Vec<&str> = head.split_whitespace().collect();
    words.join(" ")
}
