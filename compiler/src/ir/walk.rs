//! Visiting the values and blocks that an instruction or terminator mentions, and what an instruction does beside its result.
//!
//! In: one node. Out: its operands, in the order in which they are printed. Walking a whole function is a plain loop over
//! its blocks, so there is nothing for it here.

use super::helper::Effect;
use super::{BlockId, Op, Target, Terminator, Value};

/// One list of operand places for the reading and the writing visitor.
macro_rules! operands {
    ($op:expr, $f:expr, $iter:ident) => {
        match $op {
            Op::Const(_) | Op::SlotAddr(..) | Op::MapRef(_) | Op::MapValue(..) | Op::FuncRef(_) => {
            }
            Op::Extend(_, a)
            | Op::SwapBytes(_, a)
            | Op::Load { ptr: a, .. }
            | Op::Zero { ptr: a, .. }
            | Op::KernelLoad { base: a, .. } => $f(a),
            Op::Binary(_, a, b)
            | Op::Compare(_, a, b)
            | Op::Store {
                ptr: a, value: b, ..
            }
            | Op::AtomicAdd {
                ptr: a, value: b, ..
            }
            | Op::Copy { dst: a, src: b, .. }
            | Op::KernelCopy {
                dst: a, base: b, ..
            } => {
                $f(a);
                $f(b);
            }
            Op::Call(_, args) | Op::Kfunc(_, args) | Op::CallFunc(_, args) => {
                args.$iter().for_each($f)
            }
        }
    };
}

impl Op {
    /// Calls `f` with each operand.
    pub fn each_operand(&self, mut f: impl FnMut(Value)) {
        let mut f = |value: &Value| f(*value);
        operands!(self, f, iter)
    }

    /// Calls `f` with each operand, which it may change.
    pub fn each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        operands!(self, f, iter_mut)
    }

    /// Whether it gives a value. That of a call or an atomic addition may stay unused.
    pub fn has_result(&self) -> bool {
        !matches!(
            self,
            Op::Store { .. } | Op::Zero { .. } | Op::Copy { .. } | Op::KernelCopy { .. }
        )
    }

    /// Whether it changes nothing but its result: it may go when the result is unused. Loads count, as they cannot fault.
    pub fn removable(&self) -> bool {
        match self {
            Op::Store { .. }
            | Op::AtomicAdd { .. }
            | Op::Zero { .. }
            | Op::Copy { .. }
            | Op::KernelCopy { .. }
            | Op::Kfunc(..)
            | Op::CallFunc(..) => false,
            Op::Call(helper, _) => helper.effect() != Effect::Effect,
            _ => true,
        }
    }
}

impl Terminator {
    /// Where it may go, in printed order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let (first, second) = match self {
            Terminator::Jump(target) => (Some(target), None),
            Terminator::Branch {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            Terminator::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Where it may go, changeable.
    pub fn targets_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        let (first, second) = match self {
            Terminator::Jump(target) => (Some(target), None),
            Terminator::Branch {
                then, otherwise, ..
            } => (Some(then), Some(otherwise)),
            Terminator::Return(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// The blocks it may go to.
    pub fn successors(&self) -> impl Iterator<Item = BlockId> {
        self.targets().map(|target| target.block)
    }

    /// Calls `f` with each value it mentions, arguments of targets included.
    pub fn each_operand(&self, mut f: impl FnMut(Value)) {
        match self {
            Terminator::Branch { cond: value, .. } | Terminator::Return(value) => f(*value),
            Terminator::Jump(_) => {}
        }
        for target in self.targets() {
            target.args.iter().copied().for_each(&mut f);
        }
    }

    /// Calls `f` with each value it mentions, which it may change.
    pub fn each_operand_mut(&mut self, mut f: impl FnMut(&mut Value)) {
        match self {
            Terminator::Branch { cond: value, .. } | Terminator::Return(value) => f(value),
            Terminator::Jump(_) => {}
        }
        for target in self.targets_mut() {
            target.args.iter_mut().for_each(&mut f);
        }
    }
}
