//! The syntax tree of a packet filter: what the parser has understood, before headers get a place in the packet.
//!
//! Chains of `and`/`or` are flat, because the language gives both the same precedence and people write lists of hundreds of
//! hosts; only parentheses and `not` nest.

use std::net::Ipv6Addr;

use nettrace_grammar::Span;

use super::resolve::Address;
use super::words::Proto;

/// A filter or a part of it in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// One test.
    Primitive(Primitive),
    /// `not e`
    Not(Box<Expr>),
    /// `e or e and e …`, evaluated from left to right.
    Chain(Box<Expr>, Vec<(Join, Expr)>),
}

impl Expr {
    /// Calls back with all primitives in source order.
    pub(super) fn each(&self, f: &mut dyn FnMut(&Primitive)) {
        match self {
            Expr::Primitive(primitive) => f(primitive),
            Expr::Not(inner) => inner.each(f),
            Expr::Chain(first, rest) => {
                first.each(f);
                rest.iter().for_each(|(_, next)| next.each(f));
            }
        }
    }
}

/// What stands between two tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

/// A primitive and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Primitive {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Qualifiers, possibly those of an earlier primitive, and what they are about.
    Id(Address),
    /// A protocol alone: `tcp`
    Proto(Proto),
    /// `expr relop expr`
    Relation(Relation, Arith, Arith),
    Broadcast(Option<Proto>),
    Multicast(Option<Proto>),
    Less(u32),
    Greater(u32),
    /// `byte 12 > 3`
    Byte(u32, ByteOp, u32),
    /// `inbound` or, when true, `outbound`
    Direction(bool),
    Ifindex(u32),
    Ifname(String),
    Vlan(Option<u32>),
    Mpls(Option<u32>),
    PppoeDiscovery,
    PppoeSession(Option<u32>),
    Geneve(Option<u32>),
    Llc(Llc),
}

/// A number and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numeral {
    pub(super) span: Span,
    pub(super) value: u32,
}

/// The words before an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quals {
    pub(super) span: Span,
    pub(super) proto: Option<Proto>,
    pub(super) dir: Option<Dir>,
    pub(super) kind: Option<IdKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dir {
    Src,
    Dst,
    /// `src or dst`
    Either,
    /// `src and dst`
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdKind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
    ProtoChain,
    Gateway,
}

impl IdKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            IdKind::Host => "host",
            IdKind::Net => "net",
            IdKind::Port => "port",
            IdKind::PortRange => "portrange",
            IdKind::Proto => "proto",
            IdKind::ProtoChain => "protochain",
            IdKind::Gateway => "gateway",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Id {
    pub(super) span: Span,
    pub(super) form: Form,
}

/// How an identifier is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Number(u32),
    Name(String),
    /// `10.1`, `10.1.2.3`: two to four numbers.
    Dotted(Vec<u32>),
    /// `10.1/16`
    DottedLen(Vec<u32>, Numeral),
    /// `10.1.0.0 mask 255.255.0.0`
    DottedMask(Vec<u32>, Vec<u32>, Span),
    V6(Ipv6Addr),
    V6Len(Ipv6Addr, Numeral),
    Mac([u8; 6]),
}

/// Comparison of unsigned 32-bit numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOp {
    /// A comparison.
    Is(Relation),
    /// Common bits: true when there are some.
    And,
    /// All bits of both: true when there are some.
    Or,
}

/// An arithmetic expression with the place where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arith {
    pub(super) span: Span,
    pub(super) kind: ArithKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ArithKind {
    Number(u32),
    /// `len`
    Length,
    /// `tcp[12:2]`; the size is 1, 2 or 4.
    Load(Proto, Box<Arith>, u8),
    Neg(Box<Arith>),
    Binary(ArithOp, Box<Arith>, Box<Arith>),
}

/// Unsigned 32-bit arithmetic that wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArithOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
}

/// Which frames with an 802.2 LLC header: those whose control byte, masked, has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Llc {
    Any,
    Control { mask: u8, value: u8 },
}
