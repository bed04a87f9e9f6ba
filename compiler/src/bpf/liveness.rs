//! Which registers are needed later.
//!
//! In: machine IR. Out: for each block the registers live at its end; within a block, walking backwards from there gives the
//! rest ([`step_back`]). Plain backward data flow over bit sets, repeated until nothing changes: two rounds without loops.

use super::mir::{MBlockId, MFunc, MInst, VReg};
use crate::index::{Id, IndexVec};

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

/// What is live at the borders of blocks.
pub(crate) struct Liveness {
    /// At the start of each block.
    pub(crate) live_in: IndexVec<MBlockId, BitSet>,
    /// At the end of each block, before its terminator's own reads are counted.
    pub(crate) live_out: IndexVec<MBlockId, BitSet>,
}

/// Finds what is live at the borders of all blocks.
pub(crate) fn liveness(func: &MFunc) -> Liveness {
    let regs = func.regs as usize;
    let mut live_in: IndexVec<MBlockId, BitSet> =
        func.blocks.iter().map(|_| BitSet::new(regs)).collect();
    let mut live_out = live_in.clone();
    let mut changed = true;
    while changed {
        changed = false;
        for id in func.blocks.ids().rev() {
            let block = &func.blocks[id];
            for succ in block.term.successors() {
                live_out[id].union(&live_in[succ]);
            }
            let mut live = live_out[id].clone();
            block.term.uses(|reg| live.insert(reg.index()));
            for inst in block.insts.iter().rev() {
                step_back(&mut live, inst);
            }
            changed |= live_in[id].union(&live);
        }
    }
    Liveness { live_in, live_out }
}

/// Turns what is live after an instruction into what is live before it.
pub(crate) fn step_back(live: &mut BitSet, inst: &MInst) {
    inst.op.defs(|reg: VReg| live.remove(reg.index()));
    inst.op.uses(|reg: VReg| live.insert(reg.index()));
}
