//! What the parser does with what it has recognised: builds the tree, and keeps it shallow.
//!
//! In: parts of the tree, from `grammar.lalrpop`. Out: larger parts. Every part carries its height ([`Deep`]), because
//! a tree as deep as `1+1+1…` is long would overflow the stack of whoever walks or drops it; past [`MAX_HEIGHT`] an error
//! node takes its place. Mistakes that the grammar lets through on purpose, to name them better, are reported here.

use crate::ast::*;
use crate::codes;
use crate::diag::Diagnostic;
use crate::not_yet;
use crate::source::Span;
use crate::syntax_error::SyntaxError;
use crate::token::Tok;
use lalrpop_util::ErrorRecovery;
use std::cell::Cell;
use std::convert::Infallible;

/// Levels of statements and expressions together that a tree may have.
const MAX_HEIGHT: u32 = 200;

/// `*` and `[N]` behind a type, and operators before an operand, at most.
const MAX_LIST: usize = MAX_HEIGHT as usize;

/// What the grammar's `!` stands for.
pub(crate) type Recovered<'s> = ErrorRecovery<u32, Tok<'s>, Infallible>;

/// The attach points of one probe.
pub(crate) type AttachPoints = Vec<AttachPoint>;

/// A part of the tree with the number of levels in it.
#[derive(Debug)]
pub(crate) struct Deep<T> {
    node: T,
    height: u32,
}

impl<T> Deep<T> {
    pub(crate) fn leaf(node: T) -> Deep<T> {
        Deep { node, height: 0 }
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Deep<U> {
        Deep {
            node: f(self.node),
            height: self.height,
        }
    }
}

impl<T> Deep<Vec<T>> {
    /// Appends a part.
    pub(crate) fn and(mut self, part: Option<Deep<T>>) -> Deep<Vec<T>> {
        if let Some(part) = part {
            self.height = self.height.max(part.height);
            self.node.push(part.node);
        }
        self
    }
}

/// An operator before an operand.
#[derive(Debug)]
pub(crate) enum PrefixOp {
    Unary(UnaryOp),
    /// `++` or `--`.
    Step(BinaryOp),
    Cast(TypeExpr),
    /// A cast whose type could not be read.
    Hole,
}

/// The state of one parse.
pub(crate) struct Context<'c> {
    text: &'c str,
    base: u32,
    errors: &'c Cell<usize>,
    too_deep: bool,
    pub(crate) script: Script,
    pub(crate) diags: Vec<Diagnostic>,
    pub(crate) syntax: Vec<SyntaxError>,
}

impl<'c> Context<'c> {
    pub(crate) fn new(text: &'c str, base: u32, errors: &'c Cell<usize>) -> Context<'c> {
        Context {
            text,
            base,
            errors,
            too_deep: false,
            script: Script::default(),
            diags: Vec::new(),
            syntax: Vec::new(),
        }
    }

    fn report(&mut self, diag: Diagnostic) {
        self.errors.set(self.errors.get() + 1);
        self.diags.push(diag);
    }

    /// Notes a mistake that the parser found its way out of.
    pub(crate) fn recovered(&mut self, recovered: Recovered<'_>) {
        self.errors.set(self.errors.get() + 1);
        let resumed = recovered.dropped_tokens.last().map(|dropped| dropped.2);
        self.syntax.push(SyntaxError::new(recovered.error, resumed));
    }

    // Depth.

    fn expr(&mut self, height: u32, span: Span, kind: ExprKind) -> Deep<Expr> {
        if height < MAX_HEIGHT {
            let height = height + 1;
            let node = Expr { kind, span };
            return Deep { node, height };
        }
        self.too_deep(span);
        Deep::leaf(Expr {
            kind: ExprKind::Error,
            span,
        })
    }

    fn too_deep(&mut self, span: Span) {
        if !std::mem::replace(&mut self.too_deep, true) {
            let diag = Diagnostic::error(codes::TOO_DEEP, span, "nesting too deep")
                .note(format!(
                    "the limit is {MAX_HEIGHT} levels; each operator of a chain is one"
                ))
                .help("assign parts of it to variables first");
            self.report(diag);
        }
    }

    // Items.

    pub(crate) fn add_probe(&mut self, probe: Probe) {
        self.script.probes.push(probe);
    }

    pub(crate) fn probe(
        &mut self,
        lo: u32,
        attach_points: AttachPoints,
        predicate: Option<Deep<Expr>>,
        body: Deep<Block>,
        hi: u32,
    ) -> Probe {
        Probe {
            attach_points,
            predicate: predicate.map(|predicate| predicate.node),
            body: body.node,
            span: Span::new(lo, hi),
        }
    }

    pub(crate) fn attach_points(
        &mut self,
        mut before: AttachPoints,
        lo: u32,
        text: &str,
        hi: u32,
    ) -> AttachPoints {
        before.push(AttachPoint {
            text: text.to_string(),
            span: Span::new(lo, hi),
        });
        before
    }

    pub(crate) fn add_config(
        &mut self,
        lo: u32,
        mut entries: Vec<ConfigEntry>,
        last: Option<ConfigEntry>,
        hi: u32,
    ) {
        let span = Span::new(lo, hi);
        entries.extend(last);
        if let Some(first) = &self.script.config {
            let diag = Diagnostic::error(codes::BAD_CONFIG, span, "a second config block")
                .also(first.span, "the first one")
                .help("put all options into one block");
            self.report(diag);
            return;
        }
        self.script.config = Some(Config { entries, span });
    }

    pub(crate) fn config_entry(
        &mut self,
        key: Ident,
        lo: u32,
        value: Option<Vec<u8>>,
        hi: u32,
    ) -> ConfigEntry {
        let span = Span::new(lo, hi);
        let name = match value {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => self.source(span).to_string(),
        };
        ConfigEntry {
            key,
            value: Ident { name, span },
        }
    }

    fn source(&self, span: Span) -> &str {
        let range =
            span.lo.saturating_sub(self.base) as usize..span.hi.saturating_sub(self.base) as usize;
        self.text.get(range).unwrap_or("")
    }

    // Statements.

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

    // Expressions.

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
            ExprKind::Var(_) | ExprKind::Map { key: None, .. } | ExprKind::Error
        );
        if op == UnaryOp::AddressOf && !addressable {
            let diag = Diagnostic::error(
                codes::BAD_OPERAND,
                span,
                "`&` of something that has no address",
            )
            .help("`&` takes a variable (`&$x`) or a whole map (`&@x`)");
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

    /// `(a=1, …)` is a record; `($a = 1)` and `(pid = 1)` were meant as comparisons.
    pub(crate) fn record(
        &mut self,
        lo: u32,
        fields: Vec<(Deep<Expr>, u32)>,
        hi: u32,
    ) -> Deep<Expr> {
        let span = Span::new(lo, hi);
        let named = |(field, _): &(Deep<Expr>, u32)| matches!(field.node.kind, ExprKind::Ident(_));
        let diag = match fields.as_slice() {
            [(_, equals)] => assignment_in_expression(Span::new(*equals, equals + 1)),
            all if all.iter().all(named) => not_yet::RECORD.diagnostic(span),
            all => {
                let equals = all
                    .iter()
                    .find(|field| !named(field))
                    .map_or(lo, |field| field.1);
                assignment_in_expression(Span::new(equals, equals + 1))
            }
        };
        self.report(diag);
        self.leaf(lo, ExprKind::Error, hi)
    }

    // Types.

    pub(crate) fn type_expr(
        &mut self,
        lo: u32,
        tag: Option<TypeTag>,
        name: Ident,
        suffixes: Vec<TypeSuffix>,
        hi: u32,
    ) -> TypeExpr {
        TypeExpr {
            tag,
            name,
            suffixes,
            span: Span::new(lo, hi),
        }
    }

    /// A name of several words, blanks made one and qualifiers dropped: nothing here depends on `const`.
    pub(crate) fn type_words(&mut self, lo: u32, text: &str, hi: u32) -> Ident {
        let words: Vec<&str> = text
            .split_whitespace()
            .filter(|word| !matches!(*word, "const" | "volatile"))
            .collect();
        self.ident(lo, &words.join(" "), hi)
    }

    pub(crate) fn type_suffixes(
        &mut self,
        mut suffixes: Vec<TypeSuffix>,
        lo: u32,
        suffix: TypeSuffix,
        hi: u32,
    ) -> Vec<TypeSuffix> {
        if suffixes.len() < MAX_LIST {
            suffixes.push(suffix);
        } else {
            self.too_deep(Span::new(lo, hi));
        }
        suffixes
    }
}

/// `=` where a comparison was meant.
fn assignment_in_expression(at: Span) -> Diagnostic {
    Diagnostic::error(codes::UNEXPECTED_TOKEN, at, "`=` inside an expression")
        .note("an assignment is a statement of its own and has no value; records `(name=value)` are not known yet")
        .help("to compare write `==`")
}
