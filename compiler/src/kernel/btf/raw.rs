//! A BTF section as bytes: its header, where its types and strings lie, and which type has which kind and name.
//!
//! In: the bytes of `.BTF`, of the kernel itself or of a module (a *split* section, whose ids and string offsets continue those
//! of its base). Out: ids by kind and name. This is the part that must be fast for a one-shot compile: one walk over the type
//! headers when the section is opened (about 1 ms for a whole vmlinux), then one search in the strings and one scan of an array
//! per name. Types are decoded elsewhere, by btf-rs; everything that btf-rs takes for granted about the bytes is checked here.

use std::ops::Range;
use std::rc::Rc;

use memchr::memmem;

use super::BtfError;

/// Bytes that stay where they are: a mapped file or a vector.
pub type Bytes = Rc<dyn AsRef<[u8]>>;

/// Kinds of BTF types, `BTF_KIND_*`.
#[allow(missing_docs)] // As in the kernel.
pub mod kind {
    pub const INT: u8 = 1;
    pub const PTR: u8 = 2;
    pub const ARRAY: u8 = 3;
    pub const STRUCT: u8 = 4;
    pub const UNION: u8 = 5;
    pub const ENUM: u8 = 6;
    pub const FWD: u8 = 7;
    pub const TYPEDEF: u8 = 8;
    pub const VOLATILE: u8 = 9;
    pub const CONST: u8 = 10;
    pub const RESTRICT: u8 = 11;
    pub const FUNC: u8 = 12;
    pub const FUNC_PROTO: u8 = 13;
    pub const VAR: u8 = 14;
    pub const DATASEC: u8 = 15;
    pub const FLOAT: u8 = 16;
    pub const DECL_TAG: u8 = 17;
    pub const TYPE_TAG: u8 = 18;
    pub const ENUM64: u8 = 19;
}

const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_type`.
const HEADER: usize = 12;
/// Largest section taken; a vmlinux has about 6 MB.
const MAX_BYTES: usize = 1 << 30;

/// One section.
pub struct RawSection {
    bytes: Bytes,
    strings: Range<usize>,
    types: Range<usize>,
    /// Id of the section's first type.
    first_id: u32,
    /// Offset that the section's first string has for its types.
    first_string: u32,
    /// By `id - first_id`.
    names: Vec<u32>,
    /// By `id - first_id`.
    kinds: Vec<u8>,
    /// Id and position of every enum, for the search for enumerators.
    enums: Vec<(u32, usize)>,
}

/// A type's header and what follows it.
#[derive(Clone, Copy)]
pub struct RawType<'a> {
    /// `BTF_KIND_*`
    pub kind: u8,
    /// Number of members, parameters, values.
    pub vlen: u16,
    /// Bit 31 of the info word.
    pub flag: bool,
    /// String offset of the name.
    pub name: u32,
    /// The third word: a size or a type id.
    pub size_or_type: u32,
    /// What follows the header.
    pub rest: &'a [u8],
}

/// Where a split section continues.
#[derive(Clone, Copy, Default)]
pub struct Base {
    /// Number of types of the base, `void` included.
    pub types: u32,
    /// Bytes of the base's strings.
    pub strings: u32,
}

impl RawSection {
    /// Checks the header, walks all types. `base` is all zero for a stand-alone section.
    pub fn parse(bytes: Bytes, base: Base) -> Result<RawSection, BtfError> {
        let data: &[u8] = (*bytes).as_ref();
        let (types, strings) = sections(data)?;
        let first_id = base.types.max(1);
        let estimate = types.len() / 22;
        let mut names = Vec::with_capacity(estimate);
        let mut kinds = Vec::with_capacity(estimate);
        let mut enums = Vec::new();
        let mut at = types.start;
        while at < types.end {
            let ty = read_type(data, at, types.end).map_err(|what| {
                BtfError(format!("type {} {what}", first_id as usize + names.len()))
            })?;
            if ty.kind == kind::ENUM || ty.kind == kind::ENUM64 {
                enums.push((first_id + names.len() as u32, at));
            }
            names.push(ty.name);
            kinds.push(ty.kind);
            at += HEADER + ty.rest.len();
        }
        Ok(RawSection {
            bytes,
            strings,
            types,
            first_id,
            first_string: base.strings,
            names,
            kinds,
            enums,
        })
    }

    fn data(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// What a section split from this one needs to know.
    pub fn base(&self) -> Base {
        Base {
            types: self.first_id + self.names.len() as u32,
            strings: self.first_string + self.strings.len() as u32,
        }
    }

    /// Offset of the section's first string, as its types count.
    pub(crate) fn first_string(&self) -> u32 {
        self.first_string
    }

    /// The whole section.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The kind and name offset of a type of this section.
    pub(crate) fn header(&self, id: u32) -> Option<(u8, u32)> {
        let index = id.checked_sub(self.first_id)? as usize;
        Some((*self.kinds.get(index)?, *self.names.get(index)?))
    }

    /// Offsets, as this section's types count, of the string in this section's own strings. Several when a producer did not
    /// merge equal strings.
    pub(crate) fn string_offsets(&self, text: &str) -> Vec<u32> {
        let mut needle = Vec::with_capacity(text.len() + 2);
        needle.push(0);
        needle.extend_from_slice(text.as_bytes());
        needle.push(0);
        let strings = self.data().get(self.strings.clone()).unwrap_or(&[]);
        let first = strings
            .starts_with(&needle[1..])
            .then_some(self.first_string);
        let others =
            memmem::find_iter(strings, &needle).map(|at| self.first_string + at as u32 + 1);
        first.into_iter().chain(others).collect()
    }

    /// The string at an offset of this section's own strings; `None` when it belongs to the base or is not UTF-8.
    pub fn string(&self, offset: u32) -> Option<&str> {
        let local = offset.checked_sub(self.first_string)? as usize;
        let strings = self.data().get(self.strings.clone())?;
        let tail = strings.get(local..)?;
        let end = memchr::memchr(0, tail)?;
        std::str::from_utf8(tail.get(..end)?).ok()
    }

    /// Ids of types of one of these kinds whose name is at one of these string offsets, ascending.
    pub(crate) fn ids(&self, kinds: &[u8], offsets: &[u32]) -> Vec<u32> {
        let mut ids: Vec<u32> = Vec::new();
        for &offset in offsets {
            // A plain scan of a dense array: the compiler makes vector code of it.
            for (index, _) in self.names.iter().enumerate().filter(|&(_, &n)| n == offset) {
                if self.kinds.get(index).is_some_and(|k| kinds.contains(k)) {
                    ids.push(self.first_id + index as u32);
                }
            }
        }
        ids.sort_unstable();
        ids
    }

    /// The first enum with an enumerator whose name is at one of these offsets: `(enum id, index of the enumerator)`.
    pub(crate) fn enumerator(&self, offsets: &[u32]) -> Option<(u32, usize)> {
        if offsets.is_empty() {
            return None;
        }
        for &(id, at) in &self.enums {
            let Ok(ty) = read_type(self.data(), at, self.types.end) else {
                continue;
            };
            let stride = if ty.kind == kind::ENUM64 { 12 } else { 8 };
            let found = ty
                .rest
                .chunks_exact(stride)
                .position(|value| word(value, 0).is_some_and(|name| offsets.contains(&name)));
            if let Some(index) = found {
                return Some((id, index));
            }
        }
        None
    }

    /// Every type of this section in order: id and header.
    pub fn iter(&self) -> impl Iterator<Item = (u32, RawType<'_>)> {
        let mut at = self.types.start;
        let mut id = self.first_id;
        std::iter::from_fn(move || {
            let ty = read_type(self.data(), at, self.types.end).ok()?;
            at += HEADER + ty.rest.len();
            id += 1;
            Some((id - 1, ty))
        })
    }

    /// Ids and name offsets of all named types of a kind.
    pub(crate) fn named(&self, wanted: u8) -> impl Iterator<Item = (u32, u32)> {
        self.kinds
            .iter()
            .zip(&self.names)
            .enumerate()
            .filter(move |(_, (kind, name))| **kind == wanted && **name != 0)
            .map(|(index, (_, name))| (self.first_id + index as u32, *name))
    }
}

/// Positions of the types and the strings.
fn sections(data: &[u8]) -> Result<(Range<usize>, Range<usize>), BtfError> {
    let fail = |what: &str| BtfError(what.to_string());
    if data.len() > MAX_BYTES {
        return Err(fail("the section is larger than 1 GiB"));
    }
    let header = data
        .get(..24)
        .ok_or_else(|| fail("the section is shorter than its header"))?;
    let magic = u16::from_ne_bytes([header[0], header[1]]);
    if magic == MAGIC.swap_bytes() {
        return Err(fail(
            "the section is of a machine with the other byte order",
        ));
    }
    if magic != MAGIC {
        return Err(fail(
            "the bytes are not BTF: the magic number 0xeb9f is missing",
        ));
    }
    if header[2] != 1 {
        return Err(BtfError(format!("BTF version {} is unknown", header[2])));
    }
    let field = |at| word(header, at).map_or(0, |w| w as usize);
    let header_len = field(4);
    if header_len < 24 {
        return Err(fail("the header gives itself less than 24 bytes"));
    }
    // Sums of u32: they cannot overflow a 64-bit usize.
    let range = |offset: usize, len: usize| {
        let start = header_len + offset;
        (start + len <= data.len()).then_some(start..start + len)
    };
    let types =
        range(field(8), field(12)).ok_or_else(|| fail("the types end behind the section's end"))?;
    let strings = range(field(16), field(20))
        .ok_or_else(|| fail("the strings end behind the section's end"))?;
    // A split section may have no strings of its own, and need not begin with the empty one.
    if data
        .get(strings.clone())
        .and_then(<[u8]>::last)
        .is_some_and(|&b| b != 0)
    {
        return Err(fail("the strings do not end with a NUL"));
    }
    Ok((types, strings))
}

/// A 32-bit number in the machine's byte order.
pub fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// The type at a position, or what is wrong with it.
fn read_type(data: &[u8], at: usize, end: usize) -> Result<RawType<'_>, String> {
    let data = data.get(..end).unwrap_or(data);
    let (Some(name), Some(info), Some(size_or_type)) =
        (word(data, at), word(data, at + 4), word(data, at + 8))
    else {
        return Err("is cut off".to_string());
    };
    let kind = ((info >> 24) & 0x1f) as u8;
    let vlen = (info & 0xffff) as u16;
    let rest = rest_len(kind, usize::from(vlen))
        .ok_or_else(|| format!("has kind {kind}, which this version of nettrace does not know"))?;
    let start = at + HEADER;
    let rest = data.get(start..start + rest).ok_or("is cut off")?;
    Ok(RawType {
        kind,
        vlen,
        flag: info >> 31 == 1,
        name,
        size_or_type,
        rest,
    })
}

/// How many bytes follow the header of a type.
fn rest_len(kind: u8, vlen: usize) -> Option<usize> {
    Some(match kind {
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * vlen,
        kind::ENUM | kind::FUNC_PROTO => 8 * vlen,
        _ => return None,
    })
}
