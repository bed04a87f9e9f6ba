//! Places: where a value in memory lies or is wanted, and moving values between them.
//!
//! In: places and types. Out: loads, stores and copies of the kind that the memory needs. A place knows its offset, alignment
//! and room, so that offsets end up inside instructions rather than in address arithmetic.

use super::Lower;
use super::known::{self, Access};
use crate::artifact::MapId;
use crate::ir::{Mem, Op, SlotId, Space, Value};
use crate::types::{Ty, Type};

/// A piece of memory: where a value in memory lies or is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What offsets count from.
    pub(crate) base: Base,
    /// Bytes from the base.
    pub(crate) off: i32,
    /// Alignment of the base: 1, 2, 4 or 8. Without meaning for kernel memory.
    pub(crate) align: u32,
    /// Bytes that may be used here. Less than the type's size only where a string may be cut off.
    pub(crate) room: u32,
    /// What becomes of bytes that the value does not need.
    pub(crate) fill: Fill,
}

/// What a place's offset counts from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Base {
    /// A stack slot.
    Slot(SlotId),
    /// The only value of an array map.
    MapValue(MapId),
    /// eBPF memory: a ring record, a map value, scratch.
    Pointer(Value),
    /// The program's context: only loads at constant offsets.
    Context(Value),
    /// Memory of the kernel or of the current task: read only, and not by plain loads.
    Foreign(Value, Space),
}

/// What becomes of the bytes behind a string's NUL and between members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fill {
    /// They are zero: equal values are equal bytes. Needed in keys, map values and variables.
    Zeroed,
    /// They may hold anything: ring records.
    Any,
}

impl Place {
    /// A stack slot.
    pub(crate) fn slot(slot: SlotId, size: u32, align: u32) -> Place {
        Place {
            base: Base::Slot(slot),
            off: 0,
            align,
            room: size,
            fill: Fill::Zeroed,
        }
    }

    /// eBPF memory behind a pointer that is aligned to 8.
    pub(crate) fn pointer(ptr: Value, size: u32) -> Place {
        Place {
            base: Base::Pointer(ptr),
            off: 0,
            align: 8,
            room: size,
            fill: Fill::Zeroed,
        }
    }

    /// Memory of the kernel or a task.
    pub(crate) fn foreign(ptr: Value, space: Space, size: u32) -> Place {
        Place {
            base: Base::Foreign(ptr, space),
            off: 0,
            align: 1,
            room: size,
            fill: Fill::Any,
        }
    }

    /// `size` bytes at an offset inside this place.
    pub(crate) fn at(self, off: u32, size: u32) -> Place {
        Place {
            off: self.off.wrapping_add(off as i32),
            room: size,
            ..self
        }
    }

    /// Its bytes.
    pub(crate) fn room(self) -> u32 {
        self.room
    }

    /// The same place with another rule for spare bytes.
    pub(crate) fn filled(self, fill: Fill) -> Place {
        Place { fill, ..self }
    }

    /// The same place, read without relying on the verifier's knowledge of its type.
    pub(crate) fn untyped(self) -> Place {
        match self.base {
            Base::Foreign(ptr, Space::KernelTyped) => Place {
                base: Base::Foreign(ptr, Space::Kernel),
                ..self
            },
            _ => self,
        }
    }

    /// What the address is certainly a multiple of.
    pub(crate) fn alignment(self) -> u32 {
        match self.off {
            0 => self.align,
            off => self.align.min(1 << off.trailing_zeros().min(3)),
        }
    }

    /// Whether plain loads work here at any offset, and helpers may write here.
    pub(crate) fn is_own(self) -> bool {
        matches!(
            self.base,
            Base::Slot(_) | Base::MapValue(_) | Base::Pointer(_)
        )
    }
}

impl Lower<'_> {
    /// The base address that a place's offset counts from.
    fn base(&mut self, place: Place) -> Value {
        match place.base {
            Base::Slot(slot) => self.b.slot_addr(slot, 0),
            Base::MapValue(map) => self.b.map_value(map, 0),
            Base::Pointer(ptr) | Base::Context(ptr) | Base::Foreign(ptr, _) => ptr,
        }
    }

    /// The address of a place as one value.
    pub(crate) fn address(&mut self, place: Place) -> Value {
        match (place.base, u32::try_from(place.off)) {
            (Base::Slot(slot), Ok(off)) => self.b.slot_addr(slot, off),
            (Base::MapValue(map), Ok(off)) => self.b.map_value(map, off),
            _ => {
                let base = self.base(place);
                self.offset(base, i64::from(place.off))
            }
        }
    }

    /// Reads a number at an offset of a place.
    pub(crate) fn load(&mut self, place: Place, mem: Mem) -> Value {
        match place.base {
            Base::Foreign(base, Space::KernelTyped) => self.load_typed(base, place.off, mem, false),
            Base::Foreign(base, space) => self.b.kernel_load(mem, base, place.off, space),
            _ => {
                let ptr = self.base(place);
                self.b.load(mem, ptr, place.off)
            }
        }
    }

    /// Writes a number.
    pub(crate) fn store(&mut self, place: Place, mem: Mem, value: Value) {
        let ptr = self.base(place);
        self.b.store(mem, ptr, place.off, value);
    }

    /// Reads a scalar of this type.
    pub(crate) fn load_scalar(&mut self, place: Place, ty: Ty) -> Value {
        let mem = self.scalar_mem(ty);
        match place.base {
            Base::Foreign(base, Space::KernelTyped) => {
                let pointer = matches!(self.ty(ty), Type::Pointer { .. });
                self.load_typed(base, place.off, mem, pointer)
            }
            _ => self.load(place, mem),
        }
    }

    /// Reads through a pointer that the verifier knows, by a plain load where it allows that.
    fn load_typed(&mut self, base: Value, off: i32, mem: Mem, pointer: bool) -> Value {
        let record = self.typed.get(&base).copied();
        let access = match (record, u32::try_from(off)) {
            (Some(record), Ok(off)) => known::access(self.kernel, record, off, mem.bytes()),
            _ => Access::No,
        };
        let space = match access {
            Access::No => Space::Kernel,
            // What shares its place with a pointer would be one to the verifier.
            Access::Pointer(_) if !pointer => Space::Kernel,
            _ => Space::KernelTyped,
        };
        let value = self.b.kernel_load(mem, base, off, space);
        if let (Access::Pointer(to), true) = (access, pointer) {
            self.note_struct(value, to);
        }
        value
    }

    /// Writes a scalar of this type.
    pub(crate) fn store_scalar(&mut self, place: Place, ty: Ty, value: Value) {
        let mem = self.scalar_mem(ty);
        self.store(place, mem, value);
    }

    /// Writes a constant of 1, 2, 4 or 8 bytes.
    pub(crate) fn store_const(&mut self, place: Place, bytes: u32, value: i64) {
        if bytes == 8 && i32::try_from(value).is_err() {
            // eBPF stores constants of 32 bits only; two stores are shorter than loading the constant first.
            self.store_const(place.at(0, 4), 4, value as u32 as i64);
            self.store_const(place.at(4, 4), 4, (value >> 32) as u32 as i64);
            return;
        }
        let value = self.b.iconst(value);
        self.store(place, Mem::of(bytes, false).unwrap_or(Mem::U64), value);
    }

    /// Writes constant bytes.
    pub(crate) fn store_bytes(&mut self, place: Place, bytes: &[u8]) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let width = word(place.at(at as u32, 0).alignment(), rest.len() as u32);
            let value = rest
                .iter()
                .take(width as usize)
                .rev()
                .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
            self.store_const(place.at(at as u32, width), width, value as i64);
            at += width as usize;
        }
    }

    /// Sets a whole place to zero.
    pub(crate) fn zero(&mut self, place: Place) {
        /// Up to here stores of zero, one instruction each, are better than the general way.
        const FEW: u32 = 64;
        if place.room <= FEW {
            self.store_bytes(place, &vec![0; place.room as usize]);
        } else {
            let ptr = self.base(place);
            self.b.zero_memory(ptr, place.off, place.room);
        }
    }

    /// Copies `size` bytes.
    pub(crate) fn copy(&mut self, from: Place, to: Place, size: u32) {
        if size == 0 {
            return;
        }
        let dst = self.base(to);
        let src = self.base(from);
        match from.base {
            Base::Foreign(_, space) => self.b.effect(Op::KernelCopy {
                dst,
                dst_off: to.off,
                size,
                base: src,
                off: from.off,
                space: match space {
                    Space::User => Space::User,
                    _ => Space::Kernel,
                },
            }),
            _ => self.b.effect(Op::Copy {
                dst,
                dst_off: to.off,
                src,
                src_off: from.off,
                size,
                align: from.alignment().min(to.alignment()),
            }),
        }
    }

    /// Adds a constant to an address or number.
    pub(crate) fn offset(&mut self, base: Value, off: i64) -> Value {
        match off {
            0 => base,
            _ => self.b.binary_imm(crate::ir::BinOp::Add, base, off),
        }
    }
}

/// The widest store that alignment and remaining bytes allow.
pub(crate) fn word(align: u32, left: u32) -> u32 {
    [8, 4, 2]
        .into_iter()
        .find(|&width| width <= align && width <= left)
        .unwrap_or(1)
}
