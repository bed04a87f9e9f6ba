//! The shape of a function's control flow: predecessors, an order of blocks, dominators.
//!
//! In: a function whose terminators name existing blocks. Out: facts about it, valid until a terminator changes.

use super::{BlockId, Func};
use crate::index::Id;

/// Control-flow facts of one function.
#[derive(Debug)]
pub struct Cfg {
    /// Reachable blocks in reverse postorder: `b0` first; in a function without loops every block after its predecessors.
    pub order: Vec<BlockId>,
    /// For each block the blocks that end in a jump to it, each once, unreachable ones included.
    preds: Vec<Vec<BlockId>>,
    /// For each block its position in `order`.
    position: Vec<Option<u32>>,
    /// For each position in `order` the position of the immediate dominator; the entry has itself.
    idom: Vec<u32>,
}

impl Cfg {
    /// Walks the function once; time is linear apart from dominators, which take one more round per level of loop nesting.
    pub fn new(func: &Func) -> Cfg {
        let mut preds = vec![Vec::new(); func.blocks.len()];
        for (id, block) in func.blocks.iter_enumerated() {
            for succ in block.term.successors() {
                let list: &mut Vec<BlockId> = &mut preds[succ.index()];
                // A branch to one block both ways is one predecessor.
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        let order = reverse_postorder(func);
        let mut position = vec![None; func.blocks.len()];
        for (i, block) in order.iter().enumerate() {
            position[block.index()] = Some(i as u32);
        }
        let idom = dominators(&order, &preds, &position);
        Cfg {
            order,
            preds,
            position,
            idom,
        }
    }

    /// The blocks that may come directly before this one.
    pub fn preds(&self, block: BlockId) -> &[BlockId] {
        self.preds.get(block.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether control can come here.
    pub fn reachable(&self, block: BlockId) -> bool {
        self.position(block).is_some()
    }

    /// Its place in [`Cfg::order`], if it is reachable.
    pub fn position(&self, block: BlockId) -> Option<u32> {
        self.position.get(block.index()).copied().flatten()
    }

    /// The closest block that every way to this one passes; `None` for the entry and unreachable blocks.
    pub fn idom(&self, block: BlockId) -> Option<BlockId> {
        let position = self.position(block)?;
        if position == 0 {
            return None;
        }
        Some(self.order[self.idom[position as usize] as usize])
    }

    /// Whether every way to `b` passes `a`. An unreachable `b` is dominated by everything.
    pub fn dominates(&self, a: BlockId, b: BlockId) -> bool {
        let Some(mut at) = self.position(b) else {
            return true;
        };
        let Some(a) = self.position(a) else {
            return false;
        };
        // Dominators come earlier in the order.
        while at > a {
            at = self.idom[at as usize];
        }
        at == a
    }
}

/// Depth-first without recursion: scripts may nest deeply.
fn reverse_postorder(func: &Func) -> Vec<BlockId> {
    let mut order = Vec::with_capacity(func.blocks.len());
    let mut seen = vec![false; func.blocks.len()];
    let Some(first) = seen.first_mut() else {
        return order;
    };
    *first = true;
    // The successors of each block on the current way that are still to be visited, the last one first: what is visited
    // last comes first in the reverse order, so `then` follows its branch.
    let pending = |block: BlockId| func.blocks[block].term.successors().collect::<Vec<_>>();
    let mut way = vec![(BlockId(0), pending(BlockId(0)))];
    while let Some((block, rest)) = way.last_mut() {
        match rest.pop() {
            None => {
                order.push(*block);
                way.pop();
            }
            Some(next) => {
                if !std::mem::replace(&mut seen[next.index()], true) {
                    way.push((next, pending(next)));
                }
            }
        }
    }
    order.reverse();
    order
}

/// Cooper, Harvey and Kennedy: "A Simple, Fast Dominance Algorithm" (2001).
fn dominators(order: &[BlockId], preds: &[Vec<BlockId>], position: &[Option<u32>]) -> Vec<u32> {
    const NONE: u32 = u32::MAX;
    let mut idom = vec![NONE; order.len()];
    if let Some(first) = idom.first_mut() {
        *first = 0;
    }
    let mut changed = true;
    while changed {
        changed = false;
        for (at, block) in order.iter().enumerate().skip(1) {
            let mut new = NONE;
            for pred in preds[block.index()]
                .iter()
                .filter_map(|p| position[p.index()])
            {
                if idom[pred as usize] == NONE {
                    continue;
                }
                new = if new == NONE {
                    pred
                } else {
                    meet(&idom, new, pred)
                };
            }
            if idom[at] != new {
                idom[at] = new;
                changed = true;
            }
        }
    }
    idom
}

fn meet(idom: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        if a > b {
            a = idom[a as usize];
        } else {
            b = idom[b as usize];
        }
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::parse::parse_func;

    /// A loop (`b1`-`b2`) behind a diamond, and a block that nothing reaches.
    #[test]
    fn order_and_dominators() {
        let func = parse_func(
            "program \"f\"
             b0(v0):
               branch v0, b3, b4
             b1:
               branch v0, b2, b5
             b2:
               jump b1
             b3:
               jump b1
             b4:
               jump b1
             b5:
               ret v0
             b6:
               jump b5",
        )
        .unwrap();
        let cfg = Cfg::new(&func);
        let b = BlockId;
        assert_eq!(cfg.order, [b(0), b(3), b(4), b(1), b(2), b(5)]);
        assert_eq!(cfg.preds(b(1)), [b(2), b(3), b(4)]);
        assert_eq!(cfg.idom(b(1)), Some(b(0)), "the diamond's arms meet");
        assert_eq!(cfg.idom(b(5)), Some(b(1)));
        assert!(cfg.dominates(b(1), b(2)) && cfg.dominates(b(2), b(2)));
        assert!(!cfg.dominates(b(3), b(1)) && !cfg.dominates(b(2), b(5)));
        assert!(!cfg.reachable(b(6)));
        assert!(cfg.dominates(b(3), b(6)), "no way leads there at all");
    }
}
