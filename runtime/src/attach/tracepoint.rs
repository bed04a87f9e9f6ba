//! Tracepoints: found by their number in tracefs, attached through a perf event.

use std::os::fd::{AsFd as _, OwnedFd};

use nettrace_compiler::artifact::{Attach, Program, Target};
use nettrace_grammar::Diagnostic;

use super::report::{Problem, Report};
use super::{Outcome, Site, cookie, parallel};
use crate::sys::{SysError, link, perf};
use crate::tracefs;

enum Failure {
    Host(Box<Diagnostic>),
    Missing,
    Sys(SysError),
}

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
    let allowed = results.iter().flatten().any(Result::is_ok);
    for (target, result) in program.targets.iter().zip(results) {
        match result {
            None => {}
            Some(Ok(link)) => {
                outcome.links.push(link);
                outcome.targets += 1;
            }
            Some(Err(Failure::Host(diag))) => report.host(*diag),
            Some(Err(Failure::Missing)) => report.problem(target, Problem::Missing(Vec::new())),
            // Some tracepoints (`irq_vectors:irq_work_exit`) would be hit by tracing itself.
            Some(Err(Failure::Sys(e))) if allowed && e.is(&[libc::EPERM]) => {
                let why = format!("{e}: the kernel forbids it for this one");
                report.problem(target, Problem::NotTraceable(why));
            }
            Some(Err(Failure::Sys(error))) => report.problem(target, Problem::Refused(error)),
        }
    }
    outcome
}

fn attach_one(program: &Program, target: &Target, fd: &OwnedFd) -> Result<OwnedFd, Failure> {
    let Attach::Tracepoint { category, event } = &target.attach else {
        return Err(Failure::Missing);
    };
    let id = tracefs::tracepoint_id(category, event)
        .map_err(|diag| Failure::Host(Box::new(diag)))?
        .ok_or(Failure::Missing)?;
    let event = perf::tracepoint(id).map_err(Failure::Sys)?;
    // The link holds the event; its own descriptor is not needed any more.
    link::perf_event(fd.as_fd(), event.as_fd(), cookie(program, target)).map_err(Failure::Sys)
}
