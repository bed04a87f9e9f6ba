//! Removes unreachable blocks, joins blocks in a row, shortens ways through empty blocks.
//!
//! Requires: a valid function. Changes: the control-flow graph and block numbers; block parameters that get the same value from
//! everywhere become that value. Preserves: every instruction that can be executed, and their order. Cost: linear per round; few
//! rounds.

use std::collections::HashMap;

use super::{resolve, substitute};
use crate::index::{Id, IndexVec};
use crate::ir::cfg::Cfg;
use crate::ir::{Block, BlockId, Func, Target, Terminator, Value, ValueDef};

/// The pass. Whether it changed anything.
pub fn run(func: &mut Func) -> bool {
    let mut changed = false;
    loop {
        let mut round = same_targets(func);
        round |= skip_empty(func);
        round |= drop_unreachable(func);
        round |= forward_params(func);
        round |= join_rows(func);
        if !round {
            return changed;
        }
        changed = true;
    }
}

/// A branch whose ways lead to the same place is none.
fn same_targets(func: &mut Func) -> bool {
    let mut changed = false;
    for block in func.blocks.iter_mut() {
        if let Terminator::Branch {
            then, otherwise, ..
        } = &block.term
            && then == otherwise
        {
            block.term = Terminator::Jump(then.clone());
            changed = true;
        }
    }
    changed
}

/// Jumps to a block that only jumps on go there directly.
fn skip_empty(func: &mut Func) -> bool {
    let mut used_elsewhere = vec![false; func.values.len()];
    for (id, block) in func.blocks.iter_enumerated() {
        let own = |v: Value| {
            func.values
                .get(v)
                .is_some_and(|d| matches!(d, ValueDef::Param(b, _) if *b == id))
        };
        let mut note = |v: Value| {
            if !own(v) {
                used_elsewhere[v.index()] = true;
            }
        };
        for inst in &block.insts {
            inst.op.each_operand(&mut note);
        }
        block.term.each_operand(&mut note);
    }
    // Where each empty block leads, in terms of its parameters.
    let mut leads: HashMap<BlockId, (Vec<Value>, Target)> = HashMap::new();
    for (id, block) in func.blocks.iter_enumerated().skip(1) {
        if let (true, Terminator::Jump(target)) = (block.insts.is_empty(), &block.term)
            && target.block != id
            && block.params.iter().all(|p| !used_elsewhere[p.index()])
        {
            leads.insert(id, (block.params.clone(), target.clone()));
        }
    }
    let mut changed = false;
    for (id, block) in func.blocks.iter_mut().enumerate() {
        for target in block.term.targets_mut() {
            if target.block.index() == id {
                continue;
            }
            let Some((params, next)) = leads.get(&target.block) else {
                continue;
            };
            let given: HashMap<Value, Value> = params
                .iter()
                .copied()
                .zip(target.args.iter().copied())
                .filter(|(param, arg)| param != arg)
                .collect();
            let args = next
                .args
                .iter()
                .map(|arg| given.get(arg).copied().unwrap_or(*arg))
                .collect();
            *target = Target {
                block: next.block,
                args,
            };
            changed = true;
        }
    }
    changed
}

/// Removes what nothing reaches and renumbers the rest in reverse postorder.
fn drop_unreachable(func: &mut Func) -> bool {
    let cfg = Cfg::new(func);
    let in_place = cfg.order.len() == func.blocks.len()
        && cfg.order.iter().enumerate().all(|(i, b)| b.index() == i);
    if in_place {
        return false;
    }
    let number = |block: BlockId| cfg.position(block).map(BlockId);
    let mut blocks: IndexVec<BlockId, Block> = IndexVec::new();
    for &id in &cfg.order {
        let mut block = func.blocks[id].clone();
        for target in block.term.targets_mut() {
            target.block = number(target.block).unwrap_or(target.block);
        }
        blocks.push(block);
    }
    func.blocks = blocks;
    note_definitions(func);
    true
}

/// Writes down anew where each value is defined.
pub(crate) fn note_definitions(func: &mut Func) {
    for def in func.values.iter_mut() {
        *def = ValueDef::Removed;
    }
    for (id, block) in func.blocks.iter_enumerated() {
        for (n, &param) in block.params.iter().enumerate() {
            func.values[param] = ValueDef::Param(id, n as u32);
        }
        for result in block.insts.iter().filter_map(|inst| inst.result) {
            func.values[result] = ValueDef::Inst(id);
        }
    }
}

/// Replaces parameters that get one value only.
fn forward_params(func: &mut Func) -> bool {
    let mut incoming: HashMap<Value, Vec<Value>> = HashMap::new();
    for block in func.blocks.iter() {
        for target in block.term.targets() {
            let Some(to) = func.blocks.get(target.block) else {
                continue;
            };
            for (&param, &arg) in to.params.iter().zip(&target.args) {
                incoming.entry(param).or_default().push(arg);
            }
        }
    }
    let mut forward = HashMap::new();
    for block in func.blocks.iter().skip(1) {
        for &param in &block.params {
            let mut only = None;
            let args = incoming.get(&param).map_or(&[][..], Vec::as_slice);
            let single = args.iter().all(|&arg| {
                let arg = resolve(&forward, arg);
                arg == param || *only.get_or_insert(arg) == arg
            });
            if let (true, Some(only)) = (single, only) {
                forward.insert(param, only);
            }
        }
    }
    if forward.is_empty() {
        return false;
    }
    remove_params(func, |param| forward.contains_key(&param));
    substitute(func, &forward);
    note_definitions(func);
    true
}

/// Removes parameters and the arguments for them.
pub(crate) fn remove_params(func: &mut Func, gone: impl Fn(Value) -> bool) {
    let keep: Vec<Vec<bool>> = func
        .blocks
        .iter()
        .map(|block| block.params.iter().map(|&p| !gone(p)).collect())
        .collect();
    for (n, block) in func.blocks.iter_mut().enumerate() {
        if n > 0 {
            retain(&mut block.params, &keep[n]);
        }
        for target in block.term.targets_mut() {
            if let Some(keep) = keep.get(target.block.index()) {
                retain(&mut target.args, keep);
            }
        }
    }
}

fn retain(values: &mut Vec<Value>, keep: &[bool]) {
    let mut n = 0;
    values.retain(|_| {
        n += 1;
        keep.get(n - 1).copied().unwrap_or(true)
    });
}

/// Appends blocks to the only one that leads to them.
fn join_rows(func: &mut Func) -> bool {
    let cfg = Cfg::new(func);
    let mut changed = false;
    // The last block of a row first, so that the one in front takes the whole row.
    for &id in cfg.order.iter().rev() {
        let Terminator::Jump(target) = &func.blocks[id].term else {
            continue;
        };
        let next = target.block;
        let only = next != id && next.index() != 0 && cfg.preds(next) == [id];
        if !only || !func.blocks[next].params.is_empty() {
            continue;
        }
        // Nothing reaches it any more; the next round removes it.
        let unreachable = Block {
            params: Vec::new(),
            insts: Vec::new(),
            term: Terminator::Jump(Target {
                block: next,
                args: Vec::new(),
            }),
            term_span: func.span,
        };
        let moved = std::mem::replace(&mut func.blocks[next], unreachable);
        let block = &mut func.blocks[id];
        block.insts.extend(moved.insts);
        block.term = moved.term;
        block.term_span = moved.term_span;
        changed = true;
    }
    if changed {
        note_definitions(func);
    }
    changed
}
