//! Names of the network: devices, namespaces, link-layer addresses.
//!
//! Programs send numbers; the runtime names them when they are printed, and follows renames and what appears later. `ntop` is with
//! the other addresses in `memory`.

use nettrace_grammar::ast;

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::{BinOp, Value};
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Type, Types};

/// Bytes of a link-layer address.
const ADDRESS: u32 = 6;

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "macaddr",
        form: Form::Function,
        signature: "macaddr_t macaddr(char[6] or pointer)",
        doc: "Six bytes of memory as a link-layer address.",
        check: check_macaddr,
        lower: Lowering::Into(lower_macaddr),
    },
    Builtin {
        name: "device_name",
        form: Form::Function,
        signature: "device_t device_name(uint32 ifindex[, uint32 netns])",
        doc: "A network device that prints as its name. `netns` is the inode number of its namespace; without it, that of nettrace.",
        check: check_device_name,
        lower: Lowering::Value(lower_device_name),
    },
    Builtin {
        name: "netns_name",
        form: Form::Function,
        signature: "netns_t netns_name(uint32 netns)",
        doc: "A network namespace, given by its inode number, that prints as its name (`ip netns`), or `init`, or the number; 0 prints as `-`.",
        check: check_netns_name,
        lower: Lowering::Value(lower_netns_name),
    },
];

/// One argument: a place of 6 bytes, or a pointer.
fn check_macaddr(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let value = c.expr(arg)?;
    let is_place = match c.types.get(value.ty) {
        Type::Pointer { to, .. } => match c.size_of(*to) {
            // Six bytes in a struct of their own or an array, or any number of single ones.
            Some(ADDRESS) => {
                let place = c.deref(value);
                let ty = c.types.intern(Type::Mac);
                return Some(site.call(ty, vec![place], Extra::None));
            }
            size => {
                if !matches!(size, None | Some(1)) {
                    return not_six(c, arg, &value);
                }
                true
            }
        },
        Type::Array { .. } | Type::Record(_) => c.size_of(value.ty) == Some(ADDRESS),
        _ => false,
    };
    if !is_place || matches!(value.kind, ExprKind::Str(_)) {
        return not_six(c, arg, &value);
    }
    let ty = c.types.intern(Type::Mac);
    Some(site.call(ty, vec![value], Extra::None))
}

fn not_six(c: &mut Checker<'_>, arg: &ast::Expr, value: &Expr) -> Option<Expr> {
    c.bad_argument(
        arg,
        value.ty,
        "macaddr() takes 6 bytes of memory, or a pointer to bytes",
    );
    None
}

fn lower_macaddr(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let Some(address) = call.args.first() else {
        return;
    };
    if l.in_memory(address.ty) {
        let from = l.place_of(address);
        l.copy(from, *to, ADDRESS);
    } else {
        l.read_bytes_at(address, to.at(0, ADDRESS));
    }
}

/// One or two arguments as `uint32`: the index, the namespace.
fn check_device_name(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let mut args = Vec::new();
    for (arg, what) in site
        .args
        .iter()
        .zip(["the device's index", "the namespace"])
    {
        args.push(c.integer(arg, Types::U32, what)?);
    }
    let ty = c.types.intern(Type::Device);
    Some(site.call(ty, args, Extra::None))
}

fn lower_device_name(l: &mut Lower<'_>, call: &Call) -> Value {
    let Some(index) = call.args.first() else {
        return l.b.iconst(0);
    };
    let index = l.value(index);
    match call.args.get(1) {
        None => index,
        Some(netns) => {
            let netns = l.value(netns);
            let high = l.b.binary_imm(BinOp::Shl, netns, 32);
            l.b.binary(BinOp::Or, high, index)
        }
    }
}

/// One argument as `uint32`.
fn check_netns_name(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let inode = c.integer(site.args.first()?, Types::U32, "the namespace")?;
    let ty = c.types.intern(Type::NetNs);
    Some(site.call(ty, vec![inode], Extra::None))
}

fn lower_netns_name(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(inode) => l.value(inode),
        None => l.b.iconst(0),
    }
}
