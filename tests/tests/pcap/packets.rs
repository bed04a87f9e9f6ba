//! Packets that sit on each side of a filter's tests.
//!
//! In: a filter's text. Its numbers, addresses and words say what packets should be made of: its ports and their neighbours, its hosts and the
//! edges of its networks, its protocols. Out: packets, some of them cut off or damaged.

use std::net::Ipv6Addr;

use nettrace_compiler::pcap::LinkLayer;

use crate::random::Random;

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// On the wire.
    pub(crate) length: usize,
    /// What was captured of it.
    pub(crate) bytes: Vec<u8>,
}

/// What a filter's text is about.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    numbers: Vec<u32>,
    v4: Vec<u32>,
    v6: Vec<u128>,
    macs: Vec<[u8; 6]>,
    words: Vec<String>,
}

/// Services by name that filters of these tests use.
const PORTS: [(&str, u32); 6] = [
    ("ftp", 21),
    ("ftp-data", 20),
    ("ssh", 22),
    ("domain", 53),
    ("http", 80),
    ("sip", 5060),
];

impl Facts {
    pub(crate) fn of(text: &str) -> Facts {
        let mut facts = Facts::default();
        let separators = |c: char| c.is_whitespace() || "()[]!<>=&|^+*/%\\".contains(c);
        for word in text.split(separators).filter(|word| !word.is_empty()) {
            facts.word(word);
        }
        facts
    }

    fn word(&mut self, word: &str) {
        if let Some((low, high)) = word.split_once('-')
            && let (Some(low), Some(high)) = (number(low), number(high))
        {
            self.numbers.extend([low, high]);
        }
        if let Some((_, port)) = PORTS.iter().find(|(name, _)| *name == word) {
            self.numbers.push(*port);
        }
        let macs: Vec<_> = word
            .split(':')
            .map(|part| u8::from_str_radix(part, 16))
            .collect();
        if let ([Ok(a), Ok(b), Ok(c), Ok(d), Ok(e), Ok(f)], 6) = (macs.as_slice(), macs.len()) {
            self.macs.push([*a, *b, *c, *d, *e, *f]);
        } else if let Ok(addr) = word.parse::<Ipv6Addr>() {
            self.v6.push(addr.into());
        } else if let Some(value) = number(word) {
            self.numbers.push(value);
        } else if word.contains('.') {
            let parts: Vec<u32> = word.split('.').filter_map(number).collect();
            let addr = parts.iter().fold(0, |addr, part| addr << 8 | part & 0xff);
            self.v4.push(addr << (32 - 8 * parts.len().clamp(1, 4)));
        } else {
            self.words.push(word.to_string());
        }
    }

    fn has(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }
}

fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

/// Makes packets for a filter.
pub(crate) struct Maker<'a> {
    facts: &'a Facts,
    random: &'a mut Random,
    /// Inside how many tunnels.
    depth: u32,
}

/// `count` packets on a link layer.
pub(crate) fn packets(
    facts: &Facts,
    link: LinkLayer,
    count: usize,
    random: &mut Random,
) -> Vec<Packet> {
    let mut maker = Maker {
        facts,
        random,
        depth: 0,
    };
    (0..count).map(|_| maker.packet(link)).collect()
}

impl Maker<'_> {
    fn packet(&mut self, link: LinkLayer) -> Packet {
        let mut bytes = match link {
            LinkLayer::Ethernet => self.frame(),
            LinkLayer::Raw => self.ip().1,
        };
        if self.random.once_in(12) && !bytes.is_empty() {
            let at = self.random.below(bytes.len());
            bytes[at] = self.random.next() as u8;
        }
        let mut length = bytes.len();
        if let Some(wanted) = self
            .near(0xffff)
            .filter(|_| self.facts.has(&["len", "less", "greater"]))
        {
            length = wanted as usize;
        }
        if self.random.once_in(6) {
            bytes.truncate(self.random.below(bytes.len().min(90) + 1));
        }
        Packet { length, bytes }
    }

    /// A number of the filter or one beside it.
    fn near(&mut self, mask: u32) -> Option<u32> {
        if self.facts.numbers.is_empty() {
            return None;
        }
        let number = self.random.one_of(&self.facts.numbers);
        let delta = self.random.one_of(&[0, 0, 0, 1, u32::MAX]);
        Some(number.wrapping_add(delta) & mask)
    }

    fn number(&mut self, mask: u32) -> u32 {
        let other = self.random.next() as u32 & mask;
        match self.near(mask) {
            Some(near) if !self.random.once_in(4) => near,
            _ => other,
        }
    }

    fn mac(&mut self) -> [u8; 6] {
        let other = self.random.one_of(&[
            [0xff; 6],
            [1, 0, 0x5e, 0, 0, 1],
            [2, 0, 0, 0, 0, 1],
            [2, 0, 0, 0, 0, 2],
        ]);
        match self.facts.macs.is_empty() || self.random.once_in(3) {
            true => other,
            false => self.random.one_of(&self.facts.macs),
        }
    }

    fn v4(&mut self) -> [u8; 4] {
        let other = self.random.one_of(&[
            0x0a00_0001,
            0xe000_0001,
            0xc0a8_0101,
            0xffff_ffff,
            0x7f00_0001,
        ]);
        if self.facts.v4.is_empty() || self.random.once_in(3) {
            return u32::to_be_bytes(other);
        }
        let addr = self.random.one_of(&self.facts.v4);
        // Any bit may be the last one that counts.
        let flip = 1 << self.random.below(32);
        let flip = self.random.one_of(&[0, 0, flip]);
        (addr ^ flip).to_be_bytes()
    }

    fn v6(&mut self) -> [u8; 16] {
        let other = self.random.one_of(&[
            1,
            0xfe80 << 112 | 1,
            0xff02 << 112 | 1,
            0x2001_0db8 << 96 | 5,
        ]);
        if self.facts.v6.is_empty() || self.random.once_in(3) {
            return u128::to_be_bytes(other);
        }
        let addr = self.random.one_of(&self.facts.v6);
        let flip = 1 << self.random.below(128);
        let flip = self.random.one_of(&[0, 0, flip]);
        (addr ^ flip).to_be_bytes()
    }

    // ---- link layer ---------------------------------------------------------------------------------------------------

    fn frame(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.mac());
        bytes.extend(self.mac());
        let tags = if self.facts.has(&["vlan"]) {
            self.random.below(4)
        } else {
            usize::from(self.random.once_in(12))
        };
        for _ in 0..tags {
            bytes.extend(
                self.random
                    .one_of(&[0x8100_u16, 0x8100, 0x88a8, 0x9100])
                    .to_be_bytes(),
            );
            let id = self.number(0xfff) as u16;
            bytes.extend((id | (self.random.next() as u16 & 0xf000)).to_be_bytes());
        }
        self.payload(&mut bytes);
        bytes
    }

    /// Type and payload of a frame.
    fn payload(&mut self, bytes: &mut Vec<u8>) {
        let about = |words: &[&str], often: usize, random: &mut Random, facts: &Facts| {
            if facts.has(words) {
                random.below(often) > 0
            } else {
                random.once_in(40)
            }
        };
        if about(&["mpls"], 4, self.random, self.facts) {
            bytes.extend([0x88, 0x47]);
            let labels = 1 + self.random.below(3);
            for n in 1..=labels {
                let last = u32::from((n == labels) ^ self.random.once_in(10));
                bytes.extend((self.number(0xf_ffff) << 12 | last << 8 | 64).to_be_bytes());
            }
            let (_, ip) = self.ip();
            return bytes.extend(ip);
        }
        if about(&["pppoes", "pppoed"], 4, self.random, self.facts) {
            bytes.extend(
                self.random
                    .one_of(&[[0x88, 0x64], [0x88, 0x64], [0x88, 0x63]]),
            );
            bytes.extend([0x11, 0]);
            bytes.extend((self.number(0xffff) as u16).to_be_bytes());
            bytes.extend([0, 40]);
            let (kind, ip) = self.ip();
            let ppp: u16 = match kind {
                _ if self.random.once_in(8) => self.random.one_of(&[0x0281, 0x2b, 0x23, 0x57]),
                0x0800 => 0x21,
                _ => 0x57,
            };
            bytes.extend(ppp.to_be_bytes());
            if ppp == 0x0281 {
                bytes.extend((self.number(0xf_ffff) << 12 | 1 << 8).to_be_bytes());
            }
            return bytes.extend(ip);
        }
        if about(&["arp", "rarp", "host", "net"], 3, self.random, self.facts)
            && self.random.once_in(3)
        {
            bytes.extend(self.random.one_of(&[[0x08, 0x06], [0x80, 0x35]]));
            bytes.extend([0, 1, 8, 0, 6, 4, 0, 1 + self.random.below(2) as u8]);
            bytes.extend(self.mac());
            bytes.extend(self.v4());
            bytes.extend(self.mac());
            bytes.extend(self.v4());
            return;
        }
        const LLC: &[&str] = &[
            "llc", "iso", "clnp", "esis", "isis", "stp", "ipx", "netbeui", "atalk", "aarp", "l1",
            "l2", "iih", "lsp", "snp", "csnp", "psnp", "ether",
        ];
        if about(LLC, 4, self.random, self.facts) {
            return self.llc(bytes);
        }
        const OTHERS: &[&str] = &[
            "decnet", "lat", "sca", "moprc", "mopdl", "atalk", "aarp", "ipx", "proto",
        ];
        if about(OTHERS, 3, self.random, self.facts) {
            return self.other(bytes);
        }
        let (kind, ip) = self.ip();
        bytes.extend(kind.to_be_bytes());
        bytes.extend(ip);
    }

    fn llc(&mut self, bytes: &mut Vec<u8>) {
        bytes.extend(self.random.one_of(&[40_u16, 1500, 1501, 3]).to_be_bytes());
        let sap = self.random.one_of(&[
            0xfe_u8, 0xfe, 0xfe, 0x42, 0xe0, 0xf0, 0xaa, 0xaa, 0x06, 0xff,
        ]);
        bytes.extend([sap, sap]);
        let control = [
            0x03, 0x00, 0x01, 0x05, 0x09, 0x63, 0x43, 0x6f, 0xe3, 0xaf, 0x87, 0x13,
        ];
        bytes.push(if sap == 0xaa {
            3
        } else {
            self.random.one_of(&control)
        });
        if sap == 0xaa {
            bytes.extend(self.random.one_of(&[[0, 0, 0], [0, 0, 0], [8, 0, 7]]));
            bytes.extend(
                self.random
                    .one_of(&[0x809b_u16, 0x80f3, 0x8137, 0x0800])
                    .to_be_bytes(),
            );
        } else {
            bytes.push(self.random.one_of(&[0x81, 0x82, 0x83, 0x83, 0x83]));
            bytes.extend([27, 1, 0]);
            bytes.push(
                self.random
                    .one_of(&[15, 16, 17, 18, 20, 24, 25, 26, 27, 28]),
            );
        }
        bytes.extend([0; 20]);
    }

    fn other(&mut self, bytes: &mut Vec<u8>) {
        let kind = match self.near(0xffff) {
            Some(near) if self.random.once_in(2) => near as u16,
            _ => self.random.one_of(&[
                0x6003, 0x6003, 0x6003, 0x6004, 0x6007, 0x6001, 0x6002, 0x809b, 0x80f3, 0x8137,
                0x9000, 0x8863,
            ]),
        };
        bytes.extend(kind.to_be_bytes());
        if kind == 0x6003 {
            // Length, perhaps a byte of padding, flags of a long or short header, addresses.
            bytes.extend([40, 0]);
            if self.random.once_in(2) {
                bytes.push(0x81);
            }
            bytes.push(self.random.one_of(&[0x02, 0x06, 0x26, 0x22, 0x01]));
            let addr = self
                .facts
                .v4
                .first()
                .map_or(0, |addr| (addr >> 24) << 10 | addr >> 16 & 0xff)
                as u16;
            for _ in 0..10 {
                let addr = self.random.one_of(&[addr, addr, 0x0401]);
                bytes.extend(addr.to_le_bytes());
            }
        }
        bytes.extend([7; 24]);
    }

    // ---- network layer ------------------------------------------------------------------------------------------------

    /// Ether type and an IP packet.
    fn ip(&mut self) -> (u16, Vec<u8>) {
        let v6 = match (
            self.facts.has(&["ip6", "icmp6"]) || !self.facts.v6.is_empty(),
            self.facts.v4.is_empty(),
        ) {
            (true, true) => self.random.below(4) > 0,
            (true, false) => self.random.once_in(2),
            (false, _) => self.random.once_in(5),
        };
        if v6 {
            (0x86dd, self.ip6())
        } else {
            (0x0800, self.ip4())
        }
    }

    /// A protocol of the filter or a usual one.
    fn protocol(&mut self, v6: bool) -> u8 {
        const NAMES: [(&str, u8); 14] = [
            ("tcp", 6),
            ("udp", 17),
            ("sctp", 132),
            ("icmp", 1),
            ("icmp6", 58),
            ("igmp", 2),
            ("igrp", 9),
            ("pim", 103),
            ("vrrp", 112),
            ("carp", 112),
            ("ah", 51),
            ("esp", 50),
            ("geneve", 17),
            ("protochain", 51),
        ];
        let words = &self.facts.words;
        let wanted: Vec<u8> = NAMES
            .iter()
            .filter(|(name, _)| words.iter().any(|word| word == name))
            .map(|(_, number)| *number)
            .collect();
        if !wanted.is_empty() && self.random.below(4) > 0 {
            return self.random.one_of(&wanted);
        }
        match self.near(0xff) {
            Some(near) if self.facts.has(&["proto", "protochain"]) && self.random.below(3) > 0 => {
                near as u8
            }
            _ => self
                .random
                .one_of(&[6, 17, 132, if v6 { 58 } else { 1 }, 6, 17]),
        }
    }

    fn ip4(&mut self) -> Vec<u8> {
        let options = if self.random.once_in(4) {
            1 + self.random.below(10)
        } else {
            0
        };
        let protocol = self.protocol(false);
        let data = self.transport(protocol);
        let mut bytes = vec![0x45 + options as u8, self.number(0xff) as u8];
        let total = 20 + 4 * options + data.len();
        bytes.extend((total as u16).to_be_bytes());
        bytes.extend([0, 1]);
        let fragment = self
            .random
            .one_of(&[0_u16, 0, 0, 0, 0x4000, 0x2000, 1, 0x2001, 0x1fff]);
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([self.number(0xff) as u8, protocol, 0, 0]);
        bytes.extend(self.v4());
        bytes.extend(self.v4());
        bytes.extend(vec![1; 4 * options]);
        bytes.extend(data);
        bytes
    }

    fn ip6(&mut self) -> Vec<u8> {
        let protocol = self.protocol(true);
        let mut headers = Vec::new();
        let mut first = None;
        let count = if self.facts.has(&["protochain", "ip6"]) {
            self.random.below(4)
        } else {
            usize::from(self.random.once_in(6))
        };
        // Each header names the one after it; the last one the transport.
        let mut kinds: Vec<u8> = (0..count)
            .map(|_| self.random.one_of(&[0, 43, 44, 60]))
            .collect();
        kinds.push(protocol);
        for pair in kinds.windows(2) {
            let [this, next] = pair else { continue };
            first.get_or_insert(*this);
            let units = if *this == 44 { 0 } else { self.random.below(3) };
            headers.extend([*next, units as u8]);
            headers.extend(vec![0; 6 + 8 * units]);
        }
        let data = self.transport(protocol);
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(((headers.len() + data.len()) as u16).to_be_bytes());
        bytes.extend([first.unwrap_or(protocol), 64]);
        bytes.extend(self.v6());
        bytes.extend(self.v6());
        bytes.extend(headers);
        bytes.extend(data);
        bytes
    }

    fn transport(&mut self, protocol: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        match protocol {
            6 | 17 | 132 => {
                let source = self.number(0xffff) as u16;
                let geneve = protocol == 17
                    && self.depth < 2
                    && self.facts.has(&["geneve"])
                    && self.random.below(5) > 0;
                let target = if geneve {
                    6081
                } else {
                    self.number(0xffff) as u16
                };
                bytes.extend(source.to_be_bytes());
                bytes.extend(target.to_be_bytes());
                if geneve {
                    bytes.extend([0; 4]);
                    self.geneve(&mut bytes);
                    return bytes;
                }
                if protocol == 6 {
                    bytes.extend([0; 8]);
                    let flags = self
                        .random
                        .one_of(&[0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14]);
                    bytes.extend([0x50, flags, 0, 64, 0, 0, 0, 0]);
                }
            }
            // Authentication header: what follows, length, and then that.
            51 => {
                let next = self.random.one_of(&[6, 17, 50, 1]);
                bytes.extend([next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
                if self.random.once_in(3) {
                    bytes[0] = self.number(0xff) as u8;
                    // Neither another one nor an extension header: libpcap would look for its end at the wrong place.
                    if matches!(bytes[0], 0 | 43 | 44 | 51 | 60) {
                        bytes[0] = 6;
                    }
                }
            }
            _ => bytes.extend([self.number(0xff) as u8, self.number(0xff) as u8, 0, 0]),
        }
        let more = self.random.below(24);
        bytes.extend((0..more).map(|n| n as u8));
        bytes
    }

    fn geneve(&mut self, bytes: &mut Vec<u8>) {
        self.depth += 1;
        let options = self.random.below(3);
        let version = self.random.one_of(&[0, 0, 0, 0x40]);
        bytes.extend([version | options as u8, 0]);
        let bridged = self.random.once_in(2);
        let (kind, inner) = match bridged {
            true => (0x6558, self.frame()),
            false => self.ip(),
        };
        bytes.extend(kind.to_be_bytes());
        bytes.extend((self.number(0xff_ffff) << 8).to_be_bytes());
        bytes.extend(vec![0; 4 * options]);
        bytes.extend(inner);
        self.depth -= 1;
    }
}
