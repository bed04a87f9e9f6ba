//! `nettrace -l` and `-lv`: the probes and types of a kernel.
//!
//! In: a kernel and patterns. Out: a line per probe, written as it is found, in a form that a script takes. With arguments (`-v`),
//! four blanks and `type name` per line; types with their whole definition.
//!
//! Modules: `fentry` and `fexit` are listed with theirs (`fentry:nf_conntrack:nf_ct_delete`), as they attach by way of its BTF;
//! `kprobe` and `kretprobe` only where the pattern speaks of modules (`kprobe:nf_conntrack:*`). Scripts may leave the module out
//! everywhere.

mod pattern;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::{self, Write};

use nettrace_compiler::kernel::{
    Feature, Function, Kernel, KernelType, KernelTypeId, Prototype, Similar, TypeKind,
};
use nettrace_compiler::probes::{ContextKind, KINDS, PACKET, ProbeKind};
use nettrace_compiler::types::print;
use nettrace_grammar::{Diagnostic, codes};

use pattern::{Pattern, Selector};

/// What came of a listing.
#[derive(Debug, Default)]
pub struct Listed {
    /// How many probes and types were written.
    pub found: usize,
    /// What could not be listed and why; patterns without a match among them.
    pub problems: Vec<Diagnostic>,
}

/// Writes the probes and types that match comma-separated patterns; an empty text matches every probe.
///
/// # Errors
/// Only those of writing.
pub fn list(
    kernel: &dyn Kernel,
    patterns: &str,
    verbose: bool,
    out: &mut dyn Write,
) -> io::Result<Listed> {
    let patterns = pattern::parse(patterns);
    let mut lister = Lister {
        kernel,
        verbose,
        out,
        listed: Listed::default(),
    };
    for (index, pattern) in patterns.iter().enumerate() {
        let earlier = patterns.get(..index).unwrap_or_default();
        let before = lister.listed.found;
        let problems = lister.listed.problems.len();
        match pattern {
            Pattern::Types(kind, name) => lister.types(*kind, name)?,
            _ => lister.probes(pattern, earlier)?,
        }
        let nothing = lister.listed.found == before && lister.listed.problems.len() == problems;
        if nothing && !earlier.contains(pattern) {
            let diag = lister.nothing(pattern);
            lister.listed.problems.push(diag);
        }
    }
    lister.out.flush()?;
    Ok(lister.listed)
}

struct Lister<'a> {
    kernel: &'a dyn Kernel,
    verbose: bool,
    out: &'a mut dyn Write,
    listed: Listed,
}

/// A probe to be written.
struct Item<'a> {
    kind: &'static ProbeKind,
    /// Module or category, if it is to be written.
    group: Option<&'a str>,
    name: &'a str,
}

impl Lister<'_> {
    fn probes(&mut self, pattern: &Pattern, earlier: &[Pattern]) -> io::Result<()> {
        for kind in KINDS {
            let Some(selector) = pattern.select(kind) else {
                continue;
            };
            let done: Vec<Selector> = earlier.iter().filter_map(|p| p.select(kind)).collect();
            match kind.context {
                _ if kind.is_hook() => {
                    self.check_kprobes(kind, pattern);
                    self.takers(kind, &selector, &done)?;
                }
                ContextKind::None => self.timers(kind, &selector, &done)?,
                ContextKind::Entry | ContextKind::Return => {
                    self.check_kprobes(kind, pattern);
                    self.functions(kind, &selector, &done)?;
                }
                ContextKind::Args | ContextKind::ArgsAndResult => {
                    self.functions(kind, &selector, &done)?
                }
                ContextKind::Packet => {
                    self.check_kprobes(kind, pattern);
                    self.takers(kind, &selector, &done)?;
                }
                ContextKind::Record => self.tracepoints(kind, &selector, &done)?,
                ContextKind::EventArgs => self.raw_tracepoints(kind, &selector, &done)?,
            }
        }
        Ok(())
    }

    /// `begin`, `end`, and a line for each unit of `interval`.
    fn timers(
        &mut self,
        kind: &'static ProbeKind,
        selector: &Selector,
        done: &[Selector],
    ) -> io::Result<()> {
        let units: &[&str] = match kind.usage.contains(':') {
            true => &["hz:N", "s:N", "ms:N", "us:N"],
            false => &[""],
        };
        for name in units {
            let wanted = |s: &Selector| match &s.group {
                // `interval:s:1`
                Some(unit) => name.split(':').next().is_some_and(|n| n == unit),
                None => s.takes(None, name) || s.takes(None, name.trim_end_matches(":N")),
            };
            if wanted(selector) && !done.iter().any(wanted) {
                self.write(
                    &Item {
                        kind,
                        group: None,
                        name,
                    },
                    &[],
                )?;
            }
        }
        Ok(())
    }

    fn functions(
        &mut self,
        kind: &'static ProbeKind,
        selector: &Selector,
        done: &[Selector],
    ) -> io::Result<()> {
        let kernel = self.kernel;
        let by_btf = matches!(kind.context, ContextKind::Args | ContextKind::ArgsAndResult);
        let wanted = |module: Option<&str>, name: &str| {
            selector.takes(module, name) && !done.iter().any(|s| s.takes(module, name))
        };
        if self.verbose || by_btf {
            let found = kernel.functions_matching(&selector.name, None);
            for function in found
                .iter()
                .filter(|f| wanted(f.module.as_deref(), &f.name))
            {
                if !by_btf || function.prototype.is_some() {
                    self.function(kind, selector, function)?;
                }
            }
            return Ok(());
        }
        let mut result = Ok(());
        kernel.each_function(&mut |name, module| {
            if result.is_ok() && wanted(module, name) {
                let group = selector
                    .group
                    .is_some()
                    .then(|| module.unwrap_or("vmlinux"));
                result = self.write(&Item { kind, group, name }, &[]);
            }
        });
        result
    }

    /// The traceable functions that take a packet, or that are netfilter hooks.
    fn takers(
        &mut self,
        kind: &'static ProbeKind,
        selector: &Selector,
        done: &[Selector],
    ) -> io::Result<()> {
        let modules = selector.group.as_deref().unwrap_or("*");
        let takers = match kind.context {
            ContextKind::Packet => self
                .kernel
                .functions_taking(PACKET, &selector.name, modules),
            _ => self.kernel.hook_functions(&selector.name, modules),
        };
        let mut traceable = HashSet::new();
        self.kernel.each_function(&mut |name, _| {
            traceable.insert(name.to_string());
        });
        for taker in &takers {
            let module = taker.module.as_deref();
            if done.iter().any(|s| s.takes(module, &taker.name)) || !traceable.contains(&taker.name)
            {
                continue;
            }
            let arguments = match (self.verbose, &*self.kernel.ty(taker.id)) {
                (true, KernelType::Function(prototype)) => self.arguments(kind, prototype),
                _ => Vec::new(),
            };
            let item = Item {
                kind,
                group: selector
                    .group
                    .is_some()
                    .then(|| module.unwrap_or("vmlinux")),
                name: &taker.name,
            };
            self.write(&item, &arguments)?;
        }
        Ok(())
    }

    fn function(
        &mut self,
        kind: &'static ProbeKind,
        selector: &Selector,
        function: &Function,
    ) -> io::Result<()> {
        let by_btf = matches!(kind.context, ContextKind::Args | ContextKind::ArgsAndResult);
        let module = function.module.as_deref().unwrap_or("vmlinux");
        let item = Item {
            kind,
            group: (by_btf || selector.group.is_some()).then_some(module),
            name: &function.name,
        };
        let arguments = match (&function.prototype, self.verbose) {
            (Some(prototype), true) => self.arguments(kind, prototype),
            _ => Vec::new(),
        };
        self.write(&item, &arguments)
    }

    fn tracepoints(
        &mut self,
        kind: &'static ProbeKind,
        selector: &Selector,
        done: &[Selector],
    ) -> io::Result<()> {
        let category = selector.group.as_deref().unwrap_or("*");
        let found = match self.kernel.tracepoints_matching(category, &selector.name) {
            Ok(found) => found,
            Err(diag) => {
                self.listed.problems.push(*diag);
                return Ok(());
            }
        };
        for (category, event) in &found {
            if done.iter().any(|s| s.takes(Some(category), event)) {
                continue;
            }
            let mut fields = Vec::new();
            if self.verbose
                && let Ok(Some(tracepoint)) = self.kernel.tracepoint(category, event)
            {
                fields.extend(
                    tracepoint
                        .fields
                        .iter()
                        .map(|f| format!("{} {}", f.c_type, f.name)),
                );
            }
            let item = Item {
                kind,
                group: Some(category),
                name: event,
            };
            self.write(&item, &fields)?;
        }
        Ok(())
    }

    fn raw_tracepoints(
        &mut self,
        kind: &'static ProbeKind,
        selector: &Selector,
        done: &[Selector],
    ) -> io::Result<()> {
        for name in self.kernel.raw_tracepoints_matching(&selector.name) {
            // Which module an event is of takes a search: only where somebody asks.
            let details = match self.verbose || selector.group.is_some() {
                true => self.kernel.raw_tracepoint(&name),
                false => None,
            };
            let module = details.as_ref().and_then(|d| d.module.as_deref());
            if !selector.takes(module, &name) || done.iter().any(|s| s.takes(module, &name)) {
                continue;
            }
            let prototype = details.as_ref().and_then(|d| d.prototype.as_deref());
            let arguments = match (prototype, self.verbose) {
                (Some(prototype), true) => self.arguments(kind, prototype),
                _ => Vec::new(),
            };
            let item = Item {
                kind,
                group: selector
                    .group
                    .is_some()
                    .then(|| module.unwrap_or("vmlinux")),
                name: &name,
            };
            self.write(&item, &arguments)?;
        }
        Ok(())
    }

    /// Lines for the arguments and the result, as far as the kind has them.
    fn arguments(&self, kind: &ProbeKind, prototype: &Prototype) -> Vec<String> {
        let line = |ty: KernelTypeId, name: &str| {
            let name = if name.is_empty() { "(unnamed)" } else { name };
            format!("{} {name}", print::kernel_type(self.kernel, ty))
        };
        let mut lines = Vec::new();
        if kind.context != ContextKind::Return {
            lines.extend(prototype.params.iter().map(|(name, ty)| line(*ty, name)));
            lines.extend(prototype.variadic.then(|| "...".to_string()));
        }
        let returns = matches!(
            kind.context,
            ContextKind::Return | ContextKind::ArgsAndResult
        );
        if returns && prototype.result != KernelTypeId::VOID {
            lines.push(line(prototype.result, "retval"));
        }
        lines
    }

    fn types(&mut self, kind: TypeKind, pattern: &str) -> io::Result<()> {
        for name in self.kernel.types_matching(kind, pattern) {
            let Some(id) = self.kernel.find_type(kind, &name) else {
                continue;
            };
            self.listed.found += 1;
            if self.verbose {
                let module = self.kernel.module_name(id.module);
                let module = module.as_deref().unwrap_or("vmlinux");
                write!(self.out, "{module}: {}", print::definition(self.kernel, id))?;
            } else {
                writeln!(self.out, "{} {name}", keyword(kind))?;
            }
        }
        Ok(())
    }

    fn write(&mut self, item: &Item<'_>, arguments: &[String]) -> io::Result<()> {
        self.listed.found += 1;
        self.out.write_all(item.kind.name.as_bytes())?;
        for part in item
            .group
            .into_iter()
            .chain([item.name])
            .filter(|p| !p.is_empty())
        {
            write!(self.out, ":{part}")?;
        }
        self.out.write_all(b"\n")?;
        for argument in arguments {
            writeln!(self.out, "    {argument}")?;
        }
        Ok(())
    }

    /// Who asks for kprobes by name is told when the kernel has none.
    fn check_kprobes(&mut self, kind: &ProbeKind, pattern: &Pattern) {
        let told = self
            .listed
            .problems
            .iter()
            .any(|d| d.code == codes::NO_KPROBES);
        if pattern.names(kind) && !told && !self.kernel.has(Feature::Kprobes) {
            let mut diag = Diagnostic::host(codes::NO_KPROBES, "this kernel has the functions, but no kprobes")
                .note("it was built without CONFIG_KPROBES")
                .help("`tracepoint`, `rawtracepoint`, `fentry` and `fexit` work without them where the kernel allows them");
            diag.severity = nettrace_grammar::diag::Severity::Warning;
            self.listed.problems.push(diag);
        }
    }

    /// A pattern without a match.
    fn nothing(&self, pattern: &Pattern) -> Diagnostic {
        let (code, message, similar) = match pattern {
            Pattern::Types(kind, name) => (
                codes::UNKNOWN_TYPE,
                format!("the kernel has no `{} {name}`", keyword(*kind)),
                self.kernel.similar(Similar::Type(*kind), name),
            ),
            Pattern::Name(name) => (
                codes::NO_SUCH_TARGET,
                format!("no probe matches `{name}`"),
                self.kernel.similar(Similar::Function, name),
            ),
            Pattern::Probes { kind, parts } => {
                let text = format!("{kind}:{}", parts.join(":"));
                let Some(known) = nettrace_compiler::probes::find(kind).or_else(|| {
                    let wildcard = nettrace_compiler::kernel::glob::is_pattern(kind);
                    wildcard
                        .then(|| KINDS.iter().find(|k| pattern.select(k).is_some()))
                        .flatten()
                }) else {
                    let kinds: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
                    let message = format!("there is no probe kind `{kind}`");
                    let help = format!("the kinds are {}", kinds.join(", "));
                    return Diagnostic::host(codes::UNKNOWN_PROBE, message).help(help);
                };
                let last = parts.last().map_or("", String::as_str);
                let similar = match known.context {
                    ContextKind::Record => {
                        self.kernel.similar(Similar::Tracepoint, &parts.join(":"))
                    }
                    ContextKind::EventArgs => self.kernel.similar(Similar::RawTracepoint, last),
                    ContextKind::None => Vec::new(),
                    _ => self.kernel.similar(Similar::Function, last),
                };
                (
                    codes::NO_SUCH_TARGET,
                    format!("no probe matches `{text}`"),
                    similar,
                )
            }
        };
        let diag = Diagnostic::host(code, message);
        match similar.is_empty() {
            true => diag,
            false => diag.help(format!("there is {}", similar.join(", "))),
        }
    }
}

fn keyword(kind: TypeKind) -> &'static str {
    match kind {
        TypeKind::Struct => "struct",
        TypeKind::Union => "union",
        TypeKind::Enum => "enum",
        TypeKind::Typedef => "typedef",
        TypeKind::Int => "int",
    }
}
