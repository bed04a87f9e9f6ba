//! What the checker asks of types: size, members, text; kernel types as the language sees them.

use nettrace_grammar::{Diagnostic, ast, codes};

use super::Checker;
use super::infer::int_shape;
use crate::kernel::{KernelTypeId, similar};
use crate::typed::Bits;
use crate::types::{Space, Ty, Type, Types, layout, members, print};

/// A member of a struct or union, with its type in the language.
pub(super) struct Member {
    /// Bytes from the start of the record.
    pub(super) offset: u32,
    pub(super) bits: Option<Bits>,
    pub(super) ty: Ty,
}

impl Checker<'_> {
    /// A type as messages name it.
    pub(crate) fn show(&self, ty: Ty) -> String {
        print::ty(self.types, self.kernel, ty)
    }

    /// Bytes of a value; `None` when it has none.
    pub(crate) fn size_of(&self, ty: Ty) -> Option<u32> {
        layout::size_of(self.types, self.kernel, ty)
    }

    /// Number, bool or enum.
    pub(crate) fn is_int_like(&self, ty: Ty) -> bool {
        ty == Types::BOOL || int_shape(self.types, ty).is_some()
    }

    /// A kernel type, its pointers leading to kernel memory unless they are marked otherwise.
    pub(super) fn kernel_ty(&mut self, id: KernelTypeId) -> Ty {
        self.types.from_kernel(self.kernel, id, Space::Kernel)
    }

    pub(super) fn find_member(&mut self, record: KernelTypeId, name: &str) -> Option<Member> {
        let found = members::find(self.kernel, record, name)?;
        Some(Member {
            offset: found.offset,
            bits: found.bits,
            ty: self.kernel_ty(found.ty),
        })
    }

    /// Whether a struct or union is declared and defined nowhere.
    fn only_declared(&self, ty: Ty) -> bool {
        match self.types.get(ty) {
            Type::Record(id) => members::definition(self.kernel, *id).is_none(),
            _ => false,
        }
    }

    /// Reports a member that a struct or union does not have.
    pub(super) fn unknown_member(&mut self, record: Ty, field: &ast::Ident) {
        let ty = self.show(record);
        let message = format!("`{ty}` has no field `{}`", field.name);
        let mut diag = Diagnostic::error(codes::UNKNOWN_FIELD, field.span, message);
        if self.last_pass {
            let names = match *self.types.get(record) {
                Type::Record(id) => members::names(self.kernel, id),
                _ => Vec::new(),
            };
            let near = similar::nearest(&field.name, &names);
            diag = if self.only_declared(record) {
                diag.note("the kernel's BTF only declares it; the module that defines it may not be loaded")
            } else if near.is_empty() {
                diag.help(format!("its fields are {}", list(&names)))
            } else {
                self.suggest(diag, &near)
            };
        }
        self.report(diag);
    }
}

/// Names for a message: the first few.
fn list(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown: Vec<String> = names.iter().take(MOST).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
