//! Uses of maps.

use nettrace_grammar::{Span, ast};

use crate::check::{CallSite, Checker};
use crate::typed::{Expr, ScriptMapId};

pub(crate) fn whole(_: &ast::Expr) -> Option<&str> {
    None
}

pub(crate) fn printable(_: &mut Checker<'_>, _: &str, _: Span) -> Option<ScriptMapId> {
    None
}

pub(crate) fn entry(_: &mut Checker<'_>, _: &CallSite<'_>) -> Option<(ScriptMapId, Option<Expr>)> {
    None
}
