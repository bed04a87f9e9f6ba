//! Order and length of values in memory.
//!
//! In: two values, or one string. Out: a number. Values of the language have zeros behind a string's NUL, so whole words can be
//! compared: the first one that differs decides, read as a big-endian number. A NUL is found a word at a time too.

use super::place::word;
use super::{Base, Lower, Place};
use crate::artifact::STRING_CUT;
use crate::builtins::Lowering;
use crate::ir::{BinOp, BlockId, Cond, Mem, Value};
use crate::typed::{Expr, ExprKind};

/// Up to so many bytes are looked at without a loop.
const UNROLL: u32 = 64;
/// The lowest and the highest bit of every byte.
const LOWEST: i64 = 0x0101_0101_0101_0101;
const HIGHEST: i64 = LOWEST << 7;

/// A piece of one or two values.
struct Piece {
    /// Its bytes: 1, 2, 4 or 8.
    width: u32,
    /// Where it is in either value.
    places: (Place, Place),
    /// Bytes from the start.
    at: Value,
    /// The block of the next piece, or behind the last one.
    next: BlockId,
}

impl Piece {
    fn mem(&self) -> Mem {
        Mem::of(self.width, false).unwrap_or(Mem::U8)
    }
}

impl Lower<'_> {
    /// -1, 0 or 1 as the first bytes of `a`, at most `limit`, come before, are equal to or come behind those of `b`.
    pub(crate) fn order(&mut self, a: &Expr, b: &Expr, limit: Option<u32>) -> Value {
        let size = self.size(a.ty).min(self.size(b.ty));
        let size = limit.map_or(size, |limit| size.min(limit));
        let places = (self.beginning(a, size), self.beginning(b, size));
        let (x, y) = (self.b.declare_var(), self.b.declare_var());
        let result = self.b.declare_var();
        let (differ, join) = (self.b.create_block(), self.b.create_block());
        self.pieces(size, places, &mut |lower, piece| {
            let left = lower.load(piece.places.0, piece.mem());
            let right = lower.load(piece.places.1, piece.mem());
            let equal = lower.b.compare(Cond::Eq, left, right);
            let decides = lower.b.create_block();
            lower.b.branch(equal, piece.next, decides);
            lower.arm(decides, |lower| {
                for (var, value) in [(x, left), (y, right)] {
                    let value = match piece.width {
                        1 => value,
                        width => lower.b.swap_bytes(width as u8, value),
                    };
                    lower.b.write_var(var, value);
                }
                lower.b.jump(differ);
            });
        });
        let equal = self.b.iconst(0);
        self.b.write_var(result, equal);
        self.b.jump(join);
        self.arm(differ, |lower| {
            let (x, y) = (lower.b.read_var(x), lower.b.read_var(y));
            let before = lower.b.compare(Cond::ULt, x, y);
            let twice = lower.b.binary_imm(BinOp::Shl, before, 1);
            let one = lower.b.iconst(1);
            let order = lower.b.binary(BinOp::Sub, one, twice);
            lower.b.write_var(result, order);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// How many bytes a string has before its NUL.
    pub(crate) fn text_length(&mut self, text: &Expr) -> Value {
        let size = self.size(text.ty);
        let place = self.beginning(text, size);
        let result = self.b.declare_var();
        // Where the piece with the NUL starts, and a bit in each of its bytes that are 0.
        let (start, zeros) = (self.b.declare_var(), self.b.declare_var());
        let (ends, join) = (self.b.create_block(), self.b.create_block());
        self.pieces(size, (place, place), &mut |lower, piece| {
            let bytes = lower.load(piece.places.0, piece.mem());
            let found = lower.zero_bytes(bytes, piece.width);
            lower.b.write_var(zeros, found);
            lower.b.write_var(start, piece.at);
            lower.b.branch(found, ends, piece.next);
        });
        // Without a NUL: an array that is full, or a string that was cut off, with a mark at its end.
        let last = self.load(place.at(size.saturating_sub(1), 1), Mem::U8);
        let cut = self.b.compare_imm(Cond::Eq, last, i64::from(STRING_CUT));
        let all = self.b.iconst(i64::from(size));
        let length = self.b.binary(BinOp::Sub, all, cut);
        self.b.write_var(result, length);
        self.b.jump(join);
        self.arm(ends, |lower| {
            let (start, zeros) = (lower.b.read_var(start), lower.b.read_var(zeros));
            let index = lower.first_mark(zeros);
            let length = lower.b.binary(BinOp::Add, start, index);
            lower.b.write_var(result, length);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// Marks the bytes of a piece that are 0 at their highest bit. Right for the first one; marks behind it mean nothing.
    fn zero_bytes(&mut self, bytes: Value, width: u32) -> Value {
        let mask = |pattern: i64| match width {
            8 => pattern,
            _ => pattern & ((1 << (8 * width)) - 1),
        };
        let ones = self.b.iconst(mask(LOWEST));
        let less = self.b.binary(BinOp::Sub, bytes, ones);
        let set = self.b.iconst(-1);
        let inverse = self.b.binary(BinOp::Xor, bytes, set);
        let both = self.b.binary(BinOp::And, less, inverse);
        let high = self.b.iconst(mask(HIGHEST));
        self.b.binary(BinOp::And, both, high)
    }

    /// The number of the first byte with such a mark.
    fn first_mark(&mut self, marks: Value) -> Value {
        let zero = self.b.iconst(0);
        let negative = self.b.binary(BinOp::Sub, zero, marks);
        let lowest = self.b.binary(BinOp::And, marks, negative);
        let below = self.b.binary_imm(BinOp::Sub, lowest, 1);
        // The lowest bit of every byte up to the marked one; their sum is in the highest byte of the product.
        let ones = self.b.iconst(LOWEST);
        let bytes = self.b.binary(BinOp::And, below, ones);
        let product = self.b.binary(BinOp::Mul, bytes, ones);
        let count = self.b.binary_imm(BinOp::LShr, product, 56);
        self.b.binary_imm(BinOp::Sub, count, 1)
    }

    /// Looks at two values piece by piece. `look` ends its block, with a way to the next piece; the current block afterwards is
    /// behind the last one.
    fn pieces(
        &mut self,
        size: u32,
        (a, b): (Place, Place),
        look: &mut dyn FnMut(&mut Self, Piece),
    ) {
        let width = word(a.alignment().min(b.alignment()), 8);
        let looped = match size > UNROLL {
            true => size / width * width,
            false => 0,
        };
        if looped > 0 {
            self.looped_pieces(looped, width, (a, b), look);
        }
        let mut at = looped;
        while at < size {
            let (x, y) = (a.at(at, 0), b.at(at, 0));
            let width = word(x.alignment().min(y.alignment()), size - at);
            let next = self.b.create_block();
            let offset = self.b.iconst(i64::from(at));
            look(
                self,
                Piece {
                    width,
                    places: (x, y),
                    at: offset,
                    next,
                },
            );
            self.b.seal_block(next);
            self.b.switch_to(next);
            at += width;
        }
    }

    fn looped_pieces(
        &mut self,
        size: u32,
        width: u32,
        (a, b): (Place, Place),
        look: &mut dyn FnMut(&mut Self, Piece),
    ) {
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
        let places = (Place::pointer(x, width), Place::pointer(y, width));
        look(
            self,
            Piece {
                width,
                places,
                at: offset,
                next,
            },
        );
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

    /// The first bytes of a value in the program's own memory, zeros behind a string's end.
    fn beginning(&mut self, value: &Expr, needed: u32) -> Place {
        let size = self.size(value.ty);
        let produced = match &value.kind {
            ExprKind::Call(call) => matches!(call.builtin.lower, Lowering::Into(_)),
            _ => false,
        };
        if produced {
            let room = needed.next_multiple_of(8).min(size);
            let place = self.temp(room, 8, "a compared value");
            self.write(value, &place);
            return place;
        }
        let place = self.comparable(value);
        match place.base {
            Base::Context(_) => self.fetched(place, needed),
            _ => place,
        }
    }
}
