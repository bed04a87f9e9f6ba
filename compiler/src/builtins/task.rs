//! Who runs: process, thread, user, command, CPU.
//!
//! None of these takes an argument; each becomes a call of its row with no arguments and the type of the signature.

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::ir::{BinOp, Helper, Mem, Value};
use crate::kernel::TypeKind;
use crate::lower::{Fill, Lower, Place};
use crate::typed::{Call, Expr, Extra};
use crate::types::{Space, Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "pid",
        form: Form::Variable,
        signature: "uint32 pid",
        doc: "Process id (thread group id) of the current task, as seen from the initial namespace.",
        check: check_u32,
        lower: Lowering::Value(lower_pid),
    },
    Builtin {
        name: "tid",
        form: Form::Variable,
        signature: "uint32 tid",
        doc: "Thread id of the current task, as seen from the initial namespace.",
        check: check_u32,
        lower: Lowering::Value(lower_tid),
    },
    Builtin {
        name: "uid",
        form: Form::Variable,
        signature: "uint32 uid",
        doc: "User id of the current task.",
        check: check_u32,
        lower: Lowering::Value(lower_uid),
    },
    Builtin {
        name: "gid",
        form: Form::Variable,
        signature: "uint32 gid",
        doc: "Group id of the current task.",
        check: check_u32,
        lower: Lowering::Value(lower_gid),
    },
    Builtin {
        name: "comm",
        form: Form::Variable,
        signature: "string[16] comm",
        doc: "Command name of the current task. In packet processing this is whoever was interrupted, often swapper or ksoftirqd.",
        check: check_comm,
        lower: Lowering::Into(lower_comm),
    },
    Builtin {
        name: "cpu",
        form: Form::Variable,
        signature: "uint32 cpu",
        doc: "Number of the CPU the probe runs on.",
        check: check_u32,
        lower: Lowering::Value(lower_cpu),
    },
    Builtin {
        name: "numaid",
        form: Form::Variable,
        signature: "uint32 numaid",
        doc: "Number of the NUMA node the probe runs on.",
        check: check_u32,
        lower: Lowering::Value(lower_numaid),
    },
    Builtin {
        name: "cgroup",
        form: Form::Variable,
        signature: "uint64 cgroup",
        doc: "Id of the current task's cgroup (v2): the inode number of its directory.",
        check: check_u64,
        lower: Lowering::Value(lower_cgroup),
    },
    Builtin {
        name: "curtask",
        form: Form::Variable,
        signature: "struct task_struct *curtask",
        doc: "The current task.",
        check: check_curtask,
        lower: Lowering::Value(lower_curtask),
    },
    Builtin {
        name: "rand",
        form: Form::Variable,
        signature: "uint32 rand",
        doc: "A random number.",
        check: check_u32,
        lower: Lowering::Value(lower_rand),
    },
];

fn check_u32(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(site.call(Types::U32, Vec::new(), Extra::None))
}

fn check_u64(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(site.call(Types::U64, Vec::new(), Extra::None))
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

fn lower_pid(l: &mut Lower<'_>, _: &Call) -> Value {
    high_half(l, Helper::GetCurrentPidTgid)
}

fn lower_tid(l: &mut Lower<'_>, _: &Call) -> Value {
    low_half(l, Helper::GetCurrentPidTgid)
}

fn lower_uid(l: &mut Lower<'_>, _: &Call) -> Value {
    low_half(l, Helper::GetCurrentUidGid)
}

fn lower_gid(l: &mut Lower<'_>, _: &Call) -> Value {
    high_half(l, Helper::GetCurrentUidGid)
}

fn low_half(l: &mut Lower<'_>, helper: Helper) -> Value {
    let both = l.b.call(helper, &[]);
    l.b.extend(Mem::U32, both)
}

fn high_half(l: &mut Lower<'_>, helper: Helper) -> Value {
    let both = l.b.call(helper, &[]);
    l.b.binary_imm(BinOp::LShr, both, 32)
}

/// The kernel fills the room behind the NUL with zeros.
fn lower_comm(l: &mut Lower<'_>, _: &Call, to: &Place) {
    // Older kernels (6.1) leave alone what is behind the NUL.
    if to.fill == Fill::Zeroed {
        l.zero(*to);
    }
    let address = l.address(*to);
    let size = l.b.iconst(i64::from(to.room));
    l.b.call(Helper::GetCurrentComm, &[address, size]);
}

fn lower_cpu(l: &mut Lower<'_>, _: &Call) -> Value {
    l.b.call(Helper::GetSmpProcessorId, &[])
}

/// The verifier knows the type of this pointer, so what it leads to is read by plain loads.
fn lower_curtask(l: &mut Lower<'_>, _: &Call) -> Value {
    l.b.call(Helper::GetCurrentTaskBtf, &[])
}

fn lower_rand(l: &mut Lower<'_>, _: &Call) -> Value {
    l.b.call(Helper::GetPrandomU32, &[])
}

fn lower_numaid(l: &mut Lower<'_>, _: &Call) -> Value {
    l.b.call(Helper::GetNumaNodeId, &[])
}

fn lower_cgroup(l: &mut Lower<'_>, _: &Call) -> Value {
    l.b.call(Helper::GetCurrentCgroupId, &[])
}
