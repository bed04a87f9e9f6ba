//! Targets of `hook` and `hookret` probes: every kernel function with the prototype of a netfilter hook,
//! `unsigned int f(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)`.
//!
//! Which of them are registered is another question, and changes; helpers that hooks call have the same prototype. As with `skb`
//! probes, what cannot be traced is left out by the runtime, which says why.

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{Found, Part, Resolver, Source, function, syntax};
use crate::artifact::{Attach, Target};
use crate::kernel::Taker;
use crate::kernel::glob::is_pattern;
use crate::probes::{ContextKind, HOOK_PACKET, ProbeKind};

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
            let message = format!("`{}` is not a `{}` probe", point.text, kind.name);
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
    let found = r.kernel.hook_functions(&name.text, modules);
    if found.is_empty() {
        let message = format!("no netfilter hook function matches `{}`", point.text);
        let diag = Diagnostic::error(codes::NO_SUCH_TARGET, name.span, message)
            .help("`nettrace run nf-hooks` lists the registered ones");
        r.missing(diag);
    }
    let target = |taker| target(kind, point, module.is_some(), taker);
    found.into_iter().map(target).collect()
}

fn target(
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    with_module: bool,
    taker: Taker,
) -> Found {
    let module = taker.module.as_deref().unwrap_or("vmlinux");
    let probe = match with_module {
        true => format!("{}:{module}:{}", kind.name, taker.name),
        false => format!("{}:{}", kind.name, taker.name),
    };
    let (symbol, module) = (taker.name, taker.module);
    let attach = match kind.context {
        ContextKind::Return => Attach::Kretprobe { symbol, module },
        _ => Attach::Kprobe {
            symbol,
            module,
            offset: 0,
        },
    };
    Found {
        target: Target {
            attach,
            probe,
            cookie: 0,
            packet: Some(HOOK_PACKET),
            span: (point.span.lo, point.span.hi),
        },
        // Modules have types of their own for the same arguments: as numbers they are the same, so that one program serves all.
        source: Source::Unknown,
        user_arguments: false,
    }
}
