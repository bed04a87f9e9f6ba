//! One step of simplification of one instruction.
//!
//! In: an instruction and the definitions of its operands. Out: something simpler, or nothing.

use super::super::Defs;
use super::bits::width;
use super::{Simpler, inverted, swapped};
use crate::ir::{BinOp, Cond, Mem, Op, Value, interp};

/// The step.
pub(crate) fn simpler(defs: &Defs, op: &Op) -> Option<Simpler> {
    match op {
        Op::Binary(op, a, b) => binary(defs, *op, *a, *b),
        Op::Compare(cond, a, b) => compare(defs, *cond, *a, *b),
        Op::Extend(mem, a) => extend(defs, *mem, *a),
        Op::SwapBytes(bytes, a) => swap(defs, *bytes, *a),
        _ => None,
    }
}

fn constant(n: i64) -> Option<Simpler> {
    Some(Simpler::Op(Op::Const(n)))
}

fn binary(defs: &Defs, op: BinOp, a: Value, b: Value) -> Option<Simpler> {
    match (defs.constant(a), defs.constant(b)) {
        (Some(x), Some(y)) => constant(interp::binary(op, x as u64, y as u64) as i64),
        (Some(_), None) if commutes(op) => Some(Simpler::Op(Op::Binary(op, b, a))),
        (None, Some(n)) => with_constant(defs, op, a, n),
        (Some(0), None)
            if matches!(
                op,
                BinOp::Shl | BinOp::LShr | BinOp::AShr | BinOp::UDiv | BinOp::UMod
            ) =>
        {
            constant(0)
        }
        _ if a == b => match op {
            BinOp::Sub | BinOp::Xor => constant(0),
            BinOp::And | BinOp::Or => Some(Simpler::Same(a)),
            _ => None,
        },
        _ if op == BinOp::Or => swapped_halves(defs, a, b).or_else(|| swapped_halves(defs, b, a)),
        _ => None,
    }
}

fn commutes(op: BinOp) -> bool {
    matches!(
        op,
        BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor
    )
}

fn with_constant(defs: &Defs, op: BinOp, a: Value, n: i64) -> Option<Simpler> {
    match (op, n) {
        (
            BinOp::Add
            | BinOp::Sub
            | BinOp::Or
            | BinOp::Xor
            | BinOp::Shl
            | BinOp::LShr
            | BinOp::AShr,
            0,
        )
        | (BinOp::Mul | BinOp::UDiv | BinOp::SDiv, 1)
        | (BinOp::And, -1) => return Some(Simpler::Same(a)),
        (BinOp::Mul | BinOp::And, 0) | (BinOp::UMod | BinOp::SMod, 1) => return constant(0),
        (BinOp::Or, -1) => return constant(-1),
        // One form for one meaning helps what looks for patterns.
        (BinOp::Sub, _) => return Some(Simpler::WithConst(BinOp::Add, a, n.wrapping_neg())),
        (BinOp::Mul, _) if power_of_two(n) => {
            return Some(Simpler::WithConst(
                BinOp::Shl,
                a,
                i64::from(n.trailing_zeros()),
            ));
        }
        (BinOp::UDiv, _) if power_of_two(n) => {
            return Some(Simpler::WithConst(
                BinOp::LShr,
                a,
                i64::from(n.trailing_zeros()),
            ));
        }
        (BinOp::UMod, _) if power_of_two(n) => {
            return Some(Simpler::WithConst(BinOp::And, a, n.wrapping_sub(1)));
        }
        (BinOp::SDiv, 2..) if width(defs, a) < 64 => {
            return Some(Simpler::WithConst(BinOp::UDiv, a, n));
        }
        (BinOp::SMod, 2..) if width(defs, a) < 64 => {
            return Some(Simpler::WithConst(BinOp::UMod, a, n));
        }
        (BinOp::AShr, _) if width(defs, a) < 64 => {
            return Some(Simpler::WithConst(BinOp::LShr, a, n));
        }
        (BinOp::LShr, _) if u64::from(width(defs, a)) <= (n & 63) as u64 => return constant(0),
        (BinOp::And, _) if covers(n, width(defs, a)) => return Some(Simpler::Same(a)),
        _ => {}
    }
    // Two steps with constants in a row.
    if let (BinOp::Add, Some(&Op::SlotAddr(slot, off))) = (op, defs.get(a)) {
        let off = u32::try_from(i64::from(off) + n).ok()?;
        return Some(Simpler::Op(Op::SlotAddr(slot, off)));
    }
    let Some(Op::Binary(inner, x, m)) = defs.get(a) else {
        return None;
    };
    let m = defs.constant(*m)?;
    let both = match (*inner, op) {
        (BinOp::Add, BinOp::Add) => m.wrapping_add(n),
        (BinOp::And, BinOp::And) => m & n,
        (BinOp::Or, BinOp::Or) => m | n,
        (BinOp::Xor, BinOp::Xor) => m ^ n,
        (BinOp::Mul, BinOp::Mul) => m.wrapping_mul(n),
        (BinOp::Shl, BinOp::Shl) | (BinOp::LShr, BinOp::LShr) if (m & 63) + (n & 63) < 64 => {
            (m & 63) + (n & 63)
        }
        _ => return None,
    };
    Some(Simpler::WithConst(op, *x, both))
}

fn power_of_two(n: i64) -> bool {
    (n as u64).is_power_of_two() && n != 1
}

/// Whether a mask keeps all of the low `width` bits.
fn covers(mask: i64, width: u32) -> bool {
    width < 64 && (mask as u64).trailing_ones() >= width
}

/// `x >> 8 | (x << 8) & 0xff00`: the way in which scripts turn ports.
fn swapped_halves(defs: &Defs, down: Value, up: Value) -> Option<Simpler> {
    let Some(Op::Binary(BinOp::LShr, x, eight)) = defs.get(down) else {
        return None;
    };
    if defs.constant(*eight) != Some(8) || width(defs, *x) > 16 {
        return None;
    }
    let shifted = match defs.get(up)? {
        Op::Binary(BinOp::And, shifted, mask) if defs.constant(*mask) == Some(0xff00) => shifted,
        Op::Extend(Mem::U16, shifted) => shifted,
        _ => return None,
    };
    match defs.get(*shifted) {
        Some(Op::Binary(BinOp::Shl, y, eight)) if y == x && defs.constant(*eight) == Some(8) => {
            Some(Simpler::Op(Op::SwapBytes(2, *x)))
        }
        _ => None,
    }
}

fn compare(defs: &Defs, cond: Cond, a: Value, b: Value) -> Option<Simpler> {
    match (defs.constant(a), defs.constant(b)) {
        (Some(x), Some(y)) => constant(i64::from(interp::compare(cond, x as u64, y as u64))),
        (Some(_), None) => Some(Simpler::Op(Op::Compare(swapped(cond), b, a))),
        (None, Some(n)) => compare_constant(defs, cond, a, n),
        _ if a == b => constant(i64::from(interp::compare(cond, 0, 0))),
        _ => None,
    }
}

fn compare_constant(defs: &Defs, cond: Cond, a: Value, n: i64) -> Option<Simpler> {
    let bits = width(defs, a);
    let equality = matches!(cond, Cond::Eq | Cond::Ne);
    match (defs.get(a), cond, n) {
        // A comparison of a comparison.
        (Some(Op::Compare(inner, x, y)), Cond::Ne, 0) => {
            return Some(Simpler::Op(Op::Compare(*inner, *x, *y)));
        }
        (Some(Op::Compare(inner, x, y)), Cond::Eq, 0) => {
            return Some(Simpler::Op(Op::Compare(inverted(*inner), *x, *y)));
        }
        (_, Cond::ULt, 0) => return constant(0),
        (_, Cond::UGe, 0) => return constant(1),
        (_, Cond::ULt, 1) => return Some(Simpler::CompareConst(Cond::Eq, a, 0)),
        (_, Cond::UGt, 0) => return Some(Simpler::CompareConst(Cond::Ne, a, 0)),
        // The constant is turned round once rather than the value each time.
        (Some(Op::SwapBytes(bytes, x)), ..)
            if equality
                && width(defs, *x) <= 8 * u32::from(*bytes)
                && n as u64 >> (8 * (*bytes).min(7)) == 0 =>
        {
            return Some(Simpler::CompareConst(
                cond,
                *x,
                interp::swap_bytes(*bytes, n as u64) as i64,
            ));
        }
        _ => {}
    }
    // What the value cannot be.
    let beyond = bits < 63 && !(0..1i64 << bits).contains(&n);
    match cond {
        Cond::Eq if beyond => constant(0),
        Cond::Ne if beyond => constant(1),
        _ => None,
    }
}

fn extend(defs: &Defs, mem: Mem, a: Value) -> Option<Simpler> {
    if let Some(n) = defs.constant(a) {
        return constant(interp::extend(mem, n as u64) as i64);
    }
    let bits = 8 * mem.bytes();
    let fits = match mem.signed() {
        true => width(defs, a) < bits,
        false => width(defs, a) <= bits,
    };
    if fits {
        return Some(Simpler::Same(a));
    }
    match defs.get(a)? {
        Op::Load { mem: loaded, .. } | Op::KernelLoad { mem: loaded, .. } if *loaded == mem => {
            Some(Simpler::Same(a))
        }
        Op::Extend(inner, _) if *inner == mem => Some(Simpler::Same(a)),
        // Only the low bits count, whatever happened above them.
        Op::Extend(inner, x) if inner.bytes() >= mem.bytes() => {
            Some(Simpler::Op(Op::Extend(mem, *x)))
        }
        Op::Binary(BinOp::And, x, mask)
            if defs.constant(*mask).is_some_and(|mask| covers(mask, bits)) =>
        {
            Some(Simpler::Op(Op::Extend(mem, *x)))
        }
        _ => None,
    }
}

fn swap(defs: &Defs, bytes: u8, a: Value) -> Option<Simpler> {
    if let Some(n) = defs.constant(a) {
        return constant(interp::swap_bytes(bytes, n as u64) as i64);
    }
    match defs.get(a)? {
        Op::SwapBytes(inner, x) if *inner == bytes && width(defs, *x) <= 8 * u32::from(bytes) => {
            Some(Simpler::Same(*x))
        }
        Op::Extend(mem, x) if mem.bytes() >= u32::from(bytes) => {
            Some(Simpler::Op(Op::SwapBytes(bytes, *x)))
        }
        _ => None,
    }
}
