//! What BPF objects and probe definitions the kernel holds.
//!
//! In: the kernel, asked through bpf(2) and tracefs. Out: an [`Inventory`], and the difference of two:
//! a tracer that has ended must have left nothing behind.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::command::output;

/// Kinds of BPF objects: name for people (and bpftool), and the bpf(2) command that walks their ids.
const KINDS: [(&str, libc::c_int); 3] = [("prog", 11), ("map", 12), ("link", 31)];

/// Where the kernel lists probes that were defined by hand, one per line.
const DEFINITIONS: [&str; 2] = [
    "/sys/kernel/tracing/kprobe_events",
    "/sys/kernel/tracing/uprobe_events",
];

/// All BPF object ids and probe definitions at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    items: BTreeSet<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Object { kind: &'static str, id: u32 },
    Definition { line: String },
}

impl Inventory {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When bpf(2) refuses, normally for want of privilege.
    pub fn take() -> Result<Self> {
        let mut items = BTreeSet::new();
        for (kind, command) in KINDS {
            let mut id = 0;
            while let Some(next) =
                next_id(command, id).with_context(|| format!("cannot list BPF {kind}s"))?
            {
                items.insert(Item::Object { kind, id: next });
                id = next;
            }
        }
        for file in DEFINITIONS {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            items.extend(text.lines().map(|line| Item::Definition {
                line: line.to_owned(),
            }));
        }
        Ok(Self { items })
    }

    /// What has come since `self` was taken and stays, described for people: it neither goes away within
    /// `patience` (the kernel frees objects some time after the last user has closed them) nor belongs to
    /// a process that still runs (on a machine where others trace too).
    ///
    /// # Errors
    /// Those of [`Inventory::take`].
    pub fn what_is_new(&self, patience: Duration) -> Result<Vec<String>> {
        let until = Instant::now() + patience;
        let mut left: BTreeSet<Item> = Self::take()?
            .items
            .difference(&self.items)
            .cloned()
            .collect();
        while !left.is_empty() {
            let held = held();
            let now = Self::take()?;
            left.retain(|item| now.items.contains(item) && !held.contains(item));
            if Instant::now() >= until {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(left.iter().map(describe).collect())
    }
}

/// The objects that running processes hold: through descriptors, and the maps of programs held so.
fn held() -> BTreeSet<Item> {
    let mut held = BTreeSet::new();
    for file in descriptors() {
        let Ok(text) = std::fs::read_to_string(file) else {
            continue;
        };
        for (kind, _) in KINDS {
            // A link's description names its program too.
            let field = format!("{kind}_id:");
            let ids = text
                .lines()
                .filter_map(|line| line.strip_prefix(field.as_str())?.trim().parse().ok());
            held.extend(ids.map(|id| Item::Object { kind, id }));
        }
    }
    let programs: Vec<u32> = held
        .iter()
        .filter_map(|item| match item {
            Item::Object { kind: "prog", id } => Some(*id),
            _ => None,
        })
        .collect();
    held.extend(
        programs
            .into_iter()
            .flat_map(maps_of)
            .map(|id| Item::Object { kind: "map", id }),
    );
    held
}

/// The files that describe open descriptors of all processes.
fn descriptors() -> impl Iterator<Item = PathBuf> {
    super::process::processes().into_iter().flat_map(|pid| {
        let dir = std::fs::read_dir(format!("/proc/{pid}/fdinfo"));
        dir.into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    })
}

fn maps_of(program: u32) -> Vec<u32> {
    let shown =
        output(Command::new("bpftool").args(["-j", "prog", "show", "id", &program.to_string()]));
    let Ok(shown) = shown.and_then(|text| Ok(serde_json::from_str::<serde_json::Value>(&text)?))
    else {
        return Vec::new();
    };
    let ids = shown
        .get("map_ids")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten();
    ids.filter_map(|id| u32::try_from(id.as_u64()?).ok())
        .collect()
}

fn describe(item: &Item) -> String {
    match item {
        Item::Definition { line } => format!("probe definition {line}"),
        Item::Object { kind, id } => {
            let id = id.to_string();
            let shown =
                output(Command::new("bpftool").args([kind, "show", "id", &id])).unwrap_or_default();
            format!(
                "BPF {kind} {id} ({})",
                shown.lines().next().unwrap_or("no details").trim()
            )
        }
    }
}

/// The next id after `id`, or none at the end.
fn next_id(command: libc::c_int, id: u32) -> Result<Option<u32>> {
    // union bpf_attr { struct { __u32 start_id; __u32 next_id; __u32 open_flags; } }
    let mut attr = [id, 0, 0, 0];
    // SAFETY: the kernel reads and writes at most the 16 bytes it is told about.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attr.as_mut_ptr(),
            size_of_val(&attr),
        )
    };
    if result == 0 {
        return Ok(Some(attr[1]));
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) {
        Ok(None)
    } else {
        Err(error.into())
    }
}
