//! What the probe itself knows: arguments, return value, function, name, context.
//!
//! Most of these become [`ExprKind::Context`]; `check::arguments` knows where each kind of probe keeps them.

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker, arguments};
use crate::ir::Value;
use crate::kernel::TypeKind;
use crate::lower::Lower;
use crate::probes::ContextKind;
use crate::typed::{Call, Context, Expr, ExprKind, Extra};
use crate::types::{Space, Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "args",
        form: Form::Variable,
        signature: "args.NAME",
        doc: "An argument of the traced function or event by its name; `nettrace -lv PROBE` lists them.",
        check: check_args,
        lower: Lowering::Never,
    },
    Builtin {
        name: "argN",
        form: Form::Variable,
        signature: "uint64 arg0, arg1, …",
        doc: "The raw value of an argument, counted from 0.",
        check: check_register,
        lower: Lowering::Never,
    },
    Builtin {
        name: "skb",
        form: Form::Variable,
        signature: "struct sk_buff *skb",
        doc: "In `skb` probes the packet that the function takes, whichever argument it is; the first if there are several.",
        check: check_skb,
        lower: Lowering::Never,
    },
    Builtin {
        name: "retval",
        form: Form::Variable,
        signature: "retval",
        doc: "What the traced function returns, in the type that BTF has for it; int64 where BTF does not know the function.",
        check: check_retval,
        lower: Lowering::Never,
    },
    Builtin {
        name: "func",
        form: Form::Variable,
        signature: "ksym_t func",
        doc: "The traced function. `func == \"name\"` asks which of several it is.",
        check: check_func,
        lower: Lowering::Value(lower_func),
    },
    Builtin {
        name: "probe",
        form: Form::Variable,
        signature: "string probe",
        doc: "The full name of the probe that fired.",
        check: check_probe,
        lower: Lowering::Value(lower_probe),
    },
    Builtin {
        name: "probetype",
        form: Form::Variable,
        signature: "string probetype",
        doc: "The kind of the probe: `kprobe`, `tracepoint`, ….",
        check: check_probetype,
        lower: Lowering::Never,
    },
    Builtin {
        name: "ctx",
        form: Form::Variable,
        signature: "void *ctx",
        doc: "The program's context: `struct pt_regs *` in kprobes.",
        check: check_ctx,
        lower: Lowering::Never,
    },
];

/// The `N` of `argN`.
pub(crate) fn register_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("arg")?;
    let plain = digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit());
    let canonical = digits == "0" || !digits.starts_with('0');
    (plain && canonical).then(|| digits.parse().ok()).flatten()
}

/// `args` alone has no value; `args.x` is a member access and never comes here.
fn check_args(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    arguments::whole(c, site.span)
}

/// A `uint64` out of the context.
fn check_register(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let number = register_number(&site.name.name)?;
    arguments::raw(c, number, site.span)
}

/// A pointer to the packet.
fn check_skb(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    arguments::packet(c, site.span)
}

fn check_retval(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    arguments::retval(c, site.span)
}

/// A `KSym`: the address of the traced function.
fn check_func(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let kinds = [
        ContextKind::Entry,
        ContextKind::Packet,
        ContextKind::Return,
        ContextKind::Args,
        ContextKind::ArgsAndResult,
    ];
    c.only_in(&kinds, "func", site.span)?;
    let ty = c.types.intern(Type::KSym);
    Some(site.call(ty, Vec::new(), Extra::None))
}

/// A `ProbeName`: the cookie of the target that fired.
fn check_probe(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let ty = c.types.intern(Type::ProbeName);
    Some(site.call(ty, Vec::new(), Extra::None))
}

/// A constant.
fn check_probetype(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(c.string(c.kind.name.as_bytes().to_vec(), site.span))
}

/// A pointer into the program's own context.
fn check_ctx(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let to = match c.kind.context {
        ContextKind::Entry | ContextKind::Packet | ContextKind::Return => {
            match c.kernel.find_type(TypeKind::Struct, "pt_regs") {
                Some(id) => c.types.intern(Type::Record(id)),
                None => Types::VOID,
            }
        }
        ContextKind::Args | ContextKind::ArgsAndResult | ContextKind::EventArgs => Types::U64,
        ContextKind::None | ContextKind::Record => Types::VOID,
    };
    let space = Space::Context;
    Some(Expr {
        kind: ExprKind::Context(Context::Address),
        ty: c.types.intern(Type::Pointer { to, space }),
        span: site.span,
    })
}

fn lower_func(l: &mut Lower<'_>, _: &Call) -> Value {
    l.traced_function()
}

fn lower_probe(l: &mut Lower<'_>, _: &Call) -> Value {
    l.cookie()
}
