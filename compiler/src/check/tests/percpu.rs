//! Per-CPU variables. The small kernel's facts have `softnet_data`, whose type its BTF does not have.

use super::{body, messages};

fn message(text: &str) -> String {
    messages(&format!("begin {{ {text} }}")).join(" | ")
}

#[test]
fn a_pointer_to_a_cpus_copy() {
    assert_eq!(
        body(
            r#"$p = percpu_kaddr("softnet_data"); $q = percpu_kaddr("softnet_data", cpu); $x = *$p;"#
        ),
        "$p = (uint64 *)percpu_kaddr(224192, 18446744071798730464):uint64\n\
         $q = (uint64 *)percpu_kaddr(224192, 18446744071798730464, 18446744071798730456, (uint64)cpu():uint32):uint64\n\
         $x = *$p"
    );
    assert_eq!(
        body("$p = (struct iphdr *)5; $q = per_cpu_ptr($p, 1);"),
        "$p = (struct iphdr *)5\n$q = (struct iphdr *)per_cpu_ptr((uint64)$p, 18446744071798730464, 18446744071798730456, 1):uint64"
    );
}

#[test]
fn mistakes() {
    let rows = [
        (
            r#"print(percpu_kaddr("no_such"));"#,
            "error[NT1001]: the kernel has no per-CPU variable `no_such`",
        ),
        (
            r#"print(percpu_kaddr("nf_hook_slow"));"#,
            "error[NT1001]: the kernel has no per-CPU variable `nf_hook_slow`",
        ),
        (
            r#"print(percpu_kaddr("softnet_data", "1"));"#,
            "error[NT2003]: the CPU must be a number",
        ),
        (
            "print(per_cpu_ptr(pid));",
            "error[NT2003]: this is a pointer to per-CPU memory",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(message(script), expected, "{script}");
    }
}
