//! Encodes BTF, the kernel's type format: <https://docs.kernel.org/bpf/btf.html>.
//!
//! In: types one by one. Out: type ids at once and, at the end, the bytes of a `.BTF` section. Equal types and strings are
//! stored once, so the section depends only on what was asked for and in which order. Reading BTF is not done here.

use std::collections::HashMap;

/// An id in the section being built; 0 is `void`.
pub(super) type TypeId = u32;

/// `void`.
pub(super) const VOID: TypeId = 0;

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: u32 = 24;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;

/// Linkage of functions and variables: seen by other objects.
pub(super) const GLOBAL: u32 = 1;
/// Linkage of functions: private to the object.
pub(super) const STATIC: u32 = 0;

/// What an integer is, beside its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Unsigned = 0,
    Signed = 1,
    Char = 2,
    Bool = 4,
}

/// A member of a struct.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) ty: TypeId,
    /// From the start of the struct.
    pub(super) bit_offset: u32,
    /// Width of a bit-field, 0 for others.
    pub(super) bits: u32,
}

impl Member {
    /// A member that is no bit-field.
    pub(super) fn new(name: impl Into<String>, ty: TypeId, byte_offset: u32) -> Member {
        Member {
            name: name.into(),
            ty,
            bit_offset: byte_offset * 8,
            bits: 0,
        }
    }
}

/// Builds a `.BTF` section.
#[derive(Debug)]
pub(super) struct Builder {
    strings: Vec<u8>,
    string_offsets: HashMap<String, u32>,
    types: Vec<u8>,
    ids: HashMap<Vec<u8>, TypeId>,
    count: u32,
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder {
            // The kernel wants the empty string at offset 0.
            strings: vec![0],
            string_offsets: HashMap::from([(String::new(), 0)]),
            types: Vec::new(),
            ids: HashMap::new(),
            count: 0,
        }
    }

    /// The offset of a string; NULs end it.
    pub(super) fn string(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or_default();
        if let Some(&offset) = self.string_offsets.get(text) {
            return offset;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        self.string_offsets.insert(text.to_owned(), offset);
        offset
    }

    pub(super) fn int(&mut self, name: &str, bytes: u32, encoding: Encoding) -> TypeId {
        let detail = (encoding as u32) << 24 | (bytes * 8);
        self.add(name, KIND_INT, 0, false, bytes, &[detail])
    }

    pub(super) fn ptr(&mut self, to: TypeId) -> TypeId {
        self.add("", KIND_PTR, 0, false, to, &[])
    }

    pub(super) fn array(&mut self, elem: TypeId, len: u32) -> TypeId {
        let index = self.int("__ARRAY_SIZE_TYPE__", 4, Encoding::Unsigned);
        self.add("", KIND_ARRAY, 0, false, 0, &[elem, index, len])
    }

    /// Members may overlap (then it shows a union); the kernel wants them in order of their offsets.
    pub(super) fn structure(&mut self, name: &str, size: u32, members: &[Member]) -> TypeId {
        let mut members: Vec<&Member> = members.iter().collect();
        members.sort_by_key(|m| m.bit_offset);
        let bit_fields = members.iter().any(|m| m.bits != 0);
        let mut words = Vec::with_capacity(members.len() * 3);
        for member in &members {
            words.push(self.string(&member.name));
            words.push(member.ty);
            words.push(if bit_fields {
                member.bits << 24 | member.bit_offset
            } else {
                member.bit_offset
            });
        }
        let count = members.len() as u32;
        self.add(name, KIND_STRUCT, count, bit_fields, size, &words)
    }

    pub(super) fn enumeration(
        &mut self,
        name: &str,
        bytes: u32,
        signed: bool,
        values: &[(String, i32)],
    ) -> TypeId {
        let mut words = Vec::with_capacity(values.len() * 2);
        for (name, value) in values {
            words.push(self.string(name));
            words.push(value.cast_unsigned());
        }
        self.add(name, KIND_ENUM, values.len() as u32, signed, bytes, &words)
    }

    pub(super) fn func_proto(&mut self, result: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let mut words = Vec::with_capacity(params.len() * 2);
        for (name, ty) in params {
            words.push(self.string(name));
            words.push(*ty);
        }
        let count = params.len() as u32;
        self.add("", KIND_FUNC_PROTO, count, false, result, &words)
    }

    pub(super) fn func(&mut self, name: &str, proto: TypeId, linkage: u32) -> TypeId {
        // The linkage lies where other kinds have a count.
        self.add(name, KIND_FUNC, linkage, false, proto, &[])
    }

    pub(super) fn var(&mut self, name: &str, ty: TypeId) -> TypeId {
        self.add(name, KIND_VAR, 0, false, ty, &[GLOBAL])
    }

    /// Variables of a section: id, offset, size.
    pub(super) fn datasec(&mut self, name: &str, size: u32, vars: &[(TypeId, u32, u32)]) -> TypeId {
        let words: Vec<u32> = vars
            .iter()
            .flat_map(|&(id, offset, size)| [id, offset, size])
            .collect();
        self.add(name, KIND_DATASEC, vars.len() as u32, false, size, &words)
    }

    fn add(
        &mut self,
        name: &str,
        kind: u32,
        count: u32,
        kind_flag: bool,
        size_or_type: u32,
        words: &[u32],
    ) -> TypeId {
        let info = u32::from(kind_flag) << 31 | kind << 24 | count;
        let mut bytes = Vec::with_capacity(12 + words.len() * 4);
        for word in [self.string(name), info, size_or_type].iter().chain(words) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        if let Some(&id) = self.ids.get(&bytes) {
            return id;
        }
        self.types.extend_from_slice(&bytes);
        self.count += 1;
        self.ids.insert(bytes, self.count);
        self.count
    }

    /// The section's bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        let types = self.types.len() as u32;
        let strings = self.strings.len() as u32;
        let mut out = Vec::with_capacity((HEADER_LEN + types + strings) as usize);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        // Version 1, no flags.
        out.extend_from_slice(&[1, 0]);
        for word in [HEADER_LEN, 0, types, types, strings] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.types);
        out.extend_from_slice(&self.strings);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_types_are_stored_once() {
        let mut btf = Builder::new();
        let a = btf.int("u32", 4, Encoding::Unsigned);
        let b = btf.int("s32", 4, Encoding::Signed);
        assert_ne!(a, b);
        assert_eq!(btf.int("u32", 4, Encoding::Unsigned), a);
        let p = btf.ptr(a);
        assert_eq!(btf.ptr(a), p);
    }

    #[test]
    fn a_section_is_read_back_by_btf_rs() {
        let mut btf = Builder::new();
        let word = btf.int("u32", 4, Encoding::Unsigned);
        btf.structure(
            "pair",
            8,
            &[Member::new("b", word, 4), Member::new("a", word, 0)],
        );
        let read = btf_rs::Btf::from_bytes(&btf.finish()).expect("valid BTF");
        let types = read.resolve_types_by_name("pair").expect("pair");
        let btf_rs::Type::Struct(pair) = &types[0] else {
            panic!("not a struct: {types:?}");
        };
        let names: Vec<String> = pair
            .members
            .iter()
            .map(|m| read.resolve_name(m).expect("a name"))
            .collect();
        assert_eq!(names, ["a", "b"], "members are sorted by offset");
        assert_eq!(pair.size(), 8);
    }
}
