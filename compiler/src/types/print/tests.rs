//! Types of the checked-in kernels as text.

use super::*;
use crate::kernel::TypeKind;
use crate::kernel::fixture::{FixtureKernel, kernels};
use crate::types::Space;

fn find(kernel: &FixtureKernel, kind: TypeKind, name: &str) -> KernelTypeId {
    kernel.find_type(kind, name).expect(name)
}

#[test]
fn types_of_the_language() {
    let kernel = kernels::linux_6_12();
    let mut types = Types::new();
    let conn = types.intern(Type::Record(find(&kernel, TypeKind::Struct, "nf_conn")));
    let pointer = |types: &mut Types, to| {
        types.intern(Type::Pointer {
            to,
            space: Space::Kernel,
        })
    };
    let one = pointer(&mut types, conn);
    let two = pointer(&mut types, one);
    let text = types.intern(Type::Str { cap: 16 });
    let pair = types.intern(Type::Tuple(vec![Types::I32, text]));
    let list = types.intern(Type::Array { elem: one, len: 4 });
    let show = |t| ty(&types, &kernel, t);
    assert_eq!(show(Types::U32), "uint32");
    assert_eq!(show(Types::BOOL), "bool");
    assert_eq!(show(one), "struct nf_conn *");
    assert_eq!(show(two), "struct nf_conn **");
    assert_eq!(show(pair), "(int32, string[16])");
    assert_eq!(show(list), "struct nf_conn *[4]");
}

#[test]
fn declarations_read_as_in_c() {
    let kernel = kernels::linux_6_12();
    let member = |record: &str, name: &str| {
        let id = find(&kernel, TypeKind::Struct, record);
        let found = members::find(&kernel, id, name).expect(name);
        declaration(&kernel, found.ty, name)
    };
    assert_eq!(member("task_struct", "comm"), "char comm[16]");
    assert_eq!(member("sk_buff", "dev"), "struct net_device *dev");
    assert_eq!(
        member("sock", "sk_data_ready"),
        "void (*sk_data_ready)(struct sock *)"
    );
    assert_eq!(
        member("nf_hook_state", "okfn"),
        "int (*okfn)(struct net *, struct sock *, struct sk_buff *)"
    );
    assert_eq!(member("iphdr", "saddr"), "__be32 saddr");
}

#[test]
fn a_struct_with_bit_fields_and_unnamed_parts() {
    let kernel = kernels::linux_6_12();
    let text = definition(&kernel, find(&kernel, TypeKind::Struct, "iphdr"));
    assert_eq!(
        text,
        "\
struct iphdr {
    __u8 ihl:4;                                      /*     0:0     4b */
    __u8 version:4;                                  /*     0:4     4b */
    __u8 tos;                                        /*     1        1 */
    __be16 tot_len;                                  /*     2        2 */
    __be16 id;                                       /*     4        2 */
    __be16 frag_off;                                 /*     6        2 */
    __u8 ttl;                                        /*     8        1 */
    __u8 protocol;                                   /*     9        1 */
    __sum16 check;                                   /*    10        2 */
    union {
        struct {
            __be32 saddr;                            /*    12        4 */
            __be32 daddr;                            /*    16        4 */
        };                                           /*    12        8 */
        struct {
            __be32 saddr;                            /*    12        4 */
            __be32 daddr;                            /*    16        4 */
        } addrs;                                     /*    12        8 */
    };                                               /*    12        8 */
};                                                   /* size: 20, members: 10 */
"
    );
}

#[test]
fn structs_in_structs_are_written_out_once() {
    let kernel = kernels::linux_6_12();
    let text = definition(
        &kernel,
        find(&kernel, TypeKind::Struct, "nf_conntrack_tuple"),
    );
    let wanted = "\
struct nf_conntrack_tuple {
    struct nf_conntrack_man {
        union nf_inet_addr {
            __u32 all[4];                            /*     0       16 */
            __be32 ip;                               /*     0        4 */
            __be32 ip6[4];                           /*     0       16 */
            struct in_addr {
                __be32 s_addr;                       /*     0        4 */
            } in;                                    /*     0        4 */
";
    assert!(text.starts_with(wanted), "{text}");
    let wanted = "\
    struct {
        union nf_inet_addr u3;                       /*    20       16 */
        union {
            __be16 all;                              /*    36        2 */
            struct {
                __be16 port;                         /*    36        2 */
            } tcp;                                   /*    36        2 */
";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn enums_and_declarations() {
    let kernel = kernels::linux_6_12();
    let text = definition(&kernel, find(&kernel, TypeKind::Enum, "nf_inet_hooks"));
    assert!(
        text.starts_with("enum nf_inet_hooks {\n    NF_INET_PRE_ROUTING = 0,\n"),
        "{text}"
    );
    let text = definition(&kernel, find(&kernel, TypeKind::Typedef, "u32"));
    assert_eq!(text, "typedef __u32 u32;\n");
}
