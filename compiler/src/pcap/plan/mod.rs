//! From the syntax tree of a filter to its tests, for one kind of packet.
//!
//! In: the tree, and whether packets begin with an Ethernet header or with an IP header. Out: a [`Plan`]. Walks in source order and keeps
//! where headers are: `vlan`, `mpls`, `pppoes` and `geneve` move everything that comes after them in the text, whether or not they are
//! evaluated or match. What a test needs to exist does not always exist at a layer: then it is false there, and the plan says why.

use nettrace_grammar::Span;

use super::LinkLayer;
use super::ast::{ByteOp, Expr, Kind, Llc, Primitive, Relation};

mod address;
mod arith;
mod link;
pub(super) mod test;

use test::{Base, Number, Offset, Part, Place, Test};

/// A filter for one kind of packet.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) test: Test,
    /// Where things were before each `geneve`, in source order.
    pub(super) geneve: Vec<Outer>,
    /// The primitives that are always false here.
    pub(super) meaningless: Vec<Meaningless>,
}

/// A primitive that can never be true of a kind of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaningless {
    /// Where it stands.
    pub span: Span,
    /// Why, as half a sentence: `a packet without Ethernet header has no VLAN tag`.
    pub why: String,
}

/// Where the headers were before a `geneve`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub(super) header: Offset,
    pub(super) kind: Offset,
    pub(super) payload: Offset,
}

/// What a packet is made of at a place of the filter's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Ethernet,
    /// Nothing: the IP header comes first.
    Raw,
    Ppp,
}

#[derive(Clone, Debug)]
struct State {
    link: Link,
    /// The link layer's header.
    header: Offset,
    /// The field that tells the payload's protocol; of no use without link layer.
    kind: Offset,
    payload: Offset,
    /// From the payload to the network layer's header: labels of MPLS.
    network: u32,
    /// From the payload to the network layer's header behind an LLC header without SNAP.
    no_snap: u32,
    labels: bool,
    tags: bool,
    /// The `geneve` that this is directly inside of.
    inside: Option<usize>,
    /// What it is if that `geneve` did not match, where tests of the payload's protocol differ.
    otherwise: Option<Box<State>>,
}

impl State {
    fn new(layer: LinkLayer) -> State {
        let header = Offset::START;
        let (link, kind, payload, no_snap) = match layer {
            LinkLayer::Ethernet => (Link::Ethernet, header.plus(12), header.plus(14), 3),
            LinkLayer::Raw => (Link::Raw, header, header, 0),
        };
        State {
            link,
            header,
            kind,
            payload,
            network: 0,
            no_snap,
            labels: false,
            tags: false,
            inside: None,
            otherwise: None,
        }
    }

    /// The network layer's header.
    fn ip(&self) -> Offset {
        self.payload.plus(self.network)
    }
}

/// Why a primitive can never be true here.
type Why = String;

struct Planner {
    state: State,
    /// Why the primitive at hand cannot be true, where it is tested nevertheless.
    doubt: Option<Why>,
    geneve: Vec<Outer>,
    meaningless: Vec<Meaningless>,
}

/// Makes the plan.
pub(super) fn plan(filter: Option<&Expr>, layer: LinkLayer) -> Plan {
    let mut planner = Planner {
        state: State::new(layer),
        doubt: None,
        geneve: Vec::new(),
        meaningless: Vec::new(),
    };
    let test = filter.map_or(Test::Const(true), |filter| planner.expr(filter));
    Plan {
        test,
        geneve: planner.geneve,
        meaningless: planner.meaningless,
    }
}

/// A field of an offset.
fn field(from: Offset, size: u8, mask: u32, relation: Relation, value: u32) -> Test {
    Test::Field {
        place: Place {
            from,
            past_ipv4: false,
            offset: 0,
        },
        size,
        mask,
        relation,
        value,
    }
}

/// All bits of a field.
const ALL: u32 = u32::MAX;

fn equal(from: Offset, size: u8, value: u32) -> Test {
    field(from, size, ALL, Relation::Eq, value)
}

impl Planner {
    fn expr(&mut self, expr: &Expr) -> Test {
        match expr {
            Expr::Primitive(primitive) => self.primitive(primitive),
            Expr::Not(inner) => self.expr(inner).not(),
            Expr::Chain(first, rest) => {
                let first = self.expr(first);
                let rest = rest.iter().map(|(join, next)| (*join, self.expr(next)));
                Test::Chain(Box::new(first), rest.collect())
            }
        }
    }

    fn primitive(&mut self, primitive: &Primitive) -> Test {
        let span = primitive.span;
        let (test, why) = match self.kind(&primitive.kind) {
            Ok(test) => (Test::At(span, Box::new(test)), self.doubt.take()),
            Err(why) => (Test::Const(false), Some(why)),
        };
        if let Some(why) = why {
            self.meaningless.push(Meaningless { span, why });
        }
        test
    }

    fn kind(&mut self, kind: &Kind) -> Result<Test, Why> {
        Ok(match kind {
            Kind::Id(address) => self.address(address)?,
            Kind::Proto(proto) => self.abbreviation(*proto)?,
            Kind::Relation(relation, left, right) => self.relation(*relation, left, right)?,
            Kind::Less(length) => length_is(Relation::Le, *length),
            Kind::Greater(length) => length_is(Relation::Ge, *length),
            Kind::Byte(offset, op, value) => self.byte(*offset, *op, *value)?,
            Kind::Direction(outgoing) => Test::Direction(*outgoing),
            Kind::Ifindex(number) => Test::Ifindex(*number),
            Kind::Ifname(name) => Test::Ifname(name.clone()),
            Kind::Broadcast(proto) => self.broadcast(*proto)?,
            Kind::Multicast(proto) => self.multicast(*proto)?,
            Kind::Vlan(id) => self.vlan(*id)?,
            Kind::Mpls(label) => self.mpls(*label)?,
            Kind::PppoeDiscovery => self.link_type(0x8863)?,
            Kind::PppoeSession(id) => self.pppoe_session(*id)?,
            Kind::Geneve(id) => self.geneve(*id)?,
            Kind::Llc(llc) => self.llc(*llc)?,
        })
    }

    fn byte(&self, offset: u32, op: ByteOp, value: u32) -> Result<Test, Why> {
        let place = self.link_header()?.plus(offset.min(u32::MAX / 2));
        Ok(match op {
            ByteOp::Is(relation) => field(place, 1, ALL, relation, value),
            ByteOp::And => field(place, 1, value, Relation::Ne, 0),
            // The byte is read in any case: it has to be there.
            ByteOp::Or if value != 0 => field(place, 1, ALL, Relation::Ge, 0),
            ByteOp::Or => field(place, 1, ALL, Relation::Ne, 0),
        })
    }

    fn llc(&self, llc: Llc) -> Result<Test, Why> {
        self.ethernet("802.2 LLC header")?;
        // Netware sends frames with a length and no LLC header: then the payload begins with ffff.
        let any = self
            .is_802_3()
            .and(equal(self.state.payload, 2, 0xffff).not());
        Ok(match llc {
            Llc::Any => any,
            Llc::Control { mask, value } => any.and(field(
                self.state.payload.plus(2),
                1,
                mask.into(),
                Relation::Eq,
                value.into(),
            )),
        })
    }
}

fn length_is(relation: Relation, length: u32) -> Test {
    Test::Compare(relation, Number::Length, Number::Const(length))
}

/// The n-th `geneve`'s part.
fn inner(geneve: usize, part: Part) -> Offset {
    Offset {
        base: Base::Inner(geneve, part),
        bytes: 0,
    }
}
