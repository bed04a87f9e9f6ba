//! What a script prints, and `exit`.

use super::{Builtin, Form, Lowering};
use crate::artifact::{Action, Layout};
use crate::check::{CallSite, Checker, format, maps};
use crate::ir::Mem;
use crate::lower::Lower;
use crate::typed::{Call, Expr, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "printf",
        form: Form::Function,
        signature: "void printf(string format, …)",
        doc: "Prints values in the formats of C's printf; %s takes anything, %r a buffer.",
        check: check_printf,
        lower: Lowering::Action(lower_printf),
    },
    Builtin {
        name: "print",
        form: Form::Function,
        signature: "void print(value) or print(@map[, int top[, int div]])",
        doc: "Prints one value, or a whole map: its `top` largest entries, values divided by `div`.",
        check: check_print,
        lower: Lowering::Action(lower_print),
    },
    Builtin {
        name: "join",
        form: Form::Function,
        signature: "void join(char **strings[, string separator])",
        doc: "Prints a NULL-terminated array of strings (at most 16), by default with blanks between them.",
        check: check_join,
        lower: Lowering::Action(lower_join),
    },
    Builtin {
        name: "exit",
        form: Form::Function,
        signature: "void exit([int code])",
        doc: "Leaves the probe and ends the run; `end` probes run and maps are printed.",
        check: check_exit,
        lower: Lowering::Action(lower_exit),
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

fn lower_printf(l: &mut Lower<'_>, call: &Call) {
    if let Extra::Format(format) = &call.extra {
        let format = format.clone();
        l.send(Action::Printf { format }, &call.args);
    }
}

fn lower_print(l: &mut Lower<'_>, call: &Call) {
    match call.extra {
        Extra::PrintMap(map, top, div) => {
            let map = l.script_map(map);
            l.send(Action::PrintMap { map, top, div }, &[]);
        }
        _ => l.send(Action::PrintValue, &call.args),
    }
}

/// `join()` looks at so many strings.
const JOIN_STRINGS: u32 = 16;
/// Bytes of each of them, NUL included.
const JOIN_STRING: u32 = 1024;

/// How many strings there are, then the strings.
fn lower_join(l: &mut Lower<'_>, call: &Call) {
    let (Some(array), Extra::Text(separator)) = (call.args.first(), &call.extra) else {
        return;
    };
    let mut layouts = vec![Layout::Int {
        bytes: 8,
        signed: false,
    }];
    layouts.extend((0..JOIN_STRINGS).map(|_| Layout::Str { cap: JOIN_STRING }));
    let separator = separator.clone();
    l.event(Action::Join { separator }, layouts, |l, fields| {
        if let [count, strings @ ..] = fields {
            let found = l.read_strings(array, strings);
            l.store(*count, Mem::U64, found);
        }
    });
}

/// Nothing is recorded after the event, by no program.
fn lower_exit(l: &mut Lower<'_>, call: &Call) {
    let code = Layout::Int {
        bytes: 8,
        signed: true,
    };
    l.event(Action::Exit, vec![code], |l, fields| {
        let Some(field) = fields.first() else {
            return;
        };
        match call.args.first() {
            Some(code) => {
                l.write(code, field);
            }
            None => l.store_const(*field, 8, 0),
        }
    });
    l.stop_recording();
    l.leave();
}
