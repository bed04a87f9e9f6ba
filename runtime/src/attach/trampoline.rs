//! fentry, fexit, and kretprobes that use arguments: a program is loaded for one function, named by its BTF id, and attached through a trampoline.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use nettrace_compiler::artifact::{Attach, Program, ProgramId, Target};
use nettrace_grammar::{Diagnostic, Span, codes};

use super::report::{Problem, Report};
use super::{
    ENOTSUPP, KernelFunctions, Loader, Prepared, Purpose, Refusal, Site, cookie, parallel,
};
use crate::sys::{SysError, btf, link};

/// Functions that the trampoline itself calls: a program on them never ends. Newer kernels refuse them; 6.1 takes them and hangs.
const DEADLY: [&str; 7] = [
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "migrate_disable",
    "migrate_enable",
    "preempt_count_add",
    "preempt_count_sub",
    "rcu_read_unlock_strict",
];

fn function_of(target: &Target) -> Option<(&str, Option<&str>, bpf_attach_type)> {
    match &target.attach {
        Attach::Fentry { symbol, module } => {
            Some((symbol, module.as_deref(), bpf_attach_type::BPF_TRACE_FENTRY))
        }
        Attach::Fexit { symbol, module } => {
            Some((symbol, module.as_deref(), bpf_attach_type::BPF_TRACE_FEXIT))
        }
        _ => None,
    }
}

/// Whether this is a kretprobe whose body uses arguments, which only a trampoline keeps until the return.
pub(super) fn kretprobe(target: &Target) -> bool {
    matches!(target.attach, Attach::Fexit { .. }) && target.probe.starts_with("kretprobe:")
}

/// Loads the program once per target.
pub(super) fn prepare(
    program: &Program,
    loader: &Loader<'_>,
    functions: &dyn KernelFunctions,
    report: &mut Report,
) -> Prepared {
    let mut module_btf: BTreeMap<String, OwnedFd> = BTreeMap::new();
    let mut loaded = Vec::new();
    for (index, target) in program.targets.iter().enumerate() {
        let Some((symbol, module, attach_type)) = function_of(target) else {
            continue;
        };
        if DEADLY.contains(&symbol) {
            let why = "the kernel calls it while it runs such a probe: it would never return";
            report.problem(target, Problem::NotTraceable(why.to_owned()));
            continue;
        }
        let Some(function) = functions.btf_function(symbol, module) else {
            report.problem(target, why_missing(symbol, module, functions));
            continue;
        };
        if let Some(module) = &function.module
            && !module_btf.contains_key(module)
        {
            match btf::of_module(module) {
                Ok(Some(fd)) => {
                    module_btf.insert(module.clone(), fd);
                }
                Ok(None) => {
                    report.problem(target, Problem::ModuleNotLoaded(module.clone()));
                    continue;
                }
                Err(error) => {
                    report.problem(target, Problem::Refused(error));
                    continue;
                }
            }
        }
        let purpose = Purpose {
            kind: bpf_prog_type::BPF_PROG_TYPE_TRACING as u32,
            attach_type: attach_type as u32,
            btf_id: function.id,
            btf: function
                .module
                .as_ref()
                .and_then(|m| module_btf.get(m))
                .map(|fd| fd.as_fd()),
        };
        match loader.load(purpose) {
            Ok(fd) => loaded.push((index, fd)),
            Err(Refusal::Sys(error)) if error.is(&[libc::EPERM]) => {
                report.host(policy(target, &error));
                break;
            }
            Err(refusal) => report.refused(target, refusal),
        }
    }
    if loaded.is_empty() {
        Prepared::Nothing
    } else {
        Prepared::Each(loaded)
    }
}

/// Other programs load, these do not.
fn policy(target: &Target, error: &SysError) -> Diagnostic {
    let span = Span::new(target.span.0, target.span.1);
    let text = match kretprobe(target) {
        true => {
            "this machine does not let fexit programs be loaded, and a kretprobe that uses arguments is one"
        }
        false => "this machine does not let fentry and fexit programs be loaded",
    };
    Diagnostic::error(codes::KERNEL_REFUSED, span, text)
        .note(format!(
            "{error}, before the verifier looked at the program: a security policy"
        ))
        .help("`kprobe`, `kretprobe` without arguments, `tracepoint` and `rawtracepoint` may be allowed")
}

fn why_missing(symbol: &str, module: Option<&str>, functions: &dyn KernelFunctions) -> Problem {
    match module {
        Some(module) if !functions.module_loaded(module) => {
            Problem::ModuleNotLoaded(module.to_owned())
        }
        _ => {
            let similar = functions.similar(symbol);
            if similar.iter().any(|s| s == symbol) {
                Problem::NoBtf
            } else {
                Problem::Missing(similar)
            }
        }
    }
}

/// Attaches the programs of [`Prepared::Each`] side by side: most of the time the kernel waits for a grace period of RCU, and several
/// wait for the same one.
pub(crate) fn attach_all(
    programs: &[(ProgramId, &Program, &[(usize, OwnedFd)])],
    site: &Site<'_>,
    report: &mut Report,
) -> Vec<(ProgramId, OwnedFd)> {
    let mut targets = Vec::new();
    for (id, program, fds) in programs {
        for (index, fd) in *fds {
            if let Some(target) = program.targets.get(*index)
                && let Some((_, _, attach_type)) = function_of(target)
            {
                targets.push((*id, target, fd, attach_type, cookie(program, target)));
            }
        }
    }
    let results = parallel::each(&targets, site, |(_, _, fd, attach_type, cookie)| {
        link::trampoline(fd.as_fd(), *attach_type, *cookie)
    });
    let mut links = Vec::new();
    for ((id, target, ..), result) in targets.iter().zip(results) {
        match result {
            None => {}
            Some(Ok(link)) => links.push((*id, link)),
            Some(Err(error)) => {
                let problem = problem(target, error, site.functions);
                report.problem(target, problem);
            }
        }
    }
    links
}

fn problem(target: &Target, error: SysError, functions: &dyn KernelFunctions) -> Problem {
    let known = function_of(target).and_then(|(s, m, _)| functions.untraceable(s, m));
    match error.errno() {
        ENOTSUPP | libc::EOPNOTSUPP | libc::ENOENT | libc::EINVAL => Problem::NotTraceable(
            known.unwrap_or_else(|| format!("{error}: the function has no place for a trampoline")),
        ),
        libc::EBUSY => {
            Problem::NotTraceable(format!("{error}: something else has patched the function"))
        }
        libc::E2BIG => Problem::NotTraceable(format!(
            "{error}: the limit of trampolines on one function is reached"
        )),
        _ => Problem::Refused(error),
    }
}
