//! Macros: every use is replaced by the macro's body, before any name has a meaning.
//!
//! In: a script's tree, and the macros of the libraries it may use. Out: the tree without uses of macros. A use becomes a block
//! ([`ast::ValueBlock`]) that remembers what it stands for, so that messages can name the use beside the place in the macro.
//! * Parameters: `a` is an expression, evaluated wherever the body names it; `$v` a variable of the user; `@m` a map.
//! * All other variables of the body are its own: they get a name that nobody can write.
//! * Several macros may share a name if they differ in the number or kind of their parameters; the script's own come first.

use std::collections::HashMap;

use nettrace_grammar::ast::{self, Expr, ExprKind, Macro, MacroParamKind, Stmt, StmtKind};
use nettrace_grammar::{Diagnostic, Sink, Span, codes};

mod body;
mod given;

use body::Body;

/// Expressions and statements that the macros of one script may grow to.
const MAX_NODES: usize = 500_000;

/// Macros that may be inside each other: walking the tree takes stack.
const MAX_DEPTH: usize = 50;

/// The macro behind the operator `~`.
pub(crate) const MATCHES: &str = "matches";

/// In a `printf` the values of expressions that an option gives.
pub(crate) const GIVEN_VALUES: &str = "getvalues";

/// An expression given as an option of a script.
#[derive(Clone, Debug)]
pub struct Given {
    /// The option, without dashes.
    pub option: String,
    /// As written.
    pub text: String,
    /// What it says.
    pub expr: Expr,
}

/// Marks the end of a variable's name where a macro's own number follows. No script can write it.
const OWN: char = '#';

/// A variable's name without what makes a macro's own unique.
pub(crate) fn written_name(name: &str) -> &str {
    name.split(OWN).next().unwrap_or(name)
}

/// Replaces the uses of macros in all probes of a script. `library` are the macros of imported files, which the script's own
/// override. `given` are the expressions of options. Mistakes go to the sink.
pub fn expand(
    script: &ast::Script,
    library: &[Macro],
    given: &[Given],
    sink: &mut Sink,
) -> ast::Script {
    let mut out = script.clone();
    let mut table: HashMap<&str, Vec<&Macro>> = HashMap::new();
    for definition in script.macros.iter().chain(library) {
        table
            .entry(&definition.name.name)
            .or_default()
            .push(definition);
    }
    report_twins(&script.macros, sink);
    let mut expander = Expander {
        table,
        given,
        sink,
        active: Vec::new(),
        uses: 0,
        nodes: 0,
    };
    for declared in &mut out.map_decls {
        declared.size.iter_mut().for_each(|e| expander.expr(e));
    }
    for probe in &mut out.probes {
        if let Some(predicate) = &mut probe.predicate {
            expander.expr(predicate);
        }
        expander.stmts(&mut probe.body.stmts);
    }
    out
}

/// Reports macros of one script that no use could tell apart.
fn report_twins(macros: &[Macro], sink: &mut Sink) {
    for (n, definition) in macros.iter().enumerate() {
        let kinds = |m: &Macro| m.params.iter().map(|p| p.kind).collect::<Vec<_>>();
        let twin = macros.iter().take(n).find(|other| {
            other.name.name == definition.name.name && kinds(other) == kinds(definition)
        });
        if let Some(twin) = twin {
            let message = format!("the macro `{}` is defined twice", definition.name.name);
            sink.error(
                Diagnostic::error(codes::REDECLARED, definition.name.span, message)
                    .also(twin.name.span, "first here"),
            );
        }
    }
}

struct Expander<'a> {
    table: HashMap<&'a str, Vec<&'a Macro>>,
    given: &'a [Given],
    sink: &'a mut Sink,
    /// The macros whose bodies are being expanded, outermost first.
    active: Vec<&'a Macro>,
    /// How many uses there were: numbers the variables of each.
    uses: usize,
    nodes: usize,
}

impl<'a> Expander<'a> {
    fn stmts(&mut self, stmts: &mut [Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        match &mut stmt.kind {
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Assign { target, value, .. } => {
                self.expr(target);
                self.expr(value);
            }
            StmtKind::Let { value, .. } => value.iter_mut().for_each(|e| self.expr(e)),
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.stmts(&mut then.stmts);
                if let Some(otherwise) = otherwise {
                    self.stmts(&mut otherwise.stmts);
                }
            }
            StmtKind::While { cond, body } | StmtKind::Unroll { count: cond, body } => {
                self.expr(cond);
                self.stmts(&mut body.stmts);
            }
            StmtKind::For { over, body, .. } => {
                match over {
                    ast::ForOver::Map(_) => {}
                    ast::ForOver::Range(from, to) => {
                        self.expr(from);
                        self.expr(to);
                    }
                }
                self.stmts(&mut body.stmts);
            }
            StmtKind::Return(value) => {
                if let (Some(outermost), Some(inside)) = (self.active.first(), self.active.last()) {
                    let message = format!("`return` inside the macro `{}`", inside.name.name);
                    let help = "a macro's value is its last expression, without `;`";
                    self.sink.error(
                        Diagnostic::error(codes::BAD_MACRO, stmt.span, message)
                            .also(outermost.name.span, "the macro")
                            .help(help),
                    );
                }
                value.iter_mut().for_each(|e| self.expr(e));
            }
            StmtKind::Block(block) => self.stmts(&mut block.stmts),
            StmtKind::Break | StmtKind::Continue | StmtKind::Error => {}
        }
    }

    fn expr(&mut self, e: &mut Expr) {
        self.nodes += 1;
        match &mut e.kind {
            ExprKind::Ident(name) => {
                let zero = self.table.get(name.as_str());
                if let Some(found) = zero.and_then(|all| all.iter().find(|m| m.params.is_empty())) {
                    let name = ast::Ident {
                        name: name.clone(),
                        span: e.span,
                    };
                    self.replace(e, found, &name, &[]);
                }
            }
            ExprKind::Call { name, args } => {
                if name.name == "printf" {
                    given::append(args, self.given);
                }
                args.iter_mut().for_each(|arg| self.expr(arg));
                let (name, args) = (name.clone(), std::mem::take(args));
                self.call(e, name, args);
            }
            // `a ~ b` is a macro of the library.
            ExprKind::Binary(ast::BinaryOp::Match, a, b) => {
                let mut args = vec![(**a).clone(), (**b).clone()];
                args.iter_mut().for_each(|arg| self.expr(arg));
                let name = ast::Ident {
                    name: MATCHES.to_string(),
                    span: e.span,
                };
                self.call(e, name, args);
            }
            ExprKind::Block(block) => {
                self.stmts(&mut block.stmts);
                if let Some(value) = &mut block.value {
                    self.expr(value);
                }
            }
            _ => body::each_part_mut(e, &mut |part| self.expr(part)),
        }
    }

    /// A call whose arguments are done.
    fn call(&mut self, e: &mut Expr, name: ast::Ident, args: Vec<Expr>) {
        let Some(candidates) = self.table.get(name.name.as_str()) else {
            e.kind = ExprKind::Call { name, args };
            return;
        };
        let fitting = candidates.iter().filter(|m| fits(m, &args));
        // More variables and maps among the parameters make a macro the better one; of equal ones the first.
        let special = |m: &&Macro| m.params.iter().filter(|p| is_special(p.kind)).count();
        let best = fitting
            .copied()
            .reduce(|best, next| match special(&next) > special(&best) {
                true => next,
                false => best,
            });
        match best {
            Some(found) => self.replace(e, found, &name, &args),
            // A builtin may have the same name and other arguments.
            None if crate::builtins::find(&name.name).is_some() => {
                e.kind = ExprKind::Call { name, args };
            }
            None => {
                self.sink.error(no_fit(&name, e.span, candidates));
                e.kind = ExprKind::Error;
            }
        }
    }

    fn replace(&mut self, e: &mut Expr, found: &'a Macro, name: &ast::Ident, args: &[Expr]) {
        if self.active.iter().any(|m| std::ptr::eq(*m, found)) {
            let message = format!("the macro `{}` uses itself", found.name.name);
            self.sink.error(
                Diagnostic::error(codes::BAD_MACRO, e.span, message)
                    .help("a macro is replaced by its body; what repeats is written as a loop"),
            );
            e.kind = ExprKind::Error;
            return;
        }
        if let Some(constant) = constant(found) {
            // Some places want to see a constant and nothing around it.
            e.kind = constant.clone();
            return;
        }
        if self.active.len() >= MAX_DEPTH {
            let message = format!("macros that use each other more than {MAX_DEPTH} levels deep");
            self.sink
                .error(Diagnostic::error(codes::TOO_DEEP, e.span, message));
            e.kind = ExprKind::Error;
            return;
        }
        if self.nodes > MAX_NODES {
            if self.nodes != usize::MAX {
                self.nodes = usize::MAX;
                let message = "the macros of this script grow beyond all bounds";
                self.sink
                    .error(Diagnostic::error(codes::TOO_LARGE, e.span, message).help(
                    "an argument is repeated wherever the macro names it: put it into a variable",
                ));
            }
            e.kind = ExprKind::Error;
            return;
        }
        self.uses += 1;
        let mut copy = Body::of(found, args, self.uses, name);
        if self.nodes != usize::MAX {
            self.nodes += copy.nodes;
        }
        self.active.push(found);
        self.stmts(&mut copy.block.stmts);
        if let Some(value) = &mut copy.block.value {
            self.expr(value);
        }
        self.active.pop();
        e.kind = ExprKind::Block(Box::new(copy.block));
    }
}

/// The value of a macro that is nothing but a constant.
fn constant(definition: &Macro) -> Option<&ExprKind> {
    let body = &definition.body;
    let value = body.value.as_ref().filter(|_| body.stmts.is_empty())?;
    match value.kind {
        ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Bool(_) => Some(&value.kind),
        _ => None,
    }
}

fn is_special(kind: MacroParamKind) -> bool {
    kind != MacroParamKind::Value
}

/// Whether a macro takes such arguments.
fn fits(definition: &Macro, args: &[Expr]) -> bool {
    definition.params.len() == args.len()
        && definition
            .params
            .iter()
            .zip(args)
            .all(|(param, arg)| match param.kind {
                MacroParamKind::Value => true,
                MacroParamKind::Var => matches!(arg.kind, ExprKind::Var(_)),
                MacroParamKind::Map => matches!(arg.kind, ExprKind::Map { key: None, .. }),
            })
}

fn no_fit(name: &ast::Ident, span: Span, candidates: &[&Macro]) -> Diagnostic {
    let forms: Vec<String> = candidates
        .iter()
        .map(|m| format!("`{}`", form(m)))
        .collect();
    let message = format!("the macro `{}` does not take these arguments", name.name);
    let mut diag = Diagnostic::error(codes::ARGUMENT_COUNT, span, message)
        .help(format!("its form is {}", forms.join(" or ")));
    let special = |m: &&Macro| m.params.iter().any(|p| is_special(p.kind));
    if candidates.iter().any(special) {
        diag = diag.note("for `$name` it takes a variable, for `@name` a whole map");
    }
    diag
}

/// `name(a, $v, @m)`
fn form(definition: &Macro) -> String {
    let params: Vec<String> = definition
        .params
        .iter()
        .map(|p| {
            let sigil = match p.kind {
                MacroParamKind::Value => "",
                MacroParamKind::Var => "$",
                MacroParamKind::Map => "@",
            };
            format!("{sigil}{}", p.name.name)
        })
        .collect();
    format!("{}({})", definition.name.name, params.join(", "))
}
