//! Encodes `.BTF.ext`: which function lies where, and which line of the script each instruction comes from.
//!
//! In: sections with their functions' instruction numbers, type ids and lines. Out: the section's bytes. The kernel checks that
//! records are in order and that every function has one of each kind at its first instruction.

/// A function's start. Fields as `struct bpf_func_info`.
#[derive(Clone, Copy, Debug)]
pub(super) struct FuncInfo {
    /// In instructions from the start of the section.
    pub(super) insn: u32,
    /// Its FUNC type.
    pub(super) ty: u32,
}

/// A line's first instruction. Fields as `struct bpf_line_info`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineInfo {
    /// In instructions from the start of the section.
    pub(super) insn: u32,
    /// String offset of the file's name.
    pub(super) file: u32,
    /// String offset of the line's text.
    pub(super) text: u32,
    /// `line << 10 | column`
    pub(super) line_col: u32,
}

/// What lies in one program section.
#[derive(Debug)]
pub(super) struct SectionInfo {
    /// String offset of the section's name.
    pub(super) name: u32,
    pub(super) funcs: Vec<FuncInfo>,
    pub(super) lines: Vec<LineInfo>,
}

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: u32 = 32;
const INSN: u32 = 8;

/// The section's bytes.
pub(super) fn encode(sections: &[SectionInfo]) -> Vec<u8> {
    let mut funcs = Words::default();
    funcs.push(&[8]);
    for section in sections.iter().filter(|s| !s.funcs.is_empty()) {
        funcs.push(&[section.name, section.funcs.len() as u32]);
        for f in &section.funcs {
            // In the file offsets count bytes; the loader turns them into instructions.
            funcs.push(&[f.insn * INSN, f.ty]);
        }
    }
    let mut lines = Words::default();
    lines.push(&[16]);
    for section in sections.iter().filter(|s| !s.lines.is_empty()) {
        lines.push(&[section.name, section.lines.len() as u32]);
        for l in &section.lines {
            lines.push(&[l.insn * INSN, l.file, l.text, l.line_col]);
        }
    }
    let (func_len, line_len) = (funcs.0.len() as u32, lines.0.len() as u32);
    let mut out = Words(Vec::with_capacity(
        (HEADER_LEN + func_len + line_len) as usize,
    ));
    out.0.extend_from_slice(&MAGIC.to_le_bytes());
    out.0.extend_from_slice(&[1, 0]);
    let end = func_len + line_len;
    // Header length, then offset and length of functions, lines, CO-RE records (none: offsets are final).
    out.push(&[HEADER_LEN, 0, func_len, func_len, line_len, end, 0]);
    out.0.extend_from_slice(&funcs.0);
    out.0.extend_from_slice(&lines.0);
    out.0
}

/// Little-endian 32-bit words.
#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    fn push(&mut self, words: &[u32]) {
        for word in words {
            self.0.extend_from_slice(&word.to_le_bytes());
        }
    }
}
