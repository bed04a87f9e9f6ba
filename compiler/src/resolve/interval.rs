//! Time spans of `interval`: `interval:s:1`, `interval:hz:99`, `interval:10ms`, `interval:1000000` (nanoseconds).

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{Found, Part, Resolver, Source, syntax};
use crate::artifact::{Attach, Target};
use crate::probes::ProbeKind;

const SECOND: u64 = 1_000_000_000;
/// What the kernel's timers can keep up with; bpftrace has the same limit.
const SHORTEST: u64 = 1000;

/// Nanoseconds of the units.
const UNITS: [(&str, u64); 4] = [("s", SECOND), ("ms", 1_000_000), ("us", 1000), ("ns", 1)];

pub(super) fn resolve(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    parts: &[Part],
) -> Option<Found> {
    let period = match parts {
        [one] => duration(r, one)?,
        [unit, count] => in_units(r, unit, count)?,
        _ => {
            let message = format!("`{}` is no interval", point.text);
            syntax::bad_form(r, point, "interval:s:1` or `interval:10ms", message);
            return None;
        }
    };
    if period < SHORTEST {
        let message = "an interval must be a microsecond at least";
        r.error(Diagnostic::error(codes::BAD_PROBE, point.span, message));
        return None;
    }
    let text: Vec<&str> = parts.iter().map(|p| p.text.as_str()).collect();
    Some(Found {
        target: Target {
            attach: Attach::Interval { period },
            probe: format!("{}:{}", kind.name, text.join(":")),
            cookie: 0,
            packet: None,
            span: (point.span.lo, point.span.hi),
        },
        source: Source::None,
        user_arguments: false,
    })
}

/// `s:1`
fn in_units(r: &mut Resolver<'_>, unit: &Part, count: &Part) -> Option<u64> {
    let name = unit.text.to_ascii_lowercase();
    let scale = UNITS.iter().find(|(n, _)| *n == name && *n != "ns");
    if scale.is_none() && name != "hz" {
        let message = format!("`{}` is not a unit of time", unit.text);
        let help = "the units are s, ms, us and hz";
        r.error(Diagnostic::error(codes::BAD_PROBE, unit.span, message).help(help));
        return None;
    }
    let number = syntax::number(&count.text).filter(|&n| n > 0);
    let period = number.and_then(|n| match scale {
        Some((_, nanos)) => n.checked_mul(*nanos),
        None => Some(SECOND / n),
    });
    if period.is_none() {
        let message = format!("`{}` is not a positive number", count.text);
        r.error(Diagnostic::error(codes::BAD_PROBE, count.span, message));
    }
    period
}

/// `10ms`, or a number of nanoseconds.
fn duration(r: &mut Resolver<'_>, part: &Part) -> Option<u64> {
    let digits = part.text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = part.text.split_at(digits);
    let scale = match unit {
        "" => Some(1),
        _ => UNITS.iter().find(|(n, _)| *n == unit).map(|&(_, n)| n),
    };
    let number = number.parse::<u64>().ok().filter(|&n| n > 0);
    let period = number
        .zip(scale)
        .and_then(|(n, scale)| n.checked_mul(scale));
    if period.is_none() {
        let message = format!("`{}` is not a length of time", part.text);
        let help = "write a number and a unit: `interval:s:1`, `interval:10ms`, `interval:hz:99`";
        r.error(Diagnostic::error(codes::BAD_PROBE, part.span, message).help(help));
    }
    period
}
