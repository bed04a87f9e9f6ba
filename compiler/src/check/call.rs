//! Arguments of builtins: what the rows of the builtin table check theirs with.

use std::ops::RangeInclusive;

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::fold;
use super::infer;
use crate::builtins::{Builtin, Form};
use crate::kernel::similar;
use crate::probes::{self, ContextKind};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Space, Ty, Type, Types};

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

impl Checker<'_> {
    /// Reports too many or too few arguments.
    pub(crate) fn expect_args(
        &mut self,
        site: &CallSite<'_>,
        count: RangeInclusive<usize>,
    ) -> Option<()> {
        if count.contains(&site.args.len()) {
            return Some(());
        }
        let wanted = match (*count.start(), *count.end()) {
            (0, 0) => "no arguments".to_string(),
            (1, 1) => "1 argument".to_string(),
            (a, b) if a == b => format!("{a} arguments"),
            (1, usize::MAX) => "1 argument at least".to_string(),
            (a, usize::MAX) => format!("{a} arguments at least"),
            (a, b) => format!("{a} to {b} arguments"),
        };
        let name = match site.row.form {
            Form::Variable => format!("`{}`", site.name.name),
            Form::Function | Form::Both => format!("{}()", site.row.name),
        };
        let message = format!("{name} takes {wanted}, not {}", site.args.len());
        let help = format!("its form is `{}`", site.row.signature);
        self.report(Diagnostic::error(codes::ARGUMENT_COUNT, site.span, message).help(help));
        None
    }

    /// Reports an argument that a function cannot take.
    pub(crate) fn bad_argument(&mut self, at: &ast::Expr, ty: Ty, message: &str) {
        let ty = self.describe(ty);
        self.report(
            Diagnostic::error(codes::BAD_ARGUMENT, at.span, message).label(format!("this is {ty}")),
        );
    }

    /// Whether an argument is a bare word.
    pub(crate) fn is_word(&self, arg: &ast::Expr) -> bool {
        matches!(arg.kind, ast::ExprKind::Ident(_))
    }

    /// The position of a bare word among those allowed.
    pub(crate) fn word(&mut self, arg: &ast::Expr, what: &str, words: &[&str]) -> Option<usize> {
        let found = match &arg.kind {
            ast::ExprKind::Ident(name) => words.iter().position(|w| w == name),
            _ => None,
        };
        if found.is_none() {
            let message = format!("this is not {what}");
            let diag = Diagnostic::error(codes::BAD_ARGUMENT, arg.span, message);
            let near = match &arg.kind {
                ast::ExprKind::Ident(name) => similar::nearest(name, words),
                _ => Vec::new(),
            };
            let diag = match near.is_empty() {
                true => diag.help(format!("write one of {}", words.join(", "))),
                false => self.suggest(diag, &near),
            };
            self.report(diag);
        }
        found
    }

    /// A string that is known now.
    pub(crate) fn literal_text(&mut self, arg: &ast::Expr, what: &str) -> Option<String> {
        let bytes = match self.positional_text(arg) {
            Some(text) => text,
            None => {
                let value = self.expr(arg)?;
                match value.kind {
                    ExprKind::Str(text) => text,
                    _ => {
                        self.bad_argument(
                            arg,
                            value.ty,
                            &format!("{what} must be a string constant"),
                        );
                        return None;
                    }
                }
            }
        };
        // Bytes that are no UTF-8 cannot be stored in the plan, which is text.
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A number that is known now.
    pub(crate) fn literal_number(
        &mut self,
        arg: &ast::Expr,
        what: &str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = self.expr(arg)?;
        let number = match self.is_int_like(value.ty) {
            true => fold::constant(&value, self.types),
            false => None,
        };
        let Some(number) = number else {
            self.bad_argument(arg, value.ty, &format!("{what} must be a number constant"));
            return None;
        };
        if !range.contains(&number) || (value.ty == Types::U64 && number < 0) {
            let message = match (*range.start(), *range.end()) {
                (i64::MIN, _) => format!("{what} does not fit 64 bits"),
                (a, b) => format!("{what} must be from {a} to {b}"),
            };
            self.error(codes::BAD_ARGUMENT, arg.span, message);
            return None;
        }
        Some(number)
    }

    /// A number in a 64-bit type.
    pub(crate) fn integer(&mut self, arg: &ast::Expr, to: Ty, what: &str) -> Option<Expr> {
        let value = self.expr(arg)?;
        if !self.is_int_like(value.ty) {
            self.bad_argument(arg, value.ty, &format!("{what} must be a number"));
            return None;
        }
        Some(self.convert(value, to))
    }

    /// A number or pointer as `uint64`.
    pub(crate) fn address(&mut self, arg: &ast::Expr) -> Option<Expr> {
        let value = self.expr(arg)?;
        if !self.is_int_like(value.ty)
            && self.pointee(value.ty).is_none()
            && *self.types.get(value.ty) != Type::KSym
        {
            self.bad_argument(arg, value.ty, "an address is a number or a pointer");
            return None;
        }
        Some(self.convert(value, Types::U64))
    }

    /// The address of memory: a pointer, a number taken as one, an array where it lies; an array or string in the program's own memory is given back as it is.
    pub(crate) fn pointer(&mut self, arg: &ast::Expr, what: &str) -> Option<Expr> {
        let value = self.expr(arg)?;
        if self.is_int_like(value.ty) {
            let (to, space) = (Types::I8, self.number_space());
            let ty = self.types.intern(Type::Pointer { to, space });
            return Some(self.cast_to_pointer(value, ty));
        }
        let value = self.decay(value);
        let fits = matches!(
            self.types.get(value.ty),
            Type::Pointer { .. } | Type::Array { .. } | Type::Str { .. }
        );
        if !fits {
            self.bad_argument(
                arg,
                value.ty,
                &format!("{what} takes an address: a pointer, a number or an array"),
            );
            return None;
        }
        Some(value)
    }

    /// The memory that a number used as an address means: system calls are given the caller's.
    fn number_space(&self) -> Space {
        match self.group.user_arguments {
            true => Space::User,
            false => Space::Kernel,
        }
    }

    /// The number that goes into an aggregation, 64 bits wide, and whether it is signed.
    pub(crate) fn summand(&mut self, arg: &ast::Expr) -> Option<(Expr, bool)> {
        let value = self.expr(arg)?;
        let pointer = self.pointee(value.ty).is_some();
        if !self.is_int_like(value.ty) && !pointer {
            self.bad_argument(arg, value.ty, "an aggregation takes a number");
            return None;
        }
        let free = infer::is_free(&value, self.types);
        let shape = infer::int_shape(self.types, value.ty);
        let signed = shape.is_some_and(|(_, signed)| signed) && !free;
        Some((self.convert(value, Types::int(8, signed)), signed))
    }

    /// Reports something that has no text form.
    pub(crate) fn expect_printable(&mut self, value: &Expr, at: &ast::Expr) -> Option<()> {
        if value.ty == Types::VOID {
            self.no_value(value);
            return None;
        }
        let empty = matches!(self.types.get(value.ty), Type::Tuple(items) if items.is_empty());
        match self.size_of(value.ty) {
            Some(0) if empty => Some(()),
            Some(0) | None => {
                self.bad_argument(at, value.ty, "this has no size and cannot be printed");
                None
            }
            Some(size) => self.expect_size(size, at.span),
        }
    }

    /// Reports a builtin that this kind of probe does not have.
    pub(crate) fn only_in(&mut self, kinds: &[ContextKind], what: &str, span: Span) -> Option<()> {
        if kinds.contains(&self.kind.context) {
            return Some(());
        }
        let names: Vec<&str> = probes::KINDS
            .iter()
            .filter(|k| kinds.contains(&k.context))
            .map(|k| k.name)
            .collect();
        let message = format!("`{what}` does not exist in `{}` probes", self.kind.name);
        let help = format!("it exists in {}", names.join(", "));
        self.report(Diagnostic::error(codes::NOT_IN_PROBE, span, message).help(help));
        None
    }
}
