//! Members, elements, addresses: what leads from one place in memory to another.

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::fold;
use super::infer::int_shape;
use super::{Before, Checker};
use crate::kernel::similar;
use crate::resolve::is_args;
use crate::typed::{Context, Expr, ExprKind};
use crate::types::{Space, Ty, Type, Types};

impl Checker<'_> {
    /// `base.field`, `base->field`
    pub(super) fn field(
        &mut self,
        base: &ast::Expr,
        field: &ast::Ident,
        span: Span,
    ) -> Option<Expr> {
        if is_args(base) {
            self.answer(field, || super::arguments::all(self).map(Before::Arguments));
            return super::arguments::named(self, field, span);
        }
        let mut record = self.value(base)?;
        while let Some(to) = self.pointee(record.ty)
            && (self.pointee(to).is_some() || matches!(self.types.get(to), Type::Record(_)))
        {
            record = self.deref(record);
        }
        if let Type::Record(id) = *self.types.get(record.ty) {
            self.answer(field, || Some(Before::Record(id)));
        }
        if matches!(self.types.get(record.ty), Type::NamedTuple(_)) {
            return self.named_element(record, field, span);
        }
        let Type::Record(id) = *self.types.get(record.ty) else {
            self.no_fields(&record, field);
            return None;
        };
        // What user memory points to is user memory.
        let space = match self.place_space(&record) {
            Some(Space::User) => Space::User,
            _ => Space::Kernel,
        };
        let Some(found) = self.find_member(id, &field.name, space) else {
            self.unknown_member(record.ty, field);
            return None;
        };
        self.note_order(span, found.declared);
        Some(Expr {
            kind: ExprKind::Member {
                base: Box::new(record),
                offset: found.offset,
                bits: found.bits,
            },
            ty: found.ty,
            span,
        })
    }

    /// A field of one of the script's records.
    fn named_element(&mut self, record: Expr, field: &ast::Ident, span: Span) -> Option<Expr> {
        let Type::NamedTuple(items) = self.types.get(record.ty) else {
            return None;
        };
        let found = items.iter().position(|(name, _)| *name == field.name);
        if let Some((index, ty)) = found.and_then(|i| Some((i, items.get(i)?.1))) {
            return Some(Expr {
                kind: ExprKind::TupleElement(Box::new(record), index as u32),
                ty,
                span,
            });
        }
        let names: Vec<String> = items.iter().map(|(name, _)| name.clone()).collect();
        let message = format!("this record has no field `{}`", field.name);
        let diag = Diagnostic::error(codes::UNKNOWN_FIELD, field.span, message);
        let near = similar::nearest(&field.name, &names);
        let diag = match near.is_empty() {
            true => diag.help(format!("its fields are {}", super::shape::list(&names))),
            false => self.suggest(diag, &near),
        };
        self.report(diag);
        None
    }

    fn no_fields(&mut self, value: &Expr, field: &ast::Ident) {
        let ty = self.describe(value.ty);
        let message = format!("`.{}` needs a struct or union; this is {ty}", field.name);
        let mut diag = Diagnostic::error(codes::UNKNOWN_FIELD, value.span, message);
        let address = int_shape(self.types, value.ty).is_some();
        if address || self.pointee(value.ty) == Some(Types::VOID) {
            diag = diag.help(
                "cast it to a pointer to the struct you know it is: `((struct sock *)x)->field`",
            );
        }
        self.report(diag);
    }

    /// `base.N`
    pub(super) fn tuple_field(&mut self, base: &ast::Expr, index: u32, span: Span) -> Option<Expr> {
        let tuple = self.value(base)?;
        self.tuple_element(tuple, i64::from(index), span)
    }

    fn tuple_element(&mut self, tuple: Expr, index: i64, span: Span) -> Option<Expr> {
        let Type::Tuple(items) = self.types.get(tuple.ty) else {
            let ty = self.describe(tuple.ty);
            let message = format!("`.{index}` needs a tuple; this is {ty}");
            let mut diag = Diagnostic::error(codes::UNKNOWN_FIELD, tuple.span, message);
            if let Type::NamedTuple(items) = self.types.get(tuple.ty)
                && let Some((name, _)) = items.first()
            {
                diag = diag.help(format!("a record's fields go by their names: `.{name}`"));
            }
            self.report(diag);
            return None;
        };
        let element = usize::try_from(index)
            .ok()
            .and_then(|i| items.get(i))
            .copied();
        let Some(ty) = element else {
            let message = format!("a tuple of {} has no element {index}", items.len());
            self.error(codes::BAD_INDEX, span, message);
            return None;
        };
        Some(Expr {
            kind: ExprKind::TupleElement(Box::new(tuple), index as u32),
            ty,
            span,
        })
    }

    /// `base[index]`
    pub(super) fn index(
        &mut self,
        base: &ast::Expr,
        index: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let value = self.value(base);
        let at = self.value(index);
        let (value, at) = (value?, at?);
        if !self.is_int_like(at.ty) {
            let ty = self.describe(at.ty);
            let message = format!("an index is a number, not {ty}");
            self.error(codes::TYPE_MISMATCH, index.span, message);
            return None;
        }
        match self.types.get(value.ty).clone() {
            Type::Pointer {
                to: Types::VOID, ..
            } => {
                let message = "a `void *` has no elements";
                let help = "cast it to a pointer to something: `((uint32 *)p)[0]`";
                self.report(Diagnostic::error(codes::BAD_OPERAND, span, message).help(help));
                None
            }
            Type::Pointer { .. } => {
                let moved = self.move_pointer(value, at, false, span);
                let mut place = self.deref(moved);
                place.span = span;
                Some(place)
            }
            Type::Array { elem, len } => {
                self.same_order(span, value.span);
                self.element(value, at, elem, len, span)
            }
            Type::Str { cap } => self.element(value, at, Types::I8, cap, span),
            Type::Tuple(_) | Type::NamedTuple(_) => match fold::constant(&at, self.types) {
                Some(n) => self.tuple_element(value, n, span),
                None => {
                    let message = "the index of a tuple must be a constant";
                    self.error(codes::BAD_INDEX, index.span, message);
                    None
                }
            },
            _ => {
                let ty = self.describe(value.ty);
                let message = format!("`[…]` needs an array, a pointer or a map; this is {ty}");
                self.error(codes::BAD_OPERAND, value.span, message);
                None
            }
        }
    }

    fn element(&mut self, array: Expr, at: Expr, elem: Ty, len: u32, span: Span) -> Option<Expr> {
        let known = fold::constant(&at, self.types).map(|n| match self.types.get(at.ty) {
            Type::Int { signed: false, .. } => i128::from(n as u64),
            _ => i128::from(n),
        });
        if let Some(n) = known
            && (n < 0 || (len > 0 && n >= i128::from(len)))
        {
            let message = format!("the index {n} lies outside the array, which has {len} elements");
            let help = match len {
                0 => "an index counts from 0".to_string(),
                _ => format!("the last one is {}", len - 1),
            };
            self.report(Diagnostic::error(codes::BAD_INDEX, at.span, message).help(help));
            return None;
        }
        let at = self.convert(at, Types::U64);
        Some(Expr {
            kind: ExprKind::Element(Box::new(array), Box::new(at)),
            ty: elem,
            span,
        })
    }

    /// What a pointer points to, as a place.
    pub(crate) fn deref(&mut self, pointer: Expr) -> Expr {
        let ty = self.pointee(pointer.ty).unwrap_or(Types::POISON);
        let span = pointer.span;
        // `*&x` is `x`.
        if let ExprKind::AddressOf(place) = pointer.kind {
            return Expr { ty, ..*place };
        }
        Expr {
            kind: ExprKind::Deref(Box::new(pointer)),
            ty,
            span,
        }
    }

    /// What a type points to, if it is a pointer.
    pub(crate) fn pointee(&self, ty: Ty) -> Option<Ty> {
        match *self.types.get(ty) {
            Type::Pointer { to, .. } => Some(to),
            _ => None,
        }
    }

    /// Whose memory a place lies in; `None` for what is no place or lies in the program's own memory.
    pub(crate) fn place_space(&self, e: &Expr) -> Option<Space> {
        match &e.kind {
            ExprKind::Deref(pointer) => match *self.types.get(pointer.ty) {
                Type::Pointer { space, .. } => Some(space),
                _ => None,
            },
            ExprKind::Member { base, .. } | ExprKind::Element(base, _) => self.place_space(base),
            ExprKind::Context(Context::Memory(_)) => Some(Space::Context),
            _ => None,
        }
    }

    /// An array in kernel or user memory as a pointer to its first element; anything else as it is.
    pub(crate) fn decay(&mut self, value: Expr) -> Expr {
        let elem = match *self.types.get(value.ty) {
            Type::Array { elem, .. } => elem,
            Type::Str { .. } => Types::I8,
            _ => return value,
        };
        let Some(space) = self.place_space(&value) else {
            return value;
        };
        let to = elem;
        Expr {
            ty: self.types.intern(Type::Pointer { to, space }),
            span: value.span,
            kind: ExprKind::AddressOf(Box::new(value)),
        }
    }

    /// Bytes of the array that an address was made from by [`Checker::decay`].
    pub(crate) fn array_behind(&self, address: &Expr) -> Option<u32> {
        match &address.kind {
            ExprKind::AddressOf(place) => match self.types.get(place.ty) {
                Type::Array { .. } | Type::Str { .. } => self.size_of(place.ty).filter(|&n| n > 0),
                _ => None,
            },
            _ => None,
        }
    }
}
