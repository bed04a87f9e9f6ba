//! Statements.
//!
//! In: typed statements. Out: blocks. The current block is where the next statement goes; after a `return` it is one that
//! nothing reaches.

use super::walk::{has_effect, reads_map, reads_var};
use super::{Home, Lower};
use crate::builtins::Lowering;
use crate::ir::BlockId;
use crate::typed::{Expr, ExprKind, ScriptMapId, Stmt, StmtKind, VarId};

impl Lower<'_> {
    /// Statements in order.
    pub(super) fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.b.set_span(stmt.span);
            self.stmt(stmt);
            self.release_temps();
        }
    }

    /// Statements inside an expression: the memory that the statement around them holds stays in use.
    pub(super) fn inner_stmts(&mut self, stmts: &[Stmt]) {
        let outer = self.hold_temps();
        let span = self.b.span();
        self.stmts(stmts);
        self.b.set_span(span);
        self.give_back_temps(outer);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Assign(var, value) => self.assign(*var, value),
            StmtKind::AssignMap(map, key, value) => self.assign_map(*map, key.as_ref(), value),
            StmtKind::AddMap(map, key, value) => {
                let delta = self.value(value);
                self.add_to_map(*map, key.as_ref(), delta, |_, _| ());
            }
            StmtKind::Aggregate(map, key, value) => {
                self.aggregate(*map, key.as_ref(), value.as_ref());
            }
            StmtKind::Expr(expr) => self.effect(expr),
            StmtKind::If(cond, then, otherwise) => self.if_else(cond, then, otherwise),
            StmtKind::Loop(kind, body) => self.loop_stmt(kind, body),
            StmtKind::Break => self.end_rounds(),
            StmtKind::Continue => self.next_round(),
            StmtKind::Return(value) => match value {
                Some(value) => {
                    let value = self.value(value);
                    self.leave_with(value);
                }
                None => self.leave(),
            },
        }
    }

    fn assign(&mut self, var: VarId, value: &Expr) {
        if let Home::Value(home) = self.vars[var] {
            let value = self.value(value);
            self.b.write_var(home, value);
            return;
        }
        let Some(place) = self.var_place(var) else {
            return;
        };
        if self.in_memory(value.ty) && reads_var(value, var) {
            // The new value is made of the old one: it must not overwrite what it still reads.
            let ready = self.materialize(value);
            self.copy(ready, place, place.room);
        } else {
            self.write(value, &place);
        }
    }

    fn assign_map(&mut self, map: ScriptMapId, key: Option<&Expr>, value: &Expr) {
        if key.is_some() {
            return self.put(map, key, value);
        }
        let place = self.only_value(map);
        if self.in_memory(value.ty) && reads_map(value, map) {
            let ready = self.materialize(value);
            self.copy(ready, place, place.room);
        } else {
            self.write(value, &place);
        }
    }

    fn if_else(&mut self, cond: &Expr, then: &[Stmt], otherwise: &[Stmt]) {
        let yes = self.b.create_block();
        let join = self.b.create_block();
        let no = match otherwise {
            [] => join,
            _ => self.b.create_block(),
        };
        self.branch(cond, yes, no);
        self.release_temps();
        self.arm(yes, |lower| {
            lower.stmts(then);
            lower.b.jump(join);
        });
        if no != join {
            self.arm(no, |lower| {
                lower.stmts(otherwise);
                lower.b.jump(join);
            });
        }
        self.b.seal_block(join);
        self.b.switch_to(join);
    }

    /// Fills a block that gets no more predecessors. What is only known on this way is forgotten afterwards.
    pub(crate) fn arm(&mut self, block: BlockId, fill: impl FnOnce(&mut Self)) {
        let scratch = self.scratch;
        let record = self.record;
        let casts = self.casts.clone();
        let span = self.b.span();
        self.b.seal_block(block);
        self.b.switch_to(block);
        fill(self);
        self.b.set_span(span);
        self.scratch = scratch;
        self.record = record;
        self.casts = casts;
    }

    /// An expression for its effect.
    fn effect(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Call(call) => match call.builtin.lower {
                Lowering::Action(act) => act(self, call),
                _ => self.effect_of_value(expr),
            },
            ExprKind::Ternary(cond, yes, no) => {
                let (then, otherwise, join) = self.diamond(cond);
                self.arm(then, |lower| {
                    lower.effect(yes);
                    lower.b.jump(join);
                });
                self.arm(otherwise, |lower| {
                    lower.effect(no);
                    lower.b.jump(join);
                });
                self.b.seal_block(join);
                self.b.switch_to(join);
            }
            _ => self.effect_of_value(expr),
        }
    }

    fn effect_of_value(&mut self, expr: &Expr) {
        if !has_effect(expr) {
            return;
        }
        if self.in_memory(expr.ty) {
            self.materialize(expr);
        } else {
            self.value(expr);
        }
    }

    /// Branches on a condition; gives the blocks for both outcomes and the one behind them.
    pub(super) fn diamond(&mut self, cond: &Expr) -> (BlockId, BlockId, BlockId) {
        let then = self.b.create_block();
        let otherwise = self.b.create_block();
        let join = self.b.create_block();
        self.branch(cond, then, otherwise);
        (then, otherwise, join)
    }
}
