//! Functions by what they take: every function with a pointer to a certain struct among its register arguments.
//!
//! In: the sections as bytes. Out: names, modules and registers. Nothing is decoded: one walk over the types of a section notes
//! where each type leads, a second one looks at the parameters of each prototype, and only functions whose prototype fits are
//! looked at by name. 3 ms for a vmlinux and its modules.
//!
//! Registers are those of x86-64: six, two for a struct or integer of 9 to 16 bytes, none for a larger struct.

use std::rc::Rc;

use super::raw::{RawSection, kind, word};
use super::{BtfTypes, KernelTypeId, MAX_CHAIN, glob};
use crate::kernel::Taker;

/// Argument registers.
const REGISTERS: u32 = 6;
/// No register holds such a pointer.
const NONE: u8 = u8::MAX;

/// A section, where its types lead, and which register of its prototypes is wanted.
struct Walk {
    raw: Rc<RawSection>,
    first_id: u32,
    /// The third word of every type: a size or a type id.
    links: Vec<u32>,
    /// The wanted structs of this section, declared or defined.
    records: Vec<u32>,
    /// Per type: the register, if it is a prototype that has one.
    registers: Vec<u8>,
}

impl Walk {
    fn new(raw: Rc<RawSection>, first_id: u32, records: Vec<u32>) -> Walk {
        let links = raw.iter().map(|(_, ty)| ty.size_or_type).collect();
        Walk {
            raw,
            first_id,
            links,
            records,
            registers: Vec::new(),
        }
    }

    fn index(&self, id: u32) -> Option<usize> {
        id.checked_sub(self.first_id).map(|index| index as usize)
    }

    fn register(&self, id: u32) -> Option<u8> {
        let found = self.registers.get(self.index(id)?).copied()?;
        (found != NONE).then_some(found)
    }
}

/// A section and the one that it continues.
struct Graph<'a> {
    own: &'a Walk,
    base: Option<&'a Walk>,
}

impl Graph<'_> {
    fn walk_of(&self, id: u32) -> &Walk {
        match self.base {
            Some(base) if id < self.own.first_id => base,
            _ => self.own,
        }
    }

    /// Kind and third word.
    fn ty(&self, id: u32) -> Option<(u8, u32)> {
        let walk = self.walk_of(id);
        Some((walk.raw.header(id)?.0, *walk.links.get(walk.index(id)?)?))
    }

    /// The type behind qualifiers, tags and typedefs: id, kind, third word.
    fn behind(&self, mut id: u32) -> Option<(u32, u8, u32)> {
        for _ in 0..MAX_CHAIN {
            let (kind, link) = self.ty(id)?;
            match kind {
                kind::CONST | kind::VOLATILE | kind::RESTRICT | kind::TYPE_TAG | kind::TYPEDEF => {
                    id = link;
                }
                _ => return Some((id, kind, link)),
            }
        }
        None
    }

    fn is_wanted(&self, kind: u8, link: u32) -> bool {
        kind == kind::PTR
            && self
                .behind(link)
                .is_some_and(|(id, ..)| self.walk_of(id).records.contains(&id))
    }

    /// The register of the first wanted parameter. `params` are pairs of a name and a type.
    fn register(&self, params: &[u8]) -> u8 {
        let mut register = 0;
        for param in params.chunks_exact(8) {
            let Some((_, kind, link)) = word(param, 4).and_then(|id| self.behind(id)) else {
                return NONE;
            };
            if self.is_wanted(kind, link) {
                return register as u8;
            }
            register += match (kind, link) {
                (kind::STRUCT | kind::UNION, 17..) => 0,
                (kind::STRUCT | kind::UNION | kind::INT, 9..=16) => 2,
                _ => 1,
            };
            if register >= REGISTERS {
                break;
            }
        }
        NONE
    }

    fn registers(&self) -> Vec<u8> {
        let of = |kind, params: &[u8]| match kind {
            kind::FUNC_PROTO => self.register(params),
            _ => NONE,
        };
        let types = self.own.raw.iter();
        types.map(|(_, ty)| of(ty.kind, ty.rest)).collect()
    }
}

impl BtfTypes {
    /// Functions that take a pointer to a struct of this name in a register, whose name and module match two patterns, by name.
    pub fn functions_taking(&self, record: &str, pattern: &str, module: &str) -> Vec<Taker> {
        let mut found = Vec::new();
        let names = self.vmlinux.raw.string_offsets(record);
        let Some(base) = self.walk(0, record, &names, None) else {
            return found;
        };
        for index in self.sections() {
            let name = self.module_name(index);
            if !glob::matches(module, name.as_deref().unwrap_or("vmlinux")) {
                continue;
            }
            let split = match index {
                0 => None,
                _ => match self.walk(index, record, &names, Some(&base)) {
                    Some(walk) => Some(walk),
                    None => continue,
                },
            };
            let walk = split.as_ref().unwrap_or(&base);
            for (id, offset) in walk.raw.named(kind::FUNC) {
                let proto = walk.index(id).and_then(|at| walk.links.get(at)).copied();
                let register = proto.and_then(|proto| match proto < walk.first_id {
                    true => base.register(proto),
                    false => walk.register(proto),
                });
                let (Some(register), Some(function)) = (register, self.string(&walk.raw, offset))
                else {
                    continue;
                };
                if glob::matches(pattern, function) {
                    found.push(Taker {
                        name: function.to_string(),
                        module: name.clone(),
                        register,
                        id: KernelTypeId { module: index, id },
                    });
                }
            }
        }
        found.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        // BTF has a function twice when its copies differ in their parameters' names.
        found.dedup_by(|b, a| a.name == b.name && a.id.module == b.id.module);
        found
    }

    fn walk(
        &self,
        module: u16,
        record: &str,
        base_names: &[u32],
        base: Option<&Walk>,
    ) -> Option<Walk> {
        let raw = self.raw(module)?;
        let first_id = base.map_or(1, |base| base.raw.base().types);
        let names = self.offsets(&raw, module, record, base_names);
        let records = raw.ids(&[kind::STRUCT, kind::FWD], &names);
        let mut walk = Walk::new(raw, first_id, records);
        walk.registers = Graph { own: &walk, base }.registers();
        Some(walk)
    }
}
