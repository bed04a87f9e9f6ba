//! Which types to keep, and the sections made of them.
//!
//! What is wanted is kept with everything it contains by value. A pointer to a struct that is neither wanted nor contained leads
//! to a forward declaration, so that the cut ends there. Types keep their order; ids and strings are numbered anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use nettrace_compiler::kernel::btf::raw::{Base, RawSection, kind};

use crate::record::{Record, Word};
use crate::wanted::Wanted;

/// Section (0 is vmlinux) and id within it.
type Id = (usize, u32);

/// How much of a type is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Behind a pointer: a forward declaration will do for a named struct or union.
    Mention,
    /// All of it.
    Whole,
}

/// The sections to cut from and what has been marked.
pub(crate) struct Cutter {
    base: RawSection,
    sections: Vec<BTreeMap<u32, Record>>,
    keep: BTreeMap<Id, Need>,
}

impl Cutter {
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Cutter, String> {
        let base = RawSection::parse(Rc::new(bytes), Base::default()).map_err(|e| e.to_string())?;
        let first = base
            .iter()
            .map(|(id, ty)| (id, Record::new(&base, &base, &ty)))
            .collect();
        Ok(Cutter {
            base,
            sections: vec![first],
            keep: BTreeMap::new(),
        })
    }

    pub(crate) fn add_module(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let raw = RawSection::parse(Rc::new(bytes), self.base.base()).map_err(|e| e.to_string())?;
        let records = raw
            .iter()
            .map(|(id, ty)| (id, Record::new(&self.base, &raw, &ty)))
            .collect();
        self.sections.push(records);
        Ok(())
    }

    /// Keeps these and what they contain; returns the names that no section has.
    pub(crate) fn want(&mut self, wanted: &[Wanted]) -> Vec<String> {
        let mut missing = Vec::new();
        let mut todo: Vec<(Id, Need)> = Vec::new();
        {
            let mut index: HashMap<(&str, u8), Vec<Id>> = HashMap::new();
            for (section, records) in self.sections.iter().enumerate() {
                for (&id, record) in records {
                    index
                        .entry((&record.name, record.kind))
                        .or_default()
                        .push((section, id));
                }
            }
            for want in wanted {
                let ids = want
                    .kinds
                    .iter()
                    .filter_map(|&k| index.get(&(want.name.as_str(), k)));
                // The first of each section: that is the one a lookup finds.
                let mut seen = BTreeSet::new();
                let found: Vec<Id> = ids
                    .flatten()
                    .copied()
                    .filter(|id| seen.insert(id.0))
                    .collect();
                if found.is_empty() && want.required {
                    missing.push(want.name.clone());
                }
                todo.extend(found.into_iter().map(|id| (id, Need::Whole)));
            }
        }
        while let Some((id, need)) = todo.pop() {
            if self.keep.get(&id).is_some_and(|&known| known >= need) {
                continue;
            }
            let Some(record) = self.record(id) else {
                continue;
            };
            // What has no name cannot be declared, only defined.
            let need = if record.is_composite() && record.name.is_empty() {
                Need::Whole
            } else {
                need
            };
            let next = match (record.kind, need) {
                (kind::PTR, _) => Need::Mention,
                (kind::STRUCT | kind::UNION, Need::Mention) => {
                    self.keep.insert(id, need);
                    continue;
                }
                (_, need) => need,
            };
            let mentioned: Vec<Id> = record.mentions().map(|to| self.resolve(id.0, to)).collect();
            self.keep.insert(id, need);
            todo.extend(mentioned.into_iter().map(|to| (to, next)));
        }
        missing
    }

    /// The bytes of every section, vmlinux first.
    pub(crate) fn sections(&self) -> Vec<Vec<u8>> {
        let mut numbers: HashMap<Id, u32> = HashMap::new();
        let mut base_strings = Strings::base();
        let mut out = Vec::new();
        let count = |section| self.keep.keys().filter(|id| id.0 == section).count() as u32;
        for section in 0..self.sections.len() {
            // Every module continues vmlinux, not the module before it.
            let first = if section == 0 { 1 } else { 1 + count(0) };
            let ids: Vec<Id> = self
                .keep
                .keys()
                .copied()
                .filter(|id| id.0 == section)
                .collect();
            numbers.extend(ids.iter().copied().zip(first..));
            let mut own = base_strings.split();
            let strings = if section == 0 {
                &mut base_strings
            } else {
                &mut own
            };
            let mut types = Vec::new();
            for id in ids {
                self.encode(id, &numbers, strings, &mut types);
            }
            out.push(assemble(&types, &strings.bytes));
        }
        out
    }

    fn record(&self, (section, id): Id) -> Option<&Record> {
        self.sections.get(section)?.get(&id)
    }

    fn resolve(&self, section: usize, id: u32) -> Id {
        let own = id >= self.base.base().types;
        (if own { section } else { 0 }, id)
    }

    fn encode(&self, id: Id, numbers: &HashMap<Id, u32>, strings: &mut Strings, out: &mut Vec<u8>) {
        let Some(record) = self.record(id) else {
            return;
        };
        let number = |word: &Word| match word {
            Word::Plain(value) => *value,
            Word::Type(to) => numbers.get(&self.resolve(id.0, *to)).copied().unwrap_or(0),
        };
        let mut put = |value: u32| out.extend_from_slice(&value.to_ne_bytes());
        put(strings.offset(&record.name));
        let info = |kind: u8, vlen: u16, flag: bool| {
            u32::from(flag) << 31 | u32::from(kind) << 24 | u32::from(vlen)
        };
        if record.is_composite() && self.keep.get(&id) == Some(&Need::Mention) {
            put(info(kind::FWD, 0, record.kind == kind::UNION));
            put(0);
            return;
        }
        put(info(record.kind, record.vlen, record.flag));
        put(number(&record.third));
        for part in &record.parts {
            if let Some(name) = &part.name {
                put(strings.offset(name));
            }
            part.words.iter().for_each(|w| put(number(w)));
        }
    }
}

/// A string section that is growing, each string once.
struct Strings {
    bytes: Vec<u8>,
    first: u32,
    known: HashMap<String, u32>,
}

impl Strings {
    fn base() -> Strings {
        Strings {
            bytes: vec![0],
            first: 0,
            known: HashMap::from([(String::new(), 0)]),
        }
    }

    /// An empty one that continues this one.
    fn split(&self) -> Strings {
        Strings {
            bytes: Vec::new(),
            first: self.bytes.len() as u32,
            known: self.known.clone(),
        }
    }

    fn offset(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        let offset = self.first + self.bytes.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.known.insert(text.to_string(), offset);
        offset
    }
}

/// Header, types, strings.
fn assemble(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + types.len() + strings.len());
    out.extend_from_slice(&0xeb9f_u16.to_ne_bytes());
    out.extend_from_slice(&[1, 0]);
    for word in [24, 0, types.len(), types.len(), strings.len()] {
        out.extend_from_slice(&(word as u32).to_ne_bytes());
    }
    out.extend_from_slice(types);
    out.extend_from_slice(strings);
    out
}
