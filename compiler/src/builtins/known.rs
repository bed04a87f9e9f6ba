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
    plain("cgroup_path"),
    plain("cgroupid"),
    plain("config"),
    plain("cpid"),
    plain("debugf"),
    plain("dw_ustack"),
    instead("errorf", "printf(…)"),
    plain("fail"),
    plain("has_cpid"),
    plain("kfunc_allowed"),
    plain("kfunc_exist"),
    plain("kptr"),
    plain("override"),
    plain("path"),
    plain("reg"),
    plain("sarg0"),
    plain("signal"),
    plain("signal_name"),
    plain("signal_thread"),
    plain("skboutput"),
    plain("socket_cookie"),
    plain("str_concat"),
    plain("strerror"),
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
