//! Large areas: clearing and copying by one helper call.
//!
//! Requires: a valid function. Changes: `Zero` and `Copy` of more bytes than are worth single instructions. `bpf_probe_read_kernel` does
//! both: with a null source it fails, and clears its destination as it always does then; and eBPF memory is kernel
//! memory. Preserves: everything else. Cost: linear.

use crate::ir::{BinOp, BlockId, Func, Helper, Inst, Op, Value, ValueDef};

/// Up to here code generation does it, eight bytes per instruction or two.
const INLINE: u32 = 128;

/// The pass.
pub fn run(func: &mut Func) {
    for id in func.blocks.ids() {
        let insts = std::mem::take(&mut func.blocks[id].insts);
        let mut out = Vec::with_capacity(insts.len());
        for inst in insts {
            match inst.op {
                Op::Zero { ptr, off, size } if size > INLINE => {
                    let to = offset(func, id, &mut out, &inst, ptr, off);
                    let null = value(func, id, &mut out, &inst, Op::Const(0));
                    call(func, id, &mut out, &inst, [to, null], size);
                }
                Op::Copy {
                    dst,
                    dst_off,
                    src,
                    src_off,
                    size,
                    ..
                } if size > INLINE => {
                    let to = offset(func, id, &mut out, &inst, dst, dst_off);
                    let from = offset(func, id, &mut out, &inst, src, src_off);
                    call(func, id, &mut out, &inst, [to, from], size);
                }
                _ => out.push(inst),
            }
        }
        func.blocks[id].insts = out;
    }
}

fn call(
    func: &mut Func,
    block: BlockId,
    out: &mut Vec<Inst>,
    like: &Inst,
    [to, from]: [Value; 2],
    size: u32,
) {
    let size = value(func, block, out, like, Op::Const(i64::from(size)));
    let read = Op::Call(Helper::ProbeReadKernel, vec![to, size, from]);
    value(func, block, out, like, read);
}

fn offset(
    func: &mut Func,
    block: BlockId,
    out: &mut Vec<Inst>,
    like: &Inst,
    base: Value,
    off: i32,
) -> Value {
    if off == 0 {
        return base;
    }
    let off = value(func, block, out, like, Op::Const(i64::from(off)));
    value(func, block, out, like, Op::Binary(BinOp::Add, base, off))
}

fn value(func: &mut Func, block: BlockId, out: &mut Vec<Inst>, like: &Inst, op: Op) -> Value {
    let result = func.values.push(ValueDef::Inst(block));
    out.push(Inst {
        result: Some(result),
        op,
        span: like.span,
    });
    result
}
