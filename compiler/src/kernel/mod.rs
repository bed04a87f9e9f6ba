//! What the compiler asks about the kernel it compiles for.
//!
//! The compiler defines the questions; the runtime answers them from `/sys` and `/proc`, tests answer them from checked-in files.
//! Answers are plain data. Nothing is looked up that a script does not use, so every method may be lazy, and each is asked with
//! names, never for "everything", except where a wildcard or a suggestion for a misspelt name needs it.

pub mod btf;
pub mod fixture;
pub mod glob;
pub mod machine;
pub mod similar;
pub mod tracepoint;

use std::collections::HashSet;
use std::rc::Rc;

use crate::pcap::{BuiltIn, Names};
use crate::probes::{HOOK_PACKET, HOOK_STATE, PACKET};
use machine::{Machine, NoMachine};
use nettrace_grammar::{Diagnostic, codes};

/// A type of the kernel: an id inside one BTF section. Ids of vmlinux have `module` 0; a split BTF section has ids of
/// vmlinux too, which are given as such.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct KernelTypeId {
    /// 0 for vmlinux, else an index that [`Kernel::module_name`] knows.
    pub module: u16,
    /// BTF type id; 0 is `void`.
    pub id: u32,
}

impl KernelTypeId {
    /// `void`.
    pub const VOID: KernelTypeId = KernelTypeId { module: 0, id: 0 };
}

/// The shape of a kernel type. `const`, `volatile`, `restrict` and attributes are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelType {
    /// `void`
    Void,
    /// An integer; `char` is one.
    Int {
        /// As in C: `unsigned int`.
        name: String,
        /// 1 to 16.
        bytes: u32,
        /// Sign.
        signed: bool,
        /// `_Bool`
        boolean: bool,
    },
    /// `float`, `double`
    Float {
        /// As in C.
        name: String,
        /// Width.
        bytes: u32,
    },
    /// A pointer.
    Pointer {
        /// What it points to.
        to: KernelTypeId,
        /// Carries the `user` type tag (`__user`).
        user: bool,
        /// Carries the `percpu` type tag.
        percpu: bool,
    },
    /// An array; `len` 0 is a flexible one.
    Array {
        /// What it holds.
        elem: KernelTypeId,
        /// How many.
        len: u32,
    },
    /// `struct` or `union`.
    Record(Rc<Record>),
    /// `enum`
    Enum(Rc<Enum>),
    /// Declared, defined nowhere in this BTF.
    Forward {
        /// Its name.
        name: String,
        /// A union.
        union: bool,
    },
    /// `typedef`; followed with [`Kernel::ty`] of `to`.
    Typedef {
        /// Its name.
        name: String,
        /// What it stands for.
        to: KernelTypeId,
    },
    /// A function's type (behind a pointer).
    Function(Rc<Prototype>),
}

/// A struct or union.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Empty when it has none.
    pub name: String,
    /// `union`
    pub union: bool,
    /// Bytes.
    pub size: u32,
    /// In order.
    pub members: Vec<Member>,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Empty for an unnamed struct or union, whose members belong to the outer one.
    pub name: String,
    /// Its type.
    pub ty: KernelTypeId,
    /// Bits from the start of the record.
    pub bit_offset: u32,
    /// Width of a bit-field; `None` for an ordinary member.
    pub bit_width: Option<u32>,
}

/// An enumeration.
#[derive(Clone, Debug, PartialEq)]
pub struct Enum {
    /// Empty when it has none.
    pub name: String,
    /// 1, 2, 4 or 8.
    pub bytes: u32,
    /// Sign.
    pub signed: bool,
    /// Name and value; values above `i64::MAX` wrap.
    pub values: Vec<(String, i64)>,
}

/// Parameters and result of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototype {
    /// In order; names are empty for function pointers.
    pub params: Vec<(String, KernelTypeId)>,
    /// `void` when there is none.
    pub result: KernelTypeId,
    /// Ends in `...`.
    pub variadic: bool,
}

/// What a type name can name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // As in C.
pub enum TypeKind {
    Struct,
    Union,
    Enum,
    Typedef,
    /// A base type: `long unsigned int`.
    Int,
}

/// A kernel function as a script names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The module it is in; `None` is vmlinux.
    pub module: Option<String>,
    /// From BTF; absent when BTF does not have the function (then its arguments have no names).
    pub prototype: Option<Rc<Prototype>>,
    /// How many addresses carry this name, as far as known (0: not asked).
    pub addresses: u32,
}

/// A function that takes a pointer to a certain struct in a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Its name.
    pub name: String,
    /// The module it is in; `None` is vmlinux.
    pub module: Option<String>,
    /// The argument register of the first such parameter, from 0 to 5.
    pub register: u8,
    /// The function in BTF; [`Kernel::ty`] gives its prototype.
    pub id: KernelTypeId,
}

/// Whether probes can be placed on a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Traceable {
    /// The kernel lists it, or nothing speaks against it.
    Yes,
    /// It cannot; why, as a half sentence (`marked notrace`, `inlined everywhere`).
    No(String),
}

/// A field of a tracepoint's record (the event's `format` file in tracefs).
#[derive(Clone, Debug, PartialEq)]
pub struct TracepointField {
    /// Its name.
    pub name: String,
    /// The C type as the format file writes it: `const void *`, `__data_loc char[]`, `__u8[4]`.
    pub c_type: String,
    /// Bytes from the start of the context.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Sign of an integer.
    pub signed: bool,
}

/// A tracepoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracepoint {
    /// `net`
    pub category: String,
    /// `netif_rx`
    pub event: String,
    /// Without the `common_*` fields.
    pub fields: Vec<TracepointField>,
}

/// A raw tracepoint.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTracepoint {
    /// `netif_rx`
    pub event: String,
    /// The module that defines it; `None` is vmlinux.
    pub module: Option<String>,
    /// From BTF (`btf_trace_NAME`), without the leading `void *`.
    pub prototype: Option<Rc<Prototype>>,
}

/// Abilities that differ between kernels and change the code that comes out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Feature {
    /// `bpf_rdonly_cast` (6.2).
    RdonlyCast,
    /// Cookies of raw tracepoint links (6.10).
    RawTracepointCookie,
    /// Cookies of fentry and fexit links (5.19).
    TracingCookie,
    /// kprobe-multi links (5.18 with CONFIG_FPROBE).
    KprobeMulti,
    /// Kprobes at all (CONFIG_KPROBES).
    Kprobes,
}

/// The answers. Implementations cache; all methods take `&self`.
pub trait Kernel {
    /// The type of this kind and name: vmlinux first, then loaded modules.
    fn find_type(&self, kind: TypeKind, name: &str) -> Option<KernelTypeId>;

    /// The type with this id.
    fn ty(&self, id: KernelTypeId) -> Rc<KernelType>;

    /// The name of a module that a [`KernelTypeId`] refers to; `None` for vmlinux.
    fn module_name(&self, module: u16) -> Option<String>;

    /// The enumerator of this name in any enum, with its enum.
    fn enumerator(&self, name: &str) -> Option<(i64, KernelTypeId)>;

    /// Functions of this name; more than one when modules share it. `module` restricts the search; `vmlinux` is the kernel itself.
    fn functions(&self, name: &str, module: Option<&str>) -> Vec<Function>;

    /// Whether probes can be placed on the function.
    fn traceable(&self, name: &str, module: Option<&str>) -> Traceable;

    /// Traceable functions whose name matches a pattern with `*` and `?`, in name order.
    fn functions_matching(&self, pattern: &str, module: Option<&str>) -> Vec<Function>;

    /// Functions that take a pointer to this struct in a register, whose name and module (`vmlinux` for the kernel itself) match
    /// two patterns, by name. Those that BTF describes; whether they can be traced is not asked.
    fn functions_taking(&self, _record: &str, _pattern: &str, _module: &str) -> Vec<Taker> {
        Vec::new()
    }

    /// Functions with the prototype of a netfilter hook, `f(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)`, whose
    /// name and module match two patterns, by name. Whether they are registered, or can be traced, is not asked.
    fn hook_functions(&self, pattern: &str, module: &str) -> Vec<Taker> {
        let packets: HashSet<KernelTypeId> = self
            .functions_taking(PACKET, pattern, module)
            .into_iter()
            .filter(|taker| taker.register == HOOK_PACKET)
            .map(|taker| taker.id)
            .collect();
        let mut found = self.functions_taking(HOOK_STATE, pattern, module);
        found.retain(|taker| taker.register == HOOK_PACKET + 1 && packets.contains(&taker.id));
        found
    }

    /// Functions that run below a function, found by watching a live call of it: waits for one.
    ///
    /// # Errors
    /// Why no call can be watched: nothing runs on a kernel that is only described.
    fn functions_called_by(&self, name: &str) -> Result<Vec<Function>, Box<Diagnostic>> {
        Err(Box::new(
            Diagnostic::host(
                codes::NO_FEATURE,
                format!("what `{name}` calls is only known on a running kernel"),
            )
            .help("name the functions by a pattern, or leave out --btf"),
        ))
    }

    /// Calls back with name and module of every traceable function, in no particular order, one at a time: for listings.
    fn each_function(&self, f: &mut dyn FnMut(&str, Option<&str>)) {
        for function in self.functions_matching("*", None) {
            f(&function.name, function.module.as_deref());
        }
    }

    /// Names of types that match a pattern, in name order: for listings.
    fn types_matching(&self, kind: TypeKind, pattern: &str) -> Vec<String> {
        let exact = self.find_type(kind, pattern);
        exact.map(|_| pattern.to_string()).into_iter().collect()
    }

    /// Whether this module is loaded (`vmlinux` always is).
    fn module_loaded(&self, name: &str) -> bool;

    /// The tracepoint, or why there is none: `Ok(None)` when tracefs does not have it, `Err` when tracefs cannot be read.
    fn tracepoint(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Option<Tracepoint>, Box<Diagnostic>>;

    /// `(category, event)` of tracepoints that match two patterns, in name order.
    fn tracepoints_matching(
        &self,
        category: &str,
        event: &str,
    ) -> Result<Vec<(String, String)>, Box<Diagnostic>>;

    /// The raw tracepoint of this name.
    fn raw_tracepoint(&self, event: &str) -> Option<RawTracepoint>;

    /// Names of raw tracepoints that match a pattern, in name order.
    fn raw_tracepoints_matching(&self, pattern: &str) -> Vec<String>;

    /// Addresses of a kernel symbol.
    fn symbol(&self, name: &str) -> Vec<u64>;

    /// Places of the per-CPU variable of this name: what a CPU's entry of `__per_cpu_offset` is added to. Small numbers before 6.15,
    /// addresses since.
    fn percpu_symbol(&self, _name: &str) -> Vec<u64> {
        Vec::new()
    }

    /// The type of a variable of the kernel or a module. BTF has those that exist per CPU.
    fn variable(&self, _name: &str) -> Option<KernelTypeId> {
        None
    }

    /// Whether the kernel can do this.
    fn has(&self, feature: Feature) -> bool;

    /// The BTF id in vmlinux of a kernel function that programs may call (a kfunc).
    fn kfunc(&self, name: &str) -> Option<u32>;

    /// What packet filters ask about names; without a machine, what is the same on all of them.
    fn names(&self) -> &dyn Names {
        &BuiltIn
    }

    /// What there is on the machine beside the kernel; nothing is known without a machine.
    fn machine(&self) -> &dyn Machine {
        &NoMachine
    }

    /// Names that resemble a misspelt one, best first, at most five: for error messages only.
    fn similar(&self, what: Similar, name: &str) -> Vec<String>;
}

/// Among which names to search for a resembling one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Similar {
    Function,
    Tracepoint,
    RawTracepoint,
    Type(TypeKind),
    Module,
}
