//! Packet filters in the language of pcap-filter(7), on packets and on flows. `skb ~ "tcp port 443"` is a macro of the prelude that calls
//! these.

use std::rc::Rc;

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::{Cond, FuncBuilder, Mem, Value};
use crate::lower::{Lower, Place};
use crate::pcap::{self, Filter, LinkLayer, Packet, VlanTag};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "filter_packet",
        form: Form::Function,
        signature: "bool filter_packet(string filter, bool ethernet, void *start, uint64 available, uint64 length, bool tagged, uint64 tci, uint64 ifindex)",
        doc: "Whether bytes of the kernel are a packet that a pcap filter matches; `skb ~ \"filter\"` is how scripts ask for it.",
        check: check_filter_packet,
        lower: Lowering::Value(lower_filter_packet),
    },
    Builtin {
        name: "filter_flow",
        form: Form::Function,
        signature: "bool filter_flow(string filter, flow_t flow)",
        doc: "Whether a pcap filter matches the first packet of such a flow, as far as addresses, protocol and ports tell.",
        check: check_filter_flow,
        lower: Lowering::Value(lower_filter_flow),
    },
];

/// The filter of a call; the outer `None` after reporting, the inner one for an empty filter, which everything matches.
fn filter(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Option<Rc<Filter>>> {
    let arg = site.args.first()?;
    let (text, at) = c.filter_text(arg)?;
    if text.trim().is_empty() {
        return Some(None);
    }
    match pcap::parse(&text, at) {
        Ok(filter) => Some(Some(Rc::new(filter))),
        Err(diags) => {
            diags.into_iter().for_each(|diag| c.report(diag));
            None
        }
    }
}

fn always(site: &CallSite<'_>) -> Option<Expr> {
    Some(Expr {
        kind: ExprKind::Int(1),
        ty: Types::BOOL,
        span: site.span,
    })
}

/// Arguments as in the signature, without the filter; all but the address as `uint64`.
fn check_filter_packet(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 8..=8)?;
    let filter = filter(c, site);
    let mut args = Vec::new();
    for arg in site.args.iter().skip(1) {
        args.push(c.address(arg));
    }
    let args = args.into_iter().collect::<Option<Vec<_>>>()?;
    match filter? {
        None => always(site),
        Some(filter) => Some(site.call(Types::BOOL, args, Extra::Filter(filter))),
    }
}

/// One argument: the flow.
fn check_filter_flow(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let filter = filter(c, site);
    let at = site.args.get(1)?;
    let flow = c.value(at)?;
    if *c.types.get(flow.ty) != Type::Flow {
        c.bad_argument(at, flow.ty, "filter_flow() takes a flow: `flow(…)`");
        return None;
    }
    match filter? {
        None => always(site),
        Some(filter) => Some(site.call(Types::BOOL, vec![flow], Extra::Filter(filter))),
    }
}

/// A packet whose parts have been computed.
struct Bytes {
    start: Value,
    available: Value,
    length: Value,
    tag: Option<VlanTag>,
    ifindex: Option<Value>,
}

impl Packet for Bytes {
    fn start(&mut self, _: &mut FuncBuilder) -> Value {
        self.start
    }

    fn available(&mut self, _: &mut FuncBuilder) -> Value {
        self.available
    }

    fn length(&mut self, _: &mut FuncBuilder) -> Value {
        self.length
    }

    fn vlan_tag(&mut self, _: &mut FuncBuilder) -> Option<VlanTag> {
        self.tag
    }

    fn outgoing(&mut self, _: &mut FuncBuilder) -> Option<Value> {
        None
    }

    fn ifindex(&mut self, _: &mut FuncBuilder) -> Option<Value> {
        self.ifindex
    }

    fn ifname_is(&mut self, _: &mut FuncBuilder, _: &str) -> Option<Value> {
        None
    }
}

/// One filter for packets with a link-layer header, one for those without.
fn lower_filter_packet(l: &mut Lower<'_>, call: &Call) -> Value {
    let Extra::Filter(filter) = &call.extra else {
        return l.b.iconst(0);
    };
    let mut values = Vec::new();
    for arg in &call.args {
        values.push(l.value(arg));
    }
    let &[ethernet, start, available, length, tagged, tci, ifindex] = values.as_slice() else {
        return l.b.iconst(0);
    };
    let mut packet = Bytes {
        start,
        available,
        length,
        tag: Some(VlanTag {
            present: tagged,
            tci,
        }),
        ifindex: Some(ifindex),
    };
    l.choose_value(ethernet, &mut |l, with_link| {
        let link = match with_link {
            true => LinkLayer::Ethernet,
            false => LinkLayer::Raw,
        };
        pcap::lower(filter, link, &mut packet, &mut l.b)
    })
}

/// Bytes of the header that stands for a flow: IPv6 and two ports.
const HEADER: u32 = 48;
const AF_INET: i64 = 2;

/// Builds the beginning of a packet of the flow on the stack.
fn lower_filter_flow(l: &mut Lower<'_>, call: &Call) -> Value {
    let (Extra::Filter(filter), Some(flow)) = (&call.extra, call.args.first()) else {
        return l.b.iconst(0);
    };
    let flow = l.place_of(flow);
    let header = l.temp(HEADER, 8, "the header of a flow");
    l.zero(header);
    let family = l.load(flow.at(0, 1), Mem::U8);
    let protocol = l.load(flow.at(1, 1), Mem::U8);
    let is_v4 = l.b.compare_imm(Cond::Eq, family, AF_INET);
    let available = l.choose_value(is_v4, &mut |l, v4| {
        let bytes = |at: u32, size: u32| header.at(at, size);
        let (first, next, at, source, destination, address) = match v4 {
            // Offsets of `struct iphdr` and `struct ipv6hdr`.
            true => (0x45, 9, 20, 12, 16, 4),
            false => (0x60, 6, 40, 8, 24, 16),
        };
        l.store_const(bytes(0, 1), 1, first);
        l.store(bytes(next, 1), Mem::U8, protocol);
        copy(l, flow.at(8, address), bytes(source, address));
        copy(l, flow.at(24, address), bytes(destination, address));
        copy(l, flow.at(4, 4), bytes(at, 4));
        l.b.iconst(i64::from(at) + 4)
    });
    let start = l.address(header);
    let mut packet = Bytes {
        start,
        available,
        length: available,
        tag: None,
        ifindex: None,
    };
    pcap::lower(filter, LinkLayer::Raw, &mut packet, &mut l.b)
}

fn copy(l: &mut Lower<'_>, from: Place, to: Place) {
    for at in (0..to.room()).step_by(4) {
        let word = l.load(from.at(at, 4), Mem::U32);
        l.store(to.at(at, 4), Mem::U32, word);
    }
}
