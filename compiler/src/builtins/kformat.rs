//! Messages of the kernel's own logging functions, made whole when they are printed.

use super::{Builtin, Form, Lowering};
use crate::artifact::{KFORMAT_ARGS, KFORMAT_STRING, KFORMAT_TEXT};
use crate::check::{CallSite, Checker};
use crate::ir::{Mem, Space, Value};
use crate::lower::{Lower, Place};
use crate::probes::ContextKind;
use crate::typed::{Call, Expr, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "kformat",
        form: Form::Function,
        signature: "kformat_t kformat(char *format, uint64 a, uint64 b, uint64 c, uint64 d)",
        doc: "A message as the kernel's printk would print it: a format string of the kernel and its first four arguments.",
        check: check_kformat,
        lower: Lowering::Into(lower_kformat),
    },
    Builtin {
        name: "stack_arg",
        form: Form::Function,
        signature: "uint64 stack_arg(int n)",
        doc: "In `kprobe` probes the n-th argument that the traced function gets on the stack, behind those in registers, counted from 0.",
        check: check_stack_arg,
        lower: Lowering::Value(lower_stack_arg),
    },
];

/// Arguments: the format's address (a pointer), the arguments as `uint64`.
fn check_kformat(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 5..=5)?;
    let (format, rest) = site.args.split_first()?;
    let mut args = vec![c.pointer(format, "kformat()")];
    args.extend(rest.iter().map(|arg| c.address(arg)));
    let args = args.into_iter().collect::<Option<Vec<_>>>()?;
    let ty = c.types.intern(Type::KFormat);
    Some(site.call(ty, args, Extra::None))
}

/// See `Layout::KFormat`. What an argument points to is read in case the format wants a string; other numbers fail to be read.
fn lower_kformat(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let Some((format, args)) = call.args.split_first() else {
        return;
    };
    let size = l.b.iconst(i64::from(KFORMAT_TEXT));
    l.read_string_at(format, to.at(0, KFORMAT_TEXT), size, false);
    for (n, arg) in args.iter().enumerate().take(KFORMAT_ARGS as usize) {
        let value = l.value(arg);
        let n = n as u32;
        l.store(to.at(KFORMAT_TEXT + 8 * n, 8), Mem::U64, value);
        let at = KFORMAT_TEXT + 8 * KFORMAT_ARGS + KFORMAT_STRING * n;
        let text = to.at(at, KFORMAT_STRING);
        // What cannot be read is an empty string.
        l.store_const(text.at(0, 8), 8, 0);
        let size = l.b.iconst(i64::from(KFORMAT_STRING));
        l.read_string(text, size, value, Space::Kernel);
    }
}

/// `Extra::Number`: which.
fn check_stack_arg(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    c.only_in(&[ContextKind::Entry], "stack_arg", site.span)?;
    let n = c.literal_number(site.args.first()?, "the number of an argument", 0..=100)?;
    Some(site.call(Types::U64, Vec::new(), Extra::Number(n as u32)))
}

fn lower_stack_arg(l: &mut Lower<'_>, call: &Call) -> Value {
    let Extra::Number(n) = call.extra else {
        return l.b.iconst(0);
    };
    l.stack_argument(n)
}
