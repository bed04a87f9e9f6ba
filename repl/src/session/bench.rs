//! Where entries are compiled: the kernel's description, and what earlier entries have left for later ones (maps, macros, settings).
//!
//! In: the text of an entry. Out: its compilation, and the script that its messages point into. Nothing is loaded here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use nettrace_compiler::builtins::{self, Lowering};
use nettrace_compiler::check::{Options, Question};
use nettrace_compiler::pipeline::{self, Compiled, Stage};
use nettrace_compiler::session::Session;
use nettrace_compiler::typed;
use nettrace_compiler::unit::{Importer, Text, Unit};
use nettrace_grammar::ast::{Expr, ExprKind, Ident, StmtKind};
use nettrace_grammar::diag::Severity;
use nettrace_grammar::{Diagnostic, Parsed, SourceMap, parse, parse_body};
use nettrace_runtime::host::LiveKernel;

use super::entry;
use crate::cli::CompileOptions;
use crate::compile;
use crate::imports::Files;
use crate::options::Words;
use crate::script::Script;

/// The bench.
pub(crate) struct Bench {
    /// Opened once: all types of the session are its types.
    pub(crate) kernel: Rc<LiveKernel>,
    /// Maps of earlier entries.
    pub(crate) session: Session,
    /// Options of the config block, as `:set` gave them.
    pub(crate) config: Vec<(String, String)>,
    options: CompileOptions,
    files: SessionFiles,
    /// Declarations of maps that no entry has used so far, by the map's name.
    declarations: BTreeMap<String, String>,
}

/// A compilation with the script it was made from.
pub(crate) struct Attempt {
    pub(crate) script: Script,
    pub(crate) compiled: Compiled,
}

impl Bench {
    pub(crate) fn new(kernel: LiveKernel, options: CompileOptions) -> Bench {
        Bench {
            kernel: Rc::new(kernel),
            session: Session::default(),
            config: Vec::new(),
            options,
            files: SessionFiles::default(),
            declarations: BTreeMap::new(),
        }
    }

    /// Begins an entry: its number. Modules that have been loaded since the last one are known from here on.
    pub(crate) fn next(&mut self) -> u32 {
        // With `--btf` the modules of this machine say nothing.
        if self.options.btf.is_none()
            && let Ok(Some(kernel)) = self.kernel.with_new_modules()
        {
            self.kernel = Rc::new(kernel);
        }
        self.session.entry = self.session.entry.wrapping_add(1).max(1);
        self.session.entry
    }

    /// Reads items of a script.
    pub(crate) fn script(&mut self, name: &str, text: &str) -> Script {
        self.read(name, text, parse)
    }

    /// Reads statements; when `show` is set, the value of the last one is printed.
    fn statements(&mut self, name: &str, text: &str, show: bool) -> Script {
        self.read(name, text, |sources, file| {
            let mut parsed = parse_body(sources, file);
            if show {
                print_last(&mut parsed);
            }
            parsed
        })
    }

    fn read(
        &mut self,
        name: &str,
        text: &str,
        parse: impl FnOnce(&SourceMap, nettrace_grammar::FileId) -> Parsed,
    ) -> Script {
        let mut sources = SourceMap::new();
        self.session.quote(&mut sources);
        let file = sources.add(name, text);
        let parsed = parse(&sources, file);
        let own = parsed.script.macros.iter().map(|m| m.name.name.clone());
        *self.files.hidden.borrow_mut() = own.collect();
        let mut unit = Unit::of(parsed, &mut sources, file, &self.files);
        self.declare(text, &mut sources, &mut unit);
        Script {
            sources,
            file,
            unit,
            problems: Vec::new(),
        }
    }

    /// Adds the declarations of maps that the text names.
    fn declare(&self, text: &str, sources: &mut SourceMap, unit: &mut Unit) {
        for (name, declaration) in &self.declarations {
            let named = text.contains(&format!("@{name}"));
            let again = unit.script.map_decls.iter().any(|d| d.map.name == *name);
            if named && !again && self.session.find(name).is_none() {
                let file = sources.add("declaration", declaration.clone());
                let parsed = parse(sources, file);
                unit.script.map_decls.extend(parsed.script.map_decls);
            }
        }
    }

    fn compiler_options(&self, script: &Script, words: &Words) -> Options {
        Options {
            session: Some(Rc::new(self.session.clone())),
            config: self.config.clone(),
            ..compile::options(&self.options, script, words)
        }
    }

    /// Compiles a script.
    pub(crate) fn compile(&self, script: Script, words: &Words) -> Attempt {
        let options = self.compiler_options(&script, words);
        let compiled = pipeline::compile(&script.sources, &script.unit, &*self.kernel, &options);
        Attempt { script, compiled }
    }

    /// Compiles statements so that the last one's value is printed, if it has one.
    pub(crate) fn evaluation(&mut self, name: &str, text: &str) -> Attempt {
        let words = Words::default();
        let script = self.statements(name, text, true);
        let shown = self.compile(script, &words);
        if shown.compiled.artifact.is_some() {
            return shown;
        }
        // A macro without a value is a statement.
        let script = self.statements(name, text, false);
        let silent = self.compile(script, &words);
        match silent.compiled.artifact {
            Some(_) if has_no_value(&shown.compiled.diagnostics) => silent,
            _ => shown,
        }
    }

    /// A stage of the compilation as text.
    pub(crate) fn stage(
        &mut self,
        stage: Stage,
        script: &Script,
        words: &Words,
    ) -> (Option<String>, Vec<Diagnostic>) {
        let options = self.compiler_options(script, words);
        let source = (&script.sources, script.file);
        pipeline::emit_stage(stage, source, &script.unit, &*self.kernel, &options)
    }

    /// Checks a text for the answer to a question; what is wrong with the text does not matter.
    pub(crate) fn ask(&mut self, text: &str, question: Rc<Question>) {
        let script = match entry::looks_like_script(text.trim_start()) {
            true => self.script("", text),
            false => self.statements("", text, true),
        };
        let options = Options {
            question: Some(question),
            ..self.compiler_options(&script, &Words::default())
        };
        pipeline::check_only(&script.unit, &*self.kernel, &options);
    }

    /// What is wrong with the options.
    pub(crate) fn check_config(&mut self) -> Vec<Diagnostic> {
        let script = self.script("", "begin { }");
        self.compile(script, &Words::default()).compiled.diagnostics
    }

    /// The statements of an entry as a script, for showing its stages.
    pub(crate) fn statements_script(&mut self, name: &str, text: &str) -> Script {
        self.statements(name, text, true)
    }

    /// What an entry leaves behind: its maps. Gives the names of the new ones.
    pub(crate) fn adopt(&mut self, program: &typed::Program, script: &Script) -> Vec<String> {
        self.session.adopt(program, &script.sources)
    }

    /// Keeps the macros and declarations of an entry; gives their names as a person would say them.
    pub(crate) fn keep(&mut self, script: &Script) -> Vec<String> {
        let file = script.sources.file(script.file);
        let inside = |at: u32| at >= file.base && at <= file.base + file.text.len() as u32;
        let mut kept = Vec::new();
        for item in script
            .unit
            .script
            .macros
            .iter()
            .filter(|m| inside(m.span.lo))
        {
            let text = script.sources.text(item.span).to_string();
            let name = item.name.name.clone();
            kept.push(format!("macro {name}"));
            self.files.macros.insert(name, text);
        }
        for item in script
            .unit
            .script
            .map_decls
            .iter()
            .filter(|d| inside(d.span.lo))
        {
            let text = script.sources.text(item.span).to_string();
            kept.push(format!("map @{}", item.map.name));
            self.declarations.insert(item.map.name.clone(), text);
        }
        kept
    }

    /// Texts of the macros and declarations of the session, in the order of their names.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &str> {
        let declarations = self.declarations.values();
        let macros = self.files.macros.values();
        declarations.chain(macros).map(String::as_str)
    }

    /// Names and texts of the session's macros.
    pub(crate) fn macros(&self) -> impl Iterator<Item = (&str, &str)> {
        let macros = self.files.macros.iter();
        macros.map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// Files, nettrace's library, and before it the macros of the session.
#[derive(Debug, Default)]
struct SessionFiles {
    macros: BTreeMap<String, String>,
    /// Macros that the entry defines anew.
    hidden: RefCell<BTreeSet<String>>,
}

impl Importer for SessionFiles {
    fn import(&self, path: &str, from: &str) -> Result<Vec<Text>, String> {
        Files.import(path, from)
    }

    fn library(&self, name: &str) -> Option<Text> {
        if self.hidden.borrow().contains(name) {
            return None;
        }
        let own = self.macros.get(name).map(|text| Text {
            name: format!("macro {name}"),
            text: text.clone(),
        });
        own.or_else(|| Files.library(name))
    }
}

/// Wraps the last statement into `print(…)`, if it is an expression that may have a value.
fn print_last(parsed: &mut Parsed) {
    let body = parsed.script.probes.last_mut().map(|probe| &mut probe.body);
    let Some(last) = body.and_then(|body| body.stmts.last_mut()) else {
        return;
    };
    let StmtKind::Expr(value) = &mut last.kind else {
        return;
    };
    if acts(value) {
        return;
    }
    let span = value.span;
    let nothing = Expr {
        kind: ExprKind::Error,
        span,
    };
    let value = std::mem::replace(value, nothing);
    let name = Ident {
        name: "print".to_string(),
        span,
    };
    let args = vec![value];
    last.kind = StmtKind::Expr(Expr {
        kind: ExprKind::Call { name, args },
        span,
    });
}

/// Whether an expression is a statement for its effect.
fn acts(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Call { name, .. } => builtins::find(&name.name)
            .is_some_and(|row| matches!(row.lower, Lowering::Action(_)) || row.name == "delete"),
        ExprKind::IncDec { .. } => true,
        _ => false,
    }
}

/// Whether the only thing wrong with what was to be printed is that there is nothing to print.
fn has_no_value(diags: &[Diagnostic]) -> bool {
    let mut errors = diags.iter().filter(|d| d.severity == Severity::Error);
    errors.all(|d| d.code == nettrace_grammar::codes::NOT_A_VALUE)
}
