//! Scalar expressions, and conditions as branches.
//!
//! In: typed expressions whose value is one 64-bit number. Out: an IR value, extended to 64 bits according to the type.

use super::{Lower, arch};
use crate::builtins::Lowering;
use crate::ir::{BinOp, BlockId, Cond, Mem, Value};
use crate::probes::ContextKind;
use crate::typed::{Bits, Context, Expr, ExprKind};
use crate::types::{Space, Ty, Type};

impl Lower<'_> {
    /// The value of a scalar expression.
    pub(crate) fn value(&mut self, expr: &Expr) -> Value {
        let outer = self.b.set_span(expr.span);
        let value = self.value_of(expr);
        self.b.set_span(outer);
        value
    }

    fn value_of(&mut self, expr: &Expr) -> Value {
        match &expr.kind {
            ExprKind::Int(n) => self.b.iconst(*n),
            ExprKind::Var(var) => match self.vars[*var] {
                super::Home::Value(var) => self.b.read_var(var),
                _ => self.load_from(expr),
            },
            ExprKind::Map(map, key) => self.read_entry(*map, key.as_deref(), expr.ty),
            ExprKind::MapTotal(map, key) => self.total(*map, key.as_deref()),
            ExprKind::Binary(op, a, b) => {
                let constant = matches!(b.kind, ExprKind::Int(_));
                let (left, right) = (self.value(a), self.value(b));
                let left = match constant {
                    true => left,
                    false => self.as_number(left, a.ty),
                };
                let right = self.as_number(right, b.ty);
                self.b.binary(*op, left, right)
            }
            ExprKind::Divide(op, a, b) => self.divide(*op, a, b),
            ExprKind::Compare(cond, a, b) => {
                let a = self.value(a);
                let b = self.value(b);
                self.b.compare(*cond, a, b)
            }
            ExprKind::CompareMemory(equal, a, b) => self.compare_memory(*equal, a, b),
            ExprKind::And(..) | ExprKind::Or(..) => self.truth(expr),
            ExprKind::Not(a) => {
                let a = self.value(a);
                self.b.compare_imm(Cond::Eq, a, 0)
            }
            ExprKind::Ternary(cond, yes, no) => self.choose(cond, yes, no),
            ExprKind::Either(first, second) => self.either(first, second),
            ExprKind::Cast(from) => self.cast(from, expr.ty),
            ExprKind::IncDec {
                target,
                delta,
                prefix,
            } => self.inc_dec(target, *delta, *prefix),
            ExprKind::Member {
                base,
                offset,
                bits: Some(bits),
            } => self.bit_field(base, *offset, *bits, expr.ty),
            ExprKind::AddressOf(place) => {
                let place = self.place_of(place);
                self.address(place)
            }
            ExprKind::Context(context) => self.context_value(*context, expr),
            ExprKind::Call(call) => match call.builtin.lower {
                Lowering::Value(lower) => {
                    let value = lower(self, call);
                    // A pointer that a helper returns is one whose type the verifier knows.
                    if let Type::Pointer { to, .. } = *self.ty(expr.ty) {
                        self.note_typed(value, to);
                    }
                    value
                }
                Lowering::Action(act) => {
                    act(self, call);
                    self.b.iconst(0)
                }
                Lowering::Into(_) | Lowering::Never => self.b.iconst(0),
            },
            ExprKind::Block(stmts, value) => {
                self.inner_stmts(stmts);
                self.value(value)
            }
            ExprKind::Deref(_)
            | ExprKind::Member { .. }
            | ExprKind::Element(..)
            | ExprKind::TupleElement(..) => self.load_from(expr),
            // Values in memory have no 64-bit value.
            ExprKind::Str(_) | ExprKind::Bytes(_) | ExprKind::Tuple(_) => self.b.iconst(0),
        }
    }

    fn load_from(&mut self, expr: &Expr) -> Value {
        let place = self.place_of(expr);
        self.load_scalar(place, expr.ty)
    }

    /// Ends the current block: to `then` when the condition holds. Nothing is computed as a number that only decides.
    pub(super) fn branch(&mut self, cond: &Expr, then: BlockId, otherwise: BlockId) {
        let outer = self.b.set_span(cond.span);
        match &cond.kind {
            ExprKind::And(a, b) => {
                let both = self.b.create_block();
                self.branch(a, both, otherwise);
                self.arm(both, |lower| lower.branch(b, then, otherwise));
            }
            ExprKind::Or(a, b) => {
                let second = self.b.create_block();
                self.branch(a, then, second);
                self.arm(second, |lower| lower.branch(b, then, otherwise));
            }
            ExprKind::Not(a) => self.branch(a, otherwise, then),
            ExprKind::CompareMemory(equal, a, b) => {
                let (yes, no) = match equal {
                    true => (then, otherwise),
                    false => (otherwise, then),
                };
                self.branch_equal(a, b, yes, no);
            }
            _ => {
                let value = self.value(cond);
                self.b.branch(value, then, otherwise);
            }
        }
        self.b.set_span(outer);
    }

    /// 1 or 0, as a condition says.
    pub(super) fn truth(&mut self, cond: &Expr) -> Value {
        let result = self.b.declare_var();
        let (yes, join) = (self.b.create_block(), self.b.create_block());
        self.branch(cond, yes, join);
        self.arm(yes, |lower| {
            let one = lower.b.iconst(1);
            lower.b.write_var(result, one);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// The first value unless it is zero.
    fn either(&mut self, first: &Expr, second: &Expr) -> Value {
        let result = self.b.declare_var();
        let (otherwise, join) = (self.b.create_block(), self.b.create_block());
        let value = self.value(first);
        self.b.write_var(result, value);
        self.b.branch(value, join, otherwise);
        self.arm(otherwise, |lower| {
            let value = lower.value(second);
            lower.b.write_var(result, value);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    fn choose(&mut self, cond: &Expr, yes: &Expr, no: &Expr) -> Value {
        let result = self.b.declare_var();
        let (then, otherwise, join) = self.diamond(cond);
        for (block, expr) in [(then, yes), (otherwise, no)] {
            self.arm(block, |lower| {
                let value = lower.value(expr);
                lower.b.write_var(result, value);
                lower.b.jump(join);
            });
        }
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// Division and modulo of the language: a divisor of 0 gives 1.
    fn divide(&mut self, op: BinOp, a: &Expr, b: &Expr) -> Value {
        let dividend = self.value(a);
        let divisor = self.value(b);
        if matches!(b.kind, ExprKind::Int(n) if n != 0) {
            return self.b.binary(op, dividend, divisor);
        }
        let result = self.b.declare_var();
        let one = self.b.iconst(1);
        self.b.write_var(result, one);
        let (divide, join) = (self.b.create_block(), self.b.create_block());
        self.b.branch(divisor, divide, join);
        self.arm(divide, |lower| {
            let quotient = lower.b.binary(op, dividend, divisor);
            lower.b.write_var(result, quotient);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    fn cast(&mut self, from: &Expr, to: Ty) -> Value {
        if self.in_memory(from.ty) {
            return self.cast_memory(from, to);
        }
        let pointer = matches!(self.ty(to), Type::Pointer { .. });
        match &from.kind {
            // A pointer that was a number only in between.
            ExprKind::Cast(inner)
                if pointer
                    && self.scalar_mem(from.ty) == Mem::U64
                    && matches!(self.ty(inner.ty), Type::Pointer { .. }) =>
            {
                self.value(inner)
            }
            _ => {
                let value = self.value(from);
                let value = match pointer || matches!(self.ty(to), Type::Bool) {
                    true => value,
                    false => self.as_number(value, from.ty),
                };
                self.convert(value, from.ty, to)
            }
        }
    }

    /// A value as a number, with which every arithmetic is allowed. The verifier allows none with pointers that it knows; what it
    /// finds in memory that a helper has written is a number to it.
    pub(super) fn as_number(&mut self, value: Value, ty: Ty) -> Value {
        let known = match self.ty(ty) {
            Type::Pointer {
                space: Space::Context,
                ..
            } => true,
            Type::Pointer {
                space: Space::Kernel,
                ..
            } => self.known_pointers,
            _ => false,
        };
        match known {
            true => self.launder(value),
            false => value,
        }
    }

    /// The same bits, of unknown origin.
    pub(super) fn launder(&mut self, pointer: Value) -> Value {
        let temp = self.temp(16, 8, "a pointer as a number");
        let (spilled, number) = (temp.at(0, 8), temp.at(8, 8));
        self.store(spilled, Mem::U64, pointer);
        let address = self.address(spilled);
        let from = super::Place::foreign(address, crate::ir::Space::Kernel, 8);
        self.copy(from, number, 8);
        self.load(number, Mem::U64)
    }

    /// A scalar of one type as another.
    fn convert(&mut self, value: Value, from: Ty, to: Ty) -> Value {
        if matches!(self.ty(to), Type::Bool) {
            return match self.ty(from) {
                Type::Bool => value,
                _ => self.b.compare_imm(Cond::Ne, value, 0),
            };
        }
        let (from, to) = (self.scalar_mem(from), self.scalar_mem(to));
        let fits = match (from.signed(), to.signed()) {
            (false, false) | (true, true) => from.bytes() <= to.bytes(),
            (false, true) => from.bytes() < to.bytes(),
            (true, false) => false,
        };
        if fits || to == Mem::U64 {
            value
        } else {
            self.b.extend(to, value)
        }
    }

    /// Bytes in memory as a number, or whether a string has any.
    fn cast_memory(&mut self, from: &Expr, to: Ty) -> Value {
        let size = self.size(from.ty);
        let place = self.place_of(from);
        if matches!(self.ty(to), Type::Bool) {
            let first = self.load(place, Mem::U8);
            return self.b.compare_imm(Cond::Ne, first, 0);
        }
        let mem = self.scalar_mem(to);
        let known = Mem::of(size.min(mem.bytes()), mem.signed()).unwrap_or(Mem::U8);
        self.load(place, known)
    }

    fn inc_dec(&mut self, target: &Expr, delta: i64, prefix: bool) -> Value {
        if let ExprKind::Map(map, key) = &target.kind {
            let delta = self.b.iconst(delta);
            let result = self.b.declare_var();
            self.add_to_map(*map, key.as_deref(), delta, |lower, old| {
                let value = match prefix {
                    true => lower.b.binary(BinOp::Add, old, delta),
                    false => old,
                };
                lower.b.write_var(result, value);
            });
            return self.b.read_var(result);
        }
        let ExprKind::Var(var) = target.kind else {
            return self.b.iconst(0);
        };
        let old = self.value(target);
        let sum = self.b.binary_imm(BinOp::Add, old, delta);
        let new = match self.scalar_mem(target.ty) {
            Mem::U64 => sum,
            narrow => self.b.extend(narrow, sum),
        };
        match self.vars[var] {
            super::Home::Value(home) => self.b.write_var(home, new),
            _ => {
                if let Some(place) = self.var_place(var) {
                    self.store_scalar(place, target.ty, new);
                }
            }
        }
        if prefix { new } else { old }
    }

    fn bit_field(&mut self, base: &Expr, offset: u32, bits: Bits, ty: Ty) -> Value {
        let place = self.place_of(base).at(offset, u32::from(bits.bytes));
        let mem = Mem::of(u32::from(bits.bytes), false).unwrap_or(Mem::U64);
        let raw = self.load(place, mem);
        let (shift, width) = (i64::from(bits.shift), i64::from(bits.width));
        if self.is_signed(ty) {
            let up = self.b.binary_imm(BinOp::Shl, raw, 64 - shift - width);
            return self.b.binary_imm(BinOp::AShr, up, 64 - width);
        }
        let down = match shift {
            0 => raw,
            _ => self.b.binary_imm(BinOp::LShr, raw, shift),
        };
        if shift + width == 8 * i64::from(bits.bytes) {
            return down;
        }
        self.b.binary_imm(BinOp::And, down, (1 << width) - 1)
    }

    /// Whether a scalar type is a signed integer of any width.
    pub(crate) fn is_signed(&self, ty: Ty) -> bool {
        matches!(
            self.ty(ty),
            Type::Int { signed: true, .. } | Type::Enum { signed: true, .. }
        )
    }

    fn context_value(&mut self, context: Context, expr: &Expr) -> Value {
        let ctx = self.context();
        match context {
            Context::Register(n) => match arch::argument(n) {
                Some(offset) => self.narrowed(ctx, offset, expr.ty),
                None => self.b.iconst(0),
            },
            Context::Packet => self.packet(),
            Context::ReturnRegister => self.narrowed(ctx, arch::RETURN_VALUE, expr.ty),
            Context::Slot(n) => {
                let value = self.narrowed(ctx, 8 * n as i32, expr.ty);
                self.note_argument(value, expr.ty);
                value
            }
            Context::Memory(_) => self.load_from(expr),
            Context::DataLoc(offset) => {
                let word = self.b.load(Mem::U32, ctx, offset as i32);
                let from = self.b.binary_imm(BinOp::And, word, 0xffff);
                self.b.binary(BinOp::Add, ctx, from)
            }
            Context::Address => ctx,
        }
    }

    /// A register or argument slot: 64 bits, of which a narrower type means the low ones.
    fn narrowed(&mut self, ctx: Value, offset: i32, ty: Ty) -> Value {
        let value = self.b.load(Mem::U64, ctx, offset);
        match self.scalar_mem(ty) {
            Mem::U64 => value,
            narrow => self.b.extend(narrow, value),
        }
    }

    /// Pointer arguments of fentry and fexit have types that the verifier knows.
    fn note_argument(&mut self, value: Value, ty: Ty) {
        let known = matches!(
            self.probe.kind.context,
            ContextKind::Args | ContextKind::ArgsAndResult
        );
        if let (true, &Type::Pointer { to, space }) = (known, self.ty(ty))
            && space == Space::Kernel
        {
            self.note_typed(value, to);
        }
    }
}
