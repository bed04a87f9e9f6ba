//! Numbers, types and operators: bpftrace-semantics.md, section by section, with the differences that are meant.

use super::{body, messages, typed};

/// `(statements, the same with conversions written out)`
fn table(rows: &[(&str, &str)]) {
    for (script, expected) in rows {
        assert_eq!(body(script), *expected, "{script}");
    }
}

/// The types of the variables of a `begin` body: `$x: int8, $y: …`.
fn types_of(text: &str) -> String {
    let out = typed(&format!("begin {{ {text} }}"));
    assert!(!out.contains("error["), "{out}");
    let lets: Vec<&str> = out
        .lines()
        .filter_map(|l| l.strip_prefix("  let "))
        .collect();
    lets.join(", ")
}

/// The one message of a `begin` body.
fn message(text: &str) -> String {
    messages(&format!("begin {{ {text} }}")).join(" | ")
}

#[test]
fn literals_have_the_smallest_signed_type() {
    assert_eq!(
        types_of("$x = 127; $y = 128; $z = -129;"),
        "$x: int8, $y: int16, $z: int16"
    );
    assert_eq!(
        types_of("$x = 0x7fffffff; $y = 0x80000000;"),
        "$x: int32, $y: int64"
    );
    assert_eq!(types_of("$x = 18446744073709551615;"), "$x: uint64");
    assert_eq!(types_of("$x = true;"), "$x: bool");
}

#[test]
fn constants_fold_in_64_bits() {
    table(&[
        ("$x = 1 + 2 * 3;", "$x = 7"),
        ("$x = 1 - 2;", "$x = -1"),
        ("$x = -7 / 2;", "$x = -3"),
        ("$x = -7 % 2;", "$x = -1"),
        ("$x = -8 >> 1;", "$x = -4"),
        ("$x = 1 << 63;", "$x = 9223372036854775808"),
        ("$x = ~10;", "$x = 18446744073709551605"),
        ("$x = ~-1;", "$x = 0"),
        ("$x = !5;", "$x = false"),
        ("$x = 3 < 4 && 0 == 1;", "$x = false"),
        ("$x = 18446744073709551615 > 1;", "$x = true"),
        ("$x = \"a\" + \"b\";", "$x = \"ab\""),
        ("$x = \"a\" < \"b\";", "$x = true"),
    ]);
}

#[test]
fn constants_without_a_value() {
    let overflow = "error[NT2008]: this constant has no value: the result does not fit 64 bits";
    assert_eq!(message("$x = 18446744073709551615 + 1;"), overflow);
    assert_eq!(message("$x = -18446744073709551615;"), overflow);
    assert_eq!(
        message("$x = 1 % 0;"),
        "error[NT2008]: this constant has no value: it divides by zero"
    );
    assert_eq!(
        message("$x = pid / 0;"),
        "error[NT2008]: this constant has no value: it divides by zero"
    );
    assert_eq!(
        message("$x = pid << 64;"),
        "error[NT2008]: this constant has no value: a shift must be by 0 to 63 bits"
    );
}

#[test]
fn arithmetic_is_64_bits_wide() {
    table(&[
        ("$x = pid + 1;", "$x = ((uint64)pid():uint32 + 1):uint64"),
        // A difference is signed.
        (
            "$x = nsecs - elapsed;",
            "$x = ((int64)nsecs(#0):uint64 - (int64)elapsed():uint64):int64",
        ),
        ("$x = (uint8)1 - 2;", "$x = ((int64)(uint8)1 - 2):int64"),
        (
            "$x = pid * (int8)3;",
            "$x = ((int64)pid():uint32 * (int64)(int8)3):int64",
        ),
        ("$x = -pid;", "$x = (0 - (int64)pid():uint32):int64"),
        (
            "$x = ~pid;",
            "$x = (18446744073709551615 ^ (uint64)pid():uint32):uint64",
        ),
    ]);
}

#[test]
fn division_and_right_shift_follow_the_sign() {
    table(&[
        ("$x = pid / 3;", "$x = ((uint64)pid():uint32 /u 3):uint64"),
        (
            "$x = (int32)pid / 3;",
            "$x = ((int64)(int32)pid():uint32 /s 3):int64",
        ),
        (
            "$x = (int32)pid % 3;",
            "$x = ((int64)(int32)pid():uint32 %s 3):int64",
        ),
        (
            "$x = (int32)pid >> 3;",
            "$x = ((int64)(int32)pid():uint32 >>s 3):int64",
        ),
        ("$x = pid >> 3;", "$x = ((uint64)pid():uint32 >>u 3):uint64"),
        // The count has no say.
        (
            "$x = pid >> (int32)tid;",
            "$x = ((uint64)pid():uint32 >>u (uint64)(int32)tid():uint32):uint64",
        ),
    ]);
}

#[test]
fn comparison_happens_in_the_smallest_common_type() {
    table(&[
        ("$x = pid > 5;", "$x = (pid():uint32 >u 5)"),
        ("$x = pid > -1;", "$x = ((int64)pid():uint32 >s -1)"),
        (
            "$x = (int32)pid < pid;",
            "$x = ((int64)(int32)pid():uint32 <s (int64)pid():uint32)",
        ),
        (
            "$x = nsecs < (int64)5;",
            "$x = ((int64)nsecs(#0):uint64 <s (int64)5)",
        ),
        (
            "$x = 1 < pid < 3;",
            "$x = ((uint8)(1 <u pid():uint32) <u 3)",
        ),
    ]);
}

#[test]
fn logic_short_circuits_on_truth() {
    table(&[
        (
            "$x = pid && tid;",
            "$x = ((bool)pid():uint32 && (bool)tid():uint32)",
        ),
        (
            "$x = !curtask || pid;",
            "$x = (!(bool)curtask():struct task_struct * || (bool)pid():uint32)",
        ),
        (
            "if (pid) { return; }",
            "if (bool)pid():uint32 {\n  return\n}",
        ),
    ]);
}

#[test]
fn bools_calculate_as_numbers_and_join_as_bools() {
    assert_eq!(
        types_of("$x = true | false; $y = true + true;"),
        "$x: bool, $y: uint64"
    );
}

#[test]
fn a_variable_has_one_type_for_its_whole_life() {
    assert_eq!(types_of("$x = 1; $x = 300;"), "$x: int16");
    assert_eq!(types_of("$x = 1; $x = pid;"), "$x: uint32");
    assert_eq!(types_of("$x = -1; $x = pid;"), "$x: int64");
    assert_eq!(types_of("$x = (int8)1; $x = (uint8)1;"), "$x: int16");
    assert_eq!(types_of("$x = \"a\"; $x = \"abc\";"), "$x: string[4]");
    assert_eq!(
        types_of("$x = (1, \"a\"); $x = (pid, \"abc\");"),
        "$x: (uint32, string[4])"
    );
    // Earlier uses see the final type.
    table(&[(
        "$x = 1; $y = $x; $x = nsecs;",
        "$x = 1\n$y = $x\n$x = nsecs(#0):uint64",
    )]);
    assert_eq!(
        types_of("$x = 1; $y = sizeof($x); $x = nsecs; $z = $x;"),
        "$x: uint64, $y: int8, $z: uint64"
    );
}

#[test]
fn counters_are_64_bits_wide() {
    assert_eq!(types_of("$i = 0; $i++;"), "$i: int64");
    assert_eq!(types_of("$i++;"), "$i: int64");
    assert_eq!(types_of("let $i: uint8; $i = 1; $i++;"), "$i: uint8");
    table(&[
        (
            "$i = 0; $i++; --$i;",
            "$i = 0\n($i += 1 after)\n($i += -1 then)",
        ),
        (
            "@n++; @m[pid]--;",
            "(@n += 1 after)\n(@m[pid():uint32] += -1 after)",
        ),
    ]);
}

#[test]
fn compound_assignment_of_maps_is_atomic_where_it_can_be() {
    table(&[
        ("@x += 5;", "@x += 5"),
        ("@x -= pid;", "@x += (0 - (int64)pid():uint32):int64"),
        ("@x = 1; @x *= 3;", "@x = 1\n@x = (@x * 3):int64"),
        ("$x = 1; $x <<= 3;", "$x = 1\n$x = ($x << 3):int64"),
    ]);
    let out = messages("begin { @m[$i++] |= 1; @m[1] = 2; }");
    assert_eq!(
        out,
        ["error[NT2010]: the key of `|=` is evaluated twice and must not change anything"]
    );
}

#[test]
fn pointers_move_by_what_they_point_to() {
    let script = |text: &str| {
        let out = typed(&format!(
            "kprobe:ip_output {{ $p = (struct sk_buff *)arg2; {text} }}"
        ));
        out.lines().rev().nth(1).unwrap_or("").trim().to_string()
    };
    assert_eq!(script("$q = $p + 2;"), "$q = ($p + 464):struct sk_buff *");
    assert_eq!(script("$q = $p - 1;"), "$q = ($p - 232):struct sk_buff *");
    // A narrow unsigned number is not sign-extended.
    assert_eq!(
        script("$q = $p->head + (uint8)200;"),
        "$q = ($p->200:uint8 * + (int64)(uint8)200):uint8 *"
    );
    assert_eq!(
        script("$q = $p[pid].len;"),
        "$q = ($p + ((int64)pid():uint32 * 232):int64):struct sk_buff *->112:uint32"
    );
    assert_eq!(script("$q = *$p->head;"), "$q = *$p->200:uint8 *");
    assert_eq!(script("$p++;"), "($p += 232 after)");
    assert_eq!(script("$q = $p == 0;"), "$q = ((uint64)$p == 0)");
    assert_eq!(
        script("$q = $p > arg1;"),
        "$q = ((uint64)$p >u reg1:uint64)"
    );
}

#[test]
fn bit_fields_and_nested_members() {
    let script = |text: &str| {
        let out = typed(&format!("kprobe:ip_output {{ {text} }}"));
        out.lines().rev().nth(1).unwrap_or("").trim().to_string()
    };
    assert_eq!(
        script("$x = ((struct iphdr *)arg0)->ihl;"),
        "$x = (struct iphdr *)reg0:uint64->0:0+4:uint8"
    );
    // Through an unnamed union.
    assert_eq!(
        script("$x = ((struct iphdr *)arg0)->daddr;"),
        "$x = (struct iphdr *)reg0:uint64->16:uint32"
    );
    // Pointers on the way are followed, with `.` and `->` alike.
    assert_eq!(
        script("$x = args.skb.dev.ifindex;"),
        script("$x = args->skb->dev->ifindex;")
    );
}

#[test]
fn casts() {
    table(&[
        ("$x = (uint8)300;", "$x = (uint8)300"),
        ("$x = (int64)pid;", "$x = (int64)pid():uint32"),
        ("$x = (bool)pid;", "$x = (bool)pid():uint32"),
        ("$x = (int8[4])pid;", "$x = (int8[4])pid():uint32"),
        (
            "$x = (uint32)(int8[4])pid;",
            "$x = (uint32)(int8[4])pid():uint32",
        ),
        (
            "$x = (struct sock *)(uint32)5;",
            "$x = (struct sock *)(uint64)(uint32)5",
        ),
        (
            "$x = (uint64)curtask;",
            "$x = (uint64)curtask():struct task_struct *",
        ),
    ]);
    assert_eq!(message("$x = (uint32)pid;"), "");
    assert_eq!(
        message("$x = (struct sock)5;"),
        "error[NT2007]: int8 cannot be cast to struct sock"
    );
    assert_eq!(
        message("$x = (int8[2])pid;"),
        "error[NT2007]: uint32 cannot be cast to int8[2]"
    );
}

#[test]
fn values_in_memory_compare_as_wholes() {
    table(&[
        (
            "$x = comm == \"bash\";",
            "$x = (comm():string[16] == \"bash\")",
        ),
        (
            "$x = (1, pid) == (tid, 2);",
            "$x = ((1, pid():uint32) == (tid():uint32, 2))",
        ),
    ]);
    assert_eq!(
        message("$x = comm == pid;"),
        "error[NT2001]: `==` cannot compare a string with a number (uint32)"
    );
    assert_eq!(
        message("$x = comm + 1;"),
        "error[NT2002]: `+` cannot be used on a string and a number (int8)"
    );
}

#[test]
fn a_choice_has_one_type() {
    table(&[
        (
            "$x = pid ? 1 : nsecs;",
            "$x = ((bool)pid():uint32 ? 1 : nsecs(#0):uint64)",
        ),
        ("$x = pid ?: 7;", "$x = (pid():uint32 ?: 7)"),
        (
            "pid ? exit() : clear(@x); @x = 1;",
            "if (bool)pid():uint32 {\n  exit()\n  return\n} else {\n  clear(@x)\n}\n@x = 1",
        ),
    ]);
    assert_eq!(
        message("$x = pid ? 1 : \"a\";"),
        "error[NT2001]: the two values have different types: a number (int8) and a string"
    );
}

#[test]
fn indexes() {
    let last = |text: &str| {
        let out = typed(&format!("begin {{ {text} }}"));
        assert!(!out.contains("error["), "{out}");
        out.lines().rev().nth(1).unwrap_or("").trim().to_string()
    };
    assert_eq!(
        last("$c = curtask->comm[2];"),
        "$c = curtask():struct task_struct *->2976[2]:int8"
    );
    assert_eq!(last("$t = (1, pid); $x = $t.1;"), "$x = $t.1");
    assert_eq!(last("$t = (1, pid); $x = $t[0];"), "$x = $t.0");
    assert_eq!(
        message("$x = curtask->comm[16];"),
        "error[NT2011]: the index 16 lies outside the array, which has 16 elements"
    );
    assert_eq!(
        message("$t = (1, 2); $x = $t.2;"),
        "error[NT2011]: a tuple of 2 has no element 2"
    );
}

#[test]
fn declared_types_do_not_grow() {
    assert_eq!(
        message("let $x: uint8 = 300;"),
        "error[NT2010]: 300 does not fit `$x`, which is uint8"
    );
    assert_eq!(
        message("let $x: uint8 = -1;"),
        "error[NT2010]: -1 does not fit `$x`, which is uint8"
    );
    assert_eq!(
        message("let $x: uint8 = pid;"),
        "warning[NT5002]: uint32 may not fit `$x`, which is uint8"
    );
    assert_eq!(message("let $x: uint64 = pid;"), "");
    assert_eq!(
        message("let $x: string[8] = pid;"),
        "error[NT2001]: `$x` holds a string and cannot be assigned a number (uint32)"
    );
}

#[test]
fn sizes_and_offsets_are_constants() {
    table(&[
        ("$x = sizeof(uint64);", "$x = 8"),
        ("$x = sizeof(struct iphdr);", "$x = 20"),
        ("$x = sizeof((1, nsecs, (int8)1, nsecs));", "$x = 32"),
        ("$x = offsetof(struct iphdr, daddr);", "$x = 16"),
        ("$x = sizeof(pid);", "$x = 4"),
    ]);
}

#[test]
fn maps_that_only_depend_on_themselves_are_numbers() {
    let out = typed("begin { @n = @n + 1; @m[1] = @m[2]; @a = @b; @b = pid; }");
    assert!(
        out.starts_with("map @n: int64\nmap @m[int8]: int64\nmap @a: uint32\nmap @b: uint32\n"),
        "{out}"
    );
}

#[test]
fn keys_grow_like_values() {
    let out = typed("begin { @x[1, \"a\"] = 1; @x[pid, comm] = 2; $v = @x[5, \"abc\"]; }");
    assert!(
        out.starts_with("map @x[(uint32, string[16])]: int8\n"),
        "{out}"
    );
}

#[test]
fn aggregations() {
    let out = typed(
        "begin { @c = count(); @s = sum(5); @s = sum(-5); @u = sum(pid); @h = hist(pid, 2); @l = lhist(pid, 0, 10, 2);
         $t = @u + @c; }",
    );
    for line in [
        "map @c: count per-cpu",
        "map @s: sum<int64> per-cpu",
        "map @u: sum<uint64> per-cpu",
        "map @h: hist<2> per-cpu",
        "map @l: lhist<0, 10, 2> per-cpu",
        "  $t = (total(@u):uint64 + total(@c):uint64):uint64",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
}

#[test]
fn addresses_of_both_families_share_a_variable() {
    let out = typed(
        "kprobe:ip_output { $a = ntop(0); if (arg1) { $a = ntop(AF_INET6, (struct in6_addr *)arg1); } @[$a] = count(); }",
    );
    for line in [
        "  $a = ntop(2, 0):inet",
        "    $a = ntop(10, *(struct in6_addr *)reg1:uint64):inet",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
}
