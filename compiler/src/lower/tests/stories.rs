//! The published scripts against objects in memory.

use super::{Machine, lowered, lowered_with, play, play_with, shows};
use crate::kernel::fixture::FixtureKernel;
use crate::kernel::fixture::kernels;
use crate::kernel::{Kernel, KernelType, TypeKind};
use crate::lower::Reads;
use crate::{bpf, pipeline};

const DELETE: &str = r#"
#include <linux/socket.h>
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

/// Bytes of `struct nf_conn` up to and without a member.
fn offset(member: &str) -> usize {
    let kernel = kernels::linux_6_12();
    let id = kernel
        .find_type(TypeKind::Struct, "nf_conn")
        .expect("nf_conn");
    let KernelType::Record(record) = &*kernel.ty(id) else {
        panic!("nf_conn is a struct");
    };
    let member = record
        .members
        .iter()
        .find(|m| m.name == member)
        .expect("the member");
    member.bit_offset as usize / 8
}

fn connection(family: u16, address: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0xee; 320];
    // The tuple follows the list node of two pointers.
    let tuple = offset("tuplehash") + 16;
    bytes[tuple..tuple + 4].copy_from_slice(&address);
    bytes[tuple + 16..tuple + 18].copy_from_slice(&5201u16.to_be_bytes());
    bytes[tuple + 18..tuple + 20].copy_from_slice(&family.to_le_bytes());
    let mark = offset("mark");
    bytes[mark..mark + 4].copy_from_slice(&42u32.to_le_bytes());
    bytes
}

#[test]
fn the_conntrack_script_prints_the_connection_that_it_looks_for() {
    let outcome = play(DELETE, |machine| {
        for (family, address) in [
            (2, [172, 17, 0, 2]),
            (2, [10, 0, 0, 1]),
            (10, [172, 17, 0, 2]),
        ] {
            let object = machine.object(&connection(family, address));
            machine.call(0, &[object]);
        }
    });
    shows(
        &outcome,
        "printf 172.17.0.2 5201 42\nprintf stack 0x810010 0x810020",
    );
}

#[test]
fn the_conntrack_script_reads_the_tuple_once() {
    let mut module = lowered(DELETE, &kernels::linux_6_1()).module;
    pipeline::optimise(&mut module).expect("no bug");
    let reads = module.to_string().matches("call probe_read_kernel").count();
    assert_eq!(reads, 2, "the tuple and the mark\n{module}");
    let code = bpf::emit_module(&module).expect("it fits");
    let slots: usize = code.iter().map(|code| code.insns.len()).sum();
    // The published figure in docs/performance.md is bpftrace's for the same script.
    assert!(slots <= 70, "{slots} instructions\n{module}");
}

#[test]
fn memory_that_cannot_be_read_is_zero() {
    let outcome = play(
        "kprobe:nf_ct_delete { print(((struct nf_conn *)arg0)->mark); }",
        |machine| {
            machine.call(0, &[0xdead_0000]);
        },
    );
    shows(&outcome, "print 0");
}

/// With `bpf_rdonly_cast` fields are loaded; only the struct variable is still copied by a helper. The same comes out.
#[test]
fn the_conntrack_script_can_read_directly() {
    let count = |kernel: &FixtureKernel, what: &str| {
        let mut module = lowered_with(DELETE, kernel, Reads::Direct).module;
        pipeline::optimise(&mut module).expect("no bug");
        module.to_string().matches(what).count()
    };
    assert_eq!(count(&kernels::linux_6_12(), "probe_read"), 1);
    assert_eq!(count(&kernels::linux_6_12(), "kfunc"), 1);
    assert_eq!(count(&kernels::linux_6_1(), "kfunc"), 0, "6.1 has none");
    let scenario = |machine: &mut Machine| {
        let object = machine.object(&connection(2, [172, 17, 0, 2]));
        machine.call(0, &[object]);
    };
    assert_eq!(
        play_with(DELETE, Reads::Direct, scenario),
        play(DELETE, scenario)
    );
}
