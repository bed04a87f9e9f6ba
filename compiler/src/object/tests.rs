//! The object as its readers see it: our own reader, `llvm-objdump` and `bpftool`.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods)] // Other programs read the object from a file.

use std::io::Write as _;
use std::process::Command;

use nettrace_grammar::Span;

use super::*;
use crate::artifact::{
    Field, Layout, Map, MapId, MapKind, PLAN_VERSION, ScriptMap, Settings, Stored, Target,
};
use crate::bpf::insn::{Alu, Insn, Reg, Size, pseudo};
use crate::bpf::{Code, Reloc, RelocTarget};

const SCRIPT: &str = "begin { @x = 1; }\nkprobe:nf_ct_delete { @sent[pid, comm] = count(); }\n";

fn target(attach: Attach, probe: &str) -> Target {
    Target {
        attach,
        probe: probe.to_owned(),
        cookie: 0,
        packet: None,
        span: (0, 5),
    }
}

fn program(symbol: &str, attach: Attach, probe: &str) -> Program {
    Program {
        symbol: symbol.to_owned(),
        targets: vec![target(attach, probe)],
        span: (0, 5),
        uses_cookie: false,
    }
}

fn map(symbol: &str, kind: MapKind, key: Option<Layout>, value: Stored) -> Map {
    let key_size = key.as_ref().map_or(4, Layout::size);
    Map {
        symbol: symbol.to_owned(),
        kind,
        key_size,
        value_size: 8,
        max_entries: 1,
        flags: 0,
        script: Some(ScriptMap {
            name: format!("@{symbol}"),
            key,
            value,
        }),
    }
}

/// Two programs, a subprogram and two maps.
fn example() -> (Plan, IndexVec<FuncId, Function>, SourceMap) {
    let key = Layout::Tuple {
        fields: vec![
            Field {
                name: String::new(),
                offset: 0,
                layout: Layout::Int {
                    bytes: 4,
                    signed: false,
                },
            },
            Field {
                name: "comm".to_owned(),
                offset: 4,
                layout: Layout::Str { cap: 16 },
            },
        ],
        size: 20,
    };
    let plain = Stored::Plain(Layout::Int {
        bytes: 8,
        signed: true,
    });
    let plan = Plan {
        version: PLAN_VERSION,
        programs: [
            program("begin_0", Attach::Begin, "begin"),
            program(
                "kprobe_1",
                Attach::Kprobe {
                    symbol: "nf_ct_delete".to_owned(),
                    module: None,
                    offset: 0,
                },
                "kprobe:nf_ct_delete",
            ),
        ]
        .into_iter()
        .collect(),
        maps: [
            map("nt_x", MapKind::Array, None, plain),
            map("nt_sent", MapKind::PercpuHash, Some(key), Stored::Count),
        ]
        .into_iter()
        .collect(),
        events: IndexVec::new(),
        ring: None,
        control: None,
        settings: Settings::default(),
        entry: 0,
        sources: vec![("stdin".to_owned(), SCRIPT.to_owned())],
    };
    let [low, high] = Insn::ld_imm64(Reg(1), pseudo::MAP_FD, 0);
    let ret = [Insn::alu_imm(Alu::Mov, true, Reg(0), 0), Insn::exit()];
    let reloc = |insn, target| Reloc { insn, target };
    let begin = Code {
        insns: [low, high, Insn::store_imm(Size::Double, Reg(1), 0, 1)]
            .into_iter()
            .chain(ret)
            .collect(),
        relocs: vec![reloc(0, RelocTarget::MapValue(MapId(0), 0))],
        spans: vec![Span::new(8, 14); 5],
        stack_size: 0,
    };
    let kprobe = Code {
        insns: [low, high, Insn::call(pseudo::CALL, 0)]
            .into_iter()
            .chain(ret)
            .collect(),
        relocs: vec![
            reloc(0, RelocTarget::Map(MapId(1))),
            reloc(2, RelocTarget::Func(FuncId(2))),
        ],
        spans: [41, 41, 60, 18, 18]
            .map(|at| Span::new(at, at + 5))
            .to_vec(),
        stack_size: 0,
    };
    let sub = Code {
        insns: ret.to_vec(),
        relocs: Vec::new(),
        spans: vec![Span::new(41, 46); 2],
        stack_size: 0,
    };
    let functions = [("begin_0", begin), ("kprobe_1", kprobe), ("sub_2", sub)]
        .into_iter()
        .map(|(symbol, code)| Function {
            symbol: symbol.to_owned(),
            code,
            params: 1,
        })
        .collect();
    let mut sources = SourceMap::new();
    sources.add("stdin", SCRIPT);
    (plan, functions, sources)
}

fn object() -> Artifact {
    let (plan, functions, sources) = example();
    write(plan, &functions, &sources).expect("a consistent example")
}

/// What a tool prints about the object; `None` where it is not installed.
fn shown_by(tool: &str, args: &[&str]) -> Option<String> {
    let mut file = tempfile::Builder::new()
        .suffix(".bpf.o")
        .tempfile()
        .expect("a temporary file");
    file.write_all(&object().elf).expect("write");
    let output = Command::new(tool).args(args).arg(file.path()).output();
    match output {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{tool}: {errors}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(_) => {
            eprintln!("skipped: {tool} is not installed");
            None
        }
    }
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "`{line}` is missing in\n{text}");
    }
}

#[test]
fn the_plan_comes_back() {
    let artifact = object();
    assert_eq!(read(&artifact.elf).expect("our own object"), artifact.plan);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(object().elf, object().elf);
}

#[test]
fn llvm_objdump_reads_it() {
    let Some(text) = shown_by("llvm-objdump", &["-dr"]) else {
        return;
    };
    assert_lines(
        &text,
        &[
            "elf64-bpf",
            "Disassembly of section raw_tp/begin:",
            "<begin_0>:",
            "Disassembly of section kprobe/nf_ct_delete:",
            "<kprobe_1>:",
            "R_BPF_64_64\tnt_sent",
            "R_BPF_64_32\t.text",
        ],
    );
}

#[test]
fn bpftool_reads_its_types() {
    let Some(text) = shown_by("/usr/sbin/bpftool", &["btf", "dump", "file"]) else {
        return;
    };
    assert_lines(
        &text,
        &[
            "FUNC 'begin_0'",
            "linkage=global",
            "FUNC 'sub_2'",
            "linkage=static",
            "VAR 'nt_sent'",
            "DATASEC '.maps'",
            "'f0' type_id=",
            "'comm' type_id=",
        ],
    );
}

#[test]
fn programs_of_the_same_probe_share_a_section() {
    let (mut plan, mut functions, sources) = example();
    let mut twin = plan.programs[crate::artifact::ProgramId(1)].clone();
    twin.symbol = "kprobe_3".to_owned();
    plan.programs.push(twin);
    let mut code = functions[FuncId(1)].clone();
    code.symbol = "kprobe_3".to_owned();
    functions.push(code);
    let elf = write(plan, &functions, &sources).expect("written").elf;
    let name = b"kprobe/nf_ct_delete\0";
    // Once among the section names, once in BTF.
    assert_eq!(elf.windows(name.len()).filter(|w| w == name).count(), 2);
    assert_eq!(read(&elf).expect("read").programs.len(), 3);
}

#[test]
fn contradictions_are_reported() {
    let (plan, functions, sources) = example();
    let mut broken = functions.clone();
    broken[FuncId(1)].symbol = "other".to_owned();
    let error = write(plan.clone(), &broken, &sources).expect_err("no code");
    assert_eq!(error.to_string(), "no code for `kprobe_1`");
    let mut broken = functions;
    broken[FuncId(1)].code.relocs[0].insn = 3;
    let error = write(plan, &broken, &sources).expect_err("not an ld_imm64");
    assert_lines(&error.to_string(), &["`kprobe_1` cannot have"]);
}

#[test]
fn files_that_are_not_ours_are_refused_with_a_reason() {
    let message = |bytes: &[u8]| read(bytes).expect_err("refused").message;
    assert_eq!(message(b""), "this is not an object file");
    assert_eq!(message(b"begin { }"), "this is not an object file");
    assert_eq!(
        message(b"\x7fELF and then junk"),
        "the object file cannot be read"
    );
    let own = std::fs::read(std::env::current_exe().expect("a path")).expect("this test");
    assert_eq!(message(&own), "this object file holds no eBPF programs");

    let (mut plan, functions, sources) = example();
    plan.version = PLAN_VERSION + 1;
    let newer = write(plan, &functions, &sources).expect("written").elf;
    assert_eq!(
        message(&newer),
        "this object file was made by another version of nettrace"
    );
    let (mut plan, functions, sources) = example();
    plan.ring = Some(MapId(0));
    let wrong = write(plan, &functions, &sources).expect("written").elf;
    assert_eq!(message(&wrong), "the object file contradicts itself");
}

#[test]
fn every_damage_is_noticed() {
    let good = object().elf;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        assert!(read(&bad).is_err(), "byte {at} changed");
    }
    for end in (0..good.len()).step_by(7) {
        assert!(read(&good[..end]).is_err(), "cut at {end}");
    }
}
