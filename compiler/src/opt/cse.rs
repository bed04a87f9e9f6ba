//! Computes the same thing once.
//!
//! Requires: a valid function. Changes: repeated computations, including repeated reads of kernel memory and helpers that give the same
//! value throughout a run, become uses of the first one, where that dominates. Preserves: control flow. What the kernel changes
//! between two reads of the same field is not seen: a run lasts microseconds and a script has no means to wait. Loads of the context
//! are included (nobody writes it), loads of other eBPF memory are not. Cost: linear in instructions times dominator depth.

use std::collections::HashMap;

use super::{resolve, substitute};
use crate::artifact::MapId;
use crate::index::Id;
use crate::ir::cfg::Cfg;
use crate::ir::helper::Effect;
use crate::ir::{
    BinOp, BlockId, Cond, Func, FuncId, FuncKind, Helper, Mem, Op, SlotId, Space, Value,
};

/// What is computed, with operands already replaced.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Const(i64),
    Binary(BinOp, Value, Value),
    Compare(Cond, Value, Value),
    Extend(Mem, Value),
    Swap(u8, Value),
    Slot(SlotId, u32),
    Map(MapId),
    MapValue(MapId, u32),
    Func(FuncId),
    Context(Mem, i32),
    Read(Mem, Value, i32, Space),
    Call(Helper, Vec<Value>),
}

/// The pass.
pub fn run(func: &mut Func) {
    let cfg = Cfg::new(func);
    let context = match (func.kind, func.blocks.get(BlockId(0))) {
        (FuncKind::Program, Some(entry)) => entry.params.first().copied(),
        _ => None,
    };
    let mut known: HashMap<Key, Vec<(BlockId, Value)>> = HashMap::new();
    let mut forward: HashMap<Value, Value> = HashMap::new();
    for &id in &cfg.order {
        let insts = std::mem::take(&mut func.blocks[id].insts);
        let mut kept = Vec::with_capacity(insts.len());
        for mut inst in insts {
            inst.op.each_operand_mut(|v| *v = resolve(&forward, *v));
            if let (Some(result), Some(key)) = (inst.result, key(&inst.op, context)) {
                let found = known.entry(key).or_default();
                let earlier = found.iter().find(|(at, _)| cfg.dominates(*at, id));
                if let Some((_, earlier)) = earlier {
                    forward.insert(result, *earlier);
                    func.values[result] = crate::ir::ValueDef::Removed;
                    continue;
                }
                found.push((id, result));
            }
            kept.push(inst);
        }
        func.blocks[id].insts = kept;
    }
    substitute(func, &forward);
}

fn key(op: &Op, context: Option<Value>) -> Option<Key> {
    Some(match op {
        Op::Const(n) => Key::Const(*n),
        Op::Binary(op, a, b) => {
            let (a, b) = match commutes(*op) {
                true => ordered(*a, *b),
                false => (*a, *b),
            };
            Key::Binary(*op, a, b)
        }
        Op::Compare(cond, a, b) => {
            let (a, b) = match cond {
                Cond::Eq | Cond::Ne => ordered(*a, *b),
                _ => (*a, *b),
            };
            Key::Compare(*cond, a, b)
        }
        Op::Extend(mem, a) => Key::Extend(*mem, *a),
        Op::SwapBytes(bytes, a) => Key::Swap(*bytes, *a),
        Op::SlotAddr(slot, off) => Key::Slot(*slot, *off),
        Op::MapRef(map) => Key::Map(*map),
        Op::MapValue(map, off) => Key::MapValue(*map, *off),
        Op::FuncRef(func) => Key::Func(*func),
        Op::Load { mem, ptr, off } if Some(*ptr) == context => Key::Context(*mem, *off),
        Op::KernelLoad {
            mem,
            base,
            off,
            space,
        } => Key::Read(*mem, *base, *off, *space),
        Op::Call(helper, args) if helper.effect() == Effect::Pure => {
            Key::Call(*helper, args.clone())
        }
        _ => return None,
    })
}

fn commutes(op: BinOp) -> bool {
    matches!(
        op,
        BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor
    )
}

fn ordered(a: Value, b: Value) -> (Value, Value) {
    if a.index() <= b.index() {
        (a, b)
    } else {
        (b, a)
    }
}
