//! Packet filters: the language of pcap-filter(7), compiled into a program's IR.
//!
//! In: a filter's text and its place, names from a [`Names`]. Out: a [`Filter`], or diagnostics that mark the guilty word; then, with a
//! [`Packet`], IR that computes whether a packet matches. No libpcap is involved; what a filter means is what libpcap 1.10 makes of it,
//! and the tests hold both side by side. The steps: `lex`, `parse` (with `resolve` for identifiers), `plan` (where headers are), `lower`.
//!
//! Where nettrace differs from libpcap
//! * A primitive that has no meaning for packets without a link-layer header (`ether host`, `vlan`, `ether[0]`) is false for them and
//!   changes nothing for what follows; libpcap refuses some, and lets `ether[0]` read the IP header.
//! * What comes after a `geneve` that did not match is tested on the outer packet; libpcap reads at undefined places.
//! * `protochain` follows 16 headers, and goes on behind an authentication header at the right place.
//! * `gateway` works with IPv6 about; `inbound`, `outbound`, `ifindex` and `ifname` ask the kernel about the packet.
//! * `iso proto` and what is made of it look behind the LLC header of a frame that Geneve carries in a packet without link-layer header too.
//! * `byte n & v` and `byte n | v` read the byte.

mod ast;
mod lex;
mod lower;
mod names;
mod parse;
mod plan;
mod resolve;
#[cfg(test)]
mod tests;
mod words;

use nettrace_grammar::Span;
use nettrace_grammar::codes;
use nettrace_grammar::diag::Diagnostic;

pub use lower::{Packet, VlanTag, lower};
pub use names::{BuiltIn, Names, Transport};
pub use plan::Meaningless;

use ast::Kind;
use lex::Place;
use plan::Plan;

/// The longest filter accepted, in bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// What packets begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// An Ethernet header (libpcap's `DLT_EN10MB`).
    Ethernet,
    /// An IPv4 or IPv6 header (libpcap's `DLT_RAW`).
    Raw,
}

/// A filter that has been understood.
#[derive(Clone, Debug)]
pub struct Filter {
    ethernet: Plan,
    raw: Plan,
    asks: Vec<(Span, Beside)>,
}

/// What a filter asks about a packet that its bytes do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// `inbound`, `outbound`: [`Packet::outgoing`]
    Direction,
    /// `ifindex`: [`Packet::ifindex`]
    Ifindex,
    /// `ifname`, `on`: [`Packet::ifname_is`]
    Ifname,
}

impl Filter {
    fn plan(&self, link: LinkLayer) -> &Plan {
        match link {
            LinkLayer::Ethernet => &self.ethernet,
            LinkLayer::Raw => &self.raw,
        }
    }

    /// The primitives that no packet of this kind can match, in source order. Each has a meaning for the other kind: what has none
    /// anywhere is an error.
    pub fn meaningless(&self, link: LinkLayer) -> &[Meaningless] {
        &self.plan(link).meaningless
    }

    /// What the filter asks beside the packet's bytes, and where in its text: for a source that cannot tell all of it, and has to say so.
    pub fn asks(&self) -> &[(Span, Beside)] {
        &self.asks
    }
}

/// Understands a filter. `base` is where `text` stands in the sources; where it is longer or shorter than the text (escapes in a string),
/// messages mark all of it. Names are those that every machine knows; see [`parse_with`].
///
/// # Errors
/// What is wrong with the filter, as errors of code [`codes::BAD_FILTER`].
pub fn parse(text: &str, base: Span) -> Result<Filter, Vec<Diagnostic>> {
    parse_with(text, base, &BuiltIn)
}

/// As [`parse`], with the names that `names` knows.
///
/// # Errors
/// What is wrong with the filter, as errors of code [`codes::BAD_FILTER`].
pub fn parse_with(text: &str, base: Span, names: &dyn Names) -> Result<Filter, Vec<Diagnostic>> {
    let place = Place::new(text, base);
    let whole = place.span(0..text.len());
    if text.len() > MAX_BYTES {
        let diag = Diagnostic::error(codes::BAD_FILTER, whole, "the filter is too long");
        return Err(vec![diag.note(format!("at most {MAX_BYTES} bytes"))]);
    }
    let tokens = lex::lex(text, place).map_err(|diag| vec![diag])?;
    let end = place.span(text.len()..text.len());
    let tree = parse::parse(&tokens, end, names).map_err(|diag| vec![*diag])?;
    let mut asks = Vec::new();
    if let Some(tree) = &tree {
        tree.each(&mut |primitive| match primitive.kind {
            Kind::Direction(_) => asks.push((primitive.span, Beside::Direction)),
            Kind::Ifindex(_) => asks.push((primitive.span, Beside::Ifindex)),
            Kind::Ifname(_) => asks.push((primitive.span, Beside::Ifname)),
            _ => {}
        });
    }
    let filter = Filter {
        asks,
        ethernet: plan::plan(tree.as_ref(), LinkLayer::Ethernet),
        raw: plan::plan(tree.as_ref(), LinkLayer::Raw),
    };
    let nowhere = nowhere(&filter);
    match nowhere.is_empty() {
        true => Ok(filter),
        false => Err(nowhere),
    }
}

/// Errors for what has no meaning at either layer.
fn nowhere(filter: &Filter) -> Vec<Diagnostic> {
    let raw = &filter.raw.meaningless;
    let both = filter.ethernet.meaningless.iter();
    both.filter(|one| raw.iter().any(|other| other.span == one.span))
        .map(|one| {
            let diag = Diagnostic::error(codes::BAD_FILTER, one.span, "no packet can match this");
            diag.note(one.why.clone())
        })
        .collect()
}
