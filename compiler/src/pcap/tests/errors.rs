//! Wrong filters: what is said, and under which word.

use nettrace_grammar::{SourceMap, Span, render};

use crate::pcap::parse;

/// A wrong filter, the text under the mark, and what the message must contain.
const WRONG: &[(&str, &str, &[&str])] = &[
    // Syntax.
    (
        "tcp port",
        "",
        &["ends too early", "a port: a number or a service's name"],
    ),
    ("tcp and", "", &["ends too early", "a test"]),
    (
        "port 80 443",
        "443",
        &["`and`, `or` or the end", "put `and` or `or`"],
    ),
    (
        "10.0.0.1",
        "10.0.0.1",
        &["expected a word such as `host`", "write `host` before it"],
    ),
    ("tcp and 80", "80", &["write `port 80`"]),
    ("tpc", "tpc", &["did you mean `tcp`?"]),
    (
        "tcp and (port 80 or port 443",
        "",
        &["expected `and`, `or` or `)`", "this is open"],
    ),
    ("tcp)", ")", &["no `(` is open"]),
    ("tcp 80", "80", &["`tcp port 80`"]),
    ("ip 10.0.0.1", "10.0.0.1", &["`ip host`"]),
    (
        "ip proto tcp",
        "tcp",
        &["word of the filter language", "`\\tcp`"],
    ),
    ("src tcp port 80", "tcp", &["an address"]),
    ("tcp port dst 80", "dst", &["protocol, direction, type"]),
    ("ether", "", &["`host`, `src`"]),
    ("tcp & udp", "&", &["`and` and `or`"]),
    ("host \"a\"", "\"", &["no quotes"]),
    ("tcp; udp", ";", &["joined with `and`"]),
    ("tcp[13", "", &["`]`"]),
    ("tcp[13:3] = 1", "3", &["expected 1, 2 or 4"]),
    ("tcp[13] & 2", "", &["a comparison"]),
    ("tcp[13] & 2 and udp", "and", &["a comparison"]),
    ("1 < ip[0] < 5", "<", &["two sides"]),
    ("ip[0] / 0 = 1", "0", &["division by zero"]),
    ("ip[0] << 32 = 1", "32", &["more than 31 bits"]),
    ("ah[0] = 1", "ah", &["no bytes that can be read"]),
    ("len > 08", "08", &["octal"]),
    ("len > 4294967296", "4294967296", &["32 bits"]),
    ("vlan 4096", "4096", &["up to 4095"]),
    ("mpls 1048576", "1048576", &["up to 1048575"]),
    ("pppoes 65536", "65536", &["up to 65535"]),
    ("geneve 16777216", "16777216", &["up to 16777215"]),
    ("llc foo", "foo", &["types are i s u rr"]),
    ("less tcp", "tcp", &["a length in bytes"]),
    ("net 10/8", "/", &["10.0.0.0/8"]),
    ("host 10.0.0.1 mask 5", "5", &["a mask"]),
    ("tcp port 80 or or udp", "or", &["a test"]),
    ("$5", "$", &["ARCnet"]),
    // Values and combinations.
    ("port 65536", "65536", &["there is no port 65536"]),
    ("port httpd", "httpd", &["no service named `httpd`"]),
    ("port 80-90", "80-90", &["`portrange`"]),
    ("portrange 80", "", &[]),
    ("portrange 80-x", "80-x", &["two ports with a dash"]),
    ("udp port ssh", "ssh", &["service over tcp", "not over udp"]),
    (
        "icmp port 80",
        "icmp port",
        &["`icmp` has no ports", "`icmp and port"],
    ),
    (
        "tcp host 10.0.0.1",
        "tcp host",
        &["no hosts", "`tcp and host"],
    ),
    ("ether port 80", "ether port", &["no ports"]),
    ("ether host 10.0.0.1", "10.0.0.1", &["a MAC address"]),
    ("host 1:2:3:4:5:6", "1:2:3:4:5:6", &["`ether host`"]),
    ("host 10.0.0.0/8", "10.0.0.0/8", &["`net` instead"]),
    ("host 10.0.0.256", "10.0.0.256", &["larger than 255"]),
    ("net 10.0.0.1/8", "10.0.0.1/8", &["the network is 10.0.0.0"]),
    ("net 10.0.0.0/33", "33", &["at most 32"]),
    ("net fe80::/129", "129", &["at most 128"]),
    ("net fe80::1/64", "fe80::1/64", &["the network is fe80::"]),
    (
        "ip6 host 10.0.0.1",
        "10.0.0.1",
        &["expected an IPv6 address"],
    ),
    ("ip host ::1", "::1", &["expected an IPv4 address"]),
    ("host nosuchhost", "nosuchhost", &["no host named"]),
    (
        "ether proto foo",
        "foo",
        &["no ether type named", "aarp arp"],
    ),
    ("ip proto 256", "256", &["at most 255"]),
    ("ip proto foo", "foo", &["no IP protocol named"]),
    ("tcp proto 6", "tcp proto", &["`tcp` says of no protocol"]),
    (
        "arp protochain 6",
        "arp protochain",
        &["no chain of headers"],
    ),
    ("gateway 10.0.0.1", "10.0.0.1", &["a host's name"]),
    ("gateway router", "router", &["/etc/ethers"]),
    ("decnet host 64.1", "64.1", &["area.node"]),
    // Without meaning.
    ("wlan addr1 1:2:3:4:5:6", "addr1", &["802.11"]),
    ("type mgt", "type", &["802.11"]),
    ("radio[0] = 1", "radio", &["802.11"]),
    ("vpi 5", "vpi", &["ATM"]),
    ("sio 3", "sio", &["SS7"]),
    ("tcp and rnr 3", "rnr", &["pf"]),
    ("ip broadcast", "ip broadcast", &["mask of a network"]),
    (
        "tcp broadcast",
        "tcp broadcast",
        &["`tcp` has no broadcast"],
    ),
    ("mpls and arp", "arp", &["MPLS does not tell"]),
    ("mpls and vlan 5", "vlan 5", &["label of MPLS"]),
    (
        "pppoes and ether host 1:2:3:4:5:6",
        "ether host 1:2:3:4:5:6",
        &["PPPoE session has no MAC"],
    ),
    ("pppoes and vlan", "vlan", &["PPPoE session has no VLAN"]),
];

#[test]
fn the_mark_is_under_the_guilty_word() {
    for (text, marked, said) in WRONG {
        if said.is_empty() {
            assert!(
                parse(text, Span::new(0, text.len() as u32)).is_ok(),
                "{text} is right"
            );
            continue;
        }
        // As in a script: not at the beginning of the file.
        let source = format!("skb ~ \"{text}\"");
        let mut map = SourceMap::new();
        map.add("script.nt", source.clone());
        let base = Span::new(7, 7 + text.len() as u32);
        let errors = parse(text, base).expect_err(text);
        let rendered = render::render(&map, &errors, false);
        for words in *said {
            assert!(
                rendered.contains(words),
                "{text}: no {words:?} in\n{rendered}"
            );
        }
        let span = errors
            .first()
            .and_then(|error| error.primary_span())
            .expect("a mark");
        let under = &source[span.lo as usize..span.hi as usize];
        assert_eq!(under, *marked, "{text}:\n{rendered}");
    }
}

#[test]
fn a_message_as_the_user_sees_it() {
    let text = "tcp and host 10.0.0.1 or ports 80";
    let mut map = SourceMap::new();
    map.add("filter", text);
    let errors = parse(text, Span::new(0, text.len() as u32)).expect_err("a wrong filter");
    assert_eq!(
        render::render(&map, &errors, false).trim_end(),
        "\
error[NT0020]: no host named `ports` is known
  --> filter:1:26
  |
1 | tcp and host 10.0.0.1 or ports 80
  |                          ^^^^^
  |
  = help: write its address"
    );
}

/// A string with escapes is longer in the script than the filter is.
#[test]
fn marks_stay_inside_a_text_with_escapes() {
    let base = Span::new(10, 30);
    let errors = parse("tcp prt 80", base).expect_err("a wrong filter");
    assert_eq!(errors[0].primary_span(), Some(base));
}
