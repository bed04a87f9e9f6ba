//! The scripts of the stories, whole.

use super::{typed, typed_with};
use crate::artifact::MissingProbes;
use crate::check::Options;
use crate::kernel::fixture::kernels;

const CONNTRACK: &str = r#"#include <linux/socket.h>
#include <net/netfilter/nf_conntrack.h>

kprobe:nf_ct_delete
{
    // The first argument is the struct nf_conn
    $ct = (struct nf_conn *)arg0;

    // Check if the connection is for IPv4
    if ($ct->tuplehash[0].tuple.src.l3num == AF_INET) {
        $tuple_orig = $ct->tuplehash[0].tuple;
        $src_ip = $tuple_orig.src.u3.ip;
        $src_port_n = $tuple_orig.src.u.all;
        $src_port = ($src_port_n >> 8) | (($src_port_n << 8) & 0x00FF00);
        if ($src_ip != 0x020011ac) {
            return;
        }
        $mark = $ct->mark;
        printf("Conntrack destroyed (IPv4): src=%s sport=%d mark=%d\n",
                ntop($src_ip), $src_port, $mark);

        printf("%s\n", kstack());
    }
}
"#;

const PREROUTING: &str = r#"kprobe:ipv4_conntrack_defrag,
kprobe:ipv4_conntrack_in
{
    $skb = (struct sk_buff *)arg1;
    $iph = (struct iphdr *)($skb->head + $skb->network_header);
    $th = (struct tcphdr *)($skb->head + $skb->transport_header);

    if ($iph->protocol == 6 /* IPPROTO_TCP */ &&
        $th->dest == 2570 /* htons(2570) */ &&
        $th->syn == 1) {
        time("%H:%M:%S ");
        printf("%s:%u > %s:%u tcp syn %s\n",
               ntop($iph->saddr),
               (uint16)($th->source << 8) | ($th->source >> 8),
               ntop($iph->daddr),
               (uint16)($th->dest << 8) | ($th->dest >> 8),
               func);
    }
}
"#;

#[test]
fn the_published_conntrack_script() {
    let expected = r#"p0 kprobe:nf_ct_delete {
  let $ct: struct nf_conn *
  let $tuple_orig: struct nf_conntrack_tuple
  let $src_ip: uint32
  let $src_port_n: uint16
  let $src_port: uint64
  let $mark: uint32
  $ct = (struct nf_conn *)reg0:uint64
  if ($ct->16[0].16.0.18:uint16 == 2) {
    $tuple_orig = $ct->16[0].16:struct nf_conntrack_tuple
    $src_ip = $tuple_orig.0.0.0:uint32
    $src_port_n = $tuple_orig.0.16.0:uint16
    $src_port = (((uint64)$src_port_n >>u 8):uint64 | (((uint64)$src_port_n << 8):uint64 & 65280):uint64):uint64
    if ($src_ip != 33558956) {
      return
    }
    $mark = $ct->168:uint32
    printf("Conntrack destroyed (IPv4): src={} sport={} mark={}\n", ntop($src_ip):inet, $src_port, (uint64)$mark)
    printf("{}\n", kstack():kstack_t)
  }
}
"#;
    assert_eq!(typed(CONNTRACK), expected);
}

#[test]
fn the_prerouting_tracer() {
    let expected = r#"p0 kprobe:ipv4_conntrack_defrag, kprobe:ipv4_conntrack_in {
  let $skb: struct sk_buff *
  let $iph: struct iphdr *
  let $th: struct tcphdr *
  $skb = (struct sk_buff *)reg1:uint64
  $iph = (struct iphdr *)($skb->200:uint8 * + (int64)$skb->184:uint16):uint8 *
  $th = (struct tcphdr *)($skb->200:uint8 * + (int64)$skb->182:uint16):uint8 *
  if ((($iph->9:uint8 == 6) && ($th->2:uint16 == 2570)) && ($th->13:1+1:uint16 == 1)) {
    time("%H:%M:%S ")
    printf("{}:{} > {}:{} tcp syn {}\n", ntop($iph->12:uint32):inet, ((uint64)(uint16)((uint64)$th->0:uint16 << 8):uint64 | ((uint64)$th->0:uint16 >>u 8):uint64):uint64, ntop($iph->16:uint32):inet, ((uint64)(uint16)((uint64)$th->2:uint16 << 8):uint64 | ((uint64)$th->2:uint16 >>u 8):uint64):uint64, func():ksym_t)
  }
}
"#;
    assert_eq!(typed(PREROUTING), expected);
}

#[test]
fn stacks_as_keys() {
    let expected = "map @[kstack_t]: count per-cpu
p0 kprobe:nf_hook_slow {
  @[kstack():kstack_t] = count()
}
p1 interval:s:1 {
  exit()
  return
}
";
    let script = "kprobe:nf_hook_slow { @[kstack()] = count(); } interval:s:1 { exit(); }";
    assert_eq!(typed(script), expected);
}

#[test]
fn arguments_of_kprobes_by_name() {
    let expected = "map @sent[uint32]: sum<uint64> per-cpu
p0 kprobe:tcp_sendmsg {
  @sent[pid():uint32] = sum<uint64>(reg2:uint64)
}
";
    assert_eq!(
        typed("kprobe:tcp_sendmsg { @sent[pid] = sum(args.size); }"),
        expected
    );
}

/// The first version of the conntrack script: two addresses of one union, each read on its own.
const FIRST: &str = r#"kprobe:nf_ct_delete
{
    $ct = (struct nf_conn *)arg0;
    $src_ip = $ct->tuplehash[0].tuple.src.u3.ip;
    $dst_ip = $ct->tuplehash[0].tuple.dst.u3.ip;
    printf("%s > %s\n", ntop($src_ip), ntop($dst_ip));
}
"#;

#[test]
fn every_story_on_every_kernel() {
    let options = Options {
        missing_probes: Some(MissingProbes::Warn),
        ..Options::default()
    };
    for kernel in [
        kernels::linux_6_1(),
        kernels::linux_6_12(),
        kernels::linux_7_2(),
    ] {
        for script in [CONNTRACK, FIRST, PREROUTING] {
            let out = typed_with(script, &kernel, &options);
            assert!(!out.contains("error["), "{out}");
            // One program, also where a function is missing.
            assert_eq!(out.matches("\np1 ").count(), 0, "{out}");
        }
    }
}

#[test]
fn both_addresses_of_a_tuple() {
    let out = typed(FIRST);
    assert!(
        out.contains("$src_ip = $ct->16[0].16.0.0.0:uint32"),
        "{out}"
    );
    assert!(
        out.contains("$dst_ip = $ct->16[0].16.20.0.0:uint32"),
        "{out}"
    );
}

#[test]
fn a_struct_of_vmlinux_and_of_a_module_is_one() {
    // On 7.2 both describe struct nf_conn: the cast finds vmlinux's, the argument has the module's.
    let script = "kprobe:nf_ct_delete { $ct = (struct nf_conn *)arg0; if ($ct == args.ct) { $ct = args.ct; } @last = $ct; }";
    let out = typed_with(script, &kernels::linux_7_2(), &Options::default());
    assert!(out.starts_with("map @last: struct nf_conn *\n"), "{out}");
}
