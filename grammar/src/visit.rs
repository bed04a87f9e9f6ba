//! Walking a tree.
//!
//! In: a script or a part of one. Out: a call for every expression in it, outer ones first, in the order of the text.

use crate::ast::*;

/// Every expression of a script: of its map declarations, macros and probes.
pub fn script<'t>(script: &'t Script, f: &mut dyn FnMut(&'t Expr)) {
    for size in script
        .map_decls
        .iter()
        .filter_map(|decl| decl.size.as_ref())
    {
        expr(size, f);
    }
    for definition in &script.macros {
        value_block(&definition.body, f);
    }
    for probe in &script.probes {
        if let Some(predicate) = &probe.predicate {
            expr(predicate, f);
        }
        stmts(&probe.body.stmts, f);
    }
}

fn value_block<'t>(block: &'t ValueBlock, f: &mut dyn FnMut(&'t Expr)) {
    stmts(&block.stmts, f);
    if let Some(value) = &block.value {
        expr(value, f);
    }
}

/// Every expression of statements.
pub fn stmts<'t>(stmts: &'t [Stmt], f: &mut dyn FnMut(&'t Expr)) {
    for s in stmts {
        stmt(s, f);
    }
}

fn stmt<'t>(stmt: &'t Stmt, f: &mut dyn FnMut(&'t Expr)) {
    match &stmt.kind {
        StmtKind::Expr(e) => expr(e, f),
        StmtKind::Assign { target, value, .. } => {
            expr(target, f);
            expr(value, f);
        }
        StmtKind::Let { value, .. } | StmtKind::Return(value) => {
            value.iter().for_each(|e| expr(e, f));
        }
        StmtKind::If {
            cond,
            then,
            otherwise,
        } => {
            expr(cond, f);
            stmts(&then.stmts, f);
            otherwise.iter().for_each(|b| stmts(&b.stmts, f));
        }
        StmtKind::While { cond, body } | StmtKind::Unroll { count: cond, body } => {
            expr(cond, f);
            stmts(&body.stmts, f);
        }
        StmtKind::For { over, body, .. } => {
            match over {
                ForOver::Map(map) => expr(map, f),
                ForOver::Range(from, to) => {
                    expr(from, f);
                    expr(to, f);
                }
            }
            stmts(&body.stmts, f);
        }
        StmtKind::Block(block) => stmts(&block.stmts, f),
        StmtKind::Break | StmtKind::Continue | StmtKind::Error => {}
    }
}

/// An expression and all inside it.
pub fn expr<'t>(e: &'t Expr, f: &mut dyn FnMut(&'t Expr)) {
    f(e);
    match &e.kind {
        ExprKind::Map { key, .. } => key.iter().flatten().for_each(|e| expr(e, f)),
        ExprKind::Unary(_, a)
        | ExprKind::IncDec { target: a, .. }
        | ExprKind::Cast { expr: a, .. }
        | ExprKind::Field { base: a, .. }
        | ExprKind::TupleField { base: a, .. }
        | ExprKind::Comptime(a) => expr(a, f),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => {
            expr(a, f);
            expr(b, f);
        }
        ExprKind::Ternary {
            cond,
            then,
            otherwise,
        } => {
            expr(cond, f);
            then.iter().for_each(|e| expr(e, f));
            expr(otherwise, f);
        }
        ExprKind::Call { args, .. } | ExprKind::Tuple(args) => {
            args.iter().for_each(|e| expr(e, f));
        }
        ExprKind::Record(fields) => fields.iter().for_each(|(_, e)| expr(e, f)),
        ExprKind::Sizeof(of) | ExprKind::Offsetof { of, .. } => {
            if let TypeOrExpr::Expr(e) = &**of {
                expr(e, f);
            }
        }
        ExprKind::Block(block) => value_block(block, f),
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::Ident(_)
        | ExprKind::Var(_)
        | ExprKind::Positional(_)
        | ExprKind::PositionalCount
        | ExprKind::Type(_)
        | ExprKind::Discard
        | ExprKind::Error => {}
    }
}
