//! Events: what is sent, what is not, and what is lost.

use super::{begin, lowered, play, shows};
use crate::artifact::{Clock, Event};
use crate::kernel::fixture::kernels;

#[test]
fn literals_are_not_sent() {
    shows(
        &begin(r#"printf("%s %d %s\n", "text", 5, comm);"#),
        r#"printf literal "text" 5 "iperf3""#,
    );
}

#[test]
fn a_full_ring_is_a_loss_and_effects_happen_all_the_same() {
    let outcome = play("kprobe:nf_ct_delete { printf(\"%d\", @n++); }", |machine| {
        machine.world.room = 1;
        machine.call(0, &[]);
        machine.call(0, &[]);
    });
    shows(&outcome, "printf 0\n@n: 2\np0 lost 1");
}

#[test]
fn strings_are_read_into_place_and_compared() {
    let script = r#"kprobe:nf_ct_delete {
        $s = str(arg0);
        printf("%s %s %d", $s, str(arg0, 3), $s == "eth0");
        if (str(arg0) == "eth") { print(1); }
        if (str(arg0) == str(arg1)) { print(2); }
        if (comm != "iperf") { print(3); }
        @[str(arg0)] = 1;
    }"#;
    let outcome = play(script, |machine| {
        let a = machine.object(b"eth0\0garbage");
        let b = machine.object(b"eth0\0other!!");
        machine.call(0, &[a, b]);
    });
    shows(
        &outcome,
        "printf \"eth0\" \"eth\" 1\nprint 2\nprint 3\n@[\"eth0\"]: 1",
    );
}

#[test]
fn exit_closes_the_gate_for_all_programs() {
    let script = "kprobe:nf_ct_delete { @a = count(); exit(3); @b = 1; } kprobe:nf_hook_slow { @a = count(); }";
    let outcome = play(script, |machine| {
        machine.call(1, &[]);
        machine.call(0, &[]);
        machine.call(0, &[]);
        machine.call(1, &[]);
    });
    shows(&outcome, "exit 3\n@a: 2\n@b: 0");
}

#[test]
fn a_single_probe_without_exit_has_no_gate() {
    let kernel = kernels::linux_6_12();
    let one = lowered("kprobe:nf_ct_delete { @ = 1; }", &kernel);
    assert_eq!(one.plan.control, None);
    let two = lowered(
        "kprobe:nf_ct_delete, kprobe:nf_hook_slow { @ = 1; }",
        &kernel,
    );
    assert!(two.plan.control.is_some());
}

#[test]
fn join_sends_strings_until_null() {
    let outcome = play("kprobe:nf_ct_delete { join((char **)arg0); }", |machine| {
        let words = [b"ip\0", b"-6\0"].map(|word| machine.object(word));
        let mut array: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        array.extend([0; 8]);
        let array = machine.object(&array);
        machine.call(0, &[array]);
    });
    assert!(outcome.starts_with(r#"join 2 "ip" "-6" """#), "{outcome}");
}

#[test]
fn buffers_carry_their_length() {
    let script = "kprobe:nf_ct_delete { print(buf(arg0, 3)); print(buf(arg0, arg1)); }";
    let outcome = play(script, |machine| {
        let bytes = machine.object(&[1, 2, 3, 4, 5]);
        machine.call(0, &[bytes, 2]);
    });
    shows(&outcome, "print [01, 02, 03]\nprint [01, 02]");
}

#[test]
fn the_predicate_decides() {
    let outcome = play(
        "kprobe:nf_ct_delete /arg0 > 5 && pid/ { print(arg0); }",
        |machine| {
            machine.call(0, &[5]);
            machine.call(0, &[6]);
        },
    );
    shows(&outcome, "print 6");
}

#[test]
fn variables_that_no_way_has_assigned_are_zero() {
    shows(
        &begin(r#"let $s; let $n; if (pid == 0) { $s = "set"; $n = 5; } print(($n, $s));"#),
        r#"print (0, "")"#,
    );
}

/// What the runtime orders events by: where the time is, and which clock.
#[test]
fn events_tell_when_they_happened() {
    let times = |body: &str| {
        let script = format!("begin {{ {body} }}");
        let plan = lowered(&script, &kernels::linux_6_12()).plan;
        let time = |event: &Event| event.time.map(|time| (time.offset, time.clock));
        plan.events.iter().map(time).collect::<Vec<_>>()
    };
    let boot = |offset| vec![Some((offset, Clock::Boot))];
    assert_eq!(times(r#"printf("%d %llu\n", pid, nsecs);"#), boot(16));
    assert_eq!(times("print(nsecs);"), boot(8));
    // Through variables, whatever lies between; but not when it may be something else.
    let somewhere = r#"$t = nsecs; if (pid == 1) { @++; } printf("%llu\n", $t);"#;
    assert_eq!(times(somewhere), boot(8));
    let two = r#"$t = nsecs; if (pid == 1) { $t = (uint64)7; } printf("%llu\n", $t);"#;
    assert_eq!(times(two), [None]);
    let elapsed = r#"printf("%llu\n", elapsed);"#;
    assert_eq!(times(elapsed), [Some((8, Clock::Elapsed))]);
    // Durations, other clocks.
    let duration = r#"printf("%llu %llu\n", nsecs - @start, nsecs(tai)); @start = nsecs;"#;
    assert_eq!(times(duration), [None]);
}

/// `perf_rb_pages` is the size of the ring, in pages, as a power of two.
#[test]
fn the_ring_is_as_large_as_the_script_asks() {
    let ring = |config: &str| {
        let script = format!("{config} begin {{ print(1); }}");
        let plan = lowered(&script, &kernels::linux_6_12()).plan;
        plan.ring.map(|ring| plan.maps[ring].max_entries)
    };
    assert_eq!(ring(""), Some(4 << 20));
    assert_eq!(ring("config = { perf_rb_pages = 3 }"), Some(16 << 10));
    assert_eq!(ring("config = { perf_rb_pages = 4096 }"), Some(16 << 20));
}

/// Functions keep the packet in different registers; `probe` is the lower half of the same cookie.
#[test]
fn the_packet_is_found_by_the_cookie() {
    // ip_local_deliver(skb), ip_output(net, sk, skb), ip_rcv(skb, …)
    let script = r#"skb:ip_* { printf("%d %d", skb, probe == "skb:ip_output"); }"#;
    let outcome = play(script, |machine| {
        for cookie in [0, 2 << 32 | 1, 2] {
            machine.world.cookie = cookie;
            machine.call(0, &[100, 101, 102]);
        }
    });
    shows(&outcome, "printf 100 0\nprintf 102 1\nprintf 100 0");
}

/// Where all targets agree, nothing is asked.
#[test]
fn one_register_needs_no_cookie() {
    let kernel = kernels::linux_6_12();
    let one = lowered("skb:nf_nat_* { @ = skb; }", &kernel);
    assert!(!one.plan.programs.iter().any(|p| p.uses_cookie));
    let targets = &one.plan.programs.iter().next().expect("a program").targets;
    let cookies: Vec<u64> = targets.iter().map(|t| t.attach_cookie()).collect();
    assert_eq!(cookies, [1 << 32, 1 << 32 | 1]);
}

#[test]
fn what_the_runtime_names_is_sent_as_numbers() {
    shows(
        &begin(
            r#"
            print((device_name(3, 4026531840), device_name(7)));
            $n = netns_name(4026532177);
            printf("%s %d %s", $n, $n, strftime("%H:%M", 5));
            @last[$n] = device_name((uint64)0x100000002, 1);
            "#,
        ),
        r#"
        print (device 3 of 4026531840, device 7 of 0)
        printf netns 4026532177 4026532177 "%H:%M" of 5
        @last[netns 4026532177]: device 2 of 1
        "#,
    );
}

#[test]
fn link_layer_addresses_are_copied() {
    let script = r#"
        kprobe:nf_ct_delete {
            $eth = (struct ethhdr *)arg0;
            printf("%s", macaddr((uint8 *)arg0));
            $copy = $eth.h_source;
            print((macaddr($eth.h_dest), macaddr($copy)));
            @seen[macaddr($eth.h_source)] = count();
        }"#;
    let outcome = play(script, |machine| {
        let at = machine.object(&[2, 0, 0, 0xab, 0xcd, 0xef, 1, 2, 3, 4, 5, 6, 8, 0]);
        machine.call(0, &[at]);
    });
    shows(
        &outcome,
        r#"
        printf mac [02, 00, 00, ab, cd, ef]
        print (mac [02, 00, 00, ab, cd, ef], mac [01, 02, 03, 04, 05, 06])
        @seen[mac [01, 02, 03, 04, 05, 06]]: 1
        "#,
    );
}
