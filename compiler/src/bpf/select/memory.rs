//! Loads, stores and what touches more than eight bytes.

use super::super::frame::slot_align;
use super::*;

impl Select<'_> {
    /// The address `ptr + off` as base and offset such that `off..off + size` can be reached. Constant additions and stack
    /// slots are folded in; what does not fit 16 bits is added in a register.
    fn address(&mut self, mut ptr: Value, off: i32, size: u32) -> (Base, i32) {
        let mut off = i64::from(off);
        let fits =
            |off: i64| off >= i64::from(i16::MIN) && off + i64::from(size) <= i64::from(i16::MAX);
        loop {
            match self.op(ptr) {
                Some(&Op::SlotAddr(slot, start)) if fits(off + i64::from(start)) => {
                    return (Base::Slot(slot), (off + i64::from(start)) as i32);
                }
                Some(&Op::Binary(op @ (BinOp::Add | BinOp::Sub), base, step))
                    if !self.demanded(ptr) =>
                {
                    let Some(step) = self.small(step) else { break };
                    let step = i64::from(step);
                    let next = off + if op == BinOp::Add { step } else { -step };
                    if !fits(next) {
                        break;
                    }
                    (ptr, off) = (base, next);
                }
                _ => break,
            }
        }
        let base = self.reg(ptr);
        if fits(off) {
            return (Base::Reg(base), off as i32);
        }
        let dst = self.fresh();
        self.emit(MOp::Mov { dst, src: base });
        // The offset came as i32; folding stopped before it could leave 16 bits.
        self.alu(Alu::Add, dst, Operand::Imm(off as i32));
        (Base::Reg(dst), 0)
    }

    pub(super) fn load(&mut self, mem: Mem, dst: VReg, ptr: Value, off: i32) {
        let (base, off) = self.address(ptr, off, mem.bytes());
        self.emit(MOp::Load {
            size: size(mem),
            dst,
            base,
            off,
        });
        if mem.signed() {
            self.extend_in_place(mem, dst);
        }
    }

    /// A constant goes through a register: eBPF has stores of constants, but objdump before LLVM 18 cannot read them.
    pub(super) fn store(&mut self, mem: Mem, ptr: Value, off: i32, value: Value) {
        let size = size(mem);
        let value = self.peel_extensions(mem, value);
        let (base, off) = self.address(ptr, off, mem.bytes());
        let src = match self.constant(value) {
            // What a narrow store cuts off need not be made.
            Some(n) if mem.bytes() < 8 => self.constant_reg(i64::from(n as i32)),
            _ => self.reg(value),
        };
        self.emit(MOp::Store {
            size,
            base,
            off,
            src,
        });
    }

    fn constant_reg(&mut self, n: i64) -> VReg {
        let dst = self.fresh();
        let known = Known::Imm(n);
        self.emit(MOp::Def { dst, known });
        dst
    }

    /// What a narrow store cuts off need not be computed.
    fn peel_extensions(&self, mem: Mem, mut value: Value) -> Value {
        while let Some(Op::Extend(kept, inner)) = self.op(value)
            && kept.bytes() >= mem.bytes()
            && !self.demanded(value)
        {
            value = *inner;
        }
        value
    }

    pub(super) fn atomic_add(
        &mut self,
        mem: Mem,
        ptr: Value,
        off: i32,
        value: Value,
        old: Option<VReg>,
    ) {
        let (base, off) = self.address(ptr, off, mem.bytes());
        let src = match old {
            Some(dst) => {
                self.copy_to(dst, value);
                dst
            }
            None => self.reg(value),
        };
        self.emit(MOp::AtomicAdd {
            size: size(mem),
            base,
            off,
            src,
            fetch: old.is_some(),
        });
    }

    pub(super) fn zero(&mut self, ptr: Value, off: i32, bytes: u32) {
        for (at, bytes) in stretches(bytes) {
            self.zero_stretch(ptr, off.saturating_add(at), bytes);
        }
    }

    fn zero_stretch(&mut self, ptr: Value, off: i32, bytes: u32) {
        let (base, start) = self.address(ptr, off, bytes);
        // Whoever hands out eBPF memory aligns it to 8, so the offset tells the alignment.
        let align = self.alignment(base).unwrap_or(8);
        let src = self.constant_reg(0);
        for (at, size) in pieces(start, bytes, align) {
            self.emit(MOp::Store {
                size,
                base,
                off: start + at as i32,
                src,
            });
        }
    }

    pub(super) fn copy(&mut self, dst: (Value, i32), src: (Value, i32), bytes: u32, align: u32) {
        for (at, bytes) in stretches(bytes) {
            let further = |(ptr, off): (Value, i32)| (ptr, off.saturating_add(at));
            self.copy_stretch(further(dst), further(src), bytes, align);
        }
    }

    fn copy_stretch(&mut self, dst: (Value, i32), src: (Value, i32), bytes: u32, align: u32) {
        let (to, to_off) = self.address(dst.0, dst.1, bytes);
        let (from, from_off) = self.address(src.0, src.1, bytes);
        for (at, size) in pieces(0, bytes, align) {
            let at = at as i32;
            let through = self.fresh();
            self.emit(MOp::Load {
                size,
                dst: through,
                base: from,
                off: from_off + at,
            });
            self.emit(MOp::Store {
                size,
                base: to,
                off: to_off + at,
                src: through,
            });
        }
    }

    fn alignment(&self, base: Base) -> Option<u32> {
        match base {
            Base::Slot(slot) => self.func.slots.get(slot).map(slot_align),
            _ => None,
        }
    }
}

/// The machine's width; the sign is a matter of what comes after a load.
fn size(mem: Mem) -> Size {
    match mem {
        Mem::U8 | Mem::S8 => Size::Byte,
        Mem::U16 | Mem::S16 => Size::Half,
        Mem::U32 | Mem::S32 => Size::Word,
        Mem::U64 => Size::Double,
    }
}

/// Cuts `bytes` into parts that one base register reaches: start and length.
fn stretches(bytes: u32) -> impl Iterator<Item = (i32, u32)> {
    const REACH: u32 = 1 << 14;
    (0..bytes)
        .step_by(REACH as usize)
        .map(move |at| (at as i32, REACH.min(bytes - at)))
}

/// Cuts `bytes` at an address that is `start` beyond an aligned one into the widest accesses that are aligned themselves.
fn pieces(start: i32, bytes: u32, align: u32) -> Vec<(u32, Size)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes {
        let position = (i64::from(start) + i64::from(at)) as u64;
        let size = [Size::Double, Size::Word, Size::Half]
            .into_iter()
            .find(|size| {
                let n = size.bytes();
                n <= align && n <= bytes - at && position.is_multiple_of(u64::from(n))
            })
            .unwrap_or(Size::Byte);
        pieces.push((at, size));
        at += size.bytes();
    }
    pieces
}
