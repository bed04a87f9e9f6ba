//! Records and tuples: built, kept, compared, taken apart.

use super::{begin, shows};

#[test]
fn records_are_values_keys_and_go_through_maps() {
    shows(
        &begin(
            r#"$r = (port=443, name="https"); @last = $r; @seen[(cpu=1, who="a")] = $r; @seen[(who="a", cpu=1)].port;
            print($r.name); print(@last.port); print(@seen[(who="a", cpu=1)]);"#,
        ),
        r#"
        print "https"
        print 443
        print (port=443, name="https")
        @last: (port=443, name="https")
        @seen[(cpu=1, who="a")]: (port=443, name="https")
        "#,
    );
}

#[test]
fn records_are_compared_by_name() {
    shows(
        &begin(
            r#"$a = (n=1, s="x"); $b = (s="x", n=1);
            print($a == $b); $b = (s="y", n=1); print($a == $b); print($a != $b); print((n=2, s="x") == $a);"#,
        ),
        "print true\nprint false\nprint true\nprint false",
    );
}

#[test]
fn records_in_records_and_tuples() {
    shows(
        &begin(
            "$r = (in=(1, (x=7, y=8)), out=3); print($r.in.1.y + $r.out); @m[1] = ($r.in, 6); print(@m[1].0.1.x);",
        ),
        "print 11\nprint 7\n@m[1]: ((1, (x=7, y=8)), 6)",
    );
}

#[test]
fn tuples_are_compared_element_by_element() {
    shows(
        &begin(
            r#"$t = (1, "ab", (2, 3)); print($t == (1, "ab", (2, 3))); print($t == (1, "ab", (2, 4)));
            print($t != (1, "abc", (2, 3))); @k[1, "x"] = (4, "y"); print(@k[1, "x"] == (4, "y"));"#,
        ),
        "print true\nprint false\nprint true\nprint true\n@k[(1, \"x\")]: (4, \"y\")",
    );
}

#[test]
fn what_a_block_does_is_done_once() {
    shows(
        &begin("$p = (1, 2); $p = { @n++; (300, 70000) }; print($p);"),
        "print (300, 70000)\n@n: 1",
    );
}

/// Tuples of many variables use up the stack; what finds the other memory needs some of it.
#[test]
fn more_than_the_stack_holds() {
    // 32 bytes each; two of 8 fill the 400 bytes that may be handed out to the last one.
    let text = |n: u32| format!("$t{n} = ({n}, \"a text of some length {n}\");");
    let large = |range: std::ops::Range<u32>| range.map(text).collect::<String>();
    let script = large(0..12)
        + "$a = (1, 2); $b = (3, 4);"
        + &large(12..30)
        + " @m[$t29] = $t3; print(@m[$t29].0 + $t7.0);";
    shows(
        &begin(&script),
        "print 10\n@m[(29, \"a text of some length 29\")]: (3, \"a text of some length 3\")",
    );
}
