//! Which registers are needed later.
//!
//! In: machine IR. Out: for each block the registers live at its end; within a block, walking backwards from there gives the
//! rest ([`step_back`]).

use std::collections::{BTreeSet, HashSet};

use super::mir::{MBlockId, MFunc, MInst, VReg};
use crate::index::Id;

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    /// An empty set for numbers below `len`.
    pub(crate) fn new(len: usize) -> BitSet {
        BitSet {
            words: vec![0; len.div_ceil(64)],
        }
    }

    pub(crate) fn insert(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.words
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Adds all of `other`; tells whether anything was new.
    pub(crate) fn union(&mut self, other: &BitSet) -> bool {
        let mut changed = false;
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            changed |= *more & !*word != 0;
            *word |= more;
        }
        changed
    }

    /// Its members in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(i * 64 + bit)
            })
        })
    }
}

/// What is live at the borders of blocks. Sparse: most registers live in one block only.
pub(crate) struct Liveness {
    live_in: Vec<BTreeSet<VReg>>,
    live_out: Vec<BTreeSet<VReg>>,
    regs: usize,
}

impl Liveness {
    /// Follows each register from its uses back to its definitions; time is that of the result's size.
    pub(crate) fn new(func: &MFunc) -> Liveness {
        let count = func.blocks.len();
        let mut preds = vec![Vec::new(); count];
        let mut defined: Vec<HashSet<VReg>> = Vec::with_capacity(count);
        let mut open: Vec<(MBlockId, VReg)> = Vec::new();
        for (id, block) in func.blocks.iter_enumerated() {
            for succ in block.term.successors() {
                preds[succ.index()].push(id);
            }
            let mut here = HashSet::new();
            for inst in &block.insts {
                inst.op.uses(|reg| {
                    if !here.contains(&reg) {
                        open.push((id, reg));
                    }
                });
                inst.op.defs(|reg| {
                    here.insert(reg);
                });
            }
            block.term.uses(|reg| {
                if !here.contains(&reg) {
                    open.push((id, reg));
                }
            });
            defined.push(here);
        }
        let mut liveness = Liveness {
            live_in: vec![BTreeSet::new(); count],
            live_out: vec![BTreeSet::new(); count],
            regs: func.regs as usize,
        };
        while let Some((block, reg)) = open.pop() {
            if !liveness.live_in[block.index()].insert(reg) {
                continue;
            }
            for &pred in &preds[block.index()] {
                liveness.live_out[pred.index()].insert(reg);
                if !defined[pred.index()].contains(&reg) {
                    open.push((pred, reg));
                }
            }
        }
        liveness
    }

    /// Whether the register is needed at the start of the block.
    pub(crate) fn is_live_in(&self, block: MBlockId, reg: VReg) -> bool {
        self.live_in[block.index()].contains(&reg)
    }

    /// Whether the register is needed at the end of the block, not counting what only its terminator reads.
    pub(crate) fn is_live_out(&self, block: MBlockId, reg: VReg) -> bool {
        self.live_out[block.index()].contains(&reg)
    }

    /// All registers that are needed at the end of the block, to walk back from.
    pub(crate) fn live_out(&self, block: MBlockId) -> BitSet {
        let mut live = BitSet::new(self.regs);
        for reg in &self.live_out[block.index()] {
            live.insert(reg.index());
        }
        live
    }
}

/// Turns what is live after an instruction into what is live before it.
pub(crate) fn step_back(live: &mut BitSet, inst: &MInst) {
    inst.op.defs(|reg: VReg| live.remove(reg.index()));
    inst.op.uses(|reg: VReg| live.insert(reg.index()));
}
