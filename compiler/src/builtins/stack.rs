//! Stack traces.

use super::{Builtin, Form, Lowering};
use crate::artifact::StackMode;
use crate::check::{CallSite, Checker};
use crate::typed::{Expr, Extra};
use crate::types::Type;

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "kstack",
        form: Form::Both,
        signature: "kstack_t kstack([bpftrace | perf | raw][, int frames])",
        doc: "The kernel's call stack, symbolised when printed; at most 127 frames unless a number is given.",
        check: check_kstack,
        lower: Lowering::Never,
    },
    Builtin {
        name: "ustack",
        form: Form::Both,
        signature: "ustack_t ustack([bpftrace | perf | raw][, int frames])",
        doc: "The current process's call stack, symbolised when printed; needs frame pointers.",
        check: check_ustack,
        lower: Lowering::Never,
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
