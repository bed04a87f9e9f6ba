//! What the compiler asks about the kernel, answered by this machine or by files from another one.
//!
//! In: `/sys` and `/proc`, or the files of `--btf` and `--btf-module`. Out: [`Kernel`] and, for attaching, [`KernelFunctions`].
//! Everything is read when it is asked for, and the cheapest source first: BTF answers most questions, kallsyms and
//! `available_filter_functions` only those about names that BTF lacks, about patterns, and about failures.
//!
//! A description from files knows only what BTF says: it never looks at this machine's tracefs, symbols or modules.

mod attaching;
mod btf;
mod calls;
mod databases;
mod described;
mod functions;
mod machine;
mod modules;
mod record;
mod tracepoints;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nettrace_compiler::kernel::btf::{BtfTypes, ModuleSource, NoModules};
use nettrace_compiler::kernel::machine::Machine;
use nettrace_compiler::kernel::{
    Feature, Function, Kernel, KernelType, KernelTypeId, RawTracepoint, Similar, Taker, Traceable,
    Tracepoint, TypeKind, glob, similar,
};
use nettrace_compiler::pcap::Names;
use nettrace_compiler::types::members;
use nettrace_grammar::Diagnostic;

use crate::attach::{BtfFunction, Homes, KernelFunctions};
use crate::symbols::kernel::KernelSymbols;
use functions::{Functions, Place};

pub use attaching::HostFunctions;
pub use described::DescribedKernel;

/// The PMU through which kprobes attach; there is none without CONFIG_KPROBES.
const KPROBE_PMU: &str = "/sys/bus/event_source/devices/kprobe";

/// The running kernel.
#[derive(Debug)]
pub struct LiveKernel {
    types: BtfTypes,
    functions: Functions,
    databases: databases::Databases,
    machine: machine::ThisMachine,
    /// Read by the first question: 40 ms.
    symbols: RefCell<KernelSymbols>,
    /// What functions call, as far as it was asked: watching takes a second and more.
    calls: RefCell<HashMap<String, Vec<calls::Callee>>>,
}

impl LiveKernel {
    /// Maps the kernel's BTF; reads nothing else.
    ///
    /// # Errors
    /// `NO_BTF` when the kernel has none.
    pub fn open() -> Result<LiveKernel, Box<Diagnostic>> {
        let types = BtfTypes::new(btf::running()?, Box::new(modules::Loaded));
        Ok(LiveKernel::of(types))
    }

    fn of(types: BtfTypes) -> LiveKernel {
        LiveKernel {
            types,
            functions: Functions::default(),
            databases: databases::Databases::default(),
            machine: machine::ThisMachine::default(),
            symbols: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    /// The running kernel, whose BTF is in files: for one that does not show it itself. All else is asked of the machine.
    ///
    /// # Errors
    /// `FILE_ERROR` and `NO_BTF`.
    pub fn with_btf(vmlinux: &Path) -> Result<LiveKernel, Box<Diagnostic>> {
        LiveKernel::with_files(vmlinux, &[])
    }

    /// The same with the BTF of modules in files.
    ///
    /// # Errors
    /// `FILE_ERROR` and `NO_BTF`.
    pub fn with_files(
        vmlinux: &Path,
        modules: &[(String, PathBuf)],
    ) -> Result<LiveKernel, Box<Diagnostic>> {
        for (_, path) in modules {
            btf::section_bytes(path)?;
        }
        let source: Box<dyn ModuleSource> = match modules {
            [] => Box::new(NoModules),
            some => Box::new(modules::Files(some.to_vec())),
        };
        let types = BtfTypes::new(btf::from_file(vmlinux)?, source);
        Ok(LiveKernel::of(types))
    }

    /// This kernel with the modules that have been loaded since it was opened; `None` when there are none. Types keep their ids.
    ///
    /// # Errors
    /// As [`LiveKernel::open`].
    pub fn with_new_modules(&self) -> Result<Option<LiveKernel>, Box<Diagnostic>> {
        let known = self.types.modules();
        if modules::Loaded
            .names()
            .iter()
            .all(|name| known.contains(name))
        {
            return Ok(None);
        }
        let source = Box::new(modules::Loaded);
        let types = BtfTypes::after(btf::running()?, source, known.to_vec());
        Ok(Some(LiveKernel::of(types)))
    }

    /// The types alone.
    pub fn types(&self) -> &BtfTypes {
        &self.types
    }

    fn function_places(&self, name: &str, module: Option<&str>) -> Vec<Place> {
        let mut places = self.functions.places(name);
        places.retain(|p| module.is_none_or(|m| m == p.module.as_deref().unwrap_or("vmlinux")));
        places
    }
}

/// A kernel described by files: BTF of vmlinux and of modules, each a raw section or an ELF file that has one.
///
/// # Errors
/// `FILE_ERROR` when a file cannot be read, `NO_BTF` when it holds no BTF.
pub fn describe(
    vmlinux: &Path,
    modules: &[(String, PathBuf)],
) -> Result<DescribedKernel, Box<Diagnostic>> {
    for (_, path) in modules {
        // Told now rather than as a missing function later.
        btf::section_bytes(path)?;
    }
    let types = BtfTypes::new(
        btf::from_file(vmlinux)?,
        Box::new(modules::Files(modules.to_vec())),
    );
    Ok(DescribedKernel::new(types))
}

/// What BTF says about abilities; `Kprobes` is said by a function that exists only with them.
fn has_by_btf(types: &BtfTypes, kernel: &dyn Kernel, feature: Feature) -> bool {
    let member = |record: &str, name: &str| {
        let id = types.find_type(TypeKind::Struct, record);
        id.is_some_and(|id| members::find(kernel, id, name).is_some())
    };
    match feature {
        Feature::RdonlyCast => types.kfunc("bpf_rdonly_cast").is_some(),
        Feature::RawTracepointCookie => member("bpf_raw_tp_link", "cookie"),
        // Moved in 7.2.
        Feature::TracingCookie => {
            member("bpf_tramp_link", "cookie") || member("bpf_tramp_node", "cookie")
        }
        // The function that makes such links exists without CONFIG_FPROBE too, and refuses; the struct does not.
        Feature::KprobeMulti => types
            .find_type(TypeKind::Struct, "bpf_kprobe_multi_link")
            .is_some(),
        Feature::Kprobes => types.kfunc("register_kprobe").is_some(),
    }
}

impl Kernel for LiveKernel {
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
        let found = self.types.functions(name, module);
        if !found.is_empty() {
            return found;
        }
        // BTF lacks functions of assembler files, clones such as `f.isra.0`, and names with several addresses.
        let mut found: Vec<Function> = Vec::new();
        for place in self.function_places(name, module) {
            match found.iter_mut().find(|f| f.module == place.module) {
                Some(function) => function.addresses += 1,
                None => found.push(Function {
                    name: name.to_string(),
                    module: place.module,
                    prototype: None,
                    addresses: 1,
                }),
            }
        }
        found
    }

    fn traceable(&self, _name: &str, _module: Option<&str>) -> Traceable {
        // A function that exists can nearly always be traced. The lists that know better cost more than the whole compilation
        // (0.1 s and more in a virtual machine), and fentry and kprobe differ: if attaching fails, `untraceable` says why.
        Traceable::Yes
    }

    fn functions_matching(&self, pattern: &str, module: Option<&str>) -> Vec<Function> {
        let described = self.types.functions_matching(pattern, module);
        let wanted = |name: &str, home: Option<&str>| {
            glob::matches(pattern, name) && module.is_none_or(|m| m == home.unwrap_or("vmlinux"))
        };
        let Some(listed) = functions::traceable(&wanted) else {
            return described
                .into_iter()
                .filter(|f| !self.functions.is_blacklisted(&f.name))
                .collect();
        };
        let same =
            |f: &Function, name: &str, home: &Option<String>| f.name == name && f.module == *home;
        let mut described = described.into_iter().peekable();
        let mut found = Vec::new();
        // Both are in the order of names; within a name there are few modules.
        let mut group: Vec<Function> = Vec::new();
        for ((name, home), addresses) in listed {
            while described.next_if(|f| f.name < name).is_some() {}
            if group.first().is_none_or(|f| f.name != name) {
                group.clear();
                while let Some(function) = described.next_if(|f| f.name == name) {
                    group.push(function);
                }
            }
            let known = group.iter().find(|f| same(f, &name, &home));
            let prototype = known.and_then(|f| f.prototype.clone());
            if !self.functions.is_blacklisted(&name) {
                found.push(Function {
                    name,
                    module: home,
                    prototype,
                    addresses,
                });
            }
        }
        found
    }

    fn each_function(&self, f: &mut dyn FnMut(&str, Option<&str>)) {
        if !functions::each_traceable(f) {
            self.types
                .each_function(None, &mut |module, name| f(name, module));
        }
    }

    fn functions_taking(&self, record: &str, pattern: &str, module: &str) -> Vec<Taker> {
        self.types.functions_taking(record, pattern, module)
    }

    fn functions_called_by(&self, name: &str) -> Result<Vec<Function>, Box<Diagnostic>> {
        let known = self.calls.borrow().get(name).cloned();
        let callees = match known {
            Some(callees) => callees,
            None => {
                let callees = calls::watch(name)?;
                let mut calls = self.calls.borrow_mut();
                calls.insert(name.to_owned(), callees.clone());
                callees
            }
        };
        let function = |(name, module): calls::Callee| {
            let home = module.as_deref().unwrap_or("vmlinux");
            let mut places = Kernel::functions(self, &name, Some(home));
            (places.len() == 1).then(|| places.pop()).flatten()
        };
        Ok(callees
            .into_iter()
            .filter(|(name, _)| !self.functions.is_blacklisted(name))
            .filter_map(function)
            .collect())
    }

    fn types_matching(&self, kind: TypeKind, pattern: &str) -> Vec<String> {
        self.types.types_matching(kind, pattern)
    }

    fn module_loaded(&self, name: &str) -> bool {
        name == "vmlinux"
            || modules::is_present(name)
            || self.types.modules().iter().any(|m| m == name)
    }

    fn tracepoint(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Option<Tracepoint>, Box<Diagnostic>> {
        // Who may not read tracefs can check a script nevertheless.
        tracepoints::read(category, event).or_else(|diag| {
            let told = record::tracepoint(self, category, event);
            told.map(Some).ok_or(diag)
        })
    }

    fn tracepoints_matching(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Vec<(String, String)>, Box<Diagnostic>> {
        tracepoints::matching(category, event)
    }

    fn raw_tracepoint(&self, event: &str) -> Option<RawTracepoint> {
        self.types.raw_tracepoint(event)
    }

    fn raw_tracepoints_matching(&self, pattern: &str) -> Vec<String> {
        self.types.raw_tracepoints_matching(pattern)
    }

    fn symbol(&self, name: &str) -> Vec<u64> {
        let mut symbols = self.symbols.borrow_mut();
        let places = symbols.places(name.as_bytes());
        places.iter().map(|place| place.address).collect()
    }

    fn percpu_symbol(&self, name: &str) -> Vec<u64> {
        self.symbols.borrow_mut().percpu(name.as_bytes())
    }

    fn variable(&self, name: &str) -> Option<KernelTypeId> {
        self.types.variable(name)
    }

    fn names(&self) -> &dyn Names {
        &self.databases
    }

    fn machine(&self) -> &dyn Machine {
        &self.machine
    }

    fn has(&self, feature: Feature) -> bool {
        match feature {
            Feature::Kprobes => Path::new(KPROBE_PMU).is_dir(),
            _ => has_by_btf(&self.types, self, feature),
        }
    }

    fn kfunc(&self, name: &str) -> Option<u32> {
        self.types.kfunc(name)
    }

    fn similar(&self, what: Similar, name: &str) -> Vec<String> {
        match what {
            Similar::Tracepoint => {
                let events = tracepoints::matching("*", "*").unwrap_or_default();
                similar::nearest(
                    name,
                    events
                        .iter()
                        .map(|(category, event)| format!("{category}:{event}")),
                )
            }
            Similar::Module => similar::nearest(name, modules::present()),
            _ => self.types.similar(what, name),
        }
    }
}

impl KernelFunctions for LiveKernel {
    fn btf_function(&self, symbol: &str, module: Option<&str>) -> Option<BtfFunction> {
        let id = self.types.function_ids(symbol, module).first().copied()?;
        Some(BtfFunction {
            id: id.id,
            module: self.types.module_name(id.module),
        })
    }

    fn module_loaded(&self, module: &str) -> bool {
        Kernel::module_loaded(self, module)
    }

    fn untraceable(&self, symbol: &str, module: Option<&str>) -> Option<String> {
        if self.functions.is_blacklisted(symbol) {
            return Some(
                "on the kernel's list of functions that kprobes must not touch".to_string(),
            );
        }
        let places = self.function_places(symbol, module);
        if places.is_empty() {
            let described = !self.types.function_ids(symbol, module).is_empty();
            let why = "described by BTF, but not among the kernel's symbols: inlined, or renamed by the compiler";
            return described.then(|| why.to_string());
        }
        if places.len() > 1 {
            let list: Vec<String> = places.iter().map(|p| format!("{:#x}", p.address)).collect();
            return Some(match places.iter().any(|p| p.address == 0) {
                true => format!("a name that {} functions share", places.len()),
                false => format!(
                    "a name that {} functions share, at {}",
                    places.len(),
                    list.join(", ")
                ),
            });
        }
        match self.functions.is_listed(symbol)? {
            true => None,
            false => Some("marked `notrace`, or too short to be traced".to_string()),
        }
    }

    fn similar(&self, symbol: &str) -> Vec<String> {
        Kernel::similar(self, Similar::Function, symbol)
    }

    fn traceable(&self, names: &HashSet<&str>) -> Option<Homes> {
        functions::homes(names)
    }
}

#[cfg(test)]
mod tests;
