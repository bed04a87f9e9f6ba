//! Members of kernel structs and unions.
//!
//! In: a record's id and a name. Out: where the member lies. Members of unnamed structs and unions belong to the record around
//! them, however deep. A record that one BTF section only declares is looked up by name in the others.

use std::rc::Rc;

use super::convert::underlying;
use crate::kernel::{Kernel, KernelType, KernelTypeId, Member, Record, TypeKind};
use crate::typed::Bits;

/// Deepest nesting of unnamed records that is followed.
const MAX_DEPTH: usize = 32;
/// Most members that are visited: broken BTF could nest records without end in both directions.
const MAX_MEMBERS: u32 = 1 << 16;

/// Where a member lies in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes from the record's start; for a bit-field of the bytes that hold it, which are all inside the record.
    pub offset: u32,
    /// Set for a bit-field.
    pub bits: Option<Bits>,
    /// The member's type; the declared one of a bit-field.
    pub ty: KernelTypeId,
}

/// The definition of a struct or union, also if `id` is a typedef of it or a declaration whose definition is elsewhere.
pub fn definition(kernel: &dyn Kernel, id: KernelTypeId) -> Option<(KernelTypeId, Rc<Record>)> {
    let id = underlying(kernel, id);
    let id = match &*kernel.ty(id) {
        KernelType::Forward { name, union } => {
            let kind = if *union {
                TypeKind::Union
            } else {
                TypeKind::Struct
            };
            kernel.find_type(kind, name)?
        }
        _ => id,
    };
    match &*kernel.ty(id) {
        KernelType::Record(record) => Some((id, record.clone())),
        _ => None,
    }
}

/// The member of this name.
pub fn find(kernel: &dyn Kernel, id: KernelTypeId, name: &str) -> Option<Found> {
    let (_, record) = definition(kernel, id)?;
    let mut found = None;
    each(kernel, &record, &mut |member, bit_offset| {
        if found.is_none() && member.name == name {
            found = located(&record, member, bit_offset);
        }
    });
    found
}

/// Names of all members in order, those of unnamed records among them.
pub fn names(kernel: &dyn Kernel, id: KernelTypeId) -> Vec<String> {
    let mut names = Vec::new();
    if let Some((_, record)) = definition(kernel, id) {
        each(kernel, &record, &mut |member, _| {
            names.push(member.name.clone())
        });
    }
    names
}

/// All named members in order with their places.
pub(super) fn all(kernel: &dyn Kernel, record: &Rc<Record>) -> Vec<(String, Found)> {
    let mut members = Vec::new();
    each(kernel, record, &mut |member, bit_offset| {
        members
            .extend(located(record, member, bit_offset).map(|found| (member.name.clone(), found)));
    });
    members
}

/// Calls back with every named member and its bit offset from the outermost record.
fn each(kernel: &dyn Kernel, record: &Rc<Record>, f: &mut dyn FnMut(&Member, u32)) {
    // Records still to be visited, the next one last: `(record, its bit offset, next member)`.
    let mut budget = MAX_MEMBERS;
    let mut todo = vec![(record.clone(), 0_u32, 0_usize)];
    while let Some((record, base, next)) = todo.pop() {
        let Some(member) = record.members.get(next) else {
            continue;
        };
        let Some(left) = budget.checked_sub(1) else {
            return;
        };
        budget = left;
        let offset = base.saturating_add(member.bit_offset);
        todo.push((record.clone(), base, next + 1));
        if !member.name.is_empty() {
            f(member, offset);
        } else if let KernelType::Record(inner) = &*kernel.ty(member.ty)
            && todo.len() < MAX_DEPTH
        {
            todo.push((inner.clone(), offset, 0));
        }
    }
}

/// The place of a member; `None` when broken BTF puts a bit-field outside the record.
fn located(record: &Record, member: &Member, bit_offset: u32) -> Option<Found> {
    let (offset, bits) = match member.bit_width {
        None => (bit_offset / 8, None),
        Some(width) => {
            let (offset, bits) = cover(record.size, bit_offset, width)?;
            (offset, Some(bits))
        }
    };
    Some(Found {
        offset,
        bits,
        ty: member.ty,
    })
}

/// The smallest load inside a record of `size` bytes that holds these bits, aligned if one is.
///
/// It never begins behind the bit-field's first byte: the verifier takes a load through a BTF pointer only if it covers the
/// bit-field.
fn cover(size: u32, bit_offset: u32, width: u32) -> Option<(u32, Bits)> {
    let (first, end) = (bit_offset / 8, bit_offset.checked_add(width)?.div_ceil(8));
    if width == 0 || width > 64 || end > size {
        return None;
    }
    let fits = |&(bytes, offset): &(u32, u32)| {
        offset <= first && end <= offset + bytes && offset + bytes <= size
    };
    let aligned = [1, 2, 4, 8].map(|bytes| (bytes, first / bytes * bytes));
    let tight = [1, 2, 4, 8].map(|bytes| (bytes, first.min(size.saturating_sub(bytes))));
    let (bytes, offset) = aligned.into_iter().chain(tight).find(fits)?;
    let low = bit_offset - 8 * offset;
    // On big-endian machines bits are counted from the most significant one.
    let shift = if cfg!(target_endian = "big") {
        8 * bytes - low - width
    } else {
        low
    };
    Some((
        offset,
        Bits {
            bytes: bytes as u8,
            shift: shift as u8,
            width: width as u8,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixture::{FixtureKernel, kernels};

    fn at(kernel: &FixtureKernel, record: &str, name: &str) -> Found {
        let id = kernel.find_type(TypeKind::Struct, record).expect(record);
        find(kernel, id, name).unwrap_or_else(|| panic!("{record} has no {name}"))
    }

    #[test]
    fn members_and_their_offsets() {
        let kernel = kernels::linux_6_12();
        assert_eq!(at(&kernel, "iphdr", "protocol").offset, 9);
        // In an unnamed union in the struct.
        assert_eq!(at(&kernel, "iphdr", "saddr").offset, 12);
        assert_eq!(at(&kernel, "iphdr", "daddr").offset, 16);
        let id = kernel.find_type(TypeKind::Struct, "iphdr").expect("iphdr");
        assert_eq!(find(&kernel, id, "nothing"), None);
        assert_eq!(find(&kernel, id, ""), None);
        assert_eq!(
            names(&kernel, id),
            [
                "ihl", "version", "tos", "tot_len", "id", "frag_off", "ttl", "protocol", "check",
                "saddr", "daddr", "addrs"
            ]
        );
    }

    #[test]
    fn bit_fields_are_covered_by_the_smallest_load() {
        let kernel = kernels::linux_6_12();
        let bits = |bytes, shift, width| {
            Some(Bits {
                bytes,
                shift,
                width,
            })
        };
        assert_eq!(at(&kernel, "iphdr", "ihl").bits, bits(1, 0, 4));
        assert_eq!(at(&kernel, "iphdr", "version").bits, bits(1, 4, 4));
        let syn = at(&kernel, "tcphdr", "syn");
        assert_eq!((syn.offset, syn.bits), (13, bits(1, 1, 1)));
        let doff = at(&kernel, "tcphdr", "doff");
        assert_eq!((doff.offset, doff.bits), (12, bits(1, 4, 4)));
    }

    #[test]
    fn loads_stay_inside_the_record() {
        let load =
            |size, offset, width| cover(size, offset, width).map(|(at, b)| (at, b.bytes, b.shift));
        // 12 bits from bit 6 on need 3 bytes: a load of 4.
        assert_eq!(load(8, 6, 12), Some((0, 4, 6)));
        // Not aligned at the end of a record of 5 bytes.
        assert_eq!(load(5, 22, 12), Some((1, 4, 14)));
        assert_eq!(load(3, 14, 10), Some((1, 2, 6)));
        assert_eq!(load(8, 0, 64), Some((0, 8, 0)));
        // A record of 3 bytes has no load of 3.
        assert_eq!(load(3, 4, 16), None);
        assert_eq!(load(4, 30, 4), None);
        assert_eq!(load(4, u32::MAX, 4), None);
    }

    #[test]
    fn a_declaration_leads_to_the_definition() {
        let kernel = kernels::linux_6_12();
        // vmlinux only declares it; nf_tables defines it.
        let declared = (1..5000).map(|id| KernelTypeId { module: 0, id }).find(
            |&id| matches!(&*kernel.ty(id), KernelType::Forward { name, .. } if name == "nft_pktinfo"),
        );
        let defined = kernel
            .find_type(TypeKind::Struct, "nft_pktinfo")
            .expect("nft_pktinfo");
        if let Some(declared) = declared {
            assert_eq!(
                definition(&kernel, declared).map(|(id, _)| id),
                Some(defined)
            );
        }
        // Declared everywhere, defined nowhere.
        let ops = (1..5000).map(|id| KernelTypeId { module: 0, id }).find(
            |&id| matches!(&*kernel.ty(id), KernelType::Forward { name, .. } if name == "net_device_ops"),
        );
        assert!(definition(&kernel, ops.expect("a declaration")).is_none());
    }
}
