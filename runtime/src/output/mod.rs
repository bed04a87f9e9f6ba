//! Values to output.
//!
//! A [`Sink`] is one output format; the event loop calls it and knows no format. [`text`] is the format of a terminal, [`json`] the one
//! for programs; both write through a [`writer::Writer`]. [`value`] holds the text forms of values, [`format`] printf, [`hist`]
//! histograms, [`clock`] the time of day.

pub mod clock;
pub mod format;
pub mod hist;
pub mod json;
pub mod pcapng;
pub mod stream;
pub mod text;
pub mod value;
pub mod writer;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use nettrace_compiler::artifact::{Layout, Plan};
use nettrace_grammar::Diagnostic;

use self::clock::WallClock;
use crate::decode::{DecodeError, Value};
use crate::names::Network;
use crate::symbols::kernel::KernelSymbols;
use crate::symbols::user::UserSymbols;
use crate::table::Table;

/// What turns addresses and cookies into names while values are printed.
#[derive(Debug, Default)]
pub struct Names {
    /// The kernel's symbols.
    pub kernel: KernelSymbols,
    /// The symbols of processes.
    pub user: UserSymbols,
    /// Network devices and namespaces.
    pub network: Network,
    /// The time of day.
    pub clock: WallClock,
    /// What the script says itself.
    labels: Rc<Labels>,
    /// What other scripts say of whose values there may be some in shared maps.
    others: Vec<Rc<Labels>>,
}

/// What a plan says about how its values are printed.
#[derive(Debug, Default)]
pub struct Labels {
    /// Full probe names by cookie.
    probes: BTreeMap<u64, String>,
    /// Appended to strings that were cut off.
    trailer: String,
}

impl Labels {
    /// The names of a plan's targets, and its settings.
    pub fn new(plan: &Plan) -> Labels {
        let targets = plan.programs.iter().flat_map(|program| &program.targets);
        Labels {
            probes: targets.map(|t| (t.cookie, t.probe.clone())).collect(),
            trailer: plan.settings.str_trunc_trailer.clone(),
        }
    }
}

impl Names {
    /// Names for the values of one plan.
    pub fn new(plan: &Plan) -> Names {
        let mut names = Names {
            labels: Rc::new(Labels::new(plan)),
            ..Names::default()
        };
        let mut fields = plan.events.iter().flat_map(|event| &event.fields);
        if fields.any(|field| field.layout == Layout::Rule) {
            names.network.expect_rules();
        }
        names
    }

    /// From now on the values are those of another script.
    pub fn speak_for(&mut self, labels: &Rc<Labels>) {
        self.labels = Rc::clone(labels);
    }

    /// Values of this script may be printed by others. Cookies of both differ.
    pub fn remember(&mut self, labels: &Rc<Labels>) {
        self.others.push(Rc::clone(labels));
    }

    /// The probe that has this cookie.
    pub fn probe(&self, cookie: u64) -> Option<&str> {
        let mut known = std::iter::once(&self.labels).chain(&self.others);
        let found = known.find_map(|labels| labels.probes.get(&cookie));
        found.map(String::as_str)
    }

    /// What is appended to strings that were cut off.
    pub fn trailer(&self) -> &str {
        &self.labels.trailer
    }
}

/// Functions of `skb` probes that could not be attached for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Follows their number: `not traceable`, `with several addresses`.
    pub reason: &'static str,
    /// How many.
    pub functions: usize,
}

/// Events that a program lost because the ring buffer was full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The program's probes, or the map.
    pub probe: String,
    /// How many.
    pub events: u64,
}

/// What was lost in a whole run, by cause. What cannot happen in a run is not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Events that did not fit into the ring buffer, of the programs that lost any.
    pub ring_full: Vec<Lost>,
    /// Entries that did not fit into full maps, by map.
    pub map_full: Vec<Lost>,
    /// Hits at which the kernel did not run a program because another one was running on that CPU.
    pub busy: Vec<Lost>,
    /// Hits that the kernel did not deliver because it was handling another probe on that CPU.
    pub nested: Vec<Lost>,
}

impl Ledger {
    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.ring_full.is_empty()
            && self.map_full.is_empty()
            && self.busy.is_empty()
            && self.nested.is_empty()
    }

    /// Everything together.
    pub fn total(&self) -> u64 {
        let causes = [&self.ring_full, &self.map_full, &self.busy, &self.nested];
        causes.into_iter().map(|lost| sum(lost)).sum()
    }
}

/// All events of a list.
pub(crate) fn sum(lost: &[Lost]) -> u64 {
    let events = lost.iter().map(|lost| lost.events);
    events.fold(0, u64::saturating_add)
}

/// Which kind of output a text belongs to; formats with a structure tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// `printf()`
    Printf,
    /// `time()`
    Time,
    /// `join()`, without its line break.
    Join,
}

/// One output format. Results go to the user's output, messages to standard error; nothing panics or stops the run.
pub trait Sink {
    /// Text that is complete as it is.
    fn text(&mut self, kind: TextKind, text: &[u8]);
    /// `print()` of a value.
    fn value(&mut self, value: &Result<Value<'_>, DecodeError>, names: &mut Names);
    /// `print()` of a map, and every map at the end.
    fn map(&mut self, table: &Table<'_>, names: &mut Names);
    /// All probes are attached but the skipped ones.
    fn attached(&mut self, probes: usize, skipped: &[Skipped]);
    /// Events were lost since the last report.
    fn lost(&mut self, lost: &[Lost]);
    /// What was lost in the whole run, if anything was; the last call but [`Sink::finish`].
    fn ledger(&mut self, ledger: &Ledger);
    /// A problem of the host or a bug of nettrace.
    fn problem(&mut self, diag: &Diagnostic);
    /// The last event was printed; maps follow.
    fn end(&mut self);
    /// No more events wait: a good moment to write what has been collected. An error means that output is not taken any more.
    fn flush(&mut self) -> io::Result<()>;
    /// Writes everything that has been collected.
    fn finish(&mut self) -> io::Result<()>;
    /// The descriptor whose reader may go away, if the output has one.
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
