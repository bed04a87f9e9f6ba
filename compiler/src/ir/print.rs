//! The text form of the IR, for `--emit ir`, tests and bug reports.
//!
//! In: a function. Out: one line per instruction, named as in every other dump (`v3 b1 s0 m2 f0`). [`super::parse`] reads it back;
//! spans are not part of it.
//!
//! ```text
//! program "probe_1"
//!   s0: 16 bytes, align 8, "key of @m"
//! b0(v0):
//!   v1 = load.u32 v0+8
//!   v2 = const 5
//!   v3 = ult v1, v2
//!   branch v3, b1(v1), b2
//! ```

use std::fmt;

use super::{BinOp, Cond, Func, FuncKind, Mem, Op, Space, Target, Terminator, Value};

impl BinOp {
    /// All of them.
    pub const ALL: [BinOp; 13] = [
        BinOp::Add,
        BinOp::Sub,
        BinOp::Mul,
        BinOp::UDiv,
        BinOp::SDiv,
        BinOp::UMod,
        BinOp::SMod,
        BinOp::And,
        BinOp::Or,
        BinOp::Xor,
        BinOp::Shl,
        BinOp::LShr,
        BinOp::AShr,
    ];

    /// Its word in the text form.
    pub fn name(self) -> &'static str {
        match self {
            BinOp::Add => "add",
            BinOp::Sub => "sub",
            BinOp::Mul => "mul",
            BinOp::UDiv => "udiv",
            BinOp::SDiv => "sdiv",
            BinOp::UMod => "umod",
            BinOp::SMod => "smod",
            BinOp::And => "and",
            BinOp::Or => "or",
            BinOp::Xor => "xor",
            BinOp::Shl => "shl",
            BinOp::LShr => "shr",
            BinOp::AShr => "sar",
        }
    }
}

impl Cond {
    /// All of them.
    pub const ALL: [Cond; 10] = [
        Cond::Eq,
        Cond::Ne,
        Cond::ULt,
        Cond::ULe,
        Cond::UGt,
        Cond::UGe,
        Cond::SLt,
        Cond::SLe,
        Cond::SGt,
        Cond::SGe,
    ];

    /// Its word in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Cond::Eq => "eq",
            Cond::Ne => "ne",
            Cond::ULt => "ult",
            Cond::ULe => "ule",
            Cond::UGt => "ugt",
            Cond::UGe => "uge",
            Cond::SLt => "slt",
            Cond::SLe => "sle",
            Cond::SGt => "sgt",
            Cond::SGe => "sge",
        }
    }
}

impl Mem {
    /// All of them.
    pub const ALL: [Mem; 7] = [
        Mem::U8,
        Mem::U16,
        Mem::U32,
        Mem::U64,
        Mem::S8,
        Mem::S16,
        Mem::S32,
    ];

    /// Its word in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Mem::U8 => "u8",
            Mem::U16 => "u16",
            Mem::U32 => "u32",
            Mem::U64 => "u64",
            Mem::S8 => "s8",
            Mem::S16 => "s16",
            Mem::S32 => "s32",
        }
    }
}

impl Space {
    /// All of them.
    pub const ALL: [Space; 3] = [Space::KernelTyped, Space::Kernel, Space::User];

    /// Its word in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Space::KernelTyped => "typed",
            Space::Kernel => "kernel",
            Space::User => "user",
        }
    }
}

impl FuncKind {
    /// Its word in the text form.
    pub fn name(self) -> &'static str {
        match self {
            FuncKind::Program => "program",
            FuncKind::Subprogram => "subprogram",
        }
    }
}

/// Values with commas between.
struct List<'a>(&'a [Value]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, value) in self.0.iter().enumerate() {
            write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Const(n) => write!(f, "const {n}"),
            Op::Binary(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Op::Compare(cond, a, b) => write!(f, "{} {a}, {b}", cond.name()),
            Op::Extend(mem, a) => write!(f, "ext.{} {a}", mem.name()),
            Op::SwapBytes(bytes, a) => write!(f, "swap.{bytes} {a}"),
            Op::SlotAddr(slot, off) => write!(f, "addr {slot}+{off}"),
            Op::MapRef(map) => write!(f, "map {map}"),
            Op::MapValue(map, off) => write!(f, "addr {map}+{off}"),
            Op::FuncRef(func) => write!(f, "addr {func}"),
            Op::Load { mem, ptr, off } => write!(f, "load.{} {ptr}{off:+}", mem.name()),
            Op::Store {
                mem,
                ptr,
                off,
                value,
            } => write!(f, "store.{} {ptr}{off:+}, {value}", mem.name()),
            Op::AtomicAdd {
                mem,
                ptr,
                off,
                value,
            } => write!(f, "atomic_add.{} {ptr}{off:+}, {value}", mem.name()),
            Op::Zero { ptr, off, size } => write!(f, "zero {ptr}{off:+}, {size}"),
            Op::Copy {
                dst,
                dst_off,
                src,
                src_off,
                size,
                align,
            } => write!(
                f,
                "copy {dst}{dst_off:+}, {src}{src_off:+}, {size}, align {align}"
            ),
            Op::KernelLoad {
                mem,
                base,
                off,
                space,
            } => write!(f, "read.{} {} {base}{off:+}", mem.name(), space.name()),
            Op::KernelCopy {
                dst,
                dst_off,
                size,
                base,
                off,
                space,
            } => write!(
                f,
                "readcopy {dst}{dst_off:+}, {} {base}{off:+}, {size}",
                space.name()
            ),
            Op::Call(helper, args) => write!(f, "call {}({})", helper.name(), List(args)),
            Op::Kfunc(id, args) => write!(f, "kfunc {id}({})", List(args)),
            Op::CallFunc(func, args) => write!(f, "call {func}({})", List(args)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.args.is_empty() {
            return write!(f, "{}", self.block);
        }
        write!(f, "{}({})", self.block, List(&self.args))
    }
}

impl fmt::Display for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Terminator::Jump(target) => write!(f, "jump {target}"),
            Terminator::Branch {
                cond,
                then,
                otherwise,
            } => write!(f, "branch {cond}, {then}, {otherwise}"),
            Terminator::Return(value) => write!(f, "ret {value}"),
        }
    }
}

impl fmt::Display for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {:?}", self.kind.name(), self.name)?;
        for (id, slot) in self.slots.iter_enumerated() {
            let (size, align) = (slot.size, slot.align);
            writeln!(f, "  {id}: {size} bytes, align {align}, {:?}", slot.what)?;
        }
        for (id, block) in self.blocks.iter_enumerated() {
            match block.params.as_slice() {
                [] => writeln!(f, "{id}:")?,
                params => writeln!(f, "{id}({}):", List(params))?,
            }
            for inst in &block.insts {
                match inst.result {
                    Some(result) => writeln!(f, "  {result} = {}", inst.op)?,
                    None => writeln!(f, "  {}", inst.op)?,
                }
            }
            writeln!(f, "  {}", block.term)?;
        }
        Ok(())
    }
}

impl fmt::Display for super::Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, func) in self.funcs.iter().enumerate() {
            write!(f, "{}{func}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
