//! Clocks.

use super::{Builtin, Form, Lowering};
use crate::artifact::{Action, Clock};
use crate::check::{CallSite, Checker};
use crate::ir::{Helper, Value};
use crate::lower::Lower;
use crate::typed::{Call, Expr, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "nsecs",
        form: Form::Both,
        signature: "uint64 nsecs([boot | monotonic | tai])",
        doc: "Nanoseconds of a clock of the kernel. The default counts from boot and includes suspend.",
        check: check_nsecs,
        lower: Lowering::Value(lower_nsecs),
    },
    Builtin {
        name: "elapsed",
        form: Form::Variable,
        signature: "uint64 elapsed",
        doc: "Nanoseconds since nettrace started tracing.",
        check: check_elapsed,
        lower: Lowering::Value(lower_elapsed),
    },
    Builtin {
        name: "strftime",
        form: Form::Function,
        signature: "timestamp_t strftime(string format, uint64 nsecs)",
        doc: "A time of `nsecs` as date and time of day in the local time zone; the format is that of strftime(3), and %f microseconds, \
              %k nanoseconds, %l milliseconds of the second.",
        check: check_strftime,
        lower: Lowering::Value(lower_strftime),
    },
    Builtin {
        name: "jiffies",
        form: Form::Variable,
        signature: "uint64 jiffies",
        doc: "Ticks of the kernel's clock (`jiffies_64`); CONFIG_HZ of them are a second.",
        check: check_jiffies,
        lower: Lowering::Value(lower_jiffies),
    },
    Builtin {
        name: "time",
        form: Form::Function,
        signature: "void time([string format])",
        doc: "Prints the time of day in a strftime format; without one \"%H:%M:%S\\n\".",
        check: check_time,
        lower: Lowering::Action(lower_time),
    },
];

/// The clocks of `nsecs`; their position is the call's `Extra::Number`.
pub(crate) const CLOCKS: [&str; 3] = ["boot", "monotonic", "tai"];

/// `Extra::Number`: position in [`CLOCKS`].
fn check_nsecs(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=1)?;
    let clock = match site.args.first() {
        None => 0,
        Some(arg) => c.word(arg, "a clock", &CLOCKS)?,
    };
    Some(site.call(Types::U64, Vec::new(), Extra::Number(clock as u32)))
}

/// No arguments.
fn check_jiffies(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(site.call(Types::U64, Vec::new(), Extra::None))
}

fn lower_jiffies(l: &mut Lower<'_>, _: &Call) -> Value {
    l.b.call(Helper::Jiffies64, &[])
}

fn check_elapsed(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(site.call(Types::U64, Vec::new(), Extra::None))
}

/// `Extra::Text`: the strftime format.
fn check_time(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=1)?;
    let format = match site.args.first() {
        None => "%H:%M:%S\n".to_string(),
        Some(arg) => c.literal_text(arg, "the format of time()")?,
    };
    Some(site.call(Types::VOID, Vec::new(), Extra::Text(format)))
}

/// The time as `uint64`; the format is part of the type.
fn check_strftime(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let [format, time] = site.args else {
        return None;
    };
    let format = c.literal_text(format, "the format of strftime()")?;
    let time = c.integer(time, Types::U64, "the time of strftime()")?;
    let ty = c.types.intern(Type::Time { format });
    Some(site.call(ty, vec![time], Extra::None))
}

fn lower_strftime(l: &mut Lower<'_>, call: &Call) -> Value {
    match call.args.first() {
        Some(time) => l.value(time),
        None => l.b.iconst(0),
    }
}

fn lower_nsecs(l: &mut Lower<'_>, call: &Call) -> Value {
    let clock = match call.extra {
        Extra::Number(1) => Helper::KtimeGetNs,
        Extra::Number(2) => Helper::KtimeGetTaiNs,
        _ => Helper::KtimeGetBootNs,
    };
    let now = l.b.call(clock, &[]);
    match clock {
        Helper::KtimeGetBootNs => l.note_time(now, Clock::Boot),
        _ => now,
    }
}

fn lower_elapsed(l: &mut Lower<'_>, _: &Call) -> Value {
    l.elapsed()
}

fn lower_time(l: &mut Lower<'_>, call: &Call) {
    if let Extra::Text(format) = &call.extra {
        let format = format.clone();
        l.send(Action::Time { format }, &[]);
    }
}
