//! Where each kind of probe keeps its arguments and result.
//!
//! * kprobe: registers of `struct pt_regs`, one per argument, two for a struct of 9 to 16 bytes; from the seventh on the stack.
//! * fentry, fexit, and kretprobe where its body uses arguments (it runs as an fexit then): `u64` slots in the same way, without a limit; fexit's result lies behind them.
//! * raw tracepoints: one `u64` slot per argument.
//! * tracepoints: fields of the event's record.

use std::rc::Rc;

use nettrace_grammar::{Diagnostic, Span, ast, codes};

use super::Checker;
use crate::kernel::{KernelTypeId, Prototype, Tracepoint, TracepointField, TypeKind, similar};
use crate::probes::{ContextKind, PACKET};
use crate::resolve::Source;
use crate::typed::{Context, Expr, ExprKind};
use crate::types::{Space, Ty, Type, Types, print};

/// Argument registers of x86-64.
const REGISTERS: u32 = 6;

/// `args` without a field.
pub(crate) fn whole(c: &mut Checker<'_>, span: Span) -> Option<Expr> {
    if c.kind.context == ContextKind::Packet {
        differ(c, span, "args");
        return None;
    }
    let message = "`args` is not a value by itself";
    let names = names(c);
    let help = match names.is_empty() {
        true => "write `args.NAME`".to_string(),
        false => format!("write `args.NAME`; here there are {}", names.join(", ")),
    };
    c.report(Diagnostic::error(codes::NOT_A_VALUE, span, message).help(help));
    None
}

/// The names of all arguments.
fn names(c: &Checker<'_>) -> Vec<String> {
    match c.source() {
        Source::Prototype(p) => p
            .params
            .iter()
            .map(|(name, _)| name.clone())
            .filter(|n| !n.is_empty())
            .collect(),
        Source::Tracepoint(t) => t.fields.iter().map(|f| f.name.clone()).collect(),
        Source::None | Source::Unknown | Source::Missing => Vec::new(),
    }
}

/// Names and types of all arguments, for an editor.
pub(crate) fn all(c: &Checker<'_>) -> Option<Vec<(String, String)>> {
    match c.source() {
        Source::Prototype(p) => {
            let named = p.params.iter().filter(|(name, _)| !name.is_empty());
            let shown = |ty: &KernelTypeId| print::kernel_type(c.kernel, *ty);
            Some(named.map(|(name, ty)| (name.clone(), shown(ty))).collect())
        }
        Source::Tracepoint(t) => {
            let fields = t.fields.iter();
            Some(fields.map(|f| (f.name.clone(), f.c_type.clone())).collect())
        }
        Source::None | Source::Unknown | Source::Missing => None,
    }
}

/// `args.NAME`
pub(crate) fn named(c: &mut Checker<'_>, field: &ast::Ident, span: Span) -> Option<Expr> {
    match c.kind.context {
        // A kretprobe whose body uses arguments is an fexit here.
        ContextKind::None | ContextKind::Return => {
            no_arguments_in(c, span, "args");
            return None;
        }
        ContextKind::Packet => {
            differ(c, span, "args");
            return None;
        }
        _ => {}
    }
    match c.source().clone() {
        Source::Tracepoint(t) => record_field(c, &t, field, span),
        Source::Prototype(p) => {
            let position = p.params.iter().position(|(name, _)| *name == field.name);
            let Some(position) = position else {
                unknown(c, field);
                return None;
            };
            parameter(c, &p, position, field, span)
        }
        Source::Missing => None,
        Source::Unknown | Source::None => {
            let name = c.target_name().to_string();
            let message = format!("BTF does not describe the arguments of `{name}`");
            let help = match c.kind.context {
                ContextKind::Entry => "use arg0, arg1, … and cast them: `(struct sock *)arg0`",
                _ => "use arg0, arg1, … and cast them",
            };
            c.report(Diagnostic::error(codes::NO_ARGUMENTS, span, message).help(help));
            None
        }
    }
}

fn no_arguments_in(c: &mut Checker<'_>, span: Span, what: &str) {
    let message = format!("`{what}` does not exist in `{}` probes", c.kind.name);
    let help = match what {
        "args" => "it exists in kprobe, kretprobe, fentry, fexit, tracepoint and rawtracepoint",
        _ => "it exists in kprobe, kretprobe, fentry, fexit and rawtracepoint",
    };
    c.report(Diagnostic::error(codes::NOT_IN_PROBE, span, message).help(help));
}

/// The functions of an `skb` probe have nothing in common but the packet.
fn differ(c: &mut Checker<'_>, span: Span, what: &str) {
    let message = format!("`{what}` does not exist in `{}` probes", c.kind.name);
    c.report(
        Diagnostic::error(codes::NOT_IN_PROBE, span, message)
            .note("each of the functions has arguments of its own; they share the packet only")
            .help("write `skb` for the packet")
            .help("write `kprobe:FUNCTION` for the arguments of one function"),
    );
}

/// `skb`
pub(crate) fn packet(c: &mut Checker<'_>, span: Span) -> Option<Expr> {
    c.only_in(&[ContextKind::Packet], "skb", span)?;
    let to = match c.kernel.find_type(TypeKind::Struct, PACKET) {
        Some(id) => c.kernel_ty(id),
        None => Types::VOID,
    };
    let space = Space::Kernel;
    Some(Expr {
        kind: ExprKind::Context(Context::Packet),
        ty: c.types.intern(Type::Pointer { to, space }),
        span,
    })
}

fn unknown(c: &mut Checker<'_>, field: &ast::Ident) {
    let name = c.target_name().to_string();
    let message = format!("`{name}` has no argument `{}`", field.name);
    let names = names(c);
    let near = similar::nearest(&field.name, &names);
    let diag = Diagnostic::error(codes::UNKNOWN_FIELD, field.span, message);
    let diag = match (near.is_empty(), names.is_empty()) {
        (false, _) => c.suggest(diag, &near),
        (true, true) => diag.note("it has no arguments at all"),
        (true, false) => diag.help(format!("its arguments are {}", names.join(", "))),
    };
    c.report(diag);
}

/// Slots of 8 bytes that a parameter takes, by the calling convention of x86-64.
fn slots(c: &mut Checker<'_>, id: KernelTypeId) -> u32 {
    let ty = c.kernel_ty(id);
    let memory = matches!(c.types.get(ty), Type::Record(_) | Type::Array { .. });
    match c.size_of(ty) {
        Some(size) if memory && size > 8 => 2,
        _ => 1,
    }
}

/// The first slot of a parameter; the number of parameters gives the slot behind the last.
fn slot_of(c: &mut Checker<'_>, p: &Prototype, position: usize) -> u32 {
    p.params
        .iter()
        .take(position)
        .map(|(_, ty)| slots(c, *ty))
        .sum()
}

fn parameter(
    c: &mut Checker<'_>,
    p: &Rc<Prototype>,
    position: usize,
    field: &ast::Ident,
    span: Span,
) -> Option<Expr> {
    let id = p.params.get(position).map(|(_, ty)| *ty)?;
    let ty = c.kernel_ty(id);
    c.note_order(span, id);
    if c.kind.context != ContextKind::Entry {
        let slot = slot_of(c, p, position);
        return Some(slot_value(c, slot, ty, span));
    }
    let by_value = |c: &Checker<'_>, ty: Ty| matches!(c.types.get(ty), Type::Record(_));
    if by_value(c, ty) {
        let message = format!(
            "`{}` is a struct passed by value, which a kprobe cannot read",
            field.name
        );
        c.report(Diagnostic::error(codes::NOT_IN_PROBE, span, message).help("use fentry"));
        return None;
    }
    // Structs by value: two registers at most, larger ones lie on the stack.
    let mut register = 0;
    for (_, id) in p.params.iter().take(position) {
        let before = c.kernel_ty(*id);
        let large = by_value(c, before) && c.size_of(before).is_some_and(|n| n > 16);
        register += if large { 0 } else { slots(c, *id) };
    }
    if register >= REGISTERS {
        on_the_stack(c, span);
        return None;
    }
    Some(scalar(c, Context::Register(register), ty, span))
}

fn on_the_stack(c: &mut Checker<'_>, span: Span) {
    let message = "this argument lies on the stack, where a kprobe cannot find it";
    let help = "a kprobe has the first six arguments; fentry has all";
    c.report(Diagnostic::error(codes::NOT_IN_PROBE, span, message).help(help));
}

/// What a `u64` slot of the context holds.
fn slot_value(c: &mut Checker<'_>, slot: u32, ty: Ty, span: Span) -> Expr {
    let memory = matches!(
        c.types.get(ty),
        Type::Record(_) | Type::Array { .. } | Type::Str { .. }
    );
    if memory {
        return Expr {
            kind: ExprKind::Context(Context::Memory(8 * slot)),
            ty,
            span,
        };
    }
    scalar(c, Context::Slot(slot), ty, span)
}

/// A value out of 64 bits of which only those of its type count.
fn scalar(c: &mut Checker<'_>, context: Context, ty: Ty, span: Span) -> Expr {
    let of = |ty| Expr {
        kind: ExprKind::Context(context),
        ty,
        span,
    };
    if c.size_of(ty) == Some(8) {
        return of(ty);
    }
    let raw = of(Types::U64);
    if ty == Types::BOOL {
        // The upper bits of the register are anything.
        let byte = c.convert(raw, Types::U8);
        return c.convert(byte, ty);
    }
    c.convert(raw, ty)
}

/// `argN`
pub(crate) fn raw(c: &mut Checker<'_>, number: u32, span: Span) -> Option<Expr> {
    let context = match c.kind.context {
        ContextKind::Entry if number >= REGISTERS => {
            on_the_stack(c, span);
            return None;
        }
        ContextKind::Entry => Context::Register(number),
        ContextKind::Packet => {
            differ(c, span, &format!("arg{number}"));
            return None;
        }
        ContextKind::Args | ContextKind::ArgsAndResult | ContextKind::EventArgs => {
            if let Source::Prototype(p) = c.source().clone() {
                let count = match c.kind.context {
                    ContextKind::EventArgs => p.params.len() as u32,
                    _ => slot_of(c, &p, p.params.len()),
                };
                if number >= count {
                    let name = c.target_name();
                    let message =
                        format!("`{name}` has {count} arguments, so there is no arg{number}");
                    let help = "arguments are counted from arg0";
                    c.report(Diagnostic::error(codes::NO_ARGUMENTS, span, message).help(help));
                    return None;
                }
            }
            Context::Slot(number)
        }
        ContextKind::Record => {
            let message = "a tracepoint has named arguments only";
            let help = format!("write `args.NAME`; here there are {}", names(c).join(", "));
            c.report(Diagnostic::error(codes::NOT_IN_PROBE, span, message).help(help));
            return None;
        }
        ContextKind::None | ContextKind::Return => {
            no_arguments_in(c, span, &format!("arg{number}"));
            return None;
        }
    };
    let raw = |ty| Expr {
        kind: ExprKind::Context(context),
        ty,
        span,
    };
    // The verifier knows which arguments of fentry and fexit are pointers; so must `lower`.
    Some(match pointer_in(c, number) {
        Some(pointer) => c.convert(raw(pointer), Types::U64),
        None => raw(Types::U64),
    })
}

/// The type of the argument in a slot of an fentry or fexit context, if it is a pointer.
fn pointer_in(c: &mut Checker<'_>, slot: u32) -> Option<Ty> {
    let known = matches!(
        c.kind.context,
        ContextKind::Args | ContextKind::ArgsAndResult
    );
    let Source::Prototype(p) = c.source().clone() else {
        return None;
    };
    let position = (0..p.params.len()).find(|&n| known && slot_of(c, &p, n) == slot)?;
    let ty = c.kernel_ty(p.params.get(position)?.1);
    matches!(c.types.get(ty), Type::Pointer { .. }).then_some(ty)
}

/// `retval`
pub(crate) fn retval(c: &mut Checker<'_>, span: Span) -> Option<Expr> {
    c.only_in(
        &[ContextKind::Return, ContextKind::ArgsAndResult],
        "retval",
        span,
    )?;
    let Source::Prototype(p) = c.source().clone() else {
        return Some(Expr {
            kind: ExprKind::Context(Context::ReturnRegister),
            ty: Types::I64,
            span,
        });
    };
    let ty = c.kernel_ty(p.result);
    if ty == Types::VOID {
        let message = format!("`{}` returns nothing", c.target_name());
        c.error(codes::NOT_A_VALUE, span, message);
        return None;
    }
    let scalar_type = c.is_int_like(ty) || c.pointee(ty).is_some();
    if !scalar_type {
        let ty = c.show(ty);
        let message = format!(
            "`{}` returns {ty} by value, which cannot be read",
            c.target_name()
        );
        c.error(codes::NOT_IN_PROBE, span, message);
        return None;
    }
    let context = match c.kind.context {
        ContextKind::Return => Context::ReturnRegister,
        _ => Context::Slot(slot_of(c, &p, p.params.len())),
    };
    Some(scalar(c, context, ty, span))
}

/// A field of a tracepoint's record.
fn record_field(
    c: &mut Checker<'_>,
    t: &Tracepoint,
    field: &ast::Ident,
    span: Span,
) -> Option<Expr> {
    let Some(found) = t.fields.iter().find(|f| f.name == field.name) else {
        unknown(c, field);
        return None;
    };
    let written = CType::parse(&found.c_type);
    if written.relative {
        let message = format!(
            "`{}` is of a kind that nettrace cannot read: `{}`",
            field.name, found.c_type
        );
        c.error(codes::NOT_YET, span, message);
        return None;
    }
    let user = c.group.user_arguments;
    let space = if user { Space::User } else { Space::Kernel };
    if written.dynamic {
        let to = written.element(c, found);
        let space = Space::Context;
        return Some(Expr {
            kind: ExprKind::Context(Context::DataLoc(found.offset)),
            ty: c.types.intern(Type::Pointer { to, space }),
            span,
        });
    }
    Some(Expr {
        ty: written.ty(c, found, space),
        kind: ExprKind::Context(Context::Memory(found.offset)),
        span,
    })
}

/// A C type as the format files of tracepoints write it.
struct CType<'a> {
    /// Without qualifiers, stars and brackets: `struct sock`, `unsigned char`.
    base: &'a str,
    pointers: usize,
    array: bool,
    /// `__data_loc`
    dynamic: bool,
    /// `__rel_loc`
    relative: bool,
}

impl<'a> CType<'a> {
    fn parse(text: &'a str) -> CType<'a> {
        let mut base = text.trim();
        let mut parsed = CType {
            base,
            pointers: 0,
            array: false,
            dynamic: false,
            relative: false,
        };
        while let Some((word, rest)) = base.split_once(' ') {
            match word {
                "const" | "volatile" => {}
                "__data_loc" => parsed.dynamic = true,
                "__rel_loc" => parsed.relative = true,
                _ => break,
            }
            base = rest.trim_start();
        }
        if let Some(at) = base.find('[') {
            parsed.array = true;
            base = base.get(..at).unwrap_or(base).trim_end();
        }
        while let Some(rest) = base
            .strip_suffix('*')
            .or_else(|| base.strip_suffix("const"))
        {
            parsed.pointers += usize::from(base.ends_with('*'));
            base = rest.trim_end();
        }
        parsed.base = base.strip_prefix("const ").unwrap_or(base).trim();
        parsed
    }

    /// The type without stars and brackets; `None` when nothing knows it.
    fn base_type(&self, c: &mut Checker<'_>) -> Option<Ty> {
        if matches!(self.base, "char" | "unsigned char" | "signed char") {
            return Some(if self.base.starts_with('u') {
                Types::U8
            } else {
                Types::I8
            });
        }
        let kinds = [
            ("struct ", TypeKind::Struct),
            ("union ", TypeKind::Union),
            ("enum ", TypeKind::Enum),
        ];
        let tagged = kinds
            .iter()
            .find_map(|&(tag, kind)| self.base.strip_prefix(tag).map(|name| (kind, name)));
        let id = match tagged {
            Some((kind, name)) => c.kernel.find_type(kind, name.trim()),
            None => c
                .kernel
                .find_type(TypeKind::Typedef, self.base)
                .or_else(|| c.kernel.find_type(TypeKind::Int, self.base)),
        };
        id.map(|id| c.kernel_ty(id))
    }

    /// What a dynamic array holds.
    fn element(&self, c: &mut Checker<'_>, _: &TracepointField) -> Ty {
        match self.pointers {
            0 => self.base_type(c).unwrap_or(Types::U8),
            _ => Types::U64,
        }
    }

    fn ty(&self, c: &mut Checker<'_>, field: &TracepointField, space: Space) -> Ty {
        if self.pointers > 0 && !self.array {
            let mut to = match self.base {
                "void" => Types::VOID,
                _ => self.base_type(c).unwrap_or(Types::VOID),
            };
            for _ in 0..self.pointers {
                to = c.types.intern(Type::Pointer { to, space });
            }
            return to;
        }
        if self.array {
            let elem = match self.pointers {
                0 => self.base_type(c).unwrap_or(Types::U8),
                _ => Types::U64,
            };
            if self.base == "char" && self.pointers == 0 {
                return c.types.intern(Type::Str {
                    cap: field.size.max(1),
                });
            }
            let each = c.size_of(elem).filter(|&n| n > 0);
            let (elem, len) = match each {
                Some(n) if field.size.is_multiple_of(n) => (elem, field.size / n),
                _ => (Types::U8, field.size),
            };
            return c.types.intern(Type::Array { elem, len });
        }
        if self.base == "bool" {
            return Types::BOOL;
        }
        let named = self.base_type(c).filter(|&ty| {
            let kept = matches!(c.types.get(ty), Type::Enum { .. } | Type::Record(_));
            kept && c.size_of(ty) == Some(field.size)
        });
        match (named, field.size) {
            (Some(ty), _) => ty,
            (None, 1 | 2 | 4 | 8) => Types::int(field.size as u8, field.signed),
            (None, len) => c.types.intern(Type::Array {
                elem: Types::U8,
                len,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CType;

    #[test]
    fn types_of_format_files() {
        let rows = [
            ("const void *", "void", 1, false, false),
            ("__data_loc char[]", "char", 0, true, true),
            ("__u8[4]", "__u8", 0, true, false),
            ("struct sk_buff * const", "struct sk_buff", 1, false, false),
            ("const char * const *", "char", 2, false, false),
            ("unsigned int", "unsigned int", 0, false, false),
        ];
        for (text, base, pointers, array, dynamic) in rows {
            let parsed = CType::parse(text);
            assert_eq!(
                (parsed.base, parsed.pointers, parsed.array, parsed.dynamic),
                (base, pointers, array, dynamic),
                "{text}"
            );
        }
    }
}
