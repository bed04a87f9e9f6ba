//! Questions to this machine, as far as it answers, and to the checked-in kernels.

use std::path::Path;

use super::*;
use nettrace_compiler::types::print;
use nettrace_grammar::codes;

/// The running kernel; `None` where it shows no BTF (then there is nothing to ask).
fn live() -> Option<LiveKernel> {
    match Path::new(btf::VMLINUX).exists() {
        true => Some(LiveKernel::open().expect("the running kernel's BTF is read")),
        false => None,
    }
}

fn checked_in() -> DescribedKernel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kernels");
    let modules = ["nf_conntrack", "nf_tables"]
        .map(|m| (m.to_string(), folder.join(format!("x86-6.12.{m}.btf"))));
    describe(&folder.join("x86-6.12.btf"), &modules).expect("the checked-in kernel")
}

#[test]
fn types_and_functions_of_the_running_kernel() {
    let Some(kernel) = live() else { return };
    let id = kernel
        .find_type(TypeKind::Struct, "sk_buff")
        .expect("sk_buff");
    let len = members::find(&kernel, id, "len").expect("sk_buff.len");
    assert_eq!(print::kernel_type(&kernel, len.ty), "unsigned int");
    let found = kernel.functions("tcp_sendmsg", None);
    let prototype = found[0].prototype.as_ref().expect("a prototype");
    assert_eq!(
        print::declaration(&kernel, prototype.params[0].1, "sk"),
        "struct sock *sk"
    );
    assert!(
        kernel
            .functions("no_such_function_anywhere", None)
            .is_empty()
    );
    assert_eq!(
        Kernel::similar(&kernel, Similar::Function, "tcp_sendmgs")[0],
        "tcp_sendmsg"
    );
    let mut count = 0;
    kernel.each_function(&mut |_, _| count += 1);
    assert!(count > 1000, "{count}");
}

#[test]
fn what_attaching_asks() {
    let Some(kernel) = live() else { return };
    let functions: &dyn KernelFunctions = &kernel;
    let found = functions
        .btf_function("tcp_sendmsg", None)
        .expect("tcp_sendmsg");
    assert_eq!(found.module, None);
    assert_eq!(
        functions.btf_function("tcp_sendmsg", Some("no_such_module")),
        None
    );
    assert!(!functions.module_loaded("no_such_module"));
    // What does not exist has no reason of its own.
    assert_eq!(functions.untraceable("no_such_function", None), None);
}

#[test]
fn tracepoints_of_the_running_kernel_and_the_same_from_btf() {
    let Some(kernel) = live() else { return };
    // Only root sees tracefs.
    let Ok(Some(seen)) = kernel.tracepoint("net", "net_dev_start_xmit") else {
        return;
    };
    assert_eq!(
        kernel.tracepoint("net", "no_such_event").expect("tracefs"),
        None
    );
    assert_eq!(kernel.tracepoint("..", "net").expect("tracefs"), None);
    assert!(
        !kernel
            .tracepoints_matching("net", "net_*")
            .expect("tracefs")
            .is_empty()
    );

    let described = describe(Path::new(btf::VMLINUX), &[]).expect("the same BTF as a file");
    let told = described
        .tracepoint("net", "net_dev_start_xmit")
        .expect("in BTF")
        .expect("known");
    let places = |t: &Tracepoint| -> Vec<(String, u32, u32)> {
        t.fields
            .iter()
            .map(|f| (f.name.clone(), f.offset, f.size))
            .collect()
    };
    assert_eq!(places(&told), places(&seen));
}

#[test]
fn a_described_kernel_never_asks_this_machine() {
    let kernel = checked_in();
    assert_eq!(
        kernel.functions("nf_ct_delete", None)[0].module.as_deref(),
        Some("nf_conntrack")
    );
    assert!(kernel.module_loaded("nf_tables") && !kernel.module_loaded("nf_nat"));
    assert!(kernel.symbol("tcp_sendmsg").is_empty());
    // In every running kernel, but not in the files.
    assert!(kernel.functions("vfs_fsync", None).is_empty());
    let error = kernel
        .tracepoint("sched", "sched_switch")
        .expect_err("not in the files");
    assert_eq!(error.code, codes::NO_TRACEFS);
    assert_eq!(
        kernel
            .tracepoint("sched", "no_such_event")
            .expect("known to be missing"),
        None
    );
    assert_eq!(
        kernel.raw_tracepoints_matching("tcp_*"),
        ["tcp_retransmit_skb"]
    );
    assert!(kernel.has(Feature::RdonlyCast));
}

#[test]
fn files_that_hold_no_btf() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kernel");
    let error = |bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).expect("written"),
            None => _ = std::fs::remove_file(&path),
        }
        let diag = describe(&path, &[]).expect_err("no kernel");
        (diag.code, diag.notes.concat())
    };
    assert_eq!(error(None).0, codes::FILE_ERROR);
    let (code, why) = error(Some(b"hello, this is some text"));
    assert_eq!(code, codes::NO_BTF);
    assert_eq!(
        why,
        "the bytes are not BTF: the magic number 0xeb9f is missing"
    );
    assert_eq!(error(Some(b"\x7fELF junk")).0, codes::NO_BTF);
    let own = std::fs::read("/proc/self/exe").expect("this program");
    assert_eq!(
        error(Some(&own)),
        (
            codes::NO_BTF,
            "the ELF file has no section `.BTF`".to_string()
        )
    );
}
