//! Targets that are kernel functions: `kprobe`, `kretprobe`, `fentry`, `fexit`.
//!
//! A function must exist once, be traceable, and for `fentry` and `fexit` be described by BTF. What fails is told with the reason
//! and the nearest names. A `kretprobe` whose body uses arguments runs as an fexit, under its own name.

use nettrace_grammar::{Diagnostic, ast, codes};

use super::{Found, Part, Resolver, Source, suggest, syntax};
use crate::artifact::{Attach, Target};
use crate::kernel::glob::is_pattern;
use crate::kernel::{Function, Similar, Traceable};
use crate::probes::{ContextKind, ProbeKind};

/// A function as an attach point names it.
struct Wanted<'a> {
    /// As written.
    kind: &'static ProbeKind,
    /// As it runs.
    runs_as: &'static ProbeKind,
    point: &'a ast::AttachPoint,
    module: Option<&'a Part>,
    name: Part,
    offset: u64,
}

pub(super) fn resolve(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    runs_as: &'static ProbeKind,
    point: &ast::AttachPoint,
    parts: &[Part],
) -> Vec<Found> {
    let (module, function) = match parts {
        [function] => (None, function),
        [module, function] => (Some(module), function),
        _ => {
            let message = format!("`{}` has too many parts", point.text);
            syntax::bad_form(r, point, kind.usage, message);
            return Vec::new();
        }
    };
    if let Some(root) = called_by(&function.text) {
        let root = Part {
            text: root.to_string(),
            span: function.span,
        };
        let wanted = Wanted {
            kind,
            runs_as,
            point,
            module: None,
            name: root,
            offset: 0,
        };
        return callees(r, &wanted);
    }
    let Some((name, offset)) = split_offset(r, kind, point, function) else {
        return Vec::new();
    };
    let wanted = Wanted {
        kind,
        runs_as,
        point,
        module,
        name,
        offset,
    };
    if let Some(module) = module
        && !is_pattern(&module.text)
        && !r.kernel.module_loaded(&module.text)
    {
        return not_loaded(r, module);
    }
    let pattern = is_pattern(&wanted.name.text) || module.is_some_and(|m| is_pattern(&m.text));
    match pattern {
        true => matching(r, &wanted),
        false => single(r, &wanted).into_iter().collect(),
    }
}

/// `calls(name)` to the name.
fn called_by(text: &str) -> Option<&str> {
    text.strip_prefix("calls(")?
        .strip_suffix(')')
        .map(str::trim)
}

/// Everything that a function calls, as a live call shows it.
fn callees(r: &mut Resolver<'_>, wanted: &Wanted<'_>) -> Vec<Found> {
    let root = &wanted.name.text;
    // That it exists is found out before anybody waits for a call.
    if r.kernel.functions(root, None).is_empty() {
        unknown(r, wanted);
        return Vec::new();
    }
    match r.kernel.functions_called_by(root) {
        Ok(mut found) => {
            let described = needs_btf(wanted.runs_as);
            found.retain(|f| f.addresses <= 1 && (!described || f.prototype.is_some()));
            found.into_iter().map(|f| target(wanted, f)).collect()
        }
        Err(diag) => {
            r.error(*diag);
            Vec::new()
        }
    }
}

/// `name+0x10` to its name and number.
fn split_offset(
    r: &mut Resolver<'_>,
    kind: &'static ProbeKind,
    point: &ast::AttachPoint,
    part: &Part,
) -> Option<(Part, u64)> {
    if part.text.is_empty() {
        syntax::bad_form(
            r,
            point,
            kind.usage,
            format!("`{}` needs a function", kind.name),
        );
        return None;
    }
    if part.text.starts_with("0x") {
        let message = "a probe on a bare address is not supported";
        let help = "write the function and an offset into it: `kprobe:FUNCTION+0x10`";
        r.error(Diagnostic::error(codes::NOT_YET, part.span, message).help(help));
        return None;
    }
    let Some((name, offset)) = part.text.split_once('+') else {
        return Some((part.clone(), 0));
    };
    let Some(number) = syntax::number(offset) else {
        let message = format!("`{offset}` is not an offset");
        r.error(
            Diagnostic::error(codes::BAD_PROBE, part.span, message)
                .help("write a number of bytes: `+16` or `+0x10`"),
        );
        return None;
    };
    if kind.context != ContextKind::Entry {
        let message = format!("`{}` takes no offset", kind.name);
        r.error(
            Diagnostic::error(codes::BAD_PROBE, part.span, message)
                .help("only kprobe can stop inside of a function"),
        );
        return None;
    }
    let name = Part {
        text: name.to_string(),
        span: part.span,
    };
    Some((name, number))
}

pub(super) fn not_loaded(r: &mut Resolver<'_>, module: &Part) -> Vec<Found> {
    let diag = Diagnostic::error(
        codes::MODULE_NOT_LOADED,
        module.span,
        format!("the module `{}` is not loaded", module.text),
    );
    let similar = r.kernel.similar(Similar::Module, &module.text);
    let help = format!(
        "`modprobe {}` loads it; /proc/modules lists those that are",
        module.text
    );
    r.missing(suggest(diag, &similar).help(help));
    Vec::new()
}

fn matching(r: &mut Resolver<'_>, wanted: &Wanted<'_>) -> Vec<Found> {
    if wanted.offset != 0 {
        let message = "a pattern cannot have an offset";
        r.error(Diagnostic::error(
            codes::BAD_PROBE,
            wanted.point.span,
            message,
        ));
        return Vec::new();
    }
    let module = wanted.module.map(|m| m.text.as_str());
    let mut found = r.kernel.functions_matching(&wanted.name.text, module);
    if needs_btf(wanted.runs_as) {
        found.retain(|f| f.prototype.is_some());
    }
    // A name with several addresses cannot be attached to by name; a pattern means those that can.
    found.retain(|f| f.addresses <= 1);
    if found.is_empty() {
        let message = format!("no traceable function matches `{}`", wanted.point.text);
        r.missing(Diagnostic::error(
            codes::NO_SUCH_TARGET,
            wanted.point.span,
            message,
        ));
    }
    found.into_iter().map(|f| target(wanted, f)).collect()
}

fn single(r: &mut Resolver<'_>, wanted: &Wanted<'_>) -> Option<Found> {
    let name = &wanted.name.text;
    let module = wanted.module.map(|m| m.text.as_str());
    let mut found = r.kernel.functions(name, module);
    if found.len() > 1 {
        several_modules(r, wanted, &found);
        return None;
    }
    let Some(function) = found.pop() else {
        unknown(r, wanted);
        return None;
    };
    if let Traceable::No(why) = r.kernel.traceable(name, module) {
        let message = format!("the function `{name}` cannot be traced: it is {why}");
        let diag = Diagnostic::error(codes::NOT_TRACEABLE, wanted.name.span, message);
        let similar = r.kernel.similar(Similar::Function, name);
        r.missing(suggest(diag, &similar));
        return None;
    }
    if function.addresses > 1 {
        several_addresses(r, wanted, function.addresses);
        return None;
    }
    if needs_btf(wanted.runs_as) && function.prototype.is_none() {
        not_described(r, wanted);
        return None;
    }
    Some(target(wanted, function))
}

/// BTF does not have the function, and the probe cannot do without.
fn not_described(r: &mut Resolver<'_>, wanted: &Wanted<'_>) {
    let name = &wanted.name.text;
    let error = |message: String| Diagnostic::error(codes::NO_ARGUMENTS, wanted.name.span, message);
    let diag = match wanted.kind.context {
        ContextKind::Return => error(format!(
            "this kretprobe uses arguments, which only functions that BTF describes have at their return; `{name}` is not in it"
        ))
        .note("the kernel keeps arguments for fexit programs alone; a module's BTF is there when it was built with CONFIG_DEBUG_INFO_BTF_MODULES")
        .help(format!(
            "keep them from the entry: `kprobe:{name} {{ @arg[tid] = arg0; }}`, and `@arg[tid]` here"
        )),
        ContextKind::ArgsAndResult => error(format!(
            "`{}` needs a function that BTF describes; `{name}` is not in it",
            wanted.kind.name
        ))
        .help(format!("write `kretprobe:{name}`")),
        _ => error(format!(
            "`{}` needs a function that BTF describes; `{name}` is not in it",
            wanted.kind.name
        ))
        .help(format!("write `kprobe:{name}`")),
    };
    r.error(diag);
}

fn unknown(r: &mut Resolver<'_>, wanted: &Wanted<'_>) {
    let name = &wanted.name.text;
    let of = match wanted.module {
        Some(module) => format!(" in `{}`", module.text),
        None => String::new(),
    };
    let message = format!("the kernel has no function `{name}`{of}");
    let mut diag = Diagnostic::error(codes::NO_SUCH_TARGET, wanted.name.span, message);
    let elsewhere = match wanted.module {
        Some(_) => r.kernel.functions(name, None),
        None => Vec::new(),
    };
    if elsewhere.is_empty() {
        let similar = r.kernel.similar(Similar::Function, name);
        diag = suggest(diag, &similar);
        if wanted.module.is_none() {
            diag = diag.note("it may be inlined everywhere, or in a module that is not loaded");
        }
    } else {
        let modules: Vec<String> = elsewhere
            .iter()
            .map(|f| format!("`{}`", module_of(f)))
            .collect();
        diag = diag.note(format!("it is in {}", modules.join(" and ")));
    }
    r.missing(diag);
}

fn several_modules(r: &mut Resolver<'_>, wanted: &Wanted<'_>, found: &[Function]) {
    let name = &wanted.name.text;
    let modules: Vec<String> = found
        .iter()
        .map(|f| format!("`{}`", module_of(f)))
        .collect();
    let message = format!("there are {} functions `{name}`", found.len());
    let first = found.first().map_or("vmlinux", module_of);
    r.missing(
        Diagnostic::error(codes::AMBIGUOUS_TARGET, wanted.name.span, message)
            .note(format!("they are in {}", modules.join(", ")))
            .help(format!(
                "name the one you mean: `{}:{first}:{name}`",
                wanted.kind.name
            )),
    );
}

fn several_addresses(r: &mut Resolver<'_>, wanted: &Wanted<'_>, count: u32) {
    let name = &wanted.name.text;
    let message = format!("the kernel has {count} functions `{name}`, at different addresses");
    let mut diag = Diagnostic::error(codes::AMBIGUOUS_TARGET, wanted.name.span, message)
        .note("they are static functions of the same name in different source files; the kernel does not attach to such a name");
    let addresses = r.kernel.symbol(name);
    if addresses.len() > 1 && addresses.iter().all(|&a| a != 0) {
        let list: Vec<String> = addresses.iter().map(|a| format!("{a:#x}")).collect();
        diag = diag.note(format!("they are at {}", list.join(", ")));
    }
    r.missing(diag.help("trace a function that calls the one you mean"));
}

fn module_of(function: &Function) -> &str {
    function.module.as_deref().unwrap_or("vmlinux")
}

fn needs_btf(kind: &ProbeKind) -> bool {
    matches!(kind.context, ContextKind::Args | ContextKind::ArgsAndResult)
}

fn target(wanted: &Wanted<'_>, function: Function) -> Found {
    let module = function.module;
    let symbol = function.name;
    let mut probe = wanted.kind.name.to_string();
    if wanted.module.is_some() {
        probe.push(':');
        probe.push_str(module.as_deref().unwrap_or("vmlinux"));
    }
    probe.push(':');
    probe.push_str(&symbol);
    if wanted.offset != 0 {
        probe.push_str(&format!("+{}", wanted.offset));
    }
    let attach = match wanted.runs_as.context {
        ContextKind::Return => Attach::Kretprobe { symbol, module },
        ContextKind::Args => Attach::Fentry { symbol, module },
        ContextKind::ArgsAndResult => Attach::Fexit { symbol, module },
        _ => Attach::Kprobe {
            symbol,
            module,
            offset: wanted.offset,
        },
    };
    Found {
        target: Target {
            attach,
            probe,
            cookie: 0,
            packet: None,
            span: (wanted.point.span.lo, wanted.point.span.hi),
        },
        source: function
            .prototype
            .map_or(Source::Unknown, Source::Prototype),
        user_arguments: false,
    }
}
