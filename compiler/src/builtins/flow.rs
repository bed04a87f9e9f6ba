//! Values that print as people who look after networks write them: flows, names of bits, meanings of stacks. The macros of the prelude
//! build on them.

use std::rc::Rc;

use nettrace_grammar::ast::{self, ExprKind as Ast};
use nettrace_grammar::{Diagnostic, codes};

use super::{Builtin, Form, Lowering};
use crate::artifact::{FLOW_SIZE, StackMode};
use crate::check::{CallSite, Checker};
use crate::ir::{Cond, Mem, Value};
use crate::kernel::{KernelType, TypeKind};
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "make_flow",
        form: Form::Function,
        signature: "flow_t make_flow(int family, int protocol, void *source, void *destination, uint16 sport, uint16 dport)",
        doc: "A flow of its parts: addresses by pointer, ports in network order. `flow()` makes one of a packet, connection or socket.",
        check: check_make_flow,
        lower: Lowering::Into(lower_make_flow),
    },
    Builtin {
        name: "flags",
        form: Form::Function,
        signature: "flags_t flags(uint64 value, enum NAME | string separator, string name, uint64 bit, …)",
        doc: "A number that prints as the names of its bits: those of an enumeration of the kernel, joined by `|`, or those given.",
        check: check_flags,
        lower: Lowering::Value(lower_flags),
    },
    Builtin {
        name: "name_of",
        form: Form::Function,
        signature: "name_t name_of(int64 value, enum NAME)",
        doc: "A number that prints as the constant of an enumeration of the kernel, without the beginning that all its names share.",
        check: check_name_of,
        lower: Lowering::Value(lower_flags),
    },
    Builtin {
        name: "explain",
        form: Form::Function,
        signature: "meaning_t explain(kstack_t stack, string functions, string words, …)",
        doc: "A kernel stack that prints as what it means: the words of the first row whose functions are all in the stack; else the stack.",
        check: check_explain,
        lower: Lowering::Into(lower_explain),
    },
];

/// Arguments: family, protocol, ports as numbers; addresses as pointers. In the order of the signature.
fn check_make_flow(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 6..=6)?;
    let [family, protocol, source, destination, sport, dport] = site.args else {
        return None;
    };
    let family = c.integer(family, Types::U64, "the address family");
    let protocol = c.integer(protocol, Types::U64, "the protocol");
    let source = c.pointer(source, "make_flow()");
    let destination = c.pointer(destination, "make_flow()");
    let sport = c.integer(sport, Types::U64, "a port");
    let dport = c.integer(dport, Types::U64, "a port");
    let args = vec![family?, protocol?, source?, destination?, sport?, dport?];
    for (arg, at) in args.iter().zip(site.args) {
        if matches!(c.types.get(arg.ty), Type::Str { .. } | Type::Array { .. }) {
            c.bad_argument(
                at,
                arg.ty,
                "make_flow() takes addresses in the kernel's memory",
            );
            return None;
        }
    }
    let ty = c.types.intern(Type::Flow);
    Some(site.call(ty, args, Extra::None))
}

const AF_INET: i64 = 2;
const AF_INET6: i64 = 10;

/// See `Layout::Flow`. A family that is neither IPv4 nor IPv6 leaves the addresses zero.
fn lower_make_flow(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let [family, protocol, source, destination, sport, dport] = call.args.as_slice() else {
        return;
    };
    let to = to.at(0, FLOW_SIZE);
    l.zero(to);
    let (family, protocol) = (l.value(family), l.value(protocol));
    let (sport, dport) = (l.value(sport), l.value(dport));
    l.store(to.at(0, 1), Mem::U8, family);
    l.store(to.at(1, 1), Mem::U8, protocol);
    l.store(to.at(4, 2), Mem::U16, sport);
    l.store(to.at(6, 2), Mem::U16, dport);
    let is_v4 = l.b.compare_imm(Cond::Eq, family, AF_INET);
    let is_v6 = l.b.compare_imm(Cond::Eq, family, AF_INET6);
    let size = l.choose_constant([(is_v4, 4), (is_v6, 16)], 0);
    for (address, at) in [(source, 8), (destination, 24)] {
        l.read_into_cleared(address, to.at(at, 16), size);
    }
}

/// One argument: the number as `uint64`. The names are in the type.
fn check_flags(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=usize::MAX)?;
    let (value, rest) = site.args.split_first()?;
    let value = c.integer(value, Types::U64, "the value of flags()");
    let (names, separator) = match rest {
        [
            ast::Expr {
                kind: Ast::Type(ty),
                ..
            },
        ] => (bits_of_enum(c, ty)?, "|".to_string()),
        [separator, rows @ ..] if rows.len() % 2 == 0 => {
            let separator = c.literal_text(separator, "what stands between two names")?;
            let mut names = Vec::new();
            for row in rows.chunks_exact(2) {
                let [name, bit] = row else { continue };
                let name = c.literal_text(name, "the name of a bit")?;
                let bit = c.literal_number(bit, "a bit", 0..=i64::MAX)?;
                names.push((bit as u64, name));
            }
            (names, separator)
        }
        _ => {
            let help =
                "its form is `flags(value, enum NAME)` or `flags(value, \"|\", \"NAME\", 1, …)`";
            let message = "flags() takes an enumeration, or a separator and pairs of name and bit";
            c.report(Diagnostic::error(codes::ARGUMENT_COUNT, site.span, message).help(help));
            return None;
        }
    };
    let ty = c.types.intern(Type::Flags {
        names: Rc::new(names),
        separator: separator.into(),
    });
    Some(site.call(ty, vec![value?], Extra::None))
}

/// One argument: the number as `int64`. The names are in the type.
fn check_name_of(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let [value, of] = site.args else { return None };
    let value = c.integer(value, Types::I64, "the value of name_of()");
    let Ast::Type(written) = &of.kind else {
        let message = "name_of() takes an enumeration: `enum NAME`";
        c.report(Diagnostic::error(codes::BAD_ARGUMENT, of.span, message));
        return None;
    };
    let names = values_of_enum(c, written)?;
    let ty = c.types.intern(Type::Named(Rc::new(names)));
    Some(site.call(ty, vec![value?], Extra::None))
}

/// The constants of an enumeration, without the beginning that all names share.
fn values_of_enum(c: &mut Checker<'_>, written: &ast::TypeExpr) -> Option<Vec<(i64, String)>> {
    let found = c.kernel.find_type(TypeKind::Enum, &written.name.name);
    let values = match found.map(|id| c.kernel.ty(id)).as_deref() {
        Some(KernelType::Enum(e)) => e.values.clone(),
        _ => {
            let message = format!("the kernel has no `enum {}`", written.name.name);
            c.report(Diagnostic::error(
                codes::UNKNOWN_TYPE,
                written.span,
                message,
            ));
            return None;
        }
    };
    // `__IPS_MAX_BIT` and its like do not share it.
    let public = values.iter().filter(|(name, _)| !name.starts_with("__"));
    let prefix = common_prefix(public.map(|(name, _)| name.as_str()));
    let short = |name: &String| match name.starts_with("__") {
        true => name.clone(),
        false => name.get(prefix..).unwrap_or(name).to_string(),
    };
    Some(values.iter().map(|(n, v)| (*v, short(n))).collect())
}

/// The bits of an enumeration. Where the kernel names the number of a bit `X_BIT` beside the bit `X`, the bit is meant.
fn bits_of_enum(c: &mut Checker<'_>, written: &ast::TypeExpr) -> Option<Vec<(u64, String)>> {
    let values = values_of_enum(c, written)?;
    let mut bits: Vec<(u64, String)> = Vec::new();
    for (value, name) in values {
        let bit = value as u64;
        let known = bits.iter().any(|(known, _)| *known == bit);
        if bit.is_power_of_two() && !known && !name.ends_with("_BIT") {
            bits.push((bit, name));
        }
    }
    bits.sort_unstable();
    Some(bits)
}

/// Length of what all names begin with, up to an underscore.
fn common_prefix<'n>(mut names: impl Iterator<Item = &'n str>) -> usize {
    let Some(first) = names.next() else { return 0 };
    let shared = names.fold(first.len(), |shared, name| {
        let same = first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b);
        shared.min(same.count())
    });
    first
        .get(..shared)
        .and_then(|prefix| prefix.rfind('_'))
        .map_or(0, |at| at + 1)
}

fn lower_flags(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(value) => l.value(value),
        None => l.b.iconst(0),
    }
}

/// One argument: the stack. The rows are in the type.
fn check_explain(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 3..=usize::MAX)?;
    let (stack, rows) = site.args.split_first()?;
    let stack_at = stack;
    let stack = c.value(stack)?;
    let Type::Stack {
        user: false,
        frames,
        mode: StackMode::Bpftrace | StackMode::Perf,
    } = *c.types.get(stack.ty)
    else {
        c.bad_argument(
            stack_at,
            stack.ty,
            "explain() takes a kernel stack: `kstack`",
        );
        return None;
    };
    if rows.len() % 2 != 0 {
        let message = "each row of explain() has two strings: functions and words";
        c.report(Diagnostic::error(codes::ARGUMENT_COUNT, site.span, message));
        return None;
    }
    let mut table = Vec::new();
    for row in rows.chunks_exact(2) {
        let [functions, words] = row else { continue };
        let functions = c.literal_text(functions, "the functions of a row")?;
        let words = c.literal_text(words, "the words of a row")?;
        table.push((functions, words));
    }
    let ty = c.types.intern(Type::Meaning {
        frames,
        rows: Rc::new(table),
    });
    Some(site.call(ty, vec![stack], Extra::None))
}

fn lower_explain(l: &mut Lower<'_>, call: &Call, to: &Place) {
    if let Some(stack) = call.args.first() {
        l.write(stack, to);
    }
}

#[cfg(test)]
mod tests {
    use super::common_prefix;

    #[test]
    fn names_lose_what_they_share() {
        let prefix = |names: &[&str]| common_prefix(names.iter().copied());
        assert_eq!(prefix(&["IPS_EXPECTED", "IPS_SEEN_REPLY"]), 4);
        assert_eq!(prefix(&["IPS_SRC_NAT", "IPS_SRC_NAT_DONE"]), 8);
        assert_eq!(prefix(&["A", "B"]), 0);
    }
}
