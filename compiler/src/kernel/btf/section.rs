//! A BTF section with both of its readers: the name index over the raw bytes, and btf-rs, which decodes types.
//!
//! In: bytes. Out: [`KernelType`]s whose ids still count within the section. Which section an id belongs to and which of several
//! copies of a type is the right one is decided by [`super::BtfTypes`].

use std::rc::Rc;

use btf_rs::{Btf, BtfType, Type};

use super::BtfError;
use super::raw::{Base, Bytes, RawSection};

/// A section that has been checked and can be decoded.
pub struct Section {
    pub(crate) raw: Rc<RawSection>,
    btf: Btf,
}

/// A type as btf-rs decodes it, with names resolved and ids as they stand in the section.
pub(crate) enum Shape {
    Void,
    Int {
        name: String,
        bytes: u32,
        signed: bool,
        boolean: bool,
    },
    Float {
        name: String,
        bytes: u32,
    },
    Pointer(u32),
    Array(u32, u32),
    Record {
        name: String,
        union: bool,
        size: u32,
        /// Name, type, bit offset, bit-field width.
        members: Vec<(String, u32, u32, Option<u32>)>,
    },
    Enum {
        name: String,
        bytes: u32,
        signed: bool,
        values: Vec<(String, i64)>,
    },
    Forward {
        name: String,
        union: bool,
    },
    Typedef(String, u32),
    /// `const`, `volatile`, `restrict`.
    Qualifier(u32),
    /// A type tag or attribute; the flag tells them apart (an attribute is `true`).
    Tag(String, bool, u32),
    /// A named function and its prototype.
    /// A named function's prototype.
    Function(u32),
    Prototype {
        params: Vec<(String, u32)>,
        result: u32,
        variadic: bool,
    },
    /// A variable's type.
    Variable(u32),
    /// A section or declaration tag: not the type of anything.
    Other,
}

impl Section {
    /// The kernel's own section. `bytes` are checked first; then `decode` is asked for the same bytes read by btf-rs, which lets
    /// the caller choose its backend (a mapped file costs 3 ms for a vmlinux, a copy in memory 200 ms).
    pub fn vmlinux(
        bytes: Bytes,
        decode: impl FnOnce(&[u8]) -> btf_rs::Result<Btf>,
    ) -> Result<Section, BtfError> {
        let raw = Rc::new(RawSection::parse(bytes, Base::default())?);
        let btf = decode((**raw.bytes()).as_ref()).map_err(BtfError::from)?;
        Ok(Section { raw, btf })
    }

    /// A section from bytes in memory; for small ones.
    pub fn from_bytes(bytes: Bytes) -> Result<Section, BtfError> {
        Section::vmlinux(bytes, Btf::from_bytes)
    }

    /// A module's section, already walked.
    pub(crate) fn split(raw: Rc<RawSection>, base: &Section) -> Result<Section, BtfError> {
        let btf =
            Btf::from_split_bytes((**raw.bytes()).as_ref(), &base.btf).map_err(BtfError::from)?;
        Ok(Section { raw, btf })
    }

    /// The type with this id; ids of the base are fine. `None` when there is no such type or a name is broken.
    pub(crate) fn shape(&self, id: u32) -> Option<Shape> {
        let ty = self.btf.resolve_type_by_id(id).ok()?;
        Some(match &ty {
            Type::Void => Shape::Void,
            Type::Int(int) => Shape::Int {
                name: self.name(int),
                bytes: int.size() as u32,
                signed: int.is_signed(),
                boolean: int.is_bool(),
            },
            Type::Float(float) => Shape::Float {
                name: self.name(float),
                bytes: float.size() as u32,
            },
            Type::Ptr(ptr) => Shape::Pointer(ptr.get_type_id()?),
            Type::Array(array) => Shape::Array(
                array.get_type_id()?,
                u32::try_from(array.len()).unwrap_or(u32::MAX),
            ),
            Type::Struct(record) => self.record(record, false),
            Type::Union(record) => self.record(record, true),
            Type::Enum(list) => Shape::Enum {
                name: self.name(list),
                bytes: list.size() as u32,
                signed: list.is_signed(),
                values: list
                    .members
                    .iter()
                    .map(|m| {
                        let bits = m.val();
                        // A value is stored in 32 bits whatever its sign.
                        let value = if list.is_signed() {
                            i64::from(bits as i32)
                        } else {
                            i64::from(bits)
                        };
                        (self.name(m), value)
                    })
                    .collect(),
            },
            Type::Enum64(list) => Shape::Enum {
                name: self.name(list),
                bytes: list.size() as u32,
                signed: list.is_signed(),
                values: list
                    .members
                    .iter()
                    .map(|m| (self.name(m), m.val() as i64))
                    .collect(),
            },
            Type::Fwd(fwd) => Shape::Forward {
                name: self.name(fwd),
                union: fwd.is_union(),
            },
            Type::Typedef(def) => Shape::Typedef(self.name(def), def.get_type_id()?),
            Type::Volatile(q) | Type::Const(q) | Type::Restrict(q) => {
                Shape::Qualifier(q.get_type_id()?)
            }
            Type::TypeTag(tag) => {
                Shape::Tag(self.name(tag), tag.is_attribute(), tag.get_type_id()?)
            }
            Type::Func(func) => Shape::Function(func.get_type_id()?),
            Type::FuncProto(proto) => {
                let variadic = proto.parameters.last().is_some_and(|p| p.is_variadic());
                let fixed = proto.parameters.len() - usize::from(variadic);
                Shape::Prototype {
                    params: proto
                        .parameters
                        .iter()
                        .take(fixed)
                        .map(|p| (self.name(p), p.get_type_id().unwrap_or(0)))
                        .collect(),
                    result: proto.return_type_id(),
                    variadic,
                }
            }
            Type::Var(var) => Shape::Variable(var.get_type_id()?),
            _ => Shape::Other,
        })
    }

    fn record(&self, record: &btf_rs::Struct, union: bool) -> Shape {
        let members = record.members.iter().map(|m| {
            // With the kind flag every member carries a width, and 0 means "not a bit-field".
            let width = m.bitfield_size().filter(|&w| w != 0);
            (
                self.name(m),
                m.get_type_id().unwrap_or(0),
                m.bit_offset(),
                width,
            )
        });
        Shape::Record {
            name: self.name(record),
            union,
            size: u32::try_from(record.size()).unwrap_or(u32::MAX),
            members: members.collect(),
        }
    }

    /// A name; empty when the type has none.
    fn name(&self, ty: &dyn BtfType) -> String {
        match ty.get_name_offset() {
            None | Some(0) => String::new(),
            Some(_) => self.btf.resolve_name(ty).unwrap_or_default(),
        }
    }
}
