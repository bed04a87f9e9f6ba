//! Where each kind of probe keeps its arguments.

use nettrace_grammar::Span;

use crate::check::Checker;
use crate::typed::Expr;

pub(crate) fn whole(_: &mut Checker<'_>, _: Span) -> Option<Expr> {
    None
}

pub(crate) fn raw(_: &mut Checker<'_>, _: u32, _: Span) -> Option<Expr> {
    None
}

pub(crate) fn retval(_: &mut Checker<'_>, _: Span) -> Option<Expr> {
    None
}
