//! Chooses how kernel and user memory is read.
//!
//! Requires: a valid function; runs last, only `bulk` and `dead` may follow. Changes: every `KernelLoad` and `KernelCopy`. Where the
//! verifier knows the pointer's type (`Space::KernelTyped`) a plain load is enough, the kernel makes a fault a 0; everything else is
//! `bpf_probe_read_kernel` or `bpf_probe_read_user` into the stack or into place. Both clear what they could not read.
//! Preserves: values and control flow. Cost: linear.

use crate::ir::{BinOp, Func, Helper, Inst, Mem, Op, SlotData, SlotId, Space, Value, ValueDef};

/// The pass.
pub fn run(func: &mut Func) {
    let mut slot = None;
    for id in func.blocks.ids() {
        let insts = std::mem::take(&mut func.blocks[id].insts);
        let mut out = Out {
            block: id,
            insts: Vec::with_capacity(insts.len()),
        };
        for inst in insts {
            match inst.op {
                Op::KernelLoad {
                    mem,
                    base,
                    off,
                    space: Space::KernelTyped,
                } => out.insts.push(Inst {
                    op: Op::Load {
                        mem,
                        ptr: base,
                        off,
                    },
                    ..inst
                }),
                Op::KernelLoad {
                    mem,
                    base,
                    off,
                    space,
                } => {
                    // Each read is used before the next one: one slot serves all.
                    let slot = *slot.get_or_insert_with(|| landing(func));
                    out.read_one(func, &inst, (mem, base, off, space), slot);
                }
                Op::KernelCopy {
                    dst,
                    dst_off,
                    size,
                    base,
                    off,
                    space,
                } => {
                    let to = out.offset(func, &inst, dst, dst_off);
                    out.read(func, &inst, to, size, (base, off, space));
                }
                _ => out.insts.push(inst),
            }
        }
        func.blocks[id].insts = out.insts;
    }
}

/// The slot that single fields are read into.
fn landing(func: &mut Func) -> SlotId {
    func.slots.push(SlotData {
        size: 8,
        align: 8,
        what: "a field of kernel memory".to_string(),
        span: func.span,
    })
}

/// A block's new instructions.
struct Out {
    block: crate::ir::BlockId,
    insts: Vec<Inst>,
}

impl Out {
    fn value(&mut self, func: &mut Func, like: &Inst, op: Op) -> Value {
        let result = func.values.push(ValueDef::Inst(self.block));
        self.insts.push(Inst {
            result: Some(result),
            op,
            span: like.span,
        });
        result
    }

    fn offset(&mut self, func: &mut Func, like: &Inst, base: Value, off: i32) -> Value {
        if off == 0 {
            return base;
        }
        let off = self.value(func, like, Op::Const(i64::from(off)));
        self.value(func, like, Op::Binary(BinOp::Add, base, off))
    }

    fn read_one(
        &mut self,
        func: &mut Func,
        inst: &Inst,
        (mem, base, off, space): (Mem, Value, i32, Space),
        slot: SlotId,
    ) {
        let to = self.value(func, inst, Op::SlotAddr(slot, 0));
        self.read(func, inst, to, mem.bytes(), (base, off, space));
        self.insts.push(Inst {
            result: inst.result,
            op: Op::Load {
                mem,
                ptr: to,
                off: 0,
            },
            span: inst.span,
        });
    }

    fn read(
        &mut self,
        func: &mut Func,
        inst: &Inst,
        to: Value,
        size: u32,
        (base, off, space): (Value, i32, Space),
    ) {
        let helper = match space {
            Space::User => Helper::ProbeReadUser,
            _ => Helper::ProbeReadKernel,
        };
        let from = self.offset(func, inst, base, off);
        let size = self.value(func, inst, Op::Const(i64::from(size)));
        self.value(func, inst, Op::Call(helper, vec![to, size, from]));
    }
}
