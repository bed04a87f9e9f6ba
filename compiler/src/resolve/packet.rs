//! Targets of `skb` probes: every kernel function that takes a packet, `struct sk_buff *`, in a register.
//!
//! All of them share one program: which register holds the packet is part of the target, not of the code. Which functions can be
//! traced is left to the runtime, which leaves out the others and says why. A pattern with any of the characters that only regular
//! expressions have is one, for whole names.

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{Found, Part, Resolver, Source, function, suggest, syntax};
use regex_lite::Regex;

use crate::artifact::{Attach, Target};
use crate::kernel::glob::is_pattern;
use crate::kernel::{Similar, Taker};
use crate::probes::{PACKET, ProbeKind};

pub(super) fn resolve(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    parts: &[Part],
) -> Vec<Found> {
    let (module, name) = match parts {
        [name] if !name.text.is_empty() => (None, name),
        [module, name] if !name.text.is_empty() => (Some(module), name),
        _ => {
            let message = format!("`{}` is not an `skb` probe", point.text);
            syntax::bad_form(r, point, kind.usage, message);
            return Vec::new();
        }
    };
    if let Some(module) = module
        && !is_pattern(&module.text)
        && !r.kernel.module_loaded(&module.text)
    {
        return function::not_loaded(r, module);
    }
    let modules = module.map_or("*", |m| m.text.as_str());
    let takers = match is_regex(&name.text) {
        false => r.kernel.functions_taking(PACKET, &name.text, modules),
        true => match Regex::new(&format!("^(?:{})$", name.text)) {
            Ok(regex) => {
                let mut takers = r.kernel.functions_taking(PACKET, "*", modules);
                takers.retain(|taker| regex.is_match(&taker.name));
                takers
            }
            Err(error) => {
                bad_regex(r, name, &error.to_string());
                return Vec::new();
            }
        },
    };
    if takers.is_empty() {
        nothing(r, point, name);
    }
    let target = |taker| target(kind, point, module.is_some(), taker);
    takers.into_iter().map(target).collect()
}

/// Whether a pattern is a regular expression: names and wildcards have none of these characters.
fn is_regex(pattern: &str) -> bool {
    pattern.contains(['.', '^', '$', '|', '+', '\\', '(', ')', '[', ']', '{', '}'])
}

fn bad_regex(r: &mut Resolver<'_>, name: &Part, why: &str) {
    let message = format!("`{}` is not a regular expression: {why}", name.text);
    r.error(
        Diagnostic::error(codes::BAD_PROBE, name.span, message).help(
            "names with `*` and `?` are patterns, anything with `.^$|+()[]{}` a regular expression for the whole name: `(ip|tcp)_.*`",
        ),
    );
}

fn nothing(r: &mut Resolver<'_>, point: &ast::AttachPoint, name: &Part) {
    let pattern = is_pattern(&name.text) || is_regex(&name.text);
    let exists = !pattern && !r.kernel.functions(&name.text, None).is_empty();
    let (message, similar) = match (exists, pattern) {
        (true, _) => (
            format!("`{}` takes no packet in a register", name.text),
            Vec::new(),
        ),
        (false, true) => (
            format!("no function that takes a packet matches `{}`", point.text),
            Vec::new(),
        ),
        (false, false) => (
            format!("the kernel has no function `{}`", name.text),
            r.kernel.similar(Similar::Function, &name.text),
        ),
    };
    let diag = Diagnostic::error(codes::NO_SUCH_TARGET, name.span, message);
    let diag = match exists {
        true => diag.help(format!("trace it with `kprobe:{}`", name.text)),
        false => suggest(diag, &similar).help("`nettrace -l 'skb:*'` lists what there is"),
    };
    r.missing(diag);
}

fn target(
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    with_module: bool,
    taker: Taker,
) -> Found {
    let probe = match with_module {
        true => format!(
            "{}:{}:{}",
            kind.name,
            taker.module.as_deref().unwrap_or("vmlinux"),
            taker.name
        ),
        false => format!("{}:{}", kind.name, taker.name),
    };
    Found {
        target: Target {
            attach: Attach::Kprobe {
                symbol: taker.name,
                module: taker.module,
                offset: 0,
            },
            probe,
            cookie: 0,
            packet: Some(taker.register),
            span: (point.span.lo, point.span.hi),
        },
        source: Source::None,
        user_arguments: false,
    }
}
