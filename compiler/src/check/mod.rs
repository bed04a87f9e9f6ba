//! Types every expression; the only place that reports a script's mistakes.
//!
//! In: the syntax tree, resolved targets, the kernel. Out: [`crate::typed::Program`] or errors in the sink.

use std::ops::RangeInclusive;

use nettrace_grammar::ast;
use nettrace_grammar::{Diagnostic, Sink, Span};

use crate::artifact::Settings;
use crate::builtins::Builtin;
use crate::kernel::Kernel;
use crate::probes::{ContextKind, ProbeKind};
use crate::typed::{Call, Expr, ExprKind, Extra, Limits};
use crate::types::{Ty, Types};

pub(crate) mod arguments;
pub(crate) mod fold;
pub(crate) mod format;
pub(crate) mod maps;

/// The state of checking one probe body.
pub struct Checker<'a> {
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) types: &'a mut Types,
    pub(crate) kind: &'static ProbeKind,
    pub(crate) settings: &'a Settings,
    pub(crate) limits: Limits,
    sink: &'a mut Sink,
}

/// A use of a builtin: `name(args)`, or `name` without arguments.
pub struct CallSite<'a> {
    /// The row.
    pub(crate) row: &'static Builtin,
    /// The name as written.
    pub(crate) name: &'a ast::Ident,
    /// The arguments.
    pub(crate) args: &'a [ast::Expr],
    /// The whole call.
    pub(crate) span: Span,
}

impl CallSite<'_> {
    /// The call as a typed expression.
    pub(crate) fn call(&self, ty: Ty, args: Vec<Expr>, extra: Extra) -> Expr {
        let call = Call {
            builtin: self.row,
            args,
            extra,
        };
        Expr {
            kind: ExprKind::Call(call),
            ty,
            span: self.span,
        }
    }
}

#[allow(unused_variables, dead_code)]
impl Checker<'_> {
    pub(crate) fn report(&mut self, diag: Diagnostic) {
        self.sink.error(diag);
    }
    pub(crate) fn warn(&mut self, diag: Diagnostic) {
        self.sink.warn(diag);
    }
    pub(crate) fn suggest(&self, diag: Diagnostic, names: &[String]) -> Diagnostic {
        diag
    }
    pub(crate) fn expect_args(
        &mut self,
        site: &CallSite<'_>,
        count: RangeInclusive<usize>,
    ) -> Option<()> {
        None
    }
    pub(crate) fn word(&mut self, arg: &ast::Expr, what: &str, words: &[&str]) -> Option<usize> {
        None
    }
    pub(crate) fn is_word(&self, arg: &ast::Expr) -> bool {
        false
    }
    pub(crate) fn literal_text(&mut self, arg: &ast::Expr, what: &str) -> Option<String> {
        None
    }
    pub(crate) fn literal_number(
        &mut self,
        arg: &ast::Expr,
        what: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        None
    }
    pub(crate) fn address(&mut self, arg: &ast::Expr) -> Option<Expr> {
        None
    }
    pub(crate) fn only_in(&mut self, kinds: &[ContextKind], what: &str, span: Span) -> Option<()> {
        None
    }
    pub(crate) fn expr(&mut self, e: &ast::Expr) -> Option<Expr> {
        None
    }
    pub(crate) fn expect_printable(&mut self, value: &Expr, at: &ast::Expr) -> Option<()> {
        None
    }
    pub(crate) fn decay(&mut self, value: Expr) -> Expr {
        value
    }
    pub(crate) fn bad_argument(&mut self, at: &ast::Expr, ty: Ty, message: &str) {}
    pub(crate) fn integer(&mut self, arg: &ast::Expr, to: Ty, what: &str) -> Option<Expr> {
        None
    }
    pub(crate) fn positional_text(&mut self, arg: &ast::Expr) -> Option<Vec<u8>> {
        None
    }
    pub(crate) fn string(&mut self, text: Vec<u8>, span: Span) -> Expr {
        Expr {
            kind: ExprKind::Str(text),
            ty: Types::POISON,
            span,
        }
    }
    pub(crate) fn pointer(&mut self, arg: &ast::Expr, what: &str) -> Option<Expr> {
        None
    }
    pub(crate) fn array_behind(&self, address: &Expr) -> Option<u32> {
        None
    }
    pub(crate) fn size_of(&self, ty: Ty) -> Option<u32> {
        None
    }
    pub(crate) fn deref(&mut self, value: Expr) -> Expr {
        value
    }
    pub(crate) fn is_int_like(&self, ty: Ty) -> bool {
        false
    }
    pub(crate) fn convert(&mut self, value: Expr, ty: Ty) -> Expr {
        value
    }
    pub(crate) fn summand(&mut self, arg: &ast::Expr) -> Option<(Expr, bool)> {
        None
    }
}
