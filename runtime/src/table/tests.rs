//! Maps as bytes in, as a terminal shows them out.

use nettrace_compiler::artifact::{Layout, MapKind};

use super::*;
use crate::live::Live;
use crate::output::Sink;
use crate::testing::{
    FakeLive, I64, U64, int, names, padded, printed, script_map, sink, tuple, words,
};

/// Prints a map named `@m` as the sink shows it.
fn show(
    kind: MapKind,
    key: Option<Layout>,
    value: Stored,
    entries: &[(&[u8], &[u8])],
    top: u32,
    div: u32,
) -> String {
    let map = script_map("@m", kind, key, value);
    let mut live = FakeLive::default();
    live.fill(1, entries);
    let entries = live
        .entries(nettrace_compiler::artifact::MapId(1))
        .expect("entries");
    let script = map.script.as_ref().expect("a script map");
    let mut sink = sink();
    sink.map(&Table::new(&map, script, &entries, top, div), &mut names());
    printed(sink).0
}

fn scalar(value: Stored, parts: &[u64]) -> String {
    show(
        MapKind::PercpuArray,
        None,
        value,
        &[(&[0; 4], &words(parts))],
        0,
        0,
    )
}

#[test]
fn aggregations_over_all_cpus() {
    let minus = |n: i64| n as u64;
    assert_eq!(scalar(Stored::Count, &[1, 2, 3]), "@m: 6\n");
    assert_eq!(
        scalar(Stored::Sum { signed: true }, &[minus(-9), 2]),
        "@m: -7\n"
    );
    assert_eq!(
        scalar(Stored::Sum { signed: false }, &[1 << 63, 1]),
        "@m: 9223372036854775809\n"
    );
    assert_eq!(
        scalar(Stored::Avg { signed: true }, &[minus(-9), 2, 2, 1]),
        "@m: -2\n"
    );
    assert_eq!(
        scalar(Stored::Avg { signed: false }, &[10, 3, 0, 0]),
        "@m: 3\n"
    );
    // A CPU that saw nothing holds zeros that do not count.
    assert_eq!(
        scalar(Stored::Min { signed: false }, &[7, 1, 0, 0, 9, 1]),
        "@m: 7\n"
    );
    assert_eq!(
        scalar(Stored::Min { signed: true }, &[7, 1, minus(-1), 1]),
        "@m: -1\n"
    );
    assert_eq!(
        scalar(Stored::Max { signed: true }, &[minus(-5), 1, 0, 0]),
        "@m: -5\n"
    );
    assert_eq!(
        scalar(Stored::Max { signed: false }, &[minus(-5), 1, 3, 1]),
        "@m: 18446744073709551611\n"
    );
    assert_eq!(
        scalar(Stored::Stats { signed: true }, &[minus(-4), 2, 10, 1]),
        "@m: { .count = 3, .average = 2, .total = 6 }\n"
    );
}

#[test]
fn nothing_counted_is_zero() {
    assert_eq!(scalar(Stored::Count, &[0, 0]), "@m: 0\n");
    assert_eq!(scalar(Stored::Avg { signed: true }, &[0, 0]), "@m: 0\n");
    assert_eq!(
        scalar(Stored::Max { signed: true }, &[0, 0, 0, 0]),
        "@m: 0\n"
    );
    assert_eq!(scalar(Stored::Hist { bits: 0 }, &[0; 66]), "@m:\n\n");
}

fn counts(entries: &[(&str, u64)], top: u32, div: u32) -> String {
    let entries: Vec<(Vec<u8>, Vec<u8>)> = entries
        .iter()
        .map(|(key, count)| (padded(key, 16), words(&[*count, 1])))
        .collect();
    let entries: Vec<(&[u8], &[u8])> = entries
        .iter()
        .map(|(k, v)| (k.as_slice(), v.as_slice()))
        .collect();
    show(
        MapKind::PercpuHash,
        Some(Layout::Str { cap: 16 }),
        Stored::Count,
        &entries,
        top,
        div,
    )
}

#[test]
fn rows_ascend_by_value_and_then_by_key() {
    let entries = [("nginx", 40), ("curl", 1), ("sshd", 9), ("bash", 9)];
    assert_eq!(
        counts(&entries, 0, 0),
        "@m[curl]: 2\n@m[bash]: 10\n@m[sshd]: 10\n@m[nginx]: 41\n"
    );
    assert_eq!(counts(&entries, 2, 0), "@m[sshd]: 10\n@m[nginx]: 41\n");
    assert_eq!(
        counts(&entries, 9, 10),
        "@m[curl]: 0\n@m[bash]: 1\n@m[sshd]: 1\n@m[nginx]: 4\n"
    );
    assert_eq!(counts(&[], 0, 0), "");
}

#[test]
fn values_that_are_no_numbers_leave_the_order_to_the_keys() {
    let key = |n: i64| n.to_ne_bytes();
    let text = |s: &str| padded(s, 8);
    assert_eq!(
        show(
            MapKind::Hash,
            Some(I64),
            Stored::Plain(Layout::Str { cap: 8 }),
            &[
                (&key(3), &text("a")),
                (&key(-1), &text("z")),
                (&key(2), &text("m"))
            ],
            0,
            0
        ),
        "@m[-1]: z\n@m[2]: m\n@m[3]: a\n"
    );
}

#[test]
fn plain_numbers_sort_by_value_with_their_sign() {
    let entry = |n: i32| n.to_ne_bytes();
    assert_eq!(
        show(
            MapKind::Hash,
            Some(int(4, false)),
            Stored::Plain(int(4, true)),
            &[(&entry(1), &entry(5)), (&entry(2), &entry(-5))],
            0,
            0
        ),
        "@m[2]: -5\n@m[1]: 5\n"
    );
}

#[test]
fn tuple_keys_lose_their_parentheses() {
    let key = tuple(&[
        int(4, false),
        tuple(&[int(4, false), Layout::Str { cap: 4 }]),
    ]);
    assert_eq!(
        show(
            MapKind::PercpuHash,
            Some(key),
            Stored::Count,
            &[(b"\x01\0\0\0\x02\0\0\0abc\0", &words(&[4]))],
            0,
            0
        ),
        "@m[1, (2, abc)]: 4\n"
    );
}

#[test]
fn stacks_as_keys_stand_on_their_own_lines() {
    let key = Layout::Stack {
        user: false,
        frames: 2,
        mode: nettrace_compiler::artifact::StackMode::Bpftrace,
    };
    assert_eq!(
        show(
            MapKind::PercpuHash,
            Some(key),
            Stored::Count,
            &[(
                &words(&[16, 0xffffffffc0a10001, 0xffffffff81000101]),
                &words(&[1, 0])
            )],
            0,
            0
        ),
        "@m[\n        nf_ct_delete+1 [nf_conntrack]\n        ip_output+1\n]: 1\n"
    );
}

#[test]
fn histograms_end_with_a_blank_line() {
    let mut buckets = [0u64; 2 * 4];
    buckets[1] = 1; // CPU 0
    buckets[4 + 1] = 1; // CPU 1
    buckets[4 + 3] = 1;
    let value = Stored::Lhist {
        min: 0,
        max: 20,
        step: 10,
    };
    let bar = |n| "@".repeat(n) + &" ".repeat(52 - n);
    let rows = format!(
        "[0, 10)                2 |{}|\n[10, 20)               0 |{}|\n[20, ...)              1 |{}|\n",
        bar(52),
        bar(0),
        bar(26)
    );
    assert_eq!(
        show(
            MapKind::PercpuHash,
            Some(U64),
            value.clone(),
            &[(&words(&[7]), &words(&buckets))],
            0,
            0
        ),
        format!("@m[7]:\n{rows}\n")
    );
    assert_eq!(scalar(value, &buckets), format!("@m:\n{rows}\n"));
}

#[test]
fn values_too_short_for_their_layout_are_told_in_place() {
    assert_eq!(
        scalar(Stored::Hist { bits: 0 }, &[1, 2]),
        "@m: !{16 bytes where 528 are needed}\n"
    );
}
