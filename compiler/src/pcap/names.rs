//! Names in filters: hosts, networks, services, protocols.
//!
//! A filter may name what only the machine knows (`host sundown`, `port backdoor`). The compiler does no I/O, so it asks a [`Names`];
//! [`BuiltIn`] knows what is the same everywhere: IANA's protocols and the usual services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// IP protocol 6.
    Tcp,
    /// IP protocol 17.
    Udp,
    /// IP protocol 132.
    Sctp,
}

impl Transport {
    /// Its number in IP headers.
    pub fn number(self) -> u8 {
        match self {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
        }
    }

    /// Its keyword.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        }
    }
}

/// Answers what names mean. Nothing found is an empty answer, and the user is told.
pub trait Names {
    /// All addresses of a host: `/etc/hosts`, DNS.
    fn host(&self, name: &str) -> Vec<IpAddr>;
    /// The number of a network, right-aligned as in `/etc/networks` (`10` is 10.0.0.0/8).
    fn net(&self, name: &str) -> Option<u32>;
    /// The port of a service, per transport protocol that has it: `/etc/services`.
    fn service(&self, name: &str) -> Vec<(u16, Transport)>;
    /// The number of an IP protocol: `/etc/protocols`.
    fn proto(&self, name: &str) -> Option<u8>;
    /// The MAC address of a host: `/etc/ethers`.
    fn ether(&self, name: &str) -> Option<[u8; 6]>;
}

/// What is the same on every machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIn;

impl Names for BuiltIn {
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            _ => Vec::new(),
        }
    }

    fn net(&self, name: &str) -> Option<u32> {
        (name == "loopback").then_some(127)
    }

    fn service(&self, name: &str) -> Vec<(u16, Transport)> {
        let rows = SERVICES.iter().filter(|(known, _, _)| *known == name);
        rows.flat_map(|(_, port, over)| over.iter().map(|transport| (*port, *transport)))
            .collect()
    }

    fn proto(&self, name: &str) -> Option<u8> {
        let row = PROTOCOLS.iter().find(|(known, _)| *known == name);
        row.map(|(_, number)| *number)
    }

    fn ether(&self, _name: &str) -> Option<[u8; 6]> {
        None
    }
}

/// Ether types by name; those up to 1500 are SAPs of 802.2.
pub(super) const ETHER_PROTOCOLS: &[(&str, u32)] = &[
    ("aarp", 0x80f3),
    ("arp", 0x0806),
    ("atalk", 0x809b),
    ("decnet", 0x6003),
    ("ip", 0x0800),
    ("ip6", 0x86dd),
    ("ipx", 0xe0),
    ("iso", 0xfe),
    ("lat", 0x6004),
    ("loopback", 0x9000),
    ("mopdl", 0x6001),
    ("moprc", 0x6002),
    ("netbeui", 0xf0),
    ("rarp", 0x8035),
    ("sca", 0x6007),
    ("stp", 0x42),
];

/// OSI network-layer protocols by name.
pub(super) const OSI_PROTOCOLS: &[(&str, u32)] = &[("clnp", 0x81), ("esis", 0x82), ("isis", 0x83)];

/// IP protocols by IANA's names, in lower case.
const PROTOCOLS: &[(&str, u8)] = &[
    ("ip", 0),
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("igrp", 9),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("ipv6", 41),
    ("ipv6-route", 43),
    ("ipv6-frag", 44),
    ("idrp", 45),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("skip", 57),
    ("ipv6-icmp", 58),
    ("icmp6", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("eigrp", 88),
    ("ospf", 89),
    ("ax.25", 93),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("carp", 112),
    ("l2tp", 115),
    ("isis", 124),
    ("sctp", 132),
    ("fc", 133),
    ("mobility-header", 135),
    ("udplite", 136),
    ("mpls-in-ip", 137),
    ("hip", 139),
    ("shim6", 140),
    ("wesp", 141),
    ("rohc", 142),
    ("ethernet", 143),
];

const T: &[Transport] = &[Transport::Tcp];
const U: &[Transport] = &[Transport::Udp];
const TU: &[Transport] = &[Transport::Tcp, Transport::Udp];
const TUS: &[Transport] = &[Transport::Tcp, Transport::Udp, Transport::Sctp];

/// Services by IANA's names and the usual aliases.
const SERVICES: &[(&str, u16, &[Transport])] = &[
    ("tcpmux", 1, T),
    ("echo", 7, TU),
    ("discard", 9, TU),
    ("systat", 11, T),
    ("daytime", 13, TU),
    ("netstat", 15, T),
    ("qotd", 17, T),
    ("chargen", 19, TU),
    ("ftp-data", 20, T),
    ("ftp", 21, T),
    ("ssh", 22, T),
    ("telnet", 23, T),
    ("smtp", 25, T),
    ("time", 37, TU),
    ("whois", 43, T),
    ("tacacs", 49, TU),
    ("domain", 53, TU),
    ("bootps", 67, U),
    ("bootpc", 68, U),
    ("tftp", 69, U),
    ("gopher", 70, T),
    ("finger", 79, T),
    ("http", 80, T),
    ("www", 80, T),
    ("kerberos", 88, TU),
    ("iso-tsap", 102, T),
    ("pop3", 110, T),
    ("sunrpc", 111, TU),
    ("auth", 113, T),
    ("ident", 113, T),
    ("nntp", 119, T),
    ("ntp", 123, U),
    ("epmap", 135, T),
    ("netbios-ns", 137, U),
    ("netbios-dgm", 138, U),
    ("netbios-ssn", 139, T),
    ("imap", 143, T),
    ("imap2", 143, T),
    ("snmp", 161, TU),
    ("snmp-trap", 162, TU),
    ("xdmcp", 177, U),
    ("bgp", 179, T),
    ("irc", 194, TU),
    ("smux", 199, T),
    ("ldap", 389, TU),
    ("svrloc", 427, TU),
    ("https", 443, TU),
    ("snpp", 444, T),
    ("microsoft-ds", 445, TU),
    ("kpasswd", 464, TU),
    ("submissions", 465, T),
    ("isakmp", 500, U),
    ("exec", 512, T),
    ("biff", 512, U),
    ("login", 513, T),
    ("who", 513, U),
    ("shell", 514, T),
    ("syslog", 514, U),
    ("printer", 515, T),
    ("talk", 517, U),
    ("ntalk", 518, U),
    ("route", 520, U),
    ("ripng", 521, U),
    ("uucp", 540, T),
    ("klogin", 543, T),
    ("kshell", 544, T),
    ("dhcpv6-client", 546, U),
    ("dhcpv6-server", 547, U),
    ("rtsp", 554, TU),
    ("nntps", 563, T),
    ("submission", 587, T),
    ("ipp", 631, T),
    ("ldaps", 636, TU),
    ("ldp", 646, TU),
    ("domain-s", 853, TU),
    ("rsync", 873, T),
    ("ftps-data", 989, T),
    ("ftps", 990, T),
    ("telnets", 992, T),
    ("imaps", 993, T),
    ("pop3s", 995, T),
    ("socks", 1080, T),
    ("openvpn", 1194, TU),
    ("ms-sql-s", 1433, T),
    ("ms-sql-m", 1434, U),
    ("l2f", 1701, U),
    ("l2tp", 1701, U),
    ("radius", 1812, TU),
    ("radius-acct", 1813, TU),
    ("nfs", 2049, TU),
    ("gtp-control", 2123, U),
    ("gtp-user", 2152, U),
    ("iscsi-target", 3260, T),
    ("mysql", 3306, T),
    ("ms-wbt-server", 3389, TU),
    ("stun", 3478, TU),
    ("diameter", 3868, &[Transport::Tcp, Transport::Sctp]),
    ("epmd", 4369, T),
    ("ipsec-nat-t", 4500, U),
    ("vxlan", 4789, U),
    ("sip", 5060, TUS),
    ("sip-tls", 5061, TUS),
    ("xmpp-client", 5222, T),
    ("xmpp-server", 5269, T),
    ("mdns", 5353, U),
    ("postgresql", 5432, T),
    ("amqp", 5672, TUS),
    ("vnc", 5900, T),
    ("x11", 6000, T),
    ("geneve", 6081, U),
    ("sflow", 6343, U),
    ("redis", 6379, T),
    ("openflow", 6653, T),
    ("http-alt", 8080, TU),
    ("bacula-dir", 9101, T),
    ("git", 9418, T),
    ("mongodb", 27017, T),
    ("wireguard", 51820, U),
];
