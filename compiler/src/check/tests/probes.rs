//! Attach points, and what each kind of probe offers its body.

use super::{messages, typed, typed_with};
use crate::artifact::MissingProbes;
use crate::check::Options;
use crate::kernel::fixture::kernels;

/// The headers of the typed probes.
fn headers(script: &str) -> Vec<String> {
    let out = typed(script);
    assert!(!out.contains("error["), "{out}");
    out.lines()
        .filter_map(|l| l.strip_suffix(" {"))
        .filter(|l| l.starts_with('p'))
        .map(str::to_string)
        .collect()
}

/// The last statement of the only probe.
fn last(script: &str) -> String {
    let out = typed(script);
    assert!(!out.contains("error["), "{out}");
    out.lines().rev().nth(1).unwrap_or("").trim().to_string()
}

#[test]
fn kinds_in_any_case_and_by_their_short_names() {
    assert_eq!(headers("BEGIN { } End { }"), ["p0 begin", "p1 end"]);
    assert_eq!(headers("K:nf_ct_delete { }"), ["p0 kprobe:nf_ct_delete"]);
    assert_eq!(
        headers("kr:nf_ct_delete { }"),
        ["p0 kretprobe:nf_ct_delete"]
    );
    assert_eq!(
        headers("kfunc:nf_ct_delete { }"),
        ["p0 fentry:nf_ct_delete"]
    );
    assert_eq!(
        headers("kretfunc:nf_ct_delete { }"),
        ["p0 fexit:nf_ct_delete"]
    );
    assert_eq!(
        headers("t:net:netif_receive_skb { }"),
        ["p0 tracepoint:net:netif_receive_skb"]
    );
    assert_eq!(
        headers("rt:netif_receive_skb { }"),
        ["p0 rawtracepoint:netif_receive_skb"]
    );
}

#[test]
fn intervals() {
    for script in [
        "interval:s:1 { }",
        "i:hz:10 { }",
        "interval:10ms { }",
        "interval:1000000 { }",
        "interval:us:5 { }",
    ] {
        assert_eq!(messages(script), [""; 0], "{script}");
    }
    assert_eq!(
        messages("interval:s:0 { }"),
        ["error[NT3001]: `0` is not a positive number"]
    );
    assert_eq!(
        messages("interval:day:1 { }"),
        ["error[NT3001]: `day` is not a unit of time"]
    );
    assert_eq!(
        messages("interval:100 { }"),
        ["error[NT3001]: an interval must be a microsecond at least"]
    );
}

#[test]
fn modules_and_offsets() {
    assert_eq!(
        headers("kprobe:nf_conntrack:nf_ct_delete { }"),
        ["p0 kprobe:nf_conntrack:nf_ct_delete"]
    );
    assert_eq!(
        headers("kprobe:ip_output+0x10 { }"),
        ["p0 kprobe:ip_output+16"]
    );
    assert_eq!(
        messages("kretprobe:ip_output+4 { }"),
        ["error[NT3001]: `kretprobe` takes no offset"]
    );
    assert_eq!(
        messages("kprobe:nf_nat:nf_ct_delete { }"),
        ["error[NT3003]: the kernel has no function `nf_ct_delete` in `nf_nat`"]
    );
    assert_eq!(
        messages("kprobe:nosuch:nf_ct_delete { }"),
        ["error[NT3008]: the module `nosuch` is not loaded"]
    );
}

#[test]
fn patterns_share_a_body_until_it_asks_for_what_differs() {
    let one = headers("kprobe:nf_ct_de* { @[func] = count(); }");
    assert_eq!(one, ["p0 kprobe:nf_ct_delete, kprobe:nf_ct_destroy"]);
    // The first argument of one is a conntrack, of the other its `struct nf_conntrack`.
    let two = headers("kprobe:nf_ct_delete, kprobe:nf_ct_destroy { print(arg0); }");
    assert_eq!(two, ["p0 kprobe:nf_ct_delete, kprobe:nf_ct_destroy"]);
    let places = typed("fentry:tcp_sendmsg, fentry:ip_output { print(args.sk); }");
    assert!(places.contains("print(slot0:struct sock *)"), "{places}");
    assert!(places.contains("print(slot1:struct sock *)"), "{places}");
}

#[test]
fn a_target_named_twice_is_attached_once() {
    assert_eq!(
        headers("kprobe:ip_output, kprobe:ip_output, k:ip_outpu* { }"),
        ["p0 kprobe:ip_output"]
    );
}

#[test]
fn missing_targets() {
    let script = "kprobe:no_such_function, kprobe:ip_output { }";
    let with = |missing| {
        let options = Options {
            missing_probes: Some(missing),
            ..Options::default()
        };
        typed_with(script, &kernels::linux_6_12(), &options)
    };
    assert!(
        with(MissingProbes::Error)
            .starts_with("error[NT3003]: the kernel has no function `no_such_function`")
    );
    let warned = with(MissingProbes::Warn);
    assert!(warned.starts_with(
        "warning[NT5001]: the kernel has no function `no_such_function`; this probe is skipped"
    ));
    assert!(warned.ends_with("p0 kprobe:ip_output {\n}\n"), "{warned}");
    assert_eq!(with(MissingProbes::Ignore), "p0 kprobe:ip_output {\n}\n");
    assert_eq!(
        messages("config = { missing_probes = ignore } kprobe:no_such_function { }"),
        ["error[NT3003]: no probe is left to attach"]
    );
}

#[test]
fn functions_that_cannot_be_traced() {
    let kernel = kernels::linux_6_12();
    let out = typed_with("kprobe:nf_hook_entry { }", &kernel, &Options::default());
    let first = out.lines().next().unwrap_or("");
    assert!(
        first.starts_with("error[NT3004]: the function `nf_hook_entry` cannot be traced: it is ")
            || first.starts_with("error[NT3003]"),
        "{out}"
    );
}

#[test]
fn arguments_by_name_and_number() {
    assert_eq!(
        last("kprobe:tcp_sendmsg { $x = args.size; }"),
        "$x = reg2:uint64"
    );
    assert_eq!(
        last("fentry:tcp_sendmsg { $x = args->size; }"),
        "$x = slot2:uint64"
    );
    assert_eq!(
        last("fexit:tcp_sendmsg { $x = retval; }"),
        "$x = (int32)slot3:uint64"
    );
    assert_eq!(
        last("kretprobe:tcp_sendmsg { $x = retval; }"),
        "$x = (int32)ret:uint64"
    );
    // A pointer that the verifier knows becomes a number by a cast.
    assert_eq!(
        last("fentry:tcp_sendmsg { $x = ~arg0; }"),
        "$x = (18446744073709551615 ^ (uint64)slot0:struct sock *):uint64"
    );
    assert_eq!(
        last("kprobe:tcp_sendmsg { $x = arg5; }"),
        "$x = reg5:uint64"
    );
    assert_eq!(
        last("rawtracepoint:netif_receive_skb { $x = args.skb; }"),
        "$x = slot0:struct sk_buff *"
    );
    assert_eq!(
        last("tracepoint:net:netif_receive_skb { $x = args.len; }"),
        "$x = ctx+16:uint32"
    );
    // A string of variable length is reached through its offset in the record.
    assert_eq!(
        last("tracepoint:net:netif_receive_skb { $x = args.name; }"),
        "$x = data_loc+20:int8 *"
    );
}

#[test]
fn a_kretprobe_with_arguments_runs_as_an_fexit() {
    let script = "kretprobe:tcp_sendmsg { $x = (args.size, arg1, retval); }";
    assert_eq!(headers(script), ["p0 kretprobe:tcp_sendmsg"]);
    assert_eq!(
        last(script),
        "$x = (slot2:uint64, (uint64)slot1:struct msghdr *, (int32)slot3:uint64)"
    );
    assert_eq!(
        messages("kretprobe:__x64_sys_openat { print(arg0); }"),
        [
            "error[NT3007]: this kretprobe uses arguments, which only functions that BTF describes have at their return; `__x64_sys_openat` is not in it"
        ]
    );
}

#[test]
fn arguments_that_do_not_exist() {
    let rows = [
        (
            "kprobe:tcp_sendmsg { print(arg6); }",
            "NT3006]: this argument lies on the stack, where a kprobe cannot find it",
        ),
        (
            "kprobe:tcp_sendmsg { print(args.sise); }",
            "NT1004]: `kprobe:tcp_sendmsg` has no argument `sise`",
        ),
        (
            "kretprobe:tcp_sendmsg { print(args.sise); }",
            "NT1004]: `kretprobe:tcp_sendmsg` has no argument `sise`",
        ),
        (
            "fentry:tcp_sendmsg { print(arg3); }",
            "NT3007]: `fentry:tcp_sendmsg` has 3 arguments, so there is no arg3",
        ),
        (
            "fentry:tcp_sendmsg { print(retval); }",
            "NT3006]: `retval` does not exist in `fentry` probes",
        ),
        (
            "tracepoint:net:netif_receive_skb { print(arg0); }",
            "NT3006]: a tracepoint has named arguments only",
        ),
        (
            "begin { print(args.x); }",
            "NT3006]: `args` does not exist in `begin` probes",
        ),
        (
            "kprobe:tcp_sendmsg { print(args); }",
            "NT2009]: `args` is not a value by itself",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(messages(script), [format!("error[{expected}")], "{script}");
    }
}

#[test]
fn pointers_of_system_calls_lead_to_the_callers_memory() {
    // Only `str` of a kernel string may be asked for without it: the space is in the pointer's type.
    assert_eq!(
        last("tracepoint:syscalls:sys_enter_openat { $x = str(args.filename); }"),
        "$x = str(#1024, ctx+24:int8 *):string[1024]"
    );
}

#[test]
fn what_is_wrong_with_attach_points() {
    let rows = [
        ("foo:x { }", "NT3002]: there is no probe kind `foo`"),
        (
            "uprobe:a:b { }",
            "NT0012]: nettrace has no `uprobe` probes yet",
        ),
        ("begin:x { }", "NT3001]: `begin` takes no target"),
        (
            "kprobe:a:b:c { }",
            "NT3001]: `kprobe:a:b:c` has too many parts",
        ),
        ("kprobe:ip_output+x { }", "NT3001]: `x` is not an offset"),
        (
            "kprobe:0xffffffff81000000 { }",
            "NT0012]: a probe on a bare address is not supported",
        ),
        (
            "tracepoint:net { }",
            "NT3001]: a tracepoint has a category and an event",
        ),
        (
            "tracepoint:net:nope_nope { }",
            "NT3003]: the kernel has no tracepoint `net:nope_nope`",
        ),
        (
            "rawtracepoint:nope_nope { }",
            "NT3003]: the kernel has no raw tracepoint `nope_nope`",
        ),
        (
            "kprobe:zz_*_zz { }",
            "NT3003]: no traceable function matches `kprobe:zz_*_zz`",
        ),
        (
            "kprobe:$1 { }",
            "NT3001]: this probe needs the parameter `$1`, which was not given",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(messages(script), [format!("error[{expected}")], "{script}");
    }
}

#[test]
fn parameters_in_attach_points_and_bodies() {
    let options = Options {
        params: vec![
            "ip_output".to_string(),
            "0x10".to_string(),
            "eth0".to_string(),
        ],
        ..Options::default()
    };
    let script = "kprobe:$1 { $n = $2; $s = $3; $t = str($2); $c = $#; }";
    let out = typed_with(script, &kernels::linux_6_12(), &options);
    for line in [
        "p0 kprobe:ip_output {",
        "  $n = 16",
        "  $s = \"eth0\"",
        "  $t = \"0x10\"",
        "  $c = 3",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n{out}");
    }
}

#[test]
fn names_of_probes_compare_without_any_text_at_run_time() {
    let both = "kprobe:ip_output, kprobe:nf_hook_slow";
    let cond = |text: &str| last(&format!("begin {{ }} {both} {{ $x = {text}; }}"));
    assert_eq!(
        cond("func == \"nf_hook_slow\""),
        "$x = (probe():string == (string)2)"
    );
    assert_eq!(
        cond("probe != \"kprobe:ip_output\""),
        "$x = !(probe():string == (string)1)"
    );
    assert_eq!(cond("\"vfs_read\" == func"), "$x = false");
    assert_eq!(
        last("kprobe:ip_output { $x = func == \"ip_output\"; }"),
        "$x = true"
    );
}

#[test]
fn packets_of_all_functions() {
    let all = headers("skb:* { @[func, skb->len] = count(); }");
    let [one] = all.as_slice() else {
        panic!("one program: {all:?}");
    };
    assert!(
        one.contains("skb:ip_rcv") && one.contains("skb:nf_confirm"),
        "{one}"
    );
    assert!(!one.contains("nf_ct_delete"), "{one}");
    assert_eq!(
        headers("skb:nf_conntrack:nf_* { }"),
        ["p0 skb:nf_conntrack:nf_confirm, skb:nf_conntrack:nf_conntrack_in"]
    );
    // However many there are.
    let few = "config = { max_probes = 2 } skb:ip_* { }";
    assert_eq!(headers(few).len(), 1);
    assert!(last("skb:ip_rcv { print(skb); }").contains("struct sk_buff *"));
}

#[test]
fn hooks_of_netfilter() {
    assert_eq!(
        headers("hook:nf_conntrack:* { @[func] = arg2; }"),
        [
            "p0 hook:nf_conntrack:ipv4_conntrack_in, hook:nf_conntrack:ipv4_conntrack_local, hook:nf_conntrack:nf_confirm"
        ]
    );
    assert_eq!(
        headers("hookret:nf_confirm { @[func] = retval; }"),
        ["p0 hookret:nf_confirm"]
    );
    assert_eq!(
        messages("hook:nf_conntrack_in { }"),
        ["error[NT3003]: no netfilter hook function matches `hook:nf_conntrack_in`"]
    );
    assert_eq!(
        messages("hook:nosuch:* { }"),
        ["error[NT3008]: the module `nosuch` is not loaded"]
    );
    assert_eq!(
        messages("hook { }"),
        ["error[NT3001]: `hook` is not a `hook` probe"]
    );
}

#[test]
fn what_skb_probes_do_not_have() {
    assert_eq!(
        messages("skb:ip_rcv { print(args.dev); }"),
        ["error[NT3006]: `args` does not exist in `skb` probes"]
    );
    assert_eq!(
        messages("skb:ip_* { print(arg0); }"),
        ["error[NT3006]: `arg0` does not exist in `skb` probes"]
    );
    assert_eq!(
        messages("kprobe:ip_rcv { print(skb); }"),
        ["error[NT3006]: `skb` does not exist in `kprobe` probes"]
    );
    assert_eq!(
        messages("skb:nf_ct_delete { }"),
        ["error[NT3003]: `nf_ct_delete` takes no packet in a register"]
    );
    assert_eq!(
        messages("skb:ip_rvc { }"),
        ["error[NT3003]: the kernel has no function `ip_rvc`"]
    );
    assert_eq!(
        messages("skb:nothing* { }"),
        ["error[NT3003]: no function that takes a packet matches `skb:nothing*`"]
    );
    assert_eq!(
        messages("skb:nosuch:ip_* { }"),
        ["error[NT3008]: the module `nosuch` is not loaded"]
    );
    assert_eq!(
        messages("skb { }"),
        ["error[NT3001]: `skb` is not an `skb` probe"]
    );
}
