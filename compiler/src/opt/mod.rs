//! IR to better IR: one pass per file.
//!
//! In: a function that passes [`crate::ir::verify`]. Out: one that does the same with fewer instructions, and passes it again. A pass is
//! a free function over one function; its header says what it requires, changes, preserves and costs. Their order is in
//! `pipeline`.

use std::collections::HashMap;

use crate::index::IndexVec;
use crate::ir::{Func, Op, Value};

pub mod blocks;
pub mod bulk;
pub mod cse;
pub mod dead;
pub mod merge;
pub mod reads;
pub mod simplify;
pub mod snapshots;

#[cfg(test)]
mod tests;

/// What defines each value, for passes that look from uses at definitions. A copy, so that the function can be changed.
#[derive(Debug)]
pub(crate) struct Defs(IndexVec<Value, Option<Op>>);

impl Defs {
    /// Of a whole function.
    pub(crate) fn new(func: &Func) -> Defs {
        let mut defs: IndexVec<Value, Option<Op>> = func.values.iter().map(|_| None).collect();
        for inst in func.blocks.iter().flat_map(|block| &block.insts) {
            if let Some(result) = inst.result {
                defs[result] = Some(inst.op.clone());
            }
        }
        Defs(defs)
    }

    /// The instruction that gives the value; `None` for parameters.
    pub(crate) fn get(&self, value: Value) -> Option<&Op> {
        self.0.get(value).and_then(Option::as_ref)
    }

    /// The value, if it is a constant.
    pub(crate) fn constant(&self, value: Value) -> Option<i64> {
        match self.get(value) {
            Some(Op::Const(n)) => Some(*n),
            _ => None,
        }
    }

    /// Notes a change or a new value.
    pub(crate) fn set(&mut self, value: Value, op: Op) {
        while self.0.get(value).is_none() {
            self.0.push(None);
        }
        self.0[value] = Some(op);
    }
}

/// Replaces values everywhere, following chains.
pub(crate) fn substitute(func: &mut Func, forward: &HashMap<Value, Value>) {
    if forward.is_empty() {
        return;
    }
    for block in func.blocks.iter_mut() {
        for inst in &mut block.insts {
            inst.op.each_operand_mut(|v| *v = resolve(forward, *v));
        }
        block.term.each_operand_mut(|v| *v = resolve(forward, *v));
    }
}

/// What a value has become.
pub(crate) fn resolve(forward: &HashMap<Value, Value>, mut value: Value) -> Value {
    while let Some(&next) = forward.get(&value) {
        value = next;
    }
    value
}
