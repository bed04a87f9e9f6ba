//! The link layer: what a packet's payload is, addresses, and the headers that carry others (VLAN, MPLS, PPPoE, Geneve).
//!
//! Ether types up to 1500 are SAPs of 802.2: such a frame has a length where others have their type.

use super::test::{Base, Offset, Part, Place, Test};
use super::{ALL, Link, Outer, Planner, State, Why, equal, field, inner};
use crate::pcap::ast::{Dir, Relation};
use crate::pcap::resolve::Address;
use crate::pcap::words::Proto;

pub(super) const IP: u32 = 0x0800;
pub(super) const IP6: u32 = 0x86dd;
pub(super) const ARP: u32 = 0x0806;
pub(super) const RARP: u32 = 0x8035;
pub(super) const OSI: u32 = 0xfe;
const ATALK: u32 = 0x809b;
const AARP: u32 = 0x80f3;
pub(super) const DECNET: u32 = 0x6003;
const IPX_SAP: u32 = 0xe0;
const IPX: u32 = 0x8137;
const MPLS: u32 = 0x8847;
const PPPOE_SESSION: u32 = 0x8864;
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
/// The largest length of an Ethernet payload: larger numbers are ether types.
const LARGEST_LENGTH: u32 = 1500;
const GENEVE_PORT: u16 = 6081;

const NO_LINK_LAYER: &str = "a packet without link-layer header is an IPv4 or IPv6 packet";

impl Planner {
    /// The payload is of this ether type.
    pub(super) fn link_type(&self, kind: u32) -> Result<Test, Why> {
        self.state.link_type(kind)
    }

    /// The frame has a length, not a type.
    pub(super) fn is_802_3(&self) -> Test {
        self.state.is_802_3()
    }

    /// The link layer's header, for its bytes.
    pub(super) fn link_header(&self) -> Result<Offset, Why> {
        match self.state.link {
            Link::Raw => Err(NO_LINK_LAYER.to_string()),
            Link::Ethernet | Link::Ppp => Ok(self.state.header),
        }
    }

    /// Whether something that Ethernet has can be here.
    pub(super) fn ethernet(&self, what: &str) -> Result<(), Why> {
        match self.state.link {
            Link::Ethernet => Ok(()),
            Link::Raw => Err(format!("a packet without link-layer header has no {what}")),
            Link::Ppp => Err(format!("a PPPoE session has no {what}")),
        }
    }

    /// A Geneve packet may carry IP without Ethernet.
    fn with_ethernet(&self, test: Test) -> Test {
        match self.state.inside {
            Some(geneve) => Test::CarriesEthernet(geneve).and(test),
            None => test,
        }
    }

    pub(super) fn mac(&self, dir: Dir, mac: [u8; 6]) -> Result<Test, Why> {
        self.ethernet("MAC addresses")?;
        let is = |at| mac_at(self.state.header.plus(at), mac);
        Ok(self.with_ethernet(directed(dir, || is(6), || is(0))))
    }

    pub(super) fn broadcast(&self, proto: Option<Proto>) -> Result<Test, Why> {
        match proto {
            None | Some(Proto::Link) => self.mac(Dir::Dst, [0xff; 6]),
            Some(Proto::Ip) => Err(
                "what is a broadcast depends on the mask of a network, which a packet does not tell".to_string(),
            ),
            Some(proto) => Err(format!("`{}` has no broadcast", proto.word())),
        }
    }

    pub(super) fn multicast(&self, proto: Option<Proto>) -> Result<Test, Why> {
        let ip = self.state.ip();
        match proto {
            None | Some(Proto::Link) => {
                self.ethernet("MAC addresses")?;
                Ok(self.with_ethernet(field(self.state.header, 1, 1, Relation::Ne, 0)))
            }
            Some(Proto::Ip) => {
                let test = field(ip.plus(16), 1, ALL, Relation::Ge, 224);
                Ok(self.link_type(IP)?.and(test))
            }
            Some(Proto::Ip6) => Ok(self.link_type(IP6)?.and(equal(ip.plus(24), 1, 255))),
            Some(proto) => Err(format!("`{}` has no multicast", proto.word())),
        }
    }

    pub(super) fn vlan(&mut self, id: Option<u32>) -> Result<Test, Why> {
        if self.state.labels {
            return Err("no VLAN tag comes after a label of MPLS".to_string());
        }
        self.ethernet("VLAN tag")?;
        let tags: Result<Vec<Test>, Why> = TAGS.iter().map(|tag| self.link_type(*tag)).collect();
        let mut test = Test::any(tags?);
        if let Some(id) = id {
            test = test.and(field(self.state.ip(), 2, 0xfff, Relation::Eq, id));
        }
        let outermost = !self.state.tags && self.state.header.base == Base::Start;
        let state = &mut self.state;
        if outermost && state.header.bytes == 0 {
            state.kind.base = Base::Tag;
            state.payload.base = Base::Tag;
            test = Test::Tagged {
                id,
                in_packet: Box::new(test),
            };
        } else {
            state.kind = state.kind.plus(4);
            state.payload = state.payload.plus(4);
        }
        state.tags = true;
        Ok(test)
    }

    pub(super) fn mpls(&mut self, label: Option<u32>) -> Result<Test, Why> {
        let mut test = if self.state.labels {
            // Not the last label.
            field(before(self.state.ip(), 2), 1, 1, Relation::Eq, 0)
        } else {
            match self.state.link {
                Link::Ethernet => self.link_type(MPLS)?,
                Link::Ppp => equal(self.state.kind, 2, 0x0281),
                Link::Raw => return Err(NO_LINK_LAYER.to_string()),
            }
        };
        if let Some(label) = label {
            test = test.and(field(
                self.state.ip(),
                4,
                0xffff_f000,
                Relation::Eq,
                label << 12,
            ));
        }
        self.state.network += 4;
        self.state.no_snap += 4;
        self.state.labels = true;
        Ok(test)
    }

    pub(super) fn pppoe_session(&mut self, id: Option<u32>) -> Result<Test, Why> {
        let mut test = self.link_type(PPPOE_SESSION)?;
        let ip = self.state.ip();
        if let Some(id) = id {
            test = test.and(field(ip, 4, 0xffff, Relation::Eq, id));
        }
        let header = ip.plus(6);
        self.state = State {
            link: Link::Ppp,
            header,
            kind: header,
            payload: header.plus(2),
            network: 0,
            no_snap: 0,
            inside: None,
            otherwise: None,
            ..self.state
        };
        Ok(test)
    }

    pub(super) fn geneve(&mut self, id: Option<u32>) -> Result<Test, Why> {
        let number = self.geneve.len();
        let ip = self.state.ip();
        let mut all = Vec::new();
        for v6 in [false, true] {
            let ports = Address::Ports {
                over: Some(crate::pcap::names::Transport::Udp),
                dir: Dir::Dst,
                low: GENEVE_PORT,
                high: GENEVE_PORT,
            };
            let mut test = self.ports_of(&ports, v6)?;
            test = test.and(geneve_field(ip, v6, 8, 1, 0xc0, 0));
            if let Some(id) = id {
                test = test.and(geneve_field(ip, v6, 12, 4, 0xffff_ff00, id << 8));
            }
            all.push(test.and(Test::Enter {
                geneve: number,
                ip,
                v6,
            }));
        }
        self.enter(number);
        Ok(Test::any(all))
    }

    /// From here on the packet inside is meant.
    fn enter(&mut self, number: usize) {
        let before = &self.state;
        self.geneve.push(Outer {
            header: before.header,
            kind: before.kind,
            payload: before.ip(),
        });
        // Without a type field at a place of its own, a packet that is no Geneve must be tested as before.
        let plain = before.link == Link::Ethernet && !before.labels && before.otherwise.is_none();
        let otherwise = (!plain).then(|| Box::new(before.clone()));
        self.state = State {
            link: Link::Ethernet,
            header: inner(number, Part::Header),
            kind: inner(number, Part::Type),
            payload: inner(number, Part::Payload),
            network: 0,
            no_snap: 3,
            labels: false,
            tags: before.tags,
            inside: Some(number),
            otherwise,
        };
    }
}

impl State {
    fn link_type(&self, kind: u32) -> Result<Test, Why> {
        let ip = self.ip();
        let version = |v: u32| field(ip, 1, 0xf0, Relation::Eq, v);
        let test =
            match (self.labels, self.link, kind) {
                (true, _, IP | IP6) => {
                    let last = field(before(ip, 2), 1, 1, Relation::Eq, 1);
                    last.and(version(if kind == IP { 0x40 } else { 0x60 }))
                }
                (true, _, _) => return Err(
                    "MPLS does not tell what it carries, and only IPv4 and IPv6 show it themselves"
                        .to_string(),
                ),
                (false, Link::Ethernet, _) => self.ether_type(kind),
                (false, Link::Ppp, _) => equal(self.kind, 2, ppp_type(kind)),
                (false, Link::Raw, IP) => version(0x40),
                (false, Link::Raw, IP6) => version(0x60),
                (false, Link::Raw, _) => return Err(NO_LINK_LAYER.to_string()),
            };
        Ok(match (&self.otherwise, self.inside) {
            (Some(outer), Some(geneve)) => {
                let outside = outer.link_type(kind).unwrap_or(Test::Const(false));
                Test::IfEntered(geneve, Box::new(test), Box::new(outside))
            }
            _ => test,
        })
    }

    fn is_802_3(&self) -> Test {
        field(self.kind, 2, ALL, Relation::Le, LARGEST_LENGTH)
    }

    fn ether_type(&self, kind: u32) -> Test {
        let llc = self.payload;
        match kind {
            // Both service access points are the protocol's.
            OSI | 0x06 | 0xf0 => self.is_802_3().and(equal(llc, 2, kind << 8 | kind)),
            IPX_SAP => {
                let framed = snap(llc, 0, IPX)
                    .or(equal(llc, 1, IPX_SAP))
                    .or(equal(llc, 2, 0xffff));
                equal(self.kind, 2, IPX).or(self.is_802_3().and(framed))
            }
            ATALK => equal(self.kind, 2, kind).or(self.is_802_3().and(snap(llc, 0x08_0007, kind))),
            AARP => equal(self.kind, 2, kind).or(self.is_802_3().and(snap(llc, 0, kind))),
            0..=LARGEST_LENGTH => self.is_802_3().and(equal(self.kind.plus(2), 1, kind)),
            _ => equal(self.kind, 2, kind),
        }
    }
}

/// A test of the source, of the destination, of one of them or of both.
pub(super) fn directed(dir: Dir, src: impl FnOnce() -> Test, dst: impl FnOnce() -> Test) -> Test {
    match dir {
        Dir::Src => src(),
        Dir::Dst => dst(),
        Dir::Either => src().or(dst()),
        Dir::Both => src().and(dst()),
    }
}

/// The last four bytes first, as they differ most.
fn mac_at(at: Offset, mac: [u8; 6]) -> Test {
    let [a, b, c, d, e, f] = mac;
    let high = u32::from(u16::from_be_bytes([a, b]));
    let low = u32::from_be_bytes([c, d, e, f]);
    equal(at.plus(2), 4, low).and(equal(at, 2, high))
}

/// An LLC header with SNAP: the organisation's code and its type.
fn snap(llc: Offset, organisation: u32, kind: u32) -> Test {
    let low = (organisation & 0xffff) << 16 | kind;
    let high = 0xaaaa_0300 | organisation >> 16;
    equal(llc.plus(4), 4, low).and(equal(llc, 4, high))
}

/// A few bytes before an offset that is farther from its base than that.
fn before(offset: Offset, bytes: u32) -> Offset {
    Offset {
        bytes: offset.bytes.saturating_sub(bytes),
        ..offset
    }
}

/// A field of what UDP carries.
fn geneve_field(ip: Offset, v6: bool, offset: u32, size: u8, mask: u32, value: u32) -> Test {
    let place = match v6 {
        true => Place {
            from: ip.plus(40),
            past_ipv4: false,
            offset,
        },
        false => Place {
            from: ip,
            past_ipv4: true,
            offset,
        },
    };
    Test::Field {
        place,
        size,
        mask,
        relation: Relation::Eq,
        value,
    }
}

/// PPP's number for an ether type; others are taken as they are.
fn ppp_type(kind: u32) -> u32 {
    match kind {
        IP => 0x21,
        IP6 => 0x57,
        DECNET => 0x27,
        ATALK => 0x29,
        0x0600 => 0x25,
        OSI => 0x23,
        0x42 => 0x31,
        IPX_SAP => 0x2b,
        _ => kind,
    }
}
