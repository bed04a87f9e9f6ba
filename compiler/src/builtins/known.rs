//! Names that bpftrace knows and nettrace does not have (yet): for error messages only.

/// A name of bpftrace's language.
#[derive(Debug)]
pub struct Elsewhere {
    /// As written in scripts.
    pub name: &'static str,
    /// What to use in its place, if there is something.
    pub instead: Option<&'static str>,
}

const fn plain(name: &'static str) -> Elsewhere {
    Elsewhere {
        name,
        instead: None,
    }
}

const fn instead(name: &'static str, instead: &'static str) -> Elsewhere {
    Elsewhere {
        name,
        instead: Some(instead),
    }
}

static NAMES: &[Elsewhere] = &[
    plain("assert"),
    plain("assert_str"),
    plain("cat"),
    plain("cgroup"),
    plain("cgroup_path"),
    plain("cgroupid"),
    plain("config"),
    plain("container_of"),
    plain("cpid"),
    plain("debugf"),
    plain("default_str_length"),
    plain("dw_ustack"),
    instead("errorf", "printf(…)"),
    plain("fail"),
    plain("find"),
    plain("has_cpid"),
    plain("has_key"),
    plain("is_array"),
    plain("is_err"),
    plain("is_integer"),
    plain("is_literal"),
    plain("is_ptr"),
    plain("is_str"),
    plain("is_unsigned_integer"),
    plain("kfunc_allowed"),
    plain("kfunc_exist"),
    plain("kptr"),
    plain("leader_comm"),
    plain("leader_tid"),
    plain("len"),
    plain("memcmp"),
    plain("ncpus"),
    plain("numaid"),
    plain("override"),
    plain("path"),
    instead("pcomm", "curtask.real_parent.comm"),
    instead("ppid", "curtask.real_parent.tgid"),
    plain("probetype"),
    plain("pton"),
    plain("reg"),
    plain("sarg0"),
    plain("signal"),
    plain("signal_name"),
    plain("signal_thread"),
    plain("skboutput"),
    plain("socket_cookie"),
    plain("static_assert"),
    plain("str_concat"),
    plain("strcap"),
    plain("strcontains"),
    plain("strerror"),
    plain("strlen"),
    instead("strncmp", "== on strings"),
    plain("strstr"),
    plain("syscall_name"),
    plain("system"),
    plain("tseries"),
    plain("typeinfo"),
    plain("uaddr"),
    plain("unwatch"),
    plain("uptr"),
    plain("usermode"),
    instead("username", "uid"),
    instead("warnf", "printf(…)"),
    plain("write_user"),
];

/// The row for a name that bpftrace has and nettrace has not.
pub fn elsewhere(name: &str) -> Option<&'static Elsewhere> {
    NAMES.iter().find(|row| row.name == name)
}
