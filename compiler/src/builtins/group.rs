//! Output that belongs together: lines that are held back until their group is complete, and packets that go into a file.

use nettrace_grammar::{Diagnostic, codes};

use super::{Builtin, Form, Lowering};
use crate::artifact::{Action, Layout};
use crate::check::{CallSite, Checker};
use crate::ir::{Mem, Value};
use crate::lower::Lower;
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::Types;

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: GROUPED,
        form: Form::Function,
        signature: "uint64 grouped(uint64 group)",
        doc: "The number itself. A `printf` that has it among its values is held back and comes out with the others of this group: at `release(group)`, or at the end.",
        check: check_grouped,
        lower: Lowering::Value(lower_grouped),
    },
    Builtin {
        name: "release",
        form: Form::Function,
        signature: "void release(uint64 group)",
        doc: "Prints what was held back for a group, in one piece.",
        check: check_release,
        lower: Lowering::Action(lower_release),
    },
    Builtin {
        name: "write_packet",
        form: Form::Function,
        signature: "void write_packet(string file, uint64 nsecs, bool ethernet, uint64 length, device, namespace, buffer bytes, comment)",
        doc: "Appends a packet to a pcapng file, which Wireshark and tcpdump read: its time, the beginning of its bytes, its whole length, where it was, and any value as comment. `pcap(skb, file)` is how scripts ask for it.",
        check: check_write_packet,
        lower: Lowering::Action(lower_write_packet),
    },
];

const GROUPED: &str = "grouped";

/// Whether a value says to which group its line belongs.
pub(crate) fn is_group(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Call(call) => call.builtin.name == GROUPED,
        ExprKind::Block(_, value) => is_group(value),
        _ => false,
    }
}

fn number(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    c.integer(site.args.first()?, Types::U64, "the number of a group")
}

/// One argument, `uint64`.
fn check_grouped(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    let group = number(c, site)?;
    Some(site.call(Types::U64, vec![group], Extra::None))
}

/// One argument, `uint64`.
fn check_release(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    let group = number(c, site)?;
    Some(site.call(Types::VOID, vec![group], Extra::None))
}

fn lower_grouped(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(group) => l.value(group),
        None => l.b.iconst(0),
    }
}

fn lower_release(l: &mut Lower<'_>, call: &Call) {
    let Some(group) = call.args.first() else {
        return;
    };
    let group = l.value(group);
    let layout = Layout::Int {
        bytes: 8,
        signed: false,
    };
    l.event(Action::Release, vec![layout], |l, fields| {
        if let Some(field) = fields.first() {
            l.store(*field, Mem::U64, group);
        }
    });
}

/// The arguments behind the file, which is `Extra::Text`; numbers as `uint64`.
fn check_write_packet(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 8..=8)?;
    let [
        file,
        time,
        ethernet,
        length,
        device,
        namespace,
        bytes,
        comment,
    ] = site.args
    else {
        return None;
    };
    let name = c.literal_text(file, "the name of a file")?;
    if name.is_empty() {
        let message = "the name of the file is empty";
        c.report(Diagnostic::error(codes::BAD_ARGUMENT, file.span, message));
        return None;
    }
    let mut args = Vec::new();
    for (number, what) in [
        (time, "the time of a packet"),
        (ethernet, "whether a packet has an Ethernet header"),
        (length, "the length of a packet"),
    ] {
        args.push(c.integer(number, Types::U64, what)?);
    }
    for value in [device, namespace, bytes, comment] {
        let checked = c.expr(value)?;
        c.expect_printable(&checked, value)?;
        args.push(checked);
    }
    Some(site.call(Types::VOID, args, Extra::Text(name)))
}

fn lower_write_packet(l: &mut Lower<'_>, call: &Call) {
    if let Extra::Text(file) = &call.extra {
        let file = file.clone();
        l.send(Action::Packet { file }, &call.args);
    }
}
