//! Values of networks as text: flows, and the names of bits.

use std::io::Write as _;
use std::net::IpAddr;

use crate::decode::Flow;

/// Protocol numbers of the IP header that have names of their own (RFC 790 and successors, `/etc/protocols`).
const PROTOCOLS: [(u8, &str); 10] = [
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (50, "esp"),
    (58, "icmp6"),
    (132, "sctp"),
];

/// `tcp 10.0.0.1:4711 > [fe80::1]:443`; of ICMP the identifier, type and code; of others no ports.
pub(super) fn write(out: &mut Vec<u8>, flow: Flow) {
    // Writing to a vector cannot fail.
    let Some((source, destination)) = flow.addresses else {
        out.extend_from_slice(b"no ip");
        return;
    };
    let (sport, dport) = flow.ports;
    match PROTOCOLS
        .iter()
        .find(|(number, _)| *number == flow.protocol)
    {
        Some((_, name)) => out.extend_from_slice(name.as_bytes()),
        None => _ = write!(out, "proto-{}", flow.protocol),
    }
    match flow.protocol {
        6 | 17 | 33 | 132 => {
            out.push(b' ');
            end(out, source, sport);
            out.extend_from_slice(b" > ");
            end(out, destination, dport);
        }
        1 | 58 => {
            let (kind, code) = (dport >> 8, dport & 0xff);
            _ = write!(
                out,
                " {source} > {destination} id {sport} type {kind} code {code}"
            );
        }
        47 if flow.ports != (0, 0) => {
            _ = write!(out, " {source} > {destination} key {sport}/{dport}");
        }
        _ => _ = write!(out, " {source} > {destination}"),
    }
}

fn end(out: &mut Vec<u8>, address: IpAddr, port: u16) {
    match address {
        IpAddr::V4(address) => _ = write!(out, "{address}:{port}"),
        IpAddr::V6(address) => _ = write!(out, "[{address}]:{port}"),
    }
}

/// The names of the bits that are set; bits without a name as one number at the end; `0` when none is set and names are separated.
pub(super) fn write_flags(out: &mut Vec<u8>, bits: u64, names: &[(u64, String)], separator: &str) {
    if bits == 0 {
        // Letters in a row say enough by not being there.
        if !separator.is_empty() {
            out.push(b'0');
        }
        return;
    }
    let mut rest = bits;
    let start = out.len();
    let part = |out: &mut Vec<u8>, text: &str| {
        if out.len() > start {
            out.extend_from_slice(separator.as_bytes());
        }
        out.extend_from_slice(text.as_bytes());
    };
    for (bit, name) in names {
        if bits & bit == *bit && rest & bit != 0 {
            rest &= !bit;
            part(out, name);
        }
    }
    if rest != 0 {
        part(out, &format!("{rest:#x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(protocol: u8, source: &str, destination: &str, ports: (u16, u16)) -> String {
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        let mut out = Vec::new();
        write(
            &mut out,
            Flow {
                protocol,
                addresses: Some((parse(source), parse(destination))),
                ports,
            },
        );
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn flows_read_as_people_write_them() {
        assert_eq!(
            flow(6, "172.17.0.2", "104.16.124.96", (49194, 443)),
            "tcp 172.17.0.2:49194 > 104.16.124.96:443"
        );
        assert_eq!(
            flow(17, "fe80::1", "ff02::fb", (5353, 5353)),
            "udp [fe80::1]:5353 > [ff02::fb]:5353"
        );
        assert_eq!(
            flow(1, "1.2.3.4", "5.6.7.8", (77, 0x0800)),
            "icmp 1.2.3.4 > 5.6.7.8 id 77 type 8 code 0"
        );
        assert_eq!(
            flow(47, "1.2.3.4", "5.6.7.8", (0, 0)),
            "gre 1.2.3.4 > 5.6.7.8"
        );
        assert_eq!(
            flow(89, "1.2.3.4", "5.6.7.8", (0, 0)),
            "proto-89 1.2.3.4 > 5.6.7.8"
        );
    }

    #[test]
    fn bits_have_names() {
        let names = [(2, "SEEN_REPLY".to_string()), (4, "ASSURED".to_string())];
        let show = |bits| {
            let mut out = Vec::new();
            write_flags(&mut out, bits, &names, "|");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(show(0), "0");
        assert_eq!(show(6), "SEEN_REPLY|ASSURED");
        assert_eq!(show(0x14), "ASSURED|0x10");
    }
}
