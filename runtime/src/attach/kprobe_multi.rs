//! kprobe-multi links: hundreds of functions at the price of one.
//!
//! A link is all or nothing, and does not say which function it dislikes. So a refused set is compared with the kernel's own list of
//! functions that can be traced; what still is refused is halved until the guilty ones are alone. Kernels before 5.18 and those without
//! CONFIG_FPROBE have no such links.

use std::collections::HashSet;
use std::os::fd::{AsFd as _, OwnedFd};

use nettrace_compiler::artifact::{Program, Target};

use super::kprobe::{c_name, place};
use super::{ENOTSUPP, Stop};
use crate::sys::{SysError, link};
use crate::tracefs;

/// Links, and targets that no link can have.
pub(super) type Attached<'a> = (Vec<OwnedFd>, Vec<(&'a Target, SysError)>);

/// Attaches all targets of a program; `None` when the kernel has no such links.
pub(super) fn attach<'a>(
    program: &'a Program,
    fd: &OwnedFd,
    stop: Stop<'_>,
) -> Option<Attached<'a>> {
    let mut targets: Vec<&Target> = program.targets.iter().collect();
    match link_all(program, fd, &targets) {
        Ok(link) => return Some((vec![link], Vec::new())),
        Err(e) if e.is(&[libc::EOPNOTSUPP, ENOTSUPP, libc::EPERM, libc::EACCES]) => return None,
        Err(_) => {}
    }
    let mut culprits = Vec::new();
    if let Some(listed) = listed(&targets) {
        targets.retain(|target| {
            let fine = symbol(target).is_some_and(|s| listed.contains(s));
            if !fine {
                culprits.push((
                    *target,
                    SysError::from_errno("BPF_LINK_CREATE", libc::ESRCH),
                ));
            }
            fine
        });
    }
    let (links, more) = by_halves(program, fd, &targets, stop);
    if links.is_empty() && more.len() > 1 {
        // Not one of several: the kernel refuses the kind of link rather than each function.
        return None;
    }
    culprits.extend(more);
    Some((links, culprits))
}

fn symbol(target: &Target) -> Option<&str> {
    place(target).map(|place| place.symbol)
}

/// Those of the targets' functions that the kernel lists as traceable; `None` where the list cannot be read.
fn listed(targets: &[&Target]) -> Option<HashSet<String>> {
    let path = tracefs::root().ok()?.join("available_filter_functions");
    let list = std::fs::read_to_string(path).ok()?;
    let wanted: HashSet<&str> = targets.iter().filter_map(|t| symbol(t)).collect();
    // `nf_ct_delete [nf_conntrack]`
    let names = list.lines().filter_map(|line| line.split(' ').next());
    let found: HashSet<String> = names
        .filter(|name| wanted.contains(name))
        .map(str::to_owned)
        .collect();
    (!found.is_empty()).then_some(found)
}

fn by_halves<'a>(
    program: &Program,
    fd: &OwnedFd,
    targets: &[&'a Target],
    stop: Stop<'_>,
) -> Attached<'a> {
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
            (Err(error), [one]) => culprits.push((*one, error)),
            (Err(_), _) => {
                let (left, right) = set.split_at(set.len() / 2);
                // The left half is next: problems come in the order of the targets.
                waiting.push(right);
                waiting.push(left);
            }
        }
    }
    (links, culprits)
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
        targets.iter().map(|t| t.cookie).collect()
    } else {
        Vec::new()
    };
    link::kprobe_multi(fd.as_fd(), &symbols, &cookies, on_return)
}
