//! Arithmetic on constants.
//!
//! In: operator and literals. Out: the literal, or why there is none. Numbers are computed without limit and must fit 64 bits: two
//! that are not negative as unsigned ones, else as signed ones. Only `<<` drops bits.

use nettrace_grammar::Span;
use nettrace_grammar::ast::BinaryOp;

use super::infer::int_shape;
use crate::ir::BinOp;
use crate::typed::{Expr, ExprKind};
use crate::types::{Ty, Type, Types};

/// Why a constant expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The result does not fit 64 bits.
    Overflow,
    /// Division or modulo by zero.
    DivideByZero,
    /// A shift by less than 0 or more than 63.
    ShiftCount,
}

impl Fault {
    /// Half a sentence for the error.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Fault::Overflow => "the result does not fit 64 bits",
            Fault::DivideByZero => "it divides by zero",
            Fault::ShiftCount => "a shift must be by 0 to 63 bits",
        }
    }
}

/// The type of a literal: the smallest signed one that holds it, `uint64` for the rest.
pub(crate) fn literal_type(value: i128) -> Ty {
    [1u8, 2, 4, 8]
        .into_iter()
        .find(|bytes| {
            let limit = 1i128 << (8 * u32::from(*bytes) - 1);
            (-limit..limit).contains(&value)
        })
        .map_or(Types::U64, |bytes| Types::int(bytes, true))
}

/// The literal of a number between -2^63 and 2^64 - 1.
pub(crate) fn literal(value: i128, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Int(value as u64 as i64),
        ty: literal_type(value),
        span,
    }
}

/// The value of a literal number.
pub(crate) fn literal_value(e: &Expr, types: &Types) -> Option<i128> {
    match (&e.kind, types.get(e.ty)) {
        (ExprKind::Int(n), Type::Int { signed: true, .. }) => Some(i128::from(*n)),
        (ExprKind::Int(n), Type::Int { signed: false, .. }) => Some(i128::from(*n as u64)),
        _ => None,
    }
}

/// Arithmetic on two literals; comparison and logic are not here.
pub(crate) fn arithmetic(op: BinaryOp, a: i128, b: i128) -> Result<i128, Fault> {
    let signed = a < 0 || b < 0;
    let range = if signed {
        i128::from(i64::MIN)..=i128::from(i64::MAX)
    } else {
        // A difference may be negative.
        i128::from(i64::MIN)..=i128::from(u64::MAX)
    };
    if !range.contains(&a) || !range.contains(&b) {
        return Err(Fault::Overflow);
    }
    let shift = || {
        u32::try_from(b)
            .ok()
            .filter(|&n| n < 64)
            .ok_or(Fault::ShiftCount)
    };
    let divisor = || {
        if b == 0 {
            Err(Fault::DivideByZero)
        } else {
            Ok(b)
        }
    };
    let result = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a.checked_mul(b).ok_or(Fault::Overflow)?,
        BinaryOp::Div => a / divisor()?,
        BinaryOp::Mod => a % divisor()?,
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        BinaryOp::BitXor => a ^ b,
        BinaryOp::Shl => {
            let bits = (a as u64) << shift()?;
            if signed {
                i128::from(bits as i64)
            } else {
                i128::from(bits)
            }
        }
        BinaryOp::Shr => a >> shift()?,
        _ => return Err(Fault::Overflow),
    };
    match range.contains(&result) {
        true => Ok(result),
        false => Err(Fault::Overflow),
    }
}

/// Whether a comparison of two literals holds; `None` for other operators.
pub(crate) fn compare<T: Ord>(op: BinaryOp, a: T, b: T) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => a == b,
        BinaryOp::Ne => a != b,
        BinaryOp::Lt => a < b,
        BinaryOp::Gt => a > b,
        BinaryOp::Le => a <= b,
        BinaryOp::Ge => a >= b,
        _ => return None,
    })
}

/// The value of an expression that is known while compiling, casts and arithmetic included; wraps like the program would.
pub(crate) fn constant(e: &Expr, types: &Types) -> Option<i64> {
    match &e.kind {
        ExprKind::Int(n) => Some(*n),
        ExprKind::Cast(inner) => {
            let n = constant(inner, types)?;
            match types.get(e.ty) {
                Type::Bool => Some(i64::from(n != 0)),
                Type::Pointer { .. } => Some(n),
                _ => int_shape(types, e.ty).map(|(bytes, signed)| extend(n, bytes, signed)),
            }
        }
        ExprKind::Binary(op, a, b) => binary(*op, constant(a, types)?, constant(b, types)?),
        _ => None,
    }
}

/// The low bytes of a number, extended by sign.
pub(crate) fn extend(n: i64, bytes: u8, signed: bool) -> i64 {
    match (bytes, signed) {
        (1, true) => i64::from(n as i8),
        (1, false) => i64::from(n as u8),
        (2, true) => i64::from(n as i16),
        (2, false) => i64::from(n as u16),
        (4, true) => i64::from(n as i32),
        (4, false) => i64::from(n as u32),
        _ => n,
    }
}

fn binary(op: BinOp, a: i64, b: i64) -> Option<i64> {
    Some(match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => a.wrapping_shl(b as u32),
        BinOp::LShr => (a as u64).wrapping_shr(b as u32) as i64,
        BinOp::AShr => a.wrapping_shr(b as u32),
        BinOp::UDiv | BinOp::SDiv | BinOp::UMod | BinOp::SMod => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_truncates_and_shifts_keep_the_sign() {
        assert_eq!(arithmetic(BinaryOp::Div, -7, 2), Ok(-3));
        assert_eq!(arithmetic(BinaryOp::Mod, -7, 2), Ok(-1));
        assert_eq!(arithmetic(BinaryOp::Shr, -8, 1), Ok(-4));
        assert_eq!(arithmetic(BinaryOp::Shl, 1, 63), Ok(1 << 63));
        assert_eq!(arithmetic(BinaryOp::Shl, 3, 63), Ok(1 << 63));
        assert_eq!(arithmetic(BinaryOp::Sub, 1, 2), Ok(-1));
    }

    #[test]
    fn what_has_no_value_says_why() {
        let max = i128::from(u64::MAX);
        assert_eq!(arithmetic(BinaryOp::Add, max, 1), Err(Fault::Overflow));
        assert_eq!(arithmetic(BinaryOp::Mul, max, max), Err(Fault::Overflow));
        assert_eq!(arithmetic(BinaryOp::Add, max, -1), Err(Fault::Overflow));
        assert_eq!(arithmetic(BinaryOp::Div, 1, 0), Err(Fault::DivideByZero));
        assert_eq!(arithmetic(BinaryOp::Shl, 1, 64), Err(Fault::ShiftCount));
        assert_eq!(arithmetic(BinaryOp::Shr, 1, -1), Err(Fault::ShiftCount));
    }

    #[test]
    fn a_literal_has_the_smallest_signed_type() {
        let rows = [
            (0, Types::I8),
            (127, Types::I8),
            (128, Types::I16),
            (-129, Types::I16),
            (1 << 31, Types::I64),
        ];
        for (value, ty) in rows {
            assert_eq!(literal_type(value), ty, "{value}");
        }
        assert_eq!(literal_type(i128::from(u64::MAX)), Types::U64);
    }
}
