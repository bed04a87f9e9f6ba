//! Bytes of types: sizes, alignment, and the [`Layout`] that programs write and the runtime reads.
//!
//! In: a [`Ty`] or a kernel type. Out: its bytes. Tuples have natural alignment per field (text and bytes align to 1) and are
//! rounded up to the largest one, as the reference manual of the language has it. Structs are as BTF says. What BTF calls network byte
//! order or an address is printed as what it means there.

use std::collections::BTreeSet;

use super::convert::{is_char, is_network_order, underlying};
use super::{Ty, Type, Types, members};
use crate::artifact::{Field, Layout};
use crate::kernel::{Enum, Kernel, KernelType, KernelTypeId};
use crate::typed::Bits;

/// Deepest nesting of structs that a layout spells out; what is deeper is given as bytes.
const MAX_DEPTH: u32 = 12;
/// Most fields that a layout spells out, over all levels: `struct task_struct` has about 2000. Broken BTF could demand any number.
const MAX_FIELDS: u32 = 1 << 14;

/// The layout of values of a type.
pub fn layout(types: &Types, kernel: &dyn Kernel, ty: Ty) -> Layout {
    match types.get(ty) {
        Type::Poison | Type::Void => Layout::Literal {
            text: String::new(),
        },
        Type::Bool => Layout::Bool,
        Type::Int { bytes, signed } => Layout::Int {
            bytes: *bytes,
            signed: *signed,
        },
        Type::Enum { id, .. } => kernel_layout(kernel, *id),
        Type::Pointer { .. } => Layout::Pointer,
        Type::Record(id) => kernel_layout(kernel, *id),
        Type::Array { elem, len } => Layout::Array {
            elem: Box::new(layout(types, kernel, *elem)),
            len: *len,
        },
        Type::Str { cap } => Layout::Str { cap: *cap },
        Type::Buf { cap } => Layout::Buf { cap: *cap },
        Type::Tuple(items) => tuple(items.iter().map(|&item| layout(types, kernel, item))),
        Type::NamedTuple(items) => {
            let items = items.iter();
            let (fields, size) =
                sequence(items.map(|(name, item)| (name.clone(), layout(types, kernel, *item))));
            Layout::Record { fields, size }
        }
        Type::Stack { user, frames, mode } => Layout::Stack {
            user: *user,
            frames: *frames,
            mode: *mode,
        },
        Type::KSym => Layout::KSym,
        Type::KModule => Layout::KModule,
        Type::USym => Layout::USym,
        Type::Inet { v6 } => Layout::Inet { v6: *v6 },
        Type::InetAny => Layout::InetAny,
        Type::Mac => Layout::Mac,
        Type::Time { format } => Layout::Time {
            format: format.clone(),
        },
        Type::Device => Layout::Device,
        Type::NetNs => Layout::NetNs,
        Type::Flow => Layout::Flow,
        Type::Rule => Layout::Rule,
        Type::KFormat => Layout::KFormat,
        Type::Meaning { frames, rows } => Layout::Meaning {
            frames: *frames,
            rows: rows.to_vec(),
        },
        Type::Named(names) => Layout::Enum {
            bytes: 8,
            signed: true,
            names: names.to_vec(),
        },
        Type::Flags { names, separator } => Layout::Flags {
            names: names.to_vec(),
            separator: separator.to_string(),
        },
        Type::ProbeName => Layout::ProbeName,
    }
}

/// Bytes of a value; `None` for what has no size: `void`, and records that the kernel declares without defining.
pub fn size_of(types: &Types, kernel: &dyn Kernel, ty: Ty) -> Option<u32> {
    match types.get(ty) {
        Type::Poison | Type::Void => None,
        Type::Record(id) => kernel_size(kernel, *id),
        Type::Array { elem, len } => size_of(types, kernel, *elem)?.checked_mul(*len),
        Type::Enum { bytes, .. } => Some(u32::from(*bytes)),
        _ => Some(layout(types, kernel, ty).size()),
    }
}

/// Alignment of a value: 1, 2, 4 or 8.
pub fn align_of(types: &Types, kernel: &dyn Kernel, ty: Ty) -> u32 {
    match types.get(ty) {
        Type::Enum { bytes, .. } => u32::from(*bytes),
        Type::Array { elem, .. } => align_of(types, kernel, *elem),
        _ => layout(types, kernel, ty).align(),
    }
}

/// Values one after another with natural alignment.
pub fn tuple(items: impl IntoIterator<Item = Layout>) -> Layout {
    let (fields, size) = sequence(items.into_iter().map(|item| (String::new(), item)));
    Layout::Tuple { fields, size }
}

/// Fields one after another with natural alignment, and the bytes of all.
fn sequence(items: impl Iterator<Item = (String, Layout)>) -> (Vec<Field>, u32) {
    let (mut fields, mut end, mut largest) = (Vec::new(), 0_u32, 1);
    for (name, layout) in items {
        let align = layout.align().max(1);
        let offset = end.next_multiple_of(align);
        end = offset.saturating_add(layout.size());
        largest = largest.max(align);
        fields.push(Field {
            name,
            offset,
            layout,
        });
    }
    let size = end.checked_next_multiple_of(largest).unwrap_or(end);
    (fields, size)
}

/// The layout of values of a kernel type.
pub fn kernel_layout(kernel: &dyn Kernel, id: KernelTypeId) -> Layout {
    expanded(kernel, id, MAX_DEPTH, &mut { MAX_FIELDS })
}

/// Bytes of a kernel type; `None` for `void`, functions, and records that are only declared.
pub fn kernel_size(kernel: &dyn Kernel, id: KernelTypeId) -> Option<u32> {
    sized(kernel, id, 64)
}

fn sized(kernel: &dyn Kernel, id: KernelTypeId, depth: u32) -> Option<u32> {
    let id = underlying(kernel, id);
    match &*kernel.ty(id) {
        KernelType::Int { bytes, .. } | KernelType::Float { bytes, .. } => Some(*bytes),
        KernelType::Pointer { .. } => Some(8),
        KernelType::Array { elem, len } => {
            sized(kernel, *elem, depth.checked_sub(1)?)?.checked_mul(*len)
        }
        KernelType::Enum(list) => Some(list.bytes),
        KernelType::Record(record) => Some(record.size),
        KernelType::Forward { .. } => {
            members::definition(kernel, id).map(|(_, record)| record.size)
        }
        KernelType::Void | KernelType::Typedef { .. } | KernelType::Function(_) => None,
    }
}

fn is_function(kernel: &dyn Kernel, id: KernelTypeId) -> bool {
    let id = underlying(kernel, id);
    matches!(&*kernel.ty(id), KernelType::Function(_))
}

fn expanded(kernel: &dyn Kernel, id: KernelTypeId, depth: u32, budget: &mut u32) -> Layout {
    let in_network_order = is_network_order(kernel, id);
    let id = underlying(kernel, id);
    let size = || kernel_size(kernel, id).unwrap_or(0);
    let (Some(depth), Some(left)) = (depth.checked_sub(1), budget.checked_sub(1)) else {
        return bytes(size());
    };
    *budget = left;
    match &*kernel.ty(id) {
        KernelType::Int {
            boolean: true,
            bytes: 1,
            ..
        } => Layout::Bool,
        KernelType::Int {
            bytes: bytes @ (2 | 4 | 8),
            ..
        } if in_network_order => Layout::Net {
            bytes: *bytes as u8,
        },
        KernelType::Int { bytes, signed, .. } => number(*bytes, *signed),
        KernelType::Float { bytes, .. } => number(*bytes, false),
        // The name says more than the address.
        KernelType::Pointer { to, .. } if is_function(kernel, *to) => Layout::KSym,
        KernelType::Pointer { .. } => Layout::Pointer,
        KernelType::Array { elem, len } if *len > 0 && is_char(kernel, *elem) => {
            Layout::Str { cap: *len }
        }
        KernelType::Array { elem, len } => Layout::Array {
            elem: Box::new(expanded(kernel, *elem, depth, budget)),
            len: *len,
        },
        KernelType::Enum(list) => enumeration(list),
        KernelType::Record(_) | KernelType::Forward { .. } => record(kernel, id, depth, budget),
        KernelType::Void | KernelType::Typedef { .. } | KernelType::Function(_) => bytes(size()),
    }
}

fn record(kernel: &dyn Kernel, id: KernelTypeId, depth: u32, budget: &mut u32) -> Layout {
    let Some((_, record)) = members::definition(kernel, id) else {
        return bytes(0);
    };
    match (record.name.as_str(), record.size) {
        ("in_addr", 4) => return Layout::Inet { v6: false },
        ("in6_addr", 16) => return Layout::Inet { v6: true },
        _ => {}
    }
    let fields = members::all(kernel, &record)
        .into_iter()
        .map(|(name, found)| Field {
            offset: found.offset,
            layout: match found.bits {
                Some(Bits {
                    bytes,
                    shift,
                    width,
                }) => Layout::Bits {
                    bytes,
                    shift,
                    width,
                    signed: is_signed(kernel, found.ty),
                },
                None => match expanded(kernel, found.ty, depth, budget) {
                    Layout::Net { bytes: 4 } if is_address(&name) => Layout::Inet { v6: false },
                    other => other,
                },
            },
            name,
        });
    // What does not fit belongs to broken BTF; a reader must be able to rely on the size.
    let inside = |field: &Field| {
        let end = u64::from(field.offset) + u64::from(field.layout.size());
        end <= u64::from(record.size)
    };
    Layout::Record {
        fields: without_groups(fields.filter(inside).collect()),
        size: record.size,
    }
}

/// Whether a member of type `__be32` is an IPv4 address; others are sequence numbers, identifiers, flags.
fn is_address(name: &str) -> bool {
    name.ends_with("addr") || matches!(name, "ip" | "gw4")
}

/// Leaves out what the kernel's `struct_group` makes: members under a second name, all of which are there under the first.
fn without_groups(fields: Vec<Field>) -> Vec<Field> {
    let of_record = |field: &Field| matches!(&field.layout, Layout::Record { .. });
    if !fields.iter().any(of_record) {
        return fields;
    }
    let known: BTreeSet<(&str, u32)> = fields.iter().map(|f| (f.name.as_str(), f.offset)).collect();
    let again = |field: &Field| match &field.layout {
        Layout::Record { fields: inner, .. } if !inner.is_empty() => inner
            .iter()
            .all(|f| known.contains(&(f.name.as_str(), field.offset + f.offset))),
        _ => false,
    };
    let drop: Vec<bool> = fields.iter().map(again).collect();
    let kept = fields.into_iter().zip(drop).filter(|(_, again)| !again);
    kept.map(|(field, _)| field).collect()
}

fn is_signed(kernel: &dyn Kernel, id: KernelTypeId) -> bool {
    match &*kernel.ty(underlying(kernel, id)) {
        KernelType::Int {
            signed, boolean, ..
        } => *signed && !boolean,
        KernelType::Enum(list) => list.signed,
        _ => false,
    }
}

fn enumeration(list: &Enum) -> Layout {
    match list.bytes {
        bytes @ (1 | 2 | 4 | 8) => Layout::Enum {
            bytes: bytes as u8,
            signed: list.signed,
            names: list
                .values
                .iter()
                .map(|(name, value)| (*value, name.clone()))
                .collect(),
        },
        other => number(other, list.signed),
    }
}

fn number(width: u32, signed: bool) -> Layout {
    match width {
        1 | 2 | 4 | 8 => Layout::Int {
            bytes: width as u8,
            signed,
        },
        16 => Layout::Array {
            elem: Box::new(Layout::Int {
                bytes: 8,
                signed: false,
            }),
            len: 2,
        },
        len => bytes(len),
    }
}

/// Bytes without a meaning.
fn bytes(len: u32) -> Layout {
    Layout::Array {
        elem: Box::new(Layout::Int {
            bytes: 1,
            signed: false,
        }),
        len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::TypeKind;
    use crate::kernel::fixture::{FixtureKernel, kernels};
    use crate::types::Space;

    fn of(kernel: &FixtureKernel, name: &str) -> Layout {
        let id = kernel.find_type(TypeKind::Struct, name).expect(name);
        kernel_layout(kernel, id)
    }

    fn field<'a>(layout: &'a Layout, name: &str) -> &'a Field {
        let Layout::Record { fields, .. } = layout else {
            panic!("not a record: {layout:?}");
        };
        fields
            .iter()
            .find(|f| f.name == name)
            .unwrap_or_else(|| panic!("no field {name}"))
    }

    #[test]
    fn a_struct_with_bit_fields_and_an_unnamed_union() {
        let kernel = kernels::linux_6_12();
        let iphdr = of(&kernel, "iphdr");
        assert_eq!((iphdr.size(), iphdr.align()), (20, 4));
        let version = field(&iphdr, "version");
        let bits = Layout::Bits {
            bytes: 1,
            shift: 4,
            width: 4,
            signed: false,
        };
        assert_eq!((version.offset, &version.layout), (0, &bits));
        assert_eq!(field(&iphdr, "daddr").offset, 16);
    }

    #[test]
    fn network_order_and_addresses_are_printed_as_what_they_mean() {
        let kernel = kernels::linux_6_12();
        let iphdr = of(&kernel, "iphdr");
        let layout = |name| field(&iphdr, name).layout.clone();
        assert_eq!(layout("tot_len"), Layout::Net { bytes: 2 });
        assert_eq!(layout("saddr"), Layout::Inet { v6: false });
        let tcphdr = of(&kernel, "tcphdr");
        assert_eq!(field(&tcphdr, "seq").layout, Layout::Net { bytes: 4 });
        assert_eq!(field(&tcphdr, "dest").layout, Layout::Net { bytes: 2 });
        assert_eq!(of(&kernel, "in6_addr"), Layout::Inet { v6: true });
    }

    #[test]
    fn what_struct_group_says_twice_is_there_once() {
        let kernel = kernels::linux_6_12();
        let Layout::Record { fields, .. } = of(&kernel, "iphdr") else {
            panic!("a record");
        };
        let has = |name: &str| fields.iter().any(|f| f.name == name);
        assert!(has("saddr") && has("daddr") && !has("addrs"));
        let skb = of(&kernel, "sk_buff");
        assert!(
            matches!(&skb, Layout::Record { fields, .. } if fields.iter().all(|f| f.name != "headers"))
        );
        // Alternatives of a union are no second names.
        let tuple = of(&kernel, "nf_conntrack_tuple");
        assert!(matches!(field(&tuple, "dst").layout, Layout::Record { .. }));
    }

    #[test]
    fn text_arrays_pointers_and_structs_in_structs() {
        let kernel = kernels::linux_6_12();
        let task = of(&kernel, "task_struct");
        assert_eq!(field(&task, "comm").layout, Layout::Str { cap: 16 });
        assert_eq!(field(&task, "mm").layout, Layout::Pointer);
        let conn = of(&kernel, "nf_conn");
        let Layout::Array { elem, len: 2 } = &field(&conn, "tuplehash").layout else {
            panic!("tuplehash is an array of two");
        };
        assert_eq!(field(elem, "tuple").offset, 16);
        assert_eq!(conn.size(), 248);
    }

    #[test]
    fn tuples_have_natural_alignment() {
        let kernel = kernels::linux_6_12();
        let mut types = Types::new();
        let mut size = |items: &[Ty]| {
            let tuple = types.intern(Type::Tuple(items.to_vec()));
            (
                layout(&types, &kernel, tuple).size(),
                align_of(&types, &kernel, tuple),
            )
        };
        assert_eq!(
            size(&[Types::I8, Types::I64, Types::I8, Types::I64]),
            (32, 8)
        );
        assert_eq!(size(&[Types::I32, Types::I8]), (8, 4));
        assert_eq!(size(&[]), (0, 1));
        let text = types.intern(Type::Str { cap: 3 });
        let tuple = types.intern(Type::Tuple(vec![Types::U16, text]));
        assert_eq!(size_of(&types, &kernel, tuple), Some(6));
    }

    #[test]
    fn what_has_no_size() {
        let kernel = kernels::linux_6_12();
        let mut types = Types::new();
        let declared = (1..5000)
            .map(|id| KernelTypeId { module: 0, id })
            .find(|&id| matches!(&*kernel.ty(id), KernelType::Forward { name, .. } if name == "net_device_ops"))
            .expect("a declaration");
        let ty = types.from_kernel(&kernel, declared, Space::Kernel);
        assert_eq!(size_of(&types, &kernel, ty), None);
        assert_eq!(size_of(&types, &kernel, Types::VOID), None);
    }
}
