//! Machine IR to bytes: jump distances, frame offsets, relocations.
//!
//! In: allocated code, the order of its blocks, the frame. Out: [`Code`], or the error that a jump is too long for its 16 bits.

use nettrace_grammar::Span;

use super::frame::Frame;
use super::insn::{Alu, Insn, Jump, Reg, pseudo};
use super::mir::*;
use super::{Code, Limit, LimitError, Reloc, RelocTarget};
use crate::index::Id;

/// Encodes the blocks of `order` one after the other.
pub(crate) fn encode(func: &MFunc, order: &[MBlockId], frame: &Frame) -> Result<Code, LimitError> {
    let mut encoder = Encoder {
        frame,
        code: Code {
            stack_size: frame.size,
            ..Code::default()
        },
        span: Span::default(),
        starts: vec![0; func.blocks.len()],
        jumps: Vec::new(),
    };
    for (position, &id) in order.iter().enumerate() {
        let block = &func.blocks[id];
        encoder.starts[id.index()] = encoder.code.insns.len();
        for inst in &block.insts {
            encoder.span = inst.span;
            encoder.inst(&inst.op);
        }
        encoder.span = block.term_span;
        encoder.term(block.term, order.get(position + 1).copied());
    }
    encoder.finish()
}

struct Encoder<'a> {
    frame: &'a Frame,
    code: Code,
    span: Span,
    /// The first slot of each block.
    starts: Vec<usize>,
    /// Jumps whose distance is still to be filled in.
    jumps: Vec<(usize, MBlockId)>,
}

impl Encoder<'_> {
    fn push(&mut self, insn: Insn) {
        self.code.insns.push(insn);
        self.code.spans.push(self.span);
    }

    fn push_reloc(&mut self, insn: Insn, target: RelocTarget) {
        let at = self.code.insns.len();
        self.code.relocs.push(Reloc { insn: at, target });
        self.push(insn);
    }

    fn jump(&mut self, insn: Insn, to: MBlockId) {
        self.jumps.push((self.code.insns.len(), to));
        self.push(insn);
    }

    fn inst(&mut self, op: &MOp) {
        match *op {
            MOp::Nop => {}
            MOp::Mov { dst, src } => {
                self.push(Insn::alu(Alu::Mov, true, dst.machine(), src.machine()));
            }
            MOp::Def { dst, known } => self.known(dst.machine(), known),
            MOp::Alu {
                op,
                wide,
                dst,
                src: Operand::Reg(src),
            } => self.push(Insn::alu(op, wide, dst.machine(), src.machine())),
            MOp::Alu {
                op,
                wide,
                dst,
                src: Operand::Imm(imm),
            } => self.push(Insn::alu_imm(op, wide, dst.machine(), imm)),
            MOp::Zext32 { dst, src } => {
                self.push(Insn::alu(Alu::Mov, false, dst.machine(), src.machine()));
            }
            MOp::Swap { dst, bits } => self.push(Insn::to_big_endian(dst.machine(), bits)),
            MOp::SetIf {
                dst,
                cond,
                wide,
                lhs,
                rhs,
            } => {
                let dst = dst.machine();
                self.push(Insn::alu_imm(Alu::Mov, true, dst, 1));
                self.push(test(cond, wide, lhs, rhs, 1));
                self.push(Insn::alu_imm(Alu::Mov, true, dst, 0));
            }
            MOp::Load {
                size,
                dst,
                base,
                off,
            } => {
                let (base, off) = self.address(base, off);
                self.push(Insn::load(size, dst.machine(), base, off));
            }
            MOp::Store {
                size,
                base,
                off,
                src,
            } => {
                let (base, off) = self.address(base, off);
                self.push(Insn::store(size, base, off, src.machine()));
            }
            MOp::AtomicAdd {
                size,
                base,
                off,
                src,
                fetch,
            } => {
                let (base, off) = self.address(base, off);
                self.push(Insn::atomic_add(size, base, off, src.machine(), fetch));
            }
            MOp::Call { callee, .. } => match callee {
                Callee::Helper(helper) => self.push(Insn::call(0, helper.number())),
                Callee::Kfunc(id) => self.push(Insn::call(pseudo::KFUNC_CALL, id as i32)),
                Callee::Func(func) => {
                    self.push_reloc(Insn::call(pseudo::CALL, 0), RelocTarget::Func(func));
                }
            },
        }
    }

    fn known(&mut self, dst: Reg, known: Known) {
        match known {
            Known::Imm(n) => {
                if let Ok(imm) = i32::try_from(n) {
                    self.push(Insn::alu_imm(Alu::Mov, true, dst, imm));
                } else if let Ok(imm) = u32::try_from(n) {
                    self.push(Insn::alu_imm(Alu::Mov, false, dst, imm as i32));
                } else {
                    let [low, high] = Insn::ld_imm64(dst, 0, n as u64);
                    self.push(low);
                    self.push(high);
                }
            }
            Known::Slot(slot, off) => {
                let off = self.frame.slot(slot) + off as i32;
                self.push(Insn::alu(Alu::Mov, true, dst, Reg::FP));
                self.push(Insn::alu_imm(Alu::Add, true, dst, off));
            }
            Known::Map(map) => self.wide(dst, pseudo::MAP_FD, 0, RelocTarget::Map(map)),
            Known::MapValue(map, off) => {
                let target = RelocTarget::MapValue(map, off);
                self.wide(dst, pseudo::MAP_VALUE, u64::from(off) << 32, target);
            }
            Known::Func(func) => self.wide(dst, pseudo::FUNC, 0, RelocTarget::Func(func)),
        }
    }

    fn wide(&mut self, dst: Reg, kind: u8, value: u64, target: RelocTarget) {
        let [low, high] = Insn::ld_imm64(dst, kind, value);
        self.push_reloc(low, target);
        self.push(high);
    }

    /// Selection has kept offsets within 16 bits, and the frame is smaller still.
    fn address(&self, base: Base, off: i32) -> (Reg, i16) {
        let (base, off) = match base {
            Base::Reg(reg) => (reg.machine(), off),
            Base::Slot(slot) => (Reg::FP, self.frame.slot(slot) + off),
            Base::Spill(spill) => (Reg::FP, self.frame.spill(spill) + off),
        };
        debug_assert!(i16::try_from(off).is_ok(), "offset {off}");
        (base, off as i16)
    }

    fn term(&mut self, term: MTerm, next: Option<MBlockId>) {
        match term {
            MTerm::Exit => self.push(Insn::exit()),
            MTerm::Jump(to) if Some(to) == next => {}
            MTerm::Jump(to) => self.jump(Insn::ja(0), to),
            MTerm::Branch {
                cond,
                wide,
                lhs,
                rhs,
                then,
                otherwise,
            } => match cond.inverse() {
                Some(inverse) if Some(then) == next => {
                    self.jump(test(inverse, wide, lhs, rhs, 0), otherwise);
                }
                _ => {
                    self.jump(test(cond, wide, lhs, rhs, 0), then);
                    if Some(otherwise) != next {
                        self.jump(Insn::ja(0), otherwise);
                    }
                }
            },
        }
    }

    fn finish(mut self) -> Result<Code, LimitError> {
        for (at, to) in self.jumps {
            let distance = self.starts[to.index()] as i64 - at as i64 - 1;
            let Ok(off) = i16::try_from(distance) else {
                return Err(LimitError {
                    limit: Limit::Length,
                    span: self.code.spans[at],
                    message: format!(
                        "this probe is too long: a jump over {distance} instructions, eBPF allows {}",
                        i16::MAX
                    ),
                    help: "split the probe in two".to_string(),
                });
            };
            self.code.insns[at].off = off;
        }
        Ok(self.code)
    }
}

fn test(cond: Jump, wide: bool, lhs: VReg, rhs: Operand, off: i16) -> Insn {
    match rhs {
        Operand::Reg(rhs) => Insn::jump(cond, wide, lhs.machine(), rhs.machine(), off),
        Operand::Imm(imm) => Insn::jump_imm(cond, wide, lhs.machine(), imm, off),
    }
}
