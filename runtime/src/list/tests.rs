//! Listings of the checked-in 6.12 kernel.

use std::path::Path;

use nettrace_compiler::kernel::fixture::FixtureKernel;

use super::*;

fn kernel() -> FixtureKernel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kernels");
    let read = |name: &str| std::fs::read(folder.join(name)).expect(name);
    let modules =
        ["nf_conntrack", "nf_tables"].map(|m| (m.to_string(), read(&format!("x86-6.12.{m}.btf"))));
    let facts = String::from_utf8(read("x86-6.12.facts")).expect("text");
    FixtureKernel::new(read("x86-6.12.btf"), modules.to_vec(), &facts)
        .expect("the checked-in kernel")
}

/// The listing and, behind it, the problems.
fn shown(patterns: &str, verbose: bool) -> String {
    let mut out = Vec::new();
    let listed = list(&kernel(), patterns, verbose, &mut out).expect("written");
    let mut text = String::from_utf8(out).expect("text");
    for diag in listed.problems {
        text.push_str(&format!("{}: {}", diag.code, diag.message));
        diag.help
            .iter()
            .for_each(|h| text.push_str(&format!("; {h}")));
        text.push('\n');
    }
    text
}

#[test]
fn functions_of_a_pattern() {
    assert_eq!(
        shown("kprobe:nf_ct_*", false),
        "kprobe:nf_ct_delete\nkprobe:nf_ct_destroy\n"
    );
    assert_eq!(
        shown("k:nf_conntrack:nf_ct_d*", false),
        "kprobe:nf_conntrack:nf_ct_delete\nkprobe:nf_conntrack:nf_ct_destroy\n"
    );
    assert_eq!(
        shown("fentry:nf_ct_delete", false),
        "fentry:nf_conntrack:nf_ct_delete\n"
    );
    assert_eq!(
        shown("fexit:vmlinux:tcp_sendm*", false),
        "fexit:vmlinux:tcp_sendmsg\n"
    );
}

#[test]
fn functions_that_take_a_packet() {
    assert_eq!(
        shown("skb:nf_conntrack:nf_*", true),
        "\
skb:nf_conntrack:nf_confirm
    void * priv
    struct sk_buff * skb
    struct nf_hook_state * state
skb:nf_conntrack:nf_conntrack_in
    struct sk_buff * skb
    struct nf_hook_state * state
"
    );
    // It exists, takes none.
    assert!(shown("skb:tcp_sendmsg", false).contains("no probe matches `skb:tcp_sendmsg`"));
}

#[test]
fn functions_with_the_prototype_of_a_hook() {
    assert_eq!(
        shown("hook:nf_conntrack:*", false),
        "\
hook:nf_conntrack:ipv4_conntrack_in
hook:nf_conntrack:ipv4_conntrack_local
hook:nf_conntrack:nf_confirm
"
    );
    assert_eq!(
        shown("hookret:nf_confirm", true),
        "\
hookret:nf_confirm
    unsigned int retval
"
    );
    // It takes a packet and a state, but in other places.
    assert!(shown("hook:nf_conntrack_in", false).contains("no probe matches"));
}

#[test]
fn all_kinds_at_once() {
    assert_eq!(
        shown("*:nf_ct_delete", false),
        "\
kprobe:nf_ct_delete
kretprobe:nf_ct_delete
fentry:nf_conntrack:nf_ct_delete
fexit:nf_conntrack:nf_ct_delete
"
    );
    assert_eq!(
        shown("*retransmit_skb", false),
        "\
kprobe:__probestub_tcp_retransmit_skb
kprobe:__traceiter_tcp_retransmit_skb
kprobe:tcp_retransmit_skb
kretprobe:__probestub_tcp_retransmit_skb
kretprobe:__traceiter_tcp_retransmit_skb
kretprobe:tcp_retransmit_skb
skb:__probestub_tcp_retransmit_skb
skb:__traceiter_tcp_retransmit_skb
skb:tcp_retransmit_skb
tracepoint:tcp:tcp_retransmit_skb
rawtracepoint:tcp_retransmit_skb
fentry:vmlinux:__probestub_tcp_retransmit_skb
fentry:vmlinux:__traceiter_tcp_retransmit_skb
fentry:vmlinux:tcp_retransmit_skb
fexit:vmlinux:__probestub_tcp_retransmit_skb
fexit:vmlinux:__traceiter_tcp_retransmit_skb
fexit:vmlinux:tcp_retransmit_skb
"
    );
    assert_eq!(shown("BEGIN,end,i:s", false), "begin\nend\ninterval:s:N\n");
    assert_eq!(
        shown("interval", false),
        "interval:hz:N\ninterval:s:N\ninterval:ms:N\ninterval:us:N\n"
    );
}

#[test]
fn arguments() {
    assert_eq!(
        shown(
            "kprobe:nf_ct_delete,kretprobe:nf_ct_delete,fexit:nf_ct_delete",
            true
        ),
        "\
kprobe:nf_ct_delete
    struct nf_conn * ct
    u32 portid
    int report
kretprobe:nf_ct_delete
    bool retval
fexit:nf_conntrack:nf_ct_delete
    struct nf_conn * ct
    u32 portid
    int report
    bool retval
"
    );
    assert_eq!(
        shown("tracepoint:net:netif_rx,rawtracepoint:kfree_skb", true),
        "\
tracepoint:net:netif_rx
    void * skbaddr
    unsigned int len
    __data_loc char[] name
rawtracepoint:kfree_skb
    struct sk_buff * skb
    void * location
    enum skb_drop_reason reason
    struct sock * rx_sk
"
    );
}

#[test]
fn types() {
    assert_eq!(shown("struct iphdr", false), "struct iphdr\n");
    assert!(shown("struct iphdr", true).starts_with("vmlinux: struct iphdr {\n    __u8 ihl:4;"));
    assert!(shown("struct nft_pktinfo", true).starts_with("nf_tables: struct nft_pktinfo {\n"));
    assert_eq!(
        shown("struct nf_conntrack_tuple*", false),
        "struct nf_conntrack_tuple\nstruct nf_conntrack_tuple_hash\n"
    );
    assert!(shown("enum nf_inet_hooks", true).contains("NF_INET_POST_ROUTING = 4,"));
}

#[test]
fn a_probe_is_listed_once() {
    assert_eq!(
        shown("kprobe:nf_ct_del*,kprobe:nf_ct_*", false),
        "kprobe:nf_ct_delete\nkprobe:nf_ct_destroy\n"
    );
}

#[test]
fn patterns_without_a_match() {
    assert_eq!(
        shown("kprobe:nf_ct_delte", false),
        "NT3003: no probe matches `kprobe:nf_ct_delte`; there is nf_ct_delete\n"
    );
    assert_eq!(
        shown("tracepoint:net:netif_rxx", false),
        "NT3003: no probe matches `tracepoint:net:netif_rxx`; there is net:netif_rx\n"
    );
    assert_eq!(
        shown("struct iphrd", true),
        "NT1003: the kernel has no `struct iphrd`; there is iphdr\n"
    );
    assert!(
        shown("uprob:x", false)
            .starts_with("NT3002: there is no probe kind `uprob`; the kinds are begin, end,")
    );
}

#[test]
fn a_kernel_without_kprobes() {
    let kernel = kernel().with_feature(Feature::Kprobes, false);
    let mut out = Vec::new();
    let listed = list(&kernel, "kprobe:nf_ct_delete", false, &mut out).expect("written");
    assert_eq!(out, b"kprobe:nf_ct_delete\n");
    assert_eq!(listed.problems[0].code, codes::NO_KPROBES);
    // Not told when kprobes are only among the answers.
    let listed = list(&kernel, "*:nf_ct_delete", false, &mut Vec::new()).expect("written");
    assert!(listed.problems.is_empty());
}

#[test]
fn a_closed_pipe_ends_the_listing() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = list(&kernel(), "kprobe:*", false, &mut Closed).expect_err("closed");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
