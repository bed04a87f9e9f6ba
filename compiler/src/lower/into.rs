//! Values in memory, built where they are wanted.
//!
//! In: an expression and a place with its type's layout. Out: stores, copies and helper calls that fill exactly that place. With
//! [`Fill::Zeroed`] every byte of the place is defined afterwards and spare ones are zero.

use super::{Base, Fill, Lower, Place};
use crate::artifact::Layout;
use crate::builtins::Lowering;
use crate::ir::{Cond, Helper, Mem, Space, Value};
use crate::typed::{Expr, ExprKind};
use crate::types::{Ty, Type};

const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;

impl Lower<'_> {
    /// Writes a value of any type to a place; gives the value if it is a scalar.
    pub(crate) fn write(&mut self, expr: &Expr, to: &Place) -> Option<Value> {
        let outer = self.b.set_span(expr.span);
        let scalar = if self.in_memory(expr.ty) {
            self.write_memory(expr, to);
            None
        } else {
            let value = self.value(expr);
            self.store_scalar(*to, expr.ty, value);
            Some(value)
        };
        self.b.set_span(outer);
        scalar
    }

    fn write_memory(&mut self, expr: &Expr, to: &Place) {
        match &expr.kind {
            ExprKind::Str(text) => self.write_text(text, *to),
            ExprKind::Bytes(bytes) => {
                let room = to.room as usize;
                self.store_bytes(*to, bytes.get(..room).unwrap_or(bytes));
            }
            ExprKind::Tuple(parts) => self.write_tuple(parts, expr.ty, *to),
            ExprKind::Ternary(cond, yes, no) => {
                let (then, otherwise, join) = self.diamond(cond);
                for (block, expr) in [(then, yes), (otherwise, no)] {
                    self.arm(block, |lower| {
                        lower.write(expr, to);
                        lower.b.jump(join);
                    });
                }
                self.b.seal_block(join);
                self.b.switch_to(join);
            }
            ExprKind::Cast(from) => self.write_cast(from, expr.ty, *to),
            ExprKind::Block(stmts, value) => {
                self.inner_stmts(stmts);
                self.write_memory(value, to);
            }
            ExprKind::Call(call) => {
                if let Lowering::Into(lower) = call.builtin.lower {
                    lower(self, call, to);
                }
            }
            _ => {
                let from = self.place_of(expr);
                self.copy_value(from, *to, expr.ty);
            }
        }
    }

    /// A constant string with its NUL.
    fn write_text(&mut self, text: &[u8], to: Place) {
        let room = to.room as usize;
        let mut bytes = text.to_vec();
        bytes.truncate(room.saturating_sub(1));
        bytes.push(0);
        if to.fill == Fill::Zeroed {
            /// Zeros stored one by one; beyond that the whole place is cleared first.
            const FEW: usize = 64;
            if room > bytes.len() + FEW {
                self.zero(to);
            } else {
                bytes.resize(room, 0);
            }
        }
        self.store_bytes(to, &bytes);
    }

    fn write_tuple(&mut self, parts: &[Expr], ty: Ty, to: Place) {
        let (Layout::Tuple { fields, size } | Layout::Record { fields, size }) = self.layout(ty)
        else {
            return;
        };
        let mut end = 0;
        for (part, field) in parts.iter().zip(&fields) {
            self.pad(to, end, field.offset);
            let size = field.layout.size();
            self.write(part, &to.at(field.offset, size));
            end = field.offset + size;
        }
        self.pad(to, end, size);
    }

    /// Clears the bytes between members.
    fn pad(&mut self, to: Place, from: u32, end: u32) {
        if to.fill == Fill::Zeroed && from < end {
            self.zero(to.at(from, end - from));
        }
    }

    /// A string as one of larger capacity, an integer as bytes, or an IP address together with its family.
    fn write_cast(&mut self, from: &Expr, ty: Ty, to: Place) {
        if let (&Type::Inet { v6 }, Type::InetAny) = (self.ty(from.ty), self.ty(ty)) {
            let family = self.b.iconst(if v6 { AF_INET6 } else { AF_INET });
            let size = self.size(from.ty);
            self.store_number(to.at(0, 8), 8, family);
            self.write(from, &to.at(8, size));
            return self.pad(to, 8 + size, to.room);
        }
        if !self.in_memory(from.ty) {
            let mem = self.scalar_mem(from.ty);
            let value = self.value(from);
            let bytes = mem.bytes().min(to.room);
            self.store_number(to, bytes, value);
            return self.pad(to, bytes, to.room);
        }
        let size = self.size(from.ty).min(to.room);
        self.write(from, &to.at(0, size));
        self.pad(to, size, to.room);
    }

    /// Writes the low bytes of a number, as wide as alignment allows.
    pub(crate) fn store_number(&mut self, to: Place, bytes: u32, value: Value) {
        let mut at = 0;
        while at < bytes {
            let place = to.at(at, 0);
            let width = super::place::word(place.alignment(), bytes - at);
            let part = match at {
                0 => value,
                _ => self
                    .b
                    .binary_imm(crate::ir::BinOp::LShr, value, i64::from(8 * at)),
            };
            self.store(place, Mem::of(width, false).unwrap_or(Mem::U64), part);
            at += width;
        }
    }

    /// Copies a value that lies in memory.
    pub(crate) fn copy_value(&mut self, from: Place, to: Place, ty: Ty) {
        let size = self.size(ty).min(to.room);
        let foreign = matches!(from.base, Base::Foreign(..) | Base::Context(_));
        let text = matches!(self.ty(ty), Type::Str { .. });
        // What lies behind the NUL of a foreign string must not become part of a key.
        if text && foreign && to.fill == Fill::Zeroed {
            let space = match from.base {
                Base::Foreign(_, space) => space,
                _ => Space::Kernel,
            };
            let address = self.address(from);
            let most = self.b.iconst(i64::from(size));
            let read = self.read_string(to, most, address, space);
            // The helper ends an array that is full with a NUL; its last character is wanted as well.
            return self.when_full(read, size, |lower| {
                let last = Place::foreign(address, space, 1).at(size - 1, 1);
                lower.copy(last, to.at(size - 1, 1), 1);
            });
        }
        self.copy(from, to, size);
    }

    /// Reads a string of at most `size` bytes, NUL included; how many bytes that were, or an error number below 0.
    pub(crate) fn read_string(
        &mut self,
        to: Place,
        size: Value,
        address: Value,
        space: Space,
    ) -> Value {
        if to.fill == Fill::Zeroed {
            self.zero(to);
        }
        let dst = self.address(to);
        let helper = match space {
            Space::User => Helper::ProbeReadUserStr,
            _ => Helper::ProbeReadKernelStr,
        };
        self.b.call(helper, &[dst, size, address])
    }

    /// What is to be done after a string's last byte was reached, and only then.
    pub(crate) fn when_full(&mut self, read: Value, size: u32, then: impl FnOnce(&mut Self)) {
        let size = self.b.iconst(i64::from(size));
        let full = self.b.compare(Cond::Eq, read, size);
        let (last, join) = (self.b.create_block(), self.b.create_block());
        self.b.branch(full, last, join);
        self.arm(last, |lower| {
            then(lower);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
    }
}
