//! Places and fields: where something is in the packet, and its bytes once the packet is known to have them.

use super::super::plan::test::{Base, Offset, Part, Place};
use super::{Inner, Known, Lower};
use crate::ir::{BinOp, Cond, Mem, Space, Value};

/// A constant offset beyond which the address is computed.
const FAR: u32 = 0x4000;

impl Lower<'_> {
    /// What must be computed before any test, because a test that uses it may follow one that was left out.
    pub(super) fn prepare(&mut self) {
        if let Some(tag) = self.tag {
            let zero = self.b.iconst(0);
            let absent = self.b.compare(Cond::Eq, tag.present, zero);
            self.behind_tag = Some(self.b.binary_imm(BinOp::Shl, absent, 2));
        }
        for _ in &self.plan.geneve {
            let inner = Inner {
                header: self.b.declare_var(),
                kind: self.b.declare_var(),
                payload: self.b.declare_var(),
                entered: self.b.declare_var(),
            };
            self.geneve.push(inner);
        }
        self.outside(0);
    }

    /// Sets the places inside the n-th `geneve` and all later ones to those outside.
    pub(super) fn outside(&mut self, from: usize) {
        for (n, outer) in self.plan.geneve.iter().enumerate().skip(from) {
            let places = [outer.header, outer.kind, outer.payload].map(|place| self.place(place));
            if let (Some(inner), [header, kind, payload]) = (self.geneve.get(n), places) {
                self.b.write_var(inner.header, header);
                self.b.write_var(inner.kind, kind);
                self.b.write_var(inner.payload, payload);
            }
        }
    }

    /// The run-time part of a base, and its constant part.
    pub(super) fn base(&mut self, base: Base) -> (Option<Value>, u32) {
        match base {
            Base::Start => (None, 0),
            Base::Tag => match self.behind_tag {
                Some(value) => (Some(value), 0),
                None => (None, 4),
            },
            Base::Inner(n, part) => {
                let var = self.geneve.get(n).map(|inner| match part {
                    Part::Header => inner.header,
                    Part::Type => inner.kind,
                    Part::Payload => inner.payload,
                });
                (var.map(|var| self.b.read_var(var)), 0)
            }
        }
    }

    /// An offset as one value.
    pub(super) fn place(&mut self, offset: Offset) -> Value {
        let (dynamic, more) = self.base(offset.base);
        let bytes = i64::from(offset.bytes) + i64::from(more);
        match dynamic {
            Some(value) => self.b.binary_imm(BinOp::Add, value, bytes),
            None => self.b.iconst(bytes),
        }
    }

    // ---- loads --------------------------------------------------------------------------------------------------------

    /// Bytes at a constant offset plus, perhaps, a 32-bit value; big-endian. Leaves when the packet does not have them.
    pub(super) fn load(
        &mut self,
        dynamic: Option<Value>,
        bytes: u64,
        size: u8,
        known: &mut Known,
    ) -> Value {
        let end = bytes + u64::from(size);
        let (ptr, off) = match dynamic {
            None if bytes <= FAR.into() => {
                if end > known.0 {
                    let end = self.b.iconst(end as i64);
                    self.require(end);
                    known.0 = end_of(bytes, size);
                }
                (self.start, bytes as i32)
            }
            _ => {
                let at = match dynamic {
                    Some(value) => self.b.binary_imm(BinOp::Add, value, bytes as i64),
                    None => self.b.iconst(bytes as i64),
                };
                let end = self.b.binary_imm(BinOp::Add, at, size.into());
                self.require(end);
                (self.b.binary(BinOp::Add, self.start, at), 0)
            }
        };
        let mem = Mem::of(size.into(), false).unwrap_or(Mem::U8);
        let raw = self.b.kernel_load(mem, ptr, off, Space::Kernel);
        match size {
            1 => raw,
            _ => self.b.swap_bytes(size, raw),
        }
    }

    /// Goes on when the packet has so many bytes, else the filter does not match.
    pub(super) fn require(&mut self, end: Value) {
        let there = self.b.compare(Cond::ULe, end, self.available);
        let next = self.b.create_block();
        self.b.branch(there, next, self.reject);
        self.b.seal_block(next);
        self.b.switch_to(next);
    }

    /// A field, `index` bytes beyond its place.
    pub(super) fn field(
        &mut self,
        place: Place,
        index: Index,
        size: u8,
        known: &mut Known,
    ) -> Value {
        let (base, more) = self.base(place.from.base);
        let fixed = u64::from(place.from.bytes) + u64::from(more);
        let length = place.past_ipv4.then(|| {
            let first = self.load(base, fixed, 1, known);
            let words = self.b.binary_imm(BinOp::And, first, 0xf);
            self.b.binary_imm(BinOp::Shl, words, 2)
        });
        let (index, constant) = match index {
            Index::None => (None, 0),
            Index::Const(n) if base.is_none() && length.is_none() => (None, n),
            Index::Const(n) => (Some(self.b.iconst(n.into())), 0),
            Index::Value(value) => (Some(value), 0),
        };
        // What varies is added in 32 bits, as BPF's index register is; the rest does not wrap.
        let mut dynamic = None;
        for part in [base, length, index].into_iter().flatten() {
            dynamic = Some(match dynamic {
                None => part,
                Some(sum) => {
                    let sum = self.b.binary(BinOp::Add, sum, part);
                    self.b.extend(Mem::U32, sum)
                }
            });
        }
        let fixed = fixed + u64::from(place.offset) + u64::from(constant);
        self.load(dynamic, fixed, size, known)
    }
}

/// How far beyond its place a field is.
pub(super) enum Index {
    None,
    Const(u32),
    Value(Value),
}

fn end_of(bytes: u64, size: u8) -> u64 {
    bytes + u64::from(size)
}
