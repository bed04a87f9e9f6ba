//! Maps: plain values, aggregations, keys.

use super::{begin, play, shows};

#[test]
fn scalar_and_keyed_values() {
    shows(
        &begin(
            r#"@a = 1; @b["x", pid] = 2; @c[comm] = "text"; @b["x", 1] = @a + @b["x", pid] + @b["none", 0];"#,
        ),
        r#"
        @a: 1
        @b[("x", 4096)]: 2
        @b[("x", 1)]: 3
        @c["iperf3"]: "text"
        "#,
    );
}

#[test]
fn adding_to_a_missing_entry_starts_at_zero() {
    shows(
        &begin("@a[1]++; @a[1] += 5; @a[2] -= 3; $old = @a[1]++; print($old); print(++@s);"),
        "print 6\nprint 1\n@a[1]: 7\n@a[2]: -3\n@s: 1",
    );
}

#[test]
fn aggregations_add_up_over_cpus() {
    let script = "kprobe:nf_ct_delete { @c = count(); @s[1] = sum(arg1); @a = avg(arg1); @m = min(arg1); @x[2] = max(arg1); @t = stats(arg1); }";
    let outcome = play(script, |machine| {
        for (cpu, n) in [(0, 10), (1, 4), (1, 7)] {
            machine.world.cpu = cpu;
            machine.call(0, &[0, n]);
        }
    });
    shows(
        &outcome,
        "
        @c: 3
        @s[1]: 21
        @a: total 21 count 3
        @m: one of 10 4
        @x[2]: one of 10 7
        @t: total 21 count 3
        ",
    );
}

#[test]
fn programs_read_aggregations_over_all_cpus() {
    let script = "kprobe:nf_ct_delete { @c = count(); @m = max(arg1); @k[1] = sum(arg1); print(((int64)@c, (int64)@m, (int64)@k[1], (int64)@k[2])); }";
    let outcome = play(script, |machine| {
        machine.call(0, &[0, 10]);
        machine.world.cpu = 1;
        machine.call(0, &[0, 4]);
    });
    let events: Vec<&str> = outcome.lines().take(2).collect();
    assert_eq!(events, ["print (1, 10, 10, 0)", "print (2, 10, 14, 0)"]);
}

#[test]
fn histograms_count_in_the_buckets_of_the_definition() {
    let numbers = [0u64, 1, 2, 3, 4, 1023, 1024, u64::MAX, 1 << 62];
    let outcome = play(
        "kprobe:nf_ct_delete { @h = hist(arg1); @f = hist(arg1, 2); @l = lhist(arg1, 0, 1000, 100); }",
        |machine| {
            for n in numbers {
                machine.call(0, &[0, n]);
            }
        },
    );
    // The formula of `artifact::hist_buckets`, computed with floating-point-free arithmetic.
    let bucket = |v: u64, bits: u32| -> u64 {
        match v as i64 {
            ..0 => 0,
            n if n < 1 << bits => v + 1,
            _ => {
                let l = u64::from(63 - v.leading_zeros() - bits);
                ((l + 1) << bits) + ((v >> l) & ((1 << bits) - 1)) + 1
            }
        }
    };
    let expected = |name: &str, of: &dyn Fn(u64) -> u64| {
        let mut counts = std::collections::BTreeMap::new();
        for n in numbers {
            *counts.entry(of(n)).or_insert(0) += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(b, n)| format!("{b}:{n}")).collect();
        format!("{name}: buckets {}", counts.join(" "))
    };
    let linear = |v: u64| match v as i64 {
        ..0 => 0,
        1000.. => 11,
        n => 1 + n as u64 / 100,
    };
    let lines = [
        expected("@h", &|v| bucket(v, 0)),
        expected("@f", &|v| bucket(v, 2)),
        expected("@l", &linear),
    ];
    assert_eq!(outcome, lines.join("\n"));
}

#[test]
fn delete_removes_and_tells() {
    shows(
        &begin("@a[1] = 1; @a[2] = 2; print((delete(@a, 1), delete(@a, 7)));"),
        "print (true, false)\n@a[2]: 2",
    );
}

#[test]
fn a_full_map_is_a_loss() {
    let outcome = play(
        "config = { max_map_keys = 2 } kprobe:nf_ct_delete { @p[arg1] = 1; @c[arg1] = count(); }",
        |machine| {
            for n in 0..3 {
                machine.call(0, &[0, n]);
            }
        },
    );
    shows(
        &outcome,
        "@p[0]: 1\n@p[1]: 1\n@c[0]: 1\n@c[1]: 1\nm0 refused 1\nm1 refused 1",
    );
}

#[test]
fn stacks_are_keys() {
    let outcome = play(
        "kprobe:nf_ct_delete { @[kstack(3)] = count(); @n[kstack, pid] = count(); }",
        |machine| {
            machine.call(0, &[]);
            machine.call(0, &[]);
        },
    );
    shows(
        &outcome,
        "@[stack 0x810010 0x810020]: 2\n@n[(stack 0x810010 0x810020, 4096)]: 2",
    );
}
