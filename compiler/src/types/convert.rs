//! Kernel types as types of the language.
//!
//! In: the id of a kernel type. Out: an interned [`Ty`]. Typedefs are followed; structs, unions and enums stay references to the
//! kernel's description. Never fails: what the language has no word for becomes bytes or `void`.

use super::{Space, Ty, Type, Types, members};
use crate::kernel::{Kernel, KernelType, KernelTypeId};

/// Deepest chain of pointers, arrays and typedefs that is followed; a deeper one is a loop in broken BTF.
const MAX_DEPTH: u32 = 64;

impl Types {
    /// The type of a value of this kernel type.
    ///
    /// `space` is whose memory its pointers lead to, unless BTF says `__user`. Per-CPU pointers count as kernel pointers: BTF of
    /// kernels built with GCC does not even mark them.
    pub fn from_kernel(&mut self, kernel: &dyn Kernel, id: KernelTypeId, space: Space) -> Ty {
        self.converted(kernel, id, space, MAX_DEPTH)
    }

    fn converted(&mut self, kernel: &dyn Kernel, id: KernelTypeId, space: Space, depth: u32) -> Ty {
        let Some(depth) = depth.checked_sub(1) else {
            return Types::VOID;
        };
        match &*kernel.ty(id) {
            KernelType::Void | KernelType::Function(_) => Types::VOID,
            KernelType::Int {
                boolean: true,
                bytes: 1,
                ..
            } => Types::BOOL,
            KernelType::Int { bytes, signed, .. } => self.number(*bytes, *signed),
            // The language has no floating point; the bits are better than nothing.
            KernelType::Float { bytes, .. } => self.number(*bytes, false),
            KernelType::Pointer { to, user, .. } => {
                let space = if *user { Space::User } else { space };
                let to = self.converted(kernel, *to, space, depth);
                self.intern(Type::Pointer { to, space })
            }
            KernelType::Array { elem, len } if *len > 0 && is_char(kernel, *elem) => {
                self.intern(Type::Str { cap: *len })
            }
            KernelType::Array { elem, len } => {
                let elem = self.converted(kernel, *elem, space, depth);
                self.intern(Type::Array { elem, len: *len })
            }
            KernelType::Record(_) => self.intern(Type::Record(id)),
            // vmlinux only declares what a module defines. The definition's id is the one to have: the kernel takes no other.
            KernelType::Forward { .. } => {
                let id = members::definition(kernel, id).map_or(id, |(definition, _)| definition);
                self.intern(Type::Record(id))
            }
            KernelType::Enum(list) => match list.bytes {
                bytes @ (1 | 2 | 4 | 8) => self.intern(Type::Enum {
                    id,
                    bytes: bytes as u8,
                    signed: list.signed,
                }),
                bytes => self.number(bytes, list.signed),
            },
            KernelType::Typedef { to, .. } => self.converted(kernel, *to, space, depth),
        }
    }

    /// An integer; one of a width that the language does not have (`__int128`) is an array.
    fn number(&mut self, bytes: u32, signed: bool) -> Ty {
        match bytes {
            1 | 2 | 4 | 8 => Types::int(bytes as u8, signed),
            16 => self.intern(Type::Array {
                elem: Types::U64,
                len: 2,
            }),
            len => self.intern(Type::Array {
                elem: Types::U8,
                len,
            }),
        }
    }
}

/// Whether an array of these is text: plain `char`, also by way of typedefs, but not `unsigned char` or `u8`.
pub(crate) fn is_char(kernel: &dyn Kernel, id: KernelTypeId) -> bool {
    let mut id = id;
    for _ in 0..MAX_DEPTH {
        match &*kernel.ty(id) {
            KernelType::Int { name, bytes: 1, .. } => return name == "char",
            KernelType::Typedef { to, .. } => id = *to,
            _ => return false,
        }
    }
    false
}

/// The type behind typedefs.
pub fn underlying(kernel: &dyn Kernel, id: KernelTypeId) -> KernelTypeId {
    let mut id = id;
    for _ in 0..MAX_DEPTH {
        match &*kernel.ty(id) {
            KernelType::Typedef { to, .. } => id = *to,
            _ => return id,
        }
    }
    KernelTypeId::VOID
}

/// Whether numbers of this type are in network byte order: `__be16` and its relatives, under whatever names.
pub fn is_network_order(kernel: &dyn Kernel, id: KernelTypeId) -> bool {
    let mut id = id;
    for _ in 0..MAX_DEPTH {
        match &*kernel.ty(id) {
            KernelType::Typedef { name, .. }
                if matches!(name.as_str(), "__be16" | "__be32" | "__be64") =>
            {
                return true;
            }
            KernelType::Typedef { to, .. } => id = *to,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::TypeKind;
    use crate::kernel::fixture::{FixtureKernel, kernels};
    use crate::types::print;

    fn member(kernel: &FixtureKernel, record: &str, name: &str, space: Space) -> String {
        let id = kernel.find_type(TypeKind::Struct, record).expect(record);
        let found = members::find(kernel, id, name).expect(name);
        let mut types = Types::new();
        let ty = types.from_kernel(kernel, found.ty, space);
        let space = match types.get(ty) {
            Type::Pointer {
                space: Space::User, ..
            } => " (user)",
            _ => "",
        };
        format!("{}{space}", print::ty(&types, kernel, ty))
    }

    #[test]
    fn members_of_structs() {
        let kernel = kernels::linux_6_12();
        for (record, name, expected) in [
            ("iphdr", "saddr", "uint32"),
            ("iphdr", "protocol", "uint8"),
            ("sk_buff", "dev", "struct net_device *"),
            ("sk_buff", "head", "uint8 *"),
            ("sk_buff", "cb", "string[48]"),
            ("task_struct", "comm", "string[16]"),
            ("task_struct", "pid", "int32"),
            ("nf_conn", "tuplehash", "struct nf_conntrack_tuple_hash[2]"),
            ("nf_conn", "status", "uint64"),
            ("nf_hook_state", "okfn", "void *"),
            ("sock", "sk_data_ready", "void *"),
            ("sockaddr_in", "__pad", "uint8[8]"),
            ("in6_addr", "in6_u", "union"),
        ] {
            assert_eq!(
                member(&kernel, record, name, Space::Kernel),
                expected,
                "{record}.{name}"
            );
        }
    }

    #[test]
    fn pointers_lead_to_the_memory_asked_for() {
        let kernel = kernels::linux_6_12();
        assert_eq!(
            member(&kernel, "sk_buff", "dev", Space::User),
            "struct net_device * (user)"
        );
    }
}
