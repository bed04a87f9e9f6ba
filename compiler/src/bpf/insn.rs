//! eBPF instructions as the kernel reads them.
//!
//! In: operation and operands. Out: eight bytes per slot, little-endian. Only what Linux 6.1 takes (cpu v3 with atomics): no
//! `movsx`, `ldsx`, `bswap`, `gotol`. Numbers: `include/uapi/linux/bpf.h`, `bpf_common.h`; they are ABI.

/// A register: `r0` result, `r1`-`r5` arguments, `r6`-`r9` kept across calls, `r10` frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u8);

impl Reg {
    /// The frame pointer, read-only.
    pub const FP: Reg = Reg(10);
}

impl std::fmt::Display for Reg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// One slot of a program. `ld_imm64` takes two, of which the second holds the upper half of the value in `imm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Insn {
    /// Class, operation, operand kind.
    pub code: u8,
    /// Destination register (low nibble of the second byte).
    pub dst: u8,
    /// Source register or pseudo kind (high nibble).
    pub src: u8,
    /// Address offset or jump distance in slots.
    pub off: i16,
    /// Constant.
    pub imm: i32,
}

/// Classes: the low three bits of `code`.
pub mod class {
    #![allow(missing_docs)] // `BPF_LD` and so on.
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// `BPF_IMM`, with [`Size::Double`] and class `LD`: `ld_imm64`.
pub const LD_IMM64: u8 = 0x18;
/// `BPF_MEM`
pub const MODE_MEM: u8 = 0x60;
/// `BPF_ATOMIC`
pub const MODE_ATOMIC: u8 = 0xc0;
/// `BPF_X`: the second operand is a register; in `END` the direction "to big-endian".
pub const SRC_REG: u8 = 0x08;
/// `BPF_FETCH` in the `imm` of an atomic operation: the old value goes to the source register.
pub const FETCH: i32 = 1;

/// What the `src` of `ld_imm64` says about its `imm`.
pub mod pseudo {
    /// A map, in `imm` as file descriptor.
    pub const MAP_FD: u8 = 1;
    /// The value of an array map, second `imm` its offset.
    pub const MAP_VALUE: u8 = 2;
    /// A subprogram, `imm` relative to the next slot.
    pub const FUNC: u8 = 4;
    /// In a call: a subprogram.
    pub const CALL: u8 = 1;
    /// In a call: a kernel function by BTF id.
    pub const KFUNC_CALL: u8 = 2;
}

/// Width of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// 4 bytes.
    Word = 0x00,
    /// 2 bytes.
    Half = 0x08,
    /// 1 byte.
    Byte = 0x10,
    /// 8 bytes.
    Double = 0x18,
}

impl Size {
    /// Of this many bytes; `None` unless 1, 2, 4 or 8.
    pub fn of(bytes: u32) -> Option<Size> {
        Some(match bytes {
            1 => Size::Byte,
            2 => Size::Half,
            4 => Size::Word,
            8 => Size::Double,
            _ => return None,
        })
    }

    /// The size in an instruction code.
    pub fn from_code(code: u8) -> Size {
        match code & 0x18 {
            0x00 => Size::Word,
            0x08 => Size::Half,
            0x10 => Size::Byte,
            _ => Size::Double,
        }
    }

    /// How many bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Size::Byte => 1,
            Size::Half => 2,
            Size::Word => 4,
            Size::Double => 8,
        }
    }
}

/// Operations of the classes `ALU` and `ALU64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // As in the kernel.
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Neg = 0x80,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
    Arsh = 0xc0,
    End = 0xd0,
}

impl Alu {
    /// All of them, in order of their codes.
    pub const ALL: [Alu; 14] = [
        Alu::Add,
        Alu::Sub,
        Alu::Mul,
        Alu::Div,
        Alu::Or,
        Alu::And,
        Alu::Lsh,
        Alu::Rsh,
        Alu::Neg,
        Alu::Mod,
        Alu::Xor,
        Alu::Mov,
        Alu::Arsh,
        Alu::End,
    ];

    /// The operation in an instruction code.
    pub fn from_code(code: u8) -> Option<Alu> {
        Alu::ALL.get(usize::from(code >> 4)).copied()
    }
}

/// Conditions of the classes `JMP` and `JMP32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // As in the kernel.
pub enum Jump {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Set = 0x40,
    Ne = 0x50,
    Sgt = 0x60,
    Sge = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    Slt = 0xc0,
    Sle = 0xd0,
}

/// `BPF_JA`
pub const JA: u8 = 0x05;
/// `BPF_CALL`
pub const CALL: u8 = 0x85;
/// `BPF_EXIT`
pub const EXIT: u8 = 0x95;

impl Jump {
    /// All of them, in order of their codes.
    pub const ALL: [Jump; 11] = [
        Jump::Eq,
        Jump::Gt,
        Jump::Ge,
        Jump::Set,
        Jump::Ne,
        Jump::Sgt,
        Jump::Sge,
        Jump::Lt,
        Jump::Le,
        Jump::Slt,
        Jump::Sle,
    ];

    /// The condition in an instruction code.
    pub fn from_code(code: u8) -> Option<Jump> {
        Jump::ALL.into_iter().find(|&j| j as u8 == code & 0xf0)
    }

    /// The condition that holds when this one does not; `Set` has none.
    pub fn inverse(self) -> Option<Jump> {
        Some(match self {
            Jump::Eq => Jump::Ne,
            Jump::Ne => Jump::Eq,
            Jump::Gt => Jump::Le,
            Jump::Le => Jump::Gt,
            Jump::Ge => Jump::Lt,
            Jump::Lt => Jump::Ge,
            Jump::Sgt => Jump::Sle,
            Jump::Sle => Jump::Sgt,
            Jump::Sge => Jump::Slt,
            Jump::Slt => Jump::Sge,
            Jump::Set => return None,
        })
    }

    /// The condition for the operands in the other order.
    pub fn swapped(self) -> Jump {
        match self {
            Jump::Gt => Jump::Lt,
            Jump::Lt => Jump::Gt,
            Jump::Ge => Jump::Le,
            Jump::Le => Jump::Ge,
            Jump::Sgt => Jump::Slt,
            Jump::Slt => Jump::Sgt,
            Jump::Sge => Jump::Sle,
            Jump::Sle => Jump::Sge,
            same @ (Jump::Eq | Jump::Ne | Jump::Set) => same,
        }
    }

    /// Whether it holds.
    pub fn holds(self, a: u64, b: u64) -> bool {
        let (sa, sb) = (a as i64, b as i64);
        match self {
            Jump::Eq => a == b,
            Jump::Ne => a != b,
            Jump::Gt => a > b,
            Jump::Ge => a >= b,
            Jump::Lt => a < b,
            Jump::Le => a <= b,
            Jump::Set => a & b != 0,
            Jump::Sgt => sa > sb,
            Jump::Sge => sa >= sb,
            Jump::Slt => sa < sb,
            Jump::Sle => sa <= sb,
        }
    }
}

impl Insn {
    /// The bytes of the slot on a little-endian machine.
    pub fn bytes(&self) -> [u8; 8] {
        let [o0, o1] = self.off.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        let regs = (self.dst & 0xf) | (self.src << 4);
        [self.code, regs, o0, o1, i0, i1, i2, i3]
    }

    /// The slot in these bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Insn {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        Insn {
            code,
            dst: regs & 0xf,
            src: regs >> 4,
            off: i16::from_le_bytes([o0, o1]),
            imm: i32::from_le_bytes([i0, i1, i2, i3]),
        }
    }

    /// Its class.
    pub fn class(&self) -> u8 {
        self.code & 7
    }

    /// `dst = dst op src`
    pub fn alu(op: Alu, wide: bool, dst: Reg, src: Reg) -> Insn {
        Insn {
            code: op as u8 | SRC_REG | alu_class(wide),
            dst: dst.0,
            src: src.0,
            ..Insn::default()
        }
    }

    /// `dst = dst op imm`
    pub fn alu_imm(op: Alu, wide: bool, dst: Reg, imm: i32) -> Insn {
        Insn {
            code: op as u8 | alu_class(wide),
            dst: dst.0,
            imm,
            ..Insn::default()
        }
    }

    /// `dst = be16/32/64 dst`: on a little-endian machine the low `bits` in reverse byte order, the rest 0.
    pub fn to_big_endian(dst: Reg, bits: u8) -> Insn {
        Insn {
            code: Alu::End as u8 | SRC_REG | class::ALU,
            dst: dst.0,
            imm: i32::from(bits),
            ..Insn::default()
        }
    }

    /// Both slots of `dst = imm64`; `kind` is one of [`pseudo`] or 0.
    pub fn ld_imm64(dst: Reg, kind: u8, value: u64) -> [Insn; 2] {
        let low = Insn {
            code: LD_IMM64,
            dst: dst.0,
            src: kind,
            off: 0,
            imm: value as u32 as i32,
        };
        let high = Insn {
            imm: (value >> 32) as u32 as i32,
            ..Insn::default()
        };
        [low, high]
    }

    /// `dst = *(size *)(base + off)`
    pub fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Insn {
        Insn {
            code: class::LDX | MODE_MEM | size as u8,
            dst: dst.0,
            src: base.0,
            off,
            imm: 0,
        }
    }

    /// `*(size *)(base + off) = src`
    pub fn store(size: Size, base: Reg, off: i16, src: Reg) -> Insn {
        Insn {
            code: class::STX | MODE_MEM | size as u8,
            dst: base.0,
            src: src.0,
            off,
            imm: 0,
        }
    }

    /// `*(size *)(base + off) = imm`
    pub fn store_imm(size: Size, base: Reg, off: i16, imm: i32) -> Insn {
        Insn {
            code: class::ST | MODE_MEM | size as u8,
            dst: base.0,
            src: 0,
            off,
            imm,
        }
    }

    /// `lock *(size *)(base + off) += src`; with `fetch` the old value goes to `src`. 4 or 8 bytes only.
    pub fn atomic_add(size: Size, base: Reg, off: i16, src: Reg, fetch: bool) -> Insn {
        Insn {
            code: class::STX | MODE_ATOMIC | size as u8,
            dst: base.0,
            src: src.0,
            off,
            imm: if fetch { FETCH } else { 0 },
        }
    }

    /// `goto +off`
    pub fn ja(off: i16) -> Insn {
        Insn {
            code: JA,
            off,
            ..Insn::default()
        }
    }

    /// `if dst cond src goto +off`
    pub fn jump(cond: Jump, wide: bool, dst: Reg, src: Reg, off: i16) -> Insn {
        Insn {
            code: cond as u8 | SRC_REG | jump_class(wide),
            dst: dst.0,
            src: src.0,
            off,
            imm: 0,
        }
    }

    /// `if dst cond imm goto +off`
    pub fn jump_imm(cond: Jump, wide: bool, dst: Reg, imm: i32, off: i16) -> Insn {
        Insn {
            code: cond as u8 | jump_class(wide),
            dst: dst.0,
            src: 0,
            off,
            imm,
        }
    }

    /// A call; `kind` is 0 for a helper or one of [`pseudo`].
    pub fn call(kind: u8, imm: i32) -> Insn {
        Insn {
            code: CALL,
            src: kind,
            imm,
            ..Insn::default()
        }
    }

    /// `exit`
    pub fn exit() -> Insn {
        Insn {
            code: EXIT,
            ..Insn::default()
        }
    }

    /// Whether this is the first slot of two.
    pub fn is_wide(&self) -> bool {
        self.code == LD_IMM64
    }
}

fn alu_class(wide: bool) -> u8 {
    if wide { class::ALU64 } else { class::ALU }
}

fn jump_class(wide: bool) -> u8 {
    if wide { class::JMP } else { class::JMP32 }
}
