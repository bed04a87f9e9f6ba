//! What the verifier makes of an access through a pointer whose type it knows.
//!
//! In: a struct and a range of its bytes. Out: whether a plain load of that range is allowed, and whether it gives another such pointer.
//! This repeats the walk of `btf_struct_walk` (`kernel/bpf/btf.c`, 6.1 to 7.2): the first member that overlaps decides, in unions
//! too, so some members that exist cannot be loaded; those are read by a helper.

use crate::kernel::{Kernel, KernelType, KernelTypeId, Record};
use crate::types::layout::kernel_size;

/// The verifier's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Refused.
    No,
    /// A number to the verifier, or a pointer of which it makes nothing.
    Value,
    /// A pointer to a struct that it goes on to know.
    Pointer(KernelTypeId),
}

/// A load of `size` bytes at `off` of a struct.
pub(super) fn access(kernel: &dyn Kernel, id: KernelTypeId, off: u32, size: u32) -> Access {
    let (mut id, mut off) = (resolved(kernel, id), off);
    // Types nest finitely; the bound is against BTF that lies.
    for _ in 0..64 {
        let KernelType::Record(record) = &*kernel.ty(id) else {
            return Access::No;
        };
        match step(kernel, record, off, size) {
            Step::Done(access) => return access,
            Step::Into(inner, start) => (id, off) = (inner, off - start),
        }
    }
    Access::No
}

enum Step {
    Done(Access),
    /// A struct member and where it starts.
    Into(KernelTypeId, u32),
}

fn step(kernel: &dyn Kernel, record: &Record, off: u32, size: u32) -> Step {
    let end = off.saturating_add(size);
    if end > record.size {
        return Step::Done(Access::No);
    }
    for member in &record.members {
        let start = member.bit_offset / 8;
        if end <= start {
            break;
        }
        if let Some(width) = member.bit_width {
            let bits_end = (member.bit_offset + width).div_ceil(8);
            if off <= start && bits_end <= end {
                return Step::Done(Access::Value);
            }
            continue;
        }
        if off < start {
            break;
        }
        let bytes = kernel_size(kernel, member.ty).unwrap_or(0);
        if off < start.saturating_add(bytes) {
            return member_step(kernel, member.ty, start, off, size);
        }
    }
    Step::Done(Access::No)
}

/// An access that begins inside a member.
fn member_step(kernel: &dyn Kernel, ty: KernelTypeId, start: u32, off: u32, size: u32) -> Step {
    let (mut ty, mut start) = (resolved(kernel, ty), start);
    while let KernelType::Array { elem, .. } = *kernel.ty(ty) {
        let Some(stride @ 1..) = kernel_size(kernel, elem) else {
            return Step::Done(Access::No);
        };
        start += (off - start) / stride * stride;
        ty = resolved(kernel, elem);
    }
    let bytes = kernel_size(kernel, ty).unwrap_or(0);
    match *kernel.ty(ty) {
        KernelType::Record(_) => Step::Into(ty, start),
        KernelType::Pointer { .. } if (start, bytes) != (off, size) => Step::Done(Access::No),
        KernelType::Pointer { to, user, percpu } => {
            let to = resolved(kernel, to);
            let known = matches!(*kernel.ty(to), KernelType::Record(_)) && !user && !percpu;
            Step::Done(if known {
                Access::Pointer(to)
            } else {
                Access::Value
            })
        }
        _ if off + size <= start + bytes => Step::Done(Access::Value),
        _ => Step::Done(Access::No),
    }
}

/// The type behind typedefs.
fn resolved(kernel: &dyn Kernel, id: KernelTypeId) -> KernelTypeId {
    let mut id = id;
    for _ in 0..64 {
        match *kernel.ty(id) {
            KernelType::Typedef { to, .. } => id = to,
            _ => break,
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::TypeKind;
    use crate::kernel::fixture::kernels;
    use crate::types::members;

    /// A whole member by its name.
    fn member(record: &str, path: &str) -> Access {
        let kernel = kernels::linux_6_12();
        let id = kernel
            .find_type(TypeKind::Struct, record)
            .expect("the struct");
        let found = members::find(&kernel, id, path).expect("the member");
        let size = kernel_size(&kernel, found.ty).expect("a size");
        access(&kernel, id, found.offset, size)
    }

    #[test]
    fn plain_members_are_loaded_and_pointers_stay_known() {
        assert_eq!(member("nf_conn", "mark"), Access::Value);
        let kernel = kernels::linux_6_12();
        let device = kernel
            .find_type(TypeKind::Struct, "net_device")
            .expect("net_device");
        assert_eq!(member("sk_buff", "dev"), Access::Pointer(device));
    }

    #[test]
    fn in_a_union_the_first_member_decides() {
        // `dev_scratch` shares its place with the pointer `dev`, of the same size: it can be loaded, as that pointer.
        assert!(matches!(
            member("sk_buff", "dev_scratch"),
            Access::Pointer(_)
        ));
        // Half of a pointer cannot.
        let kernel = kernels::linux_6_12();
        let id = kernel
            .find_type(TypeKind::Struct, "sk_buff")
            .expect("sk_buff");
        let dev = members::find(&kernel, id, "dev").expect("dev").offset;
        assert_eq!(access(&kernel, id, dev, 4), Access::No);
    }

    #[test]
    fn nothing_outside_or_across() {
        let kernel = kernels::linux_6_12();
        let id = kernel
            .find_type(TypeKind::Struct, "nf_conn")
            .expect("nf_conn");
        let size = kernel_size(&kernel, id).expect("a size");
        assert_eq!(access(&kernel, id, size, 4), Access::No);
        assert_eq!(access(&kernel, id, size - 2, 4), Access::No);
        let mark = members::find(&kernel, id, "mark").expect("mark").offset;
        assert_eq!(access(&kernel, id, mark, 8), Access::No);
    }
}
