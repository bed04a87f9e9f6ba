//! The object's programs, ready for `BPF_PROG_LOAD`: parsed and relocated by `aya_obj`.
//!
//! In: the object file and the created maps. Out: final instructions with their function and line records, and the script's span of each
//! instruction. One thing `aya_obj` does not know is done here: references to a map's value (see [`nettrace_compiler::object`]).

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::rc::Rc;

use aya_obj::generated::bpf_insn;
use aya_obj::{Function, Object};
use nettrace_compiler::artifact::{Plan, Program, ProgramId};
use nettrace_compiler::index::IndexVec;
use nettrace_grammar::{Diagnostic, SourceMap, Span, codes};

use crate::maps::KernelMap;
use nettrace_compiler::artifact::MapId;

/// A program as the kernel takes it, apart from where it attaches.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) symbol: String,
    pub(crate) license: CString,
    pub(crate) insns: Vec<bpf_insn>,
    /// Records and the size of each.
    pub(crate) func_info: (Vec<u8>, usize),
    /// Records and the size of each.
    pub(crate) line_info: (Vec<u8>, usize),
    /// First instruction of each line, and the place in the script; ascending.
    pub(crate) lines: Vec<(u32, Span)>,
    /// The whole probe.
    pub(crate) span: Span,
}

impl Code {
    /// The place in the script that an instruction comes from.
    pub(crate) fn span_of(&self, insn: u32) -> Span {
        let after = self.lines.partition_point(|(first, _)| *first <= insn);
        after
            .checked_sub(1)
            .and_then(|index| self.lines.get(index))
            .map_or(self.span, |(_, span)| *span)
    }
}

/// The parsed object before maps exist.
pub(crate) struct Parsed {
    object: Object,
    /// The `.BTF` section; empty when there is none.
    pub(crate) btf: Vec<u8>,
}

fn bad(error: &dyn std::fmt::Display) -> Diagnostic {
    Diagnostic::host(codes::BAD_OBJECT, "the object file cannot be loaded").note(error.to_string())
}

impl Parsed {
    pub(crate) fn new(elf: &[u8]) -> Result<Parsed, Diagnostic> {
        let object = Object::parse(elf).map_err(|e| bad(&e))?;
        let btf = object.btf.as_ref().map_or(Vec::new(), |btf| btf.to_bytes());
        Ok(Parsed { object, btf })
    }

    /// BTF ids of a map's key and value, if it has them.
    pub(crate) fn map_types(&self, symbol: &str) -> Option<(u32, u32)> {
        match self.object.maps.get(symbol)? {
            aya_obj::Map::Btf(map) if map.def.btf_key_type_id != 0 => {
                Some((map.def.btf_key_type_id, map.def.btf_value_type_id))
            }
            _ => None,
        }
    }

    /// Fills in the maps and links subprograms into every program.
    pub(crate) fn link(
        mut self,
        plan: &Plan,
        maps: &IndexVec<MapId, Rc<KernelMap>>,
        sources: &SourceMap,
    ) -> Result<IndexVec<ProgramId, Code>, Diagnostic> {
        let fds: BTreeMap<&str, RawFd> = plan
            .maps
            .iter()
            .zip(maps.iter())
            .map(|(plan, map)| (plan.symbol.as_str(), map.as_fd().as_raw_fd()))
            .collect();
        let definitions: Vec<(String, RawFd, aya_obj::Map)> = self
            .object
            .maps
            .drain()
            .filter_map(|(name, map)| {
                let fd = *fds.get(name.as_str())?;
                Some((name, fd, map))
            })
            .collect();
        let text: HashSet<usize> = self.object.functions.keys().map(|key| key.0).collect();
        let values = value_references(&self.object.functions);
        self.object
            .relocate_maps(
                definitions
                    .iter()
                    .map(|(name, fd, map)| (name.as_str(), *fd, map)),
                &text,
            )
            .map_err(|e| bad(&e))?;
        restore_value_references(&mut self.object.functions, &values);
        self.object.relocate_calls(&text).map_err(|e| bad(&e))?;
        plan.programs
            .iter()
            .map(|program| self.code(program, sources))
            .collect()
    }

    fn code(&self, program: &Program, sources: &SourceMap) -> Result<Code, Diagnostic> {
        let missing = || bad(&format!("it has no program `{}`", program.symbol));
        let found = self
            .object
            .programs
            .get(&program.symbol)
            .ok_or_else(missing)?;
        let function = self
            .object
            .functions
            .get(&found.function_key())
            .ok_or_else(missing)?;
        let span = Span::new(program.span.0, program.span.1);
        let lines = function
            .line_info
            .line_info
            .iter()
            .map(|line| {
                let file = string_at(&self.btf, line.file_name_off);
                let place = place(sources, span, file, line.line_col);
                (line.insn_off, place)
            })
            .collect();
        Ok(Code {
            symbol: program.symbol.clone(),
            license: found.license.clone(),
            insns: function.instructions.clone(),
            func_info: (
                function.func_info.func_info_bytes(),
                function.func_info_rec_size,
            ),
            line_info: (
                function.line_info.line_info_bytes(),
                function.line_info_rec_size,
            ),
            lines,
            span,
        })
    }
}

/// Functions and their instructions that want a map's value rather than the map.
type ValueReferences = Vec<((usize, u64), usize)>;

const LD_IMM64: u8 = 0x18;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;

fn value_references(functions: &BTreeMap<(usize, u64), Function>) -> ValueReferences {
    let mut found = Vec::new();
    for (key, function) in functions {
        for (index, insn) in function.instructions.iter().enumerate() {
            if insn.code == LD_IMM64 && insn.src_reg() == PSEUDO_MAP_VALUE {
                found.push((*key, index));
            }
        }
    }
    found
}

/// `relocate_maps` has turned all references into plain ones; the offset is still in the second half.
fn restore_value_references(
    functions: &mut BTreeMap<(usize, u64), Function>,
    references: &ValueReferences,
) {
    for (key, index) in references {
        let insn = functions
            .get_mut(key)
            .and_then(|f| f.instructions.get_mut(*index));
        if let Some(insn) = insn
            && insn.src_reg() == PSEUDO_MAP_FD
        {
            insn.set_src_reg(PSEUDO_MAP_VALUE);
        }
    }
}

/// A string of a BTF section; empty when there is none at this offset.
fn string_at(btf: &[u8], offset: u32) -> &str {
    let word = |at: usize| -> Option<usize> {
        let bytes = btf.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    // Header: length at 4, start of the strings (after the header) at 16.
    let text = || -> Option<&str> {
        let start = word(4)?
            .checked_add(word(16)?)?
            .checked_add(usize::try_from(offset).ok()?)?;
        let rest = btf.get(start..)?;
        let len = rest.iter().position(|&b| b == 0)?;
        std::str::from_utf8(rest.get(..len)?).ok()
    };
    text().unwrap_or_default()
}

/// The place in the script that a line record means: from its column to the end of the line. Names that are not ASCII are escaped in
/// records; then the probe's own file is meant.
fn place(sources: &SourceMap, probe: Span, file: &str, line_col: u32) -> Span {
    let (line, column) = (line_col >> 10, line_col & 1023);
    let file = sources
        .files()
        .find(|(_, f)| f.name == file)
        .map(|(id, _)| id)
        .or_else(|| sources.file_at(probe.lo));
    let Some(file) = file.filter(|_| line > 0) else {
        return probe;
    };
    let file = sources.file(file);
    let mut start = file.base;
    for (number, text) in (1..).zip(file.text.split_inclusive('\n')) {
        if number == line {
            let end = start + text.trim_end().len() as u32;
            return Span::new((start + column.saturating_sub(1)).min(end), end);
        }
        start += text.len() as u32;
    }
    probe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_record_is_found_in_the_script() {
        let mut sources = SourceMap::new();
        sources.add("a.nt", "begin\n{ exit(); }\n");
        let probe = Span::new(0, 5);
        let span = place(&sources, probe, "a.nt", 2 << 10 | 3);
        assert_eq!(sources.text(span), "exit(); }");
        assert_eq!(place(&sources, probe, "a.nt", 9 << 10), probe);
        assert_eq!(place(&sources, probe, "other", 0), probe);
    }

    #[test]
    fn strings_outside_the_section_are_empty() {
        assert_eq!(string_at(&[], 0), "");
        assert_eq!(string_at(&[0xff; 24], 7), "");
    }
}
