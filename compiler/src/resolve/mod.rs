//! What the names outside of expressions mean: attach points, configuration, constants of kernel headers.
//!
//! In: attach points as text, the config block, the kernel. Out: [`Target`]s in groups that one typed probe each can stand for, and
//! settings. `#include` lines need no work: types come from BTF and constants from [`constants`].

mod attach;
pub(crate) mod config;
pub mod constants;
mod function;
mod hook;
mod interval;
mod packet;
mod syntax;
mod tracepoint;
mod uses;

use std::rc::Rc;

use nettrace_grammar::{Diagnostic, Sink, Span, ast, codes};

use crate::artifact::{MissingProbes, Target};
use crate::kernel::{Kernel, Prototype, Tracepoint};
use crate::probes::ProbeKind;
use crate::unit::OptionValue;

pub(crate) use attach::{points, probe};
pub use config::names as config_names;
pub(crate) use uses::{Uses, is_args};

/// Where the arguments of a probe's targets are described.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// This kind of probe has none.
    None,
    /// A function's parameters and result, or a raw tracepoint's arguments.
    Prototype(Rc<Prototype>),
    /// BTF does not describe the function or event.
    Unknown,
    /// There is no such function or event, which has been reported: nothing more is said about arguments.
    Missing,
    /// The fields of a tracepoint's record.
    Tracepoint(Rc<Tracepoint>),
}

/// Targets of one probe of the script that one body serves.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The kind of all of them.
    pub(crate) kind: &'static ProbeKind,
    /// At least one, unless the source is `Missing`.
    pub(crate) targets: Vec<Target>,
    /// Describes what the body uses of their arguments; the same for all of them as far as that goes.
    pub(crate) source: Source,
    /// Their arguments are user pointers: entries of system calls.
    pub(crate) user_arguments: bool,
}

/// A target and what its arguments are.
#[derive(Debug)]
struct Found {
    target: Target,
    source: Source,
    user_arguments: bool,
}

/// What attach points are resolved with.
pub(crate) struct Resolver<'a> {
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) sink: &'a mut Sink,
    pub(crate) missing: MissingProbes,
    pub(crate) max_probes: u32,
    pub(crate) params: &'a [String],
    /// The script's options with their values, defaults first.
    pub(crate) options: &'a [(String, OptionValue)],
    /// Where the texts of options stand that were given.
    pub(crate) option_spans: &'a [(String, Span)],
}

impl Resolver<'_> {
    fn error(&mut self, diag: Diagnostic) {
        self.sink.error(diag);
    }

    /// A target that cannot be attached to: an error, a warning or nothing, as `missing_probes` says.
    fn missing(&mut self, diag: Diagnostic) {
        match self.missing {
            MissingProbes::Error => {
                let help = "to go on without it: `config = { missing_probes = warn }`, or --missing-probes warn";
                self.error(diag.help(help));
            }
            MissingProbes::Warn => {
                let why = diag.message;
                let mut warning = Diagnostic::warning(
                    codes::MISSING_TARGET,
                    Span::default(),
                    format!("{why}; this probe is skipped"),
                );
                warning.labels = diag.labels;
                warning.notes = diag.notes;
                warning.help = diag.help;
                self.sink.warn(warning);
            }
            MissingProbes::Ignore => {}
        }
    }
}

/// A part of an attach point with its place in the script.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    text: String,
    span: Span,
}

/// Names that resemble a misspelt one, as a help line: nothing when there is none.
pub(crate) fn did_you_mean(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    match quoted.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [most @ .., last] => Some(format!("did you mean {} or {last}?", most.join(", "))),
    }
}

/// Adds such a help line.
pub(crate) fn suggest(diag: Diagnostic, names: &[String]) -> Diagnostic {
    match did_you_mean(names) {
        Some(help) => diag.help(help),
        None => diag,
    }
}

/// The whole attach point as one part.
fn whole(point: &ast::AttachPoint) -> Part {
    Part {
        text: point.text.clone(),
        span: point.span,
    }
}
