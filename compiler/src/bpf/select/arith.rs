//! Arithmetic: two-address forms, constants, and what eBPF has no instruction for.

use super::*;

/// How many low bits of the result can be other than 0.
pub(super) fn width(op: &Op, widths: &[u8]) -> u8 {
    let of = |v: &Value| widths.get(v.index()).copied().unwrap_or(64);
    match op {
        Op::Const(n) => (64 - n.leading_zeros()) as u8,
        Op::Compare(..) => 1,
        Op::Extend(mem, a) if !mem.signed() => of(a).min(mem.bytes() as u8 * 8),
        // A value that is positive in the narrow type stays what it is.
        Op::Extend(mem, a) if u32::from(of(a)) < mem.bytes() * 8 => of(a),
        Op::SwapBytes(bytes, _) => bytes.saturating_mul(8),
        Op::Load { mem, .. } if !mem.signed() => mem.bytes() as u8 * 8,
        Op::AtomicAdd { mem: Mem::U32, .. } => 32,
        Op::Binary(BinOp::And, a, b) => of(a).min(of(b)),
        Op::Binary(BinOp::Or | BinOp::Xor, a, b) => of(a).max(of(b)),
        Op::Binary(BinOp::LShr | BinOp::UDiv, a, _) => of(a),
        _ => 64,
    }
}

impl Select<'_> {
    pub(super) fn binary(&mut self, op: BinOp, dst: VReg, a: Value, b: Value) {
        let commutes = matches!(
            op,
            BinOp::Add | BinOp::Mul | BinOp::And | BinOp::Or | BinOp::Xor
        );
        // The left operand is overwritten: best one that nobody needs any more; constants go to the right.
        let swap = commutes
            && self.constant(b).is_none()
            && (self.constant(a).is_some()
                || (self.uses[a.index()] > 1 && self.uses[b.index()] == 1));
        let (a, b) = if swap { (b, a) } else { (a, b) };
        if let Some(n) = self.constant(b)
            && self.binary_constant(op, dst, a, n)
        {
            return;
        }
        match op {
            BinOp::Sub if self.constant(a) == Some(0) => {
                self.copy_to(dst, b);
                self.alu(Alu::Neg, dst, Operand::Imm(0));
            }
            BinOp::SDiv | BinOp::SMod => self.signed_division(op, dst, a, b),
            _ => {
                let src = self.reg(b);
                self.copy_to(dst, a);
                self.alu(machine(op), dst, Operand::Reg(src));
            }
        }
    }

    /// `dst = a op n` when that has a shorter form; false when `n` needs a register.
    fn binary_constant(&mut self, op: BinOp, dst: VReg, a: Value, n: i64) -> bool {
        let power = (n > 0 && n & (n - 1) == 0).then(|| n.trailing_zeros() as i32);
        let (op, imm) = match (op, power) {
            (BinOp::Add | BinOp::Sub | BinOp::Or | BinOp::Xor, _) if n == 0 => {
                self.copy_to(dst, a);
                return true;
            }
            // The verifier refuses constant divisors of 0 and constant counts beyond 63.
            (BinOp::UDiv | BinOp::SDiv, _) if n == 0 => {
                let known = Known::Imm(0);
                self.emit(MOp::Def { dst, known });
                return true;
            }
            (BinOp::UMod | BinOp::SMod, _) if n == 0 => {
                self.copy_to(dst, a);
                return true;
            }
            (BinOp::Shl | BinOp::LShr | BinOp::AShr, _) => (machine(op), (n & 63) as i32),
            (BinOp::Mul, Some(power)) => (Alu::Lsh, power),
            (BinOp::UDiv, Some(power)) => (Alu::Rsh, power),
            (BinOp::UMod, Some(_)) => {
                return self.binary_constant(BinOp::And, dst, a, n - 1);
            }
            (BinOp::And, _) if n == 0xffff_ffff => {
                self.extend(Mem::U32, dst, a);
                return true;
            }
            (BinOp::And, _) if i32::try_from(n).is_err() && u32::try_from(n).is_ok() => {
                self.copy_to(dst, a);
                self.emit(MOp::Alu {
                    op: Alu::And,
                    wide: false,
                    dst,
                    src: Operand::Imm(n as i32),
                });
                return true;
            }
            // As compilers write it; `-n` exists unless `n` is the least number.
            (BinOp::Sub, _) if n != i64::from(i32::MIN) && i32::try_from(n).is_ok() => {
                (Alu::Add, -(n as i32))
            }
            (BinOp::SDiv | BinOp::SMod, _) => return false,
            _ => match i32::try_from(n) {
                Ok(imm) => (machine(op), imm),
                Err(_) => return false,
            },
        };
        self.copy_to(dst, a);
        self.alu(op, dst, Operand::Imm(imm));
        true
    }

    /// eBPF divides signed numbers from Linux 6.6 on only. With `s` = -1 for negative numbers, else 0, `(x ^ s) - s` is
    /// the magnitude of `x` and puts the sign back as well. Division by 0 and the least number by -1 come out as defined.
    fn signed_division(&mut self, op: BinOp, dst: VReg, a: Value, b: Value) {
        let a = self.reg(a);
        let b = self.reg(b);
        let sign_a = self.sign(a);
        let sign_b = self.sign(b);
        let magnitude_b = self.fresh();
        self.emit(MOp::Mov {
            dst: magnitude_b,
            src: b,
        });
        self.apply_sign(magnitude_b, sign_b);
        self.emit(MOp::Mov { dst, src: a });
        self.apply_sign(dst, sign_a);
        if op == BinOp::SDiv {
            self.alu(Alu::Div, dst, Operand::Reg(magnitude_b));
            self.alu(Alu::Xor, sign_a, Operand::Reg(sign_b));
        } else {
            self.alu(Alu::Mod, dst, Operand::Reg(magnitude_b));
        }
        self.apply_sign(dst, sign_a);
    }

    fn sign(&mut self, of: VReg) -> VReg {
        let dst = self.fresh();
        self.emit(MOp::Mov { dst, src: of });
        self.alu(Alu::Arsh, dst, Operand::Imm(63));
        dst
    }

    fn apply_sign(&mut self, dst: VReg, sign: VReg) {
        self.alu(Alu::Xor, dst, Operand::Reg(sign));
        self.alu(Alu::Sub, dst, Operand::Reg(sign));
    }

    pub(super) fn extend(&mut self, mem: Mem, dst: VReg, a: Value) {
        let bits = mem.bytes() as u8 * 8;
        let fits = if mem.signed() { bits - 1 } else { bits };
        if mem == Mem::U64 || self.width(a) <= fits {
            return self.copy_to(dst, a);
        }
        if mem == Mem::U32 {
            let src = self.reg(a);
            return self.emit(MOp::Zext32 { dst, src });
        }
        self.copy_to(dst, a);
        self.extend_in_place(mem, dst);
    }

    /// Extends what is in a register; also after a load, which always clears the upper bits.
    pub(super) fn extend_in_place(&mut self, mem: Mem, dst: VReg) {
        let unused = 64 - mem.bytes() as i32 * 8;
        match mem {
            Mem::U64 => {}
            Mem::U8 => self.alu(Alu::And, dst, Operand::Imm(0xff)),
            Mem::U16 => self.alu(Alu::And, dst, Operand::Imm(0xffff)),
            Mem::U32 => self.emit(MOp::Zext32 { dst, src: dst }),
            Mem::S8 | Mem::S16 | Mem::S32 => {
                self.alu(Alu::Lsh, dst, Operand::Imm(unused));
                self.alu(Alu::Arsh, dst, Operand::Imm(unused));
            }
        }
    }
}

/// The instruction of an operation; signed division has none and is expanded before.
fn machine(op: BinOp) -> Alu {
    match op {
        BinOp::Add => Alu::Add,
        BinOp::Sub => Alu::Sub,
        BinOp::Mul => Alu::Mul,
        BinOp::UDiv | BinOp::SDiv => Alu::Div,
        BinOp::UMod | BinOp::SMod => Alu::Mod,
        BinOp::And => Alu::And,
        BinOp::Or => Alu::Or,
        BinOp::Xor => Alu::Xor,
        BinOp::Shl => Alu::Lsh,
        BinOp::LShr => Alu::Rsh,
        BinOp::AShr => Alu::Arsh,
    }
}
