//! Types as scripts write them: `uint16`, `struct nf_conn *`, `pid_t`, `int8[4]`; `sizeof` and `offsetof`.

use nettrace_grammar::ast::{TypeSuffix, TypeTag};
use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use super::fold;
use crate::kernel::{KernelTypeId, Similar, TypeKind, similar};
use crate::typed::Expr;
use crate::types::{Space, Ty, Type, Types};

/// The language's own names.
const NAMES: [(&str, Ty); 17] = [
    ("void", Types::VOID),
    ("bool", Types::BOOL),
    ("int8", Types::I8),
    ("uint8", Types::U8),
    ("int16", Types::I16),
    ("uint16", Types::U16),
    ("int32", Types::I32),
    ("uint32", Types::U32),
    ("int64", Types::I64),
    ("uint64", Types::U64),
    ("char", Types::I8),
    ("short", Types::I16),
    ("int", Types::I32),
    ("long", Types::I64),
    ("unsigned", Types::U32),
    ("size_t", Types::U64),
    ("ssize_t", Types::I64),
];

/// Elements that a written array may have: keeps sizes far inside a `u32`.
const MAX_ELEMENTS: u64 = 1 << 20;

impl Checker<'_> {
    /// A written type; its pointers lead to kernel memory.
    pub(super) fn written_type(&mut self, written: &ast::TypeExpr) -> Option<Ty> {
        self.written_type_in(written, Space::Kernel)
    }

    /// A written type whose pointers lead to this memory.
    pub(super) fn written_type_in(&mut self, written: &ast::TypeExpr, space: Space) -> Option<Ty> {
        let name = written.name.name.as_str();
        let mut suffixes = written.suffixes.as_slice();
        if written.tag.is_none() && matches!(name, "string" | "buffer") {
            let cap = match suffixes.split_first() {
                Some((TypeSuffix::Array(Some(n)), rest)) => {
                    suffixes = rest;
                    self.array_length(*n, written.span)?
                }
                _ => self.limits.max_strlen,
            };
            let ty = match name {
                "string" => Type::Str { cap: cap.max(1) },
                _ => Type::Buf { cap: cap.max(1) },
            };
            let ty = self.types.intern(ty);
            return self.wrap(ty, suffixes, space, written.span);
        }
        let base = self.base_type(written)?;
        // `char[16]` is text, as in the kernel's own structs; `int8[16]` is an array of numbers.
        if name == "char"
            && let Some((TypeSuffix::Array(Some(n)), rest)) = suffixes.split_first()
            && *n > 0
        {
            let cap = self.array_length(*n, written.span)?;
            let ty = self.types.intern(Type::Str { cap });
            return self.wrap(ty, rest, space, written.span);
        }
        self.wrap(base, suffixes, space, written.span)
    }

    fn array_length(&mut self, n: u64, span: Span) -> Option<u32> {
        if n > MAX_ELEMENTS {
            let message =
                format!("an array of {n} elements is too large; {MAX_ELEMENTS} is the most");
            self.error(codes::VALUE_TOO_LARGE, span, message);
            return None;
        }
        Some(n as u32)
    }

    fn wrap(
        &mut self,
        mut ty: Ty,
        suffixes: &[TypeSuffix],
        space: Space,
        span: Span,
    ) -> Option<Ty> {
        for suffix in suffixes {
            let shape = match *suffix {
                TypeSuffix::Pointer => Type::Pointer { to: ty, space },
                TypeSuffix::Array(n) => {
                    if ty == Types::VOID {
                        self.error(codes::BAD_CAST, span, "there are no arrays of `void`");
                        return None;
                    }
                    let len = self.array_length(n.unwrap_or(0), span)?;
                    let size = u64::from(self.size_of(ty).unwrap_or(1));
                    self.array_length(size * u64::from(len), span)?;
                    Type::Array { elem: ty, len }
                }
            };
            ty = self.types.intern(shape);
        }
        Some(ty)
    }

    fn base_type(&mut self, written: &ast::TypeExpr) -> Option<Ty> {
        let name = &written.name.name;
        let kinds: &[TypeKind] = match written.tag {
            Some(TypeTag::Struct) => &[TypeKind::Struct],
            Some(TypeTag::Union) => &[TypeKind::Union],
            Some(TypeTag::Enum) => &[TypeKind::Enum],
            None => match NAMES.iter().find(|(n, _)| n == name) {
                Some(&(_, ty)) => return Some(ty),
                None => &[TypeKind::Typedef, TypeKind::Int],
            },
        };
        match self.kernel_type(name, kinds) {
            Some(id) => Some(self.kernel_ty(id)),
            None => {
                self.unknown_type(written, kinds);
                None
            }
        }
    }

    fn kernel_type(&self, name: &str, kinds: &[TypeKind]) -> Option<KernelTypeId> {
        kinds
            .iter()
            .find_map(|&kind| self.kernel.find_type(kind, name))
    }

    fn unknown_type(&mut self, written: &ast::TypeExpr, kinds: &[TypeKind]) {
        let name = &written.name.name;
        let tag = match written.tag {
            Some(TypeTag::Struct) => "struct ",
            Some(TypeTag::Union) => "union ",
            Some(TypeTag::Enum) => "enum ",
            None => "",
        };
        let message = format!("there is no type `{tag}{name}`");
        let mut diag = Diagnostic::error(codes::UNKNOWN_TYPE, written.span, message);
        if self.last_pass {
            let others = [
                (TypeKind::Struct, "struct "),
                (TypeKind::Union, "union "),
                (TypeKind::Enum, "enum "),
                (TypeKind::Typedef, ""),
            ];
            let other = others
                .iter()
                .find(|(k, _)| self.kernel.find_type(*k, name).is_some());
            match other {
                Some((_, tag)) => diag = diag.help(format!("write `{tag}{name}`")),
                None => {
                    let mut near: Vec<String> = Vec::new();
                    if written.tag.is_none() {
                        near = similar::nearest(name, NAMES.iter().map(|(n, _)| *n));
                    }
                    for &kind in kinds {
                        let found = self.similar(Similar::Type(kind), name);
                        near.extend(found.iter().map(|n| format!("{tag}{n}")));
                    }
                    near.truncate(5);
                    diag = self.suggest(diag, &near).note(
                        "types come from the kernel's BTF and that of loaded modules; headers are not read",
                    );
                }
            }
        }
        self.report(diag);
    }

    /// The type that `sizeof` and `offsetof` are about.
    fn type_or_value(&mut self, of: &ast::TypeOrExpr) -> Option<Ty> {
        match of {
            ast::TypeOrExpr::Type(ty) => self.written_type(ty),
            ast::TypeOrExpr::Expr(e) => {
                if let ast::ExprKind::Ident(name) = &e.kind {
                    let own = NAMES.iter().find(|(n, _)| n == name).map(|&(_, ty)| ty);
                    if own.is_some() {
                        return own;
                    }
                    if let Some(id) = self.kernel_type(name, &[TypeKind::Typedef, TypeKind::Int]) {
                        return Some(self.kernel_ty(id));
                    }
                }
                self.value(e).map(|v| v.ty)
            }
        }
    }

    pub(super) fn sizeof(&mut self, of: &ast::TypeOrExpr, span: Span) -> Option<Expr> {
        let ty = self.type_or_value(of)?;
        let Some(size) = self.size_of(ty) else {
            let ty = self.show(ty);
            let message = format!("the size of {ty} is not known");
            self.error(codes::TYPE_MISMATCH, span, message);
            return None;
        };
        Some(fold::literal(i128::from(size), span))
    }

    pub(super) fn offsetof(
        &mut self,
        of: &ast::TypeOrExpr,
        path: &[ast::Ident],
        span: Span,
    ) -> Option<Expr> {
        let mut ty = self.type_or_value(of)?;
        // `offsetof($skb, len)` is about what the pointer points to.
        if let Some(to) = self.pointee(ty) {
            ty = to;
        }
        let mut offset: u64 = 0;
        for field in path {
            let Type::Record(id) = *self.types.get(ty) else {
                let ty = self.show(ty);
                let message = format!("{ty} has no fields");
                self.error(codes::UNKNOWN_FIELD, field.span, message);
                return None;
            };
            let Some(found) = self.find_member(id, &field.name, Space::Kernel) else {
                self.unknown_member(ty, field);
                return None;
            };
            if found.bits.is_some() {
                let message = format!("`{}` is a bit-field and has no offset in bytes", field.name);
                self.error(codes::BAD_ARGUMENT, field.span, message);
                return None;
            }
            offset += u64::from(found.offset);
            ty = found.ty;
        }
        Some(fold::literal(i128::from(offset), span))
    }
}
