//! BTF types of map keys and values, so that `bpftool map dump` shows what the script stores.
//!
//! In: the plan's [`Layout`]s. Out: types whose sizes are exactly those of the map; where a layout cannot be told in BTF, plain
//! bytes. The runtime prints maps by the plan, not by these types.

use super::btf::{Builder, Encoding, Member, TypeId, VOID};
use crate::artifact::{Field, Layout, Map, MapKind, Stored};

/// The most members a BTF struct can have (16 bits).
const MAX_MEMBERS: usize = u16::MAX as usize;

/// Key and value types of a map; `None` for maps that have none (the ring buffer).
pub(super) fn key_and_value(btf: &mut Builder, map: &Map) -> Option<(TypeId, TypeId)> {
    if map.kind == MapKind::Ringbuf {
        return None;
    }
    let is_array = matches!(map.kind, MapKind::Array | MapKind::PercpuArray);
    let key = match map.script.as_ref().and_then(|s| s.key.as_ref()) {
        Some(layout) if !is_array => {
            let ty = of_layout(btf, layout);
            fitted(btf, ty, layout.size(), map.key_size)
        }
        // The kernel takes nothing but a 32-bit integer as an array's key.
        _ if map.key_size == 4 => btf.int("u32", 4, Encoding::Unsigned),
        _ => bytes(btf, map.key_size),
    };
    let value = match map.script.as_ref().map(|s| &s.value) {
        Some(stored) => {
            let (ty, size) = of_stored(btf, stored, map.value_size);
            fitted(btf, ty, size, map.value_size)
        }
        None if map.value_size.is_multiple_of(8) => words(btf, map.value_size / 8),
        None => bytes(btf, map.value_size),
    };
    Some((key, value))
}

/// `ty`, if it has the map's size; in a struct of that size if it is smaller; else bytes.
fn fitted(btf: &mut Builder, ty: TypeId, size: u32, wanted: u32) -> TypeId {
    match size {
        _ if size == wanted => ty,
        1.. if size < wanted => btf.structure("", wanted, &[Member::new("value", ty, 0)]),
        _ => bytes(btf, wanted),
    }
}

fn unsigned(btf: &mut Builder, bytes: u32) -> TypeId {
    let name = match bytes {
        1 => "u8",
        2 => "u16",
        4 => "u32",
        _ => "u64",
    };
    btf.int(name, bytes.clamp(1, 8), Encoding::Unsigned)
}

fn integer(btf: &mut Builder, bytes: u32, signed: bool) -> TypeId {
    if !signed {
        return unsigned(btf, bytes);
    }
    let name = match bytes {
        1 => "s8",
        2 => "s16",
        4 => "s32",
        _ => "s64",
    };
    btf.int(name, bytes.clamp(1, 8), Encoding::Signed)
}

fn bytes(btf: &mut Builder, len: u32) -> TypeId {
    let byte = unsigned(btf, 1);
    btf.array(byte, len)
}

fn words(btf: &mut Builder, len: u32) -> TypeId {
    let word = unsigned(btf, 8);
    if len == 1 { word } else { btf.array(word, len) }
}

/// The type of a stored value and its size.
fn of_stored(btf: &mut Builder, stored: &Stored, value_size: u32) -> (TypeId, u32) {
    let pair = |btf: &mut Builder, first: &str, second: &str, signed: bool| {
        let members = [
            Member::new(first, integer(btf, 8, signed), 0),
            Member::new(second, unsigned(btf, 8), 8),
        ];
        (btf.structure("", 16, &members), 16)
    };
    match stored {
        Stored::Plain(layout) => (of_layout(btf, layout), layout.size()),
        Stored::Count => (unsigned(btf, 8), 8),
        Stored::Sum { signed } => (integer(btf, 8, *signed), 8),
        Stored::Avg { signed } | Stored::Stats { signed } => pair(btf, "total", "count", *signed),
        Stored::Min { signed } | Stored::Max { signed } => pair(btf, "value", "is_set", *signed),
        Stored::Hist { .. } | Stored::Lhist { .. } => {
            (words(btf, value_size / 8), value_size / 8 * 8)
        }
    }
}

/// The type of a value. Its size is [`Layout::size`], except for layouts without a form in BTF.
fn of_layout(btf: &mut Builder, layout: &Layout) -> TypeId {
    match layout {
        Layout::Int { bytes, signed } => integer(btf, u32::from(*bytes), *signed),
        Layout::Net { bytes } | Layout::Bits { bytes, .. } => unsigned(btf, u32::from(*bytes)),
        Layout::Enum {
            bytes,
            signed,
            names,
        } => of_enum(btf, u32::from(*bytes), *signed, names),
        Layout::Bool => btf.int("bool", 1, Encoding::Bool),
        Layout::Pointer | Layout::KSym | Layout::KModule => btf.ptr(VOID),
        Layout::ProbeName => unsigned(btf, 8),
        Layout::USym => {
            let members = [
                Member::new("pid", unsigned(btf, 8), 0),
                Member::new("addr", btf.ptr(VOID), 8),
            ];
            btf.structure("", 16, &members)
        }
        Layout::Str { cap } => {
            let char = btf.int("char", 1, Encoding::Char);
            btf.array(char, *cap)
        }
        Layout::Buf { cap } => {
            let members = [
                Member::new("len", unsigned(btf, 4), 0),
                Member::new("data", bytes(btf, *cap), 4),
            ];
            btf.structure("", layout.size(), &members)
        }
        Layout::Literal { .. } => bytes(btf, 0),
        Layout::Stack { user, frames, .. } => {
            let mut members = Vec::new();
            let mut offset = 0;
            if *user {
                members.push(Member::new("pid", unsigned(btf, 8), 0));
                offset = 8;
            }
            members.push(Member::new("len", integer(btf, 8, true), offset));
            let frame = btf.ptr(VOID);
            let all = btf.array(frame, *frames);
            members.push(Member::new("frames", all, offset + 8));
            btf.structure("", layout.size(), &members)
        }
        Layout::Time { .. } | Layout::Device | Layout::NetNs => unsigned(btf, 8),
        Layout::Inet { .. } | Layout::Mac | Layout::Flow | Layout::KFormat | Layout::Rule => {
            bytes(btf, layout.size())
        }
        Layout::Flags { .. } => unsigned(btf, 8),
        Layout::Meaning { frames, .. } => {
            let length = Member::new("len", integer(btf, 8, true), 0);
            let frame = btf.ptr(VOID);
            let all = btf.array(frame, *frames);
            btf.structure("", layout.size(), &[length, Member::new("frames", all, 8)])
        }
        Layout::InetAny => {
            let members = [
                Member::new("family", unsigned(btf, 8), 0),
                Member::new("addr", bytes(btf, 16), 8),
            ];
            btf.structure("", 24, &members)
        }
        Layout::Tuple { fields, size } | Layout::Record { fields, size } => {
            of_fields(btf, fields, *size)
        }
        Layout::Array { elem, len } => {
            let elem = of_layout(btf, elem);
            btf.array(elem, *len)
        }
    }
}

fn of_enum(btf: &mut Builder, bytes: u32, signed: bool, names: &[(i64, String)]) -> TypeId {
    // BTF_KIND_ENUM holds 32-bit values; wider ones would need ENUM64 (Linux 6.0): shown as numbers.
    let values: Option<Vec<(String, i32)>> = names
        .iter()
        .map(|(value, name)| {
            let bits = i32::try_from(*value)
                .ok()
                .or_else(|| u32::try_from(*value).ok().map(u32::cast_signed))?;
            is_identifier(name).then(|| (name.clone(), bits))
        })
        .collect();
    match values {
        Some(values) if !values.is_empty() && values.len() <= MAX_MEMBERS && bytes <= 4 => {
            btf.enumeration("", bytes, signed, &values)
        }
        _ => integer(btf, bytes, signed),
    }
}

fn of_fields(btf: &mut Builder, fields: &[Field], size: u32) -> TypeId {
    if fields.is_empty() || fields.len() > MAX_MEMBERS {
        return bytes(btf, size);
    }
    let mut members = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        if matches!(field.layout, Layout::Literal { .. }) {
            continue;
        }
        let name = if is_identifier(&field.name) {
            field.name.clone()
        } else {
            format!("f{index}")
        };
        let mut member = Member::new(name, of_layout(btf, &field.layout), field.offset);
        if let Layout::Bits { shift, width, .. } = field.layout {
            member.bit_offset += u32::from(shift);
            member.bits = u32::from(width);
        }
        // 24 bits hold an offset beside a bit-field.
        if member.bit_offset >= 1 << 24 {
            return bytes(btf, size);
        }
        members.push(member);
    }
    btf.structure("", size, &members)
}

/// What the kernel accepts as the name of a member: a C identifier.
fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
