//! The reference interpreter of the IR: what a function means, in the plainest code possible.
//!
//! In: a module, a function of it, arguments, memory, a stand-in for the kernel. Out: the function's result and its traces in
//! memory. Every other way to run a script is compared with this one.

use super::machine::{DEPTH, FUEL, Fault, Fresh, Kernel, Memory, five, func_address, func_at};
use super::{BinOp, BlockId, Cond, Func, FuncId, Helper, Mem, Module, Op, Terminator, Value};
use crate::index::Id;

/// Runs a function.
pub fn run(
    module: &Module,
    func: FuncId,
    args: &[u64],
    memory: &mut Memory,
    kernel: &mut dyn Kernel,
) -> Result<u64, Fault> {
    let mut interp = Interp {
        module,
        memory,
        kernel,
        fuel: FUEL,
        depth: 0,
    };
    interp.call(func, args)
}

/// What `op` computes; the same for folding and running.
pub fn binary(op: BinOp, a: u64, b: u64) -> u64 {
    let (sa, sb) = (a as i64, b as i64);
    match op {
        BinOp::Add => a.wrapping_add(b),
        BinOp::Sub => a.wrapping_sub(b),
        BinOp::Mul => a.wrapping_mul(b),
        BinOp::UDiv => a.checked_div(b).unwrap_or(0),
        BinOp::UMod => a.checked_rem(b).unwrap_or(a),
        BinOp::SDiv if b == 0 => 0,
        BinOp::SDiv => sa.wrapping_div(sb) as u64,
        BinOp::SMod if b == 0 => a,
        BinOp::SMod => sa.wrapping_rem(sb) as u64,
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => a << (b & 63),
        BinOp::LShr => a >> (b & 63),
        BinOp::AShr => (sa >> (b & 63)) as u64,
    }
}

/// Whether the condition holds.
pub fn compare(cond: Cond, a: u64, b: u64) -> bool {
    let (sa, sb) = (a as i64, b as i64);
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::ULt => a < b,
        Cond::ULe => a <= b,
        Cond::UGt => a > b,
        Cond::UGe => a >= b,
        Cond::SLt => sa < sb,
        Cond::SLe => sa <= sb,
        Cond::SGt => sa > sb,
        Cond::SGe => sa >= sb,
    }
}

/// The low bytes of a value, extended.
pub fn extend(mem: Mem, value: u64) -> u64 {
    match mem {
        Mem::U8 => u64::from(value as u8),
        Mem::U16 => u64::from(value as u16),
        Mem::U32 => u64::from(value as u32),
        Mem::U64 => value,
        Mem::S8 => value as i8 as i64 as u64,
        Mem::S16 => value as i16 as i64 as u64,
        Mem::S32 => value as i32 as i64 as u64,
    }
}

/// The low bytes in reverse order, zero-extended.
pub fn swap_bytes(bytes: u8, value: u64) -> u64 {
    match bytes {
        2 => u64::from((value as u16).swap_bytes()),
        4 => u64::from((value as u32).swap_bytes()),
        _ => value.swap_bytes(),
    }
}

struct Interp<'a> {
    module: &'a Module,
    memory: &'a mut Memory,
    kernel: &'a mut dyn Kernel,
    fuel: u64,
    depth: usize,
}

/// One activation of a function.
struct Frame {
    values: Vec<Option<u64>>,
    slots: Vec<u64>,
}

impl Frame {
    fn get(&self, value: Value) -> Result<u64, Fault> {
        let found = self.values.get(value.index()).copied().flatten();
        found.ok_or_else(|| Fault(format!("{value} has no value")))
    }

    fn all(&self, values: &[Value]) -> Result<Vec<u64>, Fault> {
        values.iter().map(|&value| self.get(value)).collect()
    }

    fn set(&mut self, value: Value, to: u64) {
        if let Some(place) = self.values.get_mut(value.index()) {
            *place = Some(to);
        }
    }
}

impl<'a> Interp<'a> {
    fn call(&mut self, id: FuncId, args: &[u64]) -> Result<u64, Fault> {
        let missing = || Fault(format!("{id} does not exist"));
        let func = self.module.funcs.get(id).ok_or_else(missing)?;
        if self.depth == DEPTH {
            return Err(Fault("functions call each other too deeply".to_string()));
        }
        self.depth += 1;
        let slots = func.slots.iter();
        let mut frame = Frame {
            values: vec![None; func.values.len()],
            slots: slots
                .map(|slot| self.memory.allocate(slot.size as usize, Fresh::Undefined))
                .collect(),
        };
        let result = self.blocks(func, &mut frame, args);
        for slot in frame.slots {
            self.memory.free(slot);
        }
        self.depth -= 1;
        result
    }

    fn blocks(&mut self, func: &Func, frame: &mut Frame, args: &[u64]) -> Result<u64, Fault> {
        let mut at = BlockId(0);
        let mut passed = args.to_vec();
        loop {
            let missing = || Fault(format!("{at} does not exist"));
            let block = func.blocks.get(at).ok_or_else(missing)?;
            for (&param, &value) in block.params.iter().zip(&passed) {
                frame.set(param, value);
            }
            for inst in &block.insts {
                let spent = || Fault("the program runs too long".to_string());
                self.fuel = self.fuel.checked_sub(1).ok_or_else(spent)?;
                let result = self
                    .op(&inst.op, frame)
                    .map_err(|Fault(why)| Fault(format!("{at}: `{}`: {why}", inst.op)))?;
                if let Some(value) = inst.result {
                    frame.set(value, result);
                }
            }
            let target = match &block.term {
                Terminator::Return(value) => return frame.get(*value),
                Terminator::Jump(target) => target,
                Terminator::Branch {
                    cond,
                    then,
                    otherwise,
                } => {
                    if frame.get(*cond)? != 0 {
                        then
                    } else {
                        otherwise
                    }
                }
            };
            passed = frame.all(&target.args)?;
            at = target.block;
            self.fuel = self
                .fuel
                .checked_sub(1)
                .ok_or_else(|| Fault("the program runs too long".to_string()))?;
        }
    }

    /// The result, 0 for what has none.
    fn op(&mut self, op: &Op, frame: &Frame) -> Result<u64, Fault> {
        let at = |ptr: &Value, off: &i32| -> Result<u64, Fault> {
            Ok(frame.get(*ptr)?.wrapping_add_signed(i64::from(*off)))
        };
        Ok(match op {
            Op::Const(n) => *n as u64,
            Op::Binary(op, a, b) => binary(*op, frame.get(*a)?, frame.get(*b)?),
            Op::Compare(cond, a, b) => compare(*cond, frame.get(*a)?, frame.get(*b)?).into(),
            Op::Extend(mem, a) => extend(*mem, frame.get(*a)?),
            Op::SwapBytes(bytes, a) => swap_bytes(*bytes, frame.get(*a)?),
            Op::SlotAddr(slot, off) => {
                let missing = || Fault(format!("{slot} does not exist"));
                frame.slots.get(slot.index()).ok_or_else(missing)? + u64::from(*off)
            }
            Op::MapRef(map) => self.kernel.map(*map, self.memory)?,
            Op::MapValue(map, off) => self.kernel.map_value(*map, self.memory)? + u64::from(*off),
            Op::FuncRef(func) => func_address(*func),
            Op::Load { mem, ptr, off } => {
                extend(*mem, self.memory.load(at(ptr, off)?, mem.bytes())?)
            }
            Op::Store {
                mem,
                ptr,
                off,
                value,
            } => {
                let value = frame.get(*value)?;
                self.memory.store(at(ptr, off)?, mem.bytes(), value)?;
                0
            }
            Op::AtomicAdd {
                mem,
                ptr,
                off,
                value,
            } => {
                let (place, value) = (at(ptr, off)?, frame.get(*value)?);
                let old = self.memory.load(place, mem.bytes())?;
                self.memory
                    .store(place, mem.bytes(), old.wrapping_add(value))?;
                old
            }
            Op::Zero { ptr, off, size } => {
                self.memory.write(at(ptr, off)?, &vec![0; *size as usize])?;
                0
            }
            Op::Copy {
                dst,
                dst_off,
                src,
                src_off,
                size,
                ..
            } => {
                let bytes = self.memory.read(at(src, src_off)?, *size as usize)?;
                self.memory.write(at(dst, dst_off)?, &bytes)?;
                0
            }
            // What cannot be read is 0.
            Op::KernelLoad { mem, base, off, .. } => {
                let value = self.memory.load(at(base, off)?, mem.bytes());
                extend(*mem, value.unwrap_or(0))
            }
            Op::KernelCopy {
                dst,
                dst_off,
                size,
                base,
                off,
                ..
            } => {
                let size = *size as usize;
                let bytes = self.memory.read(at(base, off)?, size);
                let bytes = bytes.unwrap_or_else(|_| vec![0; size]);
                self.memory.write(at(dst, dst_off)?, &bytes)?;
                0
            }
            Op::Call(Helper::Loop, args) => self.bpf_loop(&frame.all(args)?)?,
            Op::Call(helper, args) => {
                let args = five(&frame.all(args)?);
                self.kernel.helper(*helper, args, self.memory)?
            }
            Op::Kfunc(id, args) => {
                let args = five(&frame.all(args)?);
                self.kernel.kfunc(*id, args, self.memory)?
            }
            Op::CallFunc(func, args) => self.call(*func, &frame.all(args)?)?,
        })
    }

    /// `bpf_loop(count, callback, context, flags)`: until the callback gives something else than 0; how often it ran.
    fn bpf_loop(&mut self, args: &[u64]) -> Result<u64, Fault> {
        let [count, callback, context, ..] = five(args);
        let callback =
            func_at(callback).ok_or_else(|| Fault("the callback is no function".to_string()))?;
        let count = u64::from(count as u32);
        for index in 0..count {
            if self.call(callback, &[index, context])? != 0 {
                return Ok(index + 1);
            }
        }
        Ok(count)
    }
}
