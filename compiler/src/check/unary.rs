//! Operators with one operand, and `++` and `--`.

use nettrace_grammar::ast::{BinaryOp, UnaryOp};
use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::convert::int;
use super::fold;
use super::infer::{self, Flex, Inferred};
use super::state::Stored;
use crate::ir::BinOp;
use crate::resolve::is_args;
use crate::typed::{Expr, ExprKind};
use crate::types::{Space, Type, Types};

impl Checker<'_> {
    pub(super) fn unary(&mut self, op: UnaryOp, operand: &ast::Expr, span: Span) -> Option<Expr> {
        match op {
            UnaryOp::Deref if is_args(operand) => super::arguments::whole(self, span),
            UnaryOp::Deref => {
                let value = self.value(operand)?;
                self.deref_operator(value, span)
            }
            UnaryOp::AddressOf => self.address_of(operand, span),
            UnaryOp::Not => {
                let value = self.value(operand)?;
                self.not(value, span)
            }
            UnaryOp::Neg | UnaryOp::BitNot => {
                let value = self.value(operand)?;
                self.negate(op, value, span)
            }
        }
    }

    fn bad_operand(&mut self, op: UnaryOp, value: &Expr, span: Span) {
        let ty = self.describe(value.ty);
        let message = format!("`{}` cannot be used on {ty}", op.symbol());
        self.error(codes::BAD_OPERAND, span, message);
    }

    fn not(&mut self, value: Expr, span: Span) -> Option<Expr> {
        if let Some(n) = fold::literal_value(&value, self.types) {
            return Some(int(i64::from(n == 0), Types::BOOL, span));
        }
        // Pointers too: `!p` is what C programmers write for "is NULL".
        if !self.is_int_like(value.ty) && self.pointee(value.ty).is_none() {
            self.bad_operand(UnaryOp::Not, &value, span);
            return None;
        }
        let truth = self.convert(value, Types::BOOL);
        let kind = match truth.kind {
            ExprKind::Int(n) => ExprKind::Int(i64::from(n == 0)),
            _ => ExprKind::Not(Box::new(truth)),
        };
        Some(Expr {
            kind,
            ty: Types::BOOL,
            span,
        })
    }

    /// `-x` and `~x`: 64 bits of the operand's sign; `-x` is always signed.
    fn negate(&mut self, op: UnaryOp, value: Expr, span: Span) -> Option<Expr> {
        if let Some(n) = fold::literal_value(&value, self.types) {
            let result = match op {
                UnaryOp::Neg => -n,
                _ => i128::from(!(n as u64)),
            };
            if result < i128::from(i64::MIN) || result > i128::from(u64::MAX) {
                self.no_constant(fold::Fault::Overflow, span);
                return None;
            }
            return Some(fold::literal(result, span));
        }
        if !self.is_int_like(value.ty) {
            self.bad_operand(op, &value, span);
            return None;
        }
        let signed = infer::int_shape(self.types, value.ty).is_some_and(|(_, s)| s);
        let (op, left, ty) = match op {
            UnaryOp::Neg => (BinOp::Sub, 0, Types::I64),
            _ => (BinOp::Xor, -1, Types::int(8, signed)),
        };
        let value = self.convert(value, ty);
        Some(Expr {
            kind: ExprKind::Binary(op, Box::new(int(left, ty, span)), Box::new(value)),
            ty,
            span,
        })
    }

    fn deref_operator(&mut self, value: Expr, span: Span) -> Option<Expr> {
        if let Some(to) = self.pointee(value.ty) {
            if to == Types::VOID {
                let message = "`*` cannot read through a `void *`";
                let help = "cast it to a pointer to something: `*(uint32 *)p`";
                self.report(Diagnostic::error(codes::BAD_OPERAND, span, message).help(help));
                return None;
            }
            let mut place = self.deref(value);
            place.span = span;
            return Some(place);
        }
        // `*kaddr("jiffies")`: a number is an address of as many bytes as its own type has.
        if let Some((bytes, _)) = infer::int_shape(self.types, value.ty) {
            let bytes = if fold::literal_value(&value, self.types).is_some() {
                8
            } else {
                bytes
            };
            let to = Types::int(bytes, false);
            let space = Space::Kernel;
            let pointer = self.types.intern(Type::Pointer { to, space });
            let address = self.cast_to_pointer(value, pointer);
            let mut place = self.deref(address);
            place.span = span;
            return Some(self.convert(place, Types::U64));
        }
        self.bad_operand(UnaryOp::Deref, &value, span);
        None
    }

    fn address_of(&mut self, operand: &ast::Expr, span: Span) -> Option<Expr> {
        let place = self.value(operand)?;
        let Some(space) = self.place_space(&place) else {
            let message = "`&` needs a place in kernel or user memory";
            let help = "variables and maps have no address that a script could use";
            self.report(Diagnostic::error(codes::BAD_OPERAND, span, message).help(help));
            return None;
        };
        if matches!(place.kind, ExprKind::Member { bits: Some(_), .. }) {
            self.error(codes::BAD_OPERAND, span, "a bit-field has no address");
            return None;
        }
        let to = place.ty;
        Some(Expr {
            ty: self.types.intern(Type::Pointer { to, space }),
            kind: ExprKind::AddressOf(Box::new(place)),
            span,
        })
    }

    pub(super) fn inc_dec(
        &mut self,
        op: BinaryOp,
        prefix: bool,
        target: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let down = op == BinaryOp::Sub;
        let place = match &target.kind {
            ast::ExprKind::Var(name) => {
                let Some(id) = self.find_var(name) else {
                    // A fresh variable counts from 0.
                    return self.fresh_counter(name, prefix, down, span);
                };
                self.grow_counter(id);
                self.read_var(name, target.span)?
            }
            ast::ExprKind::Map { name, key } => {
                self.counter_map(name, key.as_deref(), target.span)?
            }
            _ => {
                let message = "`++` and `--` need a variable or a map";
                self.error(codes::BAD_ASSIGNMENT, target.span, message);
                return None;
            }
        };
        self.count(place, prefix, down, span)
    }

    fn count(&mut self, place: Expr, prefix: bool, down: bool, span: Span) -> Option<Expr> {
        let step = if self.pointee(place.ty).is_some() {
            self.step(place.ty)
        } else if infer::int_shape(self.types, place.ty).is_some() {
            1
        } else {
            let ty = self.describe(place.ty);
            let message = format!("`++` and `--` need a number or a pointer, not {ty}");
            self.error(codes::BAD_OPERAND, span, message);
            return None;
        };
        Some(Expr {
            ty: place.ty,
            kind: ExprKind::IncDec {
                target: Box::new(place),
                delta: if down { -step } else { step },
                prefix,
            },
            span,
        })
    }

    fn fresh_counter(&mut self, name: &str, prefix: bool, down: bool, span: Span) -> Option<Expr> {
        let id = self.declare(name, span);
        self.grow_counter(id);
        let place = self.read_var(name, span)?;
        self.count(place, prefix, down, span)
    }

    /// A variable that counts is 64 bits wide, unless its type is declared.
    fn grow_counter(&mut self, id: crate::typed::VarId) {
        let Some(var) = self.vars.get(id) else {
            return;
        };
        let grown = match &var.ty {
            None => Some(Inferred::fixed(Types::I64)),
            Some(_) if var.pinned => None,
            Some(old) => self.counter_type(old),
        };
        self.vars[id].assigned = true;
        if let Some(grown) = grown {
            self.vars[id].ty = Some(grown);
            self.grew = true;
        }
    }

    /// The wider type of a counter, if it is not wide enough.
    pub(super) fn counter_type(&self, old: &Inferred) -> Option<Inferred> {
        let (bytes, signed) = infer::int_shape(self.types, old.ty)?;
        (bytes < 8).then(|| Inferred {
            ty: Types::int(8, signed),
            flex: old.flex.clone(),
        })
    }

    /// The place of a map that counts.
    fn counter_map(&mut self, name: &str, key: Option<&[ast::Expr]>, span: Span) -> Option<Expr> {
        let (id, key) = self.map_place(name, key, span)?;
        let grown = match &self.maps.maps[id].value {
            None => Some(Inferred {
                ty: Types::I64,
                flex: Flex::Fixed,
            }),
            Some(Stored::Plain(old)) => self.counter_type(old),
            Some(Stored::Aggregate(_)) => {
                self.aggregate_not_plain(id, span);
                return None;
            }
        };
        if let Some(grown) = grown {
            self.decide_value(id, Stored::Plain(grown), span);
        }
        let Some(Stored::Plain(value)) = &self.maps.maps[id].value else {
            return None;
        };
        Some(Expr {
            ty: value.ty,
            kind: ExprKind::Map(id, key.map(Box::new)),
            span,
        })
    }
}
