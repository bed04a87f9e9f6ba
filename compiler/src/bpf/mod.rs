//! IR to eBPF bytecode.
//!
//! In: functions that pass [`crate::ir::verify`] for [`Stage::Bpf`](crate::ir::verify::Stage). Out: [`Code`] per function, or the
//! limit of eBPF that a function exceeds. Little-endian machines only. What a helper or map is, and where the code goes in an
//! object, is decided elsewhere: references are left as [`Reloc`]s.

//!
//! The passes, in order: [`select`] (instructions over virtual registers), [`regalloc`], [`frame`] (stack offsets), [`layout`]
//! (order of blocks), [`encode`]. In debug builds and tests [`check`] proves every allocation.

use nettrace_grammar::Span;

use crate::artifact::MapId;
use crate::index::IndexVec;
use crate::ir::{Func, FuncId, Module, Op};

mod check;
pub mod disasm;
mod encode;
mod frame;
pub mod insn;
pub mod interp;
mod layout;
mod liveness;
mod mir;
mod regalloc;
mod select;
#[cfg(test)]
mod tests;

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

/// Which limit of eBPF a script exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// 512 bytes of stack.
    Stack,
    /// 16 bits for the distance of a jump.
    Length,
    /// Registers; that there are too few for a single instruction is nettrace's own fault.
    Registers,
}

/// A limit of eBPF that the script exceeds: the user's problem, told with a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// Which.
    pub limit: Limit,
    /// What to point at.
    pub span: Span,
    /// What is too large, in the script's words.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Compiles one function.
pub fn emit(func: &Func) -> Result<Code, LimitError> {
    emit_with(func, 4)
}

/// Compiles all functions. All errors are reported, also that a function and what it calls need too much stack together.
pub fn emit_module(module: &Module) -> Result<IndexVec<FuncId, Code>, Vec<LimitError>> {
    let mut codes = IndexVec::new();
    let mut errors = Vec::new();
    for func in module.funcs.iter() {
        match emit(func) {
            Ok(code) => {
                codes.push(code);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        check_call_depth(module, &codes, &mut errors);
    }
    if errors.is_empty() {
        Ok(codes)
    } else {
        Err(errors)
    }
}

/// [`emit`] with only so many of the four registers that calls preserve: for tests, more values must be spilled.
pub fn emit_with(func: &Func, callee_saved: u8) -> Result<Code, LimitError> {
    let registers = regalloc::Registers { callee_saved };
    let selected = select::select(func);
    let Some(mut allocated) = regalloc::allocate(selected.clone(), registers) else {
        return Err(LimitError {
            limit: Limit::Registers,
            span: func.span,
            message: "this probe uses more values at a time than nettrace can place in registers".to_string(),
            help: "this is a limit of nettrace; please report the script. Splitting the probe in two helps".to_string(),
        });
    };
    if cfg!(debug_assertions)
        && let Err(error) = check::check(&selected, &allocated)
    {
        panic!(
            "bug in register allocation of {}: {error}\n{func}",
            func.name
        );
    }
    let frame = frame::place(func, &selected, &allocated)?;
    let order = layout::arrange(&mut allocated);
    encode::encode(&allocated, &order, &frame)
}

/// The kernel counts the stack of a function together with that of all callers, each rounded up to 32 bytes.
fn check_call_depth(module: &Module, codes: &IndexVec<FuncId, Code>, errors: &mut Vec<LimitError>) {
    let own = |id: FuncId| codes[id].stack_size.max(1).next_multiple_of(32);
    let callees = |id: FuncId| -> Vec<FuncId> {
        let insts = module.funcs[id].blocks.iter().flat_map(|b| &b.insts);
        let called = insts.filter_map(|inst| match inst.op {
            Op::CallFunc(to, _) | Op::FuncRef(to) => Some(to),
            _ => None,
        });
        called.collect()
    };
    // The kernel allows eight frames; deeper chains, and recursion, are refused there.
    const FRAMES: usize = 8;
    for (id, func) in module.funcs.iter_enumerated() {
        let mut deepest = own(id);
        let mut level = vec![(id, own(id))];
        for _ in 1..FRAMES {
            let next = level.iter().flat_map(|&(caller, depth)| {
                callees(caller).into_iter().map(move |to| (to, depth))
            });
            level = next.map(|(to, depth)| (to, depth + own(to))).collect();
            level.sort_unstable();
            level.dedup();
            deepest = level.iter().map(|l| l.1).fold(deepest, u32::max);
        }
        if func.kind == crate::ir::FuncKind::Program && deepest > frame::STACK_SIZE {
            errors.push(LimitError {
                limit: Limit::Stack,
                span: func.span,
                message: format!(
                    "this probe and the loops in it need {deepest} bytes of stack, eBPF has {}",
                    frame::STACK_SIZE
                ),
                help: "use shorter strings or fewer key parts inside loops".to_string(),
            });
        }
    }
}
