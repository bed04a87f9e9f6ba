//! Which of the context a body uses, found without any types: it decides which targets can share a program.

use nettrace_grammar::ast;

use crate::builtins;

/// What a probe's predicate and body mention.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Uses {
    /// Names behind `args.`, each once.
    pub(crate) fields: Vec<String>,
    /// `argN`
    pub(crate) raw: bool,
    /// `retval`
    pub(crate) retval: bool,
    /// `probe`
    pub(crate) probe: bool,
}

impl Uses {
    /// What this probe uses.
    pub(crate) fn of(probe: &ast::Probe) -> Uses {
        let mut uses = Uses::default();
        if let Some(predicate) = &probe.predicate {
            uses.expr(predicate);
        }
        uses.block(&probe.body);
        uses
    }

    /// Nothing that depends on the target's arguments or result.
    pub(crate) fn no_arguments(&self) -> bool {
        self.fields.is_empty() && !self.raw && !self.retval
    }

    /// Arguments, by name or number.
    pub(crate) fn entry(&self) -> bool {
        !self.fields.is_empty() || self.raw
    }

    fn block(&mut self, block: &ast::Block) {
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &ast::Stmt) {
        match &stmt.kind {
            ast::StmtKind::Expr(e) => self.expr(e),
            ast::StmtKind::Assign { target, value, .. } => {
                self.expr(target);
                self.expr(value);
            }
            ast::StmtKind::Let { value, .. } => value.iter().for_each(|e| self.expr(e)),
            ast::StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.block(then);
                otherwise.iter().for_each(|b| self.block(b));
            }
            ast::StmtKind::While { cond, body } | ast::StmtKind::Unroll { count: cond, body } => {
                self.expr(cond);
                self.block(body);
            }
            ast::StmtKind::For { over, body, .. } => {
                if let ast::ForOver::Range(from, to) = over {
                    self.expr(from);
                    self.expr(to);
                }
                self.block(body);
            }
            ast::StmtKind::Return(value) => value.iter().for_each(|e| self.expr(e)),
            ast::StmtKind::Block(block) => self.block(block),
            ast::StmtKind::Break | ast::StmtKind::Continue | ast::StmtKind::Error => {}
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e ast::Expr>) {
        exprs.into_iter().for_each(|e| self.expr(e));
    }

    fn expr(&mut self, e: &ast::Expr) {
        use ast::ExprKind as K;
        match &e.kind {
            K::Ident(name) => self.name(name),
            K::Call { name, args } => {
                self.name(&name.name);
                self.exprs(args);
            }
            K::Field { base, field } => match is_args(base) {
                true if !self.fields.contains(&field.name) => self.fields.push(field.name.clone()),
                true => {}
                false => self.expr(base),
            },
            K::Map { key, .. } => self.exprs(key.iter().flatten()),
            K::Unary(_, a) | K::IncDec { target: a, .. } | K::Cast { expr: a, .. } => self.expr(a),
            K::TupleField { base, .. } => self.expr(base),
            K::Binary(_, a, b) | K::Index { base: a, index: b } => {
                self.expr(a);
                self.expr(b);
            }
            K::Ternary {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.exprs(then.as_deref());
                self.expr(otherwise);
            }
            K::Sizeof(of) | K::Offsetof { of, .. } => {
                if let ast::TypeOrExpr::Expr(e) = &**of {
                    self.expr(e);
                }
            }
            K::Tuple(items) => self.exprs(items),
            K::Record(fields) => self.exprs(fields.iter().map(|(_, e)| e)),
            K::Comptime(inner) => self.expr(inner),
            K::Block(block) => {
                block.stmts.iter().for_each(|s| self.stmt(s));
                self.exprs(block.value.as_deref());
            }
            K::Int(_)
            | K::Str(_)
            | K::Bool(_)
            | K::Var(_)
            | K::Positional(_)
            | K::PositionalCount
            | K::Type(_)
            | K::Discard
            | K::Error => {}
        }
    }

    fn name(&mut self, name: &str) {
        match name {
            "retval" => self.retval = true,
            "probe" => self.probe = true,
            _ if builtins::register_number(name).is_some() => self.raw = true,
            _ => {}
        }
    }
}

/// `args`, `*args`, `args()`.
pub(crate) fn is_args(e: &ast::Expr) -> bool {
    match &e.kind {
        ast::ExprKind::Ident(name) => name == "args",
        ast::ExprKind::Unary(ast::UnaryOp::Deref, inner) => is_args(inner),
        ast::ExprKind::Call { name, args } => name.name == "args" && args.is_empty(),
        _ => false,
    }
}
