//! Lays out the sections, symbols and relocations of the object.
//!
//! In: as [`super::write`]. Out: the file's bytes. Addends are always 0: in `SHT_REL` a non-zero one would be written over
//! the instruction's opcode.

use std::collections::BTreeMap;

use nettrace_grammar::SourceMap;
use object::write::{
    Object, Relocation, SectionId, StandardSection, Symbol, SymbolId, SymbolSection,
};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};

use super::btf::{self, Builder, Encoding, Member, TypeId, VOID};
use super::btf_ext::{self, FuncInfo, LineInfo, SectionInfo};
use super::{Function, SUM_SECTION, WriteError, checksum, lines, map_types, section_name};
use crate::artifact::{Map, MapId, PLAN_SECTION, Plan};
use crate::bpf::insn::{Insn, LD_IMM64, pseudo};
use crate::bpf::{Reloc, RelocTarget};
use crate::index::IndexVec;
use crate::ir::FuncId;

/// `R_BPF_64_64`: an `ld_imm64`.
const R_BPF_64_64: u32 = 1;
/// `R_BPF_64_32`: a call.
const R_BPF_64_32: u32 = 10;

/// Bytes of an instruction slot.
const INSN: usize = 8;

pub(super) fn write(
    plan: &Plan,
    functions: &IndexVec<FuncId, Function>,
    sources: &SourceMap,
) -> Result<Vec<u8>, WriteError> {
    let layout = Layout::new(plan, functions)?;
    let mut writer = Writer {
        object: Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little),
        btf: Builder::new(),
        sources,
        functions,
        layout: &layout,
        map_symbols: IndexVec::new(),
        text: None,
        relocations: Vec::new(),
    };
    writer.maps(&plan.maps);
    let infos = writer.code()?;
    writer.finish(plan, &infos)
}

/// Which function lies where.
struct Layout {
    /// Section name (`.text` for subprograms) and the functions in it, in order.
    sections: Vec<(String, Vec<FuncId>)>,
    /// Index of each subprogram's first instruction in `.text`.
    text_start: BTreeMap<FuncId, usize>,
}

impl Layout {
    fn new(plan: &Plan, functions: &IndexVec<FuncId, Function>) -> Result<Layout, WriteError> {
        let mut by_symbol = BTreeMap::new();
        for (id, function) in functions.iter_enumerated() {
            check_function(function)?;
            if by_symbol.insert(function.symbol.as_str(), id).is_some() {
                return Err(WriteError(format!("two functions `{}`", function.symbol)));
            }
        }
        // Programs in script order: sections appear in the order in which the script names them.
        let mut sections: Vec<(String, Vec<FuncId>)> = Vec::new();
        for program in plan.programs.iter() {
            let Some(id) = by_symbol.remove(program.symbol.as_str()) else {
                return Err(WriteError(format!("no code for `{}`", program.symbol)));
            };
            let name = section_name(program);
            match sections.iter_mut().find(|(n, _)| *n == name) {
                Some((_, ids)) => ids.push(id),
                None => sections.push((name, vec![id])),
            }
        }
        let mut subprograms: Vec<FuncId> = by_symbol.into_values().collect();
        subprograms.sort();
        let mut text_start = BTreeMap::new();
        let mut next = 0;
        for &id in &subprograms {
            text_start.insert(id, next);
            next += functions[id].code.insns.len();
        }
        if !subprograms.is_empty() {
            sections.insert(0, (".text".to_owned(), subprograms));
        }
        Ok(Layout {
            sections,
            text_start,
        })
    }
}

fn check_function(function: &Function) -> Result<(), WriteError> {
    let name = &function.symbol;
    if function.code.insns.is_empty() {
        return Err(WriteError(format!("`{name}` has no instructions")));
    }
    if function.code.insns.len() != function.code.spans.len() {
        return Err(WriteError(format!("`{name}` lacks spans")));
    }
    Ok(())
}

struct Writer<'a> {
    object: Object<'a>,
    btf: Builder,
    sources: &'a SourceMap,
    functions: &'a IndexVec<FuncId, Function>,
    layout: &'a Layout,
    map_symbols: IndexVec<MapId, SymbolId>,
    text: Option<SymbolId>,
    /// Added last: all symbols must exist before.
    relocations: Vec<(SectionId, u64, SymbolId, u32)>,
}

impl Writer<'_> {
    /// `.maps`: zero bytes; what a map is stands in the BTF of its variable.
    fn maps(&mut self, maps: &IndexVec<MapId, Map>) {
        if maps.is_empty() {
            return;
        }
        let section = self
            .object
            .add_section(Vec::new(), b".maps".to_vec(), SectionKind::Data);
        let mut vars = Vec::with_capacity(maps.len());
        let mut offset = 0;
        for map in maps.iter() {
            let (definition, size) = map_definition(&mut self.btf, map);
            let var = self.btf.var(&map.symbol, definition);
            vars.push((var, offset, size));
            let symbol = self.object.add_symbol(Symbol {
                name: map.symbol.clone().into_bytes(),
                value: u64::from(offset),
                size: u64::from(size),
                kind: SymbolKind::Data,
                scope: SymbolScope::Dynamic,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
            self.map_symbols.push(symbol);
            offset += size;
        }
        let zeros = vec![0; offset as usize];
        self.object.append_section_data(section, &zeros, 8);
        self.btf.datasec(".maps", offset, &vars);
    }

    /// All sections with instructions.
    fn code(&mut self) -> Result<Vec<SectionInfo>, WriteError> {
        let layout = self.layout;
        let mut infos = Vec::with_capacity(layout.sections.len());
        for (name, ids) in &layout.sections {
            let is_text = name == ".text";
            let section = if is_text {
                let section = self.object.section_id(StandardSection::Text);
                self.text = Some(self.object.section_symbol(section));
                section
            } else {
                self.object
                    .add_section(Vec::new(), name.clone().into_bytes(), SectionKind::Text)
            };
            let mut info = SectionInfo {
                name: self.btf.string(name),
                funcs: Vec::with_capacity(ids.len()),
                lines: Vec::new(),
            };
            let mut start = 0;
            for &id in ids {
                self.function(section, is_text, start, id, &mut info)?;
                start += self.functions[id].code.insns.len();
            }
            infos.push(info);
        }
        Ok(infos)
    }

    /// One function; `start` is the index of its first instruction in the section.
    fn function(
        &mut self,
        section: SectionId,
        is_text: bool,
        start: usize,
        id: FuncId,
        info: &mut SectionInfo,
    ) -> Result<(), WriteError> {
        let function = &self.functions[id];
        let mut insns = function.code.insns.clone();
        for reloc in &function.code.relocs {
            self.relocate(section, is_text, start, &mut insns, *reloc)
                .ok_or_else(|| {
                    WriteError(format!("`{}` cannot have {reloc:?}", function.symbol))
                })?;
        }
        let bytes: Vec<u8> = insns.iter().flat_map(Insn::bytes).collect();
        self.object
            .append_section_data(section, &bytes, INSN as u64);
        self.object.add_symbol(Symbol {
            name: function.symbol.clone().into_bytes(),
            value: (start * INSN) as u64,
            size: (insns.len() * INSN) as u64,
            kind: SymbolKind::Text,
            scope: if is_text {
                SymbolScope::Compilation
            } else {
                SymbolScope::Dynamic
            },
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        info.funcs.push(FuncInfo {
            insn: start as u32,
            ty: self.func_type(function, is_text),
        });
        self.line_infos(function, start, &mut info.lines);
        Ok(())
    }

    /// Prepares the instruction and notes the relocation. `None` when the instruction cannot refer to such a thing.
    fn relocate(
        &mut self,
        section: SectionId,
        is_text: bool,
        start: usize,
        insns: &mut [Insn],
        reloc: Reloc,
    ) -> Option<()> {
        let at = reloc.insn;
        let offset = ((start + at) * INSN) as u64;
        let symbol = match reloc.target {
            RelocTarget::Map(map) => {
                // Loaders fill in the kind; object files have 0 here.
                set_wide(insns, at, 0, 0, 0)?;
                *self.map_symbols.get(map)?
            }
            RelocTarget::MapValue(map, byte) => {
                set_wide(insns, at, pseudo::MAP_VALUE, 0, i32::try_from(byte).ok()?)?;
                *self.map_symbols.get(map)?
            }
            RelocTarget::Func(func) => {
                let target = *self.layout.text_start.get(&func)?;
                if insns.get(at)?.is_wide() {
                    let bytes = i32::try_from(target * INSN).ok()?;
                    set_wide(insns, at, pseudo::FUNC, bytes, 0)?;
                    self.text?
                } else {
                    return self.call(section, is_text, start + at, insns.get_mut(at)?, target);
                }
            }
        };
        self.relocations
            .push((section, offset, symbol, R_BPF_64_64));
        Some(())
    }

    /// A call of the subprogram that begins at slot `target` of `.text`; `at` counts from the section's start.
    fn call(
        &mut self,
        section: SectionId,
        is_text: bool,
        at: usize,
        insn: &mut Insn,
        target: usize,
    ) -> Option<()> {
        let is_call = *insn == Insn::call(insn.src, insn.imm);
        if !is_call {
            return None;
        }
        insn.src = pseudo::CALL;
        if is_text {
            // Relative to the next instruction; nothing is left to relocate.
            insn.imm = i32::try_from(target as i64 - at as i64 - 1).ok()?;
        } else {
            insn.imm = i32::try_from(target as i64 - 1).ok()?;
            self.relocations
                .push((section, (at * INSN) as u64, self.text?, R_BPF_64_32));
        }
        Some(())
    }

    /// `int f(void *ctx)` for programs, `u64 f(u64 a, …)` for subprograms.
    fn func_type(&mut self, function: &Function, is_text: bool) -> TypeId {
        if is_text {
            let word = self.btf.int("u64", 8, Encoding::Unsigned);
            let params: Vec<(&str, TypeId)> = ["a", "b", "c", "d", "e"]
                .into_iter()
                .take(function.params as usize)
                .map(|name| (name, word))
                .collect();
            let proto = self.btf.func_proto(word, &params);
            self.btf.func(&function.symbol, proto, btf::STATIC)
        } else {
            let int = self.btf.int("int", 4, Encoding::Signed);
            let ctx = self.btf.ptr(VOID);
            let proto = self.btf.func_proto(int, &[("ctx", ctx)]);
            self.btf.func(&function.symbol, proto, btf::GLOBAL)
        }
    }

    /// A record wherever the line or column changes, and one at the function's start.
    fn line_infos(&mut self, function: &Function, start: usize, out: &mut Vec<LineInfo>) {
        let mut last = None;
        let mut second_half = false;
        for (index, (insn, &span)) in function
            .code
            .insns
            .iter()
            .zip(&function.code.spans)
            .enumerate()
        {
            if second_half {
                // The kernel refuses records that point into an ld_imm64.
                second_half = false;
                continue;
            }
            second_half = insn.is_wide();
            if last == Some(span.lo) {
                continue;
            }
            last = Some(span.lo);
            let (file, text, line_col) = match lines::line(self.sources, span) {
                Some(line) => (
                    self.btf.string(&line.file),
                    self.btf.string(&line.text),
                    line.line_col,
                ),
                None => (0, 0, 0),
            };
            out.push(LineInfo {
                insn: (start + index) as u32,
                file,
                text,
                line_col,
            });
        }
    }

    fn finish(mut self, plan: &Plan, infos: &[SectionInfo]) -> Result<Vec<u8>, WriteError> {
        let failed = |what: &str, e: &dyn std::fmt::Display| WriteError(format!("{what}: {e}"));
        for (section, offset, symbol, r_type) in std::mem::take(&mut self.relocations) {
            let relocation = Relocation {
                offset,
                symbol,
                addend: 0,
                flags: RelocationFlags::Elf { r_type },
            };
            self.object
                .add_relocation(section, relocation)
                .map_err(|e| failed("relocation", &e))?;
        }
        let json = serde_json::to_vec(plan).map_err(|e| failed("plan", &e))?;
        let btf_ext = btf_ext::encode(infos);
        let btf = self.btf.finish();
        for (name, data, kind, align) in [
            ("license", &b"GPL\0"[..], SectionKind::Data, 1),
            (".BTF", &btf, SectionKind::Other, 4),
            (".BTF.ext", &btf_ext, SectionKind::Other, 4),
            (PLAN_SECTION, &json, SectionKind::Other, 1),
            (SUM_SECTION, &[0; 8], SectionKind::Other, 1),
        ] {
            let id = self
                .object
                .add_section(Vec::new(), name.as_bytes().to_vec(), kind);
            self.object.append_section_data(id, data, align);
        }
        let mut elf = self.object.write().map_err(|e| failed("object", &e))?;
        seal(&mut elf).ok_or_else(|| WriteError("no place for the checksum".to_owned()))?;
        Ok(elf)
    }
}

/// Fills in the checksum.
fn seal(elf: &mut [u8]) -> Option<()> {
    let range = super::read::sum_range(elf)?;
    let sum = checksum(&[elf]);
    elf.get_mut(range)?.copy_from_slice(&sum.to_le_bytes());
    Some(())
}

/// The struct whose members say what the map is, and its size.
fn map_definition(btf: &mut Builder, map: &Map) -> (TypeId, u32) {
    let int = btf.int("int", 4, Encoding::Signed);
    let number = |btf: &mut Builder, value: u32| {
        let array = btf.array(int, value);
        btf.ptr(array)
    };
    let mut fields = vec![
        ("type", number(btf, map.kind as u32)),
        ("max_entries", number(btf, map.max_entries)),
        ("map_flags", number(btf, map.flags)),
    ];
    if let Some((key, value)) = map_types::key_and_value(btf, map) {
        fields.push(("key", btf.ptr(key)));
        fields.push(("value", btf.ptr(value)));
    }
    let members: Vec<Member> = fields
        .iter()
        .zip(0..)
        .map(|((name, ty), index)| Member::new(*name, *ty, index * 8))
        .collect();
    let size = 8 * members.len() as u32;
    (btf.structure("", size, &members), size)
}

/// Sets what an `ld_imm64` means; `None` when there is none.
fn set_wide(insns: &mut [Insn], at: usize, src: u8, low_imm: i32, high_imm: i32) -> Option<()> {
    let [low, high, ..] = insns.get_mut(at..)? else {
        return None;
    };
    if low.code != LD_IMM64 {
        return None;
    }
    low.src = src;
    low.imm = low_imm;
    high.imm = high_imm;
    Some(())
}
