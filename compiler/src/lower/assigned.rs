//! Which variables may be read before they are assigned.
//!
//! In: a typed probe. Out: the variables that have to start as zero. Scalars need none of this, SSA construction gives them a
//! zero; values in memory would have to be cleared at the start of every run.

use std::collections::HashSet;

use super::walk::each_part;
use crate::typed::{Expr, ExprKind, Loop, Probe, Stmt, StmtKind, VarId};

/// The variables of which some way through the body reads what no assignment has written.
pub(crate) fn read_unassigned(probe: &Probe) -> HashSet<VarId> {
    let mut walk = Walk::default();
    if let Some(predicate) = &probe.predicate {
        walk.expr(predicate);
    }
    walk.stmts(&probe.body);
    walk.unassigned
}

#[derive(Default)]
struct Walk {
    /// Assigned on every way to here; `None` where no way leads.
    assigned: Option<HashSet<VarId>>,
    started: bool,
    unassigned: HashSet<VarId>,
}

impl Walk {
    fn here(&mut self) -> Option<&mut HashSet<VarId>> {
        if !self.started {
            self.started = true;
            self.assigned = Some(HashSet::new());
        }
        self.assigned.as_mut()
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Assign(var, value) => {
                self.expr(value);
                if let Some(assigned) = self.here() {
                    assigned.insert(*var);
                }
            }
            StmtKind::AssignMap(_, key, value) | StmtKind::AddMap(_, key, value) => {
                key.iter().for_each(|key| self.expr(key));
                self.expr(value);
            }
            StmtKind::Aggregate(_, key, value) => {
                key.iter().chain(value).for_each(|e| self.expr(e));
            }
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::If(cond, then, otherwise) => {
                self.expr(cond);
                let before = self.here().cloned();
                self.stmts(then);
                let after_then = std::mem::replace(&mut self.assigned, before);
                self.stmts(otherwise);
                self.assigned = match (after_then, self.assigned.take()) {
                    (Some(a), Some(b)) => Some(a.intersection(&b).copied().collect()),
                    (a, b) => a.or(b),
                };
            }
            StmtKind::Loop(kind, body) => {
                match kind {
                    Loop::While(cond) => self.expr(cond),
                    Loop::Range(_, from, to) => {
                        self.expr(from);
                        self.expr(to);
                    }
                    Loop::Entries(..) => {}
                }
                // There may be no round at all.
                let before = self.here().cloned();
                if let Loop::Range(var, ..) | Loop::Entries(var, _) = kind
                    && let Some(assigned) = self.here()
                {
                    assigned.insert(*var);
                }
                self.stmts(body);
                self.assigned = before;
            }
            StmtKind::Break | StmtKind::Continue => self.assigned = None,
            StmtKind::Return(value) => {
                value.iter().for_each(|value| self.expr(value));
                self.here();
                self.assigned = None;
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if let ExprKind::Var(var) = expr.kind {
            let known = self.here().is_none_or(|assigned| assigned.contains(&var));
            if !known {
                self.unassigned.insert(var);
            }
        }
        if let ExprKind::Block(stmts, value) = &expr.kind {
            self.stmts(stmts);
            return self.expr(value);
        }
        each_part(expr, |part| self.expr(part));
    }
}
