//! Conversions that the language makes by itself, written out as `Cast`.
//!
//! In: a value and the type that is wanted, known to be compatible. Out: the value in that type. Literals change their type and
//! bits at once; tuples convert element by element.

use nettrace_grammar::Span;

use super::Checker;
use super::fold;
use super::infer::{int_shape, same_names};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Ty, Type, Types};

impl Checker<'_> {
    /// The value in another type.
    pub(crate) fn convert(&mut self, value: Expr, to: Ty) -> Expr {
        if value.ty == to {
            return value;
        }
        let span = value.span;
        match (value.kind, self.types.get(to).clone()) {
            (ExprKind::Int(n), Type::Bool) => int(i64::from(n != 0), to, span),
            (ExprKind::Int(n), Type::Pointer { .. }) => int(n, to, span),
            (ExprKind::Int(n), shape @ (Type::Int { .. } | Type::Enum { .. })) => match shape {
                Type::Int { bytes, signed } | Type::Enum { bytes, signed, .. } => {
                    int(fold::extend(n, bytes, signed), to, span)
                }
                _ => int(n, to, span),
            },
            (ExprKind::Str(text), Type::Str { .. }) => Expr {
                kind: ExprKind::Str(text),
                ty: to,
                span,
            },
            (ExprKind::Tuple(items), Type::Tuple(_) | Type::NamedTuple(_)) => {
                let elements = self.elements(value.ty, to);
                let mut items: Vec<Option<Expr>> = items.into_iter().map(Some).collect();
                let mut take = |i: usize| items.get_mut(i).and_then(Option::take);
                let items = elements
                    .into_iter()
                    .filter_map(|(i, _, ty)| Some(self.convert(take(i)?, ty)))
                    .collect();
                Expr {
                    kind: ExprKind::Tuple(items),
                    ty: to,
                    span,
                }
            }
            // What these do must be done once, so the conversion goes inside.
            (ExprKind::Block(stmts, inner), Type::Tuple(_) | Type::NamedTuple(_)) => Expr {
                kind: ExprKind::Block(stmts, Box::new(self.convert(*inner, to))),
                ty: to,
                span,
            },
            (ExprKind::Ternary(cond, a, b), Type::Tuple(_) | Type::NamedTuple(_)) => {
                let (a, b) = (self.convert(*a, to), self.convert(*b, to));
                Expr {
                    kind: ExprKind::Ternary(cond, Box::new(a), Box::new(b)),
                    ty: to,
                    span,
                }
            }
            (ExprKind::Call(call), Type::InetAny)
                if call.builtin.name == "ntop" && call.args.len() == 1 =>
            {
                self.with_family(call, value.ty, to, span)
            }
            (kind, Type::Tuple(_) | Type::NamedTuple(_)) => {
                let from = Expr {
                    kind,
                    ty: value.ty,
                    span,
                };
                self.convert_tuple(from, to)
            }
            (kind, _) => {
                let inner = Expr {
                    kind,
                    ty: value.ty,
                    span,
                };
                Expr {
                    kind: ExprKind::Cast(Box::new(inner)),
                    ty: to,
                    span,
                }
            }
        }
    }

    /// A tuple or record that is not written out here: built anew from its elements.
    fn convert_tuple(&mut self, value: Expr, to: Ty) -> Expr {
        let span = value.span;
        let items = self
            .elements(value.ty, to)
            .into_iter()
            .map(|(i, from, to)| {
                let element = Expr {
                    kind: ExprKind::TupleElement(Box::new(value.clone()), i as u32),
                    ty: from,
                    span,
                };
                self.convert(element, to)
            })
            .collect();
        Expr {
            kind: ExprKind::Tuple(items),
            ty: to,
            span,
        }
    }

    /// For each element of a tuple or record: its number in the one it is made from, its type there, and its own.
    fn elements(&self, from: Ty, to: Ty) -> Vec<(usize, Ty, Ty)> {
        match (self.types.get(from), self.types.get(to)) {
            (Type::Tuple(from), Type::Tuple(to)) => {
                let both = from.iter().zip(to).enumerate();
                both.map(|(i, (&from, &to))| (i, from, to)).collect()
            }
            (Type::NamedTuple(from), Type::NamedTuple(to)) => {
                let order = same_names(to, from).unwrap_or_default();
                let both = order.into_iter().zip(to);
                both.filter_map(|(i, (_, to))| Some((i, from.get(i)?.1, *to)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// `ntop(x)` where an address of any family is wanted: `ntop(AF_INET, x)`.
    fn with_family(&mut self, mut call: Call, from: Ty, to: Ty, span: Span) -> Expr {
        let v6 = matches!(self.types.get(from), Type::Inet { v6: true });
        let family = int(if v6 { 10 } else { 2 }, Types::U64, span);
        call.args.insert(0, family);
        call.extra = Extra::None;
        Expr {
            kind: ExprKind::Call(call),
            ty: to,
            span,
        }
    }

    /// An integer, enum or bool as 64 bits with its own sign (a literal without one: signed).
    pub(crate) fn widen(&mut self, value: Expr) -> Expr {
        let signed = int_shape(self.types, value.ty).is_some_and(|(_, signed)| signed);
        self.convert(value, Types::int(8, signed))
    }

    /// A value as a condition; `None` after reporting.
    pub(crate) fn truth(&mut self, value: Expr) -> Option<Expr> {
        let fits =
            self.is_int_like(value.ty) || matches!(self.types.get(value.ty), Type::Pointer { .. });
        if !fits {
            self.not_a_condition(&value);
            return None;
        }
        Some(self.convert(value, Types::BOOL))
    }
}

/// A constant of a type.
pub(crate) fn int(n: i64, ty: Ty, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Int(n),
        ty,
        span,
    }
}
