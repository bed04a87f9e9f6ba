//! Maps: creating them and reading and changing their entries. Sizes of keys and values are only known at run time.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};

use super::{SysError, address, address_mut, attr, bpf, bpf_fd, object_name};

/// What a map is to be.
pub(crate) struct MapCreate<'a> {
    /// Cut to 15 bytes.
    pub(crate) name: &'a str,
    /// `enum bpf_map_type`.
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
    /// Type information: the section's descriptor, ids of key and value.
    pub(crate) btf: Option<(BorrowedFd<'a>, u32, u32)>,
}

impl MapCreate<'_> {
    pub(crate) fn create(&self) -> Result<OwnedFd, SysError> {
        let mut attr = attr();
        // SAFETY: all bytes are zero, every field of the union is valid.
        let u = unsafe { &mut attr.__bindgen_anon_1 };
        u.map_type = self.kind;
        u.key_size = self.key_size;
        u.value_size = self.value_size;
        u.max_entries = self.max_entries;
        u.map_flags = self.flags;
        u.map_name = object_name(self.name);
        if let Some((fd, key, value)) = self.btf {
            u.btf_fd = fd.as_raw_fd().cast_unsigned();
            u.btf_key_type_id = key;
            u.btf_value_type_id = value;
        }
        bpf_fd("BPF_MAP_CREATE", bpf_cmd::BPF_MAP_CREATE, &mut attr)
    }
}

fn element(map: BorrowedFd<'_>, key: &[u8]) -> bpf_attr {
    let mut attr = attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.key = address(key);
    attr
}

/// Reads a value into `value`, which must be as long as the map's values (of all CPUs for per-CPU maps). False: there is none.
pub(crate) fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> Result<bool, SysError> {
    let mut attr = element(map, key);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = address_mut(value);
    found(bpf(
        "BPF_MAP_LOOKUP_ELEM",
        bpf_cmd::BPF_MAP_LOOKUP_ELEM,
        &mut attr,
    ))
}

/// Writes a value; length as for [`lookup`].
pub(crate) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> Result<(), SysError> {
    let mut attr = element(map, key);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = address(value);
    bpf(
        "BPF_MAP_UPDATE_ELEM",
        bpf_cmd::BPF_MAP_UPDATE_ELEM,
        &mut attr,
    )
    .map(|_| ())
}

/// Removes an entry. False: there was none.
pub(crate) fn delete(map: BorrowedFd<'_>, key: &[u8]) -> Result<bool, SysError> {
    let mut attr = element(map, key);
    found(bpf(
        "BPF_MAP_DELETE_ELEM",
        bpf_cmd::BPF_MAP_DELETE_ELEM,
        &mut attr,
    ))
}

/// The key after `key` (or the first one) into `next`. False: that was the last.
pub(crate) fn next_key(
    map: BorrowedFd<'_>,
    key: Option<&[u8]>,
    next: &mut [u8],
) -> Result<bool, SysError> {
    let mut attr = attr();
    attr.__bindgen_anon_2.map_fd = map.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.key = key.map_or(0, address);
    attr.__bindgen_anon_2.__bindgen_anon_1.next_key = address_mut(next);
    found(bpf(
        "BPF_MAP_GET_NEXT_KEY",
        bpf_cmd::BPF_MAP_GET_NEXT_KEY,
        &mut attr,
    ))
}

/// Where a batch lookup goes on. Opaque to us: a bucket's number or a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    token: Option<Vec<u8>>,
}

/// What a batch lookup found.
pub(crate) struct Batch {
    /// How many keys and values are filled in.
    pub(crate) count: usize,
    /// Nothing comes after them.
    pub(crate) last: bool,
}

/// Reads up to `max` entries. `keys` and `values` must have room for them. `ENOSPC`: a single bucket holds more than `max`.
pub(crate) fn lookup_batch(
    map: BorrowedFd<'_>,
    cursor: &mut Cursor,
    key_size: usize,
    max: usize,
    keys: &mut [u8],
    values: &mut [u8],
) -> Result<Batch, SysError> {
    // Hash maps write 4 bytes here, others a key.
    let mut next = vec![0u8; key_size.max(8)];
    let mut attr = attr();
    attr.batch.map_fd = map.as_raw_fd().cast_unsigned();
    attr.batch.in_batch = cursor.token.as_deref().map_or(0, address);
    attr.batch.out_batch = address_mut(&mut next);
    attr.batch.keys = address_mut(keys);
    attr.batch.values = address_mut(values);
    attr.batch.count = max as u32;
    let result = bpf(
        "BPF_MAP_LOOKUP_BATCH",
        bpf_cmd::BPF_MAP_LOOKUP_BATCH,
        &mut attr,
    );
    let more = found(result)?;
    cursor.token = Some(next);
    // SAFETY: the kernel has filled in this member.
    let count = unsafe { attr.batch.count } as usize;
    Ok(Batch {
        count: count.min(max),
        last: !more,
    })
}

fn found(result: Result<i64, SysError>) -> Result<bool, SysError> {
    match result {
        Ok(_) => Ok(true),
        Err(e) if e.is(&[libc::ENOENT]) => Ok(false),
        Err(e) => Err(e),
    }
}
