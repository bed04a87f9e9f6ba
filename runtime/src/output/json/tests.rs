//! Results in, lines out; and every line is JSON, whatever the values.

use nettrace_compiler::artifact::{Layout, MapKind, StackMode, hist_buckets, lhist_buckets};

use super::*;
use crate::decode::decode;
use crate::testing::{self, I64, U64, int, record, script_map, tuple, words};

type Memory = JsonSink<Vec<u8>, Vec<u8>>;

/// What is printed on standard output and standard error.
fn printed(print: impl FnOnce(&mut Memory)) -> (String, String) {
    let mut sink = JsonSink::new(Writer::new(Vec::new(), Vec::new()));
    print(&mut sink);
    sink.finish().expect("a vector takes everything");
    let (output, messages) = sink.into_parts();
    let output = String::from_utf8(output).expect("JSON is text");
    for line in output.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(object.get("type").is_some_and(|kind| kind.is_string()));
        assert!(object.get("data").is_some(), "{line}");
    }
    (output, String::from_utf8_lossy(&messages).into_owned())
}

fn data(layout: &Layout, bytes: &[u8]) -> String {
    let value = decode(layout, bytes);
    let (line, _) = printed(|sink| sink.value(&value, &mut testing::names()));
    let data = line.strip_prefix("{\"type\": \"value\", \"data\": ");
    let data = data.and_then(|rest| rest.strip_suffix("}\n"));
    data.expect(&line).to_string()
}

#[test]
fn texts() {
    let (lines, _) = printed(|sink| {
        sink.text(TextKind::Printf, b"drop \"eth0\"\n");
        sink.text(TextKind::Time, b"12:00:00\n");
        sink.text(TextKind::Join, b"curl -s");
    });
    assert_eq!(
        lines,
        r#"{"type": "printf", "data": "drop \"eth0\"\n"}
{"type": "time", "data": "12:00:00\n"}
{"type": "join", "data": "curl -s"}
"#
    );
}

#[test]
fn numbers() {
    assert_eq!(data(&I64, &words(&[(-3i64) as u64])), "-3");
    assert_eq!(data(&Layout::Bool, &[1]), "true");
    assert_eq!(data(&Layout::Pointer, &words(&[4096])), "4096");
    let protocol = Layout::Enum {
        bytes: 1,
        signed: false,
        names: vec![(6, "IPPROTO_TCP".to_string())],
    };
    assert_eq!(data(&protocol, &[6]), "6");
}

#[test]
fn numbers_that_readers_would_round_are_strings() {
    let show = |n: u64| data(&U64, &words(&[n]));
    assert_eq!(show(1 << 53), "9007199254740992");
    assert_eq!(show((1 << 53) + 1), r#""9007199254740993""#);
    assert_eq!(show(1 << 63), "9223372036854775808");
    assert_eq!(show(u64::MAX), r#""18446744073709551615""#);
    assert_eq!(
        data(&I64, &words(&[i64::MIN as u64])),
        "-9223372036854775808"
    );
    assert_eq!(
        data(&I64, &words(&[(i64::MIN + 1) as u64])),
        r#""-9223372036854775807""#
    );
}

#[test]
fn what_has_only_a_text_form_is_a_string() {
    assert_eq!(data(&Layout::Str { cap: 8 }, b"lo\0xxxxx"), r#""lo""#);
    assert_eq!(
        data(&Layout::Inet { v6: false }, &[192, 0, 2, 1]),
        r#""192.0.2.1""#
    );
    assert_eq!(
        data(&Layout::Mac, &[2, 0xab, 0, 0, 0, 15]),
        r#""02:AB:00:00:00:0F""#
    );
    assert_eq!(
        data(&Layout::KSym, &words(&[0xffffffff81000100])),
        r#""ip_output""#
    );
    assert_eq!(
        data(&Layout::ProbeName, &words(&[0])),
        r#""kprobe:nf_ct_delete""#
    );
    let stack = Layout::Stack {
        user: false,
        frames: 1,
        mode: StackMode::Bpftrace,
    };
    assert_eq!(
        data(&stack, &words(&[8, 0xffffffffc0a10001])),
        r#""\n        nf_ct_delete+1 [nf_conntrack]\n""#
    );
}

#[test]
fn compound_values() {
    let mut buffer = 3u32.to_ne_bytes().to_vec();
    buffer.extend([0, 0x41, 0xff]);
    assert_eq!(data(&Layout::Buf { cap: 3 }, &buffer), "[0,65,255]");
    let pair = tuple(&[int(4, false), Layout::Str { cap: 4 }]);
    assert_eq!(data(&pair, b"\x01\0\0\0abc\0"), r#"[1,"abc"]"#);
    let nested = record(&[("port", int(2, false)), ("pair", pair)]);
    assert_eq!(
        data(&nested, b"\x50\0\0\0\x01\0\0\0abc\0"),
        r#"{"port": 80, "pair": [1,"abc"]}"#
    );
    let array = Layout::Array {
        elem: Box::new(int(1, true)),
        len: 2,
    };
    assert_eq!(data(&array, &[1, 0xff]), "[1,-1]");
    assert_eq!(
        (data(&record(&[]), &[]), data(&tuple(&[]), &[])),
        ("{}".into(), "[]".into())
    );
}

#[test]
fn what_cannot_be_read_says_so_in_its_place() {
    let pair = tuple(&[int(1, false), Layout::Buf { cap: 3 }]);
    let damaged = [7, 0, 0, 0, 9, 0, 0, 0, 1, 2, 3, 0];
    assert_eq!(
        data(&pair, &damaged),
        r#"[7,"!{a length of 9 in a value of at most 3}"]"#
    );
}

/// A map with these entries as a line.
fn map(key: Option<Layout>, value: Stored, entries: &[(&[u8], Vec<u8>)]) -> String {
    let map = script_map("@x", MapKind::Hash, key, value);
    let script = map.script.as_ref().expect("a map of the script");
    let raw = crate::live::Entries {
        key_size: entries.first().map_or(4, |e| e.0.len()),
        value_size: entries.first().map_or(8, |e| e.1.len()),
        keys: entries.iter().flat_map(|e| e.0.to_vec()).collect(),
        values: entries.iter().flat_map(|e| e.1.clone()).collect(),
    };
    let table = Table::new(&map, script, &raw, 0, 0);
    printed(|sink| sink.map(&table, &mut testing::names())).0
}

#[test]
fn maps() {
    let scalar = map(None, Stored::Plain(U64), &[(&[0; 4], words(&[5]))]);
    assert_eq!(scalar, "{\"type\": \"map\", \"data\": {\"@x\": 5}}\n");
    let text = Layout::Str { cap: 8 };
    let pair = tuple(&[text, int(4, false)]);
    let keyed = map(
        Some(pair.clone()),
        Stored::Count,
        &[
            (b"a b\0\0\0\0\0\x02\0\0\0", words(&[5])),
            (b"\xff\"\0\0\0\0\0\0\x01\0\0\0", words(&[6])),
        ],
    );
    assert_eq!(
        keyed,
        "{\"type\": \"map\", \"data\": {\"@x\": {\"a b,2\": 5, \"\u{fffd}\\\",1\": 6}}}\n"
    );
    let nested = tuple(&[int(4, false), record(&[("p", pair)])]);
    let nested = map(
        Some(nested),
        Stored::Count,
        &[(b"\x01\0\0\0eth0\0\0\0\0\x02\0\0\0", words(&[1]))],
    );
    assert_eq!(
        nested,
        "{\"type\": \"map\", \"data\": {\"@x\": {\"1,{.p=eth0,2}\": 1}}}\n"
    );
    assert_eq!(map(Some(U64), Stored::Count, &[]), "", "an empty map");
}

#[test]
fn averages_and_stats() {
    let average = map(
        None,
        Stored::Avg { signed: true },
        &[(&[0; 4], words(&[12, 2]))],
    );
    assert_eq!(average, "{\"type\": \"stats\", \"data\": {\"@x\": 6}}\n");
    let stats = map(
        None,
        Stored::Stats { signed: false },
        &[(&[0; 4], words(&[12, 2]))],
    );
    assert_eq!(
        stats,
        "{\"type\": \"stats\", \"data\": {\"@x\": {\"count\": 2, \"average\": 6, \"total\": 12}}}\n"
    );
}

#[test]
fn histograms() {
    let mut buckets = vec![0u64; hist_buckets(0) as usize];
    buckets[..5].copy_from_slice(&[1, 0, 2, 3, 0]);
    let hist = map(
        None,
        Stored::Hist { bits: 0 },
        &[(&[0; 4], words(&buckets))],
    );
    assert_eq!(
        hist,
        "{\"type\": \"hist\", \"data\": {\"@x\": [{\"max\": -1, \"count\": 1},{\"min\": 0, \"max\": 0, \"count\": 0},\
         {\"min\": 1, \"max\": 1, \"count\": 2},{\"min\": 2, \"max\": 3, \"count\": 3}]}}\n"
    );
    assert_eq!(lhist_buckets(0, 20, 10), 4);
    let lhist = map(
        Some(U64),
        Stored::Lhist {
            min: 0,
            max: 20,
            step: 10,
        },
        &[
            (&[1, 0, 0, 0, 0, 0, 0, 0], words(&[1, 0, 0, 4])),
            (&[2, 0, 0, 0, 0, 0, 0, 0], words(&[0, 9, 0, 0])),
        ],
    );
    assert_eq!(
        lhist,
        "{\"type\": \"hist\", \"data\": {\"@x\": {\"1\": [{\"max\": -1, \"count\": 1},{\"min\": 0, \"max\": 9, \"count\": 0},\
         {\"min\": 10, \"max\": 19, \"count\": 0},{\"min\": 20, \"count\": 4}], \
         \"2\": [{\"min\": 0, \"max\": 9, \"count\": 9}]}}}\n"
    );
    let empty = map(
        None,
        Stored::Hist { bits: 0 },
        &[(&[0; 4], words(&[0; 66]))],
    );
    assert_eq!(empty, "{\"type\": \"hist\", \"data\": {\"@x\": []}}\n");
}

#[test]
fn what_a_program_must_know_of_the_run() {
    let losing = Lost {
        probe: "kprobe:ip_rcv".to_string(),
        events: 7,
    };
    let (lines, messages) = printed(|sink| {
        sink.attached(2, &[]);
        sink.lost(std::slice::from_ref(&losing));
        sink.end();
        sink.ledger(&Ledger {
            ring_full: vec![losing],
            ..Ledger::default()
        });
    });
    assert_eq!(
        lines,
        r#"{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"type": "lost_events", "count": 7, "data": {"events": 7, "probe": "kprobe:ip_rcv"}}
{"type": "loss_ledger", "data": {"total": 7, "ring_full": {"kprobe:ip_rcv": 7}}}
"#
    );
    // A person is told as always.
    assert_eq!(
        messages,
        "Attached 2 probes\nLost 7 events (kprobe:ip_rcv)\n\
         WARNING: Total lost event count: 7\n    kprobe:ip_rcv: 7\n"
    );
    let (lines, _) = printed(|sink| {
        let gone = Skipped {
            reason: "gone",
            functions: 3,
        };
        sink.attached(2, &[gone]);
        sink.ledger(&Ledger {
            busy: vec![Lost {
                probe: "skb:ip_rcv and 9 more".to_string(),
                events: 2,
            }],
            ..Ledger::default()
        });
    });
    assert_eq!(
        lines,
        r#"{"type": "attached_probes", "count": 2, "data": {"probes": 2, "skipped": {"gone": 3}}}
{"type": "loss_ledger", "data": {"total": 2, "ring_full": {}, "program_busy": {"skb:ip_rcv and 9 more": 2}}}
"#
    );
    let (lines, messages) = printed(|sink| sink.ledger(&Ledger::default()));
    assert_eq!(
        lines,
        "{\"type\": \"loss_ledger\", \"data\": {\"total\": 0, \"ring_full\": {}}}\n"
    );
    assert_eq!(messages, "");
}
