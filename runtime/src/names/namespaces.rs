//! Network namespaces by their inode numbers.
//!
//! In: `/run/netns` (where `ip netns` puts names), `/proc/1/ns/net`, and for namespaces without a name the processes in them. Out:
//! names, and a way into a namespace. Directories are read when a number is unknown, or what is known has become old, but never
//! twice within a short time.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::coarse::Coarse;

/// Unknown numbers make names be read again after this time.
const PAUSE: Duration = Duration::from_millis(100);
/// Known names are read again after this time: a number is given to another namespace soon after its namespace has gone.
const FRESH: Duration = Duration::from_secs(1);
/// Names of namespaces that have gone stay for events that are still to be printed.
const FAREWELL: Duration = Duration::from_secs(2);
/// Looking through all processes costs milliseconds.
const PROCESSES_PAUSE: Duration = Duration::from_secs(1);

/// A namespace with a name.
#[derive(Debug)]
struct Named {
    name: Vec<u8>,
    path: PathBuf,
    seen: Coarse,
}

/// Knows namespaces.
#[derive(Debug)]
pub struct Namespaces {
    /// Where named ones are.
    folder: PathBuf,
    proc: PathBuf,
    named: HashMap<u64, Named>,
    scanned: Option<Coarse>,
    /// A process of each namespace that has any.
    processes: HashMap<u64, PathBuf>,
    processes_scanned: Option<Coarse>,
    own: Option<u64>,
}

impl Default for Namespaces {
    fn default() -> Self {
        Namespaces::at("/run/netns", "/proc")
    }
}

impl Namespaces {
    /// Reads these folders in place of `/run/netns` and `/proc`.
    fn at(folder: impl Into<PathBuf>, proc: impl Into<PathBuf>) -> Namespaces {
        Namespaces {
            folder: folder.into(),
            proc: proc.into(),
            named: HashMap::new(),
            scanned: None,
            processes: HashMap::new(),
            processes_scanned: None,
            own: None,
        }
    }

    /// The name of a namespace: that of `ip netns`, or `init` for the first process's.
    pub fn name(&mut self, inode: u64) -> Option<&[u8]> {
        let known = self.named.contains_key(&inode);
        if is_older(self.scanned, if known { FRESH } else { PAUSE }) {
            self.scan();
        }
        self.named.get(&inode).map(|named| named.name.as_slice())
    }

    /// The namespace of this name.
    pub(super) fn number(&mut self, name: &[u8]) -> Option<u64> {
        self.scan();
        let found = self.named.iter().find(|(_, named)| named.name == name);
        found.map(|(inode, _)| *inode)
    }

    /// All names, in order.
    pub(super) fn names(&mut self) -> Vec<String> {
        self.scan();
        let name = |named: &Named| String::from_utf8_lossy(&named.name).into_owned();
        let mut names: Vec<String> = self.named.values().map(name).collect();
        names.sort();
        names
    }

    /// All namespaces: ours, those with a name, those of processes.
    pub(super) fn all(&mut self) -> Vec<u64> {
        self.scan();
        self.scan_processes();
        let mut all: Vec<u64> = self.named.keys().copied().collect();
        all.extend(self.processes.keys().copied());
        all.push(self.own());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The namespace that nettrace itself is in; 0 if that cannot be told.
    pub(super) fn own(&mut self) -> u64 {
        let proc = &self.proc;
        *self
            .own
            .get_or_insert_with(|| inode(&proc.join("thread-self/ns/net")).unwrap_or(0))
    }

    /// Opens a namespace, to be closed soon: it keeps the namespace alive.
    pub(super) fn open(&mut self, inode: u64) -> Option<File> {
        let path = |known: Option<&Named>| known.map(|named| named.path.clone());
        if let Some(path) = path(self.named.get(&inode))
            && let Some(file) = open_checked(&path, inode)
        {
            return Some(file);
        }
        if is_older(self.scanned, PAUSE) {
            self.scan();
            if let Some(path) = path(self.named.get(&inode))
                && let Some(file) = open_checked(&path, inode)
            {
                return Some(file);
            }
        }
        if let Some(path) = self.processes.get(&inode)
            && let Some(file) = open_checked(path, inode)
        {
            return Some(file);
        }
        if is_older(self.processes_scanned, PROCESSES_PAUSE) {
            self.scan_processes();
        }
        open_checked(self.processes.get(&inode)?, inode)
    }

    fn scan(&mut self) {
        let now = Coarse::now();
        self.scanned = Some(now);
        let mut put = |path: PathBuf, name: &OsStr| {
            if let Some(inode) = inode(&path) {
                let name = name.as_bytes().to_vec();
                let seen = now;
                self.named.insert(inode, Named { name, path, seen });
            }
        };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            put(entry.path(), &entry.file_name());
        }
        // Last: also when `ip netns attach` has given it a name.
        put(self.proc.join("1/ns/net"), OsStr::new("init"));
        self.named
            .retain(|_, named| now.since(named.seen) <= FAREWELL);
    }

    fn scan_processes(&mut self) {
        self.processes_scanned = Some(Coarse::now());
        self.processes.clear();
        for entry in fs::read_dir(&self.proc).into_iter().flatten().flatten() {
            let is_process = entry.file_name().as_bytes().iter().all(u8::is_ascii_digit);
            let path = entry.path().join("ns/net");
            if is_process && let Some(inode) = inode(&path) {
                self.processes.entry(inode).or_insert(path);
            }
        }
    }
}

fn is_older(since: Option<Coarse>, age: Duration) -> bool {
    since.is_none_or(|since| since.elapsed() >= age)
}

/// `NS_GET_NSTYPE` of `linux/nsfs.h`: gives the `CLONE_NEW…` that makes such a namespace.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// Whether a path leads to a network namespace.
pub(crate) fn is_namespace(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    // SAFETY: the call takes no argument and writes nothing; other files refuse it.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.ino())
}

/// A path may lead elsewhere by now.
fn open_checked(path: &Path, inode: u64) -> Option<File> {
    let file = File::open(path).ok()?;
    (file.metadata().ok()?.ino() == inode).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files have inode numbers, too.
    struct Fake {
        root: tempfile::TempDir,
        namespaces: Namespaces,
    }

    impl Fake {
        fn new() -> Fake {
            let root = tempfile::tempdir().expect("a folder");
            let (run, proc) = (root.path().join("run"), root.path().join("proc"));
            fs::create_dir_all(proc.join("1/ns")).expect("a folder");
            fs::create_dir_all(&run).expect("a folder");
            fs::write(proc.join("1/ns/net"), "").expect("a file");
            Fake {
                namespaces: Namespaces::at(run, proc),
                root,
            }
        }

        fn add(&self, path: &str) -> u64 {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, "").expect("a file");
            inode(&path).expect("a number")
        }

        fn name(&mut self, inode: u64) -> Option<String> {
            let name = self.namespaces.name(inode)?;
            Some(String::from_utf8_lossy(name).into_owned())
        }

        /// Makes everything known this much older.
        fn wait(&mut self, time: Duration) {
            self.namespaces.scanned = self.namespaces.scanned.map(|at| at.before(time));
            for named in self.namespaces.named.values_mut() {
                named.seen = named.seen.before(time);
            }
        }
    }

    #[test]
    fn names_of_ip_netns_and_of_the_first_process() {
        let mut fake = Fake::new();
        let (red, init) = (fake.add("run/red"), fake.add("proc/1/ns/net"));
        assert_eq!(fake.name(red).as_deref(), Some("red"));
        assert_eq!(fake.name(init).as_deref(), Some("init"));
        assert_eq!(fake.name(1), None);
    }

    #[test]
    fn what_appears_and_what_goes() {
        let mut fake = Fake::new();
        let red = fake.add("run/red");
        assert!(fake.name(red).is_some());
        let blue = fake.add("run/blue");
        assert_eq!(fake.name(blue), None, "not read twice within a short time");
        fake.wait(PAUSE);
        assert_eq!(fake.name(blue).as_deref(), Some("blue"));
        // Renamed: the same namespace under another name.
        let run = fake.root.path().join("run");
        fs::rename(run.join("blue"), run.join("green")).expect("renamed");
        fake.wait(FRESH);
        assert_eq!(fake.name(blue).as_deref(), Some("green"));
        fs::remove_file(run.join("green")).expect("removed");
        fake.wait(FRESH);
        assert_eq!(fake.name(blue).as_deref(), Some("green"), "for late events");
        fake.wait(FAREWELL);
        assert_eq!(fake.name(blue), None);
    }

    #[test]
    fn namespaces_without_a_name_are_found_through_their_processes() {
        let mut fake = Fake::new();
        let unnamed = fake.add("proc/4711/ns/net");
        assert_eq!(fake.name(unnamed), None);
        assert!(fake.namespaces.open(unnamed).is_some());
        assert!(fake.namespaces.open(1).is_none());
    }

    #[test]
    fn namespaces_by_their_names() {
        let mut fake = Fake::new();
        let (red, other) = (fake.add("run/red"), fake.add("proc/4711/ns/net"));
        assert_eq!(fake.namespaces.number(b"red"), Some(red));
        assert_eq!(fake.namespaces.number(b"blue"), None);
        assert_eq!(fake.namespaces.names(), ["init", "red"]);
        let all = fake.namespaces.all();
        assert!(all.contains(&red) && all.contains(&other), "{all:?}");
    }

    #[test]
    fn only_namespaces_of_networks_are_such() {
        assert!(is_namespace(Path::new("/proc/self/ns/net")));
        assert!(!is_namespace(Path::new("/proc/self/ns/pid")));
        assert!(!is_namespace(Path::new("/etc/passwd")));
        assert!(!is_namespace(Path::new("/no/such/file")));
    }

    #[test]
    fn nothing_to_read_is_no_name() {
        let mut namespaces = Namespaces::at("/no/such/folder", "/no/such/proc");
        assert_eq!(namespaces.name(5), None);
        assert_eq!(namespaces.own(), 0);
        assert!(namespaces.open(5).is_none());
    }
}
