//! Simpler instructions for the same values.
//!
//! Requires: a valid function. Changes: instructions in place, and branches whose outcome is known. Constants are folded with the IR's
//! own arithmetic ([`crate::ir::interp`]), so folding and running agree. Preserves: the control-flow graph otherwise; what has become unused is
//! left for `dead`. Cost: linear per call; a caller repeats it after passes that open new chances.

use std::collections::HashMap;

use super::{Defs, resolve, substitute};
use crate::ir::cfg::Cfg;
use crate::ir::{BinOp, Cond, Func, Inst, Op, Target, Terminator, Value, ValueDef};

mod algebra;
mod bits;

/// What an instruction turns out to be.
pub(crate) enum Simpler {
    /// Another value.
    Same(Value),
    /// Another instruction.
    Op(Op),
    /// An instruction with this constant as its right operand.
    WithConst(BinOp, Value, i64),
    /// A comparison with a constant.
    CompareConst(Cond, Value, i64),
}

/// The pass.
pub fn run(func: &mut Func) {
    let cfg = Cfg::new(func);
    let mut defs = Defs::new(func);
    let mut forward: HashMap<Value, Value> = HashMap::new();
    for &id in &cfg.order {
        let insts = std::mem::take(&mut func.blocks[id].insts);
        let mut out: Vec<Inst> = Vec::with_capacity(insts.len());
        for mut inst in insts {
            inst.op.each_operand_mut(|v| *v = resolve(&forward, *v));
            let Some(result) = inst.result else {
                out.push(inst);
                continue;
            };
            // Each step makes the instruction smaller in some measure; the bound is against mistakes in that.
            for _ in 0..8 {
                let constant = |out: &mut Vec<Inst>, func: &mut Func, defs: &mut Defs, n| {
                    let value = func.values.push(ValueDef::Inst(id));
                    defs.set(value, Op::Const(n));
                    out.push(Inst {
                        result: Some(value),
                        op: Op::Const(n),
                        span: inst.span,
                    });
                    value
                };
                match algebra::simpler(&defs, &inst.op) {
                    None => break,
                    Some(Simpler::Same(value)) => {
                        forward.insert(result, value);
                        break;
                    }
                    Some(Simpler::Op(op)) => inst.op = op,
                    Some(Simpler::WithConst(op, a, n)) => {
                        let n = constant(&mut out, func, &mut defs, n);
                        inst.op = Op::Binary(op, a, n);
                    }
                    Some(Simpler::CompareConst(cond, a, n)) => {
                        let n = constant(&mut out, func, &mut defs, n);
                        inst.op = Op::Compare(cond, a, n);
                    }
                }
            }
            defs.set(result, inst.op.clone());
            if forward.contains_key(&result) {
                func.values[result] = ValueDef::Removed;
            } else {
                out.push(inst);
            }
        }
        func.blocks[id].insts = out;
    }
    substitute(func, &forward);
    for block in func.blocks.iter_mut() {
        terminator(&defs, &mut block.term);
    }
}

/// A branch on what is known, or on the opposite of something.
fn terminator(defs: &Defs, term: &mut Terminator) {
    while let Terminator::Branch {
        cond,
        then,
        otherwise,
    } = term
    {
        let no_target = || Target {
            block: crate::ir::BlockId(0),
            args: Vec::new(),
        };
        match defs.get(*cond) {
            Some(Op::Const(n)) => {
                let taken = if *n != 0 { then } else { otherwise };
                let taken = std::mem::replace(taken, no_target());
                *term = Terminator::Jump(taken);
            }
            Some(Op::Compare(Cond::Ne, a, zero)) if defs.constant(*zero) == Some(0) => {
                // The comparison itself is what a branch does.
                *cond = *a;
            }
            Some(Op::Compare(Cond::Eq, a, zero)) if defs.constant(*zero) == Some(0) => {
                *cond = *a;
                std::mem::swap(then, otherwise);
            }
            _ => return,
        }
    }
}

/// The comparison with its operands exchanged.
pub(crate) fn swapped(cond: Cond) -> Cond {
    match cond {
        Cond::Eq => Cond::Eq,
        Cond::Ne => Cond::Ne,
        Cond::ULt => Cond::UGt,
        Cond::ULe => Cond::UGe,
        Cond::UGt => Cond::ULt,
        Cond::UGe => Cond::ULe,
        Cond::SLt => Cond::SGt,
        Cond::SLe => Cond::SGe,
        Cond::SGt => Cond::SLt,
        Cond::SGe => Cond::SLe,
    }
}

/// The comparison that holds when this one does not.
pub(crate) fn inverted(cond: Cond) -> Cond {
    match cond {
        Cond::Eq => Cond::Ne,
        Cond::Ne => Cond::Eq,
        Cond::ULt => Cond::UGe,
        Cond::ULe => Cond::UGt,
        Cond::UGt => Cond::ULe,
        Cond::UGe => Cond::ULt,
        Cond::SLt => Cond::SGe,
        Cond::SLe => Cond::SGt,
        Cond::SGt => Cond::SLe,
        Cond::SGe => Cond::SLt,
    }
}
