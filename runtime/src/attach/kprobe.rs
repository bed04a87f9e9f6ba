//! kprobes and kretprobes.
//!
//! Few targets get a perf event each; many share one kprobe-multi link ([`super::kprobe_multi`]), or get perf events after all where
//! the kernel has no such links.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use nettrace_compiler::artifact::{Attach, Program, Target};
use nettrace_grammar::{Diagnostic, codes};

use super::report::{Problem, Report};
use super::{
    ENOTSUPP, KernelFunctions, Loader, Outcome, Prepared, Purpose, Site, cookie, kprobe_multi,
    parallel, screen,
};
use crate::sys::perf::KprobePmu;
use crate::sys::{SysError, link, perf};
use kprobe_multi::Unfit;
use screen::Screened;

/// Up to this many targets get a perf event each.
const FEW: usize = 8;
const PMU: &str = "/sys/bus/event_source/devices/kprobe";

/// The place a target names.
pub(super) struct Place<'a> {
    pub(super) symbol: &'a str,
    pub(super) module: Option<&'a str>,
    offset: u64,
    pub(super) on_return: bool,
}

pub(super) fn place(target: &Target) -> Option<Place<'_>> {
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
    site: &Site<'_>,
    report: &mut Report,
) -> Outcome {
    // A pattern of kprobes matched what ftrace lists; packets' functions are from BTF, which knows more than can be traced.
    let packets = program.targets.iter().any(|t| t.packet.is_some());
    let mut targets = match packets {
        true => screened(program, site, report),
        false => program.targets.iter().collect(),
    };
    let attached = match kprobe_multi::attach(program, fd, &targets, site) {
        Err(Unfit::Targets) if !packets => {
            targets = screened(program, site, report);
            kprobe_multi::attach(program, fd, &targets, site)
        }
        other => other,
    };
    let attached = match attached {
        Err(Unfit::Targets) => kprobe_multi::search(program, fd, &targets, site),
        Err(Unfit::Kernel) => None,
        Ok(link) => Some((vec![link], Vec::new())),
    };
    if let Some((links, culprits)) = attached {
        site.progress.advance(targets.len());
        let outcome = Outcome {
            links,
            targets: targets.len() - culprits.len(),
        };
        for (target, error) in culprits {
            report.problem(target, why(target, error, site.functions));
        }
        return outcome;
    }
    // The verifier ties a program to kprobe-multi: it must be loaded again.
    match loader.load(Purpose::of(bpf_prog_type::BPF_PROG_TYPE_KPROBE)) {
        Ok(fd) => one_by_one(program, &fd, &targets, site, report),
        Err(refusal) => {
            if let Some(first) = program.targets.first() {
                report.refused(first, refusal);
            }
            Outcome::default()
        }
    }
}

/// The targets that can be attached, as far as that is known; the others are reported.
fn screened<'a>(program: &'a Program, site: &Site<'_>, report: &mut Report) -> Vec<&'a Target> {
    let Screened { good, bad } = screen::screen(&program.targets, site.functions);
    site.progress.advance(bad.len());
    for (target, problem) in bad {
        report.problem(target, problem);
    }
    good
}

/// Attaches every target through a perf event of its own.
pub(super) fn attach_singly(
    program: &Program,
    fd: &OwnedFd,
    site: &Site<'_>,
    report: &mut Report,
) -> Outcome {
    let targets: Vec<&Target> = program.targets.iter().collect();
    one_by_one(program, fd, &targets, site, report)
}

fn one_by_one(
    program: &Program,
    fd: &OwnedFd,
    targets: &[&Target],
    site: &Site<'_>,
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
    let results = parallel::each(targets, site, |target| attach_one(program, target, fd, pmu));
    for (target, result) in targets.iter().zip(results) {
        match result {
            None => {}
            Some(Ok(link)) => {
                outcome.links.push(link);
                outcome.targets += 1;
            }
            Some(Err(error)) => report.problem(target, why(target, error, site.functions)),
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
    // The link holds the event; its own descriptor is not needed any more.
    link::perf_event(fd.as_fd(), event.as_fd(), cookie(program, target))
}

pub(super) fn c_name(name: &str) -> Result<CString, SysError> {
    CString::new(name).map_err(|_| SysError::from_errno("kprobe", libc::ENOENT))
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
        libc::EADDRNOTAVAIL => Problem::Ambiguous(known),
        libc::ENOENT | libc::ESRCH => match known {
            Some(reason) => Problem::NotTraceable(reason),
            None if exists(place.symbol) => Problem::NotTraceable(
                "the kernel has it, but not among the functions that can be traced".to_owned(),
            ),
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

/// Whether the kernel has a function of this name, traceable or not. Reads all of kallsyms: only for messages.
fn exists(symbol: &str) -> bool {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    symbols.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next().is_some_and(|kind| "tTwW".contains(kind)) && words.next() == Some(symbol)
    })
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
