//! printf formats.

use crate::artifact::Piece;
use crate::check::{CallSite, Checker};
use crate::typed::Expr;

pub(crate) fn check(_: &mut Checker<'_>, _: &CallSite<'_>) -> Option<(Vec<Piece>, Vec<Expr>)> {
    None
}
