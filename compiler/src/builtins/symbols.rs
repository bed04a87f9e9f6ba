//! Addresses and the names behind them.

use nettrace_grammar::{Diagnostic, codes};

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::{BinOp, Helper, Mem, Value};
use crate::kernel::Similar;
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "ksym",
        form: Form::Function,
        signature: "ksym_t ksym(uint64 address)",
        doc: "A kernel address that prints as symbol, offset and module.",
        check: check_ksym,
        lower: Lowering::Value(lower_ksym),
    },
    Builtin {
        name: "kmod",
        form: Form::Function,
        signature: "kmod_t kmod(uint64 address)",
        doc: "A kernel address that prints as the module it is in, `kernel` for what is built in.",
        check: check_kmod,
        lower: Lowering::Value(lower_ksym),
    },
    Builtin {
        name: "usym",
        form: Form::Function,
        signature: "usym_t usym(uint64 address)",
        doc: "An address of the current process that prints as symbol and offset.",
        check: check_usym,
        lower: Lowering::Into(lower_usym),
    },
    Builtin {
        name: "kaddr",
        form: Form::Function,
        signature: "uint64 kaddr(string symbol)",
        doc: "The address of a kernel symbol, found when the script is compiled.",
        check: check_kaddr,
        lower: Lowering::Never,
    },
];

/// One argument: the address as `uint64`.
fn check_ksym(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let address = c.address(site.args.first()?)?;
    let ty = c.types.intern(Type::KSym);
    Some(site.call(ty, vec![address], Extra::None))
}

/// One argument: the address as `uint64`.
fn check_kmod(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let address = c.address(site.args.first()?)?;
    let ty = c.types.intern(Type::KModule);
    Some(site.call(ty, vec![address], Extra::None))
}

/// One argument: the address as `uint64`.
fn check_usym(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let address = c.address(site.args.first()?)?;
    let ty = c.types.intern(Type::USym);
    Some(site.call(ty, vec![address], Extra::None))
}

/// A constant.
fn check_kaddr(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let name = c.literal_text(arg, "the symbol of kaddr()")?;
    let addresses = c.kernel.symbol(&name);
    let (&address, rest) = match addresses.split_first() {
        Some(found) => found,
        None => {
            let diag = Diagnostic::error(
                codes::UNKNOWN_NAME,
                arg.span,
                format!("the kernel has no symbol `{name}`"),
            );
            let similar = c.kernel.similar(Similar::Function, &name);
            c.report(c.suggest(diag, &similar).help(
                "kaddr() looks a symbol up while compiling; /proc/kallsyms lists them, with addresses for root only",
            ));
            return None;
        }
    };
    if !rest.is_empty() {
        let list: Vec<String> = addresses.iter().map(|a| format!("{a:#x}")).collect();
        c.report(
            Diagnostic::error(
                codes::AMBIGUOUS_TARGET,
                arg.span,
                format!("`{name}` has {} addresses", addresses.len()),
            )
            .note(format!("they are {}", list.join(", ")))
            .help("write the address you mean as a number"),
        );
        return None;
    }
    Some(Expr {
        kind: ExprKind::Int(address as i64),
        ty: Types::U64,
        span: site.span,
    })
}

fn lower_ksym(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(address) => l.value(address),
        None => l.b.iconst(0),
    }
}

/// The process, without which the address means nothing, then the address.
fn lower_usym(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let both = l.b.call(Helper::GetCurrentPidTgid, &[]);
    let pid = l.b.binary_imm(BinOp::LShr, both, 32);
    l.store(to.at(0, 8), Mem::U64, pid);
    if let Some(address) = call.args.first() {
        let address = l.value(address);
        l.store(to.at(8, 8), Mem::U64, address);
    }
}
