//! Casts: `(T)e`.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::convert::int;
use super::infer::{self, int_shape};
use crate::typed::{Expr, ExprKind};
use crate::types::{Space, Ty, Type, Types};

impl Checker<'_> {
    pub(super) fn cast(
        &mut self,
        written: &ast::TypeExpr,
        operand: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let value = self.value(operand);
        // A pointer made of a pointer leads to the same memory.
        let space = match value.as_ref().map(|v| self.types.get(v.ty)) {
            Some(Type::Pointer { space, .. }) => *space,
            Some(Type::Array { .. } | Type::Str { .. }) => value
                .as_ref()
                .and_then(|v| self.place_space(v))
                .unwrap_or(Space::Kernel),
            _ => Space::Kernel,
        };
        let to = self.written_type_in(written, space);
        let (mut value, mut to) = (value?, to?);
        if self.pointee(to).is_some() {
            value = self.decay(value);
        }
        // `(int8[])x` has as many elements as fit.
        if let Type::Array { elem, len: 0 } = *self.types.get(to) {
            let (size, each) = (self.size_of(value.ty)?, self.size_of(elem)?.max(1));
            let len = size / each;
            to = self.types.intern(Type::Array { elem, len });
        }
        // A literal stays under the cast: its sign is no longer open.
        if infer::is_literal(&value) && self.is_int_like(to) && to != Types::BOOL && value.ty == to
        {
            return Some(Expr {
                kind: ExprKind::Cast(Box::new(value)),
                ty: to,
                span,
            });
        }
        if value.ty == to {
            return Some(Expr { span, ..value });
        }
        match self.cast_to(value, to, span) {
            Ok(cast) => Some(cast),
            Err(from) => {
                self.bad_cast(&from, to, span);
                None
            }
        }
    }

    /// The cast, or the value back when there is none.
    fn cast_to(&mut self, value: Expr, to: Ty, span: Span) -> Result<Expr, Expr> {
        let scalar = self.is_int_like(value.ty);
        let pointer = self.pointee(value.ty).is_some();
        let plain = |inner: Expr| Expr {
            kind: ExprKind::Cast(Box::new(inner)),
            ty: to,
            span,
        };
        match (self.types.get(value.ty).clone(), self.types.get(to).clone()) {
            (_, Type::Bool) if scalar || pointer => Ok(Expr {
                span,
                ..self.convert(value, to)
            }),
            (_, Type::Enum { id, .. }) if scalar => self.cast_to_enum(value, to, id, span),
            (_, Type::Int { .. }) if scalar => Ok(plain(value)),
            (Type::KSym | Type::NetNs | Type::Time { .. }, Type::Int { .. }) => Ok(plain(value)),
            (_, Type::Int { .. }) if pointer => match self.convert(value, Types::U64) {
                address if to == Types::U64 => Ok(Expr { span, ..address }),
                address => Ok(plain(address)),
            },
            (_, Type::Pointer { .. }) if scalar || pointer => {
                let mut cast = self.cast_to_pointer(value, to);
                cast.span = span;
                Ok(cast)
            }
            (_, Type::Array { .. }) if scalar => match self.bytes_fit(value.ty, to) {
                true => Ok(plain(value)),
                false => Err(value),
            },
            (Type::Array { .. } | Type::Str { .. }, Type::Int { .. })
            | (Type::Str { .. }, Type::Array { .. })
            | (Type::Array { .. }, Type::Str { .. }) => {
                match self.size_of(value.ty) == self.size_of(to) {
                    true => Ok(plain(value)),
                    false => Err(value),
                }
            }
            (Type::Str { cap: from }, Type::Str { cap }) if cap >= from => Ok(Expr {
                span,
                ..self.convert(value, to)
            }),
            (Type::Tuple(_), Type::Tuple(_)) => Err(value),
            _ => Err(value),
        }
    }

    /// A number as an array of bytes: as large, or up to eight bytes larger.
    fn bytes_fit(&self, from: Ty, to: Ty) -> bool {
        let sizes = self.size_of(from).zip(self.size_of(to));
        let numbers = match *self.types.get(to) {
            Type::Array { elem, .. } => self.is_int_like(elem),
            _ => false,
        };
        numbers && sizes.is_some_and(|(from, to)| (from..=from + 8).contains(&to))
    }

    /// A number or pointer as a pointer.
    pub(super) fn cast_to_pointer(&mut self, value: Expr, to: Ty) -> Expr {
        let span = value.span;
        let value = match self.pointee(value.ty) {
            Some(_) => value,
            // Narrow numbers are extended by their own sign first.
            None => {
                let signed = int_shape(self.types, value.ty).is_some_and(|(_, s)| s);
                self.convert(value, Types::int(8, signed))
            }
        };
        if let ExprKind::Int(n) = value.kind {
            return int(n, to, span);
        }
        Expr {
            kind: ExprKind::Cast(Box::new(value)),
            ty: to,
            span,
        }
    }

    fn cast_to_enum(
        &mut self,
        value: Expr,
        to: Ty,
        id: crate::kernel::KernelTypeId,
        span: Span,
    ) -> Result<Expr, Expr> {
        if infer::is_free(&value, self.types)
            && let ExprKind::Int(n) = value.kind
            && let crate::kernel::KernelType::Enum(e) = &*self.kernel.ty(id)
        {
            if !e.values.iter().any(|(_, v)| *v == n) {
                return Err(value);
            }
            return Ok(int(n, to, span));
        }
        Ok(Expr {
            kind: ExprKind::Cast(Box::new(value)),
            ty: to,
            span,
        })
    }

    fn bad_cast(&mut self, from: &Expr, to: Ty, span: Span) {
        let (source, target) = (self.show(from.ty), self.show(to));
        let message = match (&from.kind, self.types.get(to)) {
            (ExprKind::Int(n), Type::Enum { .. }) => format!("{n} is no value of {target}"),
            _ => format!("{source} cannot be cast to {target}"),
        };
        let mut diag = Diagnostic::error(codes::BAD_CAST, span, message);
        diag = match (self.types.get(from.ty), self.types.get(to)) {
            (Type::Record(_), _) => diag.help(
                "a struct itself cannot be cast; cast a pointer to it, or take one of its fields",
            ),
            (_, Type::Record(_)) => diag.help(format!("cast to a pointer: `({target} *)`")),
            (Type::Str { .. }, Type::Str { .. }) => {
                diag.note("a string can only be given more room")
            }
            (_, Type::Array { .. }) | (Type::Array { .. }, _) => {
                match self.size_of(from.ty).zip(self.size_of(to)) {
                    Some((a, b)) => diag.note(format!("the sizes are {a} and {b} bytes")),
                    None => diag,
                }
            }
            _ => diag,
        };
        self.report(diag);
    }

    /// Gives a value the pinned type of a declared variable, if it fits.
    pub(super) fn fit(&mut self, value: Expr, to: Ty, what: &str, declared: Span) -> Option<Expr> {
        if value.ty == to {
            return Some(value);
        }
        let span = value.span;
        if let (Some((bytes, signed)), true) =
            (int_shape(self.types, to), self.is_int_like(value.ty))
        {
            if let Some(n) = super::fold::literal_value(&value, self.types) {
                let bits = 8 * u32::from(bytes);
                let range = match signed {
                    true => -(1i128 << (bits - 1))..1i128 << (bits - 1),
                    false => 0..1i128 << bits,
                };
                if range.contains(&n) {
                    return Some(self.convert(value, to));
                }
                let ty = self.show(to);
                let message = format!("{n} does not fit `{what}`, which is {ty}");
                self.report(
                    Diagnostic::error(codes::BAD_ASSIGNMENT, span, message)
                        .also(declared, "declared here"),
                );
                return None;
            }
            let (from_bytes, from_signed) = int_shape(self.types, value.ty).unwrap_or((1, false));
            let fits = match (from_signed, signed) {
                (true, false) => false,
                (false, true) => from_bytes < bytes,
                _ => from_bytes <= bytes,
            };
            if !fits {
                let (from, ty) = (self.show(value.ty), self.show(to));
                let message = format!("{from} may not fit `{what}`, which is {ty}");
                let help = format!("if that is meant, cast it: `({ty})…`");
                self.warn(Diagnostic::warning(codes::NARROWING, span, message).help(help));
            }
            return Some(self.convert(value, to));
        }
        let (a, b) = (infer::Inferred::fixed(to), self.inferred(&value));
        match self.join(&a, &b) {
            Some(joined) if joined.ty == to => Some(self.convert(value, to)),
            _ => {
                self.other_type(what, value.ty, to, span, declared);
                None
            }
        }
    }
}
