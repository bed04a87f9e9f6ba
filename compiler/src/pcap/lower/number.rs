//! Arithmetic of filters: unsigned 32-bit numbers, zero-extended to the IR's 64 bits.

use super::super::ast::ArithOp;
use super::super::plan::test::Number;
use super::load::Index;
use super::{Known, Lower};
use crate::ir::{BinOp, Cond, Mem, Value};

impl Lower<'_> {
    /// A number: 32 bits, zero-extended.
    pub(super) fn number(&mut self, number: &Number, known: &mut Known) -> Value {
        match number {
            Number::Const(value) => self.b.iconst((*value).into()),
            Number::Length => {
                let length = self.packet.length(self.b);
                self.b.extend(Mem::U32, length)
            }
            Number::Load(place, index, size) => {
                let index = match **index {
                    Number::Const(value) => Index::Const(value),
                    ref number => Index::Value(self.number(number, known)),
                };
                self.field(*place, index, *size, known)
            }
            Number::Neg(inner) => {
                let inner = self.number(inner, known);
                let zero = self.b.iconst(0);
                let negative = self.b.binary(BinOp::Sub, zero, inner);
                self.b.extend(Mem::U32, negative)
            }
            Number::Binary(op, left, right) => {
                let left = self.number(left, known);
                let constant = match **right {
                    Number::Const(value) => Some(value),
                    _ => None,
                };
                let right = self.number(right, known);
                self.binary(*op, left, right, constant)
            }
        }
    }

    fn binary(&mut self, op: ArithOp, left: Value, right: Value, constant: Option<u32>) -> Value {
        let op = match op {
            ArithOp::Add => BinOp::Add,
            ArithOp::Sub => BinOp::Sub,
            ArithOp::Mul => BinOp::Mul,
            ArithOp::And => BinOp::And,
            ArithOp::Or => BinOp::Or,
            ArithOp::Xor => BinOp::Xor,
            ArithOp::Div | ArithOp::Mod => {
                if constant.is_none_or(|n| n == 0) {
                    // Division by zero fails the filter.
                    let zero = self.b.compare_imm(Cond::Eq, right, 0);
                    let reject = self.reject;
                    self.otherwise(zero, reject);
                }
                match op {
                    ArithOp::Div => BinOp::UDiv,
                    _ => BinOp::UMod,
                }
            }
            ArithOp::Shl | ArithOp::Shr => {
                let op = match op {
                    ArithOp::Shl => BinOp::Shl,
                    _ => BinOp::LShr,
                };
                return match constant {
                    Some(0..=31) => self.shift(op, left, right),
                    _ => self.any_shift(op, left, right),
                };
            }
        };
        let value = self.b.binary(op, left, right);
        match op {
            BinOp::Add | BinOp::Sub | BinOp::Mul => self.b.extend(Mem::U32, value),
            _ => value,
        }
    }

    /// By less than 64 bits.
    fn shift(&mut self, op: BinOp, left: Value, right: Value) -> Value {
        let value = self.b.binary(op, left, right);
        self.b.extend(Mem::U32, value)
    }

    /// By 32 bits and more nothing is left.
    fn any_shift(&mut self, op: BinOp, left: Value, right: Value) -> Value {
        let (small, done) = (self.b.create_block(), self.b.create_block());
        let result = self.b.add_param(done);
        let in_range = self.b.compare_imm(Cond::ULt, right, 32);
        let zero = self.b.iconst(0);
        self.b.branch_with(in_range, small, &[], done, &[zero]);
        self.b.switch_to(small);
        let shifted = self.shift(op, left, right);
        self.b.jump_with(done, &[shifted]);
        for block in [small, done] {
            self.b.seal_block(block);
        }
        self.b.switch_to(done);
        result
    }
}
