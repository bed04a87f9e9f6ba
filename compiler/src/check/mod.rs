//! Types every expression; the only place that reports a script's mistakes.
//!
//! In: the syntax tree, the kernel, options. Out: [`typed::Program`] or errors in the sink.
//!
//! A variable or map has one type, the join of everything stored in it, earlier uses included. The same checking code therefore
//! runs over the script until no type grows any more, with its messages thrown away, and then once for real.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use nettrace_grammar::codes::Code;
use nettrace_grammar::diag::Severity;
use nettrace_grammar::{Diagnostic, Reported, Sink, Span, ast, codes};

use crate::artifact::{MissingProbes, Settings};
use crate::index::{Id, IndexVec};
use crate::kernel::{Kernel, KernelTypeId};
use crate::macros::Given;
use crate::probes::ProbeKind;
use crate::resolve::{self, Group, Resolver, Source};
use crate::session::Session;
use crate::typed::{self, Limits, VarId};
use crate::types::Types;
use crate::unit::OptionValue;

mod access;
pub(crate) mod arguments;
mod assign;
mod binary;
mod call;
mod cast;
mod convert;
mod declare;
mod expr;
pub(crate) mod fold;
pub(crate) mod format;
mod infer;
mod loops;
pub(crate) mod maps;
mod network_order;
mod print;
mod shape;
mod state;
mod stmt;
mod unary;
mod vars;
mod written;

#[cfg(test)]
mod tests;

pub use call::CallSite;
pub use print::print;

use state::{MapTable, Stored, VarState};

/// What a compilation is told beside the script.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Positional parameters: `$1` is the first.
    pub params: Vec<String>,
    /// Where they stand, if they are a text of the sources.
    pub param_spans: Vec<Span>,
    /// The script's own options by name without dashes; of several of one name the last counts. The defaults of those that attach points
    /// name must be among them.
    pub options: Vec<(String, OptionValue)>,
    /// Where the texts of options stand that were given, if they are texts of the sources.
    pub option_spans: Vec<(String, Span)>,
    /// Results will be printed as JSON.
    pub json_output: bool,
    /// Expressions that options give; see [`crate::macros::Given`].
    pub given: Vec<Given>,
    /// Overrides the script's own `missing_probes`.
    pub missing_probes: Option<MissingProbes>,
    /// Options of the config block from outside, name and value; they win over the script's.
    pub config: Vec<(String, String)>,
    /// How the program follows pointers; see [`crate::lower::Reads`].
    pub reads: crate::lower::Reads,
    /// The interactive session that the script is an entry of.
    pub session: Option<Rc<Session>>,
    /// What an editor wants to know about a place in the script.
    pub question: Option<Rc<Question>>,
}

/// Asks what stands before a member: the script names the member [`Question::MEMBER`] there.
#[derive(Debug, Default)]
pub struct Question {
    answer: RefCell<Option<Before>>,
}

/// What stands before a `.` or `->`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// A struct or union of the kernel, or a pointer to one.
    Record(KernelTypeId),
    /// `args`: names and types of the probe's arguments.
    Arguments(Vec<(String, String)>),
}

impl Question {
    /// A member that no struct has.
    pub const MEMBER: &str = "__what_is_here";

    /// What was found.
    pub fn answer(&self) -> Option<Before> {
        self.answer.borrow().clone()
    }
}

/// Where the last text of an option stands.
pub(crate) fn span_of_option(spans: &[(String, Span)], name: &str) -> Option<Span> {
    let given = spans.iter().rev().find(|(n, _)| n == name);
    given.map(|(_, span)| *span)
}

/// Messages about bodies beyond this many are dropped: nobody reads them.
const MAX_MESSAGES: usize = 200;

/// As many passes as types can reasonably take to settle: each pass widens at least one, and a type widens a few times only.
const MAX_PASSES: usize = 200;

/// The state of checking one probe body.
pub struct Checker<'a> {
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) types: &'a mut Types,
    pub(crate) kind: &'static ProbeKind,
    pub(crate) settings: &'a Settings,
    pub(crate) limits: Limits,
    params: &'a [String],
    param_spans: &'a [Span],
    options: &'a [(String, OptionValue)],
    option_spans: &'a [(String, Span)],
    pub(crate) json_output: bool,
    question: Option<&'a Question>,
    group: &'a Group,
    maps: &'a mut MapTable,
    /// The variables of this body; those of earlier passes keep their number and type.
    vars: &'a mut IndexVec<VarId, VarState>,
    /// How many of them this pass has come to.
    declared: usize,
    scopes: Vec<HashMap<String, VarId>>,
    /// Loops around what is checked.
    loops: u32,
    /// The uses of macros that what is checked stands for, outermost first, with the bodies of the macros.
    expansions: Vec<(ast::Ident, Span)>,
    sink: &'a mut Sink,
    /// Messages count; types are settled.
    last_pass: bool,
    /// A type grew in this pass.
    grew: bool,
    /// What stands at these places is in network byte order.
    network: HashSet<Span>,
    /// The next call may be an aggregation: it stands alone on the right of an assignment to a map.
    aggregate_allowed: bool,
}

/// Checks a script without uses of macros ([`crate::macros::expand`]) for a kernel. The parser's messages are in the sink already; its `Error` nodes stay silent.
///
/// # Errors
/// The script has a mistake, which is in the sink.
pub fn check(
    script: &ast::Script,
    kernel: &dyn Kernel,
    options: &Options,
    sink: &mut Sink,
) -> Result<typed::Program, Reported> {
    let mut config = resolve::config::read(script.config.as_ref(), &options.config, sink);
    if let Some(missing) = options.missing_probes {
        config.settings.missing_probes = missing;
    }
    let mut bodies = bodies(script, kernel, options, &config, sink);
    let mut state = Whole {
        types: match &options.session {
            Some(session) => session.types().clone(),
            None => Types::new(),
        },
        maps: MapTable::new(options.session.clone()),
    };
    let context = Context {
        kernel,
        options,
        config: &config,
    };
    declare::maps(&script.map_decls, &mut state.maps, sink);
    settle(&context, &mut state, &mut bodies, sink)?;
    declare::check(script, &state.maps, sink);
    let mut probes = Vec::new();
    let mut known = HashSet::new();
    for body in &mut bodies {
        let mut own = Sink::new();
        probes.extend(context.body(&mut state, body, &mut own, true).0);
        add_new(sink, own, &mut known);
    }
    let maps = finish_maps(&state.maps);
    sink.check()?;
    if probes.len() != bodies.len() {
        // A body without a type and without a message. (The caller has put the parser's messages into the sink.)
        let message = "this is a bug of nettrace, in `check`: a mistake was found and not told";
        let help = "please report it with the script";
        return Err(sink.error(Diagnostic::host(codes::INTERNAL, message).help(help)));
    }
    Ok(typed::Program {
        types: state.types,
        maps,
        probes,
        settings: config.settings,
        limits: config.limits,
        entry: options.session.as_ref().map(|session| session.entry),
    })
}

/// A body of the script as it is compiled for one group of targets.
struct Body<'a> {
    probe: &'a ast::Probe,
    group: Group,
    vars: IndexVec<VarId, VarState>,
}

/// What all bodies share.
struct Whole {
    types: Types,
    maps: MapTable,
}

struct Context<'a> {
    kernel: &'a dyn Kernel,
    options: &'a Options,
    config: &'a resolve::config::Configuration,
}

/// Resolves all attach points. A script that has none left is an error.
fn bodies<'a>(
    script: &'a ast::Script,
    kernel: &dyn Kernel,
    options: &Options,
    config: &resolve::config::Configuration,
    sink: &mut Sink,
) -> Vec<Body<'a>> {
    let mut bodies = Vec::new();
    let errors_before = sink.check().is_err();
    for probe in &script.probes {
        let mut resolver = Resolver {
            kernel,
            sink,
            missing: config.settings.missing_probes,
            max_probes: config.max_probes,
            params: &options.params,
            options: &options.options,
            option_spans: &options.option_spans,
        };
        let groups = resolve::probe(&mut resolver, probe);
        bodies.extend(groups.into_iter().map(|group| Body {
            probe,
            group,
            vars: IndexVec::new(),
        }));
    }
    let earlier = options
        .session
        .as_ref()
        .map_or(0, |session| session.targets);
    number_targets(&mut bodies, earlier);
    let only_ends = bodies.iter().all(|b| b.group.kind.name == "end");
    if !errors_before && only_ends && sink.check().is_ok() {
        match script
            .probes
            .iter()
            .find(|p| !bodies.iter().any(|b| std::ptr::eq(b.probe, *p)))
        {
            Some(probe) => {
                let message = "no probe is left to attach";
                sink.error(Diagnostic::error(
                    codes::NO_SUCH_TARGET,
                    resolve::points(probe),
                    message,
                ));
            }
            None if bodies.is_empty() => {
                let message = "the script has no probe";
                let help = "a script needs one at least: `begin { … }`, `kprobe:FUNCTION { … }`";
                sink.error(Diagnostic::host(codes::UNEXPECTED_TOKEN, message).help(help));
            }
            None => {}
        }
    }
    bodies
}

/// Runs passes until no type grows.
fn settle(
    context: &Context<'_>,
    state: &mut Whole,
    bodies: &mut [Body<'_>],
    sink: &mut Sink,
) -> Result<(), Reported> {
    for _ in 0..MAX_PASSES {
        let mut grew = false;
        for body in bodies.iter_mut() {
            let mut muted = Sink::new();
            grew |= context.body(state, body, &mut muted, false).1;
        }
        if !grew && !guess_unknown(&mut state.maps) {
            return Ok(());
        }
    }
    let message = "the types of this script depend on each other in too long a chain";
    let help = "declare the types of some variables: `let $x: uint64;`";
    Err(sink.error(Diagnostic::host(codes::TOO_LARGE, message).help(help)))
}

/// Maps that only ever get what depends on themselves, as in `@n = @n + 1`, count from the number 0.
fn guess_unknown(table: &mut MapTable) -> bool {
    let mut guessed = false;
    for map in table
        .maps
        .iter_mut()
        .filter(|m| m.assigned && m.value.is_none())
    {
        map.value = Some(Stored::Plain(infer::Inferred::fixed(Types::I64)));
        guessed = true;
    }
    guessed
}

impl Context<'_> {
    /// Checks one body once: the typed probe, if there is no mistake in it, and whether a type grew.
    fn body(
        &self,
        state: &mut Whole,
        body: &mut Body<'_>,
        sink: &mut Sink,
        last_pass: bool,
    ) -> (Option<typed::Probe>, bool) {
        let mut checker = Checker {
            kernel: self.kernel,
            types: &mut state.types,
            kind: body.group.kind,
            settings: &self.config.settings,
            limits: self.config.limits,
            params: &self.options.params,
            param_spans: &self.options.param_spans,
            options: &self.options.options,
            option_spans: &self.options.option_spans,
            json_output: self.options.json_output,
            question: self.options.question.as_deref(),
            group: &body.group,
            maps: &mut state.maps,
            vars: &mut body.vars,
            declared: 0,
            scopes: Vec::new(),
            loops: 0,
            expansions: Vec::new(),
            sink,
            last_pass,
            grew: false,
            network: HashSet::new(),
            aggregate_allowed: false,
        };
        let checked = checker.probe(body.probe);
        let grew = checker.grew;
        let typed = checked.and_then(|(predicate, stmts)| {
            Some(typed::Probe {
                kind: body.group.kind,
                targets: body.group.targets.clone(),
                vars: finish_vars(&body.vars)?,
                predicate,
                body: stmts,
                span: body.probe.span,
            })
        });
        (typed, grew)
    }
}

impl Checker<'_> {
    /// A target's description, for messages: the first of the group.
    fn target_name(&self) -> &str {
        self.group.targets.first().map_or("", |t| t.probe.as_str())
    }

    /// The value of an option that was given.
    pub(crate) fn option(&self, name: &str) -> Option<&OptionValue> {
        let given = self.options.iter().rev().find(|(n, _)| n == name);
        given.map(|(_, value)| value)
    }

    /// Where the text of an option stands that was given.
    pub(crate) fn option_span(&self, name: &str) -> Option<Span> {
        span_of_option(self.option_spans, name)
    }

    /// Tells an editor what stands before the member that it asks about.
    fn answer(&self, field: &ast::Ident, before: impl FnOnce() -> Option<Before>) {
        if let Some(question) = self.question
            && field.name == Question::MEMBER
            && let Some(before) = before()
        {
            *question.answer.borrow_mut() = Some(before);
        }
    }

    fn source(&self) -> &Source {
        &self.group.source
    }

    pub(crate) fn report(&mut self, diag: Diagnostic) {
        let diag = self.with_uses(diag);
        self.sink.error(diag);
    }

    /// Names the uses of the macros in which a mistake lies, innermost first.
    fn with_uses(&self, mut diag: Diagnostic) -> Diagnostic {
        let at = diag.primary_span().unwrap_or_default();
        // What lies in an argument is a mistake of the user's own text.
        let inside = |(_, body): &&(ast::Ident, Span)| body.lo <= at.lo && at.hi <= body.hi;
        let uses = self.expansions.iter().rev().skip_while(|e| !inside(e));
        for (name, _) in uses {
            if name.span != at {
                diag = diag.also(
                    name.span,
                    format!("in this use of the macro `{}`", name.name),
                );
            }
        }
        diag
    }

    /// Checks a block that may stand for a use of a macro.
    fn in_expansion<R>(&mut self, block: &ast::ValueBlock, f: impl FnOnce(&mut Self) -> R) -> R {
        let depth = self.expansions.len();
        let name = block.expands.clone();
        self.expansions.extend(name.map(|name| (name, block.span)));
        let result = f(self);
        self.expansions.truncate(depth);
        result
    }

    pub(crate) fn warn(&mut self, diag: Diagnostic) {
        let diag = self.with_uses(diag);
        self.sink.warn(diag);
    }

    /// Reports an error with nothing but a message.
    fn error(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.report(Diagnostic::error(code, span, message));
    }

    /// Adds a help line with names that resemble a misspelt one.
    pub(crate) fn suggest(&self, diag: Diagnostic, names: &[String]) -> Diagnostic {
        resolve::suggest(diag, names)
    }

    /// Names of the kernel that resemble a misspelt one; only looked for when the message counts.
    fn similar(&self, what: crate::kernel::Similar, name: &str) -> Vec<String> {
        match self.last_pass {
            true => self.kernel.similar(what, name),
            false => Vec::new(),
        }
    }
}

/// The variables of a body; `None` when one has no type, which has been reported.
fn finish_vars(vars: &IndexVec<VarId, VarState>) -> Option<IndexVec<VarId, typed::Var>> {
    vars.iter()
        .map(|v| {
            Some(typed::Var {
                name: v.name.clone(),
                // Declared and never used with a value: any type does.
                ty: v.ty.as_ref().map_or(Types::I64, |t| t.ty),
                span: v.span,
            })
        })
        .collect()
}

/// The maps of the program. Those without a value are only ever printed or cleared, which has been reported.
fn finish_maps(table: &MapTable) -> IndexVec<typed::ScriptMapId, typed::Map> {
    table
        .maps
        .iter()
        .map(|m| typed::Map {
            name: m.name.clone(),
            key: m.key.as_ref().map(|k| k.ty),
            value: match &m.value {
                Some(Stored::Plain(t)) => typed::MapValue::Plain(t.ty),
                Some(Stored::Aggregate(a)) => typed::MapValue::Aggregate(*a),
                None => typed::MapValue::Plain(Types::POISON),
            },
            declared: m.declared.map(|(declared, _)| declared),
            span: m.span,
        })
        .collect()
}

/// Gives every target its cookie: its number over all programs, and over all entries of a session.
fn number_targets(bodies: &mut [Body<'_>], first: u64) {
    let targets = bodies.iter_mut().flat_map(|b| b.group.targets.iter_mut());
    for (number, target) in targets.enumerate() {
        target.cookie = first + number as u64;
    }
}

/// Adds the diagnostics that are not there yet: the groups of one probe share their mistakes.
fn add_new(sink: &mut Sink, own: Sink, known: &mut HashSet<(Code, Option<Span>)>) {
    for diag in own.into_sorted() {
        // One error at least must come through: it is what `sink.check()` goes by.
        let needed = diag.severity == Severity::Error && sink.check().is_ok();
        if known.len() >= MAX_MESSAGES && !needed {
            continue;
        }
        if known.insert((diag.code, diag.primary_span())) {
            sink.extend([diag]);
        }
    }
}

fn var_id(index: usize) -> VarId {
    VarId::new(index)
}
