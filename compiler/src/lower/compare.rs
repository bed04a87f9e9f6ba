//! Equality of values in memory.
//!
//! In: two places or string constants of compatible types. Out: branches. Compared word by word; strings end at the first NUL, and
//! because values of the language have zeros behind it, whole words can be compared there too. A constant is compared with
//! immediates and its NUL, so no more is read of the other side than the constant is long.

use super::place::word;
use super::{Base, Fill, Lower, Place};
use crate::builtins::Lowering;
use crate::ir::{BinOp, BlockId, Cond, Mem, Value};
use crate::typed::{Expr, ExprKind};
use crate::types::Type;

/// Up to so many bytes are compared without a loop.
const UNROLL: u32 = 128;

impl Lower<'_> {
    /// 1 when the comparison holds, else 0.
    pub(super) fn compare_memory(&mut self, equal: bool, a: &Expr, b: &Expr) -> Value {
        let result = self.b.declare_var();
        let (same, join) = (self.b.create_block(), self.b.create_block());
        let differ = self.b.iconst(i64::from(!equal));
        self.b.write_var(result, differ);
        self.branch_equal(a, b, same, join);
        self.arm(same, |lower| {
            let value = lower.b.iconst(i64::from(equal));
            lower.b.write_var(result, value);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// Goes to `same` when two values are equal, else to `differ`.
    pub(super) fn branch_equal(&mut self, a: &Expr, b: &Expr, same: BlockId, differ: BlockId) {
        match (&a.kind, &b.kind) {
            (ExprKind::Str(a), ExprKind::Str(b)) => {
                self.b.jump(if a == b { same } else { differ });
            }
            (ExprKind::Str(text), _) => self.branch_equal_text(b, text, same, differ),
            (_, ExprKind::Str(text)) => self.branch_equal_text(a, text, same, differ),
            _ => {
                let size = self.size(a.ty).min(self.size(b.ty));
                let a = self.comparable(a);
                let b = self.comparable(b);
                self.branch_equal_places(a, b, size, same, differ);
            }
        }
    }

    fn branch_equal_text(&mut self, value: &Expr, text: &[u8], same: BlockId, differ: BlockId) {
        let mut wanted = text.to_vec();
        wanted.push(0);
        let size = self.size(value.ty);
        if wanted.len() > size as usize {
            // It does not fit beside its NUL, so no value of that type is equal.
            if !matches!(value.kind, ExprKind::Call(_)) {
                self.b.jump(differ);
                return;
            }
            wanted.truncate(size as usize);
        }
        let needed = wanted.len() as u32;
        let place = self.prefix(value, needed);
        let mut at = 0;
        while at < needed {
            let piece = place.at(at, 0);
            let width = word(piece.alignment(), needed - at).min(4);
            let bytes = wanted.iter().skip(at as usize).take(width as usize);
            let expected = bytes.rev().fold(0, |n, byte| n << 8 | i64::from(*byte));
            let found = self.load(piece, Mem::of(width, false).unwrap_or(Mem::U8));
            let equal = self.b.compare_imm(Cond::Eq, found, expected);
            at += width;
            self.continue_if(equal, at < needed, same, differ);
        }
    }

    /// The first bytes of a string.
    fn prefix(&mut self, value: &Expr, needed: u32) -> Place {
        let size = self.size(value.ty);
        let produced = match &value.kind {
            ExprKind::Call(call) => matches!(call.builtin.lower, Lowering::Into(_)),
            _ => false,
        };
        if !produced && let place = self.place_of(value) {
            return match place.base {
                Base::Foreign(..) => self.fetched(place, needed),
                _ => place,
            };
        }
        // One more than needed: a longer string must differ, not be cut to the same bytes.
        let room = (needed + 1).next_multiple_of(8).min(size);
        let place = self.temp(room, 8, "a compared string");
        let place = place.filled(Fill::Any);
        self.write(value, &place);
        place
    }

    /// A value as bytes that can be loaded, zeros behind a string's end.
    pub(super) fn comparable(&mut self, value: &Expr) -> Place {
        let place = self.place_of(value);
        let size = self.size(value.ty);
        let text = matches!(self.ty(value.ty), Type::Str { .. });
        match place.base {
            Base::Foreign(..) | Base::Context(_) if text => {
                let temp = self.temp(size, 8, "a compared string");
                self.copy_value(place, temp, value.ty);
                temp
            }
            Base::Foreign(..) => self.fetched(place, size),
            _ => place,
        }
    }

    /// Bytes of foreign memory in a temporary.
    pub(super) fn fetched(&mut self, place: Place, size: u32) -> Place {
        let temp = self.temp(size, 8, "compared bytes");
        self.copy(place, temp, size);
        temp
    }

    fn branch_equal_places(
        &mut self,
        a: Place,
        b: Place,
        size: u32,
        same: BlockId,
        differ: BlockId,
    ) {
        let looped = match size > UNROLL {
            true => size / 8 * 8,
            false => 0,
        };
        if looped > 0 {
            let width = word(a.alignment().min(b.alignment()), 8);
            self.compare_loop(a, b, looped, width, differ);
        }
        if looped == size {
            self.b.jump(same);
        }
        let mut at = looped;
        while at < size {
            let (x, y) = (a.at(at, 0), b.at(at, 0));
            let width = word(x.alignment().min(y.alignment()), size - at);
            let mem = Mem::of(width, false).unwrap_or(Mem::U8);
            let (x, y) = (self.load(x, mem), self.load(y, mem));
            let equal = self.b.compare(Cond::Eq, x, y);
            at += width;
            self.continue_if(equal, at < size, same, differ);
        }
    }

    /// Compares `size` bytes, a multiple of `width`, in a loop; the current block afterwards is where they are equal.
    fn compare_loop(&mut self, a: Place, b: Place, size: u32, width: u32, differ: BlockId) {
        let mem = Mem::of(width, false).unwrap_or(Mem::U8);
        let (a, b) = (self.address(a), self.address(b));
        let at = self.b.declare_var();
        let start = self.b.iconst(0);
        self.b.write_var(at, start);
        let (head, next, done) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        self.b.jump(head);
        self.b.switch_to(head);
        let offset = self.b.read_var(at);
        let x = self.b.binary(BinOp::Add, a, offset);
        let y = self.b.binary(BinOp::Add, b, offset);
        let (x, y) = (self.b.load(mem, x, 0), self.b.load(mem, y, 0));
        let equal = self.b.compare(Cond::Eq, x, y);
        self.b.branch(equal, next, differ);
        self.b.seal_block(next);
        self.b.switch_to(next);
        let after = self.b.binary_imm(BinOp::Add, offset, i64::from(width));
        self.b.write_var(at, after);
        let more = self.b.compare_imm(Cond::ULt, after, i64::from(size));
        self.b.branch(more, head, done);
        self.b.seal_block(head);
        self.b.seal_block(done);
        self.b.switch_to(done);
    }

    /// After a piece was compared: on to the next one, or to the end.
    fn continue_if(&mut self, equal: Value, more: bool, same: BlockId, differ: BlockId) {
        if !more {
            self.b.branch(equal, same, differ);
            return;
        }
        let next = self.b.create_block();
        self.b.branch(equal, next, differ);
        self.b.seal_block(next);
        self.b.switch_to(next);
    }
}
