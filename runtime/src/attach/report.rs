//! Targets that could not be attached, as diagnostics at their places in the script.
//!
//! In: problems, one per target. Out: errors, or with `missing_probes = warn` warnings about targets that are merely missing. What a
//! wildcard matched and the kernel refuses is left out with one warning for all, unless it was everything. The same problem of the whole
//! host is told once.

use std::collections::BTreeMap;

use nettrace_compiler::artifact::{Attach, MissingProbes, Plan, Target};
use nettrace_grammar::diag::Severity;
use nettrace_grammar::{Diagnostic, Span, codes};

use super::{Refusal, trampoline};
use crate::output::Skipped;
use crate::privilege;
use crate::sys::SysError;

/// More errors than this are counted, not shown.
const MAX_SHOWN: usize = 10;

/// Why a target cannot be attached.
#[derive(Debug)]
pub(crate) enum Problem {
    /// There is no such thing; names that resemble it.
    Missing(Vec<String>),
    /// Its module is not loaded.
    ModuleNotLoaded(String),
    /// It exists, and probes cannot be placed on it; why.
    NotTraceable(String),
    /// Several functions have this name; which, as a half sentence, if known.
    Ambiguous(Option<String>),
    /// The kernel's type information does not have it.
    NoBtf,
    /// Anything else.
    Refused(SysError),
}

/// Collects problems.
#[derive(Debug)]
pub(crate) struct Report {
    missing: MissingProbes,
    /// Places in the script that name several targets, by a wildcard: how many.
    patterns: BTreeMap<(u32, u32), usize>,
    /// Targets of patterns that are left out, with the reason.
    skipped: BTreeMap<(u32, u32), Vec<(String, Diagnostic)>>,
    /// Functions of `skb` probes that are left out: their number and reasons are told with the success.
    left_out: Vec<(String, Diagnostic)>,
    diags: Vec<Diagnostic>,
}

impl Report {
    pub(crate) fn new(plan: &Plan) -> Report {
        let mut patterns = BTreeMap::new();
        for program in plan.programs.iter() {
            let mut counts = BTreeMap::new();
            for target in &program.targets {
                *counts.entry(target.span).or_insert(0) += 1;
            }
            patterns.extend(counts.into_iter().filter(|(_, count)| *count > 1));
        }
        Report {
            missing: plan.settings.missing_probes,
            patterns,
            skipped: BTreeMap::new(),
            left_out: Vec::new(),
            diags: Vec::new(),
        }
    }

    /// A target that was not attached.
    pub(super) fn problem(&mut self, target: &Target, problem: Problem) {
        let diag = describe(target, problem);
        let skippable = [
            codes::NO_SUCH_TARGET,
            codes::MODULE_NOT_LOADED,
            codes::NOT_TRACEABLE,
            codes::AMBIGUOUS_TARGET,
        ]
        .contains(&diag.code);
        if target.packet.is_some() && (skippable || diag.code == codes::KERNEL_REFUSED) {
            self.left_out.push((target.probe.clone(), diag));
            return;
        }
        match self.missing {
            MissingProbes::Ignore if skippable => {}
            _ if skippable && self.patterns.contains_key(&target.span) => {
                let skipped = self.skipped.entry(target.span).or_default();
                skipped.push((target.probe.clone(), diag));
            }
            MissingProbes::Warn if skippable => {
                let message = format!("`{}` is skipped: {}", target.probe, diag.message);
                self.push(Diagnostic {
                    severity: Severity::Warning,
                    code: codes::MISSING_TARGET,
                    message,
                    ..diag
                });
            }
            MissingProbes::Error if skippable => self.push(with_hint(diag)),
            _ => self.push(diag),
        }
    }

    /// A program the kernel did not load.
    pub(super) fn refused(&mut self, target: &Target, refusal: Refusal) {
        match refusal {
            Refusal::Sys(error) => {
                self.push(privilege::refused(
                    &format!("load the program of `{}`", target.probe),
                    &error,
                ));
            }
            Refusal::Target(why) => self.problem(target, Problem::NotTraceable(why)),
            Refusal::Verifier(diag) => self.push(*diag),
        }
    }

    /// A problem of the whole host.
    pub(super) fn host(&mut self, diag: Diagnostic) {
        self.push(diag);
    }

    fn push(&mut self, diag: Diagnostic) {
        // One cause, one message: the same at the same place, or the same of the host for each of many targets.
        let known = self.diags.iter().any(|d| {
            *d == diag
                || d.code == diag.code
                    && d.labels.is_empty()
                    && diag.labels.is_empty()
                    && d.help == diag.help
        });
        if !known {
            self.diags.push(diag);
        }
    }

    /// The functions of `skb` probes that are left out, by reason, the most frequent first.
    pub(crate) fn skipped(&self) -> Vec<Skipped> {
        let mut skipped: Vec<Skipped> = Vec::new();
        for (_, diag) in &self.left_out {
            let reason = reason(diag);
            match skipped.iter_mut().find(|s| s.reason == reason) {
                Some(known) => known.functions += 1,
                None => skipped.push(Skipped {
                    reason,
                    functions: 1,
                }),
            }
        }
        skipped.sort_by_key(|s| std::cmp::Reverse(s.functions));
        skipped
    }

    /// The same, each by its name.
    pub(crate) fn list_skipped(&mut self) {
        if self.left_out.is_empty() {
            return;
        }
        let count = self.left_out.len();
        let message = format!("functions that are left out: {count}");
        let mut diag = Diagnostic::host(codes::MISSING_TARGET, message);
        diag.severity = Severity::Warning;
        for (probe, reason) in &self.left_out {
            let why = reason.notes.first().unwrap_or(&reason.message);
            diag = diag.note(format!("`{probe}`: {why}"));
        }
        self.push(diag);
    }

    /// Warnings when there was no error, else everything.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        for (span, skipped) in std::mem::take(&mut self.skipped) {
            let total = self.patterns.get(&span).copied().unwrap_or(0);
            if skipped.len() >= total && self.missing == MissingProbes::Error {
                // A pattern that only matches what cannot be traced: as if each had been named.
                let diags = skipped.into_iter().map(|(_, diag)| with_hint(diag));
                self.diags.extend(diags);
            } else {
                self.diags.push(pattern_warning(span, total, &skipped));
            }
        }
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .diags
            .into_iter()
            .partition(|d| d.severity == Severity::Error);
        if errors.is_empty() {
            return Ok(warnings);
        }
        let more = errors.len().saturating_sub(MAX_SHOWN);
        let mut all = warnings;
        all.extend(errors.into_iter().take(MAX_SHOWN));
        if more > 0
            && let Some(last) = all.last_mut()
        {
            last.notes
                .push(format!("{more} more targets have problems"));
        }
        Err(all)
    }
}

fn with_hint(diag: Diagnostic) -> Diagnostic {
    diag.help("to go on without it: `config = { missing_probes = warn }`, or --missing-probes warn")
}

/// Why a function is left out, in the words of a summary.
fn reason(diag: &Diagnostic) -> &'static str {
    match diag.code {
        codes::NOT_TRACEABLE => "not traceable",
        codes::AMBIGUOUS_TARGET => "with several addresses",
        codes::NO_SUCH_TARGET => "gone",
        codes::MODULE_NOT_LOADED => "in modules that are not loaded",
        _ => "refused by the kernel",
    }
}

/// One warning for all targets of a pattern that are left out.
fn pattern_warning(span: (u32, u32), total: usize, skipped: &[(String, Diagnostic)]) -> Diagnostic {
    let count = skipped.len();
    let (are, targets) = match count {
        1 => ("is", "target"),
        _ => ("are", "targets"),
    };
    let message = format!("{count} of {total} targets of this pattern {are} skipped");
    let mut diag = Diagnostic::warning(codes::MISSING_TARGET, Span::new(span.0, span.1), message)
        .label(format!("{targets} that cannot be attached"));
    for (probe, reason) in skipped.iter().take(MAX_SHOWN) {
        let why = reason.notes.first().unwrap_or(&reason.message);
        diag = diag.note(format!("`{probe}`: {why}"));
    }
    if count > MAX_SHOWN {
        diag = diag.note(format!("and {} more", count - MAX_SHOWN));
    }
    diag
}

/// What a target is called in a sentence.
fn subject(attach: &Attach) -> String {
    match attach {
        Attach::Kprobe { symbol, .. }
        | Attach::Kretprobe { symbol, .. }
        | Attach::Fentry { symbol, .. }
        | Attach::Fexit { symbol, .. } => format!("function `{symbol}`"),
        Attach::Tracepoint { category, event } => format!("tracepoint `{category}:{event}`"),
        Attach::RawTracepoint { event, .. } => format!("raw tracepoint `{event}`"),
        Attach::Begin | Attach::End | Attach::Interval { .. } => "probe".to_owned(),
    }
}

fn describe(target: &Target, problem: Problem) -> Diagnostic {
    let span = Span::new(target.span.0, target.span.1);
    let what = subject(&target.attach);
    match problem {
        Problem::Missing(similar) => {
            let text = format!("this kernel has no {what}");
            let diag = Diagnostic::error(codes::NO_SUCH_TARGET, span, text);
            match similar.as_slice() {
                [] => diag.help("`nettrace -l PATTERN` lists what there is"),
                [one] => diag.help(format!("did you mean `{one}`?")),
                several => diag.help(format!("similar: `{}`", several.join("`, `"))),
            }
        }
        Problem::ModuleNotLoaded(module) => {
            let text = format!("module `{module}` is not loaded");
            Diagnostic::error(codes::MODULE_NOT_LOADED, span, text)
                .note(format!("{what} is in it"))
                .help(format!("modprobe {module}"))
        }
        Problem::NotTraceable(why) => {
            let text = format!("{what} cannot be traced");
            let diag = Diagnostic::error(codes::NOT_TRACEABLE, span, text).note(why);
            match trampoline::kretprobe(target) {
                true => diag.help(
                    "a kretprobe without `args` and `argN` needs no trampoline; keep them from the entry: `kprobe:… { @arg[tid] = arg0; }`",
                ),
                false => diag.help("trace a function that calls it or that it calls"),
            }
        }
        Problem::Ambiguous(which) => {
            let text = format!("{what} exists more than once");
            let which = which.unwrap_or_else(|| "a name that several functions share".to_owned());
            Diagnostic::error(codes::AMBIGUOUS_TARGET, span, text)
                .note(format!(
                    "it is {which}; the kernel cannot tell which is meant"
                ))
                .help(
                    "name the module (`kprobe:MODULE:FUNCTION`), or trace a function that calls it",
                )
        }
        Problem::NoBtf => {
            let text = format!("the kernel's type information does not have {what}");
            Diagnostic::error(codes::NO_SUCH_TARGET, span, text)
                .help("`kprobe` and `kretprobe` work without type information")
        }
        Problem::Refused(error)
            if error.is(&[
                libc::EPERM,
                libc::EACCES,
                libc::EMFILE,
                libc::ENFILE,
                libc::ENOMEM,
            ]) =>
        {
            privilege::refused(&format!("attach `{}`", target.probe), &error)
        }
        Problem::Refused(error) => {
            let text = format!("`{}` cannot be attached", target.probe);
            Diagnostic::error(codes::KERNEL_REFUSED, span, text).note(error.to_string())
        }
    }
}
