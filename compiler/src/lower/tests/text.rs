//! Strings: length and order, of every size on both sides of a word and of a loop.

use super::{begin, play, shows};

#[test]
fn strings_have_a_length() {
    shows(
        &begin(
            r#"$a = ""; $b = "1234567"; $c = "12345678"; print((strlen($a), strlen($b), strlen($c), strlen(comm)));"#,
        ),
        "print (0, 7, 8, 6)",
    );
}

#[test]
fn a_full_array_has_its_whole_length_and_a_string_that_was_cut_off_not_the_mark() {
    let script = "kprobe:nf_ct_delete { print((strlen(str(arg0)), strlen(str(arg0, 8)), strlen(((struct task_struct *)arg0)->comm))); }";
    let outcome = play(script, |machine| {
        let text = machine.object(&[b'x'; 4096]);
        machine.call(0, &[text]);
    });
    shows(&outcome, "print (1023, 8, 16)");
}

#[test]
fn long_strings_end_anywhere() {
    let script = "kprobe:nf_ct_delete { print((strlen(str(arg0)), strlen(str(arg0, 100)))); }";
    let lengths = [0, 1, 7, 8, 63, 64, 65, 99, 100, 1022, 1023];
    let outcome = play(script, |machine| {
        for length in lengths {
            let mut bytes = vec![b'x'; length];
            bytes.resize(2048, 0);
            let text = machine.object(&bytes);
            machine.call(0, &[text]);
        }
    });
    let expected: Vec<String> = lengths
        .iter()
        .map(|n| format!("print ({n}, {})", n.min(&100)))
        .collect();
    shows(&outcome, &expected.join("\n"));
}

#[test]
fn strings_are_ordered_byte_by_byte() {
    let script = r#"kprobe:nf_ct_delete {
        $a = str(arg0); $b = str(arg1);
        print((strcmp($a, $b), $a < $b, $a <= $b, $a > $b, $a >= $b, strncmp($a, $b, 3)));
    }"#;
    let pairs: [(&[u8], &[u8], i32, i32); 7] = [
        (b"eth0", b"eth0", 0, 0),
        (b"eth0", b"eth1", -1, 0),
        (b"eth1", b"eth00", 1, 0),
        (b"", b"a", -1, -1),
        (b"b", b"aaaaaaaaaaaaaaaaaaaaaa", 1, 1),
        (b"aaaaaaaab", b"aaaaaaaaa", 1, 0),
        (b"\xff", b"\x01", 1, 1),
    ];
    let outcome = play(script, |machine| {
        for (a, b, ..) in pairs {
            let mut text = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                bytes.resize(2048, 0);
                machine.object(&bytes)
            };
            let args = [text(a), text(b)];
            machine.call(0, &args);
        }
    });
    let expected: Vec<String> = pairs
        .iter()
        .map(|(_, _, n, first)| {
            let (lt, le, gt, ge) = (*n < 0, *n <= 0, *n > 0, *n >= 0);
            format!("print ({n}, {lt}, {le}, {gt}, {ge}, {first})")
        })
        .collect();
    shows(&outcome, &expected.join("\n"));
}

#[test]
fn strings_are_compared_with_constants_too() {
    shows(
        &begin(
            r#"print((comm < "iperf4", comm < "iperf3", "iperf" < comm, strncmp(comm, "iperf2", 5), strncmp(comm, "iperf2", 6), strncmp(comm, "ip", 9)));"#,
        ),
        "print (true, false, true, 0, 1, 1)",
    );
}

#[test]
fn memory_is_compared_behind_a_nul_too() {
    let script = "kprobe:nf_ct_delete { print((memcmp(arg0, arg1, 4), memcmp((uint8 *)arg0, (uint8 *)arg1, 13))); }";
    let script = script.replace(
        "memcmp(arg0, arg1, 4)",
        "memcmp((void *)arg0, (void *)arg1, 4)",
    );
    let outcome = play(&script, |machine| {
        let a = machine.object(b"a\0bc23456789x");
        let b = machine.object(b"a\0bc23456789y");
        machine.call(0, &[a, b]);
    });
    shows(&outcome, "print (0, -1)");
}

#[test]
fn has_key_knows_entries_of_zero() {
    shows(
        &begin(r#"@m["a", 1] = 0; print((has_key(@m, ("a", 1)), has_key(@m, ("a", 2))));"#),
        "print (true, false)\n@m[(\"a\", 1)]: 0",
    );
}
