//! Types of variables and maps as they grow: the join of everything that is stored.
//!
//! In: two types. Out: the smallest that holds the values of both, or nothing. A literal that is not negative has no sign of its
//! own: it takes the sign of what it meets.

use super::Checker;
use super::state::Stored;
use crate::typed::{Expr, ExprKind};
use crate::types::{Ty, Type, Types, members};

/// Whether the sign of an integer is still open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flex {
    /// It is not, or the type is no integer.
    Fixed,
    /// Only literals that are not negative so far.
    Free,
    /// Per element of a tuple or record.
    Tuple(Vec<Flex>),
}

/// A type so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inferred {
    pub(crate) ty: Ty,
    pub(crate) flex: Flex,
}

impl Inferred {
    /// A type that is not open.
    pub(crate) fn fixed(ty: Ty) -> Inferred {
        Inferred {
            ty,
            flex: Flex::Fixed,
        }
    }
}

impl Checker<'_> {
    /// The type of a value, and whether it is still open.
    pub(super) fn inferred(&self, value: &Expr) -> Inferred {
        Inferred {
            ty: value.ty,
            flex: self.flex(value),
        }
    }

    /// The type that holds values of both, if there is one. A struct that vmlinux and a module both describe is one struct.
    pub(super) fn join(&mut self, a: &Inferred, b: &Inferred) -> Option<Inferred> {
        let joined = promote(self.types, a, b);
        joined.or_else(|| self.same_target(a.ty, b.ty).then(|| Inferred::fixed(a.ty)))
    }

    /// Whether two pointers lead to structs of the same name and size in the same memory.
    pub(super) fn same_target(&self, a: Ty, b: Ty) -> bool {
        match (self.types.get(a), self.types.get(b)) {
            (Type::Pointer { to: a, space: x }, Type::Pointer { to: b, space: y }) if x == y => {
                a == b || self.same_target(*a, *b) || self.same_record(*a, *b)
            }
            _ => false,
        }
    }

    fn same_record(&self, a: Ty, b: Ty) -> bool {
        let (Type::Record(x), Type::Record(y)) = (self.types.get(a), self.types.get(b)) else {
            return false;
        };
        let found = (
            members::definition(self.kernel, *x),
            members::definition(self.kernel, *y),
        );
        let (Some((_, x)), Some((_, y))) = found else {
            return false;
        };
        !x.name.is_empty() && x.name == y.name && x.union == y.union && x.size == y.size
    }

    /// A variable or map that holds nothing but literals is as open as they are.
    fn flex(&self, value: &Expr) -> Flex {
        let stored = match &value.kind {
            ExprKind::Tuple(items) => {
                return Flex::Tuple(items.iter().map(|e| self.flex(e)).collect());
            }
            ExprKind::Var(id) => self.vars.get(*id).and_then(|v| v.ty.as_ref()),
            ExprKind::Map(id, _) => match self.maps.maps.get(*id).map(|m| &m.value) {
                Some(Some(Stored::Plain(stored))) => Some(stored),
                _ => None,
            },
            _ if is_free(value, self.types) => return Flex::Free,
            _ => None,
        };
        stored.map_or(Flex::Fixed, |s| s.flex.clone())
    }
}

/// Whether this is a constant as it stands.
pub(crate) fn is_literal(value: &Expr) -> bool {
    matches!(value.kind, ExprKind::Int(_))
}

/// Whether this is a literal whose sign is open.
pub(crate) fn is_free(value: &Expr, types: &Types) -> bool {
    matches!(value.kind, ExprKind::Int(n) if n >= 0) && is_signed_int(types, value.ty)
}

fn is_signed_int(types: &Types, ty: Ty) -> bool {
    matches!(types.get(ty), Type::Int { signed: true, .. })
}

/// Width and sign of an integer or enum.
pub(crate) fn int_shape(types: &Types, ty: Ty) -> Option<(u8, bool)> {
    match *types.get(ty) {
        Type::Int { bytes, signed } | Type::Enum { bytes, signed, .. } => Some((bytes, signed)),
        _ => None,
    }
}

/// The integer type that holds the values of both.
pub(crate) fn promote_ints(a: (u8, bool), a_free: bool, b: (u8, bool), b_free: bool) -> (u8, bool) {
    let larger = a.0.max(b.0);
    if a.1 == b.1 {
        return (larger, a.1);
    }
    match (a_free, b_free) {
        (true, false) => return (larger, b.1),
        (false, true) => return (larger, a.1),
        _ => {}
    }
    let (signed, unsigned) = if a.1 { (a.0, b.0) } else { (b.0, a.0) };
    if signed > unsigned {
        (signed, true)
    } else {
        ((2 * larger).min(8), true)
    }
}

/// The type that holds values of both, if there is one.
pub(crate) fn promote(types: &mut Types, a: &Inferred, b: &Inferred) -> Option<Inferred> {
    if a == b {
        return Some(a.clone());
    }
    if let (Some(x), Some(y)) = (int_shape(types, a.ty), int_shape(types, b.ty)) {
        let (a_free, b_free) = (a.flex == Flex::Free, b.flex == Flex::Free);
        if a.ty == b.ty {
            return Some(Inferred::fixed(a.ty));
        }
        let (bytes, signed) = promote_ints(x, a_free, y, b_free);
        let flex = if a_free && b_free {
            Flex::Free
        } else {
            Flex::Fixed
        };
        return Some(Inferred {
            ty: Types::int(bytes, signed),
            flex,
        });
    }
    let joined = match (types.get(a.ty).clone(), types.get(b.ty).clone()) {
        (x, y) if x == y && !matches!(x, Type::Tuple(_) | Type::NamedTuple(_)) => {
            return Some(Inferred::fixed(a.ty));
        }
        (Type::Str { cap: x }, Type::Str { cap: y }) => Type::Str { cap: x.max(y) },
        (Type::Buf { cap: x }, Type::Buf { cap: y }) => Type::Buf { cap: x.max(y) },
        (Type::Inet { .. } | Type::InetAny, Type::Inet { .. } | Type::InetAny) => Type::InetAny,
        (
            Type::Stack { user, frames, mode },
            Type::Stack {
                user: other_user,
                frames: other_frames,
                mode: other_mode,
            },
        ) if user == other_user && mode == other_mode => Type::Stack {
            user,
            frames: frames.max(other_frames),
            mode,
        },
        (Type::Tuple(x), Type::Tuple(y)) if x.len() == y.len() => {
            let same: Vec<usize> = (0..x.len()).collect();
            let (items, flex) = promote_elements(types, (&x, &a.flex), (&y, &b.flex), &same)?;
            return Some(Inferred {
                ty: types.intern(Type::Tuple(items)),
                flex,
            });
        }
        (Type::NamedTuple(x), Type::NamedTuple(y)) => {
            // The order of the first one is kept.
            let order = same_names(&x, &y)?;
            let only_types = |items: &[(String, Ty)]| items.iter().map(|(_, ty)| *ty).collect();
            let (left, right): (Vec<Ty>, Vec<Ty>) = (only_types(&x), only_types(&y));
            let (items, flex) =
                promote_elements(types, (&left, &a.flex), (&right, &b.flex), &order)?;
            let names = x.into_iter().map(|(name, _)| name);
            return Some(Inferred {
                ty: types.intern(Type::NamedTuple(names.zip(items).collect())),
                flex,
            });
        }
        _ => return None,
    };
    Some(Inferred::fixed(types.intern(joined)))
}

/// For each element of a record its place in another one; nothing unless both have the same names.
pub(super) fn same_names(a: &[(String, Ty)], b: &[(String, Ty)]) -> Option<Vec<usize>> {
    if a.len() != b.len() {
        return None;
    }
    let place = |name: &str| b.iter().position(|(other, _)| other == name);
    a.iter().map(|(name, _)| place(name)).collect()
}

/// Joins the elements of two tuples; `order` has the place in the second for each of the first.
fn promote_elements(
    types: &mut Types,
    a: (&[Ty], &Flex),
    b: (&[Ty], &Flex),
    order: &[usize],
) -> Option<(Vec<Ty>, Flex)> {
    let element = |(items, flex): (&[Ty], &Flex), i: usize| {
        let flex = match flex {
            Flex::Tuple(all) => all.get(i).cloned().unwrap_or(Flex::Fixed),
            _ => Flex::Fixed,
        };
        items.get(i).map(|&ty| Inferred { ty, flex })
    };
    let mut items = Vec::new();
    let mut flexes = Vec::new();
    for (i, &other) in order.iter().enumerate() {
        let joined = promote(types, &element(a, i)?, &element(b, other)?)?;
        items.push(joined.ty);
        flexes.push(joined.flex);
    }
    Some((items, Flex::Tuple(flexes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_widen_as_the_manual_says() {
        // (a, is it a literal, b, is it a literal) -> result
        let rows = [
            ((1, false), false, (4, false), false, (4, false)),
            ((4, true), false, (2, true), false, (4, true)),
            ((1, true), true, (8, false), false, (8, false)),
            ((8, true), false, (4, false), false, (8, true)),
            ((4, true), false, (4, false), false, (8, true)),
            ((8, true), false, (8, false), false, (8, true)),
            ((1, true), false, (2, false), false, (4, true)),
        ];
        for (a, a_free, b, b_free, expected) in rows {
            assert_eq!(promote_ints(a, a_free, b, b_free), expected, "{a:?} {b:?}");
            assert_eq!(promote_ints(b, b_free, a, a_free), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn strings_take_the_larger_room_and_numbers_never_become_strings() {
        let mut types = Types::new();
        let short = Inferred::fixed(types.intern(Type::Str { cap: 4 }));
        let long = Inferred::fixed(types.intern(Type::Str { cap: 16 }));
        assert_eq!(promote(&mut types, &short, &long), Some(long.clone()));
        assert_eq!(
            promote(&mut types, &short, &Inferred::fixed(Types::U8)),
            None
        );
    }
}
