//! The intermediate representation: SSA over 64-bit values, blocks with parameters.
//!
//! In: what `lower` builds. Out: what `bpf` selects instructions from. The IR knows eBPF's memory (stack slots, maps,
//! ring records, the context) and helpers, but no registers, no script types and no script syntax.
//!
//! Contract
//! * A value is 64 bits. Narrower integers are kept extended according to their type; `Extend` re-establishes that.
//! * A block ends in exactly one terminator; values are defined once and dominate their uses.
//! * The entry block is `b0`; its only parameter is the context pointer for programs (a subprogram has one per argument).
//! * `KernelLoad` and `KernelCopy` never fault: what cannot be read is 0. They exist until `opt::reads` has
//!   chosen how to read; `bpf` does not accept them.
//! * Every instruction has a span: the script's text that it comes from.

use nettrace_grammar::Span;

use crate::artifact::MapId;
use crate::define_id;
use crate::index::IndexVec;

pub mod builder;
pub mod cfg;
pub mod helper;
pub mod interp;
pub mod machine;
pub mod parse;
mod print;
#[cfg(test)]
mod tests;
pub mod verify;
mod walk;

pub use builder::{FuncBuilder, Var};
pub use helper::Helper;

define_id!(
    /// A function of a module: a program, or a subprogram that programs call or pass as a callback.
    FuncId, "f"
);
define_id!(
    /// A basic block of a function.
    BlockId, "b"
);
define_id!(
    /// A value of a function.
    Value, "v"
);
define_id!(
    /// A piece of the eBPF stack frame.
    SlotId, "s"
);

/// All functions of one compilation.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Programs and subprograms.
    pub funcs: IndexVec<FuncId, Func>,
}

/// What a function is to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FuncKind {
    /// Attached by itself; parameter: the context.
    Program,
    /// Called, or passed to a helper as a callback.
    Subprogram,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Func {
    /// The ELF symbol: ASCII letters, digits and `_`.
    pub name: String,
    /// Program or subprogram.
    pub kind: FuncKind,
    /// Blocks; `b0` is the entry. Blocks may lie in any order and may be unreachable until `opt` removes them.
    pub blocks: IndexVec<BlockId, Block>,
    /// Where each value comes from.
    pub values: IndexVec<Value, ValueDef>,
    /// Stack slots.
    pub slots: IndexVec<SlotId, SlotData>,
    /// The whole probe.
    pub span: Span,
}

/// Where a value comes from; kept for passes that walk from uses to definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueDef {
    /// The n-th parameter of a block.
    Param(BlockId, u32),
    /// An instruction of this block.
    Inst(BlockId),
    /// Removed; nothing uses it.
    Removed,
}

/// A straight run of instructions.
#[derive(Clone, Debug)]
pub struct Block {
    /// Values that predecessors pass.
    pub params: Vec<Value>,
    /// In order.
    pub insts: Vec<Inst>,
    /// How it ends.
    pub term: Terminator,
    /// What the terminator comes from.
    pub term_span: Span,
}

/// An instruction with its result, if it has one.
#[derive(Clone, Debug)]
pub struct Inst {
    /// The result.
    pub result: Option<Value>,
    /// What it does.
    pub op: Op,
    /// What it comes from.
    pub span: Span,
}

/// A piece of stack.
#[derive(Clone, Debug)]
pub struct SlotData {
    /// Bytes.
    pub size: u32,
    /// 1, 2, 4 or 8.
    pub align: u32,
    /// What the script calls it, for the error when the frame is too large: `$name`, `key of @m`.
    pub what: String,
    /// Where the script asks for it.
    pub span: Span,
}

/// Width of a memory access, and how a narrow value becomes 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Named by sign and bits.
pub enum Mem {
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
}

impl Mem {
    /// The access of this many bytes (1, 2, 4 or 8; other widths have none).
    pub fn of(bytes: u32, signed: bool) -> Option<Mem> {
        Some(match (bytes, signed) {
            (1, false) => Mem::U8,
            (2, false) => Mem::U16,
            (4, false) => Mem::U32,
            (8, _) => Mem::U64,
            (1, true) => Mem::S8,
            (2, true) => Mem::S16,
            (4, true) => Mem::S32,
            _ => return None,
        })
    }

    /// Bytes read or written.
    pub fn bytes(self) -> u32 {
        match self {
            Mem::U8 | Mem::S8 => 1,
            Mem::U16 | Mem::S16 => 2,
            Mem::U32 | Mem::S32 => 4,
            Mem::U64 => 8,
        }
    }

    /// Whether a loaded value is sign-extended.
    pub fn signed(self) -> bool {
        matches!(self, Mem::S8 | Mem::S16 | Mem::S32)
    }
}

/// 64-bit arithmetic. `SDiv`/`SMod` truncate toward zero as in C; they are expanded before `bpf` (cpu v4's own
/// instructions need Linux 6.6). Division by 0 gives 0 and modulo by 0 the dividend, as the hardware defines;
/// `lower` guards where the language wants something else. Shift counts use their low six bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Named as in C and LLVM.
pub enum BinOp {
    Add,
    Sub,
    Mul,
    UDiv,
    SDiv,
    UMod,
    SMod,
    And,
    Or,
    Xor,
    Shl,
    LShr,
    AShr,
}

/// 64-bit comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Unsigned and signed as in LLVM.
pub enum Cond {
    Eq,
    Ne,
    ULt,
    ULe,
    UGt,
    UGe,
    SLt,
    SLe,
    SGt,
    SGe,
}

/// Which memory a pointer that is no eBPF memory points to, and how much the verifier knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Kernel memory the verifier knows the BTF type of (fentry arguments and what they lead to): plain loads.
    KernelTyped,
    /// Any kernel address.
    Kernel,
    /// An address of the current task's user memory.
    User,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A constant.
    Const(i64),
    /// Arithmetic.
    Binary(BinOp, Value, Value),
    /// 1 when it holds, else 0.
    Compare(Cond, Value, Value),
    /// The low bytes of a value, extended to 64 bits (`Mem::U64` is the value itself).
    Extend(Mem, Value),
    /// The low 2, 4 or 8 bytes in reverse order, zero-extended.
    SwapBytes(u8, Value),
    /// Address of a byte of a stack slot.
    SlotAddr(SlotId, u32),
    /// The map itself, as helpers take it.
    MapRef(MapId),
    /// Address of a byte of the only value of an array map with one entry.
    MapValue(MapId, u32),
    /// A subprogram as a callback.
    FuncRef(FuncId),
    /// Reads eBPF memory: context, stack, map value, ring record, typed kernel memory after `opt::reads`.
    Load {
        /// Width and sign.
        mem: Mem,
        /// Base address.
        ptr: Value,
        /// Bytes beyond it; fits 16 bits signed when it reaches `bpf`.
        off: i32,
    },
    /// Writes eBPF memory.
    Store {
        /// Width.
        mem: Mem,
        /// Base address.
        ptr: Value,
        /// Bytes beyond it.
        off: i32,
        /// What is written.
        value: Value,
    },
    /// Adds atomically to 4 or 8 bytes of map memory; the result, if any, is the old value.
    AtomicAdd {
        /// `U32` or `U64`.
        mem: Mem,
        /// Base address.
        ptr: Value,
        /// Bytes beyond it.
        off: i32,
        /// The addend.
        value: Value,
    },
    /// Sets eBPF memory to zero.
    Zero {
        /// Base address.
        ptr: Value,
        /// Bytes beyond it.
        off: i32,
        /// How many.
        size: u32,
    },
    /// Copies between eBPF memories that do not overlap. `align` (1, 2, 4, 8) holds for both addresses.
    Copy {
        /// Where to.
        dst: Value,
        /// Bytes beyond it.
        dst_off: i32,
        /// Where from.
        src: Value,
        /// Bytes beyond it.
        src_off: i32,
        /// How many.
        size: u32,
        /// Common alignment.
        align: u32,
    },
    /// Reads one value of kernel or user memory.
    KernelLoad {
        /// Width and sign.
        mem: Mem,
        /// Base address.
        base: Value,
        /// Bytes beyond it.
        off: i32,
        /// Whose memory.
        space: Space,
    },
    /// Copies kernel or user memory into eBPF memory.
    KernelCopy {
        /// Where to.
        dst: Value,
        /// Bytes beyond it.
        dst_off: i32,
        /// How many.
        size: u32,
        /// Base address.
        base: Value,
        /// Bytes beyond it.
        off: i32,
        /// Whose memory.
        space: Space,
    },
    /// Calls a helper of the kernel with at most five arguments.
    Call(Helper, Vec<Value>),
    /// Calls a kernel function by its BTF id in vmlinux.
    Kfunc(u32, Vec<Value>),
    /// Calls a subprogram.
    CallFunc(FuncId, Vec<Value>),
}

/// A block with the values for its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Where to.
    pub block: BlockId,
    /// One per parameter of that block.
    pub args: Vec<Value>,
}

/// How a block ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Terminator {
    /// Goes on elsewhere.
    Jump(Target),
    /// Goes to `then` when the value is not 0.
    Branch {
        /// The condition.
        cond: Value,
        /// Taken when it is not 0.
        then: Target,
        /// Taken when it is 0.
        otherwise: Target,
    },
    /// Leaves the function.
    Return(Value),
}
