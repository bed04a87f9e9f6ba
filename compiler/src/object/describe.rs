//! An object file as text, for `--emit elf`.
//!
//! In: the bytes of an object. Out: its sections, symbols and relocations, a line each, like `readelf` shows them.

use std::fmt::Write as _;

use nettrace_grammar::{Diagnostic, codes};
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind,
};

/// Bytes of an instruction.
const INSN: u64 = 8;

/// The parts of an object.
///
/// # Errors
/// `BAD_OBJECT` when the bytes are no ELF file.
pub fn describe(elf: &[u8]) -> Result<String, Diagnostic> {
    let file = ElfFile64::<Endianness>::parse(elf).map_err(|e| {
        Diagnostic::host(codes::BAD_OBJECT, "the object file cannot be read").note(e.to_string())
    })?;
    let mut text = format!(
        "ELF object for {:?}, {} bytes\n",
        file.architecture(),
        elf.len()
    );
    describe_into(&mut text, &file);
    Ok(text)
}

fn describe_into(text: &mut String, file: &ElfFile64<'_, Endianness>) {
    // Writing to a string cannot fail.
    for section in file.sections() {
        let name = section.name().unwrap_or("?");
        let _ = writeln!(text, "\nsection {name}: {} bytes", section.size());
        let mut symbols: Vec<_> = file
            .symbols()
            .filter(|s| s.section_index() == Some(section.index()) && s.size() > 0)
            .collect();
        symbols.sort_by_key(|s| s.address());
        for symbol in symbols {
            let name = symbol.name().unwrap_or("?");
            let _ = match symbol.kind() {
                SymbolKind::Text => {
                    writeln!(
                        text,
                        "  function {name}: {} instructions",
                        symbol.size() / INSN
                    )
                }
                _ => writeln!(text, "  object {name}: {} bytes", symbol.size()),
            };
        }
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let target = file.symbol_by_index(index).ok();
            let target = target.as_ref().and_then(|s| s.name().ok()).unwrap_or("?");
            let _ = writeln!(text, "  instruction {} refers to {target}", offset / INSN);
        }
    }
}
