//! Fewer blocks, fewer jumps, and an order in which most of them fall through.
//!
//! In: allocated code. Out: the same behaviour, and the order of blocks. Nothing jumps backward unless the script loops.
//! * instructions that do nothing go;
//! * a jump to a block that only jumps goes where that goes;
//! * blocks that do exactly the same become one (all `return`s, mostly), and so do equal ends of blocks that go on to the same
//!   place.

use std::collections::{BTreeMap, HashMap};

use super::insn::Jump;
use super::mir::*;
use crate::index::Id;

/// Cleans up and returns the order in which the blocks that are left are to stand.
pub(crate) fn arrange(func: &mut MFunc) -> Vec<MBlockId> {
    for block in func.blocks.iter_mut() {
        block.insts.retain(|inst| !does_nothing(&inst.op));
    }
    while thread(func) | merge_equal(func) || merge_tails(func) {}
    order(func)
}

fn does_nothing(op: &MOp) -> bool {
    match op {
        MOp::Nop => true,
        MOp::Mov { dst, src } => dst == src,
        _ => false,
    }
}

/// Leads jumps past blocks that only jump or exit; tells whether anything changed.
fn thread(func: &mut MFunc) -> bool {
    let mut changed = false;
    for id in func.blocks.ids() {
        let mut term = func.blocks[id].term;
        for succ in term.successors_mut() {
            *succ = final_target(func, *succ);
        }
        match term {
            MTerm::Branch {
                then, otherwise, ..
            } if then == otherwise => term = MTerm::Jump(then),
            // `exit` is as short as the jump to it.
            MTerm::Jump(to)
                if func.blocks[to].insts.is_empty() && func.blocks[to].term == MTerm::Exit =>
            {
                term = MTerm::Exit;
            }
            _ => {}
        }
        changed |= term != func.blocks[id].term;
        func.blocks[id].term = term;
    }
    changed
}

fn final_target(func: &MFunc, mut to: MBlockId) -> MBlockId {
    // Empty loops have no end; as many steps as there are blocks reach any other.
    for _ in 0..func.blocks.len() {
        match func.blocks[to].term {
            MTerm::Jump(next) if func.blocks[to].insts.is_empty() => to = next,
            _ => break,
        }
    }
    to
}

/// Leads jumps to the first of several equal blocks; tells whether anything changed.
fn merge_equal(func: &mut MFunc) -> bool {
    let mut first: HashMap<(Vec<MOp>, MTerm), MBlockId> = HashMap::new();
    let mut same: Vec<MBlockId> = Vec::with_capacity(func.blocks.len());
    for (id, block) in func.blocks.iter_enumerated() {
        let ops = block.insts.iter().map(|inst| inst.op).collect();
        same.push(*first.entry((ops, block.term)).or_insert(id));
    }
    let mut changed = false;
    for block in func.blocks.iter_mut() {
        for succ in block.term.successors_mut() {
            let to = same[succ.index()];
            changed |= to != *succ;
            *succ = to;
        }
    }
    changed
}

/// Gives the equal last instructions of blocks that go on to the same place a block of their own; tells whether anything changed.
fn merge_tails(func: &mut MFunc) -> bool {
    let mut groups: BTreeMap<usize, Vec<MBlockId>> = BTreeMap::new();
    let mut first: HashMap<(MOp, MTerm), usize> = HashMap::new();
    for id in order(func) {
        let block = &func.blocks[id];
        if let (Some(last), MTerm::Jump(_) | MTerm::Exit) = (block.insts.last(), block.term) {
            let number = first.len();
            let group = *first.entry((last.op, block.term)).or_insert(number);
            groups.entry(group).or_default().push(id);
        }
    }
    groups.retain(|_, group| group.len() > 1);
    for group in groups.values() {
        share_tail(func, group);
    }
    !groups.is_empty()
}

/// Lets all blocks of the group go on to one block that holds their longest common end.
fn share_tail(func: &mut MFunc, group: &[MBlockId]) {
    let [first, rest @ ..] = group else { return };
    let shared = rest.iter().fold(usize::MAX, |shared, id| {
        shared.min(common_tail(func, *first, *id))
    });
    // A block that is nothing but the shared end takes the others in.
    let whole = group
        .iter()
        .find(|id| func.blocks[**id].insts.len() == shared)
        .copied();
    let tail = whole.unwrap_or_else(|| {
        let mut tail = func.blocks[*first].clone();
        tail.insts.drain(..tail.insts.len() - shared);
        func.blocks.push(tail)
    });
    for &id in group.iter().filter(|id| **id != tail) {
        let block = &mut func.blocks[id];
        block.insts.truncate(block.insts.len() - shared);
        block.term = MTerm::Jump(tail);
    }
}

fn common_tail(func: &MFunc, a: MBlockId, b: MBlockId) -> usize {
    let [a, b] = [a, b].map(|id| func.blocks[id].insts.iter().rev());
    a.zip(b).take_while(|(a, b)| a.op == b.op).count()
}

/// Reverse postorder: each block after those that lead to it, and where there is a choice directly behind the one that falls
/// through to it.
fn order(func: &MFunc) -> Vec<MBlockId> {
    let mut order = Vec::new();
    let mut seen = vec![false; func.blocks.len()];
    let Some(first) = seen.first_mut() else {
        return order;
    };
    *first = true;
    let mut way = vec![(MBlockId(0), pending(func, MBlockId(0)))];
    while let Some((block, rest)) = way.last_mut() {
        match rest.pop() {
            None => {
                order.push(*block);
                way.pop();
            }
            Some(next) => {
                if !std::mem::replace(&mut seen[next.index()], true) {
                    way.push((next, pending(func, next)));
                }
            }
        }
    }
    order.reverse();
    order
}

/// The successors of a block; the first one, visited last, falls through.
fn pending(func: &MFunc, block: MBlockId) -> Vec<MBlockId> {
    let term = func.blocks[block].term;
    let mut successors: Vec<MBlockId> = term.successors().collect();
    // A bit test has no inverse: its `then` must be jumped to.
    if let MTerm::Branch {
        cond: Jump::Set, ..
    } = term
    {
        successors.reverse();
    }
    successors
}
