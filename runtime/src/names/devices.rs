//! Network devices by namespace and index.
//!
//! In: the kernel's list of a namespace's devices (`if_nameindex`, which asks rtnetlink). Out: names. A list is read when an index
//! is unknown or the list has become old; another namespace's by a thread that enters it and ends.

use std::collections::HashMap;
use std::fs::File;
use std::thread;
use std::time::Duration;

use crate::coarse::Coarse;

use nix::net::if_::if_nameindex;
use nix::sched::{CloneFlags, setns};

use super::namespaces::Namespaces;

/// A list is read again after this time: as late as this a new name is noticed.
const FRESH: Duration = Duration::from_millis(500);
/// An unknown index makes a list be read again after this time.
const PAUSE: Duration = Duration::from_millis(20);
/// A namespace that cannot be entered is tried again after this time.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// More namespaces are not remembered.
const MAX_NAMESPACES: usize = 4096;
/// More names of devices that have gone are not remembered per namespace.
const MAX_GONE: usize = 4096;

/// The devices of one namespace.
#[derive(Debug)]
struct List {
    /// By index. Those that have gone keep their names: indexes are not used twice.
    names: HashMap<u32, Vec<u8>>,
    read: Coarse,
    /// The last attempt gave a list.
    readable: bool,
}

/// Knows devices.
#[derive(Debug, Default)]
pub struct Devices {
    /// By the namespace's inode number; 0 is our own.
    lists: HashMap<u64, List>,
}

impl Devices {
    /// The name of a device, or the last one it had.
    pub(super) fn name(
        &mut self,
        namespaces: &mut Namespaces,
        netns: u64,
        index: u32,
    ) -> Option<&[u8]> {
        let netns = match netns == namespaces.own() {
            true => 0,
            false => netns,
        };
        if self.lists.get(&netns).is_none_or(|list| list.is_old(index)) {
            self.read(namespaces, netns);
        }
        let list = self.lists.get(&netns)?;
        list.names.get(&index).map(Vec::as_slice)
    }

    /// The names of all devices of a namespace now; `None` if it cannot be entered.
    pub(super) fn names(&self, namespaces: &mut Namespaces, netns: u64) -> Option<Vec<Vec<u8>>> {
        let found = match netns == namespaces.own() {
            true => devices_here(),
            false => namespaces.open(netns).and_then(devices_in),
        };
        Some(found?.into_iter().map(|(_, name)| name).collect())
    }

    fn read(&mut self, namespaces: &mut Namespaces, netns: u64) {
        if self.lists.len() >= MAX_NAMESPACES && !self.lists.contains_key(&netns) {
            self.lists.clear();
        }
        let found = match netns {
            0 => devices_here(),
            _ => namespaces.open(netns).and_then(devices_in),
        };
        let list = self.lists.entry(netns).or_insert_with(|| List {
            names: HashMap::new(),
            read: Coarse::now(),
            readable: false,
        });
        list.read = Coarse::now();
        list.readable = found.is_some();
        list.learn(found.unwrap_or_default());
    }
}

impl List {
    /// Whether it must be read again to name this device.
    fn is_old(&self, index: u32) -> bool {
        let age = match (self.readable, self.names.contains_key(&index)) {
            (false, _) => REFUSED_PAUSE,
            (true, true) => FRESH,
            (true, false) => PAUSE,
        };
        self.read.elapsed() >= age
    }

    fn learn(&mut self, found: Vec<(u32, Vec<u8>)>) {
        if self.names.len() > found.len() + MAX_GONE {
            self.names.clear();
        }
        self.names.extend(found);
    }
}

/// The devices of the calling thread's namespace.
fn devices_here() -> Option<Vec<(u32, Vec<u8>)>> {
    let list = if_nameindex().ok()?;
    let devices = list.iter();
    Some(
        devices
            .map(|device| (device.index(), device.name().to_bytes().to_vec()))
            .collect(),
    )
}

/// The devices of another namespace. Only a thread of its own can go there: ours must stay where it is.
fn devices_in(netns: File) -> Option<Vec<(u32, Vec<u8>)>> {
    let enter = move || {
        setns(&netns, CloneFlags::CLONE_NEWNET).ok()?;
        drop(netns);
        devices_here()
    };
    let thread = thread::Builder::new().spawn(enter).ok()?;
    thread.join().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(devices: &mut Devices, netns: u64, index: u32) -> Option<String> {
        let mut namespaces = Namespaces::default();
        let name = devices.name(&mut namespaces, netns, index)?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    #[test]
    fn our_own_namespace_has_two_numbers() {
        let mut devices = Devices::default();
        assert_eq!(name(&mut devices, 0, 1).as_deref(), Some("lo"));
        let own = Namespaces::default().own();
        assert_eq!(name(&mut devices, own, 1).as_deref(), Some("lo"));
        assert_eq!(name(&mut devices, 0, u32::MAX), None);
        // No namespace has this number.
        assert_eq!(name(&mut devices, 7, 1), None);
    }

    #[test]
    fn new_names_replace_old_ones_and_the_gone_stay() {
        let mut list = List {
            names: HashMap::new(),
            read: Coarse::now(),
            readable: true,
        };
        list.learn(vec![(1, b"lo".to_vec()), (2, b"eth0".to_vec())]);
        list.learn(vec![(1, b"lo".to_vec()), (3, b"wan".to_vec())]);
        list.learn(vec![(3, b"uplink".to_vec())]);
        let mut names: Vec<_> = list.names.values().map(|n| n.as_slice()).collect();
        names.sort_unstable();
        assert_eq!(names, [&b"eth0"[..], b"lo", b"uplink"]);
        let many = (10..).zip(vec![b"veth".to_vec(); MAX_GONE]);
        list.learn(many.collect());
        list.learn(vec![(1, b"lo".to_vec())]);
        assert_eq!(list.names.len(), 1, "memory is bounded");
    }

    #[test]
    fn a_list_is_read_again_when_it_is_old() {
        let list = |age: Duration, readable| List {
            names: HashMap::from([(1, b"lo".to_vec())]),
            read: Coarse::now().before(age),
            readable,
        };
        let zero = Duration::ZERO;
        assert_eq!(
            (list(zero, true).is_old(1), list(FRESH, true).is_old(1)),
            (false, true)
        );
        assert_eq!(
            (list(zero, true).is_old(2), list(PAUSE, true).is_old(2)),
            (false, true)
        );
        assert!(!list(FRESH, false).is_old(2));
        assert!(list(REFUSED_PAUSE, false).is_old(2));
    }
}
