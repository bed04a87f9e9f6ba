//! Strings, buffers, addresses and byte order.

use std::net::IpAddr;

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker, fold};
use crate::ir::{Mem, Value};
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Ty, Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "str",
        form: Form::Function,
        signature: "string str(char *p[, uint64 length])",
        doc: "The characters at an address up to a NUL, at most `length` and at most max_strlen.",
        check: check_str,
        lower: Lowering::Into(lower_str),
    },
    Builtin {
        name: "buf",
        form: Form::Function,
        signature: "buffer buf(void *p[, uint64 length]) or buf(array)",
        doc: "The bytes at an address; %r, %rx and %rh print them.",
        check: check_buf,
        lower: Lowering::Into(lower_buf),
    },
    Builtin {
        name: "ntop",
        form: Form::Function,
        signature: "inet ntop([int family, ]uint32 or 4 or 16 bytes)",
        doc: "An IPv4 or IPv6 address in network byte order that prints as people write it.",
        check: check_ntop,
        lower: Lowering::Into(lower_ntop),
    },
    Builtin {
        name: "pton",
        form: Form::Function,
        signature: "uint8[4] or uint8[16] pton(string address)",
        doc: "The bytes of an IPv4 or IPv6 address, a constant, in network byte order: `ip6->saddr == pton(\"fe80::1\")`.",
        check: check_pton,
        lower: Lowering::Never,
    },
    Builtin {
        name: "bswap",
        form: Form::Function,
        signature: "uintN bswap(uintN)",
        doc: "The bytes of a number in reverse order; turns network byte order into the machine's.",
        check: check_bswap,
        lower: Lowering::Value(lower_bswap),
    },
];

const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;

/// Arguments: the address (a pointer); then, if given, the length as `uint64`. The type is `Str`, whose capacity is the limit.
/// `Extra::Number`: the capacity, if what does not fit is cut off by the configuration and not by the script.
fn check_str(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let first = site.args.first()?;
    if let Some(text) = c.positional_text(first) {
        return Some(c.string(text, site.span));
    }
    let address = c.pointer(first, "str()");
    let most = c.limits.max_strlen;
    let mut cap = most;
    let mut args = Vec::new();
    match site.args.get(1) {
        // An array ends where it ends, with or without a NUL.
        None => {
            if let Some(address) = &address
                && let Some(bytes) = c.array_behind(address)
            {
                cap = cap.min(bytes.saturating_add(1));
            }
        }
        Some(arg) => {
            let length = c.integer(arg, Types::U64, "the length of str()")?;
            match fold::constant(&length, c.types) {
                Some(n) => {
                    let n = n as u64;
                    if n >= u64::from(most) {
                        cut(c, arg, n, u64::from(most) - 1);
                    }
                    cap = u64::min(n.saturating_add(1), u64::from(cap)) as u32;
                }
                None => args.push(length),
            }
        }
    }
    let address = address?;
    if c.pointee(address.ty).is_none() {
        let text = matches!(c.types.get(address.ty), Type::Str { .. });
        if text && site.args.len() == 1 {
            // A string already.
            return Some(Expr {
                span: site.span,
                ..address
            });
        }
        own_memory(c, first, &address, "str()");
        return None;
    }
    args.insert(0, address);
    let ty = c.types.intern(Type::Str { cap: cap.max(1) });
    // A string that ends where the script or its type says is whole.
    let extra = match cap == most {
        true => Extra::Number(cap),
        false => Extra::None,
    };
    Some(site.call(ty, args, extra))
}

/// Reports a value that lies in the script's own memory, where an address is wanted.
fn own_memory(c: &mut Checker<'_>, at: &ast::Expr, value: &Expr, what: &str) {
    let ty = c.describe(value.ty);
    let message = format!("{what} reads kernel or user memory; this value is the script's own");
    c.report(
        Diagnostic::error(codes::BAD_ARGUMENT, at.span, message)
            .label(format!("this is {ty}"))
            .help("name the place that it came from: `buf($skb->cb)` instead of `$copy`"),
    );
}

fn cut(c: &mut Checker<'_>, arg: &ast::Expr, asked: u64, given: u64) {
    c.warn(
        Diagnostic::warning(
            codes::LENGTH_CUT,
            arg.span,
            format!("a length of {asked} is cut to {given}"),
        )
        .help("raise max_strlen in the config block: `config = { max_strlen = N }`"),
    );
}

/// Arguments: the address (a pointer); then, if it is not constant, the length as `uint64`. The type is `Buf`, whose capacity is the
/// constant length or the limit. `Extra::Number`: the same capacity.
fn check_buf(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let first = site.args.first()?;
    let address = c.pointer(first, "buf()")?;
    if c.pointee(address.ty).is_none() {
        own_memory(c, first, &address, "buf()");
        return None;
    }
    // Four bytes of a string's room hold the length.
    let limit = c.limits.max_strlen.saturating_sub(4).max(1);
    let mut args = vec![address];
    let length = match site.args.get(1) {
        Some(arg) => Some((c.integer(arg, Types::U64, "the length of buf()")?, arg)),
        None => None,
    };
    let cap = match length {
        None => match args.first().and_then(|a| c.array_behind(a)) {
            Some(bytes) => bytes.min(limit),
            None => {
                c.report(
                    Diagnostic::error(
                        codes::ARGUMENT_COUNT,
                        site.span,
                        "buf() of a pointer needs a length",
                    )
                    .help("write `buf(p, 16)`; only an array knows its own length"),
                );
                return None;
            }
        },
        Some((length, arg)) => match fold::constant(&length, c.types) {
            Some(n) => {
                let n = n as u64;
                if n > u64::from(limit) {
                    cut(c, arg, n, u64::from(limit));
                }
                n.min(u64::from(limit)) as u32
            }
            None => {
                args.push(length);
                limit
            }
        },
    };
    let ty = c.types.intern(Type::Buf { cap: cap.max(1) });
    Some(site.call(ty, args, Extra::Number(cap)))
}

/// Type `Inet`: one argument, a `uint32` or a place of 4 or 16 bytes. Type `InetAny`, when the family is known at run time only: the
/// family as `uint64`, then the same argument.
fn check_ntop(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let (family, arg) = match site.args {
        [family, address, ..] => (Some(family), address),
        [address] => (None, address),
        [] => return None,
    };
    let family = match family {
        None => None,
        Some(f) => Some((c.integer(f, Types::U64, "the address family")?, f)),
    };
    let (address, bytes) = address_bytes(c, arg)?;
    let v6 = match &family {
        None => bytes == 16,
        Some((value, at)) => match fold::constant(value, c.types) {
            Some(AF_INET) => false,
            Some(AF_INET6) => true,
            Some(n) => {
                c.report(
                    Diagnostic::error(
                        codes::BAD_ARGUMENT,
                        at.span,
                        format!("{n} is no address family that ntop() knows"),
                    )
                    .help("write AF_INET or AF_INET6, or leave the family out"),
                );
                return None;
            }
            None => {
                let (value, _) = family?;
                let ty = c.types.intern(Type::InetAny);
                return Some(site.call(ty, vec![value, address], Extra::None));
            }
        },
    };
    if v6 && bytes < 16 {
        c.bad_argument(arg, address.ty, "an IPv6 address has 16 bytes");
        return None;
    }
    let ty = c.types.intern(Type::Inet { v6 });
    Some(site.call(ty, vec![address], Extra::None))
}

/// A constant.
fn check_pton(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let text = c.literal_text(arg, "the address of pton()")?;
    let bytes = match text.parse() {
        Ok(IpAddr::V4(address)) => address.octets().to_vec(),
        Ok(IpAddr::V6(address)) => address.octets().to_vec(),
        Err(_) => {
            let message = format!("`{text}` is no IP address");
            c.report(
                Diagnostic::error(codes::BAD_ARGUMENT, arg.span, message).help(
                    "write four numbers with dots, `10.0.0.1`, or an IPv6 address, `fe80::1`",
                ),
            );
            return None;
        }
    };
    let ty = c.types.intern(Type::Array {
        elem: Types::U8,
        len: bytes.len() as u32,
    });
    Some(Expr {
        kind: ExprKind::Bytes(bytes),
        ty,
        span: site.span,
    })
}

/// The address as `uint32` or as a place, and how many bytes it has: 4 or 16.
fn address_bytes(c: &mut Checker<'_>, arg: &ast::Expr) -> Option<(Expr, u32)> {
    let mut value = c.expr(arg)?;
    if let Type::Pointer { to, .. } = *c.types.get(value.ty)
        && matches!(c.size_of(to), Some(4 | 16))
        && is_memory(c, to)
    {
        value = c.deref(value);
    }
    if c.is_int_like(value.ty) {
        return Some((c.convert(value, Types::U32), 4));
    }
    let size = c.size_of(value.ty).unwrap_or(0);
    let place = !matches!(value.kind, ExprKind::Str(_));
    if place && is_memory(c, value.ty) && matches!(size, 4 | 16) {
        return Some((value, size));
    }
    c.bad_argument(
        arg,
        value.ty,
        "ntop() takes a 32-bit number, or 4 or 16 bytes of memory",
    );
    None
}

fn is_memory(c: &Checker<'_>, ty: Ty) -> bool {
    matches!(
        c.types.get(ty),
        Type::Record(_) | Type::Array { .. } | Type::Str { .. }
    )
}

/// One argument; the type is the unsigned one of the argument's width.
fn check_bswap(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let value = c.expr(arg)?;
    if !c.is_int_like(value.ty) {
        c.bad_argument(arg, value.ty, "bswap() takes a number");
        return None;
    }
    let bytes = c.size_of(value.ty).unwrap_or(8) as u8;
    let ty = Types::int(bytes, false);
    let value = c.convert(value, ty);
    Some(site.call(ty, vec![value], Extra::None))
}

/// Straight into place. The room may be less than the type's capacity where only the beginning matters.
fn lower_str(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let Some(address) = call.args.first() else {
        return;
    };
    let size = match call.args.get(1) {
        None => l.b.iconst(i64::from(to.room)),
        Some(length) => {
            let length = l.value(length);
            // The NUL comes on top of what was asked for.
            let most = l.at_most(length, to.room.saturating_sub(1));
            l.offset(most, 1)
        }
    };
    let marked = matches!(call.extra, Extra::Number(limit) if to.room >= limit);
    l.read_string_at(address, *to, size, marked);
}

/// The length in four bytes, then so many bytes of memory.
fn lower_buf(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let Some(address) = call.args.first() else {
        return;
    };
    let room = to.room.saturating_sub(4);
    match call.args.get(1) {
        None => {
            let length = match call.extra {
                Extra::Number(n) => n.min(room),
                _ => room,
            };
            l.store_const(to.at(0, 4), 4, i64::from(length));
            l.read_bytes_at(address, to.at(4, length));
        }
        Some(length) => {
            let length = l.value(length);
            let length = l.at_most(length, room);
            l.store(to.at(0, 4), Mem::U32, length);
            l.read_some_bytes_at(address, to.at(4, room), length);
        }
    }
}

fn lower_ntop(l: &mut Lower<'_>, call: &Call, to: &Place) {
    match call.args.as_slice() {
        [address] => write_address(l, address, to),
        [family, address] => {
            let family = l.value(family);
            l.store(to.at(0, 8), Mem::U64, family);
            let bytes = l.size(address.ty).min(16);
            let rest = 16 - bytes;
            write_address(l, address, &to.at(8, bytes));
            l.zero(to.at(8 + bytes, rest));
        }
        _ => {}
    }
}

/// The bytes of an address, as many as the place has room for.
fn write_address(l: &mut Lower<'_>, address: &Expr, to: &Place) {
    if l.in_memory(address.ty) {
        let from = l.place_of(address);
        l.copy(from, *to, to.room);
    } else {
        let value = l.value(address);
        l.store_number(*to, to.room.min(4), value);
    }
}

fn lower_bswap(l: &mut Lower<'_>, call: &Call) -> Value {
    let Some(number) = call.args.first() else {
        return l.b.iconst(0);
    };
    let bytes = l.size(number.ty);
    let value = l.value(number);
    match bytes {
        2 | 4 | 8 => l.b.swap_bytes(bytes as u8, value),
        _ => value,
    }
}
