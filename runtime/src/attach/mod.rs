//! Probes: one file per kind of probe, which loads its programs for it and attaches them.
//!
//! In: a program of the plan with its code. Out: links, which detach when they are closed, and a [`Report`] about targets that could
//! not be attached. Which targets exist was checked by the compiler; here the kernel has the last word.

mod close;
mod kprobe;
mod kprobe_multi;
mod parallel;
mod progress;
mod raw_tracepoint;
mod report;
mod screen;
mod tracepoint;
mod trampoline;

use std::collections::HashSet;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::bpf_prog_type;
use nettrace_compiler::artifact::{Attach, Program, Target};
use nettrace_grammar::{Diagnostic, SourceMap};

pub(crate) use close::close_all;
pub(crate) use progress::Progress;
pub(crate) use report::Report;
pub use screen::Homes;

use crate::code::Code;
use crate::sys::SysError;
use crate::sys::prog::ProgramLoad;
use crate::verifier;

/// The kernel's own number for "not supported"; libc has none.
const ENOTSUPP: i32 = 524;

/// Says whether attaching shall end early. Asked from one thread only.
pub type Stop<'a> = &'a dyn Fn() -> bool;

/// A kernel function as BTF describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfFunction {
    /// Id of the `FUNC` in its section (in a module's, ids go on after those of vmlinux).
    pub id: u32,
    /// The module whose section it is; `None` is vmlinux.
    pub module: Option<String>,
}

/// What attaching asks about the kernel's functions.
pub trait KernelFunctions {
    /// The function in BTF; without `module` vmlinux is searched first, then the loaded modules.
    fn btf_function(&self, symbol: &str, module: Option<&str>) -> Option<BtfFunction>;

    /// Whether a module is loaded.
    fn module_loaded(&self, module: &str) -> bool;

    /// Why no probe can be placed on a function that exists, as a half sentence; `None` when nothing is known to speak against it.
    fn untraceable(&self, symbol: &str, module: Option<&str>) -> Option<String>;

    /// Existing functions whose names resemble this one, best first.
    fn similar(&self, symbol: &str) -> Vec<String>;

    /// Where ftrace knows functions of these names; `None` when its list cannot be read. Reads it all: for many names at once.
    fn traceable(&self, _names: &HashSet<&str>) -> Option<Homes> {
        None
    }
}

/// What attaching goes by beside the programs.
pub(crate) struct Site<'a> {
    pub(crate) functions: &'a dyn KernelFunctions,
    pub(crate) stop: Stop<'a>,
    pub(crate) progress: &'a Progress,
}

/// A program in the kernel.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Has no targets left.
    Nothing,
    /// `begin`, `end`, `interval`: run when asked.
    OnRequest(OwnedFd),
    /// One program for all targets.
    Shared(OwnedFd),
    /// One program for many functions at once (kprobe-multi).
    Many(OwnedFd),
    /// A program for each target: its index among the program's targets.
    Each(Vec<(usize, OwnedFd)>),
}

impl Prepared {
    /// The programs of trampolines: each with the number of its target.
    pub(crate) fn each(&self) -> Option<&[(usize, OwnedFd)]> {
        match self {
            Prepared::Each(fds) => Some(fds),
            _ => None,
        }
    }

    /// The loaded programs.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (one, many) = match self {
            Prepared::Nothing => (None, &[][..]),
            Prepared::OnRequest(fd) | Prepared::Shared(fd) | Prepared::Many(fd) => {
                (Some(fd), &[][..])
            }
            Prepared::Each(fds) => (None, fds.as_slice()),
        };
        one.into_iter()
            .chain(many.iter().map(|(_, fd)| fd))
            .map(|fd| fd.as_fd())
    }
}

/// What attaching a program came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) links: Vec<OwnedFd>,
    /// How many targets are attached.
    pub(crate) targets: usize,
}

/// Loads one program of the object, as often as needed.
pub(crate) struct Loader<'a> {
    pub(crate) code: &'a Code,
    pub(crate) btf: Option<BorrowedFd<'a>>,
    pub(crate) sources: &'a SourceMap,
    pub(crate) verifier_log: bool,
}

/// How a program is going to be used, as the verifier must know.
#[derive(Clone, Copy, Default)]
pub(crate) struct Purpose<'a> {
    /// `enum bpf_prog_type`.
    pub(crate) kind: u32,
    /// `enum bpf_attach_type`.
    pub(crate) attach_type: u32,
    /// The function a trampoline is for.
    pub(crate) btf_id: u32,
    /// The BTF of its module.
    pub(crate) btf: Option<BorrowedFd<'a>>,
}

impl Purpose<'_> {
    fn of(kind: bpf_prog_type) -> Purpose<'static> {
        Purpose {
            kind: kind as u32,
            ..Purpose::default()
        }
    }
}

impl Loader<'_> {
    /// Loads it. A refusal before the verifier looked at it is a [`SysError`]; one of the verifier a diagnostic.
    fn load(&self, purpose: Purpose<'_>) -> Result<OwnedFd, Refusal> {
        let code = self.code;
        let load = ProgramLoad {
            name: &code.symbol,
            kind: purpose.kind,
            expected_attach: purpose.attach_type,
            insns: &code.insns,
            license: &code.license,
            btf: self.btf,
            func_info: (&code.func_info.0, code.func_info.1),
            line_info: (&code.line_info.0, code.line_info.1),
            attach_btf_id: purpose.btf_id,
            attach_btf: purpose.btf,
        };
        load.load().map_err(|failure| {
            if failure.log.trim().is_empty() {
                Refusal::Sys(failure.error)
            } else if let Some(reason) = verifier::refused_target(&failure.log)
                && purpose.btf_id != 0
            {
                Refusal::Target(reason.to_owned())
            } else {
                let diag = verifier::explain(&failure.log, code, self.sources, self.verifier_log);
                Refusal::Verifier(Box::new(diag))
            }
        })
    }
}

/// Why a program was not loaded.
pub(crate) enum Refusal {
    Sys(SysError),
    /// The program would do, but not on this function; the verifier's words.
    Target(String),
    Verifier(Box<Diagnostic>),
}

/// Loads a program for its targets.
pub(crate) fn prepare(
    program: &Program,
    loader: &Loader<'_>,
    functions: &dyn KernelFunctions,
    report: &mut Report,
) -> Prepared {
    let Some(first) = program.targets.first() else {
        return Prepared::Nothing;
    };
    let shared = |loaded: Result<OwnedFd, Refusal>, report: &mut Report| match loaded {
        Ok(fd) => Prepared::Shared(fd),
        Err(refusal) => {
            report.refused(first, refusal);
            Prepared::Nothing
        }
    };
    match first.attach {
        Attach::Begin | Attach::End | Attach::Interval { .. } => {
            let purpose = Purpose::of(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT);
            match shared(loader.load(purpose), report) {
                Prepared::Shared(fd) => Prepared::OnRequest(fd),
                other => other,
            }
        }
        Attach::Kprobe { .. } | Attach::Kretprobe { .. } => {
            kprobe::prepare(program, loader, report)
        }
        Attach::Tracepoint { .. } => {
            let purpose = Purpose::of(bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT);
            shared(loader.load(purpose), report)
        }
        Attach::RawTracepoint { .. } => {
            let purpose = Purpose::of(bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT);
            shared(loader.load(purpose), report)
        }
        Attach::Fentry { .. } | Attach::Fexit { .. } => {
            trampoline::prepare(program, loader, functions, report)
        }
    }
}

pub(crate) use trampoline::attach_all as trampolines;

/// Attaches a program to its targets, unless they are trampolines.
pub(crate) fn attach(
    program: &Program,
    prepared: &Prepared,
    loader: &Loader<'_>,
    site: &Site<'_>,
    report: &mut Report,
) -> Outcome {
    match prepared {
        Prepared::Nothing => Outcome::default(),
        Prepared::OnRequest(_) => Outcome {
            links: Vec::new(),
            targets: program.targets.len(),
        },
        Prepared::Many(fd) => kprobe::attach_many(program, fd, loader, site, report),
        // By [`trampolines`], with those of the other programs.
        Prepared::Each(_) => Outcome::default(),
        Prepared::Shared(fd) => match program.targets.first().map(|t| &t.attach) {
            Some(Attach::Tracepoint { .. }) => tracepoint::attach(program, fd, site, report),
            Some(Attach::RawTracepoint { .. }) => raw_tracepoint::attach(program, fd, site, report),
            _ => kprobe::attach_singly(program, fd, site, report),
        },
    }
}

/// Whether the kernel has what this kind of probe hangs on.
pub(crate) fn check_host(target: &Target) -> Result<(), Diagnostic> {
    match target.attach {
        Attach::Kprobe { .. } | Attach::Kretprobe { .. } => kprobe::check_host(),
        Attach::Tracepoint { .. } => crate::tracefs::root().map(|_| ()),
        _ => Ok(()),
    }
}

/// The cookie of a target, 0 when its program does not ask for it (older kernels have none for some kinds of probes).
fn cookie(program: &Program, target: &Target) -> u64 {
    if program.uses_cookie {
        target.attach_cookie()
    } else {
        0
    }
}
