//! Reads the plan back out of an object file.
//!
//! In: the bytes of any file. Out: the plan, or a diagnostic that says why this file is none of ours. What the plan says is checked
//! against the object here, so that the runtime may rely on it.

use std::collections::BTreeSet;
use std::ops::Range;

use nettrace_grammar::{Diagnostic, codes};
use object::read::elf::ElfFile64;
use object::{Architecture, Endianness, Object as _, ObjectSection as _, ObjectSymbol as _};

use super::{SUM_SECTION, checksum};
use crate::artifact::{Action, MapId, MapKind, PLAN_SECTION, PLAN_VERSION, Plan, control_size};

/// The plan of an object that [`super::write`] made.
///
/// # Errors
/// `BAD_OBJECT` for files that are no BPF objects, not nettrace's, of another version, damaged, or contradict themselves.
pub fn read(elf: &[u8]) -> Result<Plan, Diagnostic> {
    if !elf.starts_with(b"\x7fELF") {
        return Err(bad("this is not an object file")
            .note("it does not begin with the mark of the ELF format")
            .help(
                "`nettrace build SCRIPT -o FILE` makes one; scripts are run by `nettrace SCRIPT`",
            ));
    }
    let file = ElfFile64::<Endianness>::parse(elf)
        .map_err(|e| bad("the object file cannot be read").note(format!("{e}; is it complete?")))?;
    if file.architecture() != Architecture::Bpf {
        return Err(bad("this object file holds no eBPF programs")
            .note(format!("it is for {:?}", file.architecture())));
    }
    let Some(section) = file.section_by_name(PLAN_SECTION) else {
        return Err(bad("this object file was not made by nettrace")
            .note(format!(
                "it has no section `{PLAN_SECTION}`, which says where its programs attach"
            ))
            .help("other objects are loaded by `bpftool prog load`"));
    };
    let json = section
        .data()
        .map_err(|e| bad("the object file cannot be read").note(e.to_string()))?;
    check_version(json)?;
    check_sum(elf)?;
    let plan: Plan = serde_json::from_slice(json)
        .map_err(|e| bad("the object file's plan cannot be read").note(e.to_string()))?;
    check_plan(&plan, &file).map_err(|why| {
        bad("the object file contradicts itself")
            .note(why)
            .help("build it anew")
    })?;
    Ok(plan)
}

fn bad(message: &str) -> Diagnostic {
    Diagnostic::host(codes::BAD_OBJECT, message)
}

/// The version alone: what else stands in a plan of another version is not known.
fn check_version(json: &[u8]) -> Result<(), Diagnostic> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let found: Version = serde_json::from_slice(json)
        .map_err(|e| bad("the object file's plan cannot be read").note(e.to_string()))?;
    if found.version == PLAN_VERSION {
        return Ok(());
    }
    Err(
        bad("this object file was made by another version of nettrace")
            .note(format!(
                "its plan has version {}, this nettrace reads version {PLAN_VERSION}",
                found.version
            ))
            .help("build it anew from the script"),
    )
}

fn check_sum(elf: &[u8]) -> Result<(), Diagnostic> {
    let damaged = || {
        bad("the object file is damaged")
            .note("its checksum does not match: it was cut, stripped or changed after `nettrace build`")
            .help("build it anew")
    };
    let range = sum_range(elf).ok_or_else(damaged)?;
    let (before, rest) = elf.split_at_checked(range.start).ok_or_else(damaged)?;
    let (sum, after) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    if u64::from_le_bytes(*sum) == checksum(&[before, &[0; 8], after]) {
        Ok(())
    } else {
        Err(damaged())
    }
}

/// Where the checksum lies in the file.
pub(super) fn sum_range(elf: &[u8]) -> Option<Range<usize>> {
    let file = ElfFile64::<Endianness>::parse(elf).ok()?;
    let (start, size) = file.section_by_name(SUM_SECTION)?.file_range()?;
    let start = usize::try_from(start).ok()?;
    (size == 8).then(|| start..start.saturating_add(8))
}

fn check_plan(plan: &Plan, file: &ElfFile64<'_, Endianness>) -> Result<(), String> {
    let symbols: BTreeSet<&str> = file.symbols().filter_map(|s| s.name().ok()).collect();
    let mut seen = BTreeSet::new();
    let programs = plan.programs.iter().map(|p| &p.symbol);
    for symbol in programs.chain(plan.maps.iter().map(|m| &m.symbol)) {
        if !symbols.contains(symbol.as_str()) {
            return Err(format!(
                "the plan names `{symbol}`, the symbol table does not"
            ));
        }
        if !seen.insert(symbol) {
            return Err(format!("`{symbol}` stands twice in the plan"));
        }
    }
    for program in plan.programs.iter() {
        let mut kinds = program
            .targets
            .iter()
            .map(|t| std::mem::discriminant(&t.attach));
        if let Some(first) = kinds.next()
            && kinds.any(|k| k != first)
        {
            return Err(format!(
                "`{}` attaches to things of different kinds",
                program.symbol
            ));
        }
    }
    if let Some(id) = plan.ring {
        let ring = plan.maps.get(id).ok_or("the ring buffer is missing")?;
        if ring.kind != MapKind::Ringbuf {
            return Err(format!("`{}` is not a ring buffer", ring.symbol));
        }
    }
    if let Some(id) = plan.control {
        let control = plan.maps.get(id).ok_or("the control map is missing")?;
        if control.kind != MapKind::Array || control.value_size < control_size(plan.programs.len())
        {
            return Err(format!("`{}` is too small or no array", control.symbol));
        }
    }
    let script_map = |id: MapId| {
        let known = plan.maps.get(id).is_some_and(|m| m.script.is_some());
        if known {
            Ok(())
        } else {
            Err(format!(
                "an event is about map {id}, which no script map is"
            ))
        }
    };
    for event in plan.events.iter() {
        match &event.action {
            Action::PrintMap { map, .. } | Action::Clear { map } | Action::Zero { map } => {
                script_map(*map)?;
            }
            _ => {}
        }
        let end = |f: &crate::artifact::Field| u64::from(f.offset) + u64::from(f.layout.size());
        if event.fields.iter().any(|f| end(f) > u64::from(event.size)) {
            return Err("an event has fields beyond its end".to_owned());
        }
    }
    Ok(())
}
