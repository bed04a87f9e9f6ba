//! Aggregations, and functions that act on maps.
//!
//! An aggregation stands alone on the right of an assignment: `@m[k] = count()`. Its check gives a call of type `void` with
//! `Extra::Aggregate`, which the assignment takes apart into `StmtKind::Aggregate`; it never reaches lowering as a call.

use nettrace_grammar::{Diagnostic, codes};

use super::{Builtin, Form, Lowering};
use crate::artifact::Action;
use crate::check::{CallSite, Checker, maps};
use crate::ir::{BinOp, Cond, Mem, Value};
use crate::lower::Lower;
use crate::typed::{Aggregate, Call, Expr, ExprKind, Extra};
use crate::types::{Type, Types};

pub(super) static ROWS: &[Builtin] = &[
    Builtin {
        name: "count",
        form: Form::Function,
        signature: "count_t count()",
        doc: "Counts how often this runs.",
        check: check_count,
        lower: Lowering::Never,
    },
    Builtin {
        name: "sum",
        form: Form::Function,
        signature: "sum_t sum(int n)",
        doc: "Adds numbers up.",
        check: check_sum,
        lower: Lowering::Never,
    },
    Builtin {
        name: "avg",
        form: Form::Function,
        signature: "avg_t avg(int n)",
        doc: "The average of numbers.",
        check: check_avg,
        lower: Lowering::Never,
    },
    Builtin {
        name: "min",
        form: Form::Function,
        signature: "min_t min(int n)",
        doc: "The smallest number.",
        check: check_min,
        lower: Lowering::Never,
    },
    Builtin {
        name: "max",
        form: Form::Function,
        signature: "max_t max(int n)",
        doc: "The largest number.",
        check: check_max,
        lower: Lowering::Never,
    },
    Builtin {
        name: "stats",
        form: Form::Function,
        signature: "stats_t stats(int n)",
        doc: "Count, average and total of numbers.",
        check: check_stats,
        lower: Lowering::Never,
    },
    Builtin {
        name: "hist",
        form: Form::Function,
        signature: "hist_t hist(int n[, int k])",
        doc: "A histogram with a bucket per power of two, each divided into 2^k (k is 0 to 5).",
        check: check_hist,
        lower: Lowering::Never,
    },
    Builtin {
        name: "lhist",
        form: Form::Function,
        signature: "lhist_t lhist(int n, int min, int max, int step)",
        doc: "A histogram with buckets of equal width.",
        check: check_lhist,
        lower: Lowering::Never,
    },
    Builtin {
        name: "delete",
        form: Form::Function,
        signature: "bool delete(@map, key) or delete(@scalar)",
        doc: "Removes an entry; true if there was one.",
        check: check_delete,
        lower: Lowering::Value(lower_delete),
    },
    Builtin {
        name: "has_key",
        form: Form::Function,
        signature: "bool has_key(@map, key)",
        doc: "Whether there is an entry, also one whose value is 0.",
        check: check_has_key,
        lower: Lowering::Value(lower_has_key),
    },
    Builtin {
        name: "len",
        form: Form::Function,
        signature: "int64 len(@map or stack or string or array)",
        doc: "The entries of a map, counted one by one; the frames of a stack; the bytes of a string; the elements of an array.",
        check: check_len,
        lower: Lowering::Value(lower_len),
    },
    Builtin {
        name: "clear",
        form: Form::Function,
        signature: "void clear(@map)",
        doc: "Removes all entries.",
        check: check_clear,
        lower: Lowering::Action(lower_clear),
    },
    Builtin {
        name: "zero",
        form: Form::Function,
        signature: "void zero(@map)",
        doc: "Sets all values to zero; the keys stay.",
        check: check_clear,
        lower: Lowering::Action(lower_zero),
    },
];

/// The largest number of buckets of `lhist`.
const MAX_LHIST_BUCKETS: i64 = 1000;

fn check_count(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 0..=0)?;
    Some(site.call(Types::VOID, Vec::new(), Extra::Aggregate(Aggregate::Count)))
}

fn check_sum(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    numeric(c, site, |signed| Aggregate::Sum { signed })
}

fn check_avg(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    numeric(c, site, |signed| Aggregate::Avg { signed })
}

fn check_min(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    numeric(c, site, |signed| Aggregate::Min { signed })
}

fn check_max(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    numeric(c, site, |signed| Aggregate::Max { signed })
}

fn check_stats(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    numeric(c, site, |signed| Aggregate::Stats { signed })
}

/// One argument, widened to 64 bits with its own sign.
fn numeric(c: &mut Checker<'_>, site: &CallSite<'_>, make: fn(bool) -> Aggregate) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let (value, signed) = c.summand(site.args.first()?)?;
    Some(site.call(Types::VOID, vec![value], Extra::Aggregate(make(signed))))
}

fn check_hist(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let bits = match site.args.get(1) {
        None => Some(0),
        Some(arg) => c.literal_number(arg, "the second argument of hist()", 0..=5),
    };
    let (value, _) = c.summand(site.args.first()?)?;
    let bits = bits? as u32;
    Some(site.call(
        Types::VOID,
        vec![value],
        Extra::Aggregate(Aggregate::Hist { bits }),
    ))
}

fn check_lhist(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 4..=4)?;
    let value = c.summand(site.args.first()?);
    let mut bound = |i: usize, what: &str| {
        let arg = site.args.get(i)?;
        c.literal_number(arg, what, i64::MIN..=i64::MAX)
    };
    let (min, max, step) = (
        bound(1, "the lower bound of lhist()"),
        bound(2, "the upper bound of lhist()"),
        bound(3, "the step of lhist()"),
    );
    let (min, max, step) = (min?, max?, step?);
    let problem = if step <= 0 {
        Some("the step of lhist() must be positive".to_string())
    } else if max <= min {
        Some(format!(
            "the upper bound of lhist(), {max}, is not above the lower one, {min}"
        ))
    } else {
        let buckets = (i128::from(max) - i128::from(min)) / i128::from(step);
        (buckets > i128::from(MAX_LHIST_BUCKETS)).then(|| {
            format!("lhist() would have {buckets} buckets; {MAX_LHIST_BUCKETS} is the most")
        })
    };
    if let Some(problem) = problem {
        c.report(
            Diagnostic::error(codes::BAD_ARGUMENT, site.span, problem)
                .help("the form is lhist(n, min, max, step), with min < max and step > 0"),
        );
        return None;
    }
    let kind = Aggregate::Lhist { min, max, step };
    Some(site.call(Types::VOID, vec![value?.0], Extra::Aggregate(kind)))
}

/// `Extra::Map` with the key.
fn check_delete(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=2)?;
    let (map, key) = maps::entry(c, site)?;
    Some(site.call(Types::BOOL, Vec::new(), Extra::Map(map, key.map(Box::new))))
}

/// `Extra::Map` with the key.
fn check_has_key(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let (map, key) = maps::entry(c, site)?;
    Some(site.call(Types::BOOL, Vec::new(), Extra::Map(map, key.map(Box::new))))
}

/// `Extra::Map` without key; or a stack or string as an argument; or a constant.
fn check_len(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let first = site.args.first()?;
    if let Some(name) = maps::whole(first) {
        let value_of_scalar = maps::scalar(c, name);
        if !value_of_scalar {
            let map = maps::keyed(c, name, first.span)?;
            return Some(site.call(Types::I64, Vec::new(), Extra::Map(map, None)));
        }
    }
    let value = c.value(first)?;
    let length = match (&value.kind, c.types.get(value.ty)) {
        (ExprKind::Str(text), _) => text.len() as u32,
        (_, Type::Array { len, .. }) if *len > 0 => *len,
        (_, Type::Str { .. } | Type::Stack { .. }) => {
            return Some(site.call(Types::I64, vec![value], Extra::None));
        }
        _ => {
            c.bad_argument(
                first,
                value.ty,
                "len() takes a map with keys, a stack, a string or an array",
            );
            return None;
        }
    };
    Some(Expr {
        kind: ExprKind::Int(i64::from(length)),
        ty: Types::I64,
        span: site.span,
    })
}

/// `Extra::Map` without key.
fn check_clear(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let first = site.args.first()?;
    let Some(name) = maps::whole(first) else {
        c.report(
            Diagnostic::error(
                codes::BAD_ARGUMENT,
                first.span,
                format!("{}() acts on a whole map", site.name.name),
            )
            .help(format!("write `{}(@map)`, without a key", site.name.name)),
        );
        return None;
    };
    let map = maps::printable(c, name, first.span)?;
    Some(site.call(Types::VOID, Vec::new(), Extra::Map(map, None)))
}

fn lower_delete(l: &mut Lower<'_>, call: &Call) -> Value {
    match &call.extra {
        Extra::Map(map, key) => l.delete_entry(*map, key.as_deref()),
        _ => l.b.iconst(0),
    }
}

fn lower_has_key(l: &mut Lower<'_>, call: &Call) -> Value {
    match &call.extra {
        Extra::Map(map, key) => l.has_entry(*map, key.as_deref()),
        _ => l.b.iconst(0),
    }
}

fn lower_len(l: &mut Lower<'_>, call: &Call) -> Value {
    match (&call.extra, call.args.first()) {
        (Extra::Map(map, _), _) => l.entry_count(*map),
        (_, Some(value)) => match *l.ty(value.ty) {
            Type::Stack { user, .. } => frames(l, value, user),
            _ => l.text_length(value),
        },
        _ => l.b.iconst(0),
    }
}

/// The length of a stack as the helper has told it, in bytes, or an error number below 0; behind the process for a user stack.
fn frames(l: &mut Lower<'_>, stack: &Expr, user: bool) -> Value {
    let place = l.place_of(stack);
    let bytes = l.load(place.at(if user { 8 } else { 0 }, 8), Mem::U64);
    let failed = l.b.compare_imm(Cond::SLt, bytes, 0);
    l.choose_value(failed, &mut |l, failed| match failed {
        true => l.b.iconst(0),
        false => l.b.binary_imm(BinOp::LShr, bytes, 3),
    })
}

fn lower_clear(l: &mut Lower<'_>, call: &Call) {
    if let Extra::Map(map, _) = call.extra {
        let map = l.script_map(map);
        l.send(Action::Clear { map }, &[]);
    }
}

fn lower_zero(l: &mut Lower<'_>, call: &Call) {
    if let Extra::Map(map, _) = call.extra {
        let map = l.script_map(map);
        l.send(Action::Zero { map }, &[]);
    }
}
