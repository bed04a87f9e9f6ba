//! Assignments.

use nettrace_grammar::ast::BinaryOp;
use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::convert::int;
use super::infer::{self, Flex, Inferred};
use super::state::Stored;
use crate::builtins;
use crate::ir::BinOp;
use crate::typed::{Aggregate, Expr, ExprKind, Extra, ScriptMapId, StmtKind};
use crate::types::{Type, Types};

impl Checker<'_> {
    pub(super) fn assign(
        &mut self,
        target: &ast::Expr,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        match (&target.kind, op) {
            (ast::ExprKind::Discard, _) => Some(StmtKind::Expr(self.value(value)?)),
            (ast::ExprKind::Var(name), None) => {
                // The value comes first: `$x = $x + 1` does not declare what it reads.
                let checked = self.value(value);
                let id = match self.find_var(name) {
                    Some(id) => id,
                    None => self.declare(name, target.span),
                };
                let stored = self.store_var(id, checked, value.span)?;
                Some(StmtKind::Assign(id, stored))
            }
            (ast::ExprKind::Var(name), Some(op)) => {
                let right = self.value(value);
                let left = self.read_var(name, target.span);
                let id = self.find_var(name)?;
                let result = self.binary_values(op, left?, right?, span);
                let stored = self.store_var(id, result, span)?;
                Some(StmtKind::Assign(id, stored))
            }
            (ast::ExprKind::Map { name, key }, None) => {
                self.assign_map(name, key.as_deref(), value, target.span, span)
            }
            (ast::ExprKind::Map { name, key }, Some(op)) => {
                self.update_map(name, key.as_deref(), op, value, target.span, span)
            }
            (ast::ExprKind::Error, _) => None,
            _ => {
                let message = "only variables and maps can be assigned to";
                let help = "nettrace reads the kernel's memory and never writes it";
                self.report(
                    Diagnostic::error(codes::BAD_ASSIGNMENT, target.span, message).help(help),
                );
                None
            }
        }
    }

    fn assign_map(
        &mut self,
        name: &str,
        key: Option<&[ast::Expr]>,
        value: &ast::Expr,
        target: Span,
        span: Span,
    ) -> Option<StmtKind> {
        // Maps are numbered in the order in which the script names them.
        let id = self.maps.id(name, target);
        self.note_stored(id);
        self.aggregate_allowed = is_aggregation(value);
        let checked = self.expr(value);
        self.aggregate_allowed = false;
        let place = self.map_place(name, key, target);
        let checked = checked?;
        let (id, key) = place?;
        if let Some(kind) = aggregate_of(&checked) {
            self.store_aggregate(id, kind, span)?;
            return Some(self.aggregate(id, key, checked));
        }
        if checked.ty == Types::VOID {
            self.no_value(&checked);
            return None;
        }
        let stored = self.store_map(id, checked, span)?;
        Some(StmtKind::AssignMap(id, key, stored))
    }

    /// Takes the call of an aggregation apart; its number gets the sign that the map has by now.
    fn aggregate(&mut self, id: ScriptMapId, key: Option<Expr>, call: Expr) -> StmtKind {
        let number = match call.kind {
            ExprKind::Call(call) => call.args.into_iter().next(),
            _ => None,
        };
        let signed = match self.maps.maps[id].value {
            Some(Stored::Aggregate(
                Aggregate::Sum { signed }
                | Aggregate::Avg { signed }
                | Aggregate::Min { signed }
                | Aggregate::Max { signed }
                | Aggregate::Stats { signed },
            )) => Some(signed),
            _ => None,
        };
        let number = number.map(|n| match signed {
            Some(signed) => self.convert(n, Types::int(8, signed)),
            None => n,
        });
        StmtKind::Aggregate(id, key, number)
    }

    /// `@m op= value`
    fn update_map(
        &mut self,
        name: &str,
        key: Option<&[ast::Expr]>,
        op: BinaryOp,
        value: &ast::Expr,
        target: Span,
        span: Span,
    ) -> Option<StmtKind> {
        let id = self.maps.id(name, target);
        self.note_stored(id);
        let right = self.value(value);
        let place = self.map_place(name, key, target);
        let right = right?;
        let (id, key) = place?;
        let old = match self.maps.maps[id].value.clone() {
            Some(Stored::Aggregate(_)) => {
                self.aggregate_not_plain(id, span);
                return None;
            }
            Some(Stored::Plain(old)) => old,
            None => {
                // The first use of the map: it counts from 0 in the sign of what is added.
                let sign = infer::int_shape(self.types, right.ty).map(|(_, s)| s);
                let free = infer::is_free(&right, self.types);
                let unsigned = sign == Some(false) && !free && op != BinaryOp::Sub;
                Inferred {
                    ty: Types::int(8, !unsigned),
                    flex: Flex::Fixed,
                }
            }
        };
        let number = infer::int_shape(self.types, old.ty).is_some() && self.is_int_like(right.ty);
        if number && matches!(op, BinaryOp::Add | BinaryOp::Sub) {
            return self.add_map(id, key, &old, op, right, span);
        }
        if let Some(key) = &key
            && changes_something(key)
        {
            let message = format!(
                "the key of `{}=` is evaluated twice and must not change anything",
                op.symbol()
            );
            let help = "write the `++` or `--` as a statement of its own";
            self.report(Diagnostic::error(codes::BAD_ASSIGNMENT, key.span, message).help(help));
            return None;
        }
        let left = Expr {
            kind: ExprKind::Map(id, key.clone().map(Box::new)),
            ty: old.ty,
            span: target,
        };
        let result = self.binary_values(op, left, right, span)?;
        let stored = self.store_map(id, result, span)?;
        Some(StmtKind::AssignMap(id, key, stored))
    }

    /// `@m += n` and `@m -= n` on integers: one atomic addition, 64 bits wide.
    fn add_map(
        &mut self,
        id: ScriptMapId,
        key: Option<Expr>,
        old: &Inferred,
        op: BinaryOp,
        right: Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let free = (old.flex == Flex::Free, infer::is_free(&right, self.types));
        let sign = |shape: Option<(u8, bool)>| shape.is_some_and(|(_, s)| s);
        let left_signed = sign(infer::int_shape(self.types, old.ty));
        let right_signed = sign(infer::int_shape(self.types, right.ty));
        let signed = match free {
            (false, true) => left_signed,
            (true, false) => right_signed,
            _ => left_signed || right_signed,
        };
        let result = Inferred::fixed(Types::int(8, signed || op == BinaryOp::Sub));
        let joined = match self.maps.maps[id].known {
            true => old.clone(),
            false => self.join(old, &result)?,
        };
        let ty = joined.ty;
        self.decide_value(id, Stored::Plain(joined), span);
        let mut value = self.convert(right, ty);
        if op == BinaryOp::Sub {
            let at = value.span;
            value = match value.kind {
                ExprKind::Int(n) => int(n.wrapping_neg(), ty, at),
                _ => Expr {
                    kind: ExprKind::Binary(BinOp::Sub, Box::new(int(0, ty, at)), Box::new(value)),
                    ty,
                    span: at,
                },
            };
        }
        Some(StmtKind::AddMap(id, key, value))
    }

    /// A value that is stored: it must have one, of a size that can be kept.
    pub(super) fn local_value(&mut self, value: Expr) -> Option<Expr> {
        if value.ty == Types::VOID {
            self.no_value(&value);
            return None;
        }
        match self.size_of(value.ty) {
            Some(size) => {
                let flexible = size == 0 && matches!(self.types.get(value.ty), Type::Array { .. });
                if flexible {
                    let message = "this array has no length of its own";
                    let help = "name one of its elements: `array[0]`";
                    self.report(
                        Diagnostic::error(codes::NOT_A_VALUE, value.span, message).help(help),
                    );
                    return None;
                }
                self.expect_size(size, value.span)?;
                Some(value)
            }
            None => {
                let ty = self.show(value.ty);
                let message = format!("the size of {ty} is not known");
                self.error(codes::NOT_A_VALUE, value.span, message);
                None
            }
        }
    }

    /// Reports a value that no map or event can hold.
    pub(crate) fn expect_size(&mut self, size: u32, span: Span) -> Option<()> {
        if size <= MAX_VALUE {
            return Some(());
        }
        let message = format!("this value has {size} bytes; {MAX_VALUE} is the most");
        let help = "take a field of it, or keep a pointer to it";
        self.report(Diagnostic::error(codes::VALUE_TOO_LARGE, span, message).help(help));
        None
    }
}

/// What a per-CPU map's value can hold (PCPU_MIN_UNIT_SIZE).
const MAX_VALUE: u32 = 32 << 10;

/// The aggregation that a checked call stands for.
pub(super) fn aggregate_of(value: &Expr) -> Option<Aggregate> {
    match &value.kind {
        ExprKind::Call(call) => match call.extra {
            Extra::Aggregate(kind) => Some(kind),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression is a call of a builtin that may be an aggregation: then its own check decides.
fn is_aggregation(value: &ast::Expr) -> bool {
    match &value.kind {
        ast::ExprKind::Call { name, .. } => builtins::find(&name.name).is_some(),
        // What a macro may have become.
        ast::ExprKind::Block(block) if block.stmts.is_empty() => {
            block.value.as_deref().is_some_and(is_aggregation)
        }
        _ => false,
    }
}

/// Whether evaluating an expression twice differs from once.
fn changes_something(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::IncDec { .. } | ExprKind::Block(..) => true,
        ExprKind::Call(call) => {
            call.builtin.name == "delete" || call.args.iter().any(changes_something)
        }
        ExprKind::Binary(_, a, b)
        | ExprKind::Divide(_, a, b)
        | ExprKind::Compare(_, a, b)
        | ExprKind::CompareMemory(_, a, b)
        | ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::Either(a, b)
        | ExprKind::Element(a, b) => changes_something(a) || changes_something(b),
        ExprKind::Ternary(a, b, c) => {
            changes_something(a) || changes_something(b) || changes_something(c)
        }
        ExprKind::Not(a)
        | ExprKind::Cast(a)
        | ExprKind::Deref(a)
        | ExprKind::AddressOf(a)
        | ExprKind::Member { base: a, .. }
        | ExprKind::TupleElement(a, _) => changes_something(a),
        ExprKind::Tuple(items) => items.iter().any(changes_something),
        ExprKind::Map(_, key) | ExprKind::MapTotal(_, key) => {
            key.as_deref().is_some_and(changes_something)
        }
        ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Bytes(_)
        | ExprKind::Var(_)
        | ExprKind::Context(_) => false,
    }
}
