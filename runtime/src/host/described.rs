//! A kernel that only files describe: `--btf FILE` and `--btf-module NAME=FILE`.
//!
//! In: BTF. Out: a [`Kernel`] for checking scripts against another machine. What BTF does not say (addresses, what can be traced,
//! the records of system call events) is unknown here, and said to be; nothing is asked of this machine.

use std::rc::Rc;

use nettrace_compiler::kernel::btf::BtfTypes;
use nettrace_compiler::kernel::{
    Feature, Function, Kernel, KernelType, KernelTypeId, RawTracepoint, Similar, Taker, Traceable,
    Tracepoint, TypeKind,
};
use nettrace_grammar::{Diagnostic, codes};

/// A kernel that files describe.
#[derive(Debug)]
pub struct DescribedKernel {
    types: BtfTypes,
}

impl DescribedKernel {
    pub(super) fn new(types: BtfTypes) -> DescribedKernel {
        DescribedKernel { types }
    }

    /// The types alone.
    pub fn types(&self) -> &BtfTypes {
        &self.types
    }
}

impl Kernel for DescribedKernel {
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
        self.types.functions(name, module)
    }

    fn traceable(&self, _name: &str, _module: Option<&str>) -> Traceable {
        // Nothing is known that speaks against it.
        Traceable::Yes
    }

    fn functions_matching(&self, pattern: &str, module: Option<&str>) -> Vec<Function> {
        self.types.functions_matching(pattern, module)
    }

    fn each_function(&self, f: &mut dyn FnMut(&str, Option<&str>)) {
        self.types
            .each_function(None, &mut |module, name| f(name, module));
    }

    fn functions_taking(&self, record: &str, pattern: &str, module: &str) -> Vec<Taker> {
        self.types.functions_taking(record, pattern, module)
    }

    fn types_matching(&self, kind: TypeKind, pattern: &str) -> Vec<String> {
        self.types.types_matching(kind, pattern)
    }

    fn module_loaded(&self, name: &str) -> bool {
        name == "vmlinux" || self.types.modules().iter().any(|m| m == name)
    }

    fn tracepoint(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Option<Tracepoint>, Box<Diagnostic>> {
        if let Some(found) = super::record::tracepoint(self, category, event) {
            return Ok(Some(found));
        }
        if category != "syscalls" && self.types.raw_tracepoint(event).is_none() {
            return Ok(None);
        }
        let message =
            format!("the fields of the tracepoint `{category}:{event}` are not in the BTF given");
        Err(Box::new(
            Diagnostic::host(codes::NO_TRACEFS, message)
                .note("the kernel tells them in tracefs; BTF has them only of events that share no class with others")
                .help("check this script on the machine it is for, or use the `rawtracepoint` of the same name"),
        ))
    }

    fn tracepoints_matching(
        &self,
        _category: &str,
        event: &str,
    ) -> Result<Vec<(String, String)>, Box<Diagnostic>> {
        let message = format!("which tracepoints match `{event}` cannot be told from BTF");
        Err(Box::new(
            Diagnostic::host(codes::NO_TRACEFS, message)
                .note("the kernel lists them in tracefs")
                .help("name one tracepoint, or use `rawtracepoint`, which BTF does list"),
        ))
    }

    fn raw_tracepoint(&self, event: &str) -> Option<RawTracepoint> {
        self.types.raw_tracepoint(event)
    }

    fn raw_tracepoints_matching(&self, pattern: &str) -> Vec<String> {
        self.types.raw_tracepoints_matching(pattern)
    }

    fn symbol(&self, _name: &str) -> Vec<u64> {
        Vec::new()
    }

    fn variable(&self, name: &str) -> Option<KernelTypeId> {
        self.types.variable(name)
    }

    fn has(&self, feature: Feature) -> bool {
        super::has_by_btf(&self.types, self, feature)
    }

    fn kfunc(&self, name: &str) -> Option<u32> {
        self.types.kfunc(name)
    }

    fn similar(&self, what: Similar, name: &str) -> Vec<String> {
        self.types.similar(what, name)
    }
}
