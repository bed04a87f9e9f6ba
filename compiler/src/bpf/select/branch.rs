//! Comparisons and branches.

use super::super::insn::Jump;
use super::*;
use crate::ir::{Cond, Target};

/// A comparison as the machine has it.
struct Test {
    cond: Jump,
    wide: bool,
    lhs: VReg,
    rhs: Operand,
}

impl Select<'_> {
    pub(super) fn terminator(&mut self, position: usize, term: &Terminator) -> MTerm {
        match term {
            Terminator::Jump(target) => self.jump(position, target),
            Terminator::Return(value) => {
                self.copy_to(VReg::RESULT, *value);
                MTerm::Exit
            }
            Terminator::Branch {
                cond,
                then,
                otherwise,
            } => self.branch(position, *cond, then, otherwise),
        }
    }

    fn jump(&mut self, position: usize, target: &Target) -> MTerm {
        let moves = self.edge_moves(position, target);
        self.parallel_moves(&moves);
        MTerm::Jump(self.block_id(target.block))
    }

    fn branch(&mut self, position: usize, cond: Value, then: &Target, otherwise: &Target) -> MTerm {
        if let Some(n) = self.constant(cond) {
            return self.jump(position, if n != 0 { then } else { otherwise });
        }
        if then == otherwise {
            return self.jump(position, then);
        }
        let both = then.block == otherwise.block;
        let then = self.edge(position, then, both);
        let otherwise = self.edge(position, otherwise, both);
        let (cond, negated) = self.peel(cond);
        let (test, inverted) = self.branch_test(cond);
        let Test {
            cond,
            wide,
            lhs,
            rhs,
        } = test;
        let (then, otherwise) = if negated != inverted {
            (otherwise, then)
        } else {
            (then, otherwise)
        };
        MTerm::Branch {
            cond,
            wide,
            lhs,
            rhs,
            then,
            otherwise,
        }
    }

    /// Follows `x == 0` and `x != 0` where `x` is a truth value itself; tells whether the sense has turned.
    fn peel(&self, mut cond: Value) -> (Value, bool) {
        let mut negated = false;
        while let Some(Op::Compare(op @ (Cond::Eq | Cond::Ne), a, b)) = self.op(cond)
            && self.constant(*b) == Some(0)
            && matches!(self.op(*a), Some(Op::Compare(..)))
        {
            negated ^= *op == Cond::Eq;
            cond = *a;
        }
        (cond, negated)
    }

    /// The test that jumps when the value is not 0, or, if the flag says so, when it is 0.
    fn branch_test(&mut self, cond: Value) -> (Test, bool) {
        let bit = match self.op(cond) {
            Some(&Op::Compare(op @ (Cond::Eq | Cond::Ne), a, b)) => {
                let wanted = self.constant(b);
                wanted.and_then(|wanted| self.bit_test(op == Cond::Eq, a, wanted))
            }
            Some(Op::Compare(..)) => None,
            _ => self.bit_test(false, cond, 0),
        };
        if let Some(bit) = bit {
            return bit;
        }
        let test = match self.op(cond) {
            Some(&Op::Compare(op, a, b)) => self.test(op, a, b),
            _ => Test {
                cond: Jump::Ne,
                wide: true,
                lhs: self.reg(cond),
                rhs: Operand::Imm(0),
            },
        };
        (test, false)
    }

    /// `x & mask`, and a bit-field's `(x >> n) & 1`, that are only compared need no register: tells how to test whether they
    /// are `wanted` (`equal`) or not, as [`Select::branch_test`] does.
    fn bit_test(&mut self, equal: bool, value: Value, wanted: i64) -> Option<(Test, bool)> {
        let &Op::Binary(BinOp::And, a, b) = self.op(value)? else {
            return None;
        };
        let mask = i64::from(self.small(b)?);
        let is_bit = mask > 0 && mask & (mask - 1) == 0;
        if self.uses[value.index()] > 1 || wanted != 0 && !(is_bit && wanted == mask) {
            return None;
        }
        let (a, mask) = match self.op(a) {
            Some(&Op::Binary(BinOp::LShr, x, by)) if self.uses[a.index()] == 1 => {
                match self.constant(by) {
                    Some(by @ 0..=30) if (0..=i64::from(i32::MAX) >> by).contains(&mask) => {
                        (x, mask << by)
                    }
                    _ => (a, mask),
                }
            }
            _ => (a, mask),
        };
        let test = Test {
            cond: Jump::Set,
            wide: true,
            lhs: self.reg(a),
            rhs: Operand::Imm(i32::try_from(mask).ok()?),
        };
        // Jumps when a bit is set: that is when the value is not 0.
        Some((test, equal == (wanted == 0)))
    }

    fn test(&mut self, cond: Cond, a: Value, b: Value) -> Test {
        let cond = machine(cond);
        if self.constant(a).is_some() && self.constant(b).is_none() {
            return self.test_right(cond.swapped(), b, a);
        }
        self.test_right(cond, a, b)
    }

    /// The constant, if there is one, is on the right.
    fn test_right(&mut self, cond: Jump, a: Value, b: Value) -> Test {
        let signed = matches!(cond, Jump::Sgt | Jump::Sge | Jump::Slt | Jump::Sle);
        // A constant above i32::MAX fits a 32-bit comparison when the other side has no upper bits.
        if !signed
            && self.width(a) <= 32
            && self.small(b).is_none()
            && let Some(n) = self.constant(b)
            && let Ok(n) = u32::try_from(n)
        {
            return Test {
                cond,
                wide: false,
                lhs: self.reg(a),
                rhs: Operand::Imm(n as i32),
            };
        }
        Test {
            cond,
            wide: true,
            lhs: self.reg(a),
            rhs: self.operand(b),
        }
    }

    /// A comparison whose value is wanted.
    pub(super) fn compare(&mut self, cond: Cond, dst: VReg, a: Value, b: Value) {
        if self.constant(b) == Some(0) {
            match cond {
                Cond::Ne if self.width(a) == 1 => return self.copy_to(dst, a),
                Cond::Eq if self.width(a) == 1 => {
                    self.copy_to(dst, a);
                    return self.alu(Alu::Xor, dst, Operand::Imm(1));
                }
                Cond::SLt => {
                    self.copy_to(dst, a);
                    return self.alu(Alu::Rsh, dst, Operand::Imm(63));
                }
                _ => {}
            }
        }
        let Test {
            cond,
            wide,
            lhs,
            rhs,
        } = self.test(cond, a, b);
        self.emit(MOp::SetIf {
            dst,
            cond,
            wide,
            lhs,
            rhs,
        });
    }
}

fn machine(cond: Cond) -> Jump {
    match cond {
        Cond::Eq => Jump::Eq,
        Cond::Ne => Jump::Ne,
        Cond::ULt => Jump::Lt,
        Cond::ULe => Jump::Le,
        Cond::UGt => Jump::Gt,
        Cond::UGe => Jump::Ge,
        Cond::SLt => Jump::Slt,
        Cond::SLe => Jump::Sle,
        Cond::SGt => Jump::Sgt,
        Cond::SGe => Jump::Sge,
    }
}
