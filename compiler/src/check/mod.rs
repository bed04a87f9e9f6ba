//! Types every expression; the only place that reports a script's mistakes.
//!
//! In: the syntax tree, resolved targets, the kernel. Out: [`crate::typed::Program`] or errors in the sink.

use nettrace_grammar::Span;
use nettrace_grammar::ast;

/// The state of checking one probe body.
pub struct Checker<'a> {
    #[allow(dead_code)]
    marker: std::marker::PhantomData<&'a ()>,
}

/// A use of a builtin: `name(args)`, or `name` without arguments.
pub struct CallSite<'a> {
    /// The name as written.
    pub name: &'a ast::Ident,
    /// The arguments.
    pub args: &'a [ast::Expr],
    /// The whole call.
    pub span: Span,
}
