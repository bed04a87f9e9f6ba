//! Refused system calls as messages: which privilege is missing and what shows it.
//!
//! In: the error of a call. Out: a diagnostic about the host. What only concerns one probe is told in [`crate::attach`].

use nettrace_grammar::{Diagnostic, codes};

use crate::sys::SysError;

/// Numbers from `linux/capability.h`.
const CAPABILITIES: [(u32, &str); 2] = [(38, "CAP_PERFMON"), (39, "CAP_BPF")];
const CAP_SYS_ADMIN: u32 = 21;

/// Says why a call failed that needs no particular probe: `doing` is a phrase such as `create map \`@x\``.
pub(crate) fn refused(doing: &str, error: &SysError) -> Diagnostic {
    match error.errno() {
        libc::EPERM | libc::EACCES => no_privilege(doing, error),
        libc::ENOMEM => Diagnostic::host(codes::KERNEL_REFUSED, format!("cannot {doing}"))
            .note(format!(
                "{error}: not enough memory, also for what a cgroup may use"
            ))
            .help("make maps smaller, for example with `config = { max_map_keys = 1000 }`"),
        libc::EMFILE | libc::ENFILE => {
            Diagnostic::host(codes::KERNEL_REFUSED, format!("cannot {doing}"))
                .note(format!("{error}: every probe holds an open file"))
                .help("raise the limit with `ulimit -n`")
        }
        libc::ENOSYS => Diagnostic::host(codes::NO_FEATURE, "this kernel has no bpf(2)")
            .note(error.to_string())
            .help("a kernel with CONFIG_BPF_SYSCALL=y is needed"),
        _ => Diagnostic::host(codes::KERNEL_REFUSED, format!("cannot {doing}"))
            .note(error.to_string()),
    }
}

fn no_privilege(doing: &str, error: &SysError) -> Diagnostic {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    explain(doing, error, effective_capabilities(&status), &lockdown)
}

fn explain(doing: &str, error: &SysError, capabilities: u64, lockdown: &str) -> Diagnostic {
    let has = |bit: u32| capabilities >> bit & 1 == 1;
    let missing: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(bit, _)| !has(*bit) && !has(CAP_SYS_ADMIN))
        .map(|(_, name)| *name)
        .collect();
    let diag = Diagnostic::host(codes::NO_PRIVILEGE, format!("not allowed to {doing}"))
        .note(error.to_string());
    if !missing.is_empty() {
        return diag
            .note(format!("this process lacks {}", missing.join(" and ")))
            .help("run it as root, or with CAP_BPF and CAP_PERFMON (Linux 5.8)");
    }
    if lockdown.contains("[confidentiality]") {
        return diag
            .note("kernel lockdown is `confidentiality`, which forbids reading kernel memory")
            .help("boot with `lockdown=integrity` or without Secure Boot");
    }
    diag.note(
        "the capabilities are there: a container, seccomp filter or security module forbids it, or the kernel itself for this probe",
    )
    .help("run it outside the container; `dmesg` and `cat /sys/kernel/security/lsm` may tell more")
}

/// The `CapEff` line of `/proc/self/status`; all of them when it cannot be read.
fn effective_capabilities(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(capabilities: u64, lockdown: &str) -> String {
        let error = SysError::from_errno("BPF_MAP_CREATE", libc::EPERM);
        let diag = explain("create map `@x`", &error, capabilities, lockdown);
        assert_eq!(diag.code, codes::NO_PRIVILEGE);
        assert_eq!(diag.message, "not allowed to create map `@x`");
        diag.notes.join("; ")
    }

    #[test]
    fn the_missing_capability_is_named() {
        assert!(notes(0, "").contains("lacks CAP_PERFMON and CAP_BPF"));
        assert!(notes(1 << 38, "").contains("lacks CAP_BPF"));
        assert!(notes(u64::MAX, "").contains("a container, seccomp filter"));
    }

    #[test]
    fn lockdown_is_named() {
        let text = "none integrity [confidentiality]\n";
        assert!(notes(1 << CAP_SYS_ADMIN, text).contains("kernel lockdown"));
    }

    #[test]
    fn capabilities_are_read_from_status() {
        let status = "Name:\tx\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n";
        assert_eq!(effective_capabilities(status), 0x1ff_ffff_ffff);
    }
}
