//! Records: tuples whose elements have names.

use super::{body, messages, typed};

/// The messages of a `begin` body.
fn message(text: &str) -> String {
    messages(&format!("begin {{ {text} }}")).join(" | ")
}

fn variables(text: &str) -> Vec<String> {
    let out = typed(&format!("begin {{ {text} }}"));
    assert!(!out.contains("error["), "{out}");
    let lets = out.lines().filter_map(|l| l.strip_prefix("  let "));
    lets.map(str::to_string).collect()
}

#[test]
fn a_record_knows_names_and_types() {
    assert_eq!(
        variables(r#"$r = (a=1, b="x", inner=(c=pid,)); $b = $r.b; $c = $r.inner.c;"#),
        [
            "$r: (a=int8, b=string[2], inner=(c=uint32))",
            "$b: string[2]",
            "$c: uint32"
        ]
    );
}

#[test]
fn names_count_and_not_their_order() {
    // The first one's order stays; types grow by name.
    assert_eq!(
        variables(r#"$r = (a=1, b="x"); $r = (b="longer", a=300);"#),
        ["$r: (a=int16, b=string[7])"]
    );
    assert_eq!(
        body(r#"$r = (a=1, b="x"); $r = (b="y", a=2);"#),
        "$r = (a=1, b=\"x\")\n$r = (a=2, b=\"y\")"
    );
    assert_eq!(
        body("@x[(a=pid, b=tid)] = 1; @x[(b=tid, a=pid)] = 2;"),
        "@x[(a=pid():uint32, b=tid():uint32)] = 1\n@x[(a=pid():uint32, b=tid():uint32)] = 2"
    );
}

#[test]
fn a_record_in_another_order_is_built_anew() {
    assert_eq!(
        body("$a = (x=pid, y=cpu); $b = (y=cpu, x=pid); $same = $a == $b;"),
        "$a = (x=pid():uint32, y=cpu():uint32)\n$b = (y=cpu():uint32, x=pid():uint32)\n$same = ($a == (x=$b.1, y=$b.0))"
    );
}

#[test]
fn what_a_block_does_is_done_once() {
    assert_eq!(
        body("$p = (1, 2); $p = { @n++; (pid, (uint64)cpu) };"),
        "$p = (1, 2)\n$p = { (@n += 1 after); (pid():uint32, (uint64)cpu():uint32) }"
    );
}

#[test]
fn mistakes() {
    let rows = [
        (
            "$r = (a=1, a=2);",
            "error[NT1006]: this record has two fields `a`",
        ),
        (
            "$r = (port=1, name=2); print($r.prot);",
            "error[NT1004]: this record has no field `prot`",
        ),
        (
            "$r = (a=1, b=2); print($r.0);",
            "error[NT1004]: `.0` needs a tuple; this is a record (a=int8, b=int8)",
        ),
        (
            "$r = (a=1, b=2); $r = (a=1, c=2);",
            "error[NT2001]: `$r` holds a record (a=int8, b=int8) and cannot be assigned a record (a=int8, c=int8)",
        ),
        (
            "$r = (a=1, b=2); $r = (1, 2);",
            "error[NT2001]: `$r` holds a record (a=int8, b=int8) and cannot be assigned a tuple (int8, int8)",
        ),
        (
            "print((a=1, b=2) < (a=1, b=3));",
            "error[NT2002]: `<` cannot be used on a record (a=int8, b=int8) and a record (a=int8, b=int8)",
        ),
        (
            "print((a=1, b=2) == (1, 2));",
            "error[NT2001]: `==` cannot compare a record (a=int8, b=int8) with a tuple (int8, int8)",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(message(script), expected, "{script}");
    }
}
