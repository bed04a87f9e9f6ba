//! What filters mean where libpcap cannot tell: names, what the kernel knows beside a packet, layers, and the differences listed in
//! `pcap`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::run::{Beside, Machine, filter, matches, matches_bytes};
use crate::pcap::{BuiltIn, LinkLayer, Transport};

const ETHERNET: LinkLayer = LinkLayer::Ethernet;
const RAW: LinkLayer = LinkLayer::Raw;

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2.
fn ip(protocol: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![
        0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    bytes.extend(data);
    bytes
}

/// Ports 1000 and this one.
fn tcp(port: u16) -> Vec<u8> {
    let mut data = vec![3, 0xe8];
    data.extend(port.to_be_bytes());
    data.extend([0; 16]);
    ip(6, &data)
}

/// From 02:…:01 to 02:…:02.
fn frame(kind: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    bytes.extend(kind);
    bytes.extend(payload);
    bytes
}

const IP: &[u8] = &[8, 0];

/// UDP to port 6081 with a Geneve header for network 5 that carries this.
fn geneve(kind: &[u8], carried: &[u8]) -> Vec<u8> {
    let mut data = vec![0x12, 0x34, 0x17, 0xc1, 0, 0, 0, 0, 0, 0];
    data.extend(kind);
    data.extend([0, 0, 5, 0]);
    data.extend(carried);
    ip(17, &data)
}

#[test]
fn names_are_asked_of_the_machine() {
    let mut machine = Machine::default();
    machine.hosts.insert(
        "sundown",
        vec![
            Ipv4Addr::new(10, 0, 0, 2).into(),
            Ipv6Addr::LOCALHOST.into(),
        ],
    );
    machine.services.insert(
        "backdoor",
        vec![(4444, Transport::Tcp), (5555, Transport::Udp)],
    );
    let packet = tcp(4444);
    let verdict = |text: &str| matches(&filter(text, &machine), RAW, &packet, Beside::default());
    assert!(verdict("dst host sundown"));
    assert!(!verdict("src sundown"));
    assert!(!verdict("ip6 host sundown"));
    assert!(verdict("port backdoor"));
    assert!(!verdict("udp port backdoor"));
    assert!(!verdict("net lab"));
}

#[test]
fn a_gateway_is_the_machine_in_between() {
    let mut machine = Machine::default();
    machine
        .hosts
        .insert("router", vec![Ipv4Addr::new(10, 0, 0, 254).into()]);
    machine.ethers.insert("router", [2, 0, 0, 0, 0, 2]);
    let gateway = filter("gateway router", &machine);
    let through = frame(IP, &tcp(80));
    assert!(matches(&gateway, ETHERNET, &through, Beside::default()));
    let mut to = through.clone();
    to[33] = 254;
    assert!(
        !matches(&gateway, ETHERNET, &to, Beside::default()),
        "to the gateway itself"
    );
    let mut beside = through;
    beside[5] = 9;
    assert!(
        !matches(&gateway, ETHERNET, &beside, Beside::default()),
        "past the gateway"
    );
}

/// A tag that the kernel has taken out of the packet counts as if it were there.
#[test]
fn vlan_tags_beside_the_packet() {
    let untagged = frame(IP, &tcp(80));
    let tagged = frame(&[0x81, 0, 0, 7, 8, 0], &tcp(80));
    for text in [
        "vlan",
        "vlan 7",
        "vlan 7 and tcp port 80",
        "vlan and ip",
        "not vlan 8",
        "vlan 8 or ip",
        "vlan 7 and ether[12:2] != 0",
    ] {
        let filter = filter(text, &BuiltIn);
        let kept = |tag| Beside {
            tag: Some(tag),
            ..Beside::default()
        };
        assert!(
            matches(&filter, ETHERNET, &untagged, kept((true, 0xe007))),
            "{text}: beside"
        );
        assert!(
            matches(&filter, ETHERNET, &tagged, kept((false, 0))),
            "{text}: in the packet"
        );
        assert!(
            matches(&filter, ETHERNET, &tagged, Beside::default()),
            "{text}: nothing beside"
        );
    }
    let inner = filter("vlan 7 and vlan 7 and ip", &BuiltIn);
    let both = Beside {
        tag: Some((true, 7)),
        ..Beside::default()
    };
    assert!(matches(&inner, ETHERNET, &tagged, both));
    assert!(!matches(&inner, ETHERNET, &untagged, both));
}

#[test]
fn what_the_kernel_knows() {
    let beside = Beside {
        outgoing: Some(true),
        ifindex: 3,
        ifname: "eth0",
        ..Beside::default()
    };
    let verdict = |text: &str, beside| matches(&filter(text, &BuiltIn), RAW, &tcp(80), beside);
    assert!(verdict("outbound and ifindex 3 and on eth0", beside));
    assert!(!verdict("inbound", beside));
    assert!(!verdict("ifname eth1 or ifindex 4", beside));
    let incoming = Beside {
        outgoing: Some(false),
        ..beside
    };
    assert!(verdict("inbound and not outbound", incoming));
    // What is not known is never true.
    assert!(!verdict(
        "inbound or outbound or ifindex 3 or on eth0",
        Beside::default()
    ));
    let text = "tcp and (inbound or not ifindex 3) or on eth0";
    let filter = filter(text, &BuiltIn);
    let asks = filter.asks().iter();
    let asks: Vec<&str> = asks
        .map(|(span, _)| &text[span.lo as usize..span.hi as usize])
        .collect();
    assert_eq!(asks, ["inbound", "ifindex 3", "on eth0"]);
}

/// What needs a link layer is false without one, and changes nothing for the rest.
#[test]
fn packets_without_link_layer() {
    for (text, expected) in [
        ("ether host 02:00:00:00:00:01 or tcp", true),
        ("ether host 02:00:00:00:00:01", false),
        ("vlan or tcp port 80", true),
        ("pppoes or tcp port 80", true),
        ("mpls or tcp port 80", true),
        ("not ether[0] & 1 = 0 and ip", true),
        ("llc or arp or multicast", false),
        ("host 10.0.0.1", true),
    ] {
        assert_eq!(matches_bytes(text, RAW, &tcp(80)), expected, "{text}");
        let filter = filter(text, &BuiltIn);
        let said = filter.meaningless(RAW).len();
        assert_eq!(
            said,
            text.split(" or ").filter(|part| needs_link(part)).count(),
            "{text}"
        );
        assert!(filter.meaningless(ETHERNET).is_empty(), "{text}");
    }
}

fn needs_link(part: &str) -> bool {
    ["ether", "vlan", "pppoes", "mpls", "llc", "arp", "multicast"]
        .iter()
        .any(|word| part.contains(word))
}

/// A `geneve` that does not match leaves the packet as it was for what comes after it.
#[test]
fn a_packet_that_is_no_geneve() {
    let carried = geneve(&[8, 0], &tcp(443));
    let bridged = geneve(&[0x65, 0x58], &frame(IP, &tcp(443)));
    for link in [ETHERNET, RAW] {
        let on = |packet: &[u8]| match link {
            ETHERNET => frame(IP, packet),
            RAW => packet.to_vec(),
        };
        for text in [
            "geneve or tcp port 80",
            "not geneve and tcp port 80",
            "(geneve 4 or ip) and port 80",
        ] {
            assert!(
                matches_bytes(text, link, &on(&tcp(80))),
                "{text} on {link:?}"
            );
        }
        for packet in [&carried, &bridged] {
            for text in [
                "geneve and tcp port 443",
                "geneve 5 and ip",
                "(udp or geneve) and geneve or udp",
            ] {
                assert!(matches_bytes(text, link, &on(packet)), "{text} on {link:?}");
            }
            assert!(!matches_bytes("geneve 6", link, &on(packet)));
        }
        assert!(matches_bytes(
            "geneve and ether src 02:00:00:00:00:01",
            link,
            &on(&bridged)
        ));
        assert!(!matches_bytes(
            "geneve and ether src 02:00:00:00:00:01",
            link,
            &on(&carried)
        ));
    }
}

#[test]
fn header_chains() {
    // Authentication header (24 bytes), another one, TCP.
    let mut data = vec![51, 4];
    data.extend([0; 22]);
    data.extend([6, 1]);
    data.extend([0; 10]);
    let authenticated = ip(51, &data);
    assert!(matches_bytes("ip protochain \\tcp", RAW, &authenticated));
    assert!(!matches_bytes("ip protochain \\udp", RAW, &authenticated));
    // More headers than are followed.
    let endless = ip(51, &[51, 0, 0, 0, 0, 0, 0, 0].repeat(64));
    assert!(!matches_bytes("ip protochain \\tcp", RAW, &endless));
    assert!(matches_bytes("not ip protochain \\tcp", RAW, &endless));
}

#[test]
fn a_missing_byte_fails_the_whole_filter() {
    let cut = &tcp(80)[..15];
    assert!(matches_bytes("ip", RAW, cut));
    assert!(!matches_bytes("not host 10.0.0.9", RAW, cut));
    assert!(!matches_bytes("not host 10.0.0.9 or ip", RAW, cut));
    assert!(matches_bytes("ip or not host 10.0.0.9", RAW, cut));
    assert!(
        !matches_bytes("not ip[0] / 0x10 / (ip[1] * 2) = 3", RAW, &tcp(80)),
        "division by zero"
    );
}

#[test]
fn bytes_of_the_frame() {
    let frame = frame(IP, &tcp(80));
    assert!(matches_bytes(
        "byte 12 & 8 and byte 12 = 8 and not byte 13 & 0xff",
        ETHERNET,
        &frame
    ));
    assert!(matches_bytes(
        "byte 13 | 1 and not byte 13 | 0",
        ETHERNET,
        &frame
    ));
}

#[test]
fn the_empty_filter_takes_everything() {
    assert!(matches_bytes("", ETHERNET, &[]));
    assert!(matches_bytes(" \n", RAW, &[]));
}
