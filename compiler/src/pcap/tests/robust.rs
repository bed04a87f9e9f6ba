//! No text makes the compiler panic, hang or build invalid IR.

use nettrace_grammar::Span;
use proptest::prelude::*;

use super::run::{Beside, matches};
use crate::pcap::words::{CONSTANTS, WORDS};
use crate::pcap::{LinkLayer, parse};

/// Whatever a text is, it is parsed, and if it is a filter, it runs.
fn survives(text: &str) {
    let Ok(filter) = parse(text, Span::new(0, text.len() as u32)) else {
        return;
    };
    for link in [LinkLayer::Ethernet, LinkLayer::Raw] {
        for bytes in [&[][..], &[0x45; 60]] {
            matches(&filter, link, bytes, Beside::default());
        }
    }
}

/// Words of the language, and pieces that are almost something.
fn word() -> impl Strategy<Value = String> {
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    let constants: Vec<&str> = CONSTANTS.iter().map(|(word, _)| *word).collect();
    prop_oneof![
        6 => prop::sample::select(words),
        1 => prop::sample::select(constants),
        4 => prop::sample::select(vec![
            "(", ")", "[", "]", "and", "or", "not", "!", "=", "<", ">=", "&", "|", "+", "-", "*", "/", "%", "^", "<<", ">>", ":", "&&",
        ]),
        4 => prop::sample::select(vec![
            "0", "1", "2", "80", "31", "4294967295", "0xff", "10.0.0.1", "10.1", "10.0.0.0/8", "::1", "fe80::/10", "1:2:3:4:5:6",
            "http", "20-30", "\\tcp", "tcp[", "ip[0]", "1.2.3.4.5", "a:b", "::", "999.1", "é", "$1", "\0",
        ]),
    ]
    .prop_map(str::to_string)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,80}") {
        survives(&text);
    }

    #[test]
    fn any_words(words in prop::collection::vec(word(), 0..14)) {
        survives(&words.join(" "));
        survives(&words.concat());
    }

    #[test]
    fn any_beginning(at in 0_usize..200) {
        let text = "not (vlan 5 and tcp[tcpflags] & (tcp-syn|tcp-fin) != 0) or ip[2:2] - ((ip[0]&0xf)<<2) > len and src or dst net 10.0.0.0/8 \
                    or ether host 1:2:3:4:5:6 or portrange 20-30 or ip6 protochain \\tcp and geneve 5";
        survives(&text[..at.min(text.len())]);
    }
}

#[test]
fn long_and_deep() {
    survives(&"(".repeat(50_000));
    survives(&":".repeat(5_000));
    survives(&"a:".repeat(3_000));
    survives(&"not ".repeat(16_000));
    survives(&format!("{}tcp{}", "(".repeat(60), ")".repeat(60)));
    survives(&format!("{}tcp{}", "(".repeat(1000), ")".repeat(1000)));
    survives(&format!("ip[0] = {}1", "-".repeat(60_000)));
    survives(&format!("ip[0] = 1{}", " + 1".repeat(10_000)));
    survives(&format!("ip[0] = 1{}", " + 1".repeat(250)));
    survives(&format!("{}0{} = 1", "ip[".repeat(60), "]".repeat(60)));
    survives(&"vlan and ".repeat(1000));
    survives(&format!("{}ip", "mpls and ".repeat(1000)));
    survives(&format!("{}ip", "geneve and ".repeat(8)));
    survives(&format!("{}ip", "geneve or ".repeat(9)));
    survives(&format!(
        "tcp{}",
        " or host 10.0.0.1 and not 10.0.0.2".repeat(300)
    ));
    survives(&"a".repeat(100_000));
}
