//! Places: from an expression that denotes memory to where that memory is.
//!
//! In: `Deref`, `Member`, `Element` and their like. Out: a [`Place`] with as much of the way as possible folded into its offset, so
//! that a chain of members is one read. What has no place yet is built in a temporary.

use super::{Base, Lower, Place};
use crate::artifact::Layout;
use crate::ir::{self, BinOp, Cond, Value};
use crate::kernel::KernelTypeId;
use crate::probes::ContextKind;
use crate::typed::{Context, Expr, ExprKind};
use crate::types::{Space, Ty, Type};

impl Lower<'_> {
    /// Where a value in memory lies; it is put into a temporary when it lies nowhere.
    pub(crate) fn place_of(&mut self, expr: &Expr) -> Place {
        match &expr.kind {
            ExprKind::Var(var) => match self.var_place(*var) {
                Some(place) => place,
                None => self.materialize(expr),
            },
            ExprKind::Map(map, key) => self.entry_place(*map, key.as_deref(), expr.ty),
            ExprKind::Deref(pointer) => {
                let size = self.size(expr.ty);
                self.pointee(pointer, expr.ty).at(0, size)
            }
            ExprKind::Member { base, offset, .. } => {
                let size = self.size(expr.ty);
                self.place_of(base).at(*offset, size)
            }
            ExprKind::Element(array, index) => self.element(array, index, expr.ty),
            ExprKind::TupleElement(tuple, n) => self.tuple_element(tuple, *n),
            ExprKind::Context(Context::Memory(offset)) => {
                let size = self.size(expr.ty);
                let place = context_place(self.context()).at(*offset, size);
                match self.probe.kind.context {
                    ContextKind::Record => place,
                    // Other contexts are read in whole slots only, but their bytes are in kernel memory like all others.
                    _ => {
                        let address = self.address(place);
                        Place::foreign(address, ir::Space::Kernel, size)
                    }
                }
            }
            ExprKind::Context(Context::DataLoc(_)) => {
                let size = self.size(expr.ty);
                let address = self.value(expr);
                Place::foreign(address, ir::Space::Kernel, size)
            }
            ExprKind::Block(stmts, value) => {
                self.inner_stmts(stmts);
                self.place_of(value)
            }
            _ => self.materialize(expr),
        }
    }

    /// A value in memory, built in a temporary.
    pub(crate) fn materialize(&mut self, expr: &Expr) -> Place {
        let layout = self.layout(expr.ty);
        let place = self.temp(layout.size(), layout.align(), "a temporary value");
        self.write(expr, &place);
        place
    }

    /// What a pointer points to.
    pub(super) fn pointee(&mut self, pointer: &Expr, to: Ty) -> Place {
        match &pointer.kind {
            ExprKind::AddressOf(place) => return self.place_of(place),
            ExprKind::Context(Context::Address) => return context_place(self.context()),
            ExprKind::Binary(BinOp::Add, base, offset) => {
                if let (ExprKind::Int(offset), Type::Pointer { .. }) =
                    (&offset.kind, self.ty(base.ty))
                    && let Ok(offset) = i32::try_from(*offset)
                {
                    let place = self.pointee(base, to).untyped();
                    return place.at(offset as u32, 0);
                }
            }
            _ => {}
        }
        let space = match self.ty(pointer.ty) {
            Type::Pointer { space, .. } => *space,
            _ => Space::Kernel,
        };
        let address = self.value(pointer);
        match (space, self.ty(to)) {
            (Space::User, _) => Place::foreign(address, ir::Space::User, 0),
            (_, Type::Record(id)) => self.struct_place(address, *id),
            _ => Place::foreign(address, ir::Space::Kernel, 0),
        }
    }

    /// A struct of the kernel behind a pointer, which is made one that the verifier knows where that is possible and wanted.
    fn struct_place(&mut self, pointer: Value, id: KernelTypeId) -> Place {
        if self.typed.get(&pointer) == Some(&id) {
            return Place::foreign(pointer, ir::Space::KernelTyped, 0);
        }
        // The id must be one of vmlinux.
        let Some(cast) = self.cast.filter(|_| id.module == 0) else {
            return Place::foreign(pointer, ir::Space::Kernel, 0);
        };
        let known = match self.casts.get(&(pointer, id)) {
            Some(known) => *known,
            None => {
                let type_id = self.b.iconst(i64::from(id.id));
                self.b.kfunc(cast, &[pointer, type_id])
            }
        };
        self.casts.insert((pointer, id), known);
        self.note_struct(known, id);
        Place::foreign(known, ir::Space::KernelTyped, 0)
    }

    fn element(&mut self, array: &Expr, index: &Expr, ty: Ty) -> Place {
        let stride = self.size(ty);
        let base = self.place_of(array);
        if let ExprKind::Int(n) = index.kind {
            let offset = n.wrapping_mul(i64::from(stride));
            // Beyond 2 GB the offset wraps; check has refused indices outside the array where it knows its length.
            return base.at(offset as u32, stride);
        }
        let index = self.value(index);
        let index = match (base.is_own(), self.ty(array.ty)) {
            (true, &Type::Array { len, .. } | &Type::Str { cap: len }) => self.bounded(index, len),
            _ => index,
        };
        let bytes = self.b.binary_imm(BinOp::Mul, index, i64::from(stride));
        let start = self.address(base);
        let start = match base.base {
            Base::Context(_) => self.launder(start),
            Base::Foreign(_, ir::Space::Kernel | ir::Space::KernelTyped) if self.known_pointers => {
                self.launder(start)
            }
            _ => start,
        };
        let address = self.b.binary(BinOp::Add, start, bytes);
        match base.base {
            Base::Foreign(_, ir::Space::User) => Place::foreign(address, ir::Space::User, stride),
            Base::Foreign(..) | Base::Context(_) => {
                Place::foreign(address, ir::Space::Kernel, stride)
            }
            _ => Place {
                base: Base::Pointer(address),
                off: 0,
                align: base.alignment().min(1 << stride.trailing_zeros().min(3)),
                room: stride,
                fill: base.fill,
            },
        }
    }

    /// The index, or 0 when it lies outside: the verifier lets nobody read beside eBPF memory.
    fn bounded(&mut self, index: Value, len: u32) -> Value {
        let result = self.b.declare_var();
        let (inside, join) = (self.b.create_block(), self.b.create_block());
        let valid = self.b.compare_imm(Cond::ULt, index, i64::from(len));
        self.b.branch(valid, inside, join);
        self.arm(inside, |lower| {
            lower.b.write_var(result, index);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    fn tuple_element(&mut self, tuple: &Expr, n: u32) -> Place {
        let place = self.place_of(tuple);
        let (Layout::Tuple { fields, .. } | Layout::Record { fields, .. }) = self.layout(tuple.ty)
        else {
            return place;
        };
        match fields.get(n as usize) {
            Some(field) => place.at(field.offset, field.layout.size()),
            None => place,
        }
    }
}

fn context_place(ctx: Value) -> Place {
    Place {
        base: Base::Context(ctx),
        ..Place::pointer(ctx, 0)
    }
}
