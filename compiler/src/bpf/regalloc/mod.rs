//! Register allocation: virtual registers become `r0`-`r9` and spill slots.
//!
//! In: selected machine IR. Out: the same with machine registers only; what was added has no `origin`, what is no longer
//! needed is a `Nop`, so that [`super::check`] can compare both.
//!
//! Theory: graph colouring with iterated coalescing (George and Appel, "Iterated Register Coalescing", 1996). Two registers
//! interfere when one is written while the other is live; neighbours get different machine registers. Moves around calls and
//! joins are merged as long as that cannot make the graph harder to colour, so arguments are mostly computed where the call
//! wants them. A call writes `r0`-`r5`: what lives across it interferes with them and is left with `r6`-`r9`. See [`graph`].
//!
//! What finds no colour is *spilled* ([`spill`]) and the whole is tried again. A value that can be made from nothing (constant,
//! address of a slot or map) is made again at each use. Any other lives in eight bytes of stack; between two calls it is
//! loaded once and kept in a fresh register, and stored after its last change. Only when such a piece finds no colour either is
//! it cut down to single uses, which always fit. Whole, aligned registers are stored, so the verifier follows pointers through.

mod graph;
mod spill;

use super::mir::*;
use crate::index::Id;
use graph::Outcome;
use spill::Homes;

/// The registers that may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    /// `r0`-`r5` and as many of `r6`-`r9`.
    pub(crate) callee_saved: u8,
}

impl Registers {
    /// How many there are.
    pub(crate) fn count(self) -> usize {
        6 + usize::from(self.callee_saved.min(4))
    }
}

/// After this many rounds pieces of spilled registers are single uses at once, so that the rounds come to an end.
const PATIENCE: u32 = 6;
/// Every round after that takes at least one long-lived register away.
const ROUNDS: u32 = 1000;

/// Allocates all registers. `None` is a bug: single uses did not fit.
pub(crate) fn allocate(mut func: MFunc, registers: Registers) -> Option<MFunc> {
    let mut homes = Homes::default();
    for round in 0..ROUNDS {
        match graph::colour(&func, registers.count(), &homes) {
            Outcome::Coloured(colours) => {
                rename(&mut func, |reg| {
                    colours.get(reg.index()).copied().unwrap_or(reg)
                });
                func.regs = FIRST_VIRTUAL;
                return Some(func);
            }
            Outcome::Spilled { alias, spilled } => {
                rename(&mut func, |reg| {
                    alias.get(reg.index()).copied().unwrap_or(reg)
                });
                spill::spill(&mut func, &spilled, &mut homes, round >= PATIENCE);
            }
            Outcome::Stuck => return None,
        }
    }
    None
}

/// Puts other registers in place of all named ones; a move of a register to itself becomes a `Nop`.
fn rename(func: &mut MFunc, to: impl Fn(VReg) -> VReg) {
    for block in func.blocks.iter_mut() {
        for inst in &mut block.insts {
            inst.op.each_reg(|reg, _| *reg = to(*reg));
            if let MOp::Mov { dst, src } = inst.op
                && dst == src
            {
                inst.op = MOp::Nop;
            }
        }
        block.term.each_reg(|reg| *reg = to(*reg));
    }
}
