//! kprobe-multi links: hundreds of functions at the price of one.
//!
//! A link is all or nothing, and does not say which function it dislikes: a refused set is halved until the guilty ones are alone.
//! That is for the odd one; what ftrace cannot trace at all is sorted out before ([`super::screen`]). Kernels before 5.18 and those
//! without CONFIG_FPROBE have no such links.

use std::os::fd::{AsFd as _, OwnedFd};

use nettrace_compiler::artifact::{Program, Target};

use super::kprobe::{c_name, place};
use super::{ENOTSUPP, Site, cookie};
use crate::sys::{SysError, link};

/// Links, and targets that no link can have.
pub(super) type Attached<'a> = (Vec<OwnedFd>, Vec<(&'a Target, SysError)>);

/// Why there is no link.
pub(super) enum Unfit {
    /// The kernel has no such links.
    Kernel,
    /// It does not like one of the targets.
    Targets,
}

/// With more than this many guilty targets the search costs more than a perf event for each target.
const MAX_CULPRITS: usize = 8;

/// Attaches all targets by one link.
pub(super) fn attach(
    program: &Program,
    fd: &OwnedFd,
    targets: &[&Target],
    site: &Site<'_>,
) -> Result<OwnedFd, Unfit> {
    if targets.is_empty() || (site.stop)() {
        return Err(Unfit::Targets);
    }
    link_all(program, fd, targets).map_err(|error| {
        let unsupported = [libc::EOPNOTSUPP, ENOTSUPP, libc::EPERM, libc::EACCES];
        match error.is(&unsupported) {
            true => Unfit::Kernel,
            false => Unfit::Targets,
        }
    })
}

/// Attaches all targets but the guilty ones; `None` when there are too many of these.
pub(super) fn search<'a>(
    program: &Program,
    fd: &OwnedFd,
    targets: &[&'a Target],
    site: &Site<'_>,
) -> Option<Attached<'a>> {
    let mut links = Vec::new();
    let mut culprits = Vec::new();
    let mut waiting = vec![targets];
    while let Some(set) = waiting.pop() {
        if (site.stop)() {
            break;
        }
        match (link_all(program, fd, set), set) {
            (Ok(link), _) => links.push(link),
            (Err(_), []) => {}
            (Err(_), [_]) if culprits.len() == MAX_CULPRITS => return None,
            (Err(error), [one]) => culprits.push((*one, error)),
            (Err(_), _) => {
                let (left, right) = set.split_at(set.len() / 2);
                // The left half is next: problems come in the order of the targets.
                waiting.push(right);
                waiting.push(left);
            }
        }
    }
    Some((links, culprits))
}

fn link_all(program: &Program, fd: &OwnedFd, targets: &[&Target]) -> Result<OwnedFd, SysError> {
    let invalid = || SysError::from_errno("BPF_LINK_CREATE", libc::EINVAL);
    let mut symbols = Vec::with_capacity(targets.len());
    let mut on_return = false;
    for target in targets {
        let place = place(target).ok_or_else(invalid)?;
        symbols.push(c_name(place.symbol)?);
        on_return = place.on_return;
    }
    let cookies: Vec<u64> = match program.uses_cookie {
        true => targets.iter().map(|t| cookie(program, t)).collect(),
        false => Vec::new(),
    };
    link::kprobe_multi(fd.as_fd(), &symbols, &cookies, on_return)
}
