//! What options of a script name: namespaces, devices, marks. Texts become constants while compiling, and what is wrong with them is told
//! before anything attaches, at the option's text.

use nettrace_grammar::ast::{self, ExprKind as Ast};
use nettrace_grammar::{Diagnostic, Span, codes};

use super::{Builtin, Form, Lowering};
use crate::check::{CallSite, Checker};
use crate::kernel::similar;
use crate::typed::{Expr, ExprKind};
use crate::types::{Ty, Types};

pub(super) static ROWS: &[Builtin] = &[
    row(
        "netns_number",
        "uint32 netns_number(string namespace)",
        "The inode number of a network namespace that an option names: by a number, a name of `ip netns`, `init`, or a path like /proc/PID/ns/net. Looked up while compiling.",
        check_netns_number,
    ),
    row(
        "known_device",
        "string known_device(string name, string namespace)",
        "The name of a network device that an option names. While compiling it is looked up in the namespace (as in `netns_number`), or in all for an empty one, and an error when there is none.",
        check_known_device,
    ),
    row(
        "mask_value",
        "uint64 mask_value(string text)",
        "The value of a text `VALUE` or `VALUE/MASK`, numbers in decimal or `0x` hexadecimal.",
        check_mask_value,
    ),
    row(
        "mask_bits",
        "uint64 mask_bits(string text)",
        "The mask of a text `VALUE/MASK`; all 32 bits for a `VALUE` alone.",
        check_mask_bits,
    ),
];

const fn row(
    name: &'static str,
    signature: &'static str,
    doc: &'static str,
    check: super::Check,
) -> Builtin {
    Builtin {
        name,
        form: Form::Function,
        signature,
        doc,
        check,
        lower: Lowering::Never,
    }
}

/// Names that a message lists.
const LISTED: usize = 12;

/// A text and where it was given: on the command line, or in the script.
fn text(c: &mut Checker<'_>, arg: &ast::Expr, what: &str) -> Option<(String, Span)> {
    let value = c.literal_text(arg, what)?;
    let option = match &arg.kind {
        Ast::Call { name, args } if name.name == "getopt" => match args.first().map(|a| &a.kind) {
            Some(Ast::Str(name)) => c.option_span(&String::from_utf8_lossy(name)),
            _ => None,
        },
        _ => None,
    };
    Some((value, option.unwrap_or(arg.span)))
}

fn number(site: &CallSite<'_>, n: u64, ty: Ty) -> Expr {
    Expr {
        kind: ExprKind::Int(n as i64),
        ty,
        span: site.span,
    }
}

/// `a, b, c and 5 more`
fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn refuse(c: &mut Checker<'_>, at: Span, message: String, wanted: &str, names: &[String]) {
    let near = similar::nearest(wanted, names.iter().map(String::as_str));
    let near: Vec<String> = near.iter().map(|n| (*n).to_string()).collect();
    let mut diag = Diagnostic::error(codes::UNKNOWN_OPTION, at, message);
    diag = crate::resolve::suggest(diag, &near);
    if !names.is_empty() {
        diag = diag.note(format!("there are {}", listed(names)));
    }
    c.report(diag);
}

/// The number of a namespace; `None` after reporting.
fn namespace(c: &mut Checker<'_>, name: &str, at: Span) -> Option<u32> {
    if let Some(n) = parse(name).and_then(|n| u32::try_from(n).ok()) {
        return Some(n);
    }
    match c.kernel.machine().namespace(name) {
        Ok(n) => Some(n),
        Err(why) => {
            let names = c.kernel.machine().namespaces();
            let message = format!("there is no network namespace `{name}`: {why}");
            refuse(c, at, message, name, &names);
            None
        }
    }
}

fn check_netns_number(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 1..=1)?;
    let (name, at) = text(c, site.args.first()?, "a network namespace")?;
    let n = namespace(c, &name, at)?;
    Some(number(site, n.into(), Types::U32))
}

fn check_known_device(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    c.expect_args(site, 2..=2)?;
    let (name, at) = text(c, site.args.first()?, "a network device")?;
    let (netns, netns_at) = text(c, site.args.get(1)?, "a network namespace")?;
    let within = match netns.is_empty() {
        true => None,
        false => Some(namespace(c, &netns, netns_at)?),
    };
    if let Some(devices) = c.kernel.machine().devices(within)
        && !devices.contains(&name)
    {
        let place = match within {
            None => "any network namespace".to_string(),
            Some(_) => format!("the network namespace `{netns}`"),
        };
        let message = format!("there is no device `{name}` in {place}");
        refuse(c, at, message, &name, &devices);
        return None;
    }
    Some(c.string(name.into_bytes(), site.span))
}

/// Value and mask.
fn masked(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<(u64, u64)> {
    c.expect_args(site, 1..=1)?;
    let (text, at) = text(c, site.args.first()?, "a value with a mask")?;
    let read = |text: &str| parse(text).filter(|n| *n <= u32::MAX.into());
    let found = match text.split_once('/') {
        None => read(&text).map(|value| (value, u32::MAX.into())),
        Some((value, mask)) => read(value).zip(read(mask)),
    };
    let Some((value, mask)) = found else {
        let message = format!("`{text}` is not a value, or a value and a mask");
        let help = "write VALUE or VALUE/MASK, each of 32 bits: 48, 0x30 or 0x30/0xff";
        c.report(Diagnostic::error(codes::BAD_ARGUMENT, at, message).help(help));
        return None;
    };
    if value & !mask != 0 {
        let message = format!("no number matches `{text}`: the value has bits outside of the mask");
        c.report(Diagnostic::error(codes::BAD_ARGUMENT, at, message));
        return None;
    }
    Some((value, mask))
}

fn check_mask_value(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    masked(c, site).map(|(value, _)| number(site, value, Types::U64))
}

fn check_mask_bits(c: &mut Checker<'_>, site: &CallSite<'_>) -> Option<Expr> {
    masked(c, site).map(|(_, mask)| number(site, mask, Types::U64))
}

/// A number in decimal or hexadecimal.
fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
