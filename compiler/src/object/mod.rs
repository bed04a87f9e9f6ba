//! The object file: finished bytecode and the plan to one standard BPF ELF object, and the plan back out of it.
//!
//! In: the [`Plan`], the instructions of every function, the script's sources. Out: the bytes of an `EM_BPF` object that
//! `llvm-objdump -d`, `bpftool btf dump file` and [`read`] understand. Deterministic: no clock, path or address in it.
//!
//! Sections
//! * one per probe (`kprobe/nf_ct_delete`, `tracepoint/net/netif_rx`, …) with the program's symbol; programs of the same probe
//!   share one. `begin`, `end` and interval bodies are `raw_tp/…`: the runtime runs them with `BPF_PROG_TEST_RUN`;
//! * `.text`: subprograms; `.maps`: map definitions in BTF form; `license`;
//! * `.BTF`, `.BTF.ext`: types, functions, and lines with the script's own text;
//! * `.nettrace`: the plan as JSON; `.nettrace.sum`: a checksum of the file, so that a damaged one is told from a good one.
//!
//! One thing in it is nettrace's own: an `ld_imm64` with source register 2 against a map's symbol means the address of the map's
//! only value, plus the second half's immediate. Loading is the runtime's job.

mod btf;
mod btf_ext;
mod describe;
mod elf;
mod lines;
mod map_types;
mod read;

#[cfg(test)]
mod tests;

use nettrace_grammar::SourceMap;

use crate::artifact::{Artifact, Attach, Plan, Program};
use crate::bpf::Code;
use crate::index::IndexVec;
use crate::ir::FuncId;

pub use describe::describe;
pub use read::read;

/// The bytecode of a program or subprogram.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// ELF symbol. It is a program when the plan has a program of this symbol, otherwise a subprogram.
    pub symbol: String,
    /// Instructions, references and spans.
    pub code: Code,
    /// How many arguments it takes; programs take one, the context.
    pub params: u32,
}

/// A contradiction in what [`write`] was given: always a bug of the compiler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteError(pub(crate) String);

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WriteError {}

/// Writes the object.
///
/// `functions` holds all programs of the plan, found by their symbols, and all subprograms. `sources` must be in the offset
/// space of the spans.
///
/// # Errors
/// When plan, functions and relocations do not fit together.
pub fn write(
    plan: Plan,
    functions: &IndexVec<FuncId, Function>,
    sources: &SourceMap,
) -> Result<Artifact, WriteError> {
    let elf = elf::write(&plan, functions, sources)?;
    Ok(Artifact { elf, plan })
}

/// The section of a program: its first target names it when it is the only one.
fn section_name(program: &Program) -> String {
    let Some(target) = program.targets.first() else {
        return "raw_tp/unused".to_owned();
    };
    let (kind, name) = match &target.attach {
        Attach::Begin => return "raw_tp/begin".to_owned(),
        Attach::End => return "raw_tp/end".to_owned(),
        Attach::Interval { .. } => return "raw_tp/interval".to_owned(),
        Attach::Kprobe { symbol, offset, .. } if *offset > 0 => {
            ("kprobe", format!("{symbol}+{offset}"))
        }
        Attach::Kprobe { symbol, .. } => ("kprobe", symbol.clone()),
        Attach::Kretprobe { symbol, .. } => ("kretprobe", symbol.clone()),
        Attach::Tracepoint { category, event } => ("tracepoint", format!("{category}/{event}")),
        Attach::RawTracepoint { event, .. } => ("raw_tp", event.clone()),
        Attach::Fentry { symbol, .. } => ("fentry", symbol.clone()),
        Attach::Fexit { symbol, .. } => ("fexit", symbol.clone()),
    };
    if program.targets.len() == 1 {
        format!("{kind}/{name}")
    } else {
        kind.to_owned()
    }
}

/// FNV-1a: enough to notice damage; this is no protection against intent.
fn checksum(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in parts.iter().copied().flatten() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// The section of the checksum: 8 bytes, little-endian, counted as zero in the sum.
const SUM_SECTION: &str = ".nettrace.sum";
