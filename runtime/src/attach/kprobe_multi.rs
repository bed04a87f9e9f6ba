//! kprobe-multi links: hundreds of functions at the price of one.
//!
//! A link is all or nothing, and does not say which function it dislikes: a refused set is halved until the guilty ones are alone.
//! (Comparing with `available_filter_functions` first is slower: the kernel looks up 50,000 names to write it.) Kernels before 5.18 and
//! those without CONFIG_FPROBE have no such links.

use std::os::fd::{AsFd as _, OwnedFd};

use nettrace_compiler::artifact::{Program, Target};

use super::kprobe::{c_name, place};
use super::{ENOTSUPP, Stop, close_all};
use crate::sys::{SysError, link};

/// Links, and targets that no link can have.
pub(super) type Attached<'a> = (Vec<OwnedFd>, Vec<(&'a Target, SysError)>);

/// With more than this many guilty targets the search costs more than a perf event for each target.
const MAX_CULPRITS: usize = 8;

/// Attaches all targets of a program; `None` when the kernel has no such links or refuses too many targets.
pub(super) fn attach<'a>(
    program: &'a Program,
    fd: &OwnedFd,
    stop: Stop<'_>,
) -> Option<Attached<'a>> {
    let targets: Vec<&Target> = program.targets.iter().collect();
    match link_all(program, fd, &targets) {
        Ok(link) => return Some((vec![link], Vec::new())),
        Err(e) if e.is(&[libc::EOPNOTSUPP, ENOTSUPP, libc::EPERM, libc::EACCES]) => return None,
        Err(_) => {}
    }
    by_halves(program, fd, &targets, stop)
}

fn by_halves<'a>(
    program: &Program,
    fd: &OwnedFd,
    targets: &[&'a Target],
    stop: Stop<'_>,
) -> Option<Attached<'a>> {
    let mut links = Vec::new();
    let mut culprits = Vec::new();
    let mut waiting = vec![targets];
    while let Some(set) = waiting.pop() {
        if stop() {
            break;
        }
        match (link_all(program, fd, set), set) {
            (Ok(link), _) => links.push(link),
            (Err(_), []) => {}
            (Err(_), [_]) if culprits.len() == MAX_CULPRITS => {
                close_all(links);
                return None;
            }
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
    let cookies: Vec<u64> = if program.uses_cookie {
        targets.iter().map(|t| t.attach_cookie()).collect()
    } else {
        Vec::new()
    };
    link::kprobe_multi(fd.as_fd(), &symbols, &cookies, on_return)
}
