//! kprobes and kretprobes.
//!
//! Few targets get a perf event each; many share one kprobe-multi link, which attaches hundreds of functions at the price of one. That
//! link is all or nothing and absent on kernels without CONFIG_FPROBE: a refused set is halved until the guilty targets are alone, and
//! where there are no such links every target gets a perf event after all.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use nettrace_compiler::artifact::{Attach, Program, Target};
use nettrace_grammar::{Diagnostic, codes};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::report::{Problem, Report};
use super::{KernelFunctions, Loader, Outcome, Prepared, Purpose, Stop, cookie, parallel};
use crate::sys::perf::KprobePmu;
use crate::sys::{SysError, link, perf};

/// Up to this many targets get a perf event each.
const FEW: usize = 8;
const PMU: &str = "/sys/bus/event_source/devices/kprobe";
/// The kernel's own number for "not supported".
const ENOTSUPP: i32 = 524;

/// The place a target names.
struct Place<'a> {
    symbol: &'a str,
    module: Option<&'a str>,
    offset: u64,
    on_return: bool,
}

fn place(target: &Target) -> Option<Place<'_>> {
    match &target.attach {
        Attach::Kprobe {
            symbol,
            module,
            offset,
        } => Some(Place {
            symbol,
            module: module.as_deref(),
            offset: *offset,
            on_return: false,
        }),
        Attach::Kretprobe { symbol, module } => Some(Place {
            symbol,
            module: module.as_deref(),
            offset: 0,
            on_return: true,
        }),
        _ => None,
    }
}

/// Loads the program for perf events or for kprobe-multi.
pub(super) fn prepare(program: &Program, loader: &Loader<'_>, report: &mut Report) -> Prepared {
    let at_entries = program
        .targets
        .iter()
        .filter_map(place)
        .all(|p| p.offset == 0);
    let many = program.targets.len() > FEW && at_entries;
    let mut purpose = Purpose::of(bpf_prog_type::BPF_PROG_TYPE_KPROBE);
    if many {
        purpose.attach_type = bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32;
    }
    match loader.load(purpose) {
        Ok(fd) if many => Prepared::Many(fd),
        Ok(fd) => Prepared::Shared(fd),
        Err(refusal) => {
            if let Some(first) = program.targets.first() {
                report.refused(first, refusal);
            }
            Prepared::Nothing
        }
    }
}

/// Attaches all targets by kprobe-multi links, or by perf events where the kernel has no such links.
pub(super) fn attach_many(
    program: &Program,
    fd: &OwnedFd,
    loader: &Loader<'_>,
    functions: &dyn KernelFunctions,
    stop: Stop<'_>,
    report: &mut Report,
) -> Outcome {
    let targets: Vec<&Target> = program.targets.iter().collect();
    match attach_set(program, fd, &targets, stop) {
        Ok((links, culprits)) => {
            let outcome = Outcome {
                links,
                targets: targets.len() - culprits.len(),
            };
            for (target, error) in culprits {
                report.problem(target, why(target, error, functions));
            }
            outcome
        }
        Err(_) => {
            // The verifier ties a program to kprobe-multi: it must be loaded again.
            match loader.load(Purpose::of(bpf_prog_type::BPF_PROG_TYPE_KPROBE)) {
                Ok(fd) => attach_singly(program, &fd, functions, stop, report),
                Err(refusal) => {
                    if let Some(first) = program.targets.first() {
                        report.refused(first, refusal);
                    }
                    Outcome::default()
                }
            }
        }
    }
}

/// Links, and targets that no link can have.
type Set<'a> = (Vec<OwnedFd>, Vec<(&'a Target, SysError)>);

/// Attaches a set; `Err` when the kernel has no kprobe-multi at all.
fn attach_set<'a>(
    program: &Program,
    fd: &OwnedFd,
    targets: &[&'a Target],
    stop: Stop<'_>,
) -> Result<Set<'a>, SysError> {
    let mut done: Set<'a> = (Vec::new(), Vec::new());
    let mut waiting = vec![targets];
    while let Some(set) = waiting.pop() {
        if stop() {
            break;
        }
        match link_set(program, fd, set) {
            Ok(link) => done.0.push(link),
            Err(e) if e.is(&[libc::EOPNOTSUPP, ENOTSUPP, libc::EPERM, libc::EACCES]) => {
                return Err(e);
            }
            Err(e) => match set {
                [one] => done.1.push((one, e)),
                _ => {
                    let (left, right) = set.split_at(set.len() / 2);
                    // The left half is next: problems come in the order of the targets.
                    waiting.push(right);
                    waiting.push(left);
                }
            },
        }
    }
    if done.0.is_empty() && done.1.len() == targets.len() {
        // Not one of many: more likely the kind of link is refused than every function.
        if let Some((_, error)) = done.1.pop() {
            return Err(error);
        }
    }
    Ok(done)
}

fn link_set(program: &Program, fd: &OwnedFd, targets: &[&Target]) -> Result<OwnedFd, SysError> {
    let mut symbols = Vec::with_capacity(targets.len());
    let mut on_return = false;
    for target in targets {
        let place = place(target).ok_or_else(|| SysError::from_errno("kprobe", libc::EINVAL))?;
        symbols.push(c_name(place.symbol)?);
        on_return = place.on_return;
    }
    let cookies: Vec<u64> = if program.uses_cookie {
        targets.iter().map(|t| t.cookie).collect()
    } else {
        Vec::new()
    };
    link::kprobe_multi(fd.as_fd(), &symbols, &cookies, on_return)
}

/// Attaches every target through a perf event of its own.
pub(super) fn attach_singly(
    program: &Program,
    fd: &OwnedFd,
    functions: &dyn KernelFunctions,
    stop: Stop<'_>,
    report: &mut Report,
) -> Outcome {
    let mut outcome = Outcome::default();
    let pmu = match pmu() {
        Ok(pmu) => pmu,
        Err(diag) => {
            report.host(diag);
            return outcome;
        }
    };
    allow_open_files(program.targets.len());
    let results = parallel::each(&program.targets, stop, |target| {
        attach_one(program, target, fd, pmu)
    });
    for (target, result) in program.targets.iter().zip(results) {
        match result {
            None => {}
            Some(Ok(link)) => {
                outcome.links.push(link);
                outcome.targets += 1;
            }
            Some(Err(error)) => report.problem(target, why(target, error, functions)),
        }
    }
    outcome
}

fn attach_one(
    program: &Program,
    target: &Target,
    fd: &OwnedFd,
    pmu: KprobePmu,
) -> Result<OwnedFd, SysError> {
    let place = place(target).ok_or_else(|| SysError::from_errno("kprobe", libc::EINVAL))?;
    let open = |name: &str| perf::kprobe(pmu, &c_name(name)?, place.offset, place.on_return);
    let mut event = open(place.symbol);
    if let (Err(e), Some(module)) = (&event, place.module)
        && e.is(&[libc::ENOENT, libc::EADDRNOTAVAIL])
    {
        // The module's own function of that name.
        event = open(&format!("{module}:{}", place.symbol));
    }
    let event = event?;
    let link = link::perf_event(fd.as_fd(), event.as_fd(), cookie(program, target))?;
    perf::enable(event.as_fd())?;
    // The link holds the event; its own descriptor is not needed any more.
    Ok(link)
}

fn c_name(name: &str) -> Result<CString, SysError> {
    CString::new(name).map_err(|_| SysError::from_errno("kprobe", libc::ENOENT))
}

/// Every link is an open file; the usual soft limit is 1024.
fn allow_open_files(probes: usize) {
    let wanted = probes as u64 * 2 + 256;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        // When it is refused, attaching says which descriptor was too many.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

/// What a refusal of one target means.
fn why(target: &Target, error: SysError, functions: &dyn KernelFunctions) -> Problem {
    let Some(place) = place(target) else {
        return Problem::Refused(error);
    };
    if let Some(module) = place.module
        && !functions.module_loaded(module)
    {
        return Problem::ModuleNotLoaded(module.to_owned());
    }
    let known = functions.untraceable(place.symbol, place.module);
    match error.errno() {
        libc::EADDRNOTAVAIL => Problem::Ambiguous,
        libc::ENOENT | libc::ESRCH => match known {
            Some(reason) => Problem::NotTraceable(reason),
            None => Problem::Missing(functions.similar(place.symbol)),
        },
        libc::EILSEQ => Problem::NotTraceable(format!(
            "offset {} is not the start of an instruction",
            place.offset
        )),
        libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP => {
            Problem::NotTraceable(known.unwrap_or_else(|| match place.offset {
                0 => format!("{error}: the kernel forbids probes in it"),
                offset => format!(
                    "{error}: offset {offset} is outside of it, or probes there are forbidden"
                ),
            }))
        }
        _ => Problem::Refused(error),
    }
}

/// Whether this kernel has kprobes.
pub(super) fn check_host() -> Result<(), Diagnostic> {
    pmu().map(|_| ())
}

fn pmu() -> Result<KprobePmu, Diagnostic> {
    pmu_at(Path::new(PMU)).ok_or_else(|| {
        Diagnostic::host(codes::NO_KPROBES, "this kernel has no kprobes")
            .note(format!("`{PMU}` is missing: the kernel was built without CONFIG_KPROBES or CONFIG_KPROBE_EVENTS"))
            .help("`tracepoint`, `rawtracepoint`, `interval`, `begin` and `end` work without them; `nettrace -l 'tracepoint:*'` lists tracepoints")
    })
}

fn pmu_at(dir: &Path) -> Option<KprobePmu> {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).ok();
    let kind = read("type")?.trim().parse().ok()?;
    // `config:0`
    let return_bit = read("format/retprobe")
        .and_then(|text| text.trim().strip_prefix("config:")?.parse().ok())
        .filter(|bit| *bit < 64)
        .unwrap_or(0);
    Some(KprobePmu { kind, return_bit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pmu_is_read_from_its_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(pmu_at(dir.path()), None);
        std::fs::write(dir.path().join("type"), "6\n").expect("write");
        let simple = KprobePmu {
            kind: 6,
            return_bit: 0,
        };
        assert_eq!(pmu_at(dir.path()), Some(simple));
        std::fs::create_dir(dir.path().join("format")).expect("mkdir");
        std::fs::write(dir.path().join("format/retprobe"), "config:3\n").expect("write");
        assert_eq!(pmu_at(dir.path()).map(|p| p.return_bit), Some(3));
    }
}
