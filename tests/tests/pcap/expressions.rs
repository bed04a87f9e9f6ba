//! Random filters from the language's grammar.
//!
//! Left out is what libpcap leaves undefined or does otherwise on purpose: tests behind a `geneve` that need not have matched, headers of
//! the link layer where there is none.

use nettrace_compiler::pcap::LinkLayer;

use crate::random::Random;

pub(crate) struct Writer<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) link: LinkLayer,
    /// Inside a Geneve packet, where there is a link layer in any case.
    inside: bool,
}

const HOSTS: [&str; 5] = ["10.0.0.1", "192.168.1.1", "10.1", "224.0.0.1", "172.16.5"];
const HOSTS6: [&str; 4] = ["::1", "fe80::1", "2001:db8::5", "ff02::1"];
const NETS: [&str; 8] = [
    "10.0.0.0/8",
    "192.168.1.0/24",
    "10.1",
    "172.16.0.0/12",
    "0.0.0.0/0",
    "10.0.0.0 mask 255.0.0.0",
    "192.168.1.128/25",
    "10",
];
const NETS6: [&str; 5] = [
    "2001:db8::/32",
    "fe80::/10",
    "::1",
    "::/0",
    "2001:db8::4/127",
];
const MACS: [&str; 4] = [
    "02:00:00:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    "1:0:5e:0:0:1",
    "02-00-00-00-00-02",
];
const PORTS: [&str; 8] = ["22", "53", "80", "443", "0", "65535", "6081", "5060"];
const RANGES: [&str; 4] = ["20-25", "6000-6100", "90-80", "0-65535"];
const DIRS: [&str; 8] = [
    "",
    "",
    "src ",
    "dst ",
    "src or dst ",
    "src and dst ",
    "dst or src ",
    "dst and src ",
];
const PROTOS: [&str; 31] = [
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim",
    "vrrp", "carp", "ah", "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso",
    "stp", "ipx", "netbeui", "clnp", "esis", "isis", "iih",
];
const IS_IS: [&str; 6] = ["l1", "l2", "lsp", "snp", "csnp", "psnp"];
const BYTES: [&str; 13] = [
    "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "rarp", "sctp", "igmp", "pim", "vrrp", "tcp",
];
const LLC: [&str; 14] = [
    "", " i", " s", " u", " rr", " rnr", " rej", " ui", " ua", " disc", " sabme", " test", " xid",
    " frmr",
];

/// A whole filter.
pub(crate) fn filter(random: &mut Random, link: LinkLayer) -> String {
    let mut writer = Writer {
        random,
        link,
        inside: false,
    };
    if writer.random.once_in(12) {
        return writer.geneve();
    }
    writer.chain(2)
}

impl Writer<'_> {
    fn geneve(&mut self) -> String {
        let before = match self.random.below(4) {
            0 => format!("{} and ", self.qualified()),
            1 if self.link == LinkLayer::Ethernet => format!("vlan {} and ", self.random.below(5)),
            _ => String::new(),
        };
        let id = self.random.pick(&["", " 5", " 0xb", " 16777215"]);
        self.inside = true;
        let then = self.chain(1);
        format!("{before}geneve{id} and ({then})")
    }

    fn chain(&mut self, depth: u32) -> String {
        let mut text = self.term(depth);
        for _ in 0..self.random.below(4) {
            let join = self.random.pick(&[" and ", " or ", " && ", " || "]);
            text += join;
            text += &self.term(depth);
        }
        text
    }

    fn term(&mut self, depth: u32) -> String {
        match self.random.below(10) {
            0 => format!("not {}", self.term(depth.saturating_sub(1))),
            1 => format!("! {}", self.primitive()),
            2 | 3 if depth > 0 => format!("({})", self.chain(depth - 1)),
            _ => self.primitive(),
        }
    }

    /// Whether the link layer's header can be named.
    fn has_link(&self) -> bool {
        self.inside || self.link == LinkLayer::Ethernet
    }

    /// Behind the LLC header of a frame inside a packet without link layer libpcap looks at the wrong place.
    fn has_osi(&self) -> bool {
        !(self.inside && self.link == LinkLayer::Raw)
    }

    fn primitive(&mut self) -> String {
        match self.random.below(24) {
            0..=7 => self.qualified(),
            8..=10 => {
                let osi = if self.has_osi() { 0 } else { 4 };
                self.random.pick(&PROTOS[..PROTOS.len() - osi]).to_string()
            }
            11 if self.has_osi() => self.random.pick(&IS_IS).to_string(),
            12..=16 => self.relation(),
            17 => format!(
                "{} {}",
                self.random.pick(&["less", "greater"]),
                self.random.below(120)
            ),
            18 => self.multicast(),
            19 => format!(
                "{}proto {}",
                self.random.pick(&["ip ", "ip6 ", ""]),
                self.random.below(140)
            ),
            20 if self.has_osi() && self.random.once_in(3) => format!(
                "{}proto {}",
                self.random.pick(&["iso ", "isis "]),
                self.random.below(140)
            ),
            20 => format!(
                "ether proto {}",
                self.random.pick(&[
                    "0x800", "0x806", "2048", "0x86dd", "0xfe", "0x42", "\\arp", "\\ip", "0xe0",
                    "0x809b", "0x1234", "5"
                ])
            ),
            21 if !self.inside => format!(
                "{}protochain {}",
                self.random.pick(&["ip ", "ip6 ", ""]),
                self.random.pick(&["6", "17", "50", "51", "44", "59", "58"])
            ),
            22 if self.has_link() => self.encapsulated(),
            23 if self.has_link() => format!("llc{}", self.random.pick(&LLC)),
            _ => self.qualified(),
        }
    }

    fn multicast(&mut self) -> String {
        match self.has_link() {
            true => self.random.pick(&[
                "ether multicast",
                "multicast",
                "broadcast",
                "ether broadcast",
                "ip multicast",
                "ip6 multicast",
            ]),
            false => self.random.pick(&["ip multicast", "ip6 multicast"]),
        }
        .to_string()
    }

    fn encapsulated(&mut self) -> String {
        let number = self.random.below(6);
        match self.random.below(8) {
            0..=2 => format!("vlan {number}"),
            3 => "vlan".to_string(),
            4 => format!("mpls {number}"),
            5 => "mpls".to_string(),
            6 => "pppoed".to_string(),
            _ => format!("pppoes {number}"),
        }
    }

    /// Qualifiers and one or more identifiers.
    fn qualified(&mut self) -> String {
        let dir = self.random.pick(&DIRS);
        let (head, from): (String, &[&str]) = match self.random.below(9) {
            0 => (format!("{dir}host"), &HOSTS),
            1 => (
                format!("{}{dir}host", self.random.pick(&["ip ", "arp ", "rarp "])),
                &HOSTS,
            ),
            2 => (
                format!("{}{dir}host", self.random.pick(&["", "ip6 "])),
                &HOSTS6,
            ),
            3 => (
                format!("{}{dir}net", self.random.pick(&["", "ip ", "arp "])),
                &NETS,
            ),
            4 => (format!("{dir}net"), &NETS6),
            5 => (
                format!(
                    "{}{dir}port",
                    self.random.pick(&["", "tcp ", "udp ", "sctp "])
                ),
                &PORTS,
            ),
            6 => (
                format!("{}{dir}portrange", self.random.pick(&["", "tcp ", "udp "])),
                &RANGES,
            ),
            7 if self.has_link() => (format!("ether {dir}host"), &MACS),
            8 => (format!("decnet {dir}host"), &["10.123", "1.1"]),
            _ => (
                format!("{}{dir}port", self.random.pick(&["", "tcp ", "udp "])),
                &PORTS,
            ),
        };
        let mut text = format!("{head} {}", self.random.pick(from));
        match self.random.below(6) {
            0 => {
                let join = self.random.pick(&["or", "and not", "or not"]);
                text = format!("{text} {join} {}", self.random.pick(from));
            }
            1 => {
                text = format!(
                    "{head} ({} or {})",
                    self.random.pick(from),
                    self.random.pick(from)
                )
            }
            _ => {}
        }
        text
    }

    fn relation(&mut self) -> String {
        let relation = self.random.pick(&["=", "==", "!=", ">", "<", ">=", "<="]);
        let right = match self.random.below(5) {
            0 => self.arith(1),
            _ => self.constant(),
        };
        format!("{} {relation} {right}", self.arith(2))
    }

    fn constant(&mut self) -> String {
        match self.random.below(6) {
            0 => self
                .random
                .pick(&["tcp-syn", "tcp-ack", "icmp-echo", "icmp6-echo", "tcp-fin"])
                .to_string(),
            1 => format!("0x{:x}", self.random.below(0x1_0000)),
            2 => "0".to_string(),
            _ => self.random.below(70).to_string(),
        }
    }

    fn arith(&mut self, depth: u32) -> String {
        match self.random.below(10) {
            0 if depth > 0 => format!("({})", self.arith(depth - 1)),
            1 if depth > 0 => format!("-{}", self.arith(depth - 1)),
            2..=5 if depth > 0 => {
                let op = self
                    .random
                    .pick(&["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "&", "&"]);
                format!("{} {op} {}", self.arith(depth - 1), self.operand(depth))
            }
            6 => "len".to_string(),
            _ => self.load(depth),
        }
    }

    fn operand(&mut self, depth: u32) -> String {
        match self.random.below(3) {
            0 => self.arith(depth - 1),
            1 => self.random.one_of(&[1, 2, 3, 4, 7, 15, 16, 31]).to_string(),
            _ => format!("0x{:x}", 1 + self.random.below(0xff)),
        }
    }

    fn load(&mut self, depth: u32) -> String {
        let proto = match self.has_link() && self.random.once_in(5) {
            true => "ether",
            false => self.random.pick(&BYTES),
        };
        let index = match self.random.below(8) {
            0 if depth > 0 => self.arith(depth - 1),
            1 => self
                .random
                .pick(&["tcpflags", "icmptype", "icmp6type", "icmpcode"])
                .to_string(),
            2 => self
                .random
                .one_of(&[200_u64, 0xffff_ffff, 0xffff_fffe])
                .to_string(),
            _ => self.random.below(24).to_string(),
        };
        let size = self.random.pick(&["", "", ":1", ":2", ":2", ":4"]);
        // `1:2` in brackets is fine; `a:b:c` would be an address.
        format!("{proto}[{index}{size}]")
    }
}
