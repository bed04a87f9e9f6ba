//! Bytecode as text, in the style of the kernel's verifier and `bpftool prog dump`.
//!
//! In: finished code. Out: one line per instruction; [`listing`] puts the script's line above what was made from it. References
//! that the object fills in are shown by their names: `map[m0]`, `call f1`.

use std::fmt::Write;

use nettrace_grammar::{FileId, SourceMap, Span};

use super::insn::{
    Alu, CALL, EXIT, FETCH, Insn, JA, Jump, MODE_ATOMIC, SRC_REG, Size, class, pseudo,
};
use super::{Code, RelocTarget};
use crate::ir::Helper;

/// The whole function without the script.
pub fn text(code: &Code) -> String {
    let mut out = String::new();
    for_each(code, |index, line| {
        let _ = writeln!(out, "{index:>4}: {line}");
    });
    out
}

/// The whole function; before each run of instructions `; ` and the script's line they come from.
pub fn listing(code: &Code, sources: &SourceMap) -> String {
    let mut out = String::new();
    let mut last = None;
    for_each(code, |index, line| {
        let from = code
            .spans
            .get(index)
            .and_then(|span| source_line(sources, *span));
        if from.is_some() && from != last {
            if let Some((_, _, text)) = &from {
                let _ = writeln!(out, "; {text}");
            }
            last = from;
        }
        let _ = writeln!(out, "{index:>4}: {line}");
    });
    out
}

fn for_each(code: &Code, mut f: impl FnMut(usize, String)) {
    let mut index = 0;
    while let Some(insn) = code.insns.get(index) {
        let high = code.insns.get(index + 1).filter(|_| insn.is_wide());
        let target = code.relocs.iter().find(|reloc| reloc.insn == index);
        f(
            index,
            insn_text(insn, high, target.map(|reloc| reloc.target)),
        );
        index += if high.is_some() { 2 } else { 1 };
    }
}

/// One instruction; `high` is the second slot of an `ld_imm64`.
fn insn_text(insn: &Insn, high: Option<&Insn>, target: Option<RelocTarget>) -> String {
    match insn.class() {
        class::ALU | class::ALU64 => alu(insn),
        class::JMP | class::JMP32 => jump(insn, target),
        class::LDX => format!("r{} = {}", insn.dst, memory(insn, insn.src)),
        class::ST => format!("{} = {}", memory(insn, insn.dst), insn.imm),
        class::STX if insn.code & 0xe0 == MODE_ATOMIC => atomic(insn),
        class::STX => format!("{} = r{}", memory(insn, insn.dst), insn.src),
        _ => wide(insn, high, target),
    }
}

fn wide(insn: &Insn, high: Option<&Insn>, target: Option<RelocTarget>) -> String {
    let Some(high) = high else {
        return format!("(unknown code {:#04x})", insn.code);
    };
    let value = u64::from(insn.imm as u32) | u64::from(high.imm as u32) << 32;
    let what = match target {
        Some(RelocTarget::Map(map)) => format!("map[{map}]"),
        Some(RelocTarget::MapValue(map, off)) => format!("map[{map}][0]+{off}"),
        Some(RelocTarget::Func(func)) => func.to_string(),
        None => format!("{value:#x} ll"),
    };
    format!("r{} = {what}", insn.dst)
}

fn memory(insn: &Insn, base: u8) -> String {
    let bits = Size::from_code(insn.code).bytes() * 8;
    format!("*(u{bits} *)(r{base} {:+})", insn.off)
}

fn atomic(insn: &Insn) -> String {
    let place = memory(insn, insn.dst);
    match insn.imm {
        0 => format!("lock {place} += r{}", insn.src),
        FETCH => format!("r{0} = atomic_fetch_add({place}, r{0})", insn.src),
        other => format!("(unknown atomic operation {other:#x})"),
    }
}

fn alu(insn: &Insn) -> String {
    let wide = insn.class() == class::ALU64;
    let prefix = if wide { 'r' } else { 'w' };
    let dst = format!("{prefix}{}", insn.dst);
    let src = if insn.code & SRC_REG != 0 {
        format!("{prefix}{}", insn.src)
    } else {
        insn.imm.to_string()
    };
    let sign = match Alu::from_code(insn.code) {
        Some(Alu::Mov) => "=",
        Some(Alu::Add) => "+=",
        Some(Alu::Sub) => "-=",
        Some(Alu::Mul) => "*=",
        Some(Alu::Div) => "/=",
        Some(Alu::Mod) => "%=",
        Some(Alu::And) => "&=",
        Some(Alu::Or) => "|=",
        Some(Alu::Xor) => "^=",
        Some(Alu::Lsh) => "<<=",
        Some(Alu::Rsh) => ">>=",
        Some(Alu::Arsh) => "s>>=",
        Some(Alu::Neg) => return format!("{dst} = -{dst}"),
        Some(Alu::End) => {
            let order = if insn.code & SRC_REG != 0 { "be" } else { "le" };
            return format!("r{0} = {order}{1} r{0}", insn.dst, insn.imm);
        }
        None => return format!("(unknown code {:#04x})", insn.code),
    };
    format!("{dst} {sign} {src}")
}

fn jump(insn: &Insn, target: Option<RelocTarget>) -> String {
    match insn.code {
        JA => return format!("goto {:+}", insn.off),
        EXIT => return "exit".to_string(),
        CALL => return call(insn, target),
        _ => {}
    }
    let prefix = if insn.class() == class::JMP { 'r' } else { 'w' };
    let sign = match Jump::from_code(insn.code) {
        Some(Jump::Eq) => "==",
        Some(Jump::Ne) => "!=",
        Some(Jump::Gt) => ">",
        Some(Jump::Ge) => ">=",
        Some(Jump::Lt) => "<",
        Some(Jump::Le) => "<=",
        Some(Jump::Set) => "&",
        Some(Jump::Sgt) => "s>",
        Some(Jump::Sge) => "s>=",
        Some(Jump::Slt) => "s<",
        Some(Jump::Sle) => "s<=",
        None => return format!("(unknown code {:#04x})", insn.code),
    };
    let right = if insn.code & SRC_REG != 0 {
        format!("{prefix}{}", insn.src)
    } else {
        format!("{:#x}", insn.imm)
    };
    format!("if {prefix}{} {sign} {right} goto {:+}", insn.dst, insn.off)
}

fn call(insn: &Insn, target: Option<RelocTarget>) -> String {
    match (insn.src, target) {
        (_, Some(RelocTarget::Func(func))) => format!("call {func}"),
        (pseudo::CALL, _) => format!("call pc{:+}", insn.imm),
        (pseudo::KFUNC_CALL, _) => format!("call kfunc#{}", insn.imm),
        _ => match Helper::by_number(insn.imm) {
            Some(helper) => format!("call {}#{}", helper.name(), insn.imm),
            None => format!("call helper#{}", insn.imm),
        },
    }
}

/// File, line number and text, without indentation, of where a span starts.
fn source_line(sources: &SourceMap, span: Span) -> Option<(FileId, u32, String)> {
    if span == Span::default() {
        return None;
    }
    let (file, at) = sources.position(span.lo)?;
    Some((file, at.line, sources.line_text(span.lo).trim().to_string()))
}
