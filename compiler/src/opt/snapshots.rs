//! Struct variables: only the members that are read are copied.
//!
//! Requires: a valid function in which `lower` has copied whole records from kernel memory into stack slots. Changes: where a slot is
//! written by one such copy and otherwise only loaded from, behind the copy, each loaded piece becomes a read of kernel memory at the
//! place of the copy, and the copy and the slot go. Preserves: the moment at which memory is read (`$t = $p->tuple` is a
//! snapshot). [`super::merge`] joins the reads again. Cost: linear, apart from dominance tests.

use std::collections::HashMap;

use super::substitute;
use crate::index::Id;
use crate::ir::cfg::Cfg;
use crate::ir::{BlockId, Func, Inst, Mem, Op, SlotId, Space, Value, ValueDef};

/// More reads than this are not better than one copy.
const MAX_PIECES: usize = 16;

/// The copy that fills a slot, and the loads from it.
#[derive(Default)]
struct Uses {
    copies: Vec<(BlockId, usize)>,
    loads: Vec<(BlockId, usize)>,
    /// The address goes elsewhere.
    escapes: bool,
}

/// The pass.
pub fn run(func: &mut Func) {
    let cfg = Cfg::new(func);
    let mut done = Vec::new();
    for (slot, uses) in slot_uses(func, &cfg).into_iter().enumerate() {
        if let Some(pieces) = pieces(func, &cfg, &uses) {
            done.push((SlotId::new(slot), uses, pieces));
        }
    }
    // From the back, so that positions of copies in front stay valid.
    done.sort_by_key(|(_, uses, _)| std::cmp::Reverse(uses.copies.first().copied()));
    let mut forward = HashMap::new();
    for (_, uses, pieces) in done {
        if let Some(&at) = uses.copies.first() {
            split(func, at, &pieces, &mut forward);
        }
    }
    substitute(func, &forward);
    // The loads are dead now, and pure: `dead` removes them.
}

/// How each slot is used.
fn slot_uses(func: &Func, cfg: &Cfg) -> Vec<Uses> {
    let mut uses: Vec<Uses> = func.slots.iter().map(|_| Uses::default()).collect();
    let addresses = super::dead::slot_of_values(func);
    for &id in &cfg.order {
        let block = &func.blocks[id];
        for (n, inst) in block.insts.iter().enumerate() {
            match &inst.op {
                Op::Load { ptr, .. } => {
                    if let Some(slot) = addresses[ptr.index()] {
                        uses[slot.index()].loads.push((id, n));
                    }
                    continue;
                }
                Op::KernelCopy { dst, base, .. } => {
                    if let Some(slot) = addresses[dst.index()] {
                        uses[slot.index()].copies.push((id, n));
                    }
                    if let Some(slot) = addresses[base.index()] {
                        uses[slot.index()].escapes = true;
                    }
                    continue;
                }
                _ => {}
            }
            inst.op.each_operand(|v| {
                if let Some(slot) = addresses[v.index()] {
                    uses[slot.index()].escapes = true;
                }
            });
        }
        block.term.each_operand(|v| {
            if let Some(slot) = addresses[v.index()] {
                uses[slot.index()].escapes = true;
            }
        });
    }
    uses
}

/// One width at one offset of the copied memory, with the loads that become it.
struct Piece {
    mem: Mem,
    off: i32,
    loads: Vec<Value>,
}

/// What is read of the copy; `None` when the slot is used in another way.
fn pieces(func: &Func, cfg: &Cfg, uses: &Uses) -> Option<Vec<Piece>> {
    let ([copy], false) = (uses.copies.as_slice(), uses.escapes) else {
        return None;
    };
    let Op::KernelCopy {
        dst,
        dst_off,
        size,
        off,
        ..
    } = inst(func, *copy)?.op
    else {
        return None;
    };
    let start = i64::from(slot_offset(func, dst)?) + i64::from(dst_off);
    let mut pieces: Vec<Piece> = Vec::new();
    for load in &uses.loads {
        if !(cfg.dominates(copy.0, load.0) && (copy.0 != load.0 || copy.1 < load.1)) {
            return None;
        }
        let Inst {
            result: Some(result),
            op: Op::Load { mem, ptr, off: at },
            ..
        } = inst(func, *load)?
        else {
            return None;
        };
        let from = i64::from(slot_offset(func, *ptr)?) + i64::from(*at) - start;
        if from < 0 || from + i64::from(mem.bytes()) > i64::from(size) {
            return None;
        }
        let from = off.checked_add(i32::try_from(from).ok()?)?;
        match pieces.iter_mut().find(|p| (p.mem, p.off) == (*mem, from)) {
            Some(piece) => piece.loads.push(*result),
            None => pieces.push(Piece {
                mem: *mem,
                off: from,
                loads: vec![*result],
            }),
        }
    }
    (pieces.len() <= MAX_PIECES).then_some(pieces)
}

fn inst(func: &Func, at: (BlockId, usize)) -> Option<&Inst> {
    func.blocks.get(at.0)?.insts.get(at.1)
}

fn slot_offset(func: &Func, address: Value) -> Option<u32> {
    let ValueDef::Inst(block) = func.values[address] else {
        return None;
    };
    let block = func.blocks.get(block)?;
    let inst = block.insts.iter().find(|i| i.result == Some(address))?;
    match inst.op {
        Op::SlotAddr(_, off) => Some(off),
        _ => None,
    }
}

/// Replaces the copy by reads.
fn split(
    func: &mut Func,
    at: (BlockId, usize),
    pieces: &[Piece],
    forward: &mut HashMap<Value, Value>,
) {
    let Some(Inst {
        op: Op::KernelCopy { base, space, .. },
        span,
        ..
    }) = inst(func, at).cloned()
    else {
        return;
    };
    let mut reads = Vec::new();
    for piece in pieces {
        let value = func.values.push(ValueDef::Inst(at.0));
        for load in &piece.loads {
            forward.insert(*load, value);
        }
        reads.push(Inst {
            result: Some(value),
            op: Op::KernelLoad {
                mem: piece.mem,
                base,
                off: piece.off,
                space: match space {
                    Space::User => Space::User,
                    _ => Space::Kernel,
                },
            },
            span,
        });
    }
    func.blocks[at.0].insts.splice(at.1..=at.1, reads);
}
