//! Operators with two operands.
//!
//! Arithmetic is 64 bits wide: signed when an operand is, and always for `-`; a shift has the sign of its left operand. Comparison
//! happens in the smallest type that holds both. Pointers move by the size of what they point to and compare as addresses.

use nettrace_grammar::ast::BinaryOp;
use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::convert::int;
use super::fold;
use super::infer;
use crate::artifact::Target;
use crate::builtins;
use crate::ir::{BinOp, Cond};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Ty, Type, Types};

impl Checker<'_> {
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        a: &ast::Expr,
        b: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let left = self.value(a);
        let right = self.value(b);
        self.binary_values(op, left?, right?, span)
    }

    /// The operator on two checked operands.
    pub(super) fn binary_values(
        &mut self,
        op: BinaryOp,
        a: Expr,
        b: Expr,
        span: Span,
    ) -> Option<Expr> {
        if let Some(folded) = self.fold(op, &a, &b, span) {
            return folded;
        }
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            return self.logical(op, a, b, span);
        }
        let a = self.as_number_beside(&a, &b).unwrap_or(a);
        let b = self.as_number_beside(&b, &a).unwrap_or(b);
        let pointers = (self.pointee(a.ty).is_some(), self.pointee(b.ty).is_some());
        if pointers != (false, false) {
            return self.pointers(op, a, b, span);
        }
        if self.is_int_like(a.ty) && self.is_int_like(b.ty) {
            return match condition(op, false).is_some() {
                true => Some(self.compare_ints(op, a, b, span)),
                false => self.arithmetic(op, a, b, span),
            };
        }
        match op {
            BinaryOp::Eq | BinaryOp::Ne => self.compare_values(op, a, b, span),
            _ if condition(op, true).is_some() && self.is_text(&a) && self.is_text(&b) => {
                self.compare_order(op, a, b, span)
            }
            _ => {
                self.bad_operands(op, &a, &b, span);
                None
            }
        }
    }

    /// Two constants: the outer `None` when there is something to do at run time, the inner one after reporting.
    fn fold(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span) -> Option<Option<Expr>> {
        let truth = |holds: bool| Some(Some(int(i64::from(holds), Types::BOOL, span)));
        if let (ExprKind::Str(x), ExprKind::Str(y)) = (&a.kind, &b.kind) {
            if op == BinaryOp::Add {
                let joined = [x.as_slice(), y.as_slice()].concat();
                return Some(Some(self.string(joined, span)));
            }
            return fold::compare(op, x, y).and_then(truth);
        }
        let (x, y) = (
            fold::literal_value(a, self.types),
            fold::literal_value(b, self.types),
        );
        if !matches!(op, BinaryOp::And | BinaryOp::Or)
            && condition(op, false).is_none()
            && let (Some(x), Some(y)) = (x, y)
        {
            return Some(match fold::arithmetic(op, x, y) {
                Ok(value) => Some(fold::literal(value, span)),
                Err(fault) => {
                    self.no_constant(fault, span);
                    None
                }
            });
        }
        let (x, y) = (x?, y?);
        match op {
            BinaryOp::And => truth(x != 0 && y != 0),
            BinaryOp::Or => truth(x != 0 || y != 0),
            _ => fold::compare(op, x, y).and_then(truth),
        }
    }

    pub(super) fn no_constant(&mut self, fault: fold::Fault, span: Span) {
        let message = format!("this constant has no value: {}", fault.reason());
        self.error(codes::CONSTANT_FAULT, span, message);
    }

    fn logical(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let left = self.truth(a);
        let right = self.truth(b);
        let (left, right) = (left?, right?);
        if let (ExprKind::Int(x), ExprKind::Int(y)) = (&left.kind, &right.kind) {
            let holds = if op == BinaryOp::And { x & y } else { x | y };
            return Some(int(holds, Types::BOOL, span));
        }
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = match op {
            BinaryOp::And => ExprKind::And(left, right),
            _ => ExprKind::Or(left, right),
        };
        Some(Expr {
            kind,
            ty: Types::BOOL,
            span,
        })
    }

    /// Width and sign of an int-like operand; bool is an unsigned byte.
    fn operand_shape(&self, value: &Expr) -> (u8, bool) {
        infer::int_shape(self.types, value.ty).unwrap_or((1, false))
    }

    fn compare_ints(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Expr {
        self.warn_compared(&a, &b, span);
        let (left, right) = (self.operand_shape(&a), self.operand_shape(&b));
        let free = (
            infer::is_free(&a, self.types),
            infer::is_free(&b, self.types),
        );
        let (bytes, signed) = infer::promote_ints(left, free.0, right, free.1);
        let same_bool = a.ty == Types::BOOL && b.ty == Types::BOOL;
        let ty = if same_bool {
            Types::BOOL
        } else {
            Types::int(bytes, signed)
        };
        let (a, b) = (self.convert(a, ty), self.convert(b, ty));
        compare(op, signed, a, b, span)
    }

    fn arithmetic(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let (left, right) = (self.operand_shape(&a).1, self.operand_shape(&b).1);
        let free = (
            infer::is_free(&a, self.types),
            infer::is_free(&b, self.types),
        );
        let shift = matches!(op, BinaryOp::Shl | BinaryOp::Shr);
        let bitwise = matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor);
        let both_bool = a.ty == Types::BOOL && b.ty == Types::BOOL;
        let (left, right) = match free {
            (true, false) => (right, right),
            (false, true) => (left, left),
            _ => (left, right),
        };
        let signed = match op {
            _ if shift => left,
            BinaryOp::Sub => true,
            _ => left || right,
        };
        let ty = Types::int(8, signed);
        let right_ty = if shift { Types::U64 } else { ty };
        if shift
            && let Some(n) = fold::literal_value(&b, self.types)
            && !(0..64).contains(&n)
        {
            self.no_constant(fold::Fault::ShiftCount, span);
            return None;
        }
        let (a, b) = (self.convert(a, ty), self.convert(b, right_ty));
        if matches!(op, BinaryOp::Div | BinaryOp::Mod) && matches!(b.kind, ExprKind::Int(0)) {
            self.no_constant(fold::Fault::DivideByZero, span);
            return None;
        }
        let (a, b) = (Box::new(a), Box::new(b));
        let kind = match instruction(op, signed)? {
            div @ (BinOp::UDiv | BinOp::SDiv | BinOp::UMod | BinOp::SMod) => {
                ExprKind::Divide(div, a, b)
            }
            other => ExprKind::Binary(other, a, b),
        };
        let result = Expr { kind, ty, span };
        // `true | false` stays a bool.
        Some(match both_bool && bitwise {
            true => self.convert(result, Types::BOOL),
            false => result,
        })
    }

    fn pointers(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let numbers = (self.is_int_like(a.ty), self.is_int_like(b.ty));
        match op {
            BinaryOp::Add if numbers.1 => Some(self.move_pointer(a, b, false, span)),
            BinaryOp::Add if numbers.0 => Some(self.move_pointer(b, a, false, span)),
            BinaryOp::Sub if numbers.1 => Some(self.move_pointer(a, b, true, span)),
            _ if condition(op, false).is_some() => self.compare_pointers(op, a, b, span),
            _ => {
                self.bad_operands(op, &a, &b, span);
                None
            }
        }
    }

    /// `p + n` and `p - n`: the number counts in units of what the pointer points to.
    pub(super) fn move_pointer(&mut self, pointer: Expr, by: Expr, back: bool, span: Span) -> Expr {
        let size = self.step(pointer.ty);
        let by = match fold::literal_value(&by, self.types) {
            Some(n) => int((n as i64).wrapping_mul(size), Types::I64, by.span),
            None => {
                let at = by.span;
                let wide = self.convert(by, Types::I64);
                match size {
                    1 => wide,
                    _ => Expr {
                        kind: ExprKind::Binary(
                            BinOp::Mul,
                            Box::new(wide),
                            Box::new(int(size, Types::I64, at)),
                        ),
                        ty: Types::I64,
                        span: at,
                    },
                }
            }
        };
        let op = if back { BinOp::Sub } else { BinOp::Add };
        Expr {
            ty: pointer.ty,
            kind: ExprKind::Binary(op, Box::new(pointer), Box::new(by)),
            span,
        }
    }

    /// The size of what a pointer points to; 1 when that has none.
    pub(super) fn step(&self, pointer: Ty) -> i64 {
        self.pointee(pointer)
            .and_then(|to| self.size_of(to))
            .map_or(1, |size| i64::from(size.max(1)))
    }

    fn compare_pointers(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let comparable =
            |value: &Expr| self.pointee(value.ty).is_some() || self.is_int_like(value.ty);
        if !comparable(&a) || !comparable(&b) {
            self.bad_operands(op, &a, &b, span);
            return None;
        }
        if let (Some(x), Some(y)) = (self.pointee(a.ty), self.pointee(b.ty))
            && x != y
            && x != Types::VOID
            && y != Types::VOID
            && !self.same_target(a.ty, b.ty)
        {
            let (x, y) = (self.show(a.ty), self.show(b.ty));
            let message = format!("this compares pointers to different types: {x} and {y}");
            self.warn(
                Diagnostic::warning(codes::DISTINCT_POINTERS, span, message)
                    .help("cast one of them"),
            );
        }
        let (a, b) = (self.convert(a, Types::U64), self.convert(b, Types::U64));
        Some(compare(op, false, a, b, span))
    }

    /// `func == "name"` and `probe == "name"`: which of the targets fired. Known now when all of them or none are meant.
    fn compare_target(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span) -> Option<Expr> {
        let (ExprKind::Call(call), ExprKind::Str(text)) = (&a.kind, &b.kind) else {
            return None;
        };
        let name = |target: &Target| match call.builtin.name {
            "func" => target.attach.function().map(str::to_string),
            "probe" => Some(target.probe.clone()),
            _ => None,
        };
        let probe = builtins::find("probe")?;
        let cookie = Expr {
            kind: ExprKind::Call(Call {
                builtin: probe,
                args: Vec::new(),
                extra: Extra::None,
            }),
            ty: self.types.intern(Type::ProbeName),
            span,
        };
        let all = self.group.targets.len();
        let mut meant = Vec::new();
        for target in &self.group.targets {
            if name(target)?.as_bytes() == text.as_slice() {
                meant.push(int(target.cookie as i64, cookie.ty, span));
            }
        }
        let known = meant.is_empty() || meant.len() == all;
        let mut tests = meant
            .into_iter()
            .map(|n| compare(BinaryOp::Eq, false, cookie.clone(), n, span));
        let equal = match (known, tests.next()) {
            (true, first) => int(i64::from(first.is_some()), Types::BOOL, span),
            (false, first) => tests.fold(first?, |so_far, test| Expr {
                kind: ExprKind::Or(Box::new(so_far), Box::new(test)),
                ty: Types::BOOL,
                span,
            }),
        };
        Some(match (op, &equal.kind) {
            (BinaryOp::Eq, _) => equal,
            (_, ExprKind::Int(n)) => int(1 - n, Types::BOOL, span),
            _ => Expr {
                kind: ExprKind::Not(Box::new(equal)),
                ty: Types::BOOL,
                span,
            },
        })
    }

    /// `==` and `!=` of values that are no numbers.
    fn compare_values(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let target = self.compare_target(op, &a, &b, span);
        if let Some(which) = target.or_else(|| self.compare_target(op, &b, &a, span)) {
            return Some(which);
        }
        let (a, b) = (self.local_value(a)?, self.local_value(b)?);
        let scalar = matches!(
            self.types.get(a.ty),
            Type::KSym | Type::ProbeName | Type::Time { .. } | Type::Device | Type::NetNs
        );
        if scalar && a.ty == b.ty {
            return Some(compare(op, false, a, b, span));
        }
        let comparable = matches!(
            self.types.get(a.ty),
            Type::Str { .. }
                | Type::Buf { .. }
                | Type::Array { .. }
                | Type::Tuple(_)
                | Type::NamedTuple(_)
                | Type::Inet { .. }
                | Type::InetAny
                | Type::Mac
                | Type::Flow
        );
        // An address in a struct of its own: `ip6->saddr == pton("::1")`.
        let constant = |x: &Expr, y: &Expr| {
            matches!(x.kind, ExprKind::Bytes(_))
                && matches!(self.types.get(y.ty), Type::Record(_))
                && self.size_of(x.ty) == self.size_of(y.ty)
        };
        if constant(&a, &b) || constant(&b, &a) {
            return Some(compare_memory(op, a, b, span));
        }
        let (left, right) = (self.inferred(&a), self.inferred(&b));
        let joined = self.join(&left, &right).filter(|_| comparable);
        let Some(joined) = joined else {
            let (left, right) = (self.describe(a.ty), self.describe(b.ty));
            self.report(
                Diagnostic::error(
                    codes::TYPE_MISMATCH,
                    span,
                    format!("`{}` cannot compare {left} with {right}", op.symbol()),
                )
                .also(a.span, left)
                .also(b.span, right),
            );
            return None;
        };
        // Strings and buffers of different room are compared as they are.
        let as_is = matches!(
            self.types.get(joined.ty),
            Type::Str { .. } | Type::Buf { .. }
        );
        let (a, b) = match as_is {
            true => (a, b),
            false => (self.convert(a, joined.ty), self.convert(b, joined.ty)),
        };
        Some(compare_memory(op, a, b, span))
    }

    /// Constant bytes as the number that they are in memory, beside a number of the same size: `ip->saddr == pton("10.0.0.1")`.
    fn as_number_beside(&mut self, bytes: &Expr, other: &Expr) -> Option<Expr> {
        let ExprKind::Bytes(constant) = &bytes.kind else {
            return None;
        };
        let size = infer::int_shape(self.types, other.ty)?.0;
        let fits = matches!(self.types.get(other.ty), Type::Int { .. })
            && usize::from(size) == constant.len();
        let number = constant
            .iter()
            .rev()
            .fold(0, |n, byte| n << 8 | i64::from(*byte));
        if !fits {
            return None;
        }
        self.network.insert(bytes.span);
        Some(int(number, Types::int(size, false), bytes.span))
    }

    fn is_text(&self, value: &Expr) -> bool {
        matches!(self.types.get(value.ty), Type::Str { .. })
    }

    /// `<` and its like on strings, byte by byte.
    fn compare_order(&mut self, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Option<Expr> {
        let (a, b) = (self.local_value(a)?, self.local_value(b)?);
        let order = Expr {
            kind: ExprKind::Call(Call {
                builtin: builtins::find("strcmp")?,
                args: vec![a, b],
                extra: Extra::None,
            }),
            ty: Types::I64,
            span,
        };
        Some(compare(op, true, order, int(0, Types::I64, span), span))
    }

    fn bad_operands(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span) {
        let (left, right) = (self.describe(a.ty), self.describe(b.ty));
        let message = format!("`{}` cannot be used on {left} and {right}", op.symbol());
        let mut diag = Diagnostic::error(codes::BAD_OPERAND, span, message)
            .also(a.span, left)
            .also(b.span, right);
        let pointer = self.pointee(a.ty).is_some() || self.pointee(b.ty).is_some();
        let string = |ty| matches!(self.types.get(ty), Type::Str { .. });
        if pointer {
            diag = diag.help("to calculate with an address as a number, cast it: `(uint64)p`");
        } else if string(a.ty) || string(b.ty) {
            diag = diag.help(
                "strings can be compared with ==, !=, <, <=, > and >=, and only with strings",
            );
        }
        self.report(diag);
    }
}

fn compare_memory(op: BinaryOp, a: Expr, b: Expr, span: Span) -> Expr {
    Expr {
        kind: ExprKind::CompareMemory(op == BinaryOp::Eq, Box::new(a), Box::new(b)),
        ty: Types::BOOL,
        span,
    }
}

fn compare(op: BinaryOp, signed: bool, a: Expr, b: Expr, span: Span) -> Expr {
    // Only comparison operators come here.
    let cond = condition(op, signed).unwrap_or(Cond::Eq);
    Expr {
        kind: ExprKind::Compare(cond, Box::new(a), Box::new(b)),
        ty: Types::BOOL,
        span,
    }
}

fn condition(op: BinaryOp, signed: bool) -> Option<Cond> {
    Some(match (op, signed) {
        (BinaryOp::Eq, _) => Cond::Eq,
        (BinaryOp::Ne, _) => Cond::Ne,
        (BinaryOp::Lt, false) => Cond::ULt,
        (BinaryOp::Le, false) => Cond::ULe,
        (BinaryOp::Gt, false) => Cond::UGt,
        (BinaryOp::Ge, false) => Cond::UGe,
        (BinaryOp::Lt, true) => Cond::SLt,
        (BinaryOp::Le, true) => Cond::SLe,
        (BinaryOp::Gt, true) => Cond::SGt,
        (BinaryOp::Ge, true) => Cond::SGe,
        _ => return None,
    })
}

fn instruction(op: BinaryOp, signed: bool) -> Option<BinOp> {
    Some(match (op, signed) {
        (BinaryOp::Add, _) => BinOp::Add,
        (BinaryOp::Sub, _) => BinOp::Sub,
        (BinaryOp::Mul, _) => BinOp::Mul,
        (BinaryOp::Div, false) => BinOp::UDiv,
        (BinaryOp::Div, true) => BinOp::SDiv,
        (BinaryOp::Mod, false) => BinOp::UMod,
        (BinaryOp::Mod, true) => BinOp::SMod,
        (BinaryOp::BitAnd, _) => BinOp::And,
        (BinaryOp::BitOr, _) => BinOp::Or,
        (BinaryOp::BitXor, _) => BinOp::Xor,
        (BinaryOp::Shl, _) => BinOp::Shl,
        (BinaryOp::Shr, false) => BinOp::LShr,
        (BinaryOp::Shr, true) => BinOp::AShr,
        _ => return None,
    })
}
