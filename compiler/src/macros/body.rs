//! The body of a macro as it stands in place of one use.
//!
//! In: a macro and arguments. Out: a copy of its body with the arguments in place of the parameters, and with names for its own
//! variables that only this use has.

use std::collections::HashMap;

use nettrace_grammar::ast::{
    self, Expr, ExprKind, ForOver, Ident, Macro, MacroParamKind, Stmt, StmtKind, TypeExpr,
    TypeOrExpr, ValueBlock,
};

/// A copy.
pub(super) struct Body {
    pub(super) block: ValueBlock,
    /// Its expressions.
    pub(super) nodes: usize,
}

impl Body {
    /// The copy for the use with this number, by this name.
    pub(super) fn of(definition: &Macro, args: &[Expr], number: usize, name: &Ident) -> Body {
        let mut copier = Copier {
            values: HashMap::new(),
            vars: HashMap::new(),
            maps: HashMap::new(),
            number,
            nodes: 0,
        };
        for (param, arg) in definition.params.iter().zip(args) {
            let key = param.name.name.as_str();
            match (param.kind, &arg.kind) {
                (MacroParamKind::Value, _) => {
                    copier.values.insert(key, arg);
                }
                (MacroParamKind::Var, ExprKind::Var(name)) => {
                    copier.vars.insert(key, name);
                }
                (MacroParamKind::Map, ExprKind::Map { name, .. }) => {
                    copier.maps.insert(key, name);
                }
                _ => {}
            }
        }
        let mut block = definition.body.clone();
        copier.stmts(&mut block.stmts);
        if let Some(value) = &mut block.value {
            copier.expr(value);
        }
        block.expands = Some(name.clone());
        Body {
            block,
            nodes: copier.nodes,
        }
    }
}

struct Copier<'a> {
    values: HashMap<&'a str, &'a Expr>,
    vars: HashMap<&'a str, &'a String>,
    maps: HashMap<&'a str, &'a String>,
    number: usize,
    nodes: usize,
}

impl Copier<'_> {
    fn var(&self, name: &mut String) {
        match self.vars.get(name.as_str()) {
            Some(given) => *name = (*given).clone(),
            None => *name = format!("{name}{}{}", super::OWN, self.number),
        }
    }

    fn map(&self, name: &mut String) {
        if let Some(given) = self.maps.get(name.as_str()) {
            *name = (*given).clone();
        }
    }

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
            StmtKind::Let { var, ty, value } => {
                self.var(&mut var.name);
                ty.iter_mut().for_each(|ty| self.ty(ty));
                value.iter_mut().for_each(|e| self.expr(e));
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.stmts(&mut then.stmts);
                otherwise.iter_mut().for_each(|b| self.stmts(&mut b.stmts));
            }
            StmtKind::While { cond, body } | StmtKind::Unroll { count: cond, body } => {
                self.expr(cond);
                self.stmts(&mut body.stmts);
            }
            StmtKind::For { var, over, body } => {
                self.var(&mut var.name);
                match over {
                    ForOver::Map(map) => self.expr(map),
                    ForOver::Range(from, to) => {
                        self.expr(from);
                        self.expr(to);
                    }
                }
                self.stmts(&mut body.stmts);
            }
            StmtKind::Return(value) => value.iter_mut().for_each(|e| self.expr(e)),
            StmtKind::Block(block) => self.stmts(&mut block.stmts),
            StmtKind::Break | StmtKind::Continue | StmtKind::Error => {}
        }
    }

    fn expr(&mut self, e: &mut Expr) {
        self.nodes += 1;
        match &mut e.kind {
            ExprKind::Ident(name) => {
                if let Some(arg) = self.values.get(name.as_str()) {
                    *e = (*arg).clone();
                }
                return;
            }
            ExprKind::Var(name) => return self.var(name),
            ExprKind::Map { name, .. } => self.map(name),
            ExprKind::Cast { ty, .. } => self.ty(ty),
            ExprKind::Type(ty) => self.ty(ty),
            ExprKind::Sizeof(of) => self.type_or_expr(of),
            ExprKind::Offsetof { of, path } => {
                self.type_or_expr(of);
                let replaced = path.iter().flat_map(|member| self.members(member));
                *path = replaced.collect();
            }
            ExprKind::Block(block) => {
                self.stmts(&mut block.stmts);
                if let Some(value) = &mut block.value {
                    self.expr(value);
                }
                return;
            }
            _ => {}
        }
        each_part_mut(e, &mut |part| self.expr(part));
    }

    /// The members that a parameter stands for in a path: `a.b`.
    fn members(&self, member: &Ident) -> Vec<Ident> {
        fn path(e: &Expr, out: &mut Vec<Ident>) -> bool {
            match &e.kind {
                ExprKind::Ident(name) => out.push(Ident {
                    name: name.clone(),
                    span: e.span,
                }),
                ExprKind::Field { base, field } => {
                    if !path(base, out) {
                        return false;
                    }
                    out.push(field.clone());
                }
                _ => return false,
            }
            true
        }
        let mut out = Vec::new();
        match self.values.get(member.name.as_str()) {
            Some(arg) if path(arg, &mut out) => out,
            _ => vec![member.clone()],
        }
    }

    fn ty(&mut self, ty: &mut TypeExpr) {
        let Some(arg) = self.values.get(ty.name.name.as_str()) else {
            return;
        };
        if ty.tag.is_some() {
            return;
        }
        match &arg.kind {
            ExprKind::Type(given) => {
                let mut suffixes = given.suffixes.clone();
                suffixes.extend(ty.suffixes.iter().copied());
                *ty = TypeExpr {
                    suffixes,
                    span: ty.span,
                    ..given.clone()
                };
            }
            ExprKind::Ident(name) => ty.name.name.clone_from(name),
            _ => {}
        }
    }

    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        match of {
            TypeOrExpr::Type(ty) => self.ty(ty),
            TypeOrExpr::Expr(e) => {
                self.expr(e);
                if let ExprKind::Type(ty) = &e.kind {
                    *of = TypeOrExpr::Type(ty.clone());
                }
            }
        }
    }
}

/// Calls `f` with each direct part of an expression; statements of blocks and operands of `sizeof` are not among them.
pub(super) fn each_part_mut(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match &mut e.kind {
        ExprKind::Map { key, .. } => key.iter_mut().flatten().for_each(f),
        ExprKind::Unary(_, a)
        | ExprKind::IncDec { target: a, .. }
        | ExprKind::Cast { expr: a, .. }
        | ExprKind::Field { base: a, .. }
        | ExprKind::TupleField { base: a, .. }
        | ExprKind::Comptime(a) => f(a),
        ExprKind::Binary(_, a, b) | ExprKind::Index { base: a, index: b } => {
            f(a);
            f(b);
        }
        ExprKind::Ternary {
            cond,
            then,
            otherwise,
        } => {
            f(cond);
            then.iter_mut().for_each(|e| f(e));
            f(otherwise);
        }
        ExprKind::Call { args, .. } | ExprKind::Tuple(args) => args.iter_mut().for_each(f),
        ExprKind::Record(fields) => fields.iter_mut().for_each(|(_, e)| f(e)),
        ExprKind::Sizeof(of) | ExprKind::Offsetof { of, .. } => {
            if let ast::TypeOrExpr::Expr(e) = &mut **of {
                f(e);
            }
        }
        ExprKind::Block(_)
        | ExprKind::Int(_)
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
