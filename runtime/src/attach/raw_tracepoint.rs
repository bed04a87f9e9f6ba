//! Raw tracepoints: attached by name.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};

use nettrace_compiler::artifact::{Attach, Program, Target};

use super::report::{Problem, Report};
use super::{KernelFunctions, Outcome, Site, cookie, parallel};
use crate::sys::{SysError, link};

pub(super) fn attach(
    program: &Program,
    fd: &OwnedFd,
    site: &Site<'_>,
    report: &mut Report,
) -> Outcome {
    let mut outcome = Outcome::default();
    let results = parallel::each(&program.targets, site, |target| {
        attach_one(program, target, fd)
    });
    for (target, result) in program.targets.iter().zip(results) {
        match result {
            None => {}
            Some(Ok(link)) => {
                outcome.links.push(link);
                outcome.targets += 1;
            }
            Some(Err(error)) => report.problem(target, problem(target, error, site.functions)),
        }
    }
    outcome
}

fn attach_one(program: &Program, target: &Target, fd: &OwnedFd) -> Result<OwnedFd, SysError> {
    let missing = || SysError::from_errno("BPF_RAW_TRACEPOINT_OPEN", libc::ENOENT);
    let Attach::RawTracepoint { event, .. } = &target.attach else {
        return Err(missing());
    };
    let name = CString::new(event.as_str()).map_err(|_| missing())?;
    link::raw_tracepoint(fd.as_fd(), Some(&name), cookie(program, target))
}

fn problem(target: &Target, error: SysError, functions: &dyn KernelFunctions) -> Problem {
    match (error.errno(), &target.attach) {
        (
            libc::ENOENT,
            Attach::RawTracepoint {
                module: Some(module),
                ..
            },
        ) if !functions.module_loaded(module) => Problem::ModuleNotLoaded(module.clone()),
        (libc::ENOENT, _) => Problem::Missing(Vec::new()),
        // The program reads an argument that this tracepoint does not have.
        (libc::EINVAL, _) => Problem::NotTraceable(format!(
            "{error}: the program reads more arguments than this tracepoint has, or asks for its name, which needs Linux 6.10"
        )),
        _ => Problem::Refused(error),
    }
}
