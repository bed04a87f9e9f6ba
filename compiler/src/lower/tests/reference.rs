//! What the typed program means, said once more and as plainly as possible: a walk over its trees with numbers of Rust.
//!
//! In: a probe of assignments and `print(number)`, and its arguments. Out: the numbers printed. Expressions over scalars only.

use std::collections::HashMap;

use crate::ir::{BinOp, Cond};
use crate::typed::{Context, Expr, ExprKind, Probe, Program, Stmt, StmtKind, VarId};
use crate::types::{Ty, Type};

/// The state of a run.
pub(super) struct Reference<'a> {
    program: &'a Program,
    args: &'a [u64],
    vars: HashMap<VarId, i128>,
    printed: Vec<i128>,
}

impl<'a> Reference<'a> {
    /// What the first probe prints.
    pub(super) fn run(program: &'a Program, args: &'a [u64]) -> Vec<i128> {
        let mut run = Reference {
            program,
            args,
            vars: HashMap::new(),
            printed: Vec::new(),
        };
        let probe: &Probe = &program.probes[0];
        run.stmts(&probe.body);
        run.printed
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match &stmt.kind {
                StmtKind::Assign(var, value) => {
                    let value = self.eval(value);
                    self.vars.insert(*var, value);
                }
                StmtKind::If(cond, then, otherwise) => match self.eval(cond) {
                    0 => self.stmts(otherwise),
                    _ => self.stmts(then),
                },
                StmtKind::Expr(Expr {
                    kind: ExprKind::Call(call),
                    ..
                }) if call.builtin.name == "print" => {
                    let value = self.eval(&call.args[0]);
                    self.printed.push(value);
                }
                StmtKind::Expr(expr) => {
                    self.eval(expr);
                }
                other => panic!("not in these scripts: {other:?}"),
            }
        }
    }

    /// The number as a value of the type: in its range.
    fn fit(&self, value: i128, ty: Ty) -> i128 {
        match *self.program.types.get(ty) {
            Type::Bool => i128::from(value != 0),
            Type::Int { bytes, signed } => {
                let modulus = 1i128 << (8 * u32::from(bytes));
                let low = value.rem_euclid(modulus);
                match signed && low >= modulus / 2 {
                    true => low - modulus,
                    false => low,
                }
            }
            _ => panic!("no number: {:?}", self.program.types.get(ty)),
        }
    }

    fn eval(&mut self, expr: &Expr) -> i128 {
        let ty = expr.ty;
        match &expr.kind {
            ExprKind::Int(n) => self.fit(i128::from(*n), ty),
            ExprKind::Var(var) => self.vars.get(var).copied().unwrap_or(0),
            ExprKind::Context(Context::Register(n)) => {
                self.fit(i128::from(self.args[*n as usize]), ty)
            }
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.eval(a), self.eval(b));
                let exact = binary(*op, a, b);
                self.fit(exact, ty)
            }
            ExprKind::Divide(op, a, b) => {
                let (a, b) = (self.eval(a), self.eval(b));
                let exact = match (op, b) {
                    (_, 0) => 1,
                    (BinOp::UDiv | BinOp::SDiv, b) => a / b,
                    (_, b) => a % b,
                };
                self.fit(exact, ty)
            }
            ExprKind::Compare(cond, a, b) => {
                // Operands are of one type, so that numbers compare as numbers.
                let (a, b) = (self.eval(a), self.eval(b));
                i128::from(match cond {
                    Cond::Eq => a == b,
                    Cond::Ne => a != b,
                    Cond::ULt | Cond::SLt => a < b,
                    Cond::ULe | Cond::SLe => a <= b,
                    Cond::UGt | Cond::SGt => a > b,
                    Cond::UGe | Cond::SGe => a >= b,
                })
            }
            ExprKind::And(a, b) => i128::from(self.eval(a) != 0 && self.eval(b) != 0),
            ExprKind::Or(a, b) => i128::from(self.eval(a) != 0 || self.eval(b) != 0),
            ExprKind::Not(a) => i128::from(self.eval(a) == 0),
            ExprKind::Ternary(cond, yes, no) => match self.eval(cond) {
                0 => self.eval(no),
                _ => self.eval(yes),
            },
            ExprKind::Cast(from) => {
                let value = self.eval(from);
                self.fit(value, ty)
            }
            ExprKind::IncDec {
                target,
                delta,
                prefix,
            } => {
                let ExprKind::Var(var) = target.kind else {
                    panic!("only variables here");
                };
                let old = self.vars.get(&var).copied().unwrap_or(0);
                let new = self.fit(old + i128::from(*delta), target.ty);
                self.vars.insert(var, new);
                if *prefix { new } else { old }
            }
            other => panic!("not in these scripts: {other:?}"),
        }
    }
}

/// With unlimited width; shift counts use six bits, as in the language.
fn binary(op: BinOp, a: i128, b: i128) -> i128 {
    let count = (b & 63) as u32;
    match op {
        BinOp::Add => a + b,
        BinOp::Sub => a - b,
        BinOp::Mul => i128::from((a as i64).wrapping_mul(b as i64)),
        BinOp::And => a & b,
        BinOp::Or => a | b,
        BinOp::Xor => a ^ b,
        BinOp::Shl => i128::from((a as i64).wrapping_shl(count)),
        // The operand is in range, so the arithmetic shift of a wide number is both.
        BinOp::LShr | BinOp::AShr => a >> count,
        BinOp::UDiv | BinOp::SDiv => a.checked_div(b).unwrap_or(0),
        BinOp::UMod | BinOp::SMod => a.checked_rem(b).unwrap_or(a),
    }
}
