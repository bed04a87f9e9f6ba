//! Rules of packet filters, which the runtime shows as the text that `nft` and `iptables-save` print.
//!
//! A program sends what the kernel knows of a rule: namespace, table, handle or number. Who wrote the rule, and how, only the tools know.

use super::{Builtin, Form, Lowering};
use crate::artifact::{RULE_CHAIN, RULE_SIZE};
use crate::check::{CallSite, Checker};
use crate::ir::{Mem, Space};
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[Builtin {
    name: "rule_text",
    form: Form::Function,
    signature: "rule_t rule_text(uint32 family, uint32 netns, uint32 generation, uint64 table, char *chain, uint64 rule)",
    doc: "A rule of a packet filter that prints as its text. nf_tables: family 0, handles of table and rule, chain 0. iptables-legacy: address family, name of the table as a number, chain, number of the rule in it (for a chain of a hook: chain 0, 1 + hook point in the number's upper half). The tools are asked again when the generation has changed.",
    check: check_rule_text,
    lower: Lowering::Into(lower_rule_text),
}];

/// Six arguments, as numbers: family, namespace, generation, table, address of the chain's name, rule.
fn check_rule_text(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 6..=6)?;
    let [family, netns, generation, table, chain, rule] = site.args else {
        return None;
    };
    let args = [
        c.integer(family, Types::U32, "the family of a rule"),
        c.integer(netns, Types::U32, "the namespace"),
        c.integer(generation, Types::U32, "the generation of the rule set"),
        c.integer(table, Types::U64, "the table"),
        c.address(chain),
        c.integer(rule, Types::U64, "the rule"),
    ];
    let args = args.into_iter().collect::<Option<Vec<_>>>()?;
    let ty = c.types.intern(Type::Rule);
    Some(site.call(ty, args, Extra::None))
}

/// See `Layout::Rule`. A name that cannot be read is empty.
fn lower_rule_text(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let [family, netns, generation, table, chain, rule] = call.args.as_slice() else {
        return;
    };
    let to = to.at(0, RULE_SIZE);
    l.zero(to);
    for (number, at) in [(family, 0), (netns, 4), (generation, 8)] {
        let value = l.value(number);
        l.store(to.at(at, 4), Mem::U32, value);
    }
    for (number, at) in [(table, 16), (rule, 24)] {
        let value = l.value(number);
        l.store(to.at(at, 8), Mem::U64, value);
    }
    let name = l.value(chain);
    let size = l.b.iconst(i64::from(RULE_CHAIN));
    l.read_string(to.at(32, RULE_CHAIN), size, name, Space::Kernel);
}
