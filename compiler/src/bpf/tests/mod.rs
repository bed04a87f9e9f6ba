//! The code generator, shown on IR text and run on random programs.

mod golden;
mod limits;
#[path = "../../../tests/common/program.rs"]
mod program;
mod random;
mod world;

use super::*;
use crate::ir::parse::parse;
use crate::ir::verify::{Stage, verify};

/// The code of the first function of `ir`, whose header line is left out.
fn compile(ir: &str) -> Code {
    let module = parse(&format!("program \"f\"\n{ir}")).expect("readable IR");
    verify(&module, Stage::Bpf).expect("valid IR");
    emit(&module.funcs[FuncId(0)]).expect("within the limits")
}

/// Checks the instructions that `ir` becomes; leading blanks do not matter.
#[track_caller]
fn becomes(ir: &str, expected: &str) {
    lists(&compile(ir), expected);
}

/// Checks the text of `code`; leading blanks do not matter.
#[track_caller]
fn lists(code: &Code, expected: &str) {
    let lines = |text: &str| -> String {
        let lines = text.lines().map(|line| line.trim().to_string());
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    };
    let found = lines(&disasm::text(code));
    assert!(found == lines(expected), "found:\n{}", disasm::text(code));
}
