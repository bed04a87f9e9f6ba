//! Expressions: operators, accesses, calls, and the records that are comparisons gone wrong.

use super::{Context, Deep, MAX_HEIGHT, MAX_LIST, PrefixOp};
use crate::ast::*;
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;

impl Context<'_> {
    pub(crate) fn ident(&mut self, lo: u32, name: &str, hi: u32) -> Ident {
        Ident {
            name: name.to_string(),
            span: Span::new(lo, hi),
        }
    }

    pub(crate) fn leaf(&mut self, lo: u32, kind: ExprKind, hi: u32) -> Deep<Expr> {
        self.expr(0, Span::new(lo, hi), kind)
    }

    /// An expression that could not be read.
    pub(crate) fn hole(&mut self, lo: u32, hi: u32) -> Deep<Expr> {
        self.leaf(lo, ExprKind::Error, hi)
    }

    pub(crate) fn binary(&mut self, op: BinaryOp, a: Deep<Expr>, b: Deep<Expr>) -> Deep<Expr> {
        let height = a.height.max(b.height);
        let span = a.node.span.to(b.node.span);
        self.expr(
            height,
            span,
            ExprKind::Binary(op, Box::new(a.node), Box::new(b.node)),
        )
    }

    pub(crate) fn ternary(
        &mut self,
        cond: Deep<Expr>,
        then: Option<Deep<Expr>>,
        otherwise: Deep<Expr>,
    ) -> Deep<Expr> {
        let height = cond
            .height
            .max(otherwise.height)
            .max(then.as_ref().map_or(0, |then| then.height));
        let span = cond.node.span.to(otherwise.node.span);
        let kind = ExprKind::Ternary {
            cond: Box::new(cond.node),
            then: then.map(|then| Box::new(then.node)),
            otherwise: Box::new(otherwise.node),
        };
        self.expr(height, span, kind)
    }

    pub(crate) fn prefix_ops(
        &mut self,
        mut ops: Vec<(u32, PrefixOp)>,
        lo: u32,
        op: PrefixOp,
    ) -> Vec<(u32, PrefixOp)> {
        match ops.last() {
            // Too many already: the innermost operand is a hole, about which nobody complains.
            Some((_, PrefixOp::Hole)) => {}
            _ if ops.len() < MAX_LIST => ops.push((lo, op)),
            _ => {
                self.too_deep(Span::new(lo, lo + 1));
                ops.push((lo, PrefixOp::Hole));
            }
        }
        ops
    }

    /// Applies operators from the innermost, the last, outwards.
    pub(crate) fn prefixed(
        &mut self,
        ops: Vec<(u32, PrefixOp)>,
        operand: Deep<Expr>,
    ) -> Deep<Expr> {
        ops.into_iter().rev().fold(operand, |operand, (lo, op)| {
            let span = Span::new(lo, operand.node.span.hi);
            let (height, operand) = (operand.height, operand.node);
            let kind = match op {
                PrefixOp::Unary(op) => self.unary(op, operand, span),
                PrefixOp::Step(op) => self.step(op, true, operand, span),
                PrefixOp::Cast(ty) if ty.name.name.is_empty() => ExprKind::Error,
                PrefixOp::Cast(ty) => ExprKind::Cast {
                    ty,
                    expr: Box::new(operand),
                },
                PrefixOp::Hole => ExprKind::Error,
            };
            self.expr(height, span, kind)
        })
    }

    fn unary(&mut self, op: UnaryOp, operand: Expr, span: Span) -> ExprKind {
        let addressable = matches!(
            operand.kind,
            ExprKind::Var(_)
                | ExprKind::Map { key: None, .. }
                | ExprKind::Field { .. }
                | ExprKind::Index { .. }
                | ExprKind::Unary(UnaryOp::Deref, _)
                | ExprKind::Error
        );
        if op == UnaryOp::AddressOf && !addressable {
            let diag = Diagnostic::error(
                codes::BAD_OPERAND,
                span,
                "`&` of something that has no address",
            )
            .help("`&` takes a field (`&$p->f`), an element or a whole map (`&@x`)");
            self.report(diag);
            return ExprKind::Error;
        }
        ExprKind::Unary(op, Box::new(operand))
    }

    pub(crate) fn postfix_step(
        &mut self,
        operand: Deep<Expr>,
        op: BinaryOp,
        hi: u32,
    ) -> Deep<Expr> {
        let span = Span::new(operand.node.span.lo, hi);
        let kind = self.step(op, false, operand.node, span);
        self.expr(operand.height, span, kind)
    }

    fn step(&mut self, op: BinaryOp, prefix: bool, target: Expr, span: Span) -> ExprKind {
        match target.kind {
            ExprKind::Var(_) | ExprKind::Map { .. } => ExprKind::IncDec {
                op,
                prefix,
                target: Box::new(target),
            },
            ExprKind::Error => ExprKind::Error,
            _ => {
                let symbol = op.symbol();
                let diag = Diagnostic::error(
                    codes::BAD_OPERAND,
                    span,
                    format!("`{symbol}{symbol}` needs a variable or a map"),
                )
                .help(format!(
                    "variables are `$x`, maps `@x`; to compute a value write `{symbol} 1`"
                ));
                self.report(diag);
                ExprKind::Error
            }
        }
    }

    pub(crate) fn map(
        &mut self,
        lo: u32,
        name: &str,
        key: Option<Deep<Vec<Expr>>>,
        hi: u32,
    ) -> Deep<Expr> {
        let height = key.as_ref().map_or(0, |key| key.height);
        let kind = ExprKind::Map {
            name: name.to_string(),
            key: key.map(|key| key.node),
        };
        self.expr(height, Span::new(lo, hi), kind)
    }

    pub(crate) fn index(&mut self, base: Deep<Expr>, index: Deep<Expr>, hi: u32) -> Deep<Expr> {
        let height = base.height.max(index.height);
        let span = Span::new(base.node.span.lo, hi);
        let kind = ExprKind::Index {
            base: Box::new(base.node),
            index: Box::new(index.node),
        };
        self.expr(height, span, kind)
    }

    pub(crate) fn field(&mut self, base: Deep<Expr>, field: Ident) -> Deep<Expr> {
        let span = base.node.span.to(field.span);
        let kind = ExprKind::Field {
            base: Box::new(base.node),
            field,
        };
        self.expr(base.height, span, kind)
    }

    pub(crate) fn tuple_field(&mut self, base: Deep<Expr>, index: u64, hi: u32) -> Deep<Expr> {
        let span = Span::new(base.node.span.lo, hi);
        let kind = match u32::try_from(index) {
            Ok(index) => ExprKind::TupleField {
                base: Box::new(base.node),
                index,
            },
            Err(_) => {
                self.report(Diagnostic::error(
                    codes::BAD_INDEX,
                    span,
                    "no tuple has that many elements",
                ));
                ExprKind::Error
            }
        };
        self.expr(base.height, span, kind)
    }

    pub(crate) fn call(
        &mut self,
        name: Ident,
        args: Option<Deep<Vec<Expr>>>,
        hi: u32,
    ) -> Deep<Expr> {
        let Deep { node: args, height } = args.unwrap_or(Deep::leaf(Vec::new()));
        let span = Span::new(name.span.lo, hi);
        self.expr(height, span, ExprKind::Call { name, args })
    }

    pub(crate) fn sizeof(&mut self, lo: u32, of: Deep<TypeOrExpr>, hi: u32) -> Deep<Expr> {
        let kind = match of.node {
            TypeOrExpr::Type(ty) if ty.name.name.is_empty() => ExprKind::Error,
            of => ExprKind::Sizeof(Box::new(of)),
        };
        self.expr(of.height, Span::new(lo, hi), kind)
    }

    pub(crate) fn offsetof(
        &mut self,
        lo: u32,
        of: Deep<TypeOrExpr>,
        path: Vec<Ident>,
        hi: u32,
    ) -> Deep<Expr> {
        let kind = match of.node {
            TypeOrExpr::Type(ty) if ty.name.name.is_empty() => ExprKind::Error,
            of => ExprKind::Offsetof {
                of: Box::new(of),
                path,
            },
        };
        self.expr(of.height, Span::new(lo, hi), kind)
    }

    pub(crate) fn paren(&mut self, lo: u32, inner: Deep<Expr>, hi: u32) -> Deep<Expr> {
        inner.map(|expr| Expr {
            span: Span::new(lo, hi),
            ..expr
        })
    }

    pub(crate) fn tuple(
        &mut self,
        lo: u32,
        first: Deep<Expr>,
        rest: Option<Deep<Vec<Expr>>>,
        hi: u32,
    ) -> Deep<Expr> {
        let mut height = first.height;
        let mut elements = vec![first.node];
        if let Some(rest) = rest {
            height = height.max(rest.height);
            elements.extend(rest.node);
        }
        self.expr(height, Span::new(lo, hi), ExprKind::Tuple(elements))
    }

    /// `{ statements; value }`; `last` is what no `;` follows.
    pub(crate) fn value_block(
        &mut self,
        lo: u32,
        stmts: Deep<Vec<Stmt>>,
        last: Option<Deep<Stmt>>,
        hi: u32,
    ) -> Deep<ValueBlock> {
        let span = Span::new(lo, hi);
        let ends_in_value =
            matches!(&last, Some(stmt) if matches!(stmt.node.kind, StmtKind::Expr(_)));
        let Deep {
            node: mut stmts,
            height,
        } = stmts.and(last);
        let value = match ends_in_value.then(|| stmts.pop()).flatten() {
            Some(Stmt {
                kind: StmtKind::Expr(value),
                ..
            }) => Some(Box::new(value)),
            _ => None,
        };
        if height < MAX_HEIGHT {
            let node = ValueBlock {
                stmts,
                value,
                expands: None,
                span,
            };
            return Deep {
                node,
                height: height + 1,
            };
        }
        self.too_deep(span);
        Deep::leaf(ValueBlock::default())
    }

    pub(crate) fn block_value(&mut self, block: Deep<ValueBlock>) -> Deep<Expr> {
        let span = block.node.span;
        self.expr(block.height, span, ExprKind::Block(Box::new(block.node)))
    }

    pub(crate) fn if_value(
        &mut self,
        lo: u32,
        cond: Deep<Expr>,
        then: Deep<ValueBlock>,
        otherwise: Deep<Expr>,
        hi: u32,
    ) -> Deep<Expr> {
        let then = self.block_value(then);
        self.ternary(cond, Some(then), otherwise).map(|expr| Expr {
            span: Span::new(lo, hi),
            ..expr
        })
    }

    pub(crate) fn comptime(&mut self, lo: u32, inner: Deep<Expr>, hi: u32) -> Deep<Expr> {
        let kind = ExprKind::Comptime(Box::new(inner.node));
        self.expr(inner.height, Span::new(lo, hi), kind)
    }

    /// `(a=1, …)` is a record; `($a = 1)` was meant as a comparison.
    pub(crate) fn record(
        &mut self,
        lo: u32,
        fields: Vec<(Deep<Expr>, u32, Deep<Expr>)>,
        hi: u32,
    ) -> Deep<Expr> {
        let mut height = 0;
        let mut named = Vec::new();
        for (name, equals, value) in fields {
            let ExprKind::Ident(field) = name.node.kind else {
                self.report(assignment_in_expression(Span::new(equals, equals + 1)));
                return self.leaf(lo, ExprKind::Error, hi);
            };
            height = height.max(value.height);
            let field = Ident {
                name: field,
                span: name.node.span,
            };
            named.push((field, value.node));
        }
        self.expr(height, Span::new(lo, hi), ExprKind::Record(named))
    }
}

/// `=` where a comparison was meant.
pub(super) fn assignment_in_expression(at: Span) -> Diagnostic {
    Diagnostic::error(codes::UNEXPECTED_TOKEN, at, "`=` inside an expression")
        .note("an assignment is a statement of its own and has no value; a record is written `(name = value)`")
        .help("to compare write `==`")
}
