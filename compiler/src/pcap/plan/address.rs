//! The network layer and above: addresses, ports, protocols.

use super::link::{ARP, DECNET, IP, IP6, OSI, RARP, directed};
use super::test::{Place, Test};
use super::{ALL, Planner, Why, equal, field};
use crate::pcap::ast::{Dir, Relation};
use crate::pcap::names::Transport;
use crate::pcap::resolve::{Address, IpVersion, Within};
use crate::pcap::words::Proto;

/// The length of an IPv6 header.
const IP6_HEADER: u32 = 40;
/// What follows an IPv6 header is a fragment header.
const IP6_FRAGMENT: u32 = 44;
/// Where IPv4 headers tell the offset of a fragment, and its bits.
const FRAGMENT_OFFSET: u32 = 6;
const FRAGMENT_BITS: u32 = 0x1fff;

impl Planner {
    pub(super) fn address(&self, address: &Address) -> Result<Test, Why> {
        match address {
            Address::Any(all) => {
                let all: Result<Vec<Test>, Why> = all.iter().map(|one| self.address(one)).collect();
                Ok(Test::any(all?))
            }
            Address::V4 {
                within,
                dir,
                addr,
                mask,
            } => self.v4(*within, *dir, *addr, *mask),
            Address::V6 { dir, addr, mask } => self.v6(*dir, *addr, *mask),
            Address::Mac { dir, mac } => self.mac(*dir, *mac),
            Address::Decnet { dir, addr } => self.decnet(*dir, *addr),
            Address::Gateway { within, mac, hosts } => {
                let hosts = hosts.iter();
                let hosts: Result<Vec<Test>, Why> = hosts
                    .map(|host| self.v4(*within, Dir::Either, *host, u32::MAX))
                    .collect();
                Ok(self.mac(Dir::Either, *mac)?.and(Test::any(hosts?).not()))
            }
            Address::Ports { .. } => {
                let v6 = self.ports_of(address, true)?;
                Ok(v6.or(self.ports_of(address, false)?))
            }
            Address::EtherProto(kind) => self.link_type(*kind),
            Address::IpProto(version, number) => self.ip_proto(*version, *number),
            Address::ProtoChain(version, number) => self.chain(*version, *number),
            Address::OsiProto(number) => self.osi(*number),
            Address::IsisPdu(number) => self.isis(*number),
        }
    }

    // ---- addresses ----------------------------------------------------------------------------------------------------

    fn v4(&self, within: Within, dir: Dir, addr: u32, mask: u32) -> Result<Test, Why> {
        let header = |kind: u32, src: u32, dst: u32| -> Result<Test, Why> {
            let link = self.link_type(kind)?;
            let ip = self.state.ip();
            let is = |at: u32| field(ip.plus(at), 4, mask, Relation::Eq, addr);
            Ok(link.and(directed(dir, || is(src), || is(dst))))
        };
        match within {
            Within::Ip => header(IP, 12, 16),
            Within::Arp => header(ARP, 14, 24),
            Within::Rarp => header(RARP, 14, 24),
            Within::IpArpRarp => {
                let ip = header(IP, 12, 16)?;
                // Where there can be none, IP is what is meant.
                let others = [header(ARP, 14, 24), header(RARP, 14, 24)];
                Ok(Test::any(
                    [ip].into_iter().chain(others.into_iter().flatten()),
                ))
            }
        }
    }

    /// Four words, the first one first.
    fn v6(&self, dir: Dir, addr: u128, mask: u128) -> Result<Test, Why> {
        let ip = self.state.ip();
        let is = |at: u32| {
            let word = |n: u32| {
                let shift = 96 - 32 * n;
                let place = ip.plus(at + 4 * n);
                field(
                    place,
                    4,
                    (mask >> shift) as u32,
                    Relation::Eq,
                    (addr >> shift) as u32,
                )
            };
            word(0).and(word(1)).and(word(2)).and(word(3))
        };
        Ok(self.link_type(IP6)?.and(directed(dir, || is(8), || is(24))))
    }

    /// Short and long headers, with and without a byte of padding before them; numbers are little-endian.
    fn decnet(&self, dir: Dir, addr: u16) -> Result<Test, Why> {
        let link = self.link_type(DECNET)?;
        let flags = self.state.ip().plus(2);
        let addr = u32::from(addr.swap_bytes());
        let is = |long: u32, short: u32| {
            let header = |size: u8, mask: u32, value: u32, at: u32| {
                let kind = field(flags, size, mask, Relation::Eq, value);
                kind.and(equal(flags.plus(at), 2, addr))
            };
            Test::any([
                header(1, 0x7, 0x02, short),
                header(2, 0xff07, 0x8102, 1 + short),
                header(1, 0x7, 0x06, long),
                header(2, 0xff07, 0x8106, 1 + long),
            ])
        };
        Ok(link.and(directed(dir, || is(15, 3), || is(7, 1))))
    }

    // ---- ports --------------------------------------------------------------------------------------------------------

    /// Ports over IPv4, where only the first fragment has them, or over IPv6 without extension headers.
    pub(super) fn ports_of(&self, ports: &Address, v6: bool) -> Result<Test, Why> {
        let Address::Ports {
            over,
            dir,
            low,
            high,
        } = *ports
        else {
            return Ok(Test::Const(false));
        };
        let ip = self.state.ip();
        let over: &[Transport] = match &over {
            Some(Transport::Tcp) => &[Transport::Tcp],
            Some(Transport::Udp) => &[Transport::Udp],
            Some(Transport::Sctp) => &[Transport::Sctp],
            None => &[Transport::Tcp, Transport::Udp, Transport::Sctp],
        };
        let carries = |at: u32| {
            let over = over.iter();
            Test::any(over.map(|transport| equal(ip.plus(at), 1, transport.number().into())))
        };
        let port = |offset: u32| {
            let place = match v6 {
                true => Place {
                    from: ip.plus(IP6_HEADER),
                    past_ipv4: false,
                    offset,
                },
                false => Place {
                    from: ip,
                    past_ipv4: true,
                    offset,
                },
            };
            between(place, low.into(), high.into())
        };
        let ports = directed(dir, || port(0), || port(2));
        Ok(match v6 {
            true => self.link_type(IP6)?.and(carries(6)).and(ports),
            false => self
                .link_type(IP)?
                .and(carries(9))
                .and(self.first_fragment())
                .and(ports),
        })
    }

    /// An IPv4 packet is whole or the first fragment.
    pub(super) fn first_fragment(&self) -> Test {
        let place = self.state.ip().plus(FRAGMENT_OFFSET);
        field(place, 2, FRAGMENT_BITS, Relation::Eq, 0)
    }

    // ---- protocols ----------------------------------------------------------------------------------------------------

    pub(super) fn ip_proto(&self, version: IpVersion, number: u32) -> Result<Test, Why> {
        let ip = self.state.ip();
        match version {
            IpVersion::V4 => Ok(self.link_type(IP)?.and(equal(ip.plus(9), 1, number))),
            IpVersion::V6 => {
                let next = ip.plus(6);
                let fragment =
                    equal(next, 1, IP6_FRAGMENT).and(equal(ip.plus(IP6_HEADER), 1, number));
                Ok(self
                    .link_type(IP6)?
                    .and(equal(next, 1, number).or(fragment)))
            }
            IpVersion::Both => {
                let v4 = self.ip_proto(IpVersion::V4, number)?;
                Ok(v4.or(self.ip_proto(IpVersion::V6, number)?))
            }
        }
    }

    fn chain(&self, version: IpVersion, proto: u32) -> Result<Test, Why> {
        let chased = |kind: u32| -> Result<Test, Why> {
            let ip = self.state.ip();
            let v6 = kind == IP6;
            Ok(self.link_type(kind)?.and(Test::Chased { ip, v6, proto }))
        };
        match version {
            IpVersion::V4 => chased(IP),
            IpVersion::V6 => chased(IP6),
            IpVersion::Both => Ok(chased(IP)?.or(chased(IP6)?)),
        }
    }

    /// Behind the three bytes of an LLC header.
    fn osi(&self, number: u32) -> Result<Test, Why> {
        let place = self.state.payload.plus(self.state.no_snap);
        Ok(self.link_type(OSI)?.and(equal(place, 1, number)))
    }

    fn isis(&self, pdu: u32) -> Result<Test, Why> {
        let place = self.state.payload.plus(self.state.no_snap + 4);
        Ok(self.osi(ISIS)?.and(equal(place, 1, pdu)))
    }

    fn isis_pdus(&self, pdus: &[u32]) -> Result<Test, Why> {
        let all: Result<Vec<Test>, Why> = pdus.iter().map(|pdu| self.isis(*pdu)).collect();
        Ok(Test::any(all?))
    }

    /// A protocol's name alone.
    pub(super) fn abbreviation(&self, proto: Proto) -> Result<Test, Why> {
        use IpVersion::{Both, V4, V6};
        if let Some(kind) = ether_type(proto) {
            return self.link_type(kind);
        }
        match proto {
            Proto::Tcp => self.ip_proto(Both, 6),
            Proto::Udp => self.ip_proto(Both, 17),
            Proto::Sctp => self.ip_proto(Both, 132),
            Proto::Ah => self.ip_proto(Both, 51),
            Proto::Esp => self.ip_proto(Both, 50),
            Proto::Pim => self.ip_proto(Both, 103),
            Proto::Icmp => self.ip_proto(V4, 1),
            Proto::Igmp => self.ip_proto(V4, 2),
            Proto::Igrp => self.ip_proto(V4, 9),
            Proto::Vrrp | Proto::Carp => self.ip_proto(V4, 112),
            Proto::Icmp6 => self.ip_proto(V6, 58),
            Proto::Clnp => self.osi(0x81),
            Proto::Esis => self.osi(0x82),
            Proto::Isis => self.osi(ISIS),
            Proto::L1 => self.isis_pdus(&[26, 24, 18, 17, 15]),
            Proto::L2 => self.isis_pdus(&[27, 25, 20, 17, 16]),
            Proto::Iih => self.isis_pdus(&[17, 15, 16]),
            Proto::Lsp => self.isis_pdus(&[18, 20]),
            Proto::Snp => self.isis_pdus(&[27, 26, 24, 25]),
            Proto::Csnp => self.isis_pdus(&[24, 25]),
            Proto::Psnp => self.isis_pdus(&[26, 27]),
            // The others have an ether type; `ether` alone is a syntax error.
            _ => Err(format!("`{}` alone is no test", proto.word())),
        }
    }
}

/// The OSI protocol IS-IS.
const ISIS: u32 = 0x83;

/// The ether type (or SAP) of a protocol of the link layer.
pub(super) fn ether_type(proto: Proto) -> Option<u32> {
    Some(match proto {
        Proto::Ip => IP,
        Proto::Ip6 => IP6,
        Proto::Arp => ARP,
        Proto::Rarp => RARP,
        Proto::Atalk => 0x809b,
        Proto::Aarp => 0x80f3,
        Proto::Decnet => DECNET,
        Proto::Sca => 0x6007,
        Proto::Lat => 0x6004,
        Proto::Mopdl => 0x6001,
        Proto::Moprc => 0x6002,
        Proto::Iso => OSI,
        Proto::Stp => 0x42,
        Proto::Ipx => 0xe0,
        Proto::Netbeui => 0xf0,
        _ => return None,
    })
}

/// The number in IPv4 headers of a protocol whose bytes can be read.
pub(super) fn ip_number(proto: Proto) -> Option<u32> {
    Some(match proto {
        Proto::Tcp => 6,
        Proto::Udp => 17,
        Proto::Sctp => 132,
        Proto::Icmp => 1,
        Proto::Igmp => 2,
        Proto::Igrp => 9,
        Proto::Pim => 103,
        Proto::Vrrp | Proto::Carp => 112,
        _ => return None,
    })
}

fn between(place: Place, low: u32, high: u32) -> Test {
    let is = |relation, value| Test::Field {
        place,
        size: 2,
        mask: ALL,
        relation,
        value,
    };
    match low == high {
        true => is(Relation::Eq, low),
        false => is(Relation::Ge, low).and(is(Relation::Le, high)),
    }
}
