//! How many low bits of a value can be other than zero.
//!
//! In: a value and the definitions around it. Out: an upper bound, 64 when nothing is known. Looks a few definitions deep.

use super::super::Defs;
use crate::ir::{BinOp, Op, Value};

/// The bound for a value.
pub(crate) fn width(defs: &Defs, value: Value) -> u32 {
    look(defs, value, 6)
}

fn look(defs: &Defs, value: Value, depth: u32) -> u32 {
    let Some(op) = defs.get(value).filter(|_| depth > 0) else {
        return 64;
    };
    let of = |v: Value| look(defs, v, depth - 1);
    match op {
        Op::Const(n) => 64 - n.leading_zeros(),
        Op::Compare(..) => 1,
        Op::Extend(mem, a) | Op::Load { mem, ptr: a, .. } | Op::KernelLoad { mem, base: a, .. }
            if mem.signed() =>
        {
            match op {
                // An extension of what is short and not negative changes nothing.
                Op::Extend(..) if of(*a) < 8 * mem.bytes() => of(*a),
                _ => 64,
            }
        }
        Op::Extend(mem, a) => of(*a).min(8 * mem.bytes()),
        Op::Load { mem, .. } | Op::KernelLoad { mem, .. } => 8 * mem.bytes(),
        Op::SwapBytes(bytes, _) => 8 * u32::from(*bytes),
        Op::Binary(op, a, b) => {
            let amount = defs.constant(*b).map(|n| (n & 63) as u32);
            match (op, amount) {
                (BinOp::And, _) => of(*a).min(of(*b)),
                (BinOp::Or | BinOp::Xor, _) => of(*a).max(of(*b)),
                (BinOp::Add, _) => (of(*a).max(of(*b)) + 1).min(64),
                (BinOp::Mul, _) => (of(*a) + of(*b)).min(64),
                (BinOp::Shl, Some(n)) => (of(*a) + n).min(64),
                (BinOp::LShr, Some(n)) => of(*a).saturating_sub(n),
                (BinOp::LShr | BinOp::UDiv, _) => of(*a),
                (BinOp::UMod, _) if defs.constant(*b).is_some_and(|n| n != 0) => of(*a).min(of(*b)),
                (BinOp::UMod, _) => of(*a),
                _ => 64,
            }
        }
        _ => 64,
    }
}
