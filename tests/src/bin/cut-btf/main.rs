//! `cut-btf`: cuts a small BTF out of a kernel's, for tests that must not depend on the machine.
//!
//! In: a vmlinux's BTF section, those of modules, and a list of wanted names. Out: `PREFIX.btf` and one `PREFIX.MODULE.btf` per
//! module, which nettrace, bpftool and libbpf read. Getting the sections out of packages is the caller's work: see
//! `tests/kernels/README.md`.

mod cut;
mod record;
mod wanted;

use std::fs;
use std::process::ExitCode;

use cut::Cutter;

const USAGE: &str = "usage: cut-btf VMLINUX.btf [--module NAME=FILE]… --want LIST --out PREFIX";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("cut-btf: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<String, String> {
    let (mut base, mut modules, mut list, mut prefix) = (None, Vec::new(), None, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match arg.as_str() {
            "--module" => {
                let text = value()?;
                let (name, file) = text.split_once('=').ok_or(USAGE)?;
                modules.push((name.to_string(), read(file)?));
            }
            "--want" => list = Some(value()?),
            "--out" => prefix = Some(value()?),
            _ => base = Some(read(&arg)?),
        }
    }
    let (base, list, prefix) = (base.ok_or(USAGE)?, list.ok_or(USAGE)?, prefix.ok_or(USAGE)?);
    let text = fs::read_to_string(&list).map_err(|e| format!("{list}: {e}"))?;
    let wanted = wanted::parse(&text)?;

    let mut cutter = Cutter::new(base)?;
    for (name, bytes) in &modules {
        cutter
            .add_module(bytes.clone())
            .map_err(|e| format!("{name}: {e}"))?;
    }
    let missing = cutter.want(&wanted);
    let names = std::iter::once(None).chain(modules.iter().map(|(name, _)| Some(name)));
    let mut report = String::new();
    for (name, bytes) in names.zip(cutter.sections()) {
        let path = match name {
            None => format!("{prefix}.btf"),
            Some(module) => format!("{prefix}.{module}.btf"),
        };
        fs::write(&path, &bytes).map_err(|e| format!("{path}: {e}"))?;
        report.push_str(&format!("{path}: {} bytes\n", bytes.len()));
    }
    for name in missing {
        report.push_str(&format!("not in this kernel: {name}\n"));
    }
    Ok(report)
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|e| format!("{path}: {e}"))
}
