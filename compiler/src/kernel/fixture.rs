//! A kernel from the bytes of a few files, for tests and for checking a script against another machine's description.
//!
//! In: the BTF of a vmlinux, that of modules, and a text of facts that BTF does not hold. Out: a [`Kernel`] that answers the same
//! on every machine. The caller reads the files.
//!
//! The facts are lines; `#` begins a comment:
//! ```text
//! feature rdonly_cast                    # what `has` says yes to; see `feature`
//! module nf_tables                       # loaded, although no BTF of it is given
//! function __x64_sys_nop [MODULE]        # traceable, although BTF does not have it
//! untraceable nf_hook_entry inlined      # exists, but no probe can be placed there; the rest of the line says why
//! symbol ffffffff81000000 tcp_sendmsg [MODULE]
//! percpu 2a3c0 softnet_data
//! tracepoint net netif_receive_skb       # indented lines of its format file follow
//!     field:void * skbaddr; offset:8; size:8; signed:0;
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use nettrace_grammar::Diagnostic;

use super::btf::{BtfError, BtfTypes, ModuleSource, Section};
use super::tracepoint::parse_format;
use super::{
    Feature, Function, Kernel, KernelType, KernelTypeId, RawTracepoint, Similar, Taker, Traceable,
    Tracepoint, TypeKind, glob, similar,
};

/// A kernel that answers from memory.
#[derive(Debug)]
pub struct FixtureKernel {
    types: BtfTypes,
    facts: Facts,
}

/// What the text of facts says.
#[derive(Debug, Default)]
struct Facts {
    features: Vec<Feature>,
    modules: BTreeSet<String>,
    /// Functions that BTF does not have.
    functions: BTreeMap<String, Option<String>>,
    untraceable: BTreeMap<String, String>,
    symbols: Vec<(u64, String, Option<String>)>,
    percpu: Vec<(u64, String)>,
    tracepoints: BTreeMap<(String, String), Tracepoint>,
}

/// Modules' bytes by name.
struct Files(Vec<(String, Vec<u8>)>);

impl ModuleSource for Files {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let (_, bytes) = self.0.iter().find(|(n, _)| n == name)?;
        Some(bytes.clone())
    }
}

impl FixtureKernel {
    /// `vmlinux` and `modules` are BTF sections; modules with BTF are loaded. A line of `facts` that makes no sense is an error.
    pub fn new(
        vmlinux: Vec<u8>,
        modules: Vec<(String, Vec<u8>)>,
        facts: &str,
    ) -> Result<FixtureKernel, BtfError> {
        let mut facts = Facts::parse(facts)?;
        facts
            .modules
            .extend(modules.iter().map(|(name, _)| name.clone()));
        let section = Section::from_bytes(Rc::new(vmlinux))?;
        Ok(FixtureKernel {
            types: BtfTypes::new(section, Box::new(Files(modules))),
            facts,
        })
    }

    /// The types alone.
    pub fn types(&self) -> &BtfTypes {
        &self.types
    }

    /// Says yes or no to a feature, whatever the facts say.
    #[must_use]
    pub fn with_feature(mut self, feature: Feature, present: bool) -> FixtureKernel {
        self.facts.features.retain(|&f| f != feature);
        if present {
            self.facts.features.push(feature);
        }
        self
    }
}

impl Facts {
    fn parse(text: &str) -> Result<Facts, BtfError> {
        let mut facts = Facts::default();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let line = line.split('#').next().unwrap_or("").trim_end();
            if line.trim().is_empty() {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["tracepoint", category, event] = words[..] {
                let mut format = String::new();
                while let Some((_, field)) = lines.next_if(|(_, l)| l.starts_with([' ', '\t'])) {
                    format.push_str(field);
                    format.push('\n');
                }
                let key = (category.to_string(), event.to_string());
                facts
                    .tracepoints
                    .insert(key, parse_format(category, event, &format));
            } else {
                facts
                    .line(&words)
                    .ok_or_else(|| BtfError(format!("line {} is no fact: {line}", number + 1)))?;
            }
        }
        Ok(facts)
    }

    fn line(&mut self, words: &[&str]) -> Option<()> {
        let module = |rest: &[&str]| rest.first().map(|m| m.to_string());
        match words {
            ["feature", name] => self.features.push(feature(name)?),
            ["module", name] => _ = self.modules.insert(name.to_string()),
            ["function", name, rest @ ..] if rest.len() < 2 => {
                self.functions.insert(name.to_string(), module(rest));
            }
            ["untraceable", name, why @ ..] => {
                self.untraceable.insert(name.to_string(), why.join(" "));
            }
            ["symbol", address, name, rest @ ..] if rest.len() < 2 => {
                let address = u64::from_str_radix(address, 16).ok()?;
                self.symbols.push((address, name.to_string(), module(rest)));
            }
            ["percpu", address, name] => {
                let address = u64::from_str_radix(address, 16).ok()?;
                self.percpu.push((address, name.to_string()));
            }
            _ => return None,
        }
        Some(())
    }
}

/// Features as the text of facts names them.
fn feature(name: &str) -> Option<Feature> {
    Some(match name {
        "rdonly_cast" => Feature::RdonlyCast,
        "raw_tracepoint_cookie" => Feature::RawTracepointCookie,
        "tracing_cookie" => Feature::TracingCookie,
        "kprobe_multi" => Feature::KprobeMulti,
        "kprobes" => Feature::Kprobes,
        _ => return None,
    })
}

impl Kernel for FixtureKernel {
    fn find_type(&self, kind: TypeKind, name: &str) -> Option<KernelTypeId> {
        self.types.find_type(kind, name)
    }

    fn ty(&self, id: KernelTypeId) -> Rc<KernelType> {
        self.types.ty(id)
    }

    fn module_name(&self, module: u16) -> Option<String> {
        self.types.module_name(module)
    }

    fn enumerator(&self, name: &str) -> Option<(i64, KernelTypeId)> {
        self.types.enumerator(name)
    }

    fn functions(&self, name: &str, module: Option<&str>) -> Vec<Function> {
        let mut found = self.types.functions(name, module);
        if let Some(home) = self.facts.functions.get(name)
            && module.is_none_or(|m| m == home.as_deref().unwrap_or("vmlinux"))
            && found.iter().all(|f| f.module != *home)
        {
            found.push(Function {
                name: name.to_string(),
                module: home.clone(),
                prototype: None,
                addresses: 0,
            });
        }
        for function in &mut found {
            let here =
                |(_, n, m): &&(u64, String, Option<String>)| n == name && *m == function.module;
            function.addresses = self.facts.symbols.iter().filter(here).count() as u32;
        }
        found
    }

    fn traceable(&self, name: &str, module: Option<&str>) -> Traceable {
        if let Some(why) = self.facts.untraceable.get(name) {
            return Traceable::No(why.clone());
        }
        if self.functions(name, module).is_empty() {
            return Traceable::No("not in this kernel".to_string());
        }
        Traceable::Yes
    }

    fn functions_matching(&self, pattern: &str, module: Option<&str>) -> Vec<Function> {
        let mut found = self.types.functions_matching(pattern, module);
        for name in self
            .facts
            .functions
            .keys()
            .filter(|n| glob::matches(pattern, n))
        {
            found.extend(self.functions(name, module));
        }
        found.retain(|f| !self.facts.untraceable.contains_key(&f.name));
        found.sort_by(|a, b| (&a.name, &a.module).cmp(&(&b.name, &b.module)));
        found.dedup_by(|a, b| a.name == b.name && a.module == b.module);
        found
    }

    fn functions_taking(&self, record: &str, pattern: &str, module: &str) -> Vec<Taker> {
        self.types.functions_taking(record, pattern, module)
    }

    fn types_matching(&self, kind: TypeKind, pattern: &str) -> Vec<String> {
        self.types.types_matching(kind, pattern)
    }

    fn module_loaded(&self, name: &str) -> bool {
        name == "vmlinux" || self.facts.modules.contains(name)
    }

    fn tracepoint(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Option<Tracepoint>, Box<Diagnostic>> {
        let key = (category.to_string(), event.to_string());
        Ok(self.facts.tracepoints.get(&key).cloned())
    }

    fn tracepoints_matching(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Vec<(String, String)>, Box<Diagnostic>> {
        let matching =
            |(c, e): &&(String, String)| glob::matches(category, c) && glob::matches(event, e);
        Ok(self
            .facts
            .tracepoints
            .keys()
            .filter(matching)
            .cloned()
            .collect())
    }

    fn raw_tracepoint(&self, event: &str) -> Option<RawTracepoint> {
        self.types.raw_tracepoint(event)
    }

    fn raw_tracepoints_matching(&self, pattern: &str) -> Vec<String> {
        self.types.raw_tracepoints_matching(pattern)
    }

    fn percpu_symbol(&self, name: &str) -> Vec<u64> {
        let named = self.facts.percpu.iter().filter(|(_, n)| n == name);
        named.map(|(address, _)| *address).collect()
    }

    fn variable(&self, name: &str) -> Option<KernelTypeId> {
        self.types.variable(name)
    }

    fn symbol(&self, name: &str) -> Vec<u64> {
        let named = self.facts.symbols.iter().filter(|(_, n, _)| n == name);
        named.map(|(address, ..)| *address).collect()
    }

    fn has(&self, feature: Feature) -> bool {
        self.facts.features.contains(&feature)
    }

    fn kfunc(&self, name: &str) -> Option<u32> {
        self.types.kfunc(name)
    }

    fn similar(&self, what: Similar, name: &str) -> Vec<String> {
        match what {
            Similar::Tracepoint => {
                let names = self
                    .facts
                    .tracepoints
                    .keys()
                    .map(|(c, e)| format!("{c}:{e}"));
                similar::nearest(name, names)
            }
            Similar::Module => similar::nearest(name, &self.facts.modules),
            _ => self.types.similar(what, name),
        }
    }
}

/// The checked-in kernels of `tests/kernels`, for unit tests of the compiler.
#[cfg(test)]
pub(crate) mod kernels {
    use super::FixtureKernel;

    macro_rules! kernel {
        ($name:ident, $version:literal, $doc:literal) => {
            #[doc = $doc]
            pub(crate) fn $name() -> FixtureKernel {
                macro_rules! file {
                    ($suffix:literal) => {
                        include_bytes!(concat!(
                            env!("CARGO_MANIFEST_DIR"),
                            "/../tests/kernels/x86-",
                            $version,
                            $suffix
                        ))
                    };
                }
                let modules = vec![
                    (
                        "nf_conntrack".to_string(),
                        file!(".nf_conntrack.btf").to_vec(),
                    ),
                    (
                        "nf_defrag_ipv4".to_string(),
                        file!(".nf_defrag_ipv4.btf").to_vec(),
                    ),
                    ("nf_nat".to_string(), file!(".nf_nat.btf").to_vec()),
                    ("nf_tables".to_string(), file!(".nf_tables.btf").to_vec()),
                ];
                let facts = std::str::from_utf8(file!(".facts")).expect("facts are text");
                FixtureKernel::new(file!(".btf").to_vec(), modules, facts)
                    .expect("the checked-in kernel is fine")
            }
        };
    }

    kernel!(
        linux_6_1,
        "6.1",
        "Debian bookworm's: no `bpf_rdonly_cast`, no kprobe-multi."
    );
    kernel!(
        linux_6_12,
        "6.12",
        "Debian trixie's: the usual one for tests."
    );
    kernel!(
        linux_7_2,
        "7.2",
        "Debian backports': modules repeat vmlinux's types."
    );
}
