//! Statements: assignments and their targets, `let`, `if` chains, blocks.

use super::expression::assignment_in_expression;
use super::{Context, Deep, MAX_HEIGHT, MAX_LIST};
use crate::ast::*;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;

impl Context<'_> {
    pub(crate) fn block(
        &mut self,
        lo: u32,
        stmts: Deep<Vec<Stmt>>,
        last: Option<Deep<Stmt>>,
        hi: u32,
    ) -> Deep<Block> {
        let Deep {
            node: stmts,
            height,
        } = stmts.and(last);
        let span = Span::new(lo, hi);
        if height < MAX_HEIGHT {
            let height = height + 1;
            let node = Block { stmts, span };
            return Deep { node, height };
        }
        self.too_deep(span);
        Deep::leaf(Block {
            stmts: Vec::new(),
            span,
        })
    }

    pub(crate) fn stmt(&mut self, lo: u32, kind: Deep<StmtKind>, hi: u32) -> Deep<Stmt> {
        let span = Span::new(lo, hi);
        let Deep { node: kind, height } = kind;
        if height < MAX_HEIGHT {
            let height = height + 1;
            let node = Stmt { kind, span };
            return Deep { node, height };
        }
        self.too_deep(span);
        Deep::leaf(Stmt {
            kind: StmtKind::Error,
            span,
        })
    }

    pub(crate) fn assign(
        &mut self,
        lo: u32,
        target: Deep<Expr>,
        op: Option<BinaryOp>,
        value: Deep<Expr>,
        hi: u32,
    ) -> Deep<Stmt> {
        let height = target.height.max(value.height);
        let mut target = target.node;
        if op.is_none() && matches!(&target.kind, ExprKind::Ident(name) if name == "_") {
            target.kind = ExprKind::Discard;
        }
        let node = match target.kind {
            ExprKind::Var(_) | ExprKind::Map { .. } | ExprKind::Discard => StmtKind::Assign {
                target,
                op,
                value: value.node,
            },
            ExprKind::Error => StmtKind::Error,
            _ => {
                self.bad_target(&target);
                StmtKind::Error
            }
        };
        self.stmt(lo, Deep { node, height }, hi)
    }

    fn bad_target(&mut self, target: &Expr) {
        let diag = Diagnostic::error(
            codes::BAD_ASSIGNMENT,
            target.span,
            "this cannot be assigned to",
        );
        let diag = match &target.kind {
            ExprKind::Discard | ExprKind::Ident(_) if self.source(target.span) == "_" => {
                diag.help("`_ = …` drops a value; nothing can be added to it")
            }
            ExprKind::Ident(name) => {
                let name = name.clone();
                diag.help(format!("variables are written `${name}`, maps `@{name}`"))
            }
            ExprKind::Field { .. }
            | ExprKind::Index { .. }
            | ExprKind::Unary(UnaryOp::Deref, _) => {
                diag.note("the kernel's memory can be read, not written")
            }
            _ => diag.note("only variables (`$x`) and maps (`@x`, `@x[key]`) can be assigned to"),
        };
        self.report(diag);
    }

    pub(crate) fn let_stmt(
        &mut self,
        lo: u32,
        var: Ident,
        ty: Option<TypeExpr>,
        value: Option<Deep<Expr>>,
        hi: u32,
    ) -> Deep<Stmt> {
        // A type without a name has been reported.
        let ty = ty.filter(|ty| !ty.name.name.is_empty());
        let height = value.as_ref().map_or(0, |value| value.height);
        let value = value.map(|value| value.node);
        let node = StmtKind::Let { var, ty, value };
        self.stmt(lo, Deep { node, height }, hi)
    }

    pub(crate) fn return_stmt(
        &mut self,
        lo: u32,
        value: Option<Deep<Expr>>,
        hi: u32,
    ) -> Deep<Stmt> {
        let kind = match value {
            Some(value) => value.map(|value| StmtKind::Return(Some(value))),
            None => Deep::leaf(StmtKind::Return(None)),
        };
        self.stmt(lo, kind, hi)
    }

    pub(crate) fn if_arms(
        &mut self,
        mut arms: Vec<(u32, Deep<Expr>, Deep<Block>)>,
        arm: (u32, Deep<Expr>, Deep<Block>),
    ) -> Vec<(u32, Deep<Expr>, Deep<Block>)> {
        // Each arm becomes a block with a statement: two levels.
        if arms.len() < MAX_LIST / 2 {
            arms.push(arm);
        } else {
            self.too_deep(arm.1.node.span);
        }
        arms
    }

    /// Nests a chain of `else if` from its end.
    pub(crate) fn if_stmt(
        &mut self,
        lo: u32,
        arms: Vec<(u32, Deep<Expr>, Deep<Block>)>,
        otherwise: Option<Deep<Block>>,
        hi: u32,
    ) -> Deep<Stmt> {
        let mut rest = otherwise;
        let mut outer = None;
        for (arm_lo, cond, then) in arms.into_iter().rev() {
            if let Some(inner) = outer.take() {
                let stmts = Deep::leaf(Vec::new()).and(Some(inner));
                let start = stmts.node.first().map_or(hi, |stmt: &Stmt| stmt.span.lo);
                rest = Some(self.block(start, stmts, None, hi));
            }
            outer = Some(self.if_arm(arm_lo, cond, then, rest.take(), hi));
        }
        outer.unwrap_or_else(|| self.stmt(lo, Deep::leaf(StmtKind::Error), hi))
    }

    fn if_arm(
        &mut self,
        lo: u32,
        cond: Deep<Expr>,
        then: Deep<Block>,
        otherwise: Option<Deep<Block>>,
        hi: u32,
    ) -> Deep<Stmt> {
        let cond = self.condition(cond);
        let height = cond
            .height
            .max(then.height)
            .max(otherwise.as_ref().map_or(0, |block| block.height));
        let node = StmtKind::If {
            cond: cond.node,
            then: then.node,
            otherwise: otherwise.map(|block| block.node),
        };
        self.stmt(lo, Deep { node, height }, hi)
    }

    /// A condition. `(pid = 1)` is a record of one field, and never meant as one here.
    fn condition(&mut self, cond: Deep<Expr>) -> Deep<Expr> {
        let ExprKind::Record(fields) = &cond.node.kind else {
            return cond;
        };
        let [(name, value)] = fields.as_slice() else {
            return cond;
        };
        let between = Span::new(name.span.hi, value.span.lo);
        let equals = self.source(between).find('=').unwrap_or(0) as u32;
        let at = name.span.hi + equals;
        self.report(assignment_in_expression(Span::new(at, at + 1)));
        cond.map(|expr| Expr {
            kind: ExprKind::Error,
            ..expr
        })
    }

    // Loops.

    pub(crate) fn while_stmt(
        &mut self,
        lo: u32,
        cond: Deep<Expr>,
        body: Deep<Block>,
        hi: u32,
    ) -> Deep<Stmt> {
        let cond = self.condition(cond);
        let height = cond.height.max(body.height);
        let node = StmtKind::While {
            cond: cond.node,
            body: body.node,
        };
        self.stmt(lo, Deep { node, height }, hi)
    }

    pub(crate) fn for_stmt(
        &mut self,
        lo: u32,
        var: Ident,
        over: Deep<Option<ForOver>>,
        body: Deep<Block>,
        hi: u32,
    ) -> Deep<Stmt> {
        let height = over.height.max(body.height);
        let node = match over.node {
            Some(over) => StmtKind::For {
                var,
                over,
                body: body.node,
            },
            None => StmtKind::Error,
        };
        self.stmt(lo, Deep { node, height }, hi)
    }

    pub(crate) fn unroll_stmt(
        &mut self,
        lo: u32,
        count: Deep<Expr>,
        body: Deep<Block>,
        hi: u32,
    ) -> Deep<Stmt> {
        let height = count.height.max(body.height);
        let node = StmtKind::Unroll {
            count: count.node,
            body: body.node,
        };
        self.stmt(lo, Deep { node, height }, hi)
    }

    /// A loop whose head could not be read.
    pub(crate) fn broken_loop(&mut self, lo: u32, hi: u32) -> Deep<Stmt> {
        self.stmt(lo, Deep::leaf(StmtKind::Error), hi)
    }

    pub(crate) fn for_map(&mut self, map: Deep<Expr>) -> Deep<Option<ForOver>> {
        let over = match map.node.kind {
            ExprKind::Map { key: None, .. } => Some(ForOver::Map(map.node)),
            ExprKind::Error => None,
            _ => {
                let diag = Diagnostic::error(
                    codes::BAD_OPERAND,
                    map.node.span,
                    "`for` goes through a map or a range",
                )
                .help("write `for ($kv : @map) { … }` or `for ($i : 0..10) { … }`");
                self.report(diag);
                None
            }
        };
        Deep {
            node: over,
            height: map.height,
        }
    }

    pub(crate) fn for_range(&mut self, from: Deep<Expr>, to: Deep<Expr>) -> Deep<Option<ForOver>> {
        Deep {
            height: from.height.max(to.height),
            node: Some(ForOver::Range(from.node, to.node)),
        }
    }
}
