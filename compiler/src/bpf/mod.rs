//! IR to eBPF bytecode.
//!
//! In: functions that pass [`crate::ir::verify`] for [`Stage::Bpf`](crate::ir::verify::Stage). Out: [`Code`] per function, or the
//! limit of eBPF that a function exceeds. Little-endian machines only. What a helper or map is, and where the code goes in an
//! object, is decided elsewhere: references are left as [`Reloc`]s.

use nettrace_grammar::Span;

use crate::artifact::MapId;
use crate::ir::FuncId;

pub mod insn;

pub use insn::Insn;

/// The finished bytecode of one function.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// Slots of 8 bytes; `ld_imm64` takes two.
    pub insns: Vec<Insn>,
    /// References to be filled in, in order of their slots.
    pub relocs: Vec<Reloc>,
    /// What each slot comes from; as long as `insns`.
    pub spans: Vec<Span>,
    /// Bytes of stack it uses, a multiple of 8, at most 512.
    pub stack_size: u32,
}

/// A reference to something outside the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloc {
    /// Index into [`Code::insns`]: the first slot of an `ld_imm64`, or a call.
    pub insn: usize,
    /// To what.
    pub target: RelocTarget,
}

/// What an instruction refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelocTarget {
    /// `ld_imm64` with `src` [`insn::pseudo::MAP_FD`].
    Map(MapId),
    /// `ld_imm64` with `src` [`insn::pseudo::MAP_VALUE`]; the second slot's `imm` holds the offset already.
    MapValue(MapId, u32),
    /// A call with `src` [`insn::pseudo::CALL`], or an `ld_imm64` with `src` [`insn::pseudo::FUNC`].
    Func(FuncId),
}

/// A limit of eBPF that the script exceeds: the user's problem, told with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// What to point at.
    pub span: Span,
    /// What is too large, in the script's words.
    pub message: String,
    /// What to do about it.
    pub help: String,
}
