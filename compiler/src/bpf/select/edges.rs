//! Block parameters become moves.
//!
//! The moves of one edge happen at once: `b1(v2, v1)` swaps. They are put in an order in which no register is overwritten
//! before it is read; a cycle is broken by a copy. Where they stand: at the end of a block with one successor, at the start of
//! a block with one predecessor, else in a block of their own.

use super::*;
use crate::ir::Target;

/// Where a parameter gets its value from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Reg(VReg),
    Known(Known),
}

impl Select<'_> {
    /// What this edge moves. Parameters that nobody reads get nothing.
    pub(super) fn edge_moves(&mut self, position: usize, target: &Target) -> Vec<(VReg, Source)> {
        let func = self.func;
        // A block that comes earlier has not been selected yet: what it needs is not known.
        let backward = self.cfg.position(target.block) <= Some(position as u32);
        let params = &func.blocks[target.block].params;
        let mut moves = Vec::new();
        for (&param, &arg) in params.iter().zip(&target.args) {
            if !backward && !self.demanded(param) {
                continue;
            }
            let dst = self.reg_of(param);
            let source = match self.known(arg) {
                Some(known) => Source::Known(known),
                None => Source::Reg(self.reg_of(arg)),
            };
            moves.push((dst, source));
        }
        moves
    }

    /// Where a branch jumps to for this edge.
    pub(super) fn edge(&mut self, position: usize, target: &Target, both: bool) -> MBlockId {
        let to = self.block_id(target.block);
        let moves = self.edge_moves(position, target);
        if moves.is_empty() {
            return to;
        }
        let outer = std::mem::take(&mut self.out);
        self.parallel_moves(&moves);
        let insts = std::mem::replace(&mut self.out, outer);
        if self.cfg.preds(target.block).len() == 1 && !both {
            self.blocks[to].insts.splice(0..0, insts);
            return to;
        }
        self.blocks.push(MBlock {
            insts,
            term: MTerm::Jump(to),
            term_span: self.span,
        })
    }

    /// Moves that happen at once, in an order that keeps all sources intact.
    pub(super) fn parallel_moves(&mut self, moves: &[(VReg, Source)]) {
        let mut open: Vec<(VReg, VReg)> = moves
            .iter()
            .filter_map(|&(dst, source)| match source {
                Source::Reg(src) if src != dst => Some((dst, src)),
                _ => None,
            })
            .collect();
        while !open.is_empty() {
            let free = open
                .iter()
                .position(|&(dst, _)| open.iter().all(|&(_, src)| src != dst));
            match free {
                Some(at) => {
                    let (dst, src) = open.swap_remove(at);
                    self.emit(MOp::Mov { dst, src });
                }
                // Only cycles are left: read one register from a copy, then it may be overwritten.
                None => {
                    let (_, src) = open[0];
                    let copy = self.fresh();
                    self.emit(MOp::Mov { dst: copy, src });
                    for (_, other) in &mut open {
                        if *other == src {
                            *other = copy;
                        }
                    }
                }
            }
        }
        for &(dst, source) in moves {
            if let Source::Known(known) = source {
                self.emit(MOp::Def { dst, known });
            }
        }
    }
}
