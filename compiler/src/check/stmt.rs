//! Statements and whole bodies.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::expr::truth_of;
use crate::macros::written_name;
use crate::typed::{Expr, ExprKind, Stmt, StmtKind};
use crate::types::Types;

impl Checker<'_> {
    /// Predicate and body; `None` after reporting.
    pub(super) fn probe(&mut self, probe: &ast::Probe) -> Option<(Option<Expr>, Vec<Stmt>)> {
        self.in_scope(|c| {
            let predicate = match &probe.predicate {
                Some(e) => c.condition(e).map(Some),
                None => Some(None),
            };
            let body = c.block(&probe.body);
            if c.last_pass {
                c.warn_unassigned();
            }
            Some((predicate?, body?))
        })
    }

    /// A block with its own variables.
    pub(super) fn block(&mut self, block: &ast::Block) -> Option<Vec<Stmt>> {
        self.in_scope(|c| c.stmts(&block.stmts))
    }

    /// All statements are checked, also after a mistake in one.
    pub(super) fn stmts(&mut self, stmts: &[ast::Stmt]) -> Option<Vec<Stmt>> {
        let mut out = Some(Vec::new());
        let mut left: Option<Span> = None;
        for stmt in stmts {
            if let Some(at) = left.take() {
                let message = "this is never reached";
                self.warn(
                    Diagnostic::warning(codes::UNREACHABLE, stmt.span, message)
                        .also(at, "never goes on here"),
                );
            }
            let typed = self.stmt(stmt);
            if typed.as_deref().is_some_and(leaves) {
                left = Some(stmt.span);
            }
            match (typed, &mut out) {
                (Some(new), Some(all)) => all.extend(new),
                (None, _) => out = None,
                (Some(_), None) => {}
            }
        }
        out
    }

    /// One statement may become several.
    fn stmt(&mut self, stmt: &ast::Stmt) -> Option<Vec<Stmt>> {
        let span = stmt.span;
        let one = |kind| Some(vec![Stmt { kind, span }]);
        match &stmt.kind {
            ast::StmtKind::Expr(e) => self.expr_stmt(e, span),
            ast::StmtKind::Assign { target, op, value } => {
                one(self.assign(target, *op, value, span)?)
            }
            ast::StmtKind::Let { var, ty, value } => {
                self.let_stmt(var, ty.as_ref(), value.as_ref(), span)
            }
            ast::StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let decided = matches!(cond.kind, ast::ExprKind::Comptime(_));
                let cond = self.condition(cond);
                if decided {
                    // The other arm need not even make sense on this kernel.
                    return match (truth_of(&cond?)?, otherwise) {
                        (true, _) => self.block(then),
                        (false, Some(otherwise)) => self.block(otherwise),
                        (false, None) => Some(Vec::new()),
                    };
                }
                let then = self.block(then);
                let otherwise = match otherwise {
                    Some(block) => self.block(block),
                    None => Some(Vec::new()),
                };
                one(StmtKind::If(cond?, then?, otherwise?))
            }
            ast::StmtKind::Return(None) => one(StmtKind::Return(None)),
            ast::StmtKind::Return(Some(e)) => {
                let value = self.expr(e)?;
                if !self.is_int_like(value.ty) {
                    let ty = self.describe(value.ty);
                    let message = format!("a probe returns a number, not {ty}");
                    self.error(codes::TYPE_MISMATCH, e.span, message);
                    return None;
                }
                let value = self.widen(value);
                one(StmtKind::Return(Some(value)))
            }
            ast::StmtKind::Block(block) => self.block(block),
            ast::StmtKind::While { cond, body } => one(self.while_loop(cond, body)?),
            ast::StmtKind::For { var, over, body } => one(self.for_loop(var, over, body, span)?),
            ast::StmtKind::Unroll { count, body } => self.unroll(count, body),
            ast::StmtKind::Break => one(self.in_loop(StmtKind::Break, "break", span)?),
            ast::StmtKind::Continue => one(self.in_loop(StmtKind::Continue, "continue", span)?),
            // Reported by the parser.
            ast::StmtKind::Error => None,
        }
    }

    fn let_stmt(
        &mut self,
        var: &ast::Ident,
        written: Option<&ast::TypeExpr>,
        value: Option<&ast::Expr>,
        span: Span,
    ) -> Option<Vec<Stmt>> {
        // The value comes first: `let $x = $x` reads an outer one, which then is declared twice.
        let value = value.map(|e| (self.value(e), e.span));
        let pinned = written.map(|t| self.written_type(t));
        if let Some(first) = self.find_var(&var.name) {
            let at = self.vars[first].span;
            let name = written_name(&var.name);
            let message = format!("the variable `${name}` is declared twice");
            self.report(
                Diagnostic::error(codes::REDECLARED, var.span, message).also(at, "first here"),
            );
            return None;
        }
        let id = self.declare(&var.name, var.span);
        if let Some(ty) = pinned {
            let ty = ty?;
            let at = written_span(written, var.span);
            match self.size_of(ty) {
                Some(size) => self.expect_size(size, at)?,
                None => {
                    let name = self.show(ty);
                    let message = format!("a variable cannot be {name}, which has no size");
                    self.error(codes::BAD_ASSIGNMENT, at, message);
                    return None;
                }
            }
            self.pin(id, ty);
        }
        match value {
            None => Some(Vec::new()),
            Some((value, at)) => {
                let value = self.store_var(id, value, at)?;
                let kind = StmtKind::Assign(id, value);
                Some(vec![Stmt { kind, span }])
            }
        }
    }

    fn expr_stmt(&mut self, e: &ast::Expr, span: Span) -> Option<Vec<Stmt>> {
        // As a statement, the arms of `c ? a : b` are statements, which need no value.
        if let ast::ExprKind::Ternary {
            cond,
            then: Some(then),
            otherwise,
        } = &e.kind
        {
            let cond = self.condition(cond);
            let then = self.expr_stmt(then, then.span);
            let otherwise = self.expr_stmt(otherwise, otherwise.span);
            let kind = StmtKind::If(cond?, then?, otherwise?);
            return Some(vec![Stmt { kind, span }]);
        }
        // A block, which a macro becomes, needs no value here either.
        if let ast::ExprKind::Block(block) = &e.kind {
            return self.in_expansion(block, |c| {
                c.in_scope(|c| {
                    let mut stmts = c.stmts(&block.stmts);
                    if let Some(value) = &block.value {
                        let last = c.expr_stmt(value, value.span);
                        stmts = stmts.zip(last).map(|(stmts, last)| [stmts, last].concat());
                    }
                    stmts
                })
            });
        }
        let value = self.expr(e)?;
        // The value of a macro may be there for those who want it.
        let wanted = self.expansions.is_empty();
        if wanted && value.ty != Types::VOID && !has_effect(&value) {
            let message = "nothing uses this value";
            let help = "to throw it away on purpose, write `_ = …`";
            self.warn(Diagnostic::warning(codes::DISCARDED_VALUE, e.span, message).help(help));
        }
        let exits = is_exit(&value);
        let mut out = vec![Stmt {
            kind: StmtKind::Expr(value),
            span,
        }];
        if exits {
            let kind = StmtKind::Return(None);
            out.push(Stmt { kind, span });
        }
        Some(out)
    }

    /// An expression as a condition.
    pub(super) fn condition(&mut self, e: &ast::Expr) -> Option<Expr> {
        let value = self.expr(e)?;
        self.truth(value)
    }

    pub(super) fn not_a_condition(&mut self, value: &Expr) {
        let ty = self.describe(value.ty);
        let message = format!("a condition is a number, a pointer or a bool, not {ty}");
        self.error(codes::TYPE_MISMATCH, value.span, message);
    }
}

fn written_span(written: Option<&ast::TypeExpr>, otherwise: Span) -> Span {
    written.map_or(otherwise, |t| t.span)
}

fn leaves(stmts: &[Stmt]) -> bool {
    match stmts.last().map(|s| &s.kind) {
        Some(StmtKind::Return(_) | StmtKind::Break | StmtKind::Continue) => true,
        Some(StmtKind::If(_, then, otherwise)) => leaves(then) && leaves(otherwise),
        _ => false,
    }
}

fn is_exit(value: &Expr) -> bool {
    matches!(&value.kind, ExprKind::Call(call) if call.builtin.name == "exit")
}

/// Whether evaluating has an effect beside the value: such a statement needs no `_ =`.
fn has_effect(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::IncDec { .. } => true,
        ExprKind::Call(call) => call.builtin.name == "delete",
        _ => false,
    }
}
