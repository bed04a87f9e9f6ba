//! Targets that are static events of the kernel: `tracepoint` and `rawtracepoint`.

use std::rc::Rc;

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{Found, Part, Resolver, Source, suggest, syntax};
use crate::artifact::{Attach, Target};
use crate::kernel::{RawTracepoint, Similar};
use crate::probes::ProbeKind;

use crate::kernel::glob::is_pattern;

/// `tracepoint:CATEGORY:EVENT`; both may be patterns.
pub(super) fn resolve(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    parts: &[Part],
) -> Vec<Found> {
    let [category, event] = parts else {
        let message = "a tracepoint has a category and an event".to_string();
        syntax::bad_form(r, point, kind.usage, message);
        return Vec::new();
    };
    if !is_pattern(&category.text) && !is_pattern(&event.text) {
        return one(r, kind, point, &category.text, &event.text)
            .into_iter()
            .collect();
    }
    match r.kernel.tracepoints_matching(&category.text, &event.text) {
        Err(diag) => {
            r.error(*diag);
            Vec::new()
        }
        Ok(names) => {
            if names.is_empty() {
                let message = format!("no tracepoint matches `{}:{}`", category.text, event.text);
                r.missing(Diagnostic::error(
                    codes::NO_SUCH_TARGET,
                    point.span,
                    message,
                ));
            }
            names
                .iter()
                .filter_map(|(category, event)| one(r, kind, point, category, event))
                .collect()
        }
    }
}

fn one(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    category: &str,
    event: &str,
) -> Option<Found> {
    let found = match r.kernel.tracepoint(category, event) {
        Ok(found) => found,
        Err(diag) => {
            r.error(*diag);
            return None;
        }
    };
    let name = format!("{category}:{event}");
    let Some(tracepoint) = found else {
        let diag = Diagnostic::error(
            codes::NO_SUCH_TARGET,
            point.span,
            format!("the kernel has no tracepoint `{name}`"),
        );
        let similar = r.kernel.similar(Similar::Tracepoint, &name);
        let note = "events of a module exist only while it is loaded";
        r.missing(suggest(diag, &similar).note(note));
        return None;
    };
    Some(Found {
        target: Target {
            attach: Attach::Tracepoint {
                category: category.to_string(),
                event: event.to_string(),
            },
            probe: format!("{}:{name}", kind.name),
            cookie: 0,
            packet: None,
            span: (point.span.lo, point.span.hi),
        },
        // The arguments of a system call are what the caller passed: its pointers are the caller's.
        user_arguments: category == "syscalls" && event.starts_with("sys_enter_"),
        source: Source::Tracepoint(Rc::new(tracepoint)),
    })
}

/// `rawtracepoint:[MODULE:]EVENT`; both may be patterns.
pub(super) fn resolve_raw(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    parts: &[Part],
) -> Vec<Found> {
    let (module, event) = match parts {
        [event] => (None, event),
        [module, event] => (Some(module.text.as_str()), event),
        _ => {
            let message = "a raw tracepoint has an event's name".to_string();
            syntax::bad_form(r, point, kind.usage, message);
            return Vec::new();
        }
    };
    let names = match is_pattern(&event.text) {
        true => r.kernel.raw_tracepoints_matching(&event.text),
        false => vec![event.text.clone()],
    };
    let found: Vec<RawTracepoint> = names
        .iter()
        .filter_map(|name| r.kernel.raw_tracepoint(name))
        .filter(|t| in_module(t, module))
        .collect();
    if found.is_empty() {
        let of = module.map_or(String::new(), |m| format!(" of module `{m}`"));
        let message = format!("the kernel has no raw tracepoint `{}`{of}", event.text);
        let diag = Diagnostic::error(codes::NO_SUCH_TARGET, event.span, message);
        let similar = r.kernel.similar(Similar::RawTracepoint, &event.text);
        r.missing(suggest(diag, &similar));
    }
    found
        .into_iter()
        .map(|t| Found {
            target: Target {
                probe: match module {
                    Some(_) => format!(
                        "{}:{}:{}",
                        kind.name,
                        t.module.as_deref().unwrap_or("vmlinux"),
                        t.event
                    ),
                    None => format!("{}:{}", kind.name, t.event),
                },
                attach: Attach::RawTracepoint {
                    event: t.event,
                    module: t.module,
                },
                cookie: 0,
                packet: None,
                span: (point.span.lo, point.span.hi),
            },
            source: t.prototype.map_or(Source::Unknown, Source::Prototype),
            user_arguments: false,
        })
        .collect()
}

fn in_module(t: &RawTracepoint, module: Option<&str>) -> bool {
    module.is_none_or(|m| crate::kernel::glob::matches(m, t.module.as_deref().unwrap_or("vmlinux")))
}
