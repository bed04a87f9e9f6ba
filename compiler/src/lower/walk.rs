//! Walking expressions of the typed program.
//!
//! In: an expression. Out: its direct parts, or answers to questions about all of its parts.

use crate::builtins::Lowering;
use crate::typed::{Expr, ExprKind, Extra, Loop, Probe, ScriptMapId, Stmt, StmtKind, VarId};

/// Calls `f` with each direct part of an expression, in the order of evaluation.
pub(crate) fn each_part<'e>(expr: &'e Expr, mut f: impl FnMut(&'e Expr)) {
    match &expr.kind {
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bytes(_)
        | ExprKind::Var(_)
        | ExprKind::Context(_) => {}
        ExprKind::Map(_, key) | ExprKind::MapTotal(_, key) => key.iter().for_each(|key| f(key)),
        ExprKind::Binary(_, a, b)
        | ExprKind::Divide(_, a, b)
        | ExprKind::Compare(_, a, b)
        | ExprKind::CompareMemory(_, a, b)
        | ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::Either(a, b)
        | ExprKind::Element(a, b) => {
            f(a);
            f(b);
        }
        ExprKind::Ternary(a, b, c) => {
            f(a);
            f(b);
            f(c);
        }
        ExprKind::Not(a)
        | ExprKind::Cast(a)
        | ExprKind::Deref(a)
        | ExprKind::AddressOf(a)
        | ExprKind::Member { base: a, .. }
        | ExprKind::TupleElement(a, _)
        | ExprKind::IncDec { target: a, .. } => f(a),
        ExprKind::Tuple(parts) => parts.iter().for_each(f),
        ExprKind::Block(stmts, value) => {
            each_in_stmts(stmts, &mut f);
            f(value);
        }
        ExprKind::Call(call) => {
            call.args.iter().for_each(&mut f);
            if let Extra::Map(_, Some(key)) = &call.extra {
                f(key);
            }
        }
    }
}

/// Calls `f` with each expression that stands directly in a statement.
fn each_in_stmts<'e>(stmts: &'e [Stmt], f: &mut impl FnMut(&'e Expr)) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Assign(_, value) | StmtKind::Expr(value) => f(value),
            StmtKind::AssignMap(_, key, value) | StmtKind::AddMap(_, key, value) => {
                key.iter().for_each(&mut *f);
                f(value);
            }
            StmtKind::Aggregate(_, key, value) => key.iter().chain(value).for_each(&mut *f),
            StmtKind::If(cond, then, otherwise) => {
                f(cond);
                each_in_stmts(then, f);
                each_in_stmts(otherwise, f);
            }
            StmtKind::Return(value) => value.iter().for_each(&mut *f),
            StmtKind::Loop(kind, body) => {
                match kind {
                    Loop::While(cond) => f(cond),
                    Loop::Range(_, from, to) => {
                        f(from);
                        f(to);
                    }
                    Loop::Entries(..) => {}
                }
                each_in_stmts(body, f);
            }
            StmtKind::Break | StmtKind::Continue => {}
        }
    }
}

/// Whether a question is true of an expression or one of its parts.
fn any(expr: &Expr, question: &impl Fn(&Expr) -> bool) -> bool {
    let mut found = question(expr);
    each_part(expr, |part| found = found || any(part, question));
    found
}

/// Whether a question is true of any expression of a probe.
pub(crate) fn any_in_probe(probe: &Probe, question: &impl Fn(&Expr) -> bool) -> bool {
    let mut found = false;
    let mut ask = |expr| found = found || any(expr, question);
    probe.predicate.iter().for_each(&mut ask);
    each_in_stmts(&probe.body, &mut ask);
    found
}

/// Whether evaluating the expression changes anything.
pub(crate) fn has_effect(expr: &Expr) -> bool {
    any(expr, &|e| match &e.kind {
        ExprKind::IncDec { .. } | ExprKind::Block(..) => true,
        ExprKind::Call(call) => {
            matches!(call.builtin.lower, Lowering::Action(_))
                || matches!(call.extra, Extra::Map(..) | Extra::PrintMap(..))
        }
        _ => false,
    })
}

/// Whether the expression reads this variable.
pub(crate) fn reads_var(expr: &Expr, var: VarId) -> bool {
    any(expr, &|e| matches!(e.kind, ExprKind::Var(v) if v == var))
}

/// Whether the expression reads this map.
pub(crate) fn reads_map(expr: &Expr, map: ScriptMapId) -> bool {
    any(
        expr,
        &|e| matches!(e.kind, ExprKind::Map(m, _) | ExprKind::MapTotal(m, _) if m == map),
    )
}
