//! The passes in their order, from text to object.
//!
//! In: sources, a kernel, options. Out: [`Compiled`], or the text of any stage in between ([`emit_stage`]). Between two passes the IR
//! is verified in debug builds. Nothing is decided here but the order.

use std::fmt::Write as _;

use nettrace_grammar::{Diagnostic, FileId, Sink, SourceMap, codes, dump};

use crate::artifact::Artifact;
use crate::bpf::{self, Code, Limit, LimitError};
use crate::check::{self, Options};
use crate::index::IndexVec;
use crate::ir::verify::{Stage as Fitness, verify};
use crate::ir::{Func, FuncId, Module};
use crate::kernel::Kernel;
use crate::lower::{self, Lowered};
use crate::macros;
use crate::object;
use crate::opt::{blocks, bulk, cse, dead, merge, reads, simplify, snapshots};
use crate::typed;
use crate::unit::Unit;

/// A pass of the optimiser.
struct Pass {
    /// As messages about bugs call it.
    name: &'static str,
    run: fn(&mut Func),
}

macro_rules! passes {
    ($($name:ident),* $(,)?) => {
        &[$(Pass { name: stringify!($name), run: $name }),*]
    };
}

/// The optimiser.
const PASSES: &[Pass] = passes![
    simplify, blocks, cse, // what lowering repeats
    snapshots, simplify, blocks, cse, // members of struct variables are reads now
    dead, merge, // neighbouring reads become one
    reads, bulk, // how to read and to move
    simplify, cse, dead, blocks,
];

fn simplify(func: &mut Func) {
    simplify::run(func);
}

fn blocks(func: &mut Func) {
    blocks::run(func);
}

fn cse(func: &mut Func) {
    cse::run(func);
}

fn snapshots(func: &mut Func) {
    snapshots::run(func);
}

fn dead(func: &mut Func) {
    dead::run(func);
}

fn merge(func: &mut Func) {
    merge::run(func);
}

fn reads(func: &mut Func) {
    reads::run(func);
}

fn bulk(func: &mut Func) {
    bulk::run(func);
}

/// What a compilation gives.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The object; absent when there are errors.
    pub artifact: Option<Artifact>,
    /// The checked script; absent when it has mistakes.
    pub program: Option<typed::Program>,
    /// Mistakes and warnings, in order of position.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles what was read from `sources`.
pub fn compile(
    sources: &SourceMap,
    unit: &Unit,
    kernel: &dyn Kernel,
    options: &Options,
) -> Compiled {
    let mut sink = Sink::new();
    let program = typed(unit, kernel, options, &mut sink);
    let artifact = program
        .as_ref()
        .and_then(|program| object(program, kernel, options, sources, &mut sink));
    Compiled {
        artifact,
        program,
        diagnostics: sink.into_sorted(),
    }
}

/// Checks a script and compiles nothing: mistakes and warnings in order of position.
pub fn check_only(unit: &Unit, kernel: &dyn Kernel, options: &Options) -> Vec<Diagnostic> {
    let mut sink = Sink::new();
    typed(unit, kernel, options, &mut sink);
    sink.into_sorted()
}

/// Trees to typed program.
fn typed(
    unit: &Unit,
    kernel: &dyn Kernel,
    options: &Options,
    sink: &mut Sink,
) -> Option<typed::Program> {
    sink.extend(unit.diags.iter().cloned());
    // What could be read is checked too: one run tells as many mistakes as possible.
    let script = macros::expand(&unit.script, &unit.library, &options.given, sink);
    let program = check::check(&script, kernel, options, sink).ok()?;
    sink.check().ok()?;
    Some(program)
}

/// Typed program to object.
fn object(
    program: &typed::Program,
    kernel: &dyn Kernel,
    options: &Options,
    sources: &SourceMap,
    sink: &mut Sink,
) -> Option<Artifact> {
    let finished = to_ir(program, kernel, options, sources).map_err(|bug| vec![bug]);
    let finished = finished.and_then(|lowered| {
        let codes = to_bytecode(&lowered.module)?;
        let functions = functions(&lowered.module, codes);
        object::write(lowered.plan, &functions, sources)
            .map_err(|error| vec![bug("object", &error.to_string())])
    });
    match finished {
        Ok(artifact) => Some(artifact),
        Err(errors) => {
            sink.extend(errors);
            None
        }
    }
}

/// A checked script as optimised IR.
///
/// # Errors
/// A pass broke the IR: a bug.
pub fn to_ir(
    program: &typed::Program,
    kernel: &dyn Kernel,
    options: &Options,
    sources: &SourceMap,
) -> Result<Lowered, Diagnostic> {
    let texts = sources
        .files()
        .map(|(_, file)| (file.name.clone(), file.text.clone()))
        .collect();
    let mut lowered = lower::lower(program, kernel, options.reads, texts);
    verified("lower", &lowered.module, Fitness::Ir)?;
    optimise(&mut lowered.module)?;
    Ok(lowered)
}

/// Runs all passes of the optimiser.
///
/// # Errors
/// A pass broke the IR: a bug.
pub fn optimise(module: &mut Module) -> Result<(), Diagnostic> {
    for pass in PASSES {
        for func in module.funcs.iter_mut() {
            (pass.run)(func);
        }
        if cfg!(debug_assertions) {
            verified(pass.name, module, Fitness::Ir)?;
        }
    }
    verified("optimise", module, Fitness::Bpf)
}

/// IR to bytecode.
fn to_bytecode(module: &Module) -> Result<IndexVec<FuncId, Code>, Vec<Diagnostic>> {
    bpf::emit_module(module).map_err(|errors| errors.into_iter().map(limit).collect())
}

fn functions(module: &Module, codes: IndexVec<FuncId, Code>) -> IndexVec<FuncId, object::Function> {
    let params = |func: &Func| {
        func.blocks
            .iter()
            .next()
            .map_or(0, |entry| entry.params.len())
    };
    module
        .funcs
        .iter()
        .zip(codes.iter())
        .map(|(func, code)| object::Function {
            symbol: func.name.clone(),
            code: code.clone(),
            params: params(func) as u32,
        })
        .collect()
}

fn limit(error: LimitError) -> Diagnostic {
    let code = match error.limit {
        Limit::Stack => codes::STACK_TOO_LARGE,
        Limit::Length => codes::PROGRAM_TOO_LONG,
        Limit::Registers => codes::INTERNAL,
    };
    Diagnostic::error(code, error.span, error.message).help(error.help)
}

fn verified(pass: &str, module: &Module, fitness: Fitness) -> Result<(), Diagnostic> {
    verify(module, fitness).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        bug(pass, &errors.join("; "))
    })
}

/// A mistake of nettrace's own.
fn bug(pass: &str, what: &str) -> Diagnostic {
    Diagnostic::host(
        codes::INTERNAL,
        format!("this is a bug of nettrace, in `{pass}`: {what}"),
    )
    .help("please report it with the script")
}

/// A stage of the compilation that can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// What the lexer sees.
    Tokens,
    /// What the parser sees.
    Ast,
    /// The checked program.
    Typed,
    /// The IR as lowering makes it.
    RawIr,
    /// The IR after the optimiser.
    Ir,
    /// The bytecode.
    Asm,
}

impl Stage {
    /// All stages with their names on the command line.
    pub const ALL: &[(&str, Stage)] = &[
        ("tokens", Stage::Tokens),
        ("ast", Stage::Ast),
        ("typed", Stage::Typed),
        ("raw-ir", Stage::RawIr),
        ("ir", Stage::Ir),
        ("asm", Stage::Asm),
    ];
}

/// The text of a stage and what was found on the way to it; no text when errors came before.
pub fn emit_stage(
    stage: Stage,
    (sources, script): (&SourceMap, FileId),
    unit: &Unit,
    kernel: &dyn Kernel,
    options: &Options,
) -> (Option<String>, Vec<Diagnostic>) {
    let mut sink = Sink::new();
    let text = match stage {
        Stage::Tokens => Some(dump::tokens(sources, script)),
        Stage::Ast => {
            sink.extend(unit.diags.iter().cloned());
            Some(dump::ast(&unit.script))
        }
        _ => typed(unit, kernel, options, &mut sink).and_then(|program| {
            checked_stage(stage, &program, kernel, options, sources).map_or_else(
                |errors| {
                    sink.extend(errors);
                    None
                },
                Some,
            )
        }),
    };
    (text, sink.into_sorted())
}

/// The stages behind the check.
fn checked_stage(
    stage: Stage,
    program: &typed::Program,
    kernel: &dyn Kernel,
    options: &Options,
    sources: &SourceMap,
) -> Result<String, Vec<Diagnostic>> {
    if stage == Stage::RawIr {
        return Ok(lower::lower(program, kernel, options.reads, Vec::new())
            .module
            .to_string());
    }
    if !matches!(stage, Stage::Ir | Stage::Asm) {
        return Ok(check::print(program, kernel));
    }
    let lowered = to_ir(program, kernel, options, sources).map_err(|bug| vec![bug])?;
    if stage == Stage::Ir {
        return Ok(lowered.module.to_string());
    }
    let codes = to_bytecode(&lowered.module)?;
    let mut text = String::new();
    for (func, code) in lowered.module.funcs.iter().zip(codes.iter()) {
        let listing = bpf::disasm::listing(code, sources);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}:\n{listing}", func.name);
    }
    Ok(text)
}
