//! The kernel's types and functions as BTF describes them: vmlinux and any number of modules.
//!
//! In: the bytes of vmlinux's section, and a [`ModuleSource`] that gives a module's bytes when they are asked for. Out: the part
//! of [`super::Kernel`] that BTF can answer. Modules are opened only when vmlinux does not have a name, and decoded only when
//! their strings and types say that they do. Nothing here knows addresses, tracefs, or what can be traced.
//!
//! Two things differ from the bytes: qualifiers and tags are removed from every type that is handed out, and a module's copy of
//! a type that vmlinux has too is given as vmlinux's (`struct nf_conn` is in both on 7.2), so that one type has one id.

pub mod raw;
mod section;
mod takers;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use super::{
    Enum, Function, KernelType, KernelTypeId, Member, Prototype, RawTracepoint, Record, Similar,
    TypeKind, glob, similar,
};
use raw::{RawSection, kind};
use section::Shape;

pub use raw::Bytes;
pub use section::Section;

/// Longest chain of qualifiers, tags and typedefs that is followed; a longer one is a loop in broken BTF.
pub(crate) const MAX_CHAIN: usize = 64;
/// Modules' bytes that are kept although nothing of them was needed, so that the next name need not read them again.
const KEEP_BYTES: usize = 16 << 20;
/// The prefix of the typedef that BTF has for every trace event.
const TRACE_PREFIX: &str = "btf_trace_";

/// What is wrong with a BTF section, as a sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfError(pub String);

impl fmt::Display for BtfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BtfError {}

impl From<btf_rs::Error> for BtfError {
    fn from(error: btf_rs::Error) -> BtfError {
        BtfError(error.to_string())
    }
}

/// Gives the BTF of modules.
pub trait ModuleSource {
    /// Names of the modules that have BTF.
    fn names(&self) -> Vec<String>;
    /// The bytes of one; `None` when they cannot be had.
    fn read(&self, name: &str) -> Option<Vec<u8>>;
}

/// No modules: all is built in.
#[derive(Debug)]
pub struct NoModules;

impl ModuleSource for NoModules {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn read(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }
}

/// What is known of a module's section.
enum Slot {
    Unopened,
    /// Walked; what has which name is known.
    Walked(Rc<RawSection>),
    /// Types can be decoded.
    Decoded(Rc<Section>),
    /// Missing or broken: as if the module had no BTF.
    Broken,
}

/// All BTF of a kernel.
pub struct BtfTypes {
    vmlinux: Section,
    source: Box<dyn ModuleSource>,
    /// Sorted, so that ids do not depend on the order of loading; behind them those that were loaded later.
    modules: Vec<String>,
    slots: RefCell<Vec<Slot>>,
    kept: Cell<usize>,
    types: RefCell<HashMap<KernelTypeId, Rc<KernelType>>>,
    found: RefCell<HashMap<(TypeKind, String), Option<KernelTypeId>>>,
}

impl BtfTypes {
    /// Takes vmlinux's section; asks the source for nothing but names.
    pub fn new(vmlinux: Section, source: Box<dyn ModuleSource>) -> BtfTypes {
        BtfTypes::after(vmlinux, source, Vec::new())
    }

    /// The same for a kernel whose modules were `known` in this order before: ids of their types stay what they were.
    pub fn after(vmlinux: Section, source: Box<dyn ModuleSource>, known: Vec<String>) -> BtfTypes {
        let mut new = source.names();
        new.retain(|name| !known.contains(name));
        new.sort();
        new.dedup();
        let mut modules = known;
        modules.extend(new);
        // Indices are u16 and 0 is vmlinux.
        modules.truncate(usize::from(u16::MAX) - 1);
        let slots = modules.iter().map(|_| Slot::Unopened).collect();
        BtfTypes {
            vmlinux,
            source,
            modules,
            slots: RefCell::new(slots),
            kept: Cell::new(0),
            types: RefCell::default(),
            found: RefCell::default(),
        }
    }

    /// The type of this kind and name: vmlinux first, then modules in the order of their names.
    pub fn find_type(&self, kind: TypeKind, name: &str) -> Option<KernelTypeId> {
        if let Some(found) = self.found.borrow().get(&(kind, name.to_string())) {
            return *found;
        }
        let kinds: &[u8] = match kind {
            TypeKind::Struct => &[kind::STRUCT],
            TypeKind::Union => &[kind::UNION],
            TypeKind::Enum => &[kind::ENUM, kind::ENUM64],
            TypeKind::Typedef => &[kind::TYPEDEF],
            TypeKind::Int => &[kind::INT],
        };
        let found = self.first(kinds, name);
        self.found
            .borrow_mut()
            .insert((kind, name.to_string()), found);
        found
    }

    /// The type with this id; an id that leads nowhere is `void`.
    pub fn ty(&self, id: KernelTypeId) -> Rc<KernelType> {
        if let Some(known) = self.types.borrow().get(&id) {
            return known.clone();
        }
        let real = self.canonical(id);
        let ty = Rc::new(self.decode(real));
        self.types.borrow_mut().insert(id, ty.clone());
        ty
    }

    /// The id that stands for a type wherever it is mentioned: without qualifiers and tags, vmlinux's copy if it has one.
    pub fn canonical(&self, id: KernelTypeId) -> KernelTypeId {
        let stripped = self.strip(id).0;
        self.vmlinux_copy(stripped).unwrap_or(stripped)
    }

    /// The name of a module that an id refers to; `None` for vmlinux.
    pub fn module_name(&self, module: u16) -> Option<String> {
        let index = usize::from(module).checked_sub(1)?;
        self.modules.get(index).cloned()
    }

    /// Modules that have BTF, in the order of their indices in ids.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// The enumerator of this name in any enum, with its enum.
    pub fn enumerator(&self, name: &str) -> Option<(i64, KernelTypeId)> {
        let base = self.vmlinux.raw.string_offsets(name);
        self.sections().find_map(|module| {
            let raw = self.raw(module)?;
            let (id, index) = raw.enumerator(&self.offsets(&raw, module, name, &base))?;
            let id = KernelTypeId { module, id };
            match self.decode(id) {
                KernelType::Enum(list) => list.values.get(index).map(|(_, value)| (*value, id)),
                _ => None,
            }
        })
    }

    /// Functions of this name with their prototypes. `module` restricts the search; `vmlinux` is the kernel itself.
    pub fn functions(&self, name: &str, module: Option<&str>) -> Vec<Function> {
        self.function_ids(name, module)
            .into_iter()
            .map(|id| self.function(name, id))
            .collect()
    }

    /// Ids of the functions of this name, one per section that has it. In a kernel, programs attach to these ids.
    pub fn function_ids(&self, name: &str, module: Option<&str>) -> Vec<KernelTypeId> {
        self.restricted(module)
            .filter_map(|index| self.find_in(index, &[kind::FUNC], name))
            .collect()
    }

    /// Calls back with module and name of every function, in the order of the sections.
    pub fn each_function(&self, module: Option<&str>, f: &mut dyn FnMut(Option<&str>, &str)) {
        self.each_named(module, kind::FUNC, f);
    }

    /// Functions whose name matches a pattern, in name order.
    pub fn functions_matching(&self, pattern: &str, module: Option<&str>) -> Vec<Function> {
        let mut found: BTreeMap<(String, u16), u32> = BTreeMap::new();
        for index in self.restricted(module) {
            let Some(raw) = self.raw(index) else { continue };
            for (id, offset) in raw.named(kind::FUNC) {
                let name = self.string(&raw, offset);
                if let Some(name) = name.filter(|n| glob::matches(pattern, n)) {
                    found.entry((name.to_string(), index)).or_insert(id);
                }
            }
        }
        found
            .into_iter()
            .map(|((name, module), id)| self.function(&name, KernelTypeId { module, id }))
            .collect()
    }

    /// The trace event of this name with its arguments.
    pub fn raw_tracepoint(&self, event: &str) -> Option<RawTracepoint> {
        let typedef = self.first(&[kind::TYPEDEF], &format!("{TRACE_PREFIX}{event}"))?;
        // The typedef's prototype has no parameter names; those of the event's own functions have.
        let named = ["__traceiter_", "__probestub_"].iter().find_map(|prefix| {
            let id = self.find_in(typedef.module, &[kind::FUNC], &format!("{prefix}{event}"))?;
            self.prototype(id)
        });
        let prototype = named.or_else(|| match &*self.ty(self.follow(typedef)) {
            KernelType::Pointer { to, .. } => self.prototype(*to),
            _ => None,
        });
        Some(RawTracepoint {
            event: event.to_string(),
            module: self.module_name(typedef.module),
            prototype: prototype.map(|p| {
                Rc::new(Prototype {
                    params: p.params.iter().skip(1).cloned().collect(),
                    ..(*p).clone()
                })
            }),
        })
    }

    /// Names of trace events that match a pattern, in name order.
    pub fn raw_tracepoints_matching(&self, pattern: &str) -> Vec<String> {
        let mut names = Vec::new();
        self.each_named(None, kind::TYPEDEF, &mut |_, name| {
            if let Some(event) = name.strip_prefix(TRACE_PREFIX)
                && glob::matches(pattern, event)
            {
                names.push(event.to_string());
            }
        });
        names.sort();
        names.dedup();
        names
    }

    /// The id in vmlinux of a kernel function that programs may call.
    pub fn kfunc(&self, name: &str) -> Option<u32> {
        self.find_in(0, &[kind::FUNC], name).map(|id| id.id)
    }

    /// The type of the variable of this name: vmlinux first, then modules in the order of their names.
    pub fn variable(&self, name: &str) -> Option<KernelTypeId> {
        let id = self.first(&[kind::VAR], name)?;
        match self.shape(id)? {
            Shape::Variable(ty) => Some(self.mentioned(id.module, ty)),
            _ => None,
        }
    }

    /// Names that resemble a misspelt one; functions, raw tracepoints, types and modules only.
    pub fn similar(&self, what: Similar, name: &str) -> Vec<String> {
        let kinds: &[u8] = match what {
            Similar::Function => &[kind::FUNC],
            Similar::RawTracepoint => {
                return similar::nearest(name, self.raw_tracepoints_matching("*"));
            }
            Similar::Module => return similar::nearest(name, &self.modules),
            Similar::Tracepoint => return Vec::new(),
            Similar::Type(TypeKind::Struct) => &[kind::STRUCT],
            Similar::Type(TypeKind::Union) => &[kind::UNION],
            Similar::Type(TypeKind::Enum) => &[kind::ENUM, kind::ENUM64],
            Similar::Type(TypeKind::Typedef) => &[kind::TYPEDEF],
            Similar::Type(TypeKind::Int) => &[kind::INT],
        };
        let mut names = Vec::new();
        for &wanted in kinds {
            self.each_named(None, wanted, &mut |_, name| names.push(name.to_string()));
        }
        similar::nearest(name, names)
    }

    /// Names of types of a kind that match a pattern, in name order.
    pub fn types_matching(&self, kind: TypeKind, pattern: &str) -> Vec<String> {
        let kinds: &[u8] = match kind {
            TypeKind::Struct => &[kind::STRUCT],
            TypeKind::Union => &[kind::UNION],
            TypeKind::Enum => &[kind::ENUM, kind::ENUM64],
            TypeKind::Typedef => &[kind::TYPEDEF],
            TypeKind::Int => &[kind::INT],
        };
        let mut names = Vec::new();
        for &wanted in kinds {
            self.each_named(None, wanted, &mut |_, name| {
                if glob::matches(pattern, name) {
                    names.push(name.to_string());
                }
            });
        }
        names.sort();
        names.dedup();
        names
    }

    // Sections.

    /// Indices of all sections.
    fn sections(&self) -> impl Iterator<Item = u16> + use<> {
        0..=self.modules.len() as u16
    }

    /// Indices of the sections that a module restriction leaves.
    fn restricted(&self, module: Option<&str>) -> impl Iterator<Item = u16> {
        self.sections().filter(move |&index| match module {
            None => true,
            Some("vmlinux") => index == 0,
            Some(name) => usize::from(index)
                .checked_sub(1)
                .and_then(|i| self.modules.get(i))
                .is_some_and(|m| m == name),
        })
    }

    /// A section's bytes with their name index; reads a module that has not been read.
    fn raw(&self, module: u16) -> Option<Rc<RawSection>> {
        let Some(index) = usize::from(module).checked_sub(1) else {
            return Some(self.vmlinux.raw.clone());
        };
        match self.slots.borrow().get(index)? {
            Slot::Walked(raw) => return Some(raw.clone()),
            Slot::Decoded(section) => return Some(section.raw.clone()),
            Slot::Broken => return None,
            Slot::Unopened => {}
        }
        let base = self.vmlinux.raw.base();
        let bytes = self.modules.get(index).and_then(|m| self.source.read(m));
        let size = bytes.as_ref().map_or(0, Vec::len);
        let raw = bytes.and_then(|bytes| RawSection::parse(Rc::new(bytes), base).ok());
        let Some(raw) = raw.map(Rc::new) else {
            self.set(index, Slot::Broken);
            return None;
        };
        if self.kept.get() + size <= KEEP_BYTES {
            self.kept.set(self.kept.get() + size);
            self.set(index, Slot::Walked(raw.clone()));
        }
        Some(raw)
    }

    /// A module's section, ready to decode.
    fn module(&self, module: u16) -> Option<Rc<Section>> {
        let index = usize::from(module).checked_sub(1)?;
        if let Slot::Decoded(section) = self.slots.borrow().get(index)? {
            return Some(section.clone());
        }
        let section = Section::split(self.raw(module)?, &self.vmlinux).map(Rc::new);
        match section {
            Ok(section) => {
                self.set(index, Slot::Decoded(section.clone()));
                Some(section)
            }
            Err(_) => {
                self.set(index, Slot::Broken);
                None
            }
        }
    }

    fn set(&self, index: usize, slot: Slot) {
        if let Some(place) = self.slots.borrow_mut().get_mut(index) {
            *place = slot;
        }
    }

    // Names.

    /// The string at an offset as a section's types count.
    fn string<'a>(&'a self, raw: &'a RawSection, offset: u32) -> Option<&'a str> {
        if offset < raw.first_string() {
            self.vmlinux.raw.string(offset)
        } else {
            raw.string(offset)
        }
    }

    /// Offsets under which a section's types can have a name: `base` are those in vmlinux's strings.
    fn offsets(&self, raw: &RawSection, module: u16, name: &str, base: &[u32]) -> Vec<u32> {
        let mut offsets = base.to_vec();
        if module != 0 {
            offsets.extend(raw.string_offsets(name));
        }
        offsets
    }

    /// The first type of these kinds and this name in one section.
    fn find_in(&self, module: u16, kinds: &[u8], name: &str) -> Option<KernelTypeId> {
        let base = self.vmlinux.raw.string_offsets(name);
        self.find_with(module, kinds, name, &base)
    }

    /// The same in all sections.
    fn first(&self, kinds: &[u8], name: &str) -> Option<KernelTypeId> {
        let base = self.vmlinux.raw.string_offsets(name);
        self.sections()
            .find_map(|module| self.find_with(module, kinds, name, &base))
    }

    fn find_with(
        &self,
        module: u16,
        kinds: &[u8],
        name: &str,
        base: &[u32],
    ) -> Option<KernelTypeId> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        let raw = self.raw(module)?;
        let offsets = self.offsets(&raw, module, name, base);
        let id = raw.ids(kinds, &offsets).first().copied()?;
        Some(KernelTypeId { module, id })
    }

    /// Calls back with module and name of every named type of a kind.
    fn each_named(&self, module: Option<&str>, wanted: u8, f: &mut dyn FnMut(Option<&str>, &str)) {
        for index in self.restricted(module) {
            let Some(raw) = self.raw(index) else { continue };
            let module = self.module_name(index);
            for (_, offset) in raw.named(wanted) {
                if let Some(name) = self.string(&raw, offset) {
                    f(module.as_deref(), name);
                }
            }
        }
    }

    // Types.

    /// An id as a section's type mentions it.
    fn mentioned(&self, module: u16, id: u32) -> KernelTypeId {
        let own = id >= self.vmlinux.raw.base().types;
        KernelTypeId {
            module: if own { module } else { 0 },
            id,
        }
    }

    fn shape(&self, id: KernelTypeId) -> Option<Shape> {
        match id.module {
            0 => self.vmlinux.shape(id.id),
            module => self.module(module)?.shape(id.id),
        }
    }

    fn kind(&self, id: KernelTypeId) -> Option<(u8, u32)> {
        self.raw(id.module)?.header(id.id)
    }

    /// Removes qualifiers and tags; says which address space tags were among them: user, per-CPU.
    fn strip(&self, id: KernelTypeId) -> (KernelTypeId, bool, bool) {
        let (mut at, mut user, mut percpu) = (id, false, false);
        for _ in 0..MAX_CHAIN {
            match self.kind(at) {
                Some((kind::CONST | kind::VOLATILE | kind::RESTRICT | kind::TYPE_TAG, _)) => {}
                _ => return (at, user, percpu),
            }
            at = match self.shape(at) {
                Some(Shape::Qualifier(to)) => self.mentioned(at.module, to),
                Some(Shape::Tag(name, attribute, to)) => {
                    user |= !attribute && name == "user";
                    percpu |= !attribute && name == "percpu";
                    self.mentioned(at.module, to)
                }
                _ => return (at, user, percpu),
            };
        }
        (KernelTypeId::VOID, user, percpu)
    }

    /// vmlinux's copy of a module's type.
    fn vmlinux_copy(&self, id: KernelTypeId) -> Option<KernelTypeId> {
        if id.module == 0 {
            return None;
        }
        let (kind, name) = self.kind(id)?;
        // Strings that vmlinux has are not repeated in a module: a name of the module's own strings is of no type of vmlinux.
        if name == 0 || name >= self.vmlinux.raw.base().strings {
            return None;
        }
        let shape = self.shape(id)?;
        let (kinds, size): (&[u8], _) = match &shape {
            Shape::Record {
                union: false, size, ..
            } => (&[kind::STRUCT], Some(*size)),
            Shape::Record {
                union: true, size, ..
            } => (&[kind::UNION], Some(*size)),
            Shape::Enum { bytes, .. } => (std::slice::from_ref(&kind), Some(*bytes)),
            Shape::Forward { union: false, .. } => (&[kind::STRUCT], None),
            Shape::Forward { union: true, .. } => (&[kind::UNION], None),
            _ => return None,
        };
        let same_size = |candidate: u32| match self.vmlinux.shape(candidate) {
            Some(Shape::Record { size: other, .. }) => size.is_none_or(|s| s == other),
            Some(Shape::Enum { bytes: other, .. }) => size.is_none_or(|s| s == other),
            _ => false,
        };
        let ids = self.vmlinux.raw.ids(kinds, &[name]);
        let id = ids.into_iter().find(|&candidate| same_size(candidate))?;
        Some(KernelTypeId { module: 0, id })
    }

    /// Follows typedefs.
    fn follow(&self, id: KernelTypeId) -> KernelTypeId {
        let mut at = self.canonical(id);
        for _ in 0..MAX_CHAIN {
            match &*self.ty(at) {
                KernelType::Typedef { to, .. } => at = *to,
                _ => break,
            }
        }
        at
    }

    fn decode(&self, id: KernelTypeId) -> KernelType {
        let Some(shape) = self.shape(id) else {
            return KernelType::Void;
        };
        let target = |to: u32| self.canonical(self.mentioned(id.module, to));
        match shape {
            Shape::Int {
                name,
                bytes,
                signed,
                boolean,
            } => KernelType::Int {
                name,
                bytes,
                signed,
                boolean,
            },
            Shape::Float { name, bytes } => KernelType::Float { name, bytes },
            Shape::Pointer(to) => {
                let (_, user, percpu) = self.strip(self.mentioned(id.module, to));
                KernelType::Pointer {
                    to: target(to),
                    user,
                    percpu,
                }
            }
            Shape::Array(elem, len) => KernelType::Array {
                elem: target(elem),
                len,
            },
            Shape::Record {
                name,
                union,
                size,
                members,
            } => KernelType::Record(Rc::new(Record {
                name,
                union,
                size,
                members: members
                    .into_iter()
                    .map(|(name, ty, bit_offset, bit_width)| Member {
                        name,
                        ty: target(ty),
                        bit_offset,
                        bit_width,
                    })
                    .collect(),
            })),
            Shape::Enum {
                name,
                bytes,
                signed,
                values,
            } => KernelType::Enum(Rc::new(Enum {
                name,
                bytes,
                signed,
                values,
            })),
            Shape::Forward { name, union } => KernelType::Forward { name, union },
            Shape::Typedef(name, to) => KernelType::Typedef {
                name,
                to: target(to),
            },
            Shape::Function(to) => match self.prototype(self.mentioned(id.module, to)) {
                Some(prototype) => KernelType::Function(prototype),
                None => KernelType::Void,
            },
            Shape::Prototype {
                params,
                result,
                variadic,
            } => KernelType::Function(Rc::new(Prototype {
                params: params
                    .into_iter()
                    .map(|(name, ty)| (name, target(ty)))
                    .collect(),
                result: target(result),
                variadic,
            })),
            Shape::Void
            | Shape::Qualifier(_)
            | Shape::Tag(..)
            | Shape::Variable(_)
            | Shape::Other => KernelType::Void,
        }
    }

    /// The prototype behind the id of a function or of a function's type.
    fn prototype(&self, id: KernelTypeId) -> Option<Rc<Prototype>> {
        let id = match self.shape(id)? {
            Shape::Function(to) => self.mentioned(id.module, to),
            _ => id,
        };
        if self.kind(id)?.0 != kind::FUNC_PROTO {
            return None;
        }
        match &*self.ty(id) {
            KernelType::Function(prototype) => Some(prototype.clone()),
            _ => None,
        }
    }

    fn function(&self, name: &str, id: KernelTypeId) -> Function {
        Function {
            name: name.to_string(),
            module: self.module_name(id.module),
            prototype: self.prototype(id),
            addresses: 0,
        }
    }
}

impl fmt::Debug for BtfTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BtfTypes")
            .field("types", &self.vmlinux.raw.base().types)
            .field("modules", &self.modules)
            .finish_non_exhaustive()
    }
}
