//! Removes what nobody asks for: computations, block parameters, stores to stack slots that are never read, unused slots.
//!
//! Requires: a valid function. Changes: instructions, parameters and slot numbers. Preserves: effects and results. Cost: linear.

use super::blocks::{note_definitions, remove_params};
use crate::index::{Id, IndexVec};
use crate::ir::{Func, Op, SlotData, SlotId, Terminator, Value};

/// The pass.
pub fn run(func: &mut Func) {
    loop {
        remove_values(func);
        if !remove_stores(func) {
            break;
        }
    }
    remove_slots(func);
    note_definitions(func);
}

/// Keeps what effects, conditions and results need.
fn remove_values(func: &mut Func) {
    let live = live_values(func);
    for block in func.blocks.iter_mut() {
        block.insts.retain_mut(|inst| {
            let wanted = inst.result.is_none_or(|v| live[v.index()]);
            if let (false, Op::AtomicAdd { .. }) = (wanted, &inst.op) {
                // Cheaper without the old value.
                inst.result = None;
            }
            wanted || !inst.op.removable()
        });
    }
    remove_params(func, |param| !live[param.index()]);
}

fn live_values(func: &Func) -> Vec<bool> {
    let mut live = vec![false; func.values.len()];
    let mut todo = Vec::new();
    for block in func.blocks.iter() {
        for inst in block.insts.iter().filter(|inst| !inst.op.removable()) {
            inst.op.each_operand(|v| todo.push(v));
        }
        match &block.term {
            Terminator::Branch { cond: value, .. } | Terminator::Return(value) => todo.push(*value),
            Terminator::Jump(_) => {}
        }
    }
    let mut definitions = vec![None; func.values.len()];
    for inst in func.blocks.iter().flat_map(|block| &block.insts) {
        if let Some(result) = inst.result {
            definitions[result.index()] = Some(&inst.op);
        }
    }
    let args = arguments(func);
    while let Some(value) = todo.pop() {
        if std::mem::replace(&mut live[value.index()], true) {
            continue;
        }
        match definitions[value.index()] {
            Some(op) => op.each_operand(|v| todo.push(v)),
            None => todo.extend(args[value.index()].iter().copied()),
        }
    }
    live
}

/// For each parameter what jumps pass for it.
fn arguments(func: &Func) -> Vec<Vec<Value>> {
    let mut args = vec![Vec::new(); func.values.len()];
    for target in func.blocks.iter().flat_map(|block| block.term.targets()) {
        if let Some(to) = func.blocks.get(target.block) {
            for (param, &arg) in to.params.iter().zip(&target.args) {
                args[param.index()].push(arg);
            }
        }
    }
    args
}

/// Removes writes to slots that are only written. Whether there were any.
fn remove_stores(func: &mut Func) -> bool {
    let slots = slot_of_values(func);
    let mut read = vec![false; func.slots.len()];
    for block in func.blocks.iter() {
        for inst in &block.insts {
            let written = written_address(&inst.op);
            let mut first = true;
            inst.op.each_operand(|v| {
                let is_target = std::mem::take(&mut first) && written == Some(v);
                if let (false, Some(slot)) = (is_target, slots[v.index()]) {
                    read[slot.index()] = true;
                }
            });
        }
        block.term.each_operand(|v| {
            if let Some(slot) = slots[v.index()] {
                read[slot.index()] = true;
            }
        });
    }
    let mut changed = false;
    for block in func.blocks.iter_mut() {
        block.insts.retain(|inst| {
            let slot = written_address(&inst.op).and_then(|v| slots[v.index()]);
            let useless = slot.is_some_and(|slot| !read[slot.index()]);
            changed |= useless;
            !useless
        });
    }
    changed
}

/// The address of an instruction that only writes memory; its first operand.
fn written_address(op: &Op) -> Option<Value> {
    match op {
        Op::Store { ptr, .. } | Op::Zero { ptr, .. } => Some(*ptr),
        Op::Copy { dst, .. } | Op::KernelCopy { dst, .. } => Some(*dst),
        _ => None,
    }
}

/// The slot that a value is a direct address of.
pub(crate) fn slot_of_values(func: &Func) -> Vec<Option<SlotId>> {
    let mut slots = vec![None; func.values.len()];
    for inst in func.blocks.iter().flat_map(|block| &block.insts) {
        if let (Some(result), Op::SlotAddr(slot, _)) = (inst.result, &inst.op) {
            slots[result.index()] = Some(*slot);
        }
    }
    slots
}

fn remove_slots(func: &mut Func) {
    let mut used = vec![false; func.slots.len()];
    for inst in func.blocks.iter().flat_map(|block| &block.insts) {
        if let Op::SlotAddr(slot, _) = inst.op {
            used[slot.index()] = true;
        }
    }
    let mut kept: IndexVec<SlotId, SlotData> = IndexVec::new();
    let mut numbers = Vec::new();
    for (slot, used) in func.slots.iter().zip(used) {
        numbers.push(used.then(|| kept.push(slot.clone())));
    }
    func.slots = kept;
    for inst in func.blocks.iter_mut().flat_map(|block| &mut block.insts) {
        if let Op::SlotAddr(slot, _) = &mut inst.op
            && let Some(Some(number)) = numbers.get(slot.index())
        {
            *slot = *number;
        }
    }
}
