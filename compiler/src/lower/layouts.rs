//! Types to the bytes of their values.
use crate::artifact::{Field, Layout};
use crate::kernel::Kernel;
use crate::types::{Ty, Type, Types};

pub(super) fn layout(types: &Types, kernel: &dyn Kernel, ty: Ty) -> Layout {
    match types.get(ty) {
        Type::Poison | Type::Void => Layout::Literal {
            text: String::new(),
        },
        Type::Bool => Layout::Bool,
        Type::Int { bytes, signed } => Layout::Int {
            bytes: *bytes,
            signed: *signed,
        },
        Type::Enum { bytes, signed, .. } => Layout::Int {
            bytes: *bytes,
            signed: *signed,
        },
        Type::Pointer { .. } => Layout::Pointer,
        Type::Record(id) => match &*kernel.ty(*id) {
            crate::kernel::KernelType::Record(r) => Layout::Record {
                fields: vec![],
                size: r.size,
            },
            _ => Layout::Record {
                fields: vec![],
                size: 0,
            },
        },
        Type::Array { elem, len } => Layout::Array {
            elem: Box::new(layout(types, kernel, *elem)),
            len: *len,
        },
        Type::Str { cap } => Layout::Str { cap: *cap },
        Type::Buf { cap } => Layout::Buf { cap: *cap },
        Type::Tuple(parts) => {
            let mut at = 0;
            let mut align = 1;
            let fields = parts
                .iter()
                .map(|p| {
                    let l = layout(types, kernel, *p);
                    let offset = u32::next_multiple_of(at, l.align());
                    align = align.max(l.align());
                    at = offset + l.size();
                    Field {
                        name: String::new(),
                        offset,
                        layout: l,
                    }
                })
                .collect();
            Layout::Tuple {
                fields,
                size: at.next_multiple_of(align),
            }
        }
        Type::Stack { user, frames, mode } => Layout::Stack {
            user: *user,
            frames: *frames,
            mode: *mode,
        },
        Type::KSym => Layout::KSym,
        Type::USym => Layout::USym,
        Type::Inet { v6 } => Layout::Inet { v6: *v6 },
        Type::InetAny => Layout::InetAny,
        Type::Mac => Layout::Mac,
        Type::ProbeName => Layout::ProbeName,
    }
}
