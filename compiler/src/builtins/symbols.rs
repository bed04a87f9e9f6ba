//! Addresses and the names behind them; variables of the kernel.

use nettrace_grammar::{Diagnostic, Span, codes};

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::{self, BinOp, Cond, Helper, Mem, Value};
use crate::kernel::Similar;
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, ExprKind, Extra};
use crate::types::{Space, Ty, Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "ksym",
        form: Form::Function,
        signature: "ksym_t ksym(uint64 address)",
        doc: "A kernel address that prints as symbol, offset and module.",
        check: check_ksym,
        lower: Lowering::Value(lower_ksym),
    },
    Builtin {
        name: "kmod",
        form: Form::Function,
        signature: "kmod_t kmod(uint64 address)",
        doc: "A kernel address that prints as the module it is in, `kernel` for what is built in.",
        check: check_kmod,
        lower: Lowering::Value(lower_ksym),
    },
    Builtin {
        name: "usym",
        form: Form::Function,
        signature: "usym_t usym(uint64 address)",
        doc: "An address of the current process that prints as symbol and offset.",
        check: check_usym,
        lower: Lowering::Into(lower_usym),
    },
    Builtin {
        name: "kaddr",
        form: Form::Function,
        signature: "uint64 kaddr(string symbol)",
        doc: "The address of a kernel symbol, found when the script is compiled.",
        check: check_kaddr,
        lower: Lowering::Never,
    },
    Builtin {
        name: "percpu_kaddr",
        form: Form::Function,
        signature: "T *percpu_kaddr(string symbol[, int cpu])",
        doc: "Where a CPU (without a number the one the probe runs on) has its copy of a per-CPU variable; null for a CPU that does not exist. The type is the variable's own by BTF, else uint64.",
        check: check_percpu_kaddr,
        lower: Lowering::Value(lower_percpu),
    },
    Builtin {
        name: "per_cpu_ptr",
        form: Form::Function,
        signature: "T *per_cpu_ptr(T *p[, int cpu])",
        doc: "The same for memory that the kernel has allocated per CPU, given by its `__percpu` pointer: `per_cpu_ptr($net->ct.stat, 0)->drop`.",
        check: check_per_cpu_ptr,
        lower: Lowering::Value(lower_percpu),
    },
];

/// One argument: the address as `uint64`.
fn check_ksym(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let address = c.address(site.args.first()?)?;
    let ty = c.types.intern(Type::KSym);
    Some(site.call(ty, vec![address], Extra::None))
}

/// One argument: the address as `uint64`.
fn check_kmod(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let address = c.address(site.args.first()?)?;
    let ty = c.types.intern(Type::KModule);
    Some(site.call(ty, vec![address], Extra::None))
}

/// One argument: the address as `uint64`.
fn check_usym(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let address = c.address(site.args.first()?)?;
    let ty = c.types.intern(Type::USym);
    Some(site.call(ty, vec![address], Extra::None))
}

/// A constant.
fn check_kaddr(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let arg = site.args.first()?;
    let name = c.literal_text(arg, "the symbol of kaddr()")?;
    let addresses = c.kernel.symbol(&name);
    if addresses.is_empty() {
        let diag = Diagnostic::error(
            codes::UNKNOWN_NAME,
            arg.span,
            format!("the kernel has no symbol `{name}`"),
        );
        let similar = c.kernel.similar(Similar::Function, &name);
        c.report(c.suggest(diag, &similar).help(
            "kaddr() looks a symbol up while compiling; /proc/kallsyms lists them, with addresses for root only",
        ));
        return None;
    }
    let address = the_only(c, &name, &addresses, arg.span)?;
    Some(number(address, site.span))
}

/// The one address of a symbol; `None` after reporting that there are several.
fn the_only(c: &mut Checker<'_>, name: &str, addresses: &[u64], span: Span) -> Option<u64> {
    if let [one] = addresses {
        return Some(*one);
    }
    let list: Vec<String> = addresses.iter().map(|a| format!("{a:#x}")).collect();
    let message = format!("`{name}` has {} addresses", addresses.len());
    c.report(
        Diagnostic::error(codes::AMBIGUOUS_TARGET, span, message)
            .note(format!("they are {}", list.join(", ")))
            .help("write the address you mean as a number"),
    );
    None
}

/// A call whose arguments are those of [`lower_percpu`].
fn check_percpu_kaddr(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let arg = site.args.first()?;
    let name = c.literal_text(arg, "the symbol of percpu_kaddr()")?;
    let places = c.kernel.percpu_symbol(&name);
    if places.is_empty() {
        let message = format!("the kernel has no per-CPU variable `{name}`");
        let diag = Diagnostic::error(codes::UNKNOWN_NAME, arg.span, message);
        let ordinary = !c.kernel.symbol(&name).is_empty();
        c.report(match ordinary {
            true => diag.help(format!("there is one for all CPUs: `kaddr(\"{name}\")`")),
            false => diag.help(
                "it is looked up while compiling; /proc/kallsyms lists variables where the kernel has CONFIG_KALLSYMS_ALL, with addresses for root only",
            ),
        });
        return None;
    }
    let place = the_only(c, &name, &places, arg.span)?;
    let to = match c.kernel.variable(&name) {
        Some(id) => c.kernel_ty(id),
        None => Types::U64,
    };
    let place = number(place, arg.span);
    of_cpu(c, site, place, to)
}

/// A call whose arguments are those of [`lower_percpu`].
fn check_per_cpu_ptr(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let arg = site.args.first()?;
    let pointer = c.value(arg)?;
    let Some(to) = c.pointee(pointer.ty) else {
        c.bad_argument(arg, pointer.ty, "this is a pointer to per-CPU memory");
        return None;
    };
    let place = c.convert(pointer, Types::U64);
    of_cpu(c, site, place, to)
}

/// A CPU's copy of what lies at a per-CPU place.
fn of_cpu(c: &mut Checker<'_>, site: &CallSite<'_>, place: Expr, to: Ty) -> Option<Expr> {
    let mut args = vec![place, kernel_symbol(c, "__per_cpu_offset", site.span)?];
    if let Some(arg) = site.args.get(1) {
        let cpu = c.integer(arg, Types::U64, "the CPU")?;
        args.push(kernel_symbol(c, "nr_cpu_ids", site.span)?);
        args.push(cpu);
    }
    let space = Space::Kernel;
    // A number first: of pointers that calls give the verifier knows the type.
    Some(Expr {
        kind: ExprKind::Cast(Box::new(site.call(Types::U64, args, Extra::None))),
        ty: c.types.intern(Type::Pointer { to, space }),
        span: site.span,
    })
}

/// The address of a variable that the kernel needs for its own per-CPU memory.
fn kernel_symbol(c: &mut Checker<'_>, name: &str, span: Span) -> Option<Expr> {
    let addresses = c.kernel.symbol(name);
    let Some(&address) = addresses.first() else {
        let message = format!("where CPUs have their memory is not known: no symbol `{name}`");
        c.report(Diagnostic::error(codes::UNKNOWN_NAME, span, message).help(
            "/proc/kallsyms has it where the kernel has CONFIG_SMP and CONFIG_KALLSYMS_ALL, with its address for root only",
        ));
        return None;
    };
    Some(number(address, span))
}

fn number(n: u64, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Int(n.cast_signed()),
        ty: Types::U64,
        span,
    }
}

fn lower_ksym(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(address) => l.value(address),
        None => l.b.iconst(0),
    }
}

/// A per-CPU place, the address of `__per_cpu_offset`, and for a chosen CPU the address of `nr_cpu_ids` and its number.
fn lower_percpu(l: &mut Lower<'_>, call: &Call) -> Value {
    let args: Vec<Value> = call.args.iter().map(|arg| l.value(arg)).collect();
    match args[..] {
        [place, offsets] => {
            let cpu = l.b.call(Helper::GetSmpProcessorId, &[]);
            copy_of(l, place, offsets, cpu)
        }
        [place, offsets, count, cpu] => {
            let result = l.b.declare_var();
            let none = l.b.iconst(0);
            l.b.write_var(result, none);
            let count = l.load(Place::foreign(count, ir::Space::Kernel, 4), Mem::U32);
            let (exists, join) = (l.b.create_block(), l.b.create_block());
            let inside = l.b.compare(Cond::ULt, cpu, count);
            l.b.branch(inside, exists, join);
            l.arm(exists, |l| {
                let copy = copy_of(l, place, offsets, cpu);
                l.b.write_var(result, copy);
                l.b.jump(join);
            });
            l.b.seal_block(join);
            l.b.switch_to(join);
            l.b.read_var(result)
        }
        _ => l.b.iconst(0),
    }
}

/// The place plus the CPU's entry of `__per_cpu_offset`.
fn copy_of(l: &mut Lower<'_>, place: Value, offsets: Value, cpu: Value) -> Value {
    let entry = l.b.binary_imm(BinOp::Mul, cpu, 8);
    let entry = l.b.binary(BinOp::Add, offsets, entry);
    let offset = l.load(Place::foreign(entry, ir::Space::Kernel, 8), Mem::U64);
    l.b.binary(BinOp::Add, place, offset)
}

/// The process, without which the address means nothing, then the address.
fn lower_usym(l: &mut Lower<'_>, call: &Call, to: &Place) {
    let both = l.b.call(Helper::GetCurrentPidTgid, &[]);
    let pid = l.b.binary_imm(BinOp::LShr, both, 32);
    l.store(to.at(0, 8), Mem::U64, pid);
    if let Some(address) = call.args.first() {
        let address = l.value(address);
        l.store(to.at(8, 8), Mem::U64, address);
    }
}
