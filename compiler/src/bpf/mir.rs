//! The machine IR: eBPF instructions over virtual registers, between selection and encoding.
//!
//! Made by [`super::select`] (any number of registers, several writes to one allowed), changed by [`super::regalloc`] (machine
//! registers and spill slots only) and [`super::layout`] (fewer blocks and jumps), read by [`super::encode`]. Stack slots stay
//! symbolic until [`super::frame`] has placed them.

use std::fmt;

use nettrace_grammar::Span;

use super::insn::{Alu, Jump, Reg, Size};
use crate::artifact::MapId;
use crate::define_id;
use crate::index::{Id, IndexVec};
use crate::ir::{FuncId, Helper, SlotId};

define_id!(
    /// A block of the machine IR.
    #[allow(unreachable_pub)] // The macro makes public ids.
    MBlockId, "L"
);
define_id!(
    /// Eight bytes of stack that hold a spilled register.
    #[allow(unreachable_pub)]
    SpillId, "spill"
);

/// A register: numbers up to 10 are the machine's own, the others virtual.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VReg(pub(crate) u32);

/// The number of the first virtual register.
pub(crate) const FIRST_VIRTUAL: u32 = 11;

impl VReg {
    /// A machine register.
    pub(crate) const fn fixed(number: u8) -> VReg {
        VReg(number as u32)
    }

    /// Where calls and programs leave their result.
    pub(crate) const RESULT: VReg = VReg::fixed(0);

    /// The register of the n-th argument, from 0.
    pub(crate) fn argument(n: usize) -> VReg {
        VReg(n as u32 + 1)
    }

    pub(crate) fn is_fixed(self) -> bool {
        self.0 < FIRST_VIRTUAL
    }

    /// The machine register; the frame pointer stands in for a virtual one, which encoding never meets.
    pub(crate) fn machine(self) -> Reg {
        debug_assert!(self.is_fixed(), "{self} was not allocated");
        Reg(self.0.min(10) as u8)
    }
}

impl Id for VReg {
    fn new(index: usize) -> VReg {
        VReg(index as u32)
    }
    fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for VReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n < FIRST_VIRTUAL => write!(f, "r{n}"),
            n => write!(f, "%{}", n - FIRST_VIRTUAL),
        }
    }
}

impl fmt::Debug for VReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A register or a constant, which the machine extends by its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    Reg(VReg),
    Imm(i32),
}

/// What an address counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Base {
    Reg(VReg),
    Slot(SlotId),
    Spill(SpillId),
}

/// A value that can be made anywhere from nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Known {
    Imm(i64),
    Slot(SlotId, u32),
    Map(MapId),
    MapValue(MapId, u32),
    Func(FuncId),
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Callee {
    Helper(Helper),
    Kfunc(u32),
    Func(FuncId),
}

/// A machine instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MOp {
    /// Left by the register allocator where nothing is to be done.
    Nop,
    /// `dst = src`
    Mov { dst: VReg, src: VReg },
    /// `dst =` a constant or address.
    Def { dst: VReg, known: Known },
    /// `dst = dst op src`, on 64 bits or (not `wide`) on 32 with the upper half cleared.
    Alu {
        op: Alu,
        wide: bool,
        dst: VReg,
        src: Operand,
    },
    /// `dst =` the low 32 bits of `src`.
    Zext32 { dst: VReg, src: VReg },
    /// `dst =` its low `bits` in reverse byte order.
    Swap { dst: VReg, bits: u8 },
    /// `dst = lhs cond rhs`, 1 or 0. Three machine instructions; `dst` is written before the operands are read.
    SetIf {
        dst: VReg,
        cond: Jump,
        wide: bool,
        lhs: VReg,
        rhs: Operand,
    },
    /// `dst = *(size *)(base + off)`
    Load {
        size: Size,
        dst: VReg,
        base: Base,
        off: i32,
    },
    /// `*(size *)(base + off) = src`
    Store {
        size: Size,
        base: Base,
        off: i32,
        src: VReg,
    },
    /// `lock *(size *)(base + off) += src`; with `fetch`, `src` becomes the old value.
    AtomicAdd {
        size: Size,
        base: Base,
        off: i32,
        src: VReg,
        fetch: bool,
    },
    /// Reads `r1`… as many as there are `args`; leaves `r0`, destroys `r1`-`r5`.
    Call { callee: Callee, args: u8 },
}

/// An instruction with its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MInst {
    pub(crate) op: MOp,
    pub(crate) span: Span,
    /// Its number among the selected instructions; `None` when the register allocator added it.
    pub(crate) origin: Option<u32>,
}

/// How a block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MTerm {
    Jump(MBlockId),
    Branch {
        cond: Jump,
        wide: bool,
        lhs: VReg,
        rhs: Operand,
        then: MBlockId,
        otherwise: MBlockId,
    },
    /// Returns `r0`.
    Exit,
}

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct MBlock {
    pub(crate) insts: Vec<MInst>,
    pub(crate) term: MTerm,
    pub(crate) term_span: Span,
}

/// A function.
#[derive(Clone, Debug)]
pub(crate) struct MFunc {
    /// The first one is the entry.
    pub(crate) blocks: IndexVec<MBlockId, MBlock>,
    /// How many registers there are, the machine's included.
    pub(crate) regs: u32,
    /// How many arguments arrive in `r1`….
    pub(crate) params: u32,
    /// How many spill slots there are.
    pub(crate) spills: u32,
}

impl MOp {
    /// Calls `f` with each register that is read.
    pub(crate) fn uses(&self, mut f: impl FnMut(VReg)) {
        let mut copy = *self;
        copy.each_reg(|reg, role| {
            if role != Role::Def {
                f(*reg);
            }
        });
        if let MOp::Call { args, .. } = self {
            (0..usize::from(*args)).for_each(|n| f(VReg::argument(n)));
        }
    }

    /// Calls `f` with each register that is written or destroyed.
    pub(crate) fn defs(&self, mut f: impl FnMut(VReg)) {
        let mut copy = *self;
        copy.each_reg(|reg, role| {
            if role != Role::Use {
                f(*reg);
            }
        });
        if let MOp::Call { .. } = self {
            (0..=5).for_each(|n| f(VReg(n)));
        }
    }

    /// Calls `f` with each register that the instruction names, with its role. A call names none.
    pub(crate) fn each_reg(&mut self, mut f: impl FnMut(&mut VReg, Role)) {
        match self {
            MOp::Nop | MOp::Call { .. } => {}
            MOp::Mov { dst, src } | MOp::Zext32 { dst, src } => {
                f(src, Role::Use);
                f(dst, Role::Def);
            }
            MOp::Def { dst, .. } => f(dst, Role::Def),
            MOp::Alu { dst, src, .. } => {
                if let Operand::Reg(src) = src {
                    f(src, Role::Use);
                }
                f(dst, Role::Both);
            }
            MOp::Swap { dst, .. } => f(dst, Role::Both),
            MOp::SetIf { dst, lhs, rhs, .. } => {
                f(lhs, Role::Use);
                if let Operand::Reg(rhs) = rhs {
                    f(rhs, Role::Use);
                }
                f(dst, Role::Def);
            }
            MOp::Load { dst, base, .. } => {
                if let Base::Reg(base) = base {
                    f(base, Role::Use);
                }
                f(dst, Role::Def);
            }
            MOp::Store { base, src, .. } => {
                if let Base::Reg(base) = base {
                    f(base, Role::Use);
                }
                f(src, Role::Use);
            }
            MOp::AtomicAdd {
                base, src, fetch, ..
            } => {
                if let Base::Reg(base) = base {
                    f(base, Role::Use);
                }
                f(src, if *fetch { Role::Both } else { Role::Use });
            }
        }
    }

    /// The slot whose bytes it touches or whose address it makes.
    pub(crate) fn slot(&self) -> Option<SlotId> {
        match self {
            MOp::Def {
                known: Known::Slot(slot, _),
                ..
            } => Some(*slot),
            _ => match self.base() {
                Some(Base::Slot(slot)) => Some(slot),
                _ => None,
            },
        }
    }

    /// What its address counts from, if it has one.
    pub(crate) fn base(&self) -> Option<Base> {
        match self {
            MOp::Load { base, .. } | MOp::Store { base, .. } | MOp::AtomicAdd { base, .. } => {
                Some(*base)
            }
            _ => None,
        }
    }
}

/// What an instruction does with a register it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Use,
    Def,
    Both,
}

impl MTerm {
    /// Where it may go; what falls through or is jumped to is decided later.
    pub(crate) fn successors(&self) -> impl Iterator<Item = MBlockId> + use<> {
        let (a, b) = match self {
            MTerm::Jump(to) => (Some(*to), None),
            MTerm::Branch {
                then, otherwise, ..
            } => (Some(*then), Some(*otherwise)),
            MTerm::Exit => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// The same, changeable.
    pub(crate) fn successors_mut(&mut self) -> impl Iterator<Item = &mut MBlockId> {
        let (a, b) = match self {
            MTerm::Jump(to) => (Some(to), None),
            MTerm::Branch {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            MTerm::Exit => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// Calls `f` with each register that is read.
    pub(crate) fn uses(&self, mut f: impl FnMut(VReg)) {
        let mut copy = *self;
        copy.each_reg(|reg| f(*reg));
        if *self == MTerm::Exit {
            f(VReg::RESULT);
        }
    }

    /// Calls `f` with each register that it names.
    pub(crate) fn each_reg(&mut self, mut f: impl FnMut(&mut VReg)) {
        if let MTerm::Branch { lhs, rhs, .. } = self {
            f(lhs);
            if let Operand::Reg(rhs) = rhs {
                f(rhs);
            }
        }
    }
}
