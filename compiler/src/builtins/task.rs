//! Who runs: process, thread, user, command, CPU.
//!
//! None of these takes an argument; each becomes a call of its row with no arguments and the type of the signature.

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::kernel::TypeKind;
use crate::typed::{Expr, Extra};
use crate::types::{Space, Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "pid",
        form: Form::Variable,
        signature: "uint32 pid",
        doc: "Process id (thread group id) of the current task, as seen from the initial namespace.",
        check: check_u32,
        lower: Lowering::Never,
    },
    Builtin {
        name: "tid",
        form: Form::Variable,
        signature: "uint32 tid",
        doc: "Thread id of the current task, as seen from the initial namespace.",
        check: check_u32,
        lower: Lowering::Never,
    },
    Builtin {
        name: "uid",
        form: Form::Variable,
        signature: "uint32 uid",
        doc: "User id of the current task.",
        check: check_u32,
        lower: Lowering::Never,
    },
    Builtin {
        name: "gid",
        form: Form::Variable,
        signature: "uint32 gid",
        doc: "Group id of the current task.",
        check: check_u32,
        lower: Lowering::Never,
    },
    Builtin {
        name: "comm",
        form: Form::Variable,
        signature: "string[16] comm",
        doc: "Command name of the current task. In packet processing this is whoever was interrupted, often swapper or ksoftirqd.",
        check: check_comm,
        lower: Lowering::Never,
    },
    Builtin {
        name: "cpu",
        form: Form::Variable,
        signature: "uint32 cpu",
        doc: "Number of the CPU the probe runs on.",
        check: check_u32,
        lower: Lowering::Never,
    },
    Builtin {
        name: "curtask",
        form: Form::Variable,
        signature: "struct task_struct *curtask",
        doc: "The current task.",
        check: check_curtask,
        lower: Lowering::Never,
    },
    Builtin {
        name: "rand",
        form: Form::Variable,
        signature: "uint32 rand",
        doc: "A random number.",
        check: check_u32,
        lower: Lowering::Never,
    },
];

fn check_u32(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(site.call(Types::U32, Vec::new(), Extra::None))
}

/// A string of 16 bytes.
fn check_comm(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let ty = c.types.intern(Type::Str { cap: 16 });
    Some(site.call(ty, Vec::new(), Extra::None))
}

/// A pointer; to `void` where BTF has no `task_struct`.
fn check_curtask(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    let to = match c.kernel.find_type(TypeKind::Struct, "task_struct") {
        Some(id) => c.types.intern(Type::Record(id)),
        None => Types::VOID,
    };
    let space = Space::Kernel;
    let ty = c.types.intern(Type::Pointer { to, space });
    Some(site.call(ty, Vec::new(), Extra::None))
}
