//! Instruction selection: IR to machine IR over virtual registers.
//!
//! In: a function fit for [`Stage::Bpf`](crate::ir::verify::Stage). Out: a [`MFunc`] that computes the same, with `r0`-`r5` named only
//! around calls, at the entry and at the exit.
//!
//! Blocks are walked from the last to the first and their instructions backwards, so that all uses of a value are known when
//! its definition is met: what has been folded into all its uses (a constant, an address, a comparison before its branch) is
//! never computed. Block parameters become moves on the edges; the register allocator removes those that it can.
//! Requires reachable blocks to be dominated properly; ignores unreachable ones.

mod arith;
mod branch;
mod edges;
mod memory;

use nettrace_grammar::Span;

use super::insn::{Alu, Size};
use super::mir::*;
use crate::index::{Id, IndexVec};
use crate::ir::cfg::Cfg;
use crate::ir::{BinOp, BlockId, Func, Inst, Mem, Op, Terminator, Value};

/// Selects instructions for a whole function.
pub(crate) fn select(func: &Func) -> MFunc {
    let mut select = Select::new(func);
    for position in (0..select.cfg.order.len()).rev() {
        select.block(position);
    }
    select.finish()
}

struct Select<'a> {
    func: &'a Func,
    cfg: Cfg,
    /// The instruction that defines each value; `None` for parameters.
    defs: Vec<Option<&'a Op>>,
    /// How often each value is mentioned.
    uses: Vec<u32>,
    /// How many low bits of each value can be other than 0.
    widths: Vec<u8>,
    /// The register of each value that something asked for.
    regs: Vec<Option<VReg>>,
    next_reg: u32,
    /// One per reachable block in reverse postorder, then blocks on edges.
    blocks: IndexVec<MBlockId, MBlock>,
    /// The instructions of the piece being selected, in order.
    out: Vec<MInst>,
    span: Span,
}

impl<'a> Select<'a> {
    fn new(func: &'a Func) -> Select<'a> {
        let cfg = Cfg::new(func);
        let mut defs = vec![None; func.values.len()];
        let mut uses = vec![0; func.values.len()];
        let mut widths = vec![64; func.values.len()];
        for &id in &cfg.order {
            let block = &func.blocks[id];
            for inst in &block.insts {
                if let Some(result) = inst.result {
                    defs[result.index()] = Some(&inst.op);
                    widths[result.index()] = arith::width(&inst.op, &widths);
                }
                inst.op.each_operand(|v| uses[v.index()] += 1);
            }
            block.term.each_operand(|v| uses[v.index()] += 1);
        }
        let empty = MBlock {
            insts: Vec::new(),
            term: MTerm::Exit,
            term_span: func.span,
        };
        Select {
            func,
            blocks: cfg.order.iter().map(|_| empty.clone()).collect(),
            cfg,
            defs,
            uses,
            widths,
            regs: vec![None; func.values.len()],
            next_reg: FIRST_VIRTUAL,
            out: Vec::new(),
            span: func.span,
        }
    }

    /// The machine block of a reachable block.
    fn block_id(&self, block: BlockId) -> MBlockId {
        MBlockId(self.cfg.position(block).unwrap_or(0))
    }

    fn block(&mut self, position: usize) {
        let func = self.func;
        let block = &func.blocks[self.cfg.order[position]];
        let mut pieces = Vec::new();
        self.span = block.term_span;
        let term = self.terminator(position, &block.term);
        pieces.push(std::mem::take(&mut self.out));
        for inst in block.insts.iter().rev() {
            self.span = inst.span;
            self.inst(inst);
            pieces.push(std::mem::take(&mut self.out));
        }
        if position == 0 {
            self.span = func.span;
            self.parameters(&block.params);
            pieces.push(std::mem::take(&mut self.out));
        }
        let machine = &mut self.blocks[MBlockId::new(position)];
        machine.insts.extend(pieces.into_iter().rev().flatten());
        machine.term = term;
        machine.term_span = block.term_span;
    }

    /// Arguments arrive in `r1`….
    fn parameters(&mut self, params: &[Value]) {
        for (n, param) in params.iter().enumerate() {
            if let Some(dst) = self.regs[param.index()] {
                self.emit(MOp::Mov {
                    dst,
                    src: VReg::argument(n),
                });
            }
        }
    }

    fn finish(self) -> MFunc {
        let mut blocks = self.blocks;
        let mut origin = 0;
        for block in blocks.iter_mut() {
            for inst in &mut block.insts {
                inst.origin = Some(origin);
                origin += 1;
            }
        }
        let params = self
            .func
            .blocks
            .get(BlockId(0))
            .map_or(0, |entry| entry.params.len());
        MFunc {
            blocks,
            regs: self.next_reg,
            params: params as u32,
            spills: 0,
        }
    }

    // ---- registers ----------------------------------------------------------------------------------------------------

    fn emit(&mut self, op: MOp) {
        self.out.push(MInst {
            op,
            span: self.span,
            origin: None,
        });
    }

    fn fresh(&mut self) -> VReg {
        self.next_reg += 1;
        VReg(self.next_reg - 1)
    }

    fn op(&self, value: Value) -> Option<&'a Op> {
        self.defs.get(value.index()).copied().flatten()
    }

    fn constant(&self, value: Value) -> Option<i64> {
        match self.op(value) {
            Some(Op::Const(n)) => Some(*n),
            _ => None,
        }
    }

    /// The constant, when an instruction can hold it: extended by its sign it is the whole value.
    fn small(&self, value: Value) -> Option<i32> {
        self.constant(value).and_then(|n| i32::try_from(n).ok())
    }

    fn width(&self, value: Value) -> u8 {
        self.widths[value.index()]
    }

    fn demanded(&self, value: Value) -> bool {
        self.regs[value.index()].is_some()
    }

    /// What the value is, when it is made anew at each use rather than kept: that takes one instruction (an address on
    /// the stack: two, as does keeping it), and no register between the uses.
    fn known(&self, value: Value) -> Option<Known> {
        let single = self.uses[value.index()] <= 1;
        Some(match self.op(value)? {
            Op::Const(n) if single || one_slot(*n) => Known::Imm(*n),
            Op::SlotAddr(slot, off) => Known::Slot(*slot, *off),
            Op::MapRef(map) => Known::Map(*map),
            Op::MapValue(map, off) if single => Known::MapValue(*map, *off),
            Op::FuncRef(func) => Known::Func(*func),
            _ => return None,
        })
    }

    /// The register that the value is kept in.
    fn reg_of(&mut self, value: Value) -> VReg {
        if let Some(reg) = self.regs[value.index()] {
            return reg;
        }
        let reg = self.fresh();
        self.regs[value.index()] = Some(reg);
        reg
    }

    /// A register that holds the value here; not to be written.
    fn reg(&mut self, value: Value) -> VReg {
        match self.known(value) {
            Some(known) => {
                let dst = self.fresh();
                self.emit(MOp::Def { dst, known });
                dst
            }
            None => self.reg_of(value),
        }
    }

    /// Puts the value into a register of its own.
    fn copy_to(&mut self, dst: VReg, value: Value) {
        match self.known(value) {
            Some(known) => self.emit(MOp::Def { dst, known }),
            None => {
                let src = self.reg_of(value);
                self.emit(MOp::Mov { dst, src });
            }
        }
    }

    /// A register, or the constant itself.
    fn operand(&mut self, value: Value) -> Operand {
        match self.small(value) {
            Some(imm) => Operand::Imm(imm),
            None => Operand::Reg(self.reg(value)),
        }
    }

    fn alu(&mut self, op: Alu, dst: VReg, src: Operand) {
        self.emit(MOp::Alu {
            op,
            wide: true,
            dst,
            src,
        });
    }

    // ---- instructions -------------------------------------------------------------------------------------------------

    fn inst(&mut self, inst: &Inst) {
        let wanted = inst.result.and_then(|v| self.regs[v.index()]);
        if wanted.is_none() && inst.op.removable() {
            return;
        }
        match &inst.op {
            Op::Store {
                mem,
                ptr,
                off,
                value,
            } => self.store(*mem, *ptr, *off, *value),
            Op::AtomicAdd {
                mem,
                ptr,
                off,
                value,
            } => self.atomic_add(*mem, *ptr, *off, *value, wanted),
            Op::Zero { ptr, off, size } => self.zero(*ptr, *off, *size),
            Op::Copy {
                dst,
                dst_off,
                src,
                src_off,
                size,
                align,
            } => self.copy((*dst, *dst_off), (*src, *src_off), *size, *align),
            Op::Call(helper, args) => self.call(Callee::Helper(*helper), args, wanted),
            Op::Kfunc(id, args) => self.call(Callee::Kfunc(*id), args, wanted),
            Op::CallFunc(func, args) => self.call(Callee::Func(*func), args, wanted),
            // The verifier has made sure that these are gone.
            Op::KernelLoad { .. } | Op::KernelCopy { .. } => {}
            op => {
                if let Some(dst) = wanted {
                    self.pure(op, dst);
                }
            }
        }
    }

    /// An instruction that does nothing but compute `dst`.
    fn pure(&mut self, op: &Op, dst: VReg) {
        match op {
            Op::Const(n) => self.emit(MOp::Def {
                dst,
                known: Known::Imm(*n),
            }),
            Op::MapValue(map, off) => self.emit(MOp::Def {
                dst,
                known: Known::MapValue(*map, *off),
            }),
            Op::Binary(op, a, b) => self.binary(*op, dst, *a, *b),
            Op::Compare(cond, a, b) => self.compare(*cond, dst, *a, *b),
            Op::Extend(mem, a) => self.extend(*mem, dst, *a),
            Op::SwapBytes(bytes, a) => {
                self.copy_to(dst, *a);
                self.emit(MOp::Swap {
                    dst,
                    bits: bytes.saturating_mul(8),
                });
            }
            Op::Load { mem, ptr, off } => self.load(*mem, dst, *ptr, *off),
            // Made at each use.
            _ => {}
        }
    }

    fn call(&mut self, callee: Callee, args: &[Value], result: Option<VReg>) {
        // Moves first: a constant needs no register that an earlier argument might have overwritten.
        for (n, &arg) in args.iter().enumerate() {
            if self.known(arg).is_none() {
                self.copy_to(VReg::argument(n), arg);
            }
        }
        for (n, &arg) in args.iter().enumerate() {
            if let Some(known) = self.known(arg) {
                let dst = VReg::argument(n);
                self.emit(MOp::Def { dst, known });
            }
        }
        self.emit(MOp::Call {
            callee,
            args: args.len() as u8,
        });
        if let Some(dst) = result {
            self.emit(MOp::Mov {
                dst,
                src: VReg::RESULT,
            });
        }
    }
}

/// Whether one slot of code makes the constant: sign-extended, or zero-extended by a 32-bit move.
pub(crate) fn one_slot(n: i64) -> bool {
    i32::try_from(n).is_ok() || u32::try_from(n).is_ok()
}
