//! Numbers of histogram buckets.
//!
//! In: a 64-bit value. Out: its bucket as [`crate::artifact::hist_buckets`] and `lhist_buckets` define it.

use super::Lower;
use crate::ir::{BinOp, Cond, Value};

impl Lower<'_> {
    /// The bucket of `hist(value, bits)`.
    pub(super) fn log_bucket(&mut self, value: Value, bits: u32) -> Value {
        let bucket = self.b.declare_var();
        let (small, log, not_negative) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        let join = self.b.create_block();
        // Negative numbers are in bucket 0.
        let zero = self.b.iconst(0);
        self.b.write_var(bucket, zero);
        let negative = self.b.compare_imm(Cond::SLt, value, 0);
        self.b.branch(negative, join, not_negative);
        self.arm(not_negative, |lower| {
            let is_small = lower.b.compare_imm(Cond::ULt, value, 1 << bits);
            lower.b.branch(is_small, small, log);
        });
        self.arm(small, |lower| {
            let number = lower.b.binary_imm(BinOp::Add, value, 1);
            lower.b.write_var(bucket, number);
            lower.b.jump(join);
        });
        self.arm(log, |lower| {
            let number = lower.log_number(value, bits);
            lower.b.write_var(bucket, number);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(bucket)
    }

    /// `((l + 1) << bits) + ((value >> l) & (2^bits - 1)) + 1` with `l = floor(log2 value) - bits`, for `value >= 2^bits`.
    fn log_number(&mut self, value: Value, bits: u32) -> Value {
        let log = self.floor_log2(value);
        let above = self.b.binary_imm(BinOp::Sub, log, i64::from(bits) - 1);
        let group = match bits {
            0 => above,
            _ => self.b.binary_imm(BinOp::Shl, above, i64::from(bits)),
        };
        let first = self.b.binary_imm(BinOp::Add, group, 1);
        if bits == 0 {
            return first;
        }
        let level = self.b.binary_imm(BinOp::Sub, log, i64::from(bits));
        let leading = self.b.binary(BinOp::LShr, value, level);
        let within = self.b.binary_imm(BinOp::And, leading, (1 << bits) - 1);
        self.b.binary(BinOp::Add, first, within)
    }

    /// Binary search for the highest bit of a number above 0: six steps.
    fn floor_log2(&mut self, value: Value) -> Value {
        let (rest, log) = (self.b.declare_var(), self.b.declare_var());
        self.b.write_var(rest, value);
        let zero = self.b.iconst(0);
        self.b.write_var(log, zero);
        for step in [32, 16, 8, 4, 2, 1] {
            let before = self.b.read_var(rest);
            let above = self.b.binary_imm(BinOp::LShr, before, step);
            let (high, join) = (self.b.create_block(), self.b.create_block());
            self.b.branch(above, high, join);
            self.arm(high, |lower| {
                lower.b.write_var(rest, above);
                let so_far = lower.b.read_var(log);
                let log_here = lower.b.binary_imm(BinOp::Add, so_far, step);
                lower.b.write_var(log, log_here);
                lower.b.jump(join);
            });
            self.b.seal_block(join);
            self.b.switch_to(join);
        }
        self.b.read_var(log)
    }

    /// The bucket of `lhist(value, min, max, step)`: 0 below `min`, the last one from `max` on.
    pub(super) fn linear_bucket(&mut self, value: Value, min: i64, max: i64, step: i64) -> Value {
        let bucket = self.b.declare_var();
        let (not_below, inside, join) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        let zero = self.b.iconst(0);
        self.b.write_var(bucket, zero);
        let below = self.b.compare_imm(Cond::SLt, value, min);
        self.b.branch(below, join, not_below);
        self.arm(not_below, |lower| {
            let last = crate::artifact::lhist_buckets(min, max, step) - 1;
            let last = lower.b.iconst(i64::from(last));
            lower.b.write_var(bucket, last);
            let above = lower.b.compare_imm(Cond::SGe, value, max);
            lower.b.branch(above, join, inside);
        });
        self.arm(inside, |lower| {
            let from_min = lower.b.binary_imm(BinOp::Sub, value, min);
            let n = match step {
                1 => from_min,
                _ => lower.b.binary_imm(BinOp::UDiv, from_min, step),
            };
            let number = lower.b.binary_imm(BinOp::Add, n, 1);
            lower.b.write_var(bucket, number);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(bucket)
    }
}
