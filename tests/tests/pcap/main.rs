//! Packet filters side by side with libpcap: the same verdict for every filter, packet and link layer.
//!
//! libpcap runs in a process of its own (`oracle`), nettrace's filters in the interpreter of the IR and, in part, as bytecode (`ours`).
//! Packets are made to sit on each side of a filter's tests (`packets`); filters are those of the manual (`manual`) and random ones.

mod expressions;
mod manual;
mod oracle;
mod ours;
mod packets;
mod random;

use nettrace_compiler::pcap::LinkLayer;

use oracle::Oracle;
use ours::Compiled;
use packets::{Facts, Packet};
use random::Random;

const LINKS: [LinkLayer; 2] = [LinkLayer::Ethernet, LinkLayer::Raw];

/// Compares verdicts on packets; how many matched. `theirs` is the filter in libpcap's words.
fn compare(
    oracle: &mut Oracle,
    (ours, theirs): (&str, &str),
    link: LinkLayer,
    packets: &[Packet],
    bytecode: bool,
) -> Result<usize, String> {
    let expected = oracle.ask(theirs, link, packets)?;
    let filter =
        ours::parse(ours).unwrap_or_else(|error| panic!("libpcap takes {ours:?}\n{error}"));
    let mut compiled = Compiled::new(&filter, link);
    if bytecode {
        compiled = compiled.into_bytecode();
    }
    for (packet, expected) in packets.iter().zip(&expected) {
        let found = compiled.matches(packet);
        assert_eq!(
            found, *expected,
            "{ours:?} on {link:?}, found and expected; length {}, bytes {:02x?}",
            packet.length, packet.bytes
        );
    }
    Ok(expected.into_iter().filter(|matched| *matched).count())
}

/// Every filter of the manual page, with packets on both sides of it.
#[test]
fn the_manual() {
    let mut oracle = Oracle::start();
    let mut random = Random(7);
    for (ours, theirs) in manual::FILTERS {
        let mut seen = [false, false];
        for link in LINKS {
            if link == LinkLayer::Raw
                && ["ether[", "byte"]
                    .iter()
                    .any(|bytes| ours.starts_with(bytes))
            {
                // libpcap reads the IP header instead.
                let filter = ours::parse(ours).expect("a filter");
                assert!(!filter.meaningless(link).is_empty(), "{ours}");
                continue;
            }
            let facts = Facts::of(theirs);
            let packets = packets::packets(&facts, link, 250, &mut random);
            for bytecode in [false, true] {
                match compare(&mut oracle, (ours, theirs), link, &packets, bytecode) {
                    Ok(matched) => {
                        seen[0] |= matched > 0;
                        seen[1] |= matched < packets.len();
                    }
                    // Some have no meaning without a link layer.
                    Err(error) => assert_eq!(link, LinkLayer::Raw, "{theirs}: {error}"),
                }
            }
        }
        assert_eq!(seen, [true, true], "{ours}: no packet on one side of it");
    }
}

/// What nettrace takes although libpcap does not, in libpcap's words.
const MORE: [&str; 6] = [
    "too many registers",
    // Not the divisor is 0, but the first number in it.
    "division by zero",
    "modulus by zero",
    "shift by more than 31 bits",
    "'protochain' not supported with variable length headers",
    "not supported for",
];

fn random_filters(seed: u64, count: usize) {
    let mut oracle = Oracle::start();
    let mut random = Random(seed);
    let (mut refused, mut two_sided) = (0, 0);
    for n in 0..count {
        let link = LINKS[n % 2];
        let filter = expressions::filter(&mut random, link);
        let packets = packets::packets(&Facts::of(&filter), link, 12, &mut random);
        match compare(&mut oracle, (&filter, &filter), link, &packets, n % 16 < 2) {
            Ok(matched) => two_sided += usize::from(matched > 0 && matched < packets.len()),
            Err(error) => {
                refused += 1;
                let more = MORE.iter().any(|more| error.contains(more));
                assert!(
                    more || ours::parse(&filter).is_err() || link == LinkLayer::Raw,
                    "nettrace takes {filter:?}, libpcap says {error}"
                );
            }
        }
    }
    assert!(
        refused < count / 5,
        "libpcap refuses {refused} of {count} filters"
    );
    assert!(
        two_sided > count / 4,
        "only {two_sided} of {count} filters saw packets on both sides"
    );
}

#[test]
fn ten_thousand_random_filters() {
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || random_filters(1000 + seed, 2500));
        }
    });
}
