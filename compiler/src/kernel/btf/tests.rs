//! The checked-in kernels of `tests/kernels`, asked as the compiler asks.

use std::rc::Rc;

use super::raw::{Base, RawSection};
use super::*;
use crate::kernel::fixture::{FixtureKernel, kernels};
use crate::kernel::{Kernel, Traceable};
use crate::types::{Space, Types, layout, members, print};

fn record(kernel: &dyn Kernel, id: KernelTypeId) -> Rc<Record> {
    match &*kernel.ty(id) {
        KernelType::Record(record) => record.clone(),
        other => panic!("not a record: {other:?}"),
    }
}

fn member<'a>(record: &'a Record, name: &str) -> &'a Member {
    let found = record.members.iter().find(|m| m.name == name);
    found.unwrap_or_else(|| panic!("{} has no {name}", record.name))
}

fn find(kernel: &dyn Kernel, name: &str) -> KernelTypeId {
    kernel.find_type(TypeKind::Struct, name).expect(name)
}

#[test]
fn a_struct_of_vmlinux() {
    let kernel = kernels::linux_6_12();
    let id = find(&kernel, "iphdr");
    assert_eq!(id.module, 0);
    let iphdr = record(&kernel, id);
    assert_eq!((iphdr.size, iphdr.union), (20, false));
    let protocol = member(&iphdr, "protocol");
    assert_eq!((protocol.bit_offset, protocol.bit_width), (72, None));
    let version = member(&iphdr, "version");
    assert_eq!((version.bit_offset, version.bit_width), (4, Some(4)));
    // The addresses are in an unnamed union.
    assert_eq!(iphdr.members.last().map(|m| m.name.as_str()), Some(""));
}

#[test]
fn a_struct_of_a_module() {
    let kernel = kernels::linux_6_12();
    let id = find(&kernel, "nft_pktinfo");
    assert_eq!(kernel.module_name(id.module).as_deref(), Some("nf_tables"));
    let pktinfo = record(&kernel, id);
    // Its members lead back into vmlinux.
    let KernelType::Pointer { to, .. } = *kernel.ty(member(&pktinfo, "skb").ty) else {
        panic!("skb is a pointer");
    };
    assert_eq!(to, find(&kernel, "sk_buff"));
}

#[test]
fn a_function_of_a_module() {
    for kernel in [
        kernels::linux_6_1(),
        kernels::linux_6_12(),
        kernels::linux_7_2(),
    ] {
        let found = kernel.functions("nf_ct_delete", None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].module.as_deref(), Some("nf_conntrack"));
        let prototype = found[0].prototype.as_ref().expect("a prototype");
        let names: Vec<&str> = prototype.params.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["ct", "portid", "report"]);
        // Also where the module repeats the struct, its type is vmlinux's.
        let KernelType::Pointer { to, .. } = *kernel.ty(prototype.params[0].1) else {
            panic!("ct is a pointer");
        };
        assert_eq!(to, find(&kernel, "nf_conn"));
        assert_eq!(to.module, 0);
        let KernelType::Int { boolean, .. } = *kernel.ty(follow(&kernel, prototype.result)) else {
            panic!("nf_ct_delete returns a bool");
        };
        assert!(boolean);
    }
}

fn follow(kernel: &dyn Kernel, id: KernelTypeId) -> KernelTypeId {
    match *kernel.ty(id) {
        KernelType::Typedef { to, .. } => follow(kernel, to),
        _ => id,
    }
}

#[test]
fn functions_can_be_restricted_to_a_module() {
    let kernel = kernels::linux_6_12();
    assert_eq!(
        kernel.functions("nf_ct_delete", Some("nf_conntrack")).len(),
        1
    );
    assert!(kernel.functions("nf_ct_delete", Some("vmlinux")).is_empty());
    assert!(kernel.functions("nf_ct_delete", Some("nf_nat")).is_empty());
    assert_eq!(kernel.functions("tcp_sendmsg", Some("vmlinux")).len(), 1);
    assert!(kernel.functions("no_such_function", None).is_empty());
    assert!(kernel.functions("", None).is_empty());
}

#[test]
fn patterns_of_functions() {
    let kernel = kernels::linux_6_12();
    let names = |pattern: &str, module| -> Vec<String> {
        let found = kernel.functions_matching(pattern, module);
        found.into_iter().map(|f| f.name).collect()
    };
    assert_eq!(names("nf_ct_*", None), ["nf_ct_delete", "nf_ct_destroy"]);
    assert_eq!(
        names("ipv4_conntrack_*", Some("nf_conntrack")),
        ["ipv4_conntrack_in", "ipv4_conntrack_local"]
    );
    assert!(names("ipv4_*", Some("vmlinux")).is_empty());
    // Without BTF, but known to be traceable.
    assert_eq!(names("ip_rcv_c*", None), ["ip_rcv_core.constprop.0"]);
}

#[test]
fn enumerators_and_enums() {
    let kernel = kernels::linux_6_12();
    let (value, id) = kernel.enumerator("IPS_SRC_NAT").expect("an enumerator");
    assert_eq!(value, 1 << 4);
    assert_eq!(
        kernel.find_type(TypeKind::Enum, "ip_conntrack_status"),
        Some(id)
    );
    assert_eq!(kernel.enumerator("IPS_NO_SUCH"), None);
}

#[test]
fn raw_tracepoints_have_named_arguments() {
    let kernel = kernels::linux_6_12();
    let event = kernel.raw_tracepoint("kfree_skb").expect("kfree_skb");
    let prototype = event.prototype.expect("a prototype");
    let names: Vec<&str> = prototype.params.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["skb", "location", "reason", "rx_sk"]);
    assert_eq!(
        kernel.raw_tracepoints_matching("sched_*"),
        ["sched_process_exec", "sched_switch"]
    );
    assert!(kernel.raw_tracepoint("no_such_event").is_none());
}

#[test]
fn pointers_to_what_the_cut_left_out() {
    let kernel = kernels::linux_6_12();
    let net_device = record(&kernel, find(&kernel, "net_device"));
    let KernelType::Pointer { to, .. } = *kernel.ty(member(&net_device, "netdev_ops").ty) else {
        panic!("netdev_ops is a pointer");
    };
    assert_eq!(
        *kernel.ty(to),
        KernelType::Forward {
            name: "net_device_ops".to_string(),
            union: false
        }
    );
}

#[test]
fn kfuncs_and_features() {
    use crate::kernel::Feature;
    assert!(kernels::linux_6_12().kfunc("bpf_rdonly_cast").is_some());
    assert!(kernels::linux_6_1().kfunc("bpf_rdonly_cast").is_none());
    assert!(kernels::linux_6_12().has(Feature::KprobeMulti));
    assert!(!kernels::linux_6_1().has(Feature::KprobeMulti));
}

#[test]
fn names_that_resemble() {
    let kernel = kernels::linux_6_12();
    assert_eq!(
        kernel.similar(Similar::Function, "nf_ct_delet")[0],
        "nf_ct_delete"
    );
    assert_eq!(
        kernel.similar(Similar::Type(TypeKind::Struct), "skbuff")[0],
        "sk_buff"
    );
    assert_eq!(
        kernel.similar(Similar::Tracepoint, "net:netif_recieve_skb")[0],
        "net:netif_receive_skb"
    );
    assert_eq!(
        kernel.similar(Similar::Module, "nf_contrack"),
        ["nf_conntrack"]
    );
}

#[test]
fn facts_beside_btf() {
    let kernel = kernels::linux_6_12();
    assert_eq!(kernel.traceable("nf_ct_delete", None), Traceable::Yes);
    assert_eq!(
        kernel.traceable("schedule", None),
        Traceable::No("marked notrace".to_string())
    );
    assert_eq!(kernel.functions("do_nanosleep", None)[0].addresses, 2);
    assert!(
        kernel.module_loaded("veth")
            && kernel.module_loaded("nf_nat")
            && !kernel.module_loaded("xfs")
    );
    let event = kernel
        .tracepoint("net", "netif_receive_skb")
        .expect("tracefs")
        .expect("the event");
    assert_eq!(event.fields[1].name, "len");
    assert_eq!(
        kernel
            .tracepoints_matching("sched", "*_exec")
            .expect("tracefs"),
        [("sched".to_string(), "sched_process_exec".to_string())]
    );
}

#[test]
fn facts_that_make_no_sense() {
    let bytes = || include_bytes!("../../../../tests/kernels/x86-6.12.btf").to_vec();
    for line in [
        "feature magic",
        "symbol xyz f",
        "colour blue",
        "function a b c",
    ] {
        let error = FixtureKernel::new(bytes(), Vec::new(), line).expect_err(line);
        assert!(
            error.to_string().starts_with("line 1 is no fact"),
            "{error}"
        );
    }
}

/// Asks everything that a compilation may ask.
fn exercise(kernel: &FixtureKernel) {
    for name in ["nf_conn", "sk_buff", "task_struct", "nft_pktinfo"] {
        if let Some(id) = kernel.find_type(TypeKind::Struct, name)
            && let KernelType::Record(record) = &*kernel.ty(id)
        {
            for member in &record.members {
                let _ = kernel.ty(member.ty);
            }
            let mut types = Types::new();
            let ty = types.from_kernel(kernel, id, Space::Kernel);
            let _ = layout::layout(&types, kernel, ty).size();
            let _ = members::find(kernel, id, "no_such_member");
            let _ = print::definition(kernel, id);
        }
    }
    let _ = kernel.functions("nf_ct_delete", None);
    let _ = kernel.functions_matching("*", None);
    let _ = kernel.enumerator("IPS_SRC_NAT");
    let _ = kernel.raw_tracepoint("kfree_skb");
    let _ = kernel.similar(Similar::Function, "nf_ct_delet");
    for id in 0..2000 {
        let id = KernelTypeId {
            module: (id % 3) as u16,
            id,
        };
        let _ = print::kernel_type(kernel, id);
        let _ = layout::kernel_size(kernel, id);
    }
}

#[test]
fn broken_sections_are_refused_or_harmless() {
    let vmlinux = include_bytes!("../../../../tests/kernels/x86-6.12.btf");
    let module = include_bytes!("../../../../tests/kernels/x86-6.12.nf_tables.btf");
    let with = |vmlinux: Vec<u8>, module: Vec<u8>| {
        let modules = vec![("nf_tables".to_string(), module)];
        if let Ok(kernel) = FixtureKernel::new(vmlinux, modules, "") {
            exercise(&kernel);
        }
    };
    // A fixed sequence (xorshift): the test is the same everywhere.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    for round in 0..60 {
        let mut bad = vmlinux.to_vec();
        let mut small = module.to_vec();
        match round % 3 {
            0 => bad.truncate(random(vmlinux.len())),
            1 => (0..1 + random(40)).for_each(|_| bad[random(vmlinux.len())] ^= 1 << random(8)),
            // The header decides where everything is.
            _ => bad[random(24)] ^= 1 << random(8),
        }
        small.truncate(random(module.len() + 1));
        for _ in 0..random(6) {
            let at = random(small.len().max(1));
            if let Some(byte) = small.get_mut(at) {
                *byte = random(256) as u8;
            }
        }
        with(bad, module.to_vec());
        with(vmlinux.to_vec(), small);
    }
}

#[test]
fn a_loop_of_qualifiers_ends() {
    // [1] const -> 2, [2] volatile -> 1, [3] typedef loop -> 3.
    let info = |kind: u8| u32::from(kind) << 24;
    let types = [
        0,
        info(raw::kind::CONST),
        2,
        0,
        info(raw::kind::VOLATILE),
        1,
        1,
        info(raw::kind::TYPEDEF),
        3,
    ];
    let kernel =
        FixtureKernel::new(section(&types, b"\0loop\0"), Vec::new(), "").expect("readable");
    assert_eq!(
        *kernel.ty(KernelTypeId { module: 0, id: 1 }),
        KernelType::Void
    );
    assert_eq!(
        kernel.types().follow(KernelTypeId { module: 0, id: 3 }).id,
        3
    );
}

fn section(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for word in [
        24,
        0,
        4 * types.len() as u32,
        4 * types.len() as u32,
        strings.len() as u32,
    ] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    types
        .iter()
        .for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    out.extend_from_slice(strings);
    out
}

#[test]
fn what_is_wrong_with_a_section() {
    let error = |bytes: Vec<u8>| match RawSection::parse(Rc::new(bytes), Base::default()) {
        Ok(_) => "fine".to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(error(section(&[], b"\0")), "fine");
    assert_eq!(error(Vec::new()), "the section is shorter than its header");
    assert_eq!(
        error(vec![b'x'; 30]),
        "the bytes are not BTF: the magic number 0xeb9f is missing"
    );
    let mut other = section(&[], b"\0");
    other.swap(0, 1);
    assert_eq!(
        error(other),
        "the section is of a machine with the other byte order"
    );
    assert_eq!(
        error(section(&[0, 30 << 24, 0], b"\0")),
        "type 1 has kind 30, which this version of nettrace does not know"
    );
    assert_eq!(
        error(section(&[0, 0x0400_0001, 4], b"\0")),
        "type 1 is cut off"
    );
    assert_eq!(
        error(section(&[], b"\0abc")),
        "the strings do not end with a NUL"
    );
}

#[test]
fn functions_that_take_a_packet() {
    let registers = |kernel: FixtureKernel, pattern: &str, module: &str| -> Vec<String> {
        let takers = kernel.functions_taking("sk_buff", pattern, module);
        let line = |t: &crate::kernel::Taker| {
            let module = t.module.as_deref().unwrap_or("vmlinux");
            format!("{module}:{} {}", t.name, t.register)
        };
        takers.iter().map(line).collect()
    };
    // `dst_input(net, sk, skb)`, a pointer to a const packet, and prototypes of vmlinux in a module.
    assert_eq!(
        registers(kernels::linux_6_12(), "ip_*", "*"),
        [
            "vmlinux:ip_local_deliver 0",
            "vmlinux:ip_output 2",
            "vmlinux:ip_rcv 0"
        ]
    );
    assert_eq!(
        registers(kernels::linux_6_12(), "nf_*", "nf_*"),
        [
            "nf_conntrack:nf_confirm 1",
            "nf_conntrack:nf_conntrack_in 0",
            "nf_nat:nf_nat_inet_fn 1",
            "nf_nat:nf_nat_ipv4_out 1"
        ]
    );
    // The same function moved its packet between 6.1 and 6.12.
    assert_eq!(
        registers(kernels::linux_6_1(), "nf_confirm", "*"),
        ["nf_conntrack:nf_confirm 0"]
    );
    assert_eq!(registers(kernels::linux_7_2(), "*", "*").len(), 23);
    assert!(registers(kernels::linux_7_2(), "tcp_sendmsg", "*").is_empty());
}

/// A packet behind two pointers, in another struct, or behind the sixth register is none; structs by value take registers.
#[test]
fn registers_of_parameters() {
    let mut types = Made::default();
    let packet = types.named("sk_buff", 4, 0, 8, &[]);
    let pointer = types.named("", 2, 0, packet, &[]);
    let twice = types.named("", 2, 0, pointer, &[]);
    let number = types.named("int", 1, 0, 4, &[32]);
    let pair = types.named("pair", 4, 0, 16, &[]);
    let large = types.named("large", 4, 0, 24, &[]);
    let constant = types.named("", 10, 0, packet, &[]);
    let to_constant = types.named("", 2, 0, constant, &[]);
    let rows: [(&str, &[u32]); 8] = [
        ("first", &[pointer]),
        ("const_first", &[to_constant]),
        ("of_two", &[number, pointer, pointer]),
        ("behind_a_pair", &[pair, pointer]),
        ("behind_a_large_one", &[large, number, pointer]),
        ("double", &[twice]),
        ("seventh", &[number, number, pair, pair, pointer]),
        ("by_value", &[packet]),
    ];
    for (name, params) in rows {
        let pairs: Vec<u32> = params.iter().flat_map(|&ty| [0, ty]).collect();
        let proto = types.named("", 13, params.len() as u32, number, &pairs);
        types.named(name, 12, 0, proto, &[]);
    }
    let section = Section::from_bytes(Rc::new(types.bytes())).expect("BTF");
    let types = BtfTypes::new(section, Box::new(NoModules));
    let found = types.functions_taking("sk_buff", "*", "vmlinux");
    let found: Vec<(&str, u8)> = found.iter().map(|t| (&*t.name, t.register)).collect();
    assert_eq!(
        found,
        [
            ("behind_a_large_one", 1),
            ("behind_a_pair", 2),
            ("const_first", 0),
            ("first", 0),
            ("of_two", 1)
        ]
    );
}

#[test]
fn variables_have_types() {
    let mut types = Made::default();
    let number = types.named("int", 1, 0, 4, &[32]);
    let constant = types.named("", 10, 0, number, &[]);
    types.named("how_many", 14, 0, constant, &[1]);
    let section = Section::from_bytes(Rc::new(types.bytes())).expect("BTF");
    let types = BtfTypes::new(section, Box::new(NoModules));
    let ty = types.variable("how_many").map(|id| types.ty(id));
    assert!(matches!(
        ty.as_deref(),
        Some(KernelType::Int { bytes: 4, .. })
    ));
    assert_eq!(types.variable("int"), None);
    assert_eq!(types.variable("none"), None);
}

/// A BTF section in the making.
#[derive(Default)]
struct Made {
    types: Vec<u32>,
    strings: Vec<u8>,
    count: u32,
}

impl Made {
    /// A type and what follows its header; its id.
    fn named(&mut self, name: &str, kind: u32, vlen: u32, word: u32, rest: &[u32]) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        let offset = match name {
            "" => 0,
            _ => self.strings.len() as u32,
        };
        if offset > 0 {
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(0);
        }
        self.types.extend([offset, kind << 24 | vlen, word]);
        self.types.extend_from_slice(rest);
        self.count += 1;
        self.count
    }

    fn bytes(&self) -> Vec<u8> {
        let types = 4 * self.types.len() as u32;
        let header = [0x0001_eb9f, 24, 0, types, types, self.strings.len() as u32];
        let words = header.iter().chain(&self.types);
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}
