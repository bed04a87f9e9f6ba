//! Loops: what they mean, and what is wrong with them.

use super::{body, messages};

#[test]
fn ranges_count_in_64_bits_and_maps_give_tuples() {
    assert_eq!(
        body("for ($i : 0..cpu) { print($i); }"),
        "for $i in 0..(int64)cpu():uint32 {\n  print($i)\n}"
    );
    assert_eq!(
        body("@m[pid] = 1; for ($kv : @m) { $k = $kv.0; $v = $kv.1; }"),
        "@m[pid():uint32] = 1\nfor $kv in @m {\n  $k = $kv.0\n  $v = $kv.1\n}"
    );
    assert_eq!(
        body("@c[pid] = count(); for ($kv : @c) { $n = $kv.1; }"),
        "@c[pid():uint32] = count()\nfor $kv in @c {\n  $n = $kv.1\n}"
    );
}

#[test]
fn a_body_is_unrolled_while_compiling() {
    assert_eq!(
        body("$n = 1; unroll (3) { $n *= 2; }"),
        "$n = 1\n$n = ($n * 2):int64\n$n = ($n * 2):int64\n$n = ($n * 2):int64"
    );
}

#[test]
fn what_is_wrong_with_loops() {
    let rows = [
        ("begin { break; }", "NT0010]: `break` outside of a loop"),
        (
            "begin { unroll (2) { continue; } }",
            "NT0010]: `continue` outside of a loop",
        ),
        (
            "begin { @x = 1; for ($kv : @x) { } }",
            "NT2006]: `@x` has no keys to go through",
        ),
        (
            "begin { for ($kv : @nothing) { } }",
            "NT1005]: nothing is ever stored in `@nothing`",
        ),
        (
            "begin { @h[1] = hist(1); for ($kv : @h) { } }",
            "NT2009]: `@h` is hist() and has no single value",
        ),
        (
            "begin { unroll (0) { } }",
            "NT2003]: the count of unroll() must be from 1 to 100",
        ),
        (
            "begin { $i = 1; for ($i : 0..2) { } }",
            "NT1006]: the variable `$i` is declared twice",
        ),
        (
            "begin { for ($i : 0..2) { } print($i); }",
            "NT1005]: the variable `$i` has not been assigned",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(messages(script), [format!("error[{expected}")], "{script}");
    }
}
