//! The tests that a filter amounts to once every header has its place: loads, masks, comparisons, and how they are joined.
//!
//! All numbers are unsigned with 32 bits; fields are in host order. A field that the packet does not have fails the whole filter, not
//! only the test, as in BPF.

use nettrace_grammar::Span;

use crate::pcap::ast::{ArithOp, Join, Relation};

/// Where something begins in the packet: a place that only shows at run time, and bytes beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pcap) struct Offset {
    pub(in crate::pcap) base: Base,
    pub(in crate::pcap) bytes: u32,
}

impl Offset {
    pub(in crate::pcap) const START: Offset = Offset {
        base: Base::Start,
        bytes: 0,
    };

    pub(in crate::pcap) fn plus(self, bytes: u32) -> Offset {
        Offset {
            bytes: self.bytes + bytes,
            ..self
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pcap) enum Base {
    /// The packet's first byte.
    Start,
    /// Behind the outermost VLAN tag: 4 when it is in the packet, 0 when the kernel keeps it beside it.
    Tag,
    /// In the packet inside the n-th `geneve`, or, when that did not match, the place as it was before.
    Inner(usize, Part),
}

/// What is found inside a Geneve packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pcap) enum Part {
    /// The Ethernet header, or the same as the payload.
    Header,
    /// The field that tells the payload's protocol.
    Type,
    Payload,
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pcap) struct Place {
    pub(in crate::pcap) from: Offset,
    /// `from` is an IPv4 header, and the field is counted from its end.
    pub(in crate::pcap) past_ipv4: bool,
    /// Bytes beyond.
    pub(in crate::pcap) offset: u32,
}

/// A number that is computed.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::pcap) enum Number {
    Const(u32),
    /// The packet's whole length.
    Length,
    /// 1, 2 or 4 bytes, `index` bytes beyond a place.
    Load(Place, Box<Number>, u8),
    Neg(Box<Number>),
    Binary(ArithOp, Box<Number>, Box<Number>),
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::pcap) enum Test {
    Const(bool),
    /// What a test of the filter's text amounts to.
    At(Span, Box<Test>),
    Not(Box<Test>),
    /// From left to right, all joins with the same precedence.
    Chain(Box<Test>, Vec<(Join, Test)>),
    /// A field of 1, 2 or 4 bytes, masked, in relation to a constant.
    Field {
        place: Place,
        size: u8,
        mask: u32,
        relation: Relation,
        value: u32,
    },
    Compare(Relation, Number, Number),
    /// A header of this IP protocol follows, possibly after extension headers.
    Chased {
        ip: Offset,
        v6: bool,
        proto: u32,
    },
    /// A VLAN tag, any or with this id: where the kernel keeps it, else as tested in the packet.
    Tagged {
        id: Option<u32>,
        in_packet: Box<Test>,
    },
    /// The packet is Geneve: from here on the n-th `geneve` has matched. Always true.
    Enter {
        geneve: usize,
        ip: Offset,
        v6: bool,
    },
    /// The n-th `geneve` carries Ethernet, not an IP packet.
    CarriesEthernet(usize),
    /// One test if the n-th `geneve` has matched, another if not.
    IfEntered(usize, Box<Test>, Box<Test>),
    /// The packet is on its way out, or, when false, was received.
    Direction(bool),
    Ifindex(u32),
    Ifname(String),
}

impl Test {
    pub(in crate::pcap) fn not(self) -> Test {
        Test::Not(Box::new(self))
    }

    pub(in crate::pcap) fn and(self, other: Test) -> Test {
        self.join(Join::And, other)
    }

    pub(in crate::pcap) fn or(self, other: Test) -> Test {
        self.join(Join::Or, other)
    }

    /// Appends to a chain; `self` is evaluated first.
    fn join(self, join: Join, other: Test) -> Test {
        match self {
            Test::Chain(first, mut rest) => {
                rest.push((join, other));
                Test::Chain(first, rest)
            }
            first => Test::Chain(Box::new(first), vec![(join, other)]),
        }
    }

    /// True when one of them is.
    pub(in crate::pcap) fn any(tests: impl IntoIterator<Item = Test>) -> Test {
        tests
            .into_iter()
            .reduce(Test::or)
            .unwrap_or(Test::Const(false))
    }
}
