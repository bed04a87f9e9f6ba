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
    /// As the kernel declares it.
    pub(super) declared: KernelTypeId,
}

impl Checker<'_> {
    /// A type as messages name it.
    pub(crate) fn show(&self, ty: Ty) -> String {
        print::ty(self.types, self.kernel, ty)
    }

    /// A type as a person would call it: `a number (uint16)`, `a string`, `struct sock *`.
    pub(crate) fn describe(&self, ty: Ty) -> String {
        let name = self.show(ty);
        match self.types.get(ty) {
            Type::Int { .. } => format!("a number ({name})"),
            Type::Bool => "a bool".to_string(),
            Type::Str { .. } => "a string".to_string(),
            Type::Buf { .. } => "a buffer".to_string(),
            Type::Stack { .. } => "a stack".to_string(),
            Type::Tuple(_) => format!("a tuple {name}"),
            Type::NamedTuple(_) => format!("a record {name}"),
            Type::Inet { .. } | Type::InetAny => "an IP address".to_string(),
            Type::Mac => "a link-layer address".to_string(),
            Type::Time { .. } => "a point in time".to_string(),
            Type::Device => "a network device".to_string(),
            Type::NetNs => "a network namespace".to_string(),
            Type::KFormat => "a message of the kernel".to_string(),
            Type::Flow => "a flow".to_string(),
            Type::Rule => "a rule of a packet filter".to_string(),
            Type::Meaning { .. } => "the meaning of a stack".to_string(),
            Type::Named(_) => "a name".to_string(),
            Type::Flags { .. } => "flags".to_string(),
            Type::KSym | Type::USym => "a symbol".to_string(),
            Type::KModule => "a module".to_string(),
            Type::ProbeName => "the name of a probe".to_string(),
            _ => format!("`{name}`"),
        }
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
    pub(crate) fn kernel_ty(&mut self, id: KernelTypeId) -> Ty {
        self.types.from_kernel(self.kernel, id, Space::Kernel)
    }

    /// A member of a struct or union in this memory.
    pub(super) fn find_member(
        &mut self,
        record: KernelTypeId,
        name: &str,
        space: Space,
    ) -> Option<Member> {
        let found = members::find(self.kernel, record, name)?;
        Some(Member {
            offset: found.offset,
            bits: found.bits,
            ty: self.types.from_kernel(self.kernel, found.ty, space),
            declared: found.ty,
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
            let behind = member_macro(&field.name).filter(|path| {
                path.split('.')
                    .next()
                    .is_some_and(|first| names.iter().any(|n| n == first))
            });
            diag = if let Some(path) = behind {
                diag.note(format!(
                    "`{}` is a macro of the kernel's C headers",
                    field.name
                ))
                .help(format!("write `{path}`"))
            } else if self.only_declared(record) {
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

/// Members that C code reaches through macros of net/sock.h and net/inet_sock.h.
fn member_macro(name: &str) -> Option<&'static str> {
    const MACROS: [(&str, &str); 14] = [
        ("sk_family", "__sk_common.skc_family"),
        ("sk_state", "__sk_common.skc_state"),
        ("sk_num", "__sk_common.skc_num"),
        ("sk_dport", "__sk_common.skc_dport"),
        ("sk_daddr", "__sk_common.skc_daddr"),
        ("sk_rcv_saddr", "__sk_common.skc_rcv_saddr"),
        ("sk_v6_daddr", "__sk_common.skc_v6_daddr"),
        ("sk_v6_rcv_saddr", "__sk_common.skc_v6_rcv_saddr"),
        ("sk_bound_dev_if", "__sk_common.skc_bound_dev_if"),
        ("sk_net", "__sk_common.skc_net"),
        ("sk_hash", "__sk_common.skc_hash"),
        ("sk_refcnt", "__sk_common.skc_refcnt"),
        ("inet_dport", "sk.__sk_common.skc_dport"),
        ("inet_daddr", "sk.__sk_common.skc_daddr"),
    ];
    MACROS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, path)| *path)
}

/// Names for a message: the first few.
pub(super) fn list(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown: Vec<String> = names.iter().take(MOST).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
