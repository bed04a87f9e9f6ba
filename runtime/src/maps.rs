//! The object's maps: created, read, cleared.
//!
//! In: the plan's maps. Out: kernel maps, and their contents as bytes. What the bytes mean is not known here.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nettrace_compiler::artifact::{Map, MapKind};

use crate::control::{MMAPABLE, page_size};
use crate::live::Entries;
use crate::sys::SysError;
use crate::sys::map::{self, Cursor, MapCreate};

/// A batch is at most about this large.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_ENTRIES: usize = 4096;

/// A map of the running script.
#[derive(Debug)]
pub(crate) struct KernelMap {
    fd: OwnedFd,
    kind: MapKind,
    key_size: usize,
    /// Of all possible CPUs for per-CPU maps.
    value_size: usize,
    max_entries: u32,
}

impl KernelMap {
    /// Creates the map. `btf` is the object's BTF with the ids of key and value. `control` asks for a map that can be mapped.
    pub(crate) fn create(
        plan: &Map,
        control: bool,
        btf: Option<(BorrowedFd<'_>, u32, u32)>,
    ) -> Result<KernelMap, SysError> {
        let mut create = MapCreate {
            name: &plan.symbol,
            kind: plan.kind as u32,
            key_size: plan.key_size,
            value_size: plan.value_size,
            max_entries: plan.max_entries,
            flags: plan.flags | if control { MMAPABLE } else { 0 },
            btf,
        };
        if plan.kind == MapKind::Ringbuf {
            create.max_entries = ring_size(plan.max_entries);
        }
        let fd = match create.create() {
            // Types only serve other tools; where the kernel dislikes them it works without.
            Err(e) if btf.is_some() && !e.is(&[libc::EPERM, libc::ENOMEM]) => {
                create.btf = None;
                create.create()?
            }
            other => other?,
        };
        let value_size = plan.value_size as usize;
        let value_size = if plan.kind.per_cpu() {
            value_size.next_multiple_of(8) * possible_cpus()
        } else {
            value_size
        };
        Ok(KernelMap {
            fd,
            kind: plan.kind,
            key_size: plan.key_size as usize,
            value_size,
            max_entries: plan.max_entries,
        })
    }

    /// Whether this map can be used where the plan wants one like that.
    pub(crate) fn serves(&self, plan: &Map) -> bool {
        let value_size = match plan.kind.per_cpu() {
            true => (plan.value_size as usize).next_multiple_of(8) * possible_cpus(),
            false => plan.value_size as usize,
        };
        let sizes = (self.key_size, self.value_size);
        self.kind == plan.kind && sizes == (plan.key_size as usize, value_size)
    }

    /// Reads all entries. While programs write, an entry may be missed or be new; none is torn inside 8 bytes.
    pub(crate) fn entries(&self) -> Result<Entries, SysError> {
        match self.by_batches() {
            // Batches need 5.6 (arrays, hashes) or 5.13 (per-CPU arrays); the kernel's own number for "not supported" is 524.
            Err(e) if e.is(&[libc::EINVAL, libc::ENOTSUP, 524]) => self.one_by_one(),
            other => other,
        }
    }

    fn empty(&self) -> Entries {
        Entries {
            key_size: self.key_size,
            value_size: self.value_size,
            ..Entries::default()
        }
    }

    fn by_batches(&self) -> Result<Entries, SysError> {
        let mut out = self.empty();
        let per_entry = (self.key_size + self.value_size).max(1);
        let mut max = (BATCH_BYTES / per_entry)
            .clamp(16, BATCH_ENTRIES)
            .min((self.max_entries as usize).max(1));
        let mut cursor = Cursor::default();
        loop {
            let (keys, values) = (out.keys.len(), out.values.len());
            out.keys.resize(keys + max * self.key_size, 0);
            out.values.resize(values + max * self.value_size, 0);
            let batch = map::lookup_batch(
                self.fd.as_fd(),
                &mut cursor,
                self.key_size,
                max,
                out.keys.get_mut(keys..).unwrap_or_default(),
                out.values.get_mut(values..).unwrap_or_default(),
            );
            let count = batch.as_ref().map_or(0, |b| b.count);
            out.keys.truncate(keys + count * self.key_size);
            out.values.truncate(values + count * self.value_size);
            match batch {
                Ok(batch) if batch.last => return Ok(out),
                Ok(_) => {}
                // A hash bucket with more entries than there was room for.
                Err(e) if e.is(&[libc::ENOSPC]) && max < self.max_entries as usize => max *= 2,
                Err(e) => return Err(e),
            }
        }
    }

    fn one_by_one(&self) -> Result<Entries, SysError> {
        let mut out = self.empty();
        let mut value = vec![0; self.value_size];
        for key in self.keys()? {
            if map::lookup(self.fd.as_fd(), &key, &mut value)? {
                out.keys.extend_from_slice(&key);
                out.values.extend_from_slice(&value);
            }
        }
        Ok(out)
    }

    fn keys(&self) -> Result<Vec<Vec<u8>>, SysError> {
        let mut seen = HashSet::new();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut next = vec![0; self.key_size];
        // When the last key was deleted in between, the kernel begins anew; those seen end it.
        while map::next_key(self.fd.as_fd(), keys.last().map(Vec::as_slice), &mut next)? {
            if !seen.insert(next.clone()) {
                break;
            }
            keys.push(next.clone());
        }
        Ok(keys)
    }

    /// Removes all entries; an array's values become zero.
    pub(crate) fn clear(&self) -> Result<(), SysError> {
        if matches!(self.kind, MapKind::Array | MapKind::PercpuArray) {
            return self.zero();
        }
        for key in self.entries()?.keys.chunks_exact(self.key_size.max(1)) {
            map::delete(self.fd.as_fd(), key)?;
        }
        Ok(())
    }

    /// Sets all values to zero and keeps the keys.
    pub(crate) fn zero(&self) -> Result<(), SysError> {
        let zeros = vec![0; self.value_size];
        for key in self.entries()?.keys.chunks_exact(self.key_size.max(1)) {
            map::update(self.fd.as_fd(), key, &zeros)?;
        }
        Ok(())
    }
}

impl AsFd for KernelMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The kernel wants a power of two that is a multiple of the page size.
fn ring_size(wanted: u32) -> u32 {
    wanted
        .clamp(page_size() as u32, 1 << 30)
        .next_power_of_two()
}

/// How many values a per-CPU map has.
pub(crate) fn possible_cpus() -> usize {
    static COUNT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *COUNT.get_or_init(|| {
        std::fs::read_to_string("/sys/devices/system/cpu/possible")
            .ok()
            .and_then(|text| cpus_in(&text))
            .unwrap_or(1)
    })
}

/// `0-3,8` names 5 CPUs.
fn cpus_in(list: &str) -> Option<usize> {
    let mut count = 0;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!(cpus_in("0\n"), Some(1));
        assert_eq!(cpus_in("0-3,8\n"), Some(5));
        assert_eq!(cpus_in("3-0"), None);
        assert_eq!(cpus_in(""), None);
    }

    #[test]
    fn ring_sizes_are_rounded_up() {
        assert_eq!(ring_size(0), page_size() as u32);
        assert_eq!(ring_size(5000), 8192);
        assert_eq!(ring_size(1 << 20), 1 << 20);
    }
}
