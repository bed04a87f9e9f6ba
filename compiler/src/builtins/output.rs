//! What a script prints, and `exit`.

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker, format, maps};
use crate::typed::{Expr, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "printf",
        form: Form::Function,
        signature: "void printf(string format, …)",
        doc: "Prints values in the formats of C's printf; %s takes anything, %r a buffer.",
        check: check_printf,
        lower: Lowering::Never,
    },
    Builtin {
        name: "print",
        form: Form::Function,
        signature: "void print(value) or print(@map[, int top[, int div]])",
        doc: "Prints one value, or a whole map: its `top` largest entries, values divided by `div`.",
        check: check_print,
        lower: Lowering::Never,
    },
    Builtin {
        name: "join",
        form: Form::Function,
        signature: "void join(char **strings[, string separator])",
        doc: "Prints a NULL-terminated array of strings (at most 16), by default with blanks between them.",
        check: check_join,
        lower: Lowering::Never,
    },
    Builtin {
        name: "exit",
        form: Form::Function,
        signature: "void exit([int code])",
        doc: "Leaves the probe and ends the run; `end` probes run and maps are printed.",
        check: check_exit,
        lower: Lowering::Never,
    },
];

/// `Extra::Format`; the arguments are those of the format's values, in order, converted to 64 bits where a number is wanted.
fn check_printf(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=usize::MAX)?;
    let (pieces, args) = format::check(c, site)?;
    Some(site.call(Types::VOID, args, Extra::Format(pieces)))
}

/// `print(@m …)`: `Extra::PrintMap` and no argument. Anything else: one argument of any printable type.
fn check_print(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=3)?;
    let first = site.args.first()?;
    if let Some(name) = maps::whole(first) {
        let map = maps::printable(c, name, first.span)?;
        let number = |c: &mut Checker<'_>, i: usize, what: &str| match site.args.get(i) {
            None => Some(0),
            Some(arg) => c
                .literal_number(arg, what, 0..=i64::from(u32::MAX))
                .map(|n| n as u32),
        };
        let top = number(c, 1, "the second argument of print()");
        let div = number(c, 2, "the third argument of print()");
        return Some(site.call(Types::VOID, Vec::new(), Extra::PrintMap(map, top?, div?)));
    }
    c.expect_args(site, 1..=1)?;
    let value = c.expr(first)?;
    c.expect_printable(&value, first)?;
    Some(site.call(Types::VOID, vec![value], Extra::None))
}

/// One argument: a pointer to pointers to chars. `Extra::Text`: the separator.
fn check_join(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let separator = match site.args.get(1) {
        None => Some(" ".to_string()),
        Some(arg) => c.literal_text(arg, "the separator of join()"),
    };
    let first = site.args.first()?;
    let array = c.expr(first)?;
    let array = c.decay(array);
    let is_pointer = |c: &Checker<'_>, ty| match *c.types.get(ty) {
        Type::Pointer { to, .. } => Some(to),
        _ => None,
    };
    if is_pointer(c, array.ty)
        .and_then(|to| is_pointer(c, to))
        .is_none()
    {
        c.bad_argument(
            first,
            array.ty,
            "join() takes an array of strings: `char **`",
        );
        return None;
    }
    Some(site.call(Types::VOID, vec![array], Extra::Text(separator?)))
}

/// No argument, or the exit code as `int64`.
fn check_exit(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=1)?;
    let args = match site.args.first() {
        None => Vec::new(),
        Some(arg) => vec![c.integer(arg, Types::I64, "the exit code")?],
    };
    Some(site.call(Types::VOID, args, Extra::None))
}
