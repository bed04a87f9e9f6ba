//! Stack traces.

use super::{Builtin, Form, Lowering};
use crate::artifact::StackMode;
use crate::check::{CallSite, Checker};
use crate::ir::{BinOp, Helper, Mem};
use crate::lower::{Lower, Place};
use crate::typed::{Call, Expr, Extra};
use crate::types::Type;

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "kstack",
        form: Form::Both,
        signature: "kstack_t kstack([bpftrace | perf | raw][, int frames])",
        doc: "The kernel's call stack, symbolised when printed; at most 127 frames unless a number is given.",
        check: check_kstack,
        lower: Lowering::Into(lower_kstack),
    },
    Builtin {
        name: "ustack",
        form: Form::Both,
        signature: "ustack_t ustack([bpftrace | perf | raw][, int frames])",
        doc: "The current process's call stack, symbolised when printed; needs frame pointers.",
        check: check_ustack,
        lower: Lowering::Into(lower_ustack),
    },
];

/// As many frames as the kernel records by default (`kernel.perf_event_max_stack`).
const DEFAULT_FRAMES: u32 = 127;
/// The largest number of frames that can be asked for.
const MAX_FRAMES: u32 = 1024;
const MODES: [&str; 3] = ["bpftrace", "perf", "raw"];

fn check_kstack(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    check_stack(c, site, false)
}

fn check_ustack(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    check_stack(c, site, true)
}

/// No arguments; everything is in the type.
fn check_stack(c: &mut Checker<'_>, site: &CallSite<'_>, user: bool) -> Option<Expr> {
    c.expect_args(site, 0..=2)?;
    let (mode_arg, count_arg) = match site.args {
        [] => (None, None),
        [one] if c.is_word(one) => (Some(one), None),
        [one] => (None, Some(one)),
        [mode, count, ..] => (Some(mode), Some(count)),
    };
    let mode = match mode_arg {
        None => c.settings.stack_mode,
        Some(arg) => match c.word(arg, "a stack mode", &MODES)? {
            0 => StackMode::Bpftrace,
            1 => StackMode::Perf,
            _ => StackMode::Raw,
        },
    };
    let frames = match count_arg {
        None => DEFAULT_FRAMES,
        Some(arg) => {
            c.literal_number(arg, "the number of frames", 1..=i64::from(MAX_FRAMES))? as u32
        }
    };
    let ty = c.types.intern(Type::Stack { user, frames, mode });
    Some(site.call(ty, Vec::new(), Extra::None))
}

/// `BPF_F_USER_STACK` of `linux/bpf.h`.
const USER_STACK: i64 = 1 << 8;

fn lower_kstack(l: &mut Lower<'_>, _: &Call, to: &Place) {
    record_stack(l, to, 0);
}

fn lower_ustack(l: &mut Lower<'_>, _: &Call, to: &Place) {
    let both = l.b.call(Helper::GetCurrentPidTgid, &[]);
    let pid = l.b.binary_imm(BinOp::LShr, both, 32);
    l.store(to.at(0, 8), Mem::U64, pid);
    record_stack(l, &to.at(8, to.room.saturating_sub(8)), USER_STACK);
}

/// The length as the helper returns it, then the addresses. The helper itself clears the room it does not need, also when it fails.
fn record_stack(l: &mut Lower<'_>, to: &Place, flags: i64) {
    let bytes = to.room.saturating_sub(8);
    let frames = l.address(to.at(8, bytes));
    let ctx = l.context();
    let size = l.b.iconst(i64::from(bytes));
    let flags = l.b.iconst(flags);
    let length = l.b.call(Helper::GetStack, &[ctx, frames, size, flags]);
    l.store(to.at(0, 8), Mem::U64, length);
}
