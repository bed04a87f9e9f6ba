//! Loops.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::infer::Inferred;
use super::state::{Shape, Stored};
use crate::typed::{Loop, StmtKind, VarId};
use crate::types::{Ty, Type, Types};

/// Times that a body may be unrolled.
const MAX_UNROLL: i64 = 100;

impl Checker<'_> {
    pub(super) fn while_loop(&mut self, cond: &ast::Expr, body: &ast::Block) -> Option<StmtKind> {
        let cond = self.condition(cond);
        let body = self.rounds(|c| c.block(body));
        Some(StmtKind::Loop(Loop::While(cond?), body?))
    }

    pub(super) fn for_loop(
        &mut self,
        var: &ast::Ident,
        over: &ast::ForOver,
        body: &ast::Block,
        span: Span,
    ) -> Option<StmtKind> {
        match over {
            ast::ForOver::Range(from, to) => {
                let from = self.integer(from, Types::I64, "the start of a range");
                let to = self.integer(to, Types::I64, "the end of a range");
                let (id, body) = self.with_variable(var, Some(Types::I64), body);
                Some(StmtKind::Loop(Loop::Range(id?, from?, to?), body?))
            }
            ast::ForOver::Map(map) => {
                let ast::ExprKind::Map { name, .. } = &map.kind else {
                    return None;
                };
                let id = self.maps.id(name, map.span);
                let entry = self.entry_type(name, map.span);
                let (var, body) = self.with_variable(var, entry, body);
                let _ = span;
                Some(StmtKind::Loop(Loop::Entries(var?, id), body?))
            }
        }
    }

    /// The tuple of key and value that a map's entries are; `None` after reporting, or while it is not known yet.
    fn entry_type(&mut self, name: &str, span: Span) -> Option<Ty> {
        let id = self.maps.id(name, span);
        let map = self.maps.maps.get(id)?.clone();
        if let Shape::Scalar(first) = map.shape {
            let message = format!("`@{name}` has no keys to go through");
            self.report(
                Diagnostic::error(codes::MAP_SHAPE, span, message)
                    .also(first, "used without a key here"),
            );
            return None;
        }
        if map.key.is_none() && self.last_pass {
            let message = format!("nothing is ever stored in `@{name}`");
            self.report(Diagnostic::error(codes::UNKNOWN_VARIABLE, span, message));
        }
        let key = map.key?.ty;
        let value = match map.value? {
            Stored::Plain(value) => value.ty,
            Stored::Aggregate(kind) => self.total_type(kind, name, span)?,
        };
        Some(self.types.intern(Type::Tuple(vec![key, value])))
    }

    /// Checks a body with a loop's variable, which is new and known in the body only.
    fn with_variable(
        &mut self,
        var: &ast::Ident,
        ty: Option<Ty>,
        body: &ast::Block,
    ) -> (Option<VarId>, Option<Vec<crate::typed::Stmt>>) {
        self.in_scope(|c| {
            if let Some(first) = c.find_var(&var.name) {
                let at = c.vars[first].span;
                let name = crate::macros::written_name(&var.name);
                let message = format!("the variable `${name}` is declared twice");
                c.report(
                    Diagnostic::error(codes::REDECLARED, var.span, message).also(at, "first here"),
                );
                return (None, None);
            }
            let id = c.declare(&var.name, var.span);
            c.vars[id].assigned = true;
            match ty {
                Some(ty) => {
                    let new = Inferred::fixed(ty);
                    if c.vars[id].ty.as_ref() != Some(&new) {
                        c.vars[id].ty = Some(new);
                        c.grew = true;
                    }
                }
                None if c.last_pass => c.vars[id].poisoned = true,
                None => {}
            }
            let body = c.rounds(|c| c.block(body));
            (ty.map(|_| id), body)
        })
    }

    fn rounds<R>(&mut self, body: impl FnOnce(&mut Self) -> R) -> R {
        self.loops += 1;
        let result = body(self);
        self.loops -= 1;
        result
    }

    /// `unroll (n) { … }`: the body n times.
    pub(super) fn unroll(
        &mut self,
        count: &ast::Expr,
        body: &ast::Block,
    ) -> Option<Vec<crate::typed::Stmt>> {
        let count = self.literal_number(count, "the count of unroll()", 1..=MAX_UNROLL)?;
        let loops = std::mem::take(&mut self.loops);
        let mut all = Some(Vec::new());
        for _ in 0..count {
            match (self.block(body), &mut all) {
                (Some(round), Some(all)) => all.extend(round),
                _ => all = None,
            }
            // One round tells all mistakes.
            if all.is_none() {
                break;
            }
        }
        self.loops = loops;
        all
    }

    pub(super) fn in_loop(&mut self, kind: StmtKind, word: &str, span: Span) -> Option<StmtKind> {
        if self.loops > 0 {
            return Some(kind);
        }
        let message = format!("`{word}` outside of a loop");
        let help = "loops are `for` and `while`; a probe is left with `return`";
        self.report(Diagnostic::error(codes::UNEXPECTED_TOKEN, span, message).help(help));
        None
    }
}
