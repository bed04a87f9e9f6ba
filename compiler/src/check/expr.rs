//! Expressions: literals, names, and the way to each kind's own file.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::convert::int;
use super::fold;
use super::{CallSite, Checker};
use crate::builtins;
use crate::kernel::similar;
use crate::resolve::constants;
use crate::typed::{Expr, ExprKind};
use crate::types::{Type, Types};

impl Checker<'_> {
    /// An expression with its type; `None` after reporting (or, before the last pass, when a type is not known yet).
    pub(crate) fn expr(&mut self, e: &ast::Expr) -> Option<Expr> {
        let span = e.span;
        match &e.kind {
            ast::ExprKind::Int(n) => Some(fold::literal(i128::from(*n), span)),
            ast::ExprKind::Str(text) => Some(self.string(text.clone(), span)),
            ast::ExprKind::Bool(b) => Some(int(i64::from(*b), Types::BOOL, span)),
            ast::ExprKind::Ident(name) => self.ident(name, span),
            ast::ExprKind::Var(name) => self.read_var(name, span),
            ast::ExprKind::Map { name, key } => self.read_map(name, key.as_deref(), span),
            ast::ExprKind::Positional(n) => Some(self.positional(*n, span)),
            ast::ExprKind::PositionalCount => Some(fold::literal(self.params.len() as i128, span)),
            ast::ExprKind::Unary(op, operand) => self.unary(*op, operand, span),
            ast::ExprKind::IncDec { op, prefix, target } => {
                self.inc_dec(*op, *prefix, target, span)
            }
            ast::ExprKind::Binary(op, a, b) => self.binary(*op, a, b, span),
            ast::ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => self.ternary(cond, then.as_deref(), otherwise, span),
            ast::ExprKind::Call { name, args } => self.call(name, Some(args), span),
            ast::ExprKind::Field { base, field } => self.field(base, field, span),
            ast::ExprKind::TupleField { base, index } => self.tuple_field(base, *index, span),
            ast::ExprKind::Index { base, index } => self.index(base, index, span),
            ast::ExprKind::Cast { ty, expr } => self.cast(ty, expr, span),
            ast::ExprKind::Sizeof(of) => self.sizeof(of, span),
            ast::ExprKind::Offsetof { of, path } => self.offsetof(of, path, span),
            ast::ExprKind::Tuple(items) => self.tuple(items, span),
            ast::ExprKind::Record(fields) => self.record(fields, span),
            ast::ExprKind::Block(block) => self.value_block(block, span),
            ast::ExprKind::Comptime(inner) => self.comptime(inner),
            ast::ExprKind::Type(_) => {
                self.error(
                    codes::NOT_A_VALUE,
                    span,
                    "a type stands where a value is due",
                );
                None
            }
            ast::ExprKind::Discard => {
                self.error(codes::NOT_A_VALUE, span, "`_` can only be assigned to");
                None
            }
            // Reported by the parser.
            ast::ExprKind::Error => None,
        }
    }

    /// An expression that gives a value.
    pub(crate) fn value(&mut self, e: &ast::Expr) -> Option<Expr> {
        let value = self.expr(e)?;
        if value.ty == Types::VOID {
            self.no_value(&value);
            return None;
        }
        Some(value)
    }

    pub(super) fn no_value(&mut self, value: &Expr) {
        let message = match &value.kind {
            ExprKind::Call(call) => format!("{}() gives no value", call.builtin.name),
            _ => "this has no value: its type is void".to_string(),
        };
        self.error(codes::NOT_A_VALUE, value.span, message);
    }

    /// A string constant.
    pub(crate) fn string(&mut self, text: Vec<u8>, span: Span) -> Expr {
        let cap = text.len() as u32 + 1;
        Expr {
            ty: self.types.intern(Type::Str { cap }),
            kind: ExprKind::Str(text),
            span,
        }
    }

    fn ident(&mut self, name: &str, span: Span) -> Option<Expr> {
        if builtins::find(name).is_some() || builtins::elsewhere(name).is_some() {
            let ident = ast::Ident {
                name: name.to_string(),
                span,
            };
            return self.call(&ident, None, span);
        }
        if let Some(constant) = constants::find(name) {
            return Some(fold::literal(i128::from(constant.value), span));
        }
        if let Some((value, id)) = self.kernel.enumerator(name) {
            let ty = self.kernel_ty(id);
            return Some(int(value, ty, span));
        }
        let message = format!("the name `{name}` means nothing here");
        let diag = Diagnostic::error(codes::UNKNOWN_NAME, span, message);
        let names = builtins::all()
            .map(|b| b.name)
            .chain(constants::TABLE.iter().map(|c| c.name));
        let mut near = match self.last_pass {
            true => similar::nearest(name, names),
            false => Vec::new(),
        };
        if self.find_var(name).is_some() {
            near.insert(0, format!("${name}"));
        }
        let diag = match near.is_empty() {
            true => diag.note("it is no builtin, no known constant of a header and no enumerator of the kernel's BTF"),
            false => self.suggest(diag, &near),
        };
        self.report(diag);
        None
    }

    /// A positional parameter: a number if it reads as one, else a string; one that was not given is 0.
    fn positional(&mut self, n: u32, span: Span) -> Expr {
        let given = (n as usize).checked_sub(1).and_then(|i| self.params.get(i));
        match given.map(|text| (number(text), text.clone())) {
            Some((Some(value), _)) => fold::literal(value, span),
            Some((None, text)) => self.string(text.into_bytes(), span),
            None => {
                self.missing_param(n, span);
                fold::literal(0, span)
            }
        }
    }

    /// The text of `$1`, whatever it looks like; a parameter that was not given is empty.
    pub(crate) fn positional_text(&mut self, e: &ast::Expr) -> Option<Vec<u8>> {
        let ast::ExprKind::Positional(n) = e.kind else {
            return None;
        };
        let given = (n as usize)
            .checked_sub(1)
            .and_then(|i| self.params.get(i))
            .cloned();
        if given.is_none() {
            self.missing_param(n, e.span);
        }
        Some(given.unwrap_or_default().into_bytes())
    }

    /// The text of a packet filter and where it stands; a parameter that was not given is an empty filter.
    pub(crate) fn filter_text(&mut self, e: &ast::Expr) -> Option<(String, Span)> {
        if let ast::ExprKind::Positional(n) = e.kind {
            let at = (n as usize).checked_sub(1);
            let text = at.and_then(|at| self.params.get(at)).cloned();
            let span = at.and_then(|at| self.param_spans.get(at)).copied();
            return Some((text.unwrap_or_default(), span.unwrap_or(e.span)));
        }
        let text = self.literal_text(e, "a packet filter")?;
        // Between the quotes.
        let inside = Span::new(e.span.lo + 1, e.span.hi.saturating_sub(1));
        let written = inside.hi - inside.lo == text.len() as u32;
        Some((text, if written { inside } else { e.span }))
    }

    fn missing_param(&mut self, n: u32, span: Span) {
        let message = format!("the parameter `${n}` was not given; it is 0");
        let help = "parameters follow the script on the command line";
        self.warn(Diagnostic::warning(codes::MISSING_PARAMETER, span, message).help(help));
    }

    fn ternary(
        &mut self,
        cond: &ast::Expr,
        then: Option<&ast::Expr>,
        otherwise: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let Some(then) = then else {
            return self.either(cond, otherwise, span);
        };
        let decided = matches!(cond.kind, ast::ExprKind::Comptime(_));
        let cond = self.condition(cond);
        if decided {
            // The other arm need not even make sense on this kernel.
            return match truth_of(&cond?)? {
                true => self.value(then),
                false => self.value(otherwise),
            };
        }
        let then = self.value(then);
        let otherwise = self.value(otherwise);
        let (cond, then, otherwise) = (cond?, then?, otherwise?);
        let (then, otherwise) = self.arms(then, otherwise, span)?;
        Some(Expr {
            ty: then.ty,
            kind: ExprKind::Ternary(Box::new(cond), Box::new(then), Box::new(otherwise)),
            span,
        })
    }

    /// `{ statements; value }`, as written or in place of a macro.
    fn value_block(&mut self, block: &ast::ValueBlock, span: Span) -> Option<Expr> {
        let (stmts, value) = self.in_expansion(block, |c| {
            c.in_scope(|c| {
                let stmts = c.stmts(&block.stmts);
                let value = match &block.value {
                    Some(value) => c.expr(value),
                    None => {
                        let (message, help) = match &block.expands {
                            Some(name) => (
                                format!("the macro `{}` has no value", name.name),
                                "a macro's value is its last expression, without `;`",
                            ),
                            None => (
                                "this block has no value".to_string(),
                                "a block's value is its last expression, without `;`",
                            ),
                        };
                        let at = block.expands.as_ref().map_or(span, |name| name.span);
                        c.report(Diagnostic::error(codes::NOT_A_VALUE, at, message).help(help));
                        None
                    }
                };
                (stmts, value)
            })
        });
        let (stmts, value) = (stmts?, value?);
        if stmts.is_empty() {
            return Some(value);
        }
        let value = self.local_value(value)?;
        Some(Expr {
            ty: value.ty,
            kind: ExprKind::Block(stmts, Box::new(value)),
            span,
        })
    }

    /// A value that has to be known now.
    fn comptime(&mut self, inner: &ast::Expr) -> Option<Expr> {
        let value = self.expr(inner)?;
        if matches!(value.kind, ExprKind::Int(_) | ExprKind::Str(_)) {
            return Some(value);
        }
        let message = "this is not known while compiling";
        let help = "`comptime` takes constants, `sizeof`, and what is asked about the kernel: `field_exists(struct sk_buff, hash)`";
        self.report(Diagnostic::error(codes::NOT_CONSTANT, inner.span, message).help(help));
        None
    }

    /// `a ?: b`
    fn either(&mut self, a: &ast::Expr, b: &ast::Expr, span: Span) -> Option<Expr> {
        let first = self.value(a);
        let second = self.value(b);
        let (first, second) = (first?, second?);
        let fits =
            self.is_int_like(first.ty) || matches!(self.types.get(first.ty), Type::Pointer { .. });
        if !fits {
            self.not_a_condition(&first);
            return None;
        }
        let (first, second) = self.arms(first, second, span)?;
        Some(Expr {
            ty: first.ty,
            kind: ExprKind::Either(Box::new(first), Box::new(second)),
            span,
        })
    }

    /// Both arms in their common type.
    fn arms(&mut self, a: Expr, b: Expr, span: Span) -> Option<(Expr, Expr)> {
        let (a, b) = (self.local_value(a)?, self.local_value(b)?);
        let (left, right) = (self.inferred(&a), self.inferred(&b));
        let Some(joined) = self.join(&left, &right) else {
            let (left, right) = (self.describe(a.ty), self.describe(b.ty));
            self.report(
                Diagnostic::error(
                    codes::TYPE_MISMATCH,
                    span,
                    format!("the two values have different types: {left} and {right}"),
                )
                .also(a.span, left)
                .also(b.span, right),
            );
            return None;
        };
        Some((self.convert(a, joined.ty), self.convert(b, joined.ty)))
    }

    /// A tuple of values.
    pub(super) fn tuple(&mut self, items: &[ast::Expr], span: Span) -> Option<Expr> {
        let values = self.values(items.iter())?;
        let ty = self
            .types
            .intern(Type::Tuple(values.iter().map(|v| v.ty).collect()));
        Some(Expr {
            kind: ExprKind::Tuple(values),
            ty,
            span,
        })
    }

    /// `(a=1, b="x")`: a tuple with names.
    fn record(&mut self, fields: &[(ast::Ident, ast::Expr)], span: Span) -> Option<Expr> {
        let mut names: Vec<&ast::Ident> = Vec::new();
        let mut twice = false;
        for (name, _) in fields {
            if let Some(first) = names.iter().find(|other| other.name == name.name) {
                let message = format!("this record has two fields `{}`", name.name);
                self.report(
                    Diagnostic::error(codes::REDECLARED, name.span, message)
                        .also(first.span, "the first one"),
                );
                twice = true;
            }
            names.push(name);
        }
        let values = self.values(fields.iter().map(|(_, value)| value))?;
        if twice {
            return None;
        }
        let types = names
            .iter()
            .zip(&values)
            .map(|(name, value)| (name.name.clone(), value.ty));
        let ty = Type::NamedTuple(types.collect());
        Some(Expr {
            ty: self.types.intern(ty),
            kind: ExprKind::Tuple(values),
            span,
        })
    }

    /// Values that are kept together; all are checked before the first mistake ends it.
    fn values<'e>(&mut self, items: impl Iterator<Item = &'e ast::Expr>) -> Option<Vec<Expr>> {
        let checked: Vec<Option<Expr>> = items.map(|e| self.value(e)).collect();
        let mut values = Vec::new();
        for value in checked {
            values.push(self.local_value(value?)?);
        }
        Some(values)
    }

    /// A use of a builtin, with or without parentheses.
    fn call(&mut self, name: &ast::Ident, args: Option<&[ast::Expr]>, span: Span) -> Option<Expr> {
        let Some(row) = builtins::find(&name.name) else {
            self.unknown_function(name);
            return None;
        };
        let aggregate = std::mem::take(&mut self.aggregate_allowed);
        if args.is_none() && row.form == builtins::Form::Function {
            let message = format!("`{}` is a function", row.name);
            let help = format!("call it: `{}`", row.signature);
            self.report(Diagnostic::error(codes::NOT_A_VALUE, span, message).help(help));
            return None;
        }
        let site = CallSite {
            row,
            name,
            args: args.unwrap_or(&[]),
            span,
        };
        let value = (row.check)(self, &site)?;
        if super::assign::aggregate_of(&value).is_some() && !aggregate {
            let message = format!("{}() must be assigned directly to a map", row.name);
            let help = format!(
                "write `@name = {}(…);` or `@name[key] = {}(…);`",
                row.name, row.name
            );
            self.report(Diagnostic::error(codes::NOT_A_VALUE, span, message).help(help));
            return None;
        }
        Some(value)
    }

    fn unknown_function(&mut self, name: &ast::Ident) {
        if let Some(known) = builtins::elsewhere(&name.name) {
            let message = format!("nettrace has no `{}` yet", known.name);
            let mut diag = Diagnostic::error(codes::NOT_YET, name.span, message)
                .note("the name is known from bpftrace");
            if let Some(instead) = known.instead {
                diag = diag.help(format!("use {instead}"));
            }
            self.report(diag);
            return;
        }
        let message = format!("there is no function `{}`", name.name);
        let diag = Diagnostic::error(codes::UNKNOWN_FUNCTION, name.span, message);
        let near = similar::nearest(&name.name, builtins::all().map(|b| b.name));
        self.report(self.suggest(diag, &near));
    }
}

/// The truth of a condition that is constant.
pub(super) fn truth_of(cond: &Expr) -> Option<bool> {
    match cond.kind {
        ExprKind::Int(n) => Some(n != 0),
        _ => None,
    }
}

/// A parameter that reads as a number: decimal, octal, hexadecimal or binary, with a sign if need be.
fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let digits = digits.replace('_', "");
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        u64::from_str_radix(hex, 16).ok()?
    } else if let Some(bits) = lower.strip_prefix("0b") {
        u64::from_str_radix(bits, 2).ok()?
    } else if lower.len() > 1 && lower.starts_with('0') {
        u64::from_str_radix(&lower, 8).ok()?
    } else {
        lower.parse::<u64>().ok()?
    };
    let value = if negative {
        -i128::from(value)
    } else {
        i128::from(value)
    };
    (value >= i128::from(i64::MIN)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn parameters_that_are_numbers() {
        let rows = [
            ("5", Some(5)),
            ("-5", Some(-5)),
            ("0x1f", Some(31)),
            ("017", Some(15)),
            ("0b11", Some(3)),
        ];
        for (text, value) in rows {
            assert_eq!(number(text), value, "{text}");
        }
        for text in ["eth0", "", "-", "0x", "99999999999999999999", "+1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
