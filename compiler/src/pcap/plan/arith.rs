//! Arithmetic over a packet's bytes: where they are, and the tests that say whether they exist.
//!
//! `tcp[13]` means the TCP header of an IPv4 packet that is no later fragment: the comparison it stands in is false for other packets.
//! As in libpcap these tests come before anything is read, and an operator keeps those of its left operand only.

use super::address::{ether_type, ip_number};
use super::link::{IP, IP6};
use super::test::{Number, Offset, Place, Test};
use super::{Link, Planner, Why, equal};
use crate::pcap::ast::{Arith, ArithKind, Relation};
use crate::pcap::resolve::IpVersion;
use crate::pcap::words::Proto;

impl Planner {
    pub(super) fn relation(
        &mut self,
        relation: Relation,
        left: &Arith,
        right: &Arith,
    ) -> Result<Test, Why> {
        let (left, left_exists) = self.number(left)?;
        let (right, right_exists) = self.number(right)?;
        let compare = Test::Compare(relation, left, right);
        let exists = left_exists.into_iter().chain(right_exists);
        Ok(match exists.reduce(Test::and) {
            Some(exists) => exists.and(compare),
            None => compare,
        })
    }

    /// The number, and what must hold for it to exist.
    fn number(&mut self, arith: &Arith) -> Result<(Number, Option<Test>), Why> {
        Ok(match &arith.kind {
            ArithKind::Number(value) => (Number::Const(*value), None),
            ArithKind::Length => (Number::Length, None),
            ArithKind::Neg(inner) => {
                let (inner, exists) = self.number(inner)?;
                (Number::Neg(Box::new(inner)), exists)
            }
            ArithKind::Binary(op, left, right) => {
                let (left, exists) = self.number(left)?;
                let (right, _) = self.number(right)?;
                (Number::Binary(*op, Box::new(left), Box::new(right)), exists)
            }
            ArithKind::Load(proto, index, size) => {
                let (index, index_exists) = self.number(index)?;
                let (place, exists) = self.bytes_of(*proto, index_exists)?;
                (Number::Load(place, Box::new(index), *size), exists)
            }
        })
    }

    /// Where a protocol's header is, and what must hold for it to be there; the index's conditions among it.
    fn bytes_of(
        &mut self,
        proto: Proto,
        index: Option<Test>,
    ) -> Result<(Place, Option<Test>), Why> {
        let ip = self.state.ip();
        let both = |first: Option<Test>, then: Test| match first {
            Some(first) => first.and(then),
            None => then,
        };
        if proto == Proto::Link {
            return Ok((at(self.link_header()?), index));
        }
        if proto == Proto::Icmp6 {
            let exists = both(index, self.link_type(IP6)?).and(equal(ip.plus(6), 1, 58));
            return Ok((at(ip.plus(40)), Some(exists)));
        }
        if let Some(number) = ip_number(proto) {
            let v4 = self.link_type(IP)?;
            let is = self.ip_proto(IpVersion::V4, number)?;
            let exists = v4.and(both(index, is)).and(self.first_fragment());
            let place = Place {
                past_ipv4: true,
                ..at(ip)
            };
            return Ok((place, Some(exists)));
        }
        match ether_type(proto) {
            Some(kind) => {
                let exists = match self.link_type(kind) {
                    Err(why) if self.state.link == Link::Raw => {
                        self.doubt = Some(why);
                        Test::Const(false)
                    }
                    exists => exists?,
                };
                Ok((at(ip), Some(both(index, exists))))
            }
            // The parser has refused others.
            None => Err(format!("`{}` has no bytes that can be read", proto.word())),
        }
    }
}

fn at(from: Offset) -> Place {
    Place {
        from,
        past_ipv4: false,
        offset: 0,
    }
}
