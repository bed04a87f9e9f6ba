//! Packet filters in the language of pcap-filter(7), on packets and on flows. `skb ~ "tcp port 443"` is a macro of the prelude that calls
//! these.

use std::rc::Rc;

use nettrace_grammar::codes;
use nettrace_grammar::diag::Diagnostic;

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::{BinOp, Cond, FuncBuilder, Mem, Space, Value};
use crate::kernel::TypeKind;
use crate::lower::{Lower, Place};
use crate::pcap::{self, Filter, LinkLayer, Packet, VlanTag};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Type, Types, members};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "filter_packet",
        form: Form::Function,
        signature: "bool filter_packet(string filter, bool ethernet, void *start, uint64 available, uint64 length, bool tagged, uint64 tci, uint64 received, void *device)",
        doc: "Whether bytes of the kernel are a packet that a pcap filter matches; `skb ~ \"filter\"` is how scripts ask for it. `received` is the index of the device it came in on, 0 for one of this host; `device` the one it belongs to now.",
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
    match pcap::parse_with(&text, at, c.kernel.names()) {
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
    c.expect_args(site, 9..=9)?;
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
    let Some(filter) = filter? else {
        return always(site);
    };
    for (span, _) in filter.asks() {
        let diag = Diagnostic::error(codes::BAD_FILTER, *span, "a flow does not tell this");
        c.report(diag.note("device and direction are those of a packet: `skb ~ \"…\"`"));
    }
    Some(site.call(Types::BOOL, vec![flow], Extra::Filter(filter)))
}

/// A packet whose parts have been computed.
struct Bytes {
    start: Value,
    available: Value,
    length: Value,
    tag: Option<VlanTag>,
    /// Unless it only stands for a flow.
    origin: Option<Origin>,
}

/// Where a packet comes from and goes to.
struct Origin {
    /// The index of the device it was received on, or 0.
    received: Value,
    /// Its `struct net_device`, or null.
    device: Value,
    /// Where that has its index and its name.
    ifindex: Option<u32>,
    name: Option<u32>,
}

/// `IFNAMSIZ`: bytes of a device's name with the 0 behind it.
const NAME: usize = 16;

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

    /// What this host sends was not received; what it forwards was.
    fn outgoing(&mut self, b: &mut FuncBuilder) -> Option<Value> {
        let origin = self.origin.as_ref()?;
        Some(b.compare_imm(Cond::Eq, origin.received, 0))
    }

    fn ifindex(&mut self, b: &mut FuncBuilder) -> Option<Value> {
        let origin = self.origin.as_ref()?;
        let at = origin.ifindex?.try_into().ok()?;
        Some(b.kernel_load(Mem::U32, origin.device, at, Space::Kernel))
    }

    /// Eight bytes at a time, up to the 0 behind the name.
    fn ifname_is(&mut self, b: &mut FuncBuilder, name: &str) -> Option<Value> {
        let origin = self.origin.as_ref()?;
        let at: i32 = origin.name?.try_into().ok()?;
        if name.len() >= NAME {
            return Some(b.iconst(0));
        }
        let mut wanted = [0; NAME];
        wanted
            .iter_mut()
            .zip(name.bytes())
            .for_each(|(to, from)| *to = from);
        let mut same = None;
        for (n, word) in wanted
            .as_chunks::<8>()
            .0
            .iter()
            .enumerate()
            .take(name.len() / 8 + 1)
        {
            let end = (name.len() + 1 - 8 * n).min(8);
            let found = b.kernel_load(Mem::U64, origin.device, at + 8 * n as i32, Space::Kernel);
            // Behind the 0 anything may stand.
            let mask = u64::MAX >> (64 - 8 * end);
            let found = b.binary_imm(BinOp::And, found, mask as i64);
            let equal = b.compare_imm(Cond::Eq, found, i64::from_le_bytes(*word));
            same = Some(match same {
                Some(before) => b.binary(BinOp::And, before, equal),
                None => equal,
            });
        }
        same
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
    let &[
        ethernet,
        start,
        available,
        length,
        tagged,
        tci,
        received,
        device,
    ] = values.as_slice()
    else {
        return l.b.iconst(0);
    };
    let member = |name: &str| {
        let id = l.kernel.find_type(TypeKind::Struct, "net_device")?;
        members::find(l.kernel, id, name).map(|found| found.offset)
    };
    let origin = Origin {
        received,
        device,
        ifindex: member("ifindex"),
        name: member("name"),
    };
    let mut packet = Bytes {
        start,
        available,
        length,
        tag: Some(VlanTag {
            present: tagged,
            tci,
        }),
        origin: Some(origin),
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
        origin: None,
    };
    pcap::lower(filter, LinkLayer::Raw, &mut packet, &mut l.b)
}

fn copy(l: &mut Lower<'_>, from: Place, to: Place) {
    for at in (0..to.room()).step_by(4) {
        let word = l.load(from.at(at, 4), Mem::U32);
        l.store(to.at(at, 4), Mem::U32, word);
    }
}
