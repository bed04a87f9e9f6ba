//! What comes out of lowering and optimiser for short scripts, as text.

use super::lowered;
use crate::kernel::fixture::kernels;
use crate::pipeline;

/// The optimised IR of a script.
#[track_caller]
fn becomes(script: &str, expected: &str) {
    let mut module = lowered(script, &kernels::linux_6_12()).module;
    pipeline::optimise(&mut module).expect("no bug");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_string());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(lines(&module.to_string()), lines(expected), "\n{module}");
}

/// The record is reserved, filled in place and submitted; a full ring is counted.
#[test]
fn printf_of_an_argument() {
    becomes(
        r#"kprobe:nf_ct_delete { printf("%d\n", arg0); }"#,
        r#"
        program "kprobe_nf_ct_delete"
        b0(v0):
          v1 = map m0
          v2 = const 16
          v3 = const 0
          v4 = call ringbuf_reserve(v1, v2, v3)
          branch v4, b1, b2
        b1:
          store.u64 v4+0, v3
          v8 = load.u64 v0+112
          store.u64 v4+8, v8
          v10 = call ringbuf_submit(v4, v3)
          jump b3
        b2:
          v11 = addr m1+0
          v12 = const 1
          atomic_add.u64 v11+16, v12
          jump b3
        b3:
          ret v3
        "#,
    );
}

/// One lookup when the key is there.
#[test]
fn a_sum_by_process() {
    becomes(
        "kprobe:nf_ct_delete { @sent[pid] = sum(arg2); }",
        r#"
        program "kprobe_nf_ct_delete"
          s0: 4 bytes, align 4, "the key of @sent"
          s1: 8 bytes, align 8, "a new map entry"
        b0(v0):
          v1 = load.u64 v0+96
          v2 = call get_current_pid_tgid()
          v3 = const 32
          v4 = shr v2, v3
          v5 = addr s0+0
          store.u32 v5+0, v4
          v7 = map m0
          v8 = call map_lookup_elem(v7, v5)
          v9 = const 0
          branch v8, b2(v8), b1
        b1:
          v12 = addr s1+0
          store.u64 v12+0, v9
          v15 = const 1
          v16 = call map_update_elem(v7, v5, v12, v15)
          v18 = call map_lookup_elem(v7, v5)
          branch v18, b2(v18), b3
        b2(v21):
          atomic_add.u64 v21+0, v1
          jump b4
        b3:
          v22 = addr m1+0
          atomic_add.u64 v22+24, v15
          jump b4
        b4:
          ret v9
        "#,
    );
}

/// A scalar map is memory, a short constant one comparison: `sshd` and its NUL.
#[test]
fn comparing_the_command_with_a_constant() {
    becomes(
        r#"begin { if (comm == "sshd") { @n++; } }"#,
        r#"
        program "begin"
          s0: 8 bytes, align 8, "a compared string"
        b0(v0):
          v1 = addr s0+0
          v2 = const 8
          v3 = call get_current_comm(v1, v2)
          v5 = load.u32 v1+0
          v6 = const 1684566899
          v7 = eq v5, v6
          branch v7, b1, b3
        b1:
          v9 = load.u8 v1+4
          branch v9, b3, b2
        b2:
          v12 = const 1
          v13 = addr m0+0
          atomic_add.u64 v13+0, v12
          jump b3
        b3:
          v15 = const 0
          ret v15
        "#,
    );
}

/// One program for all functions: the cookie's upper half says where the packet is. Registers that more functions use come first.
#[test]
fn the_packet_of_many_functions() {
    becomes(
        "skb:ip_* { @[skb] = 1; }",
        r#"
        program "skb_ip_local_deliver"
          s0: 1 bytes, align 1, "a temporary value"
          s1: 8 bytes, align 8, "the key of @"
        b0(v0):
          v20 = addr m1+0
          v21 = load.u64 v20+0
          branch v21, b1, b7
        b1:
          v1 = call get_attach_cookie(v0)
          v2 = const 32
          v3 = shr v1, v2
          v4 = const 0
          branch v3, b2, b3
        b2:
          v7 = load.u64 v0+96
          jump b4(v7)
        b3:
          v6 = load.u64 v0+112
          jump b4(v6)
        b4(v8):
          v9 = const 1
          v10 = addr s0+0
          store.s8 v10+0, v9
          v11 = addr s1+0
          store.u64 v11+0, v8
          v14 = map m0
          v16 = call map_update_elem(v14, v11, v10, v4)
          branch v16, b5, b6
        b5:
          atomic_add.u64 v20+24, v9
          jump b6
        b6:
          ret v4
        b7:
          v22 = const 0
          ret v22
        "#,
    );
}
