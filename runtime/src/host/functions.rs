//! Which kernel functions exist and can be traced, beyond what BTF says.
//!
//! In: `/proc/kallsyms`, tracefs' `available_filter_functions`, the kprobe blacklist. Out: answers about names. Each of the three is
//! read only when a question needs it: kallsyms takes 40 ms, `available_filter_functions` up to seconds in a virtual machine, and
//! the latter two need privileges; what cannot be read counts as unknown.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};

use memchr::{memchr, memmem, memrchr};

use crate::attach::Homes;
use crate::symbols::kernel::KALLSYMS;
use crate::tracefs;

const BLACKLIST: &str = "/sys/kernel/debug/kprobes/blacklist";
/// The placeholder for functions that were removed after the list was made.
const REMOVED: &str = "__ftrace_invalid_address___";

/// A place of a function: its address (0 when the kernel hides addresses) and its module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: u64,
    pub(super) module: Option<String>,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Functions {
    blacklist: OnceCell<HashSet<String>>,
    /// The text of kallsyms: a wildcard may ask for many names.
    symbols: OnceCell<Vec<u8>>,
    /// Names in `available_filter_functions`; `None` when it cannot be read.
    listed: OnceCell<Option<HashSet<String>>>,
}

impl Functions {
    /// Whether the kernel forbids kprobes in the function.
    pub(super) fn is_blacklisted(&self, name: &str) -> bool {
        let read = || {
            let text = std::fs::read_to_string(BLACKLIST).unwrap_or_default();
            // `0xffffffff81000000-0xffffffff81000010\tname`
            let names = text
                .lines()
                .filter_map(|line| line.split_whitespace().nth(1));
            names.map(str::to_string).collect()
        };
        self.blacklist.get_or_init(read).contains(name)
    }

    /// Places of a function in kallsyms, ascending.
    pub(super) fn places(&self, name: &str) -> Vec<Place> {
        let read = || std::fs::read(KALLSYMS).unwrap_or_default();
        places_in(self.symbols.get_or_init(read), name)
    }

    /// Whether ftrace can trace a function of this name; `None` when that is not known.
    pub(super) fn is_listed(&self, name: &str) -> Option<bool> {
        let read = || {
            let mut names = HashSet::new();
            let known = each_traceable(&mut |name, _| {
                names.insert(name.to_string());
            });
            known.then_some(names)
        };
        self.listed
            .get_or_init(read)
            .as_ref()
            .map(|names| names.contains(name))
    }
}

fn places_in(text: &[u8], name: &str) -> Vec<Place> {
    let needle = format!(" {name}");
    let mut places: Vec<Place> = memmem::find_iter(text, &needle)
        .filter_map(|at| {
            let (before, after) = text.split_at_checked(at)?;
            let start = memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            let end = memchr(b'\n', after).map_or(text.len(), |newline| at + newline);
            place(text.get(start..end)?, name)
        })
        .collect();
    places.sort_by_key(|p| p.address);
    places
}

/// `ffffffffc0a01230 t nf_ct_delete\t[nf_conntrack]`, if it is a function of this name.
fn place(line: &[u8], name: &str) -> Option<Place> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (address, kind, symbol) = (words.next()?, words.next()?, words.next()?);
    if symbol != name || !matches!(kind, "t" | "T" | "w" | "W") {
        return None;
    }
    Some(Place {
        address: u64::from_str_radix(address, 16).unwrap_or(0),
        module: words.next().map(|m| m.trim_matches(['[', ']']).to_string()),
    })
}

/// Calls back with name and module of every function that ftrace can trace; `false` when that is not known.
pub(super) fn each_traceable(f: &mut dyn FnMut(&str, Option<&str>)) -> bool {
    let Ok(root) = tracefs::root() else {
        return false;
    };
    match File::open(root.join("available_filter_functions")) {
        Ok(file) => each_listed(BufReader::with_capacity(1 << 16, file), f),
        Err(_) => false,
    }
}

/// Lines are `name` or `name [module]`; `false` when there are none, as when the file refuses to be read.
fn each_listed(mut source: impl BufRead, f: &mut dyn FnMut(&str, Option<&str>)) -> bool {
    let mut line = Vec::new();
    let mut any = false;
    while read_line(&mut source, &mut line) {
        let Ok(text) = std::str::from_utf8(&line) else {
            continue;
        };
        let mut words = text.split_ascii_whitespace();
        if let Some(name) = words.next().filter(|n| !n.starts_with(REMOVED)) {
            any = true;
            f(name, words.next().map(|m| m.trim_matches(['[', ']'])));
        }
    }
    any
}

/// Traceable functions that a filter lets through: how often each name and module is listed. `None` when the list is not known.
pub(super) fn traceable(
    filter: &dyn Fn(&str, Option<&str>) -> bool,
) -> Option<BTreeMap<(String, Option<String>), u32>> {
    let mut found = BTreeMap::new();
    let known = each_traceable(&mut |name, module| {
        if filter(name, module) {
            let key = (name.to_string(), module.map(str::to_string));
            *found.entry(key).or_insert(0) += 1;
        }
    });
    known.then_some(found)
}

/// Where ftrace knows functions of these names; `None` when the list is not known.
pub(super) fn homes(names: &HashSet<&str>) -> Option<Homes> {
    let mut homes = Homes::new();
    let known = each_traceable(&mut |name, module| {
        if names.contains(name) {
            let home = module.map(str::to_string);
            homes.entry(name.to_string()).or_default().push(home);
        }
    });
    known.then_some(homes)
}

/// The next line without its end; `false` at the end and on errors.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> bool {
    line.clear();
    match source.read_until(b'\n', line) {
        Ok(0) | Err(_) => false,
        Ok(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_name() {
        let text = "\
ffffffff81000000 T tcp_sendmsg
ffffffff81200000 t do_one
ffffffff81100000 t do_one
ffffffff81300000 d do_one
ffffffffc0a01230 t nf_ct_delete\t[nf_conntrack]
";
        let of = |name| places_in(text.as_bytes(), name);
        let addresses: Vec<u64> = of("do_one").iter().map(|p| p.address).collect();
        // Data of the same name is no function.
        assert_eq!(addresses, [0xffff_ffff_8110_0000, 0xffff_ffff_8120_0000]);
        assert_eq!(
            of("nf_ct_delete")[0].module.as_deref(),
            Some("nf_conntrack")
        );
        assert_eq!(of("tcp_send"), []);
    }

    #[test]
    fn the_list_of_traceable_functions() {
        let text = "tcp_sendmsg\n__ftrace_invalid_address___512\nnf_ct_delete [nf_conntrack]\n\n";
        let mut seen = Vec::new();
        let known = each_listed(text.as_bytes(), &mut |name, module| {
            seen.push((name.to_string(), module.map(str::to_string)));
        });
        assert!(known);
        assert_eq!(
            seen,
            [
                ("tcp_sendmsg".to_string(), None),
                ("nf_ct_delete".to_string(), Some("nf_conntrack".to_string()))
            ]
        );
        assert!(!each_listed(&b""[..], &mut |_, _| ()));
    }
}
