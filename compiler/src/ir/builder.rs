//! Builds a function in SSA form.
//!
//! In: blocks, instructions and terminators in the order in which a walk over the script meets them, and reads and writes of
//! mutable variables. Out: a [`Func`] that keeps the contract of [`crate::ir`]; variables have become values and block
//! parameters. Nothing is optimised here beyond leaving out parameters that carry one value only.
//!
//! Variables follow Braun, Buchwald, Hack and others, "Simple and Efficient Construction of Static Single Assignment Form"
//! (2013): a read looks for the last write in its block, then in the predecessors, and puts a parameter where ways meet. A
//! block that may still get predecessors is *unsealed*; its parameters get their arguments when it is sealed. What differs
//! from the paper: superfluous parameters are removed once, in [`FuncBuilder::finish`], so that a value handed out stays
//! valid while building; and no step recurses, because scripts may be long.
//!
//! A variable read before any write is 0. A block that nobody ends returns 0. What is appended behind a terminator goes to a
//! fresh block that nothing reaches.

use std::collections::HashMap;

use nettrace_grammar::Span;

use super::{
    BinOp, Block, BlockId, Cond, Func, FuncId, FuncKind, Helper, Inst, Mem, Op, SlotData, SlotId,
    Space, Target, Terminator, Value, ValueDef,
};
use crate::artifact::MapId;
use crate::define_id;
use crate::index::{Id, IndexVec};

define_id!(
    /// A mutable variable while a function is being built.
    Var, "x"
);

/// A function under construction, with a current block and a current span.
#[derive(Debug)]
pub struct FuncBuilder {
    func: Func,
    state: Vec<BlockState>,
    current: BlockId,
    span: Span,
    vars: u32,
    /// The value of a variable at the end of a block, as far as known.
    defs: HashMap<(BlockId, Var), Value>,
    /// Parameters made for variables, in order of creation.
    phis: Vec<Phi>,
    /// What variables hold that were never written.
    zero: Option<Value>,
}

#[derive(Debug, Default)]
struct BlockState {
    /// Blocks that jump here, each once, in order of their terminators.
    preds: Vec<BlockId>,
    sealed: bool,
    terminated: bool,
}

/// A parameter made for a variable.
#[derive(Debug)]
struct Phi {
    block: BlockId,
    var: Var,
    value: Value,
    /// One per predecessor once the block is sealed.
    args: Option<Vec<Value>>,
}

impl FuncBuilder {
    /// Starts a function; the entry block with `params` parameters is current and sealed.
    pub fn new(name: impl Into<String>, kind: FuncKind, params: usize, span: Span) -> FuncBuilder {
        let mut builder = FuncBuilder {
            func: Func {
                name: name.into(),
                kind,
                blocks: IndexVec::new(),
                values: IndexVec::new(),
                slots: IndexVec::new(),
                span,
            },
            state: Vec::new(),
            current: BlockId(0),
            span,
            vars: 0,
            defs: HashMap::new(),
            phis: Vec::new(),
            zero: None,
        };
        let entry = builder.create_block();
        for _ in 0..params {
            builder.add_param(entry);
        }
        builder.seal_block(entry);
        builder
    }

    // ---- position -----------------------------------------------------------------------------------------------------

    /// Sets what the following instructions come from; returns the former setting.
    pub fn set_span(&mut self, span: Span) -> Span {
        std::mem::replace(&mut self.span, span)
    }

    /// What the following instructions come from.
    pub fn span(&self) -> Span {
        self.span
    }

    /// A new, empty, unsealed block. It does not become current.
    pub fn create_block(&mut self) -> BlockId {
        self.state.push(BlockState::default());
        self.func.blocks.push(Block {
            params: Vec::new(),
            insts: Vec::new(),
            // Replaced when the block is terminated, or by `finish`.
            term: Terminator::Return(Value(u32::MAX)),
            term_span: self.span,
        })
    }

    /// Continues at the end of this block.
    pub fn switch_to(&mut self, block: BlockId) {
        self.current = block;
    }

    /// The block that instructions are appended to.
    pub fn current(&self) -> BlockId {
        self.current
    }

    /// Whether the current block has ended: nothing that follows in the script can be reached from here.
    pub fn is_terminated(&self) -> bool {
        self.state[self.current.index()].terminated
    }

    /// Says that the block gets no more predecessors. Blocks not sealed by hand are sealed by [`FuncBuilder::finish`];
    /// sealing early makes no difference to the result, but costs less.
    pub fn seal_block(&mut self, block: BlockId) {
        if std::mem::replace(&mut self.state[block.index()].sealed, true) {
            return;
        }
        let open = (0..self.phis.len())
            .filter(|&i| self.phis[i].block == block)
            .collect();
        self.fill(open);
    }

    /// Adds a parameter to a block; each jump to it passes one more value. To be done before any jump to it.
    pub fn add_param(&mut self, block: BlockId) -> Value {
        let index = self.func.blocks[block].params.len() as u32;
        let value = self.func.values.push(ValueDef::Param(block, index));
        self.func.blocks[block].params.push(value);
        value
    }

    /// The n-th parameter of the function; 0 is a program's context.
    pub fn param(&self, n: usize) -> Value {
        self.func.blocks[BlockId(0)].params[n]
    }

    // ---- variables ----------------------------------------------------------------------------------------------------

    /// A new variable; 0 until written.
    pub fn declare_var(&mut self) -> Var {
        self.vars += 1;
        Var(self.vars - 1)
    }

    /// Sets the variable from here on.
    pub fn write_var(&mut self, var: Var, value: Value) {
        self.reopen();
        self.defs.insert((self.current, var), value);
    }

    /// What the variable holds here.
    pub fn read_var(&mut self, var: Var) -> Value {
        self.reopen();
        let mut open = Vec::new();
        let value = self.value_at_end(self.current, var, &mut open);
        self.fill(open);
        value
    }

    /// What a parameter made by [`FuncBuilder::read_var`] stands for, if every way here gives it the same value; else the value
    /// itself. Only sealed blocks are seen through.
    pub fn origin(&self, value: Value) -> Value {
        let mut seen = vec![value];
        let mut next = 0;
        let mut found = None;
        while let Some(&at) = seen.get(next) {
            next += 1;
            match self.phis.iter().find(|phi| phi.value == at) {
                Some(Phi { args: None, .. }) => return value,
                Some(Phi {
                    args: Some(args), ..
                }) => {
                    for arg in args {
                        if !seen.contains(arg) {
                            seen.push(*arg);
                        }
                    }
                }
                None if found.is_none_or(|found| found == at) => found = Some(at),
                None => return value,
            }
        }
        found.unwrap_or(value)
    }

    /// The variable at the end of a block as known now. Parameters made on the way that can get their arguments at once are
    /// added to `open`.
    fn value_at_end(&mut self, block: BlockId, var: Var, open: &mut Vec<usize>) -> Value {
        let mut walked = Vec::new();
        let mut at = block;
        let value = loop {
            if let Some(&value) = self.defs.get(&(at, var)) {
                break value;
            }
            walked.push(at);
            let state = &self.state[at.index()];
            match state.preds.as_slice() {
                [] if state.sealed => break self.zero(),
                // A block that jumps to itself only is unreachable; the parameter ends the walk round it.
                [pred] if state.sealed && !walked.contains(pred) => at = *pred,
                _ => {
                    if state.sealed {
                        open.push(self.phis.len());
                    }
                    let value = self.func.values.push(ValueDef::Param(at, 0));
                    self.phis.push(Phi {
                        block: at,
                        var,
                        value,
                        args: None,
                    });
                    break value;
                }
            }
        };
        for block in walked {
            self.defs.insert((block, var), value);
        }
        value
    }

    /// Gives arguments to parameters of sealed blocks.
    fn fill(&mut self, mut open: Vec<usize>) {
        while let Some(index) = open.pop() {
            let Phi { block, var, .. } = self.phis[index];
            let preds = self.state[block.index()].preds.clone();
            let args = preds
                .into_iter()
                .map(|pred| self.value_at_end(pred, var, &mut open))
                .collect();
            self.phis[index].args = Some(args);
        }
    }

    /// The constant 0 at the top of the entry block, where it dominates everything.
    fn zero(&mut self) -> Value {
        if let Some(zero) = self.zero {
            return zero;
        }
        let value = self.func.values.push(ValueDef::Inst(BlockId(0)));
        self.func.blocks[BlockId(0)].insts.insert(
            0,
            Inst {
                result: Some(value),
                op: Op::Const(0),
                span: self.func.span,
            },
        );
        self.zero = Some(value);
        value
    }

    // ---- instructions -------------------------------------------------------------------------------------------------

    /// A new stack slot. `what` is the script's word for it; the span is the current one.
    pub fn slot(&mut self, size: u32, align: u32, what: impl Into<String>) -> SlotId {
        self.func.slots.push(SlotData {
            size,
            align,
            what: what.into(),
            span: self.span,
        })
    }

    /// Makes sure that the current block can take more.
    fn reopen(&mut self) {
        if self.is_terminated() {
            let fresh = self.create_block();
            self.seal_block(fresh);
            self.current = fresh;
        }
    }

    /// Appends an instruction without result.
    pub fn effect(&mut self, op: Op) {
        self.reopen();
        let span = self.span;
        self.func.blocks[self.current].insts.push(Inst {
            result: None,
            op,
            span,
        });
    }

    /// Appends an instruction with a result.
    pub fn value(&mut self, op: Op) -> Value {
        self.reopen();
        let result = self.func.values.push(ValueDef::Inst(self.current));
        let span = self.span;
        self.func.blocks[self.current].insts.push(Inst {
            result: Some(result),
            op,
            span,
        });
        result
    }

    /// [`Op::Const`]
    pub fn iconst(&mut self, value: i64) -> Value {
        self.value(Op::Const(value))
    }

    /// [`Op::Binary`]
    pub fn binary(&mut self, op: BinOp, a: Value, b: Value) -> Value {
        self.value(Op::Binary(op, a, b))
    }

    /// [`Op::Binary`] with a constant.
    pub fn binary_imm(&mut self, op: BinOp, a: Value, b: i64) -> Value {
        let b = self.iconst(b);
        self.binary(op, a, b)
    }

    /// [`Op::Compare`]
    pub fn compare(&mut self, cond: Cond, a: Value, b: Value) -> Value {
        self.value(Op::Compare(cond, a, b))
    }

    /// [`Op::Compare`] with a constant.
    pub fn compare_imm(&mut self, cond: Cond, a: Value, b: i64) -> Value {
        let b = self.iconst(b);
        self.compare(cond, a, b)
    }

    /// [`Op::Extend`]
    pub fn extend(&mut self, mem: Mem, value: Value) -> Value {
        self.value(Op::Extend(mem, value))
    }

    /// [`Op::SwapBytes`]
    pub fn swap_bytes(&mut self, bytes: u8, value: Value) -> Value {
        self.value(Op::SwapBytes(bytes, value))
    }

    /// [`Op::SlotAddr`]
    pub fn slot_addr(&mut self, slot: SlotId, off: u32) -> Value {
        self.value(Op::SlotAddr(slot, off))
    }

    /// [`Op::MapRef`]
    pub fn map_ref(&mut self, map: MapId) -> Value {
        self.value(Op::MapRef(map))
    }

    /// [`Op::MapValue`]
    pub fn map_value(&mut self, map: MapId, off: u32) -> Value {
        self.value(Op::MapValue(map, off))
    }

    /// [`Op::FuncRef`]
    pub fn func_ref(&mut self, func: FuncId) -> Value {
        self.value(Op::FuncRef(func))
    }

    /// [`Op::Load`]
    pub fn load(&mut self, mem: Mem, ptr: Value, off: i32) -> Value {
        self.value(Op::Load { mem, ptr, off })
    }

    /// [`Op::Store`]
    pub fn store(&mut self, mem: Mem, ptr: Value, off: i32, value: Value) {
        self.effect(Op::Store {
            mem,
            ptr,
            off,
            value,
        });
    }

    /// [`Op::AtomicAdd`] whose old value nobody asks for.
    pub fn atomic_add(&mut self, mem: Mem, ptr: Value, off: i32, value: Value) {
        self.effect(Op::AtomicAdd {
            mem,
            ptr,
            off,
            value,
        });
    }

    /// [`Op::AtomicAdd`]; the result is the old value.
    pub fn atomic_fetch_add(&mut self, mem: Mem, ptr: Value, off: i32, value: Value) -> Value {
        self.value(Op::AtomicAdd {
            mem,
            ptr,
            off,
            value,
        })
    }

    /// [`Op::Zero`]
    pub fn zero_memory(&mut self, ptr: Value, off: i32, size: u32) {
        self.effect(Op::Zero { ptr, off, size });
    }

    /// [`Op::KernelLoad`]
    pub fn kernel_load(&mut self, mem: Mem, base: Value, off: i32, space: Space) -> Value {
        self.value(Op::KernelLoad {
            mem,
            base,
            off,
            space,
        })
    }

    /// [`Op::Call`]
    pub fn call(&mut self, helper: Helper, args: &[Value]) -> Value {
        self.value(Op::Call(helper, args.to_vec()))
    }

    /// [`Op::Kfunc`]
    pub fn kfunc(&mut self, btf_id: u32, args: &[Value]) -> Value {
        self.value(Op::Kfunc(btf_id, args.to_vec()))
    }

    /// [`Op::CallFunc`]
    pub fn call_func(&mut self, func: FuncId, args: &[Value]) -> Value {
        self.value(Op::CallFunc(func, args.to_vec()))
    }

    // ---- terminators --------------------------------------------------------------------------------------------------

    /// Ends the current block; without effect when it has ended already (what follows a `return` jumps nowhere).
    fn terminate(&mut self, mut term: Terminator) {
        if self.is_terminated() {
            return;
        }
        let state = &self.state[self.current.index()];
        if state.sealed && state.preds.is_empty() && self.current != BlockId(0) {
            // Nothing reaches this block: what variables hold at its end must not matter where it would go.
            let zero = self.zero();
            term = Terminator::Return(zero);
        }
        self.state[self.current.index()].terminated = true;
        for succ in term.successors() {
            let succ = &mut self.state[succ.index()];
            debug_assert!(!succ.sealed, "a sealed block gets another predecessor");
            if succ.preds.last() != Some(&self.current) {
                succ.preds.push(self.current);
            }
        }
        let block = &mut self.func.blocks[self.current];
        block.term = term;
        block.term_span = self.span;
    }

    /// Ends the current block with a jump.
    pub fn jump(&mut self, block: BlockId) {
        self.jump_with(block, &[]);
    }

    /// Ends the current block with a jump that passes values for the parameters made by [`FuncBuilder::add_param`].
    pub fn jump_with(&mut self, block: BlockId, args: &[Value]) {
        self.terminate(Terminator::Jump(Target {
            block,
            args: args.to_vec(),
        }));
    }

    /// Ends the current block: to `then` when the value is not 0.
    pub fn branch(&mut self, cond: Value, then: BlockId, otherwise: BlockId) {
        self.branch_with(cond, then, &[], otherwise, &[]);
    }

    /// [`FuncBuilder::branch`] with values for parameters.
    pub fn branch_with(
        &mut self,
        cond: Value,
        then: BlockId,
        then_args: &[Value],
        otherwise: BlockId,
        otherwise_args: &[Value],
    ) {
        let target = |block, args: &[Value]| Target {
            block,
            args: args.to_vec(),
        };
        self.terminate(Terminator::Branch {
            cond,
            then: target(then, then_args),
            otherwise: target(otherwise, otherwise_args),
        });
    }

    /// Ends the current block with a return.
    pub fn ret(&mut self, value: Value) {
        self.terminate(Terminator::Return(value));
    }

    // ---- end ----------------------------------------------------------------------------------------------------------

    /// The finished function.
    pub fn finish(mut self) -> Func {
        for index in 0..self.state.len() {
            if !self.state[index].terminated {
                self.current = BlockId::new(index);
                let zero = self.iconst(0);
                self.ret(zero);
            }
            self.seal_block(BlockId::new(index));
        }
        let forward = self.superfluous();
        self.place_params(&forward);
        for block in self.func.blocks.iter_mut() {
            for inst in &mut block.insts {
                inst.op.each_operand_mut(|v| *v = resolve(&forward, *v));
            }
            block.term.each_operand_mut(|v| *v = resolve(&forward, *v));
        }
        self.func
    }

    /// Parameters that carry only one value beside themselves, with that value.
    fn superfluous(&self) -> HashMap<Value, Value> {
        let mut forward = HashMap::new();
        loop {
            let before = forward.len();
            for phi in &self.phis {
                if forward.contains_key(&phi.value) {
                    continue;
                }
                let mut only = None;
                let args = phi.args.as_deref().unwrap_or_default();
                let single = args.iter().all(|&arg| {
                    let arg = resolve(&forward, arg);
                    arg == phi.value || *only.get_or_insert(arg) == arg
                });
                if let (true, Some(only)) = (single, only) {
                    forward.insert(phi.value, only);
                }
            }
            if forward.len() == before {
                return forward;
            }
        }
    }

    /// Appends the remaining parameters to their blocks and their arguments to the jumps.
    fn place_params(&mut self, forward: &HashMap<Value, Value>) {
        for phi in std::mem::take(&mut self.phis) {
            if forward.contains_key(&phi.value) {
                self.func.values[phi.value] = ValueDef::Removed;
                continue;
            }
            let params = &mut self.func.blocks[phi.block].params;
            self.func.values[phi.value] = ValueDef::Param(phi.block, params.len() as u32);
            params.push(phi.value);
            let preds = &self.state[phi.block.index()].preds;
            for (pred, arg) in preds.iter().zip(phi.args.iter().flatten()) {
                let term = &mut self.func.blocks[*pred].term;
                for target in term.targets_mut().filter(|t| t.block == phi.block) {
                    target.args.push(*arg);
                }
            }
        }
    }
}

fn resolve(forward: &HashMap<Value, Value>, mut value: Value) -> Value {
    while let Some(&next) = forward.get(&value) {
        value = next;
    }
    value
}
