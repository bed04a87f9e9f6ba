//! The object as its readers see it: our own reader, `llvm-objdump` and `bpftool`.

use std::io::Write as _;
use std::process::Command;

use super::*;
use crate::artifact::{
    Field, Layout, Map, MapKind, PLAN_VERSION, ScriptMap, Settings, Stored, Target,
};

const SCRIPT: &str = "begin { @x = 1; }\nkprobe:nf_ct_delete { @sent[pid, comm] = count(); }\n";

/// `opcode dst src off imm`, as in `struct bpf_insn`.
fn insn(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> [u8; 8] {
    let mut bytes = [opcode, dst | src << 4, 0, 0, 0, 0, 0, 0];
    bytes[2..4].copy_from_slice(&off.to_le_bytes());
    bytes[4..].copy_from_slice(&imm.to_le_bytes());
    bytes
}

const EXIT: u8 = 0x95;
const MOV_IMM: u8 = 0xb7;
const LD_IMM64: u8 = 0x18;
const CALL: u8 = 0x85;

fn target(attach: Attach, probe: &str) -> Target {
    Target {
        attach,
        probe: probe.to_owned(),
        cookie: 0,
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
        sources: vec![("stdin".to_owned(), SCRIPT.to_owned())],
    };
    let begin = Function {
        symbol: "begin_0".to_owned(),
        insns: vec![
            insn(LD_IMM64, 1, 0, 0, 0),
            insn(0, 0, 0, 0, 0),
            insn(0x7a, 1, 0, 0, 1), // *(u64 *)(r1 + 0) = 1
            insn(MOV_IMM, 0, 0, 0, 0),
            insn(EXIT, 0, 0, 0, 0),
        ],
        relocs: vec![Reloc {
            insn: 0,
            target: RelocTarget::MapValue(MapId(0), 0),
        }],
        spans: vec![Span::new(8, 14); 5],
        params: 1,
    };
    let kprobe = Function {
        symbol: "kprobe_1".to_owned(),
        insns: vec![
            insn(LD_IMM64, 1, 0, 0, 0),
            insn(0, 0, 0, 0, 0),
            insn(CALL, 0, 1, 0, 0),
            insn(MOV_IMM, 0, 0, 0, 0),
            insn(EXIT, 0, 0, 0, 0),
        ],
        relocs: vec![
            Reloc {
                insn: 0,
                target: RelocTarget::Map(MapId(1)),
            },
            Reloc {
                insn: 2,
                target: RelocTarget::Func(FuncId(2)),
            },
        ],
        spans: vec![
            Span::new(41, 46),
            Span::new(41, 46),
            Span::new(60, 65),
            Span::new(18, 24),
            Span::new(18, 24),
        ],
        params: 1,
    };
    let sub = Function {
        symbol: "sub_2".to_owned(),
        insns: vec![insn(MOV_IMM, 0, 0, 0, 0), insn(EXIT, 0, 0, 0, 0)],
        relocs: Vec::new(),
        spans: vec![Span::new(41, 46); 2],
        params: 1,
    };
    let mut sources = SourceMap::new();
    sources.add("stdin", SCRIPT);
    (plan, [begin, kprobe, sub].into_iter().collect(), sources)
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
    broken[FuncId(1)].relocs[0].insn = 3;
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
