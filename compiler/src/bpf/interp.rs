//! Runs finished bytecode without a kernel, for tests.
//!
//! In: the code of all functions, arguments, memory and a stand-in for the kernel, the same as for [`crate::ir::interp`]. Out:
//! the result and the traces in memory. Covers every instruction that [`super::encode`] can make; others are a fault, as are reads
//! of registers and stack bytes that were never written and accesses outside of the function's own frame.

use super::insn::{
    Alu, CALL, EXIT, FETCH, Insn, JA, Jump, MODE_ATOMIC, MODE_MEM, SRC_REG, Size, class, pseudo,
};
use super::{Code, RelocTarget};
use crate::index::IndexVec;
use crate::ir::machine::{DEPTH, FUEL, Fault, Fresh, Kernel, Memory, five, func_address, func_at};
use crate::ir::{FuncId, Helper};

/// Runs a function.
pub fn run(
    codes: &IndexVec<FuncId, Code>,
    func: FuncId,
    args: &[u64],
    memory: &mut Memory,
    kernel: &mut dyn Kernel,
) -> Result<u64, Fault> {
    let mut interp = Interp {
        codes,
        memory,
        kernel,
        fuel: FUEL,
        depth: 0,
    };
    interp.call(func, args)
}

struct Interp<'a> {
    codes: &'a IndexVec<FuncId, Code>,
    memory: &'a mut Memory,
    kernel: &'a mut dyn Kernel,
    fuel: u64,
    depth: usize,
}

/// Registers; `None` was never written or has been destroyed by a call.
struct Regs([Option<u64>; 11]);

impl Regs {
    fn get(&self, reg: u8) -> Result<u64, Fault> {
        let found = self.0.get(usize::from(reg)).copied().flatten();
        found.ok_or_else(|| Fault(format!("r{reg} has no value")))
    }

    fn set(&mut self, reg: u8, value: u64) -> Result<(), Fault> {
        match self.0.get_mut(usize::from(reg)) {
            Some(place) if reg < 10 => {
                *place = Some(value);
                Ok(())
            }
            _ => Err(Fault(format!("r{reg} cannot be written"))),
        }
    }

    /// The address of a memory access.
    fn address(&self, base: u8, insn: &Insn) -> Result<u64, Fault> {
        Ok(self.get(base)?.wrapping_add_signed(i64::from(insn.off)))
    }

    /// The right operand.
    fn right(&self, insn: &Insn) -> Result<u64, Fault> {
        if insn.code & SRC_REG != 0 {
            self.get(insn.src)
        } else {
            Ok(i64::from(insn.imm) as u64)
        }
    }
}

impl Interp<'_> {
    fn call(&mut self, id: FuncId, args: &[u64]) -> Result<u64, Fault> {
        let codes = self.codes;
        let missing = || Fault(format!("{id} does not exist"));
        let code = codes.get(id).ok_or_else(missing)?;
        if self.depth == DEPTH {
            return Err(Fault("functions call each other too deeply".to_string()));
        }
        self.depth += 1;
        let size = code.stack_size as usize;
        let stack = self.memory.allocate(size, Fresh::Undefined);
        let mut regs = Regs([None; 11]);
        for (place, &arg) in regs.0[1..].iter_mut().zip(args) {
            *place = Some(arg);
        }
        regs.0[10] = Some(stack + size as u64);
        let result = self.body(code, &mut regs);
        self.memory.free(stack);
        self.depth -= 1;
        result
    }

    fn body(&mut self, code: &Code, regs: &mut Regs) -> Result<u64, Fault> {
        let mut pc = 0;
        loop {
            let outside = || Fault(format!("there is no instruction {pc}"));
            let insn = code.insns.get(pc).ok_or_else(outside)?;
            let spent = || Fault("the program runs too long".to_string());
            self.fuel = self.fuel.checked_sub(1).ok_or_else(spent)?;
            if insn.code == EXIT {
                return regs.get(0);
            }
            let next = self
                .insn(code, pc, insn, regs)
                .map_err(|Fault(why)| Fault(format!("instruction {pc}: {why}")))?;
            let next = pc as i64 + next;
            pc = usize::try_from(next).map_err(|_| outside())?;
        }
    }

    /// Runs one instruction; how far the next one is.
    fn insn(&mut self, code: &Code, pc: usize, insn: &Insn, regs: &mut Regs) -> Result<i64, Fault> {
        match insn.class() {
            class::ALU | class::ALU64 => {
                let value = alu(insn, regs)?;
                regs.set(insn.dst, value)?;
            }
            class::JMP | class::JMP32 => return self.jump(code, pc, insn, regs),
            class::LDX if insn.code & 0xe0 == MODE_MEM => {
                let address = regs.address(insn.src, insn)?;
                let size = Size::from_code(insn.code).bytes();
                let value = self.memory.load(address, size)?;
                regs.set(insn.dst, value)?;
            }
            class::ST | class::STX if insn.code & 0xe0 == MODE_MEM => {
                let address = regs.address(insn.dst, insn)?;
                let value = if insn.class() == class::ST {
                    i64::from(insn.imm) as u64
                } else {
                    regs.get(insn.src)?
                };
                let size = Size::from_code(insn.code).bytes();
                self.memory.store(address, size, value)?;
            }
            class::STX if insn.code & 0xe0 == MODE_ATOMIC => self.atomic(insn, regs)?,
            class::LD if insn.is_wide() => {
                let value = self.wide(code, pc, insn)?;
                regs.set(insn.dst, value)?;
                return Ok(2);
            }
            _ => return Err(Fault(format!("unknown code {:#04x}", insn.code))),
        }
        Ok(1)
    }

    fn atomic(&mut self, insn: &Insn, regs: &mut Regs) -> Result<(), Fault> {
        let size = Size::from_code(insn.code).bytes();
        if !matches!(size, 4 | 8) || !matches!(insn.imm, 0 | FETCH) {
            return Err(Fault("unknown atomic operation".to_string()));
        }
        let address = regs.address(insn.dst, insn)?;
        let old = self.memory.load(address, size)?;
        let new = old.wrapping_add(regs.get(insn.src)?);
        self.memory.store(address, size, new)?;
        if insn.imm == FETCH {
            regs.set(insn.src, old)?;
        }
        Ok(())
    }

    fn wide(&mut self, code: &Code, pc: usize, insn: &Insn) -> Result<u64, Fault> {
        let high = code.insns.get(pc + 1).map_or(0, |insn| insn.imm);
        match target(code, pc) {
            None if insn.src == 0 => Ok(u64::from(insn.imm as u32) | u64::from(high as u32) << 32),
            Some(RelocTarget::Map(map)) => self.kernel.map(map, self.memory),
            Some(RelocTarget::MapValue(map, off)) if high as u32 == off => {
                Ok(self.kernel.map_value(map, self.memory)? + u64::from(off))
            }
            Some(RelocTarget::Func(func)) => Ok(func_address(func)),
            _ => Err(Fault("a reference without relocation".to_string())),
        }
    }

    fn jump(&mut self, code: &Code, pc: usize, insn: &Insn, regs: &mut Regs) -> Result<i64, Fault> {
        let distance = 1 + i64::from(insn.off);
        match insn.code {
            JA => return Ok(distance),
            CALL => {
                self.call_insn(code, pc, insn, regs)?;
                return Ok(1);
            }
            _ => {}
        }
        let unknown = || Fault(format!("unknown code {:#04x}", insn.code));
        let cond = Jump::from_code(insn.code).ok_or_else(unknown)?;
        let (mut a, mut b) = (regs.get(insn.dst)?, regs.right(insn)?);
        if insn.class() == class::JMP32 {
            // Sign-extended, 32-bit numbers compare as they do in 32 bits, also as unsigned.
            (a, b) = (a as i32 as i64 as u64, b as i32 as i64 as u64);
        }
        Ok(if cond.holds(a, b) { distance } else { 1 })
    }

    fn call_insn(
        &mut self,
        code: &Code,
        pc: usize,
        insn: &Insn,
        regs: &mut Regs,
    ) -> Result<(), Fault> {
        let args: Vec<Option<u64>> = regs.0[1..=5].to_vec();
        let first = |n: usize| -> Result<[u64; 5], Fault> {
            let args: Option<Vec<u64>> = args.iter().take(n).copied().collect();
            let missing = || Fault("an argument has no value".to_string());
            Ok(five(&args.ok_or_else(missing)?))
        };
        let given = args.iter().take_while(|arg| arg.is_some()).count();
        let result = match (insn.src, target(code, pc)) {
            (pseudo::CALL, Some(RelocTarget::Func(func))) => self.call(func, &first(given)?)?,
            (pseudo::KFUNC_CALL, None) => {
                self.kernel
                    .kfunc(insn.imm as u32, first(given)?, self.memory)?
            }
            (0, None) => {
                let unknown = || Fault(format!("helper {} is unknown", insn.imm));
                let helper = Helper::by_number(insn.imm).ok_or_else(unknown)?;
                let args = first(helper.args())?;
                match helper {
                    Helper::Loop => self.bpf_loop(args)?,
                    _ => self.kernel.helper(helper, args, self.memory)?,
                }
            }
            _ => return Err(Fault("a call without relocation".to_string())),
        };
        regs.0[..=5].fill(None);
        regs.set(0, result)
    }

    fn bpf_loop(&mut self, args: [u64; 5]) -> Result<u64, Fault> {
        let [count, callback, context, ..] = args;
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

fn target(code: &Code, pc: usize) -> Option<RelocTarget> {
    let found = code.relocs.iter().find(|reloc| reloc.insn == pc);
    found.map(|reloc| reloc.target)
}

fn alu(insn: &Insn, regs: &Regs) -> Result<u64, Fault> {
    let unknown = || Fault(format!("unknown code {:#04x}", insn.code));
    let op = Alu::from_code(insn.code).ok_or_else(unknown)?;
    if op == Alu::Mov {
        let value = regs.right(insn)?;
        return Ok(match insn.class() {
            class::ALU64 => value,
            _ => u64::from(value as u32),
        });
    }
    let a = regs.get(insn.dst)?;
    if op == Alu::End {
        return end(insn, a);
    }
    let b = if op == Alu::Neg { 0 } else { regs.right(insn)? };
    if insn.code & SRC_REG == 0 {
        let bits = if insn.class() == class::ALU64 { 64 } else { 32 };
        let is_shift = matches!(op, Alu::Lsh | Alu::Rsh | Alu::Arsh);
        let is_division = matches!(op, Alu::Div | Alu::Mod);
        if is_shift && b >= bits || is_division && b == 0 {
            return Err(Fault("the verifier refuses this constant".to_string()));
        }
    }
    if insn.class() == class::ALU64 {
        return Ok(alu64(op, a, b));
    }
    let (a, b) = (a as u32, b as u32);
    Ok(match op {
        Alu::Lsh => a << (b & 31),
        Alu::Rsh => a >> (b & 31),
        Alu::Arsh => (a as i32 >> (b & 31)) as u32,
        // The low half does not depend on the upper one; division sees zero-extended operands.
        _ => alu64(op, u64::from(a), u64::from(b)) as u32,
    }
    .into())
}

fn alu64(op: Alu, a: u64, b: u64) -> u64 {
    match op {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::Mul => a.wrapping_mul(b),
        Alu::Div => a.checked_div(b).unwrap_or(0),
        Alu::Mod => a.checked_rem(b).unwrap_or(a),
        Alu::Or => a | b,
        Alu::And => a & b,
        Alu::Xor => a ^ b,
        Alu::Lsh => a << (b & 63),
        Alu::Rsh => a >> (b & 63),
        Alu::Arsh => ((a as i64) >> (b & 63)) as u64,
        Alu::Neg => a.wrapping_neg(),
        Alu::Mov | Alu::End => b,
    }
}

/// `be16/32/64` and `le16/32/64` on a little-endian machine.
fn end(insn: &Insn, value: u64) -> Result<u64, Fault> {
    if insn.class() != class::ALU {
        return Err(Fault("bswap needs Linux 6.6".to_string()));
    }
    let swap = insn.code & SRC_REG != 0;
    Ok(match (insn.imm, swap) {
        (16, true) => u64::from((value as u16).swap_bytes()),
        (32, true) => u64::from((value as u32).swap_bytes()),
        (64, true) => value.swap_bytes(),
        (16, false) => u64::from(value as u16),
        (32, false) => u64::from(value as u32),
        (64, false) => value,
        (bits, _) => return Err(Fault(format!("cannot swap {bits} bits"))),
    })
}
