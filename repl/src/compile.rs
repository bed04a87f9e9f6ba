//! Compiling on behalf of every command: opens the kernel, compiles, reports.

use nettrace_compiler::artifact::{Artifact, MissingProbes};
use nettrace_compiler::check::Options;
use nettrace_compiler::kernel::Kernel;
use nettrace_compiler::pipeline::{self, Stage};
use nettrace_grammar::Diagnostic;
use nettrace_runtime::host;

use crate::cli::{self, CompileOptions};
use crate::options::Words;
use crate::report::{Exit, Reporter, verdict};
use crate::script::Script;

/// The kernel that a script is compiled for: the one in `--btf`, else the running one.
pub(crate) fn kernel(options: &CompileOptions) -> Result<Box<dyn Kernel>, Box<Diagnostic>> {
    match &options.btf {
        Some(vmlinux) => Ok(Box::new(host::describe(vmlinux, &options.btf_module)?)),
        None => Ok(Box::new(host::LiveKernel::open()?)),
    }
}

/// What the compiler is told beside the script.
pub(crate) fn options(options: &CompileOptions, script: &Script, words: &Words) -> Options {
    let defaults = script.unit.options.iter();
    let defaults = defaults.map(|o| (o.name.clone(), o.default.clone()));
    Options {
        params: words.params.clone(),
        param_spans: words.spans.clone(),
        option_spans: words.option_spans.clone(),
        given: words.given.clone(),
        options: defaults.chain(words.options.iter().cloned()).collect(),
        missing_probes: options.missing_probes.map(|mode| match mode {
            cli::MissingProbes::Error => MissingProbes::Error,
            cli::MissingProbes::Warn => MissingProbes::Warn,
            cli::MissingProbes::Ignore => MissingProbes::Ignore,
        }),
        ..Options::default()
    }
}

/// Compiles and reports; the object, or how the command ends.
pub(crate) fn compile(
    script: &Script,
    kernel: &dyn Kernel,
    options: &Options,
    reporter: Reporter,
) -> Result<Artifact, Exit> {
    reject_text(script, reporter)?;
    let compiled = pipeline::compile(&script.sources, &script.unit, kernel, options);
    reporter.print(&script.sources, &compiled.diagnostics);
    let exit = verdict(&compiled.diagnostics);
    compiled.artifact.ok_or(exit.unwrap_or(Exit::Bug))
}

/// Only looks for mistakes.
pub(crate) fn check(
    script: &Script,
    kernel: &dyn Kernel,
    options: &Options,
    reporter: Reporter,
) -> Result<(), Exit> {
    reject_text(script, reporter)?;
    let diags = pipeline::check_only(&script.unit, kernel, options);
    reporter.print(&script.sources, &diags);
    verdict(&diags).map_or(Ok(()), Err)
}

/// The text of a stage, reported mistakes otherwise.
pub(crate) fn stage(
    stage: Stage,
    script: &Script,
    kernel: &dyn Kernel,
    options: &Options,
    reporter: Reporter,
) -> Result<String, Exit> {
    reject_text(script, reporter)?;
    let (text, diags) = {
        let source = (&script.sources, script.file);
        pipeline::emit_stage(stage, source, &script.unit, kernel, options)
    };
    reporter.print(&script.sources, &diags);
    match (verdict(&diags), text) {
        // What was understood is worth seeing even beside mistakes.
        (exit, Some(text)) if exit.is_none() || stage == Stage::Ast => Ok(text),
        (exit, _) => Err(exit.unwrap_or(Exit::Bug)),
    }
}

/// A text that is no text would only give follow-up errors.
fn reject_text(script: &Script, reporter: Reporter) -> Result<(), Exit> {
    reporter.print(&script.sources, &script.problems);
    verdict(&script.problems).map_or(Ok(()), Err)
}
