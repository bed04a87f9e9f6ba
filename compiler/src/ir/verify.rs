//! Checks that a function keeps the contract of [`crate::ir`]; run between any two passes in debug builds and tests.
//!
//! In: any function. Out: everything that is wrong, each with the place; nothing is changed. Checked:
//! * blocks, values, slots and functions that are named exist; the entry block has no predecessor and a program's has one
//!   parameter;
//! * every value is defined exactly once, where its `ValueDef` says, and every use in a reachable block is dominated by it;
//! * a jump passes as many values as its block has parameters;
//! * an operation that gives a value has a result, one that does not has none;
//! * helpers get their number of arguments, no call more than five;
//! * accesses of stack slots stay inside; slots, copies and byte swaps have a valid size and alignment;
//! * atomic additions are 4 or 8 bytes wide;
//! * for [`Stage::Bpf`]: no `KernelLoad` and `KernelCopy` is left.

use std::fmt;

use super::cfg::Cfg;
use super::{BlockId, Func, FuncId, FuncKind, Mem, Module, Op, SlotId, Value, ValueDef};
use crate::index::Id;

/// What the function must be fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Any pass of the optimiser.
    Ir,
    /// Instruction selection.
    Bpf,
}

/// One breach of the contract: a bug in the pass that ran before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The function's name.
    pub func: String,
    /// Where in it.
    pub block: BlockId,
    /// Which instruction; `None` for the block's head or terminator.
    pub inst: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.func, self.block)?;
        match self.inst {
            Some(inst) => write!(f, "[{inst}]: {}", self.message),
            None => write!(f, ": {}", self.message),
        }
    }
}

/// Checks all functions of a module.
pub fn verify(module: &Module, stage: Stage) -> Result<(), Vec<VerifyError>> {
    let mut errors = Vec::new();
    for func in module.funcs.iter() {
        check(func, Some(module), stage, &mut errors);
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Checks one function; calls of subprograms are taken on trust.
pub fn verify_func(func: &Func, stage: Stage) -> Result<(), Vec<VerifyError>> {
    let mut errors = Vec::new();
    check(func, None, stage, &mut errors);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn check(func: &Func, module: Option<&Module>, stage: Stage, errors: &mut Vec<VerifyError>) {
    let mut checker = Checker {
        func,
        module,
        stage,
        at: (BlockId(0), None),
        places: vec![None; func.values.len()],
        errors,
    };
    if func.blocks.is_empty() {
        checker.error("a function needs an entry block".to_string());
        return;
    }
    let before = checker.errors.len();
    checker.targets();
    checker.definitions();
    // Without existing targets and definitions the rest cannot be looked at.
    if checker.errors.len() == before {
        checker.entry();
        checker.uses();
        checker.shapes();
    }
}

struct Checker<'a> {
    func: &'a Func,
    module: Option<&'a Module>,
    stage: Stage,
    at: (BlockId, Option<usize>),
    /// Where each value is defined: block, and instruction or (for parameters) nothing.
    places: Vec<Option<(BlockId, Option<usize>)>>,
    errors: &'a mut Vec<VerifyError>,
}

impl Checker<'_> {
    fn error(&mut self, message: String) {
        self.errors.push(VerifyError {
            func: self.func.name.clone(),
            block: self.at.0,
            inst: self.at.1,
            message,
        });
    }

    fn targets(&mut self) {
        for (id, block) in self.func.blocks.iter_enumerated() {
            self.at = (id, None);
            for target in block.term.targets() {
                match self.func.blocks.get(target.block) {
                    None => self.error(format!("jump to {}, which does not exist", target.block)),
                    Some(to) if to.params.len() != target.args.len() => {
                        let (has, want) = (target.args.len(), to.params.len());
                        self.error(format!(
                            "jump to {} passes {has} values, it takes {want}",
                            target.block
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn definitions(&mut self) {
        for (id, block) in self.func.blocks.iter_enumerated() {
            self.at = (id, None);
            for (n, &param) in block.params.iter().enumerate() {
                self.define(param, ValueDef::Param(id, n as u32), (id, None));
            }
            for (n, inst) in block.insts.iter().enumerate() {
                self.at = (id, Some(n));
                if let Some(result) = inst.result {
                    self.define(result, ValueDef::Inst(id), (id, Some(n)));
                }
                if inst.op.has_result()
                    && inst.result.is_none()
                    && !matches!(
                        inst.op,
                        Op::AtomicAdd { .. } | Op::Call(..) | Op::CallFunc(..) | Op::Kfunc(..)
                    )
                {
                    self.error(format!("`{}` needs a result", inst.op));
                }
                if !inst.op.has_result() && inst.result.is_some() {
                    self.error(format!("`{}` has no result", inst.op));
                }
            }
        }
    }

    fn define(&mut self, value: Value, def: ValueDef, place: (BlockId, Option<usize>)) {
        match self.func.values.get(value) {
            None => return self.error(format!("{value} is not in the table of values")),
            Some(&said) if said != def => {
                self.error(format!("{value} is listed as {said:?} but is {def:?}"))
            }
            Some(_) => {}
        }
        if self.places[value.index()].replace(place).is_some() {
            self.error(format!("{value} is defined twice"));
        }
    }

    fn entry(&mut self) {
        self.at = (BlockId(0), None);
        if self
            .func
            .blocks
            .iter()
            .any(|b| b.term.successors().any(|s| s == BlockId(0)))
        {
            self.error("a jump leads to the entry block".to_string());
        }
        let params = self.func.blocks[BlockId(0)].params.len();
        if self.func.kind == FuncKind::Program && params != 1 {
            self.error(format!(
                "a program has one parameter, the context; this has {params}"
            ));
        }
        if params > 5 {
            self.error(format!("a function has at most 5 parameters, not {params}"));
        }
    }

    fn uses(&mut self) {
        let cfg = Cfg::new(self.func);
        for (id, block) in self.func.blocks.iter_enumerated() {
            for (n, inst) in block.insts.iter().enumerate() {
                self.at = (id, Some(n));
                inst.op.each_operand(|v| self.used(v, id, n, &cfg));
            }
            self.at = (id, None);
            block
                .term
                .each_operand(|v| self.used(v, id, usize::MAX, &cfg));
        }
    }

    fn used(&mut self, value: Value, block: BlockId, inst: usize, cfg: &Cfg) {
        let Some(Some((def_block, def_inst))) = self.places.get(value.index()).copied() else {
            return self.error(format!("{value} is not defined"));
        };
        let before = if def_block == block {
            def_inst.is_none_or(|def| def < inst)
        } else {
            cfg.dominates(def_block, block)
        };
        if !before {
            self.error(format!("{value} is not defined on every way here"));
        }
    }

    fn shapes(&mut self) {
        self.at = (BlockId(0), None);
        for (id, slot) in self.func.slots.iter_enumerated() {
            if slot.size == 0 || !matches!(slot.align, 1 | 2 | 4 | 8) {
                self.error(format!("{id} has size {} align {}", slot.size, slot.align));
            }
        }
        for (id, block) in self.func.blocks.iter_enumerated() {
            for (n, inst) in block.insts.iter().enumerate() {
                self.at = (id, Some(n));
                self.shape(&inst.op);
            }
        }
    }

    fn shape(&mut self, op: &Op) {
        match op {
            Op::SlotAddr(slot, off) => match self.func.slots.get(*slot) {
                None => self.error(format!("{slot} does not exist")),
                Some(data) if *off >= data.size => {
                    self.error(format!("{slot} has {} bytes, not {off}", data.size))
                }
                Some(_) => {}
            },
            Op::SwapBytes(bytes, _) if !matches!(bytes, 2 | 4 | 8) => {
                self.error(format!("cannot swap {bytes} bytes"))
            }
            Op::AtomicAdd { mem, .. } if !matches!(mem, Mem::U32 | Mem::U64) => self.error(
                format!("atomic addition of {}: only u32 and u64", mem.name()),
            ),
            Op::Copy { align, .. } if !matches!(align, 1 | 2 | 4 | 8) => {
                self.error(format!("alignment {align}"))
            }
            Op::Call(helper, args) if args.len() != helper.args() => self.error(format!(
                "{} takes {} arguments, not {}",
                helper.name(),
                helper.args(),
                args.len()
            )),
            Op::Kfunc(_, args) | Op::CallFunc(_, args) if args.len() > 5 => self.error(format!(
                "a call has at most 5 arguments, not {}",
                args.len()
            )),
            Op::CallFunc(func, args) => self.callee(*func, Some(args.len())),
            Op::FuncRef(func) => self.callee(*func, None),
            Op::KernelLoad { .. } | Op::KernelCopy { .. } if self.stage == Stage::Bpf => {
                self.error(format!("`{op}` must be gone before bpf"))
            }
            Op::Load { ptr, off, .. } => self.access(*ptr, *off, op),
            Op::Store { ptr, off, .. } => self.access(*ptr, *off, op),
            _ => {}
        }
    }

    fn callee(&mut self, func: FuncId, args: Option<usize>) {
        let Some(module) = self.module else { return };
        match module.funcs.get(func) {
            None => self.error(format!("{func} does not exist")),
            Some(to) if to.kind != FuncKind::Subprogram => {
                self.error(format!("{func} is a program and cannot be called"))
            }
            Some(to) => {
                let want = to.blocks.get(BlockId(0)).map_or(0, |b| b.params.len());
                if args.is_some_and(|n| n != want) {
                    self.error(format!("{func} takes {want} arguments"));
                }
            }
        }
    }

    /// A load or store straight at a slot's address stays inside the slot.
    fn access(&mut self, ptr: Value, off: i32, op: &Op) {
        let (Op::Load { mem, .. } | Op::Store { mem, .. }) = op else {
            return;
        };
        if let Some((slot, base)) = self.slot_address(ptr)
            && let Some(data) = self.func.slots.get(slot)
        {
            let start = i64::from(base) + i64::from(off);
            if start < 0 || start + i64::from(mem.bytes()) > i64::from(data.size) {
                self.error(format!("`{op}` leaves {slot} of {} bytes", data.size));
            }
        }
    }

    fn slot_address(&self, ptr: Value) -> Option<(SlotId, u32)> {
        let (block, inst) = (*self.places.get(ptr.index())?)?;
        match self.func.blocks[block].insts.get(inst?)?.op {
            Op::SlotAddr(slot, off) => Some((slot, off)),
            _ => None,
        }
    }
}
