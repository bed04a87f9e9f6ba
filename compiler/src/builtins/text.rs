//! Length and order of strings and bytes.
//!
//! The operators `<`, `<=`, `>` and `>=` on strings become calls of `strcmp`. What has to search (`strstr`) is in the prelude.

use nettrace_grammar::ast;

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::Value;
use crate::lower::Lower;
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "strlen",
        form: Form::Function,
        signature: "int64 strlen(string s)",
        doc: "How many bytes a string has.",
        check: check_strlen,
        lower: Lowering::Value(lower_strlen),
    },
    Builtin {
        name: "strcap",
        form: Form::Function,
        signature: "int64 strcap(string s)",
        doc: "How many bytes a string has room for, its NUL included.",
        check: check_strcap,
        lower: Lowering::Never,
    },
    Builtin {
        name: "strcmp",
        form: Form::Function,
        signature: "int64 strcmp(string a, string b)",
        doc: "-1, 0 or 1 as `a` comes before, is equal to or comes behind `b`, byte by byte; `a < b` means the same as `strcmp(a, b) < 0`.",
        check: check_strcmp,
        lower: Lowering::Value(lower_order),
    },
    Builtin {
        name: "strncmp",
        form: Form::Function,
        signature: "int64 strncmp(string a, string b, int n)",
        doc: "The same for the first `n` bytes, a constant.",
        check: check_strncmp,
        lower: Lowering::Value(lower_order),
    },
    Builtin {
        name: "memcmp",
        form: Form::Function,
        signature: "int64 memcmp(void *a, void *b, int n)",
        doc: "The same for `n` bytes of memory, a constant: pointers, arrays or structs.",
        check: check_memcmp,
        lower: Lowering::Value(lower_order),
    },
];

/// The most bytes that are compared.
const MOST: i64 = 1 << 16;

fn number(n: i64, site: &CallSite<'_>) -> Option<Expr> {
    Some(Expr {
        kind: ExprKind::Int(n),
        ty: Types::I64,
        span: site.span,
    })
}

/// An argument that is a string.
fn string(c: &mut Checker<'_>, arg: &ast::Expr, site: &CallSite<'_>) -> Option<Expr> {
    if let Some(text) = c.positional_text(arg) {
        return Some(c.string(text, arg.span));
    }
    let value = c.value(arg)?;
    if matches!(c.types.get(value.ty), Type::Str { .. }) {
        return Some(value);
    }
    let message = format!("{}() takes strings", site.row.name);
    c.bad_argument(arg, value.ty, &message);
    None
}

/// One argument; a constant for a constant.
fn check_strlen(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let text = string(c, site.args.first()?, site)?;
    match &text.kind {
        ExprKind::Str(text) => number(text.len() as i64, site),
        _ => Some(site.call(Types::I64, vec![text], Extra::None)),
    }
}

fn check_strcap(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let text = string(c, site.args.first()?, site)?;
    let cap = c.size_of(text.ty).unwrap_or(0);
    number(i64::from(cap), site)
}

/// Two strings.
fn check_strcmp(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    strings(c, site, None)
}

/// Two strings. `Extra::Number`: how many bytes count.
fn check_strncmp(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 3..=3)?;
    let limit = c.literal_number(site.args.get(2)?, "the length of strncmp()", 0..=MOST);
    strings(c, site, Some(limit? as u32))
}

fn strings(c: &mut Checker<'_>, site: &CallSite<'_>, limit: Option<u32>) -> Option<Expr> {
    let [a, b, ..] = site.args else { return None };
    let (a, b) = (string(c, a, site), string(c, b, site));
    let (a, b) = (a?, b?);
    if let (ExprKind::Str(a), ExprKind::Str(b)) = (&a.kind, &b.kind) {
        let first = |text: &[u8]| -> Vec<u8> {
            let most = limit.map_or(usize::MAX, |limit| limit as usize);
            text.iter().copied().take(most).collect()
        };
        return number(first(a).cmp(&first(b)) as i64, site);
    }
    let extra = limit.map_or(Extra::None, Extra::Number);
    Some(site.call(Types::I64, vec![a, b], extra))
}

/// Two places or values in memory. `Extra::Number`: how many bytes count.
fn check_memcmp(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 3..=3)?;
    let [a, b, n] = site.args else { return None };
    let limit = c.literal_number(n, "the length of memcmp()", 1..=MOST)? as u32;
    let (a, b) = (bytes(c, a, limit), bytes(c, b, limit));
    Some(site.call(Types::I64, vec![a?, b?], Extra::Number(limit)))
}

/// So many bytes of an argument.
fn bytes(c: &mut Checker<'_>, arg: &ast::Expr, wanted: u32) -> Option<Expr> {
    let value = c.value(arg)?;
    let bytes = c.types.intern(Type::Array {
        elem: Types::U8,
        len: wanted,
    });
    c.expect_size(wanted, arg.span)?;
    if c.pointee(value.ty).is_some() {
        let pointer = Expr {
            ty: value.ty,
            span: arg.span,
            ..value
        };
        let behind = c.deref(pointer);
        return Some(Expr {
            ty: bytes,
            ..behind
        });
    }
    let in_memory = matches!(
        c.types.get(value.ty),
        Type::Array { .. } | Type::Str { .. } | Type::Record(_)
    );
    if !in_memory {
        c.bad_argument(arg, value.ty, "memcmp() takes pointers, arrays or structs");
        return None;
    }
    let size = c.size_of(value.ty).unwrap_or(0);
    if size < wanted {
        let message = format!("memcmp() is to compare {wanted} bytes; this has {size}");
        c.bad_argument(arg, value.ty, &message);
        return None;
    }
    // Behind a NUL in memory of the kernel there are bytes too.
    let place = c.place_space(&value).is_some();
    Some(match place {
        true => Expr { ty: bytes, ..value },
        false => value,
    })
}

fn lower_strlen(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(text) => l.text_length(text),
        None => l.b.iconst(0),
    }
}

fn lower_order(l: &mut Lower<'_>, call: &Call) -> Value {
    let [a, b] = call.args.as_slice() else {
        return l.b.iconst(0);
    };
    let limit = match call.extra {
        Extra::Number(limit) => Some(limit),
        _ => None,
    };
    l.order(a, b, limit)
}
