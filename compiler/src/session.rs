//! What the entries of an interactive session share: maps that live on, with the types they were defined with.
//!
//! In: the typed program of each entry that was carried out. Out: [`Session`], which the compilation of the next entry looks maps up in.
//! The kernel's maps themselves are the runtime's. [`Session::quote`] brings the texts of earlier entries into a compilation, so that
//! messages can point to where a map was defined. [`known_value`] is what an entry prints when no kernel is needed to know.

use std::rc::Rc;

use nettrace_grammar::{SourceMap, Span};

use crate::artifact::{Action, Layout};
use crate::check::fold;
use crate::pipeline::Compiled;
use crate::typed::{self, Declared, ExprKind, MapValue, Program, StmtKind};
use crate::types::{Ty, Types};

/// What an entry finds when it is compiled. All entries of a session are compiled for the same [`crate::kernel::Kernel`]: types refer
/// to its ids.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The entry's number, from 1; it stands in the upper half of the number of each of its events, as all entries share a ring buffer.
    pub entry: u32,
    types: Types,
    maps: Vec<KnownMap>,
    /// Targets of earlier entries: the first one of this entry gets this number as its cookie, so that a probe's name in a map is
    /// known to be that of its entry.
    pub(crate) targets: u64,
}

/// A map of an earlier entry.
#[derive(Clone, Debug)]
pub struct KnownMap {
    /// Without `@`; empty for the anonymous one.
    pub name: String,
    /// `None` for a scalar map.
    pub key: Option<Ty>,
    /// What it stores.
    pub value: MapValue,
    /// How it was declared, if it was.
    pub declared: Option<Declared>,
    /// Where it was defined, in the sources that [`Session::quote`] was last given.
    pub defined: Span,
    /// Name and text of the file that defined it.
    source: Rc<(String, String)>,
    /// Where in that file.
    place: Span,
}

impl Session {
    /// The types that the known maps are made of.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// All known maps, in the order of their definition.
    pub fn maps(&self) -> &[KnownMap] {
        &self.maps
    }

    /// Adds the texts that defined the maps to the sources of the next compilation.
    pub fn quote(&mut self, sources: &mut SourceMap) {
        let mut added: Vec<(Rc<(String, String)>, u32)> = Vec::new();
        for map in &mut self.maps {
            let known = added
                .iter()
                .find(|(source, _)| Rc::ptr_eq(source, &map.source));
            let base = match known {
                Some((_, base)) => *base,
                None => {
                    let file = sources.add(map.source.0.clone(), map.source.1.clone());
                    let base = sources.file(file).base;
                    added.push((Rc::clone(&map.source), base));
                    base
                }
            };
            map.defined = Span::new(base + map.place.lo, base + map.place.hi);
        }
    }

    /// The map of this name.
    pub fn find(&self, name: &str) -> Option<&KnownMap> {
        self.maps.iter().find(|map| map.name == name)
    }

    /// Takes over the maps that a program has defined, and the numbers of its targets; returns the maps' names. The program was compiled in this session, from these sources.
    pub fn adopt(&mut self, program: &Program, sources: &SourceMap) -> Vec<String> {
        let targets = program.probes.iter().flat_map(|probe| &probe.targets);
        let last = targets.map(|target| target.cookie).max();
        self.targets = self.targets.max(last.map_or(0, |last| last + 1));
        let is_new = |map: &&typed::Map| self.find(&map.name).is_none();
        let mut new: Vec<KnownMap> = Vec::new();
        for map in program.maps.iter().filter(is_new) {
            let file = sources.file_at(map.span.lo).map(|id| sources.file(id));
            let (base, source) = file.map_or((0, (String::new(), String::new())), |file| {
                (file.base, (file.name.clone(), file.text.clone()))
            });
            let known = new.iter().find(|other| *other.source == source);
            let source = known.map_or_else(|| Rc::new(source), |other| Rc::clone(&other.source));
            let offset = |at: u32| at.saturating_sub(base);
            new.push(KnownMap {
                name: map.name.clone(),
                key: map.key,
                value: map.value,
                declared: map.declared,
                defined: map.span,
                source,
                place: Span::new(offset(map.span.lo), offset(map.span.hi)),
            });
        }
        let names = new.iter().map(|map| map.name.clone()).collect();
        if !new.is_empty() {
            // The program's table began with ours: numbers of types mean the same in both.
            self.types = program.types.clone();
            self.maps.extend(new);
        }
        names
    }

    /// Forgets a map: its name is free for another type.
    pub fn forget(&mut self, name: &str) {
        self.maps.retain(|map| map.name != name);
    }
}

/// The value that an entry prints, if it does nothing else and the compiler knows it: its layout and its bytes.
pub fn known_value(compiled: &Compiled) -> Option<(Layout, Vec<u8>)> {
    let (program, plan) = (
        compiled.program.as_ref()?,
        &compiled.artifact.as_ref()?.plan,
    );
    let [probe] = program.probes.as_slice() else {
        return None;
    };
    let [stmt] = probe.body.as_slice() else {
        return None;
    };
    let StmtKind::Expr(typed::Expr {
        kind: ExprKind::Call(call),
        ..
    }) = &stmt.kind
    else {
        return None;
    };
    let mut events = plan.events.iter();
    let (Some(event), None, [value]) = (events.next(), events.next(), call.args.as_slice()) else {
        return None;
    };
    let ([field], Action::PrintValue) = (event.fields.as_slice(), &event.action) else {
        return None;
    };
    let mut bytes = vec![0; field.layout.size() as usize];
    put(value, &program.types, &field.layout, &mut bytes)?;
    Some((field.layout.clone(), bytes))
}

/// Writes a known value as a program would.
fn put(value: &typed::Expr, types: &Types, layout: &Layout, out: &mut [u8]) -> Option<()> {
    match (layout, &value.kind) {
        (Layout::Literal { .. }, _) => {}
        (Layout::Tuple { fields, .. } | Layout::Record { fields, .. }, ExprKind::Tuple(items)) => {
            for (field, item) in fields.iter().zip(items) {
                put(
                    item,
                    types,
                    &field.layout,
                    out.get_mut(field.offset as usize..)?,
                )?;
            }
        }
        (Layout::Int { .. } | Layout::Bool | Layout::Enum { .. } | Layout::Pointer, _) => {
            let number = fold::constant(value, types)?.to_ne_bytes();
            let size = layout.size() as usize;
            out.get_mut(..size)?.copy_from_slice(number.get(..size)?);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use nettrace_grammar::{SourceMap, parse_body};

    use super::*;
    use crate::check::Options;
    use crate::kernel::fixture::kernels;
    use crate::pipeline;
    use crate::unit::{NoImports, Unit};

    fn known(text: &str) -> Option<Vec<u8>> {
        let mut sources = SourceMap::new();
        let file = sources.add("entry", text);
        let parsed = parse_body(&sources, file);
        let unit = Unit::of(parsed, &mut sources, file, &NoImports);
        let kernel = kernels::linux_6_12();
        let compiled = pipeline::compile(&sources, &unit, &kernel, &Options::default());
        assert!(compiled.artifact.is_some(), "{:?}", compiled.diagnostics);
        known_value(&compiled).map(|(_, bytes)| bytes)
    }

    #[test]
    fn constants_need_no_kernel() {
        assert_eq!(known("print(1 + 2)"), Some(vec![3]));
        let size = known("print(sizeof(struct iphdr))").expect("a size");
        assert_eq!(size.first(), Some(&20));
        assert_eq!(
            known("print(1 == 1)").map(|b| b.first() == Some(&1)),
            Some(true)
        );
        assert_eq!(known("print((1, 2))"), Some(vec![1, 2]));
        assert_eq!(known("print(pid)"), None);
        assert_eq!(known("@x = 5; print(1)"), None);
        assert_eq!(known("printf(\"%d\\n\", 1)"), None);
    }
}
