//! Hand-made programs in the machine's own kernel: what needs no kernel function to be traced works on any kernel.
//!
//! Needs root; skipped, with a word on standard error, without it.

use std::cell::Cell;
use std::time::Duration;

use nettrace_compiler::artifact::{
    self, Layout, MapKind, MissingProbes, PLAN_VERSION, ScriptMap, Settings, Stored, control_size,
};
use nettrace_compiler::bpf::insn::{Alu, Insn, Jump, Reg, Size, pseudo};
use nettrace_compiler::bpf::{Code, Reloc, RelocTarget};
use nettrace_compiler::ir::FuncId;
use nettrace_compiler::object::Function;
use nettrace_grammar::Span;

use super::*;
use crate::ring::Ring as _;
use crate::sys::faults;
use crate::testing::NoFunctions;

const SCRIPT: &str = "begin { one(); }\ntracepoint:a:b { two(); }\n";
const COUNT: MapId = MapId(0);
const CONTROL: MapId = MapId(1);
const RING: MapId = MapId(2);
const PER_CPU: MapId = MapId(3);

fn root() -> bool {
    // SAFETY: takes nothing, cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

/// Instructions and what they refer to.
#[derive(Default)]
struct Asm {
    code: Code,
    span: Span,
}

impl Asm {
    fn at(text: &str) -> Asm {
        let lo = SCRIPT.find(text).expect("in the script") as u32;
        Asm {
            code: Code::default(),
            span: Span::new(lo, lo + text.len() as u32),
        }
    }

    fn then(mut self, insns: impl IntoIterator<Item = Insn>) -> Asm {
        for insn in insns {
            self.code.insns.push(insn);
            self.code.spans.push(self.span);
        }
        self
    }

    fn reference(mut self, reg: u8, kind: u8, target: RelocTarget) -> Asm {
        let insn = self.code.insns.len();
        self.code.relocs.push(Reloc { insn, target });
        self.then(Insn::ld_imm64(Reg(reg), kind, 0))
    }

    /// `count += 1`
    fn count(self) -> Asm {
        self.reference(1, pseudo::MAP_VALUE, RelocTarget::MapValue(COUNT, 0))
            .then([
                Insn::alu_imm(Alu::Mov, true, Reg(2), 1),
                Insn::atomic_add(Size::Double, Reg(1), 0, Reg(2), false),
            ])
    }

    /// Leaves the program unless programs may record.
    fn if_enabled(self, body: impl FnOnce(Asm) -> Asm) -> Asm {
        let this = self
            .reference(1, pseudo::MAP_VALUE, RelocTarget::MapValue(CONTROL, 0))
            .then([
                Insn::load(Size::Double, Reg(1), Reg(1), 0),
                Insn::jump_imm(Jump::Ne, true, Reg(1), 0, 2),
            ]);
        body(this.exit())
    }

    fn exit(self) -> Asm {
        self.then([Insn::alu_imm(Alu::Mov, true, Reg(0), 0), Insn::exit()])
    }
}

fn map(
    symbol: &str,
    kind: MapKind,
    sizes: (u32, u32, u32),
    script: Option<ScriptMap>,
) -> artifact::Map {
    artifact::Map {
        symbol: symbol.to_owned(),
        kind,
        key_size: sizes.0,
        value_size: sizes.1,
        max_entries: sizes.2,
        flags: 0,
        script,
    }
}

fn plan(missing_probes: MissingProbes, programs: Vec<Program>) -> Plan {
    let unsigned = |bytes| Layout::Int {
        bytes,
        signed: false,
    };
    let script = |name: &str, key, value| {
        Some(ScriptMap {
            name: name.to_owned(),
            key,
            value,
        })
    };
    let count = script("@count", None, Stored::Plain(unsigned(8)));
    let per_cpu = script("@cpu", Some(unsigned(4)), Stored::Count);
    let control = control_size(programs.len());
    Plan {
        version: PLAN_VERSION,
        maps: [
            map("nt_count", MapKind::Array, (4, 8, 1), count),
            map("nt_control", MapKind::Array, (4, control, 1), None),
            map("nt_ring", MapKind::Ringbuf, (0, 0, 4096), None),
            map("nt_cpu", MapKind::PercpuHash, (4, 8, 100), per_cpu),
        ]
        .into_iter()
        .collect(),
        programs: programs.into_iter().collect(),
        events: IndexVec::new(),
        ring: Some(RING),
        control: Some(CONTROL),
        entry: 0,
        settings: Settings {
            missing_probes,
            ..Settings::default()
        },
        sources: vec![("test.nt".to_owned(), SCRIPT.to_owned())],
    }
}

fn program(symbol: &str, attach: Attach, probe: &str) -> Program {
    let lo = SCRIPT.find("tracepoint").expect("in the script") as u32;
    let span = match attach {
        Attach::Begin => (0, 5),
        _ => (lo, lo + 14),
    };
    Program {
        symbol: symbol.to_owned(),
        targets: vec![Target {
            attach,
            probe: probe.to_owned(),
            cookie: 0,
            packet: None,
            span,
        }],
        span,
        uses_cookie: false,
    }
}

/// The object of programs with their code, and further subprograms.
fn object_of(missing: MissingProbes, programs: Vec<(Program, Asm)>, subs: Vec<Asm>) -> Vec<u8> {
    let mut functions: IndexVec<FuncId, Function> = IndexVec::new();
    let mut planned = Vec::new();
    for (program, asm) in programs {
        functions.push(Function {
            symbol: program.symbol.clone(),
            code: asm.code,
            params: 1,
        });
        planned.push(program);
    }
    for (number, asm) in subs.into_iter().enumerate() {
        functions.push(Function {
            symbol: format!("sub_{number}"),
            code: asm.code,
            params: 2,
        });
    }
    let mut sources = SourceMap::new();
    sources.add("test.nt", SCRIPT);
    nettrace_compiler::object::write(plan(missing, planned), &functions, &sources)
        .expect("a consistent test")
        .elf
}

fn load(elf: &[u8]) -> Result<Loaded, Vec<Diagnostic>> {
    Loaded::load(elf, &NoFunctions, LoadOptions::default())
}

fn begin(asm: Asm) -> Vec<u8> {
    let program = program("begin_0", Attach::Begin, "begin");
    object_of(MissingProbes::Error, vec![(program, asm)], Vec::new())
}

fn counted(loaded: &mut Loaded) -> u64 {
    let contents = loaded.entries(COUNT).expect("readable");
    u64::from_ne_bytes(contents.values.try_into().expect("one value"))
}

fn raw_tracepoint() -> Program {
    let attach = Attach::RawTracepoint {
        event: "sys_enter".to_owned(),
        module: None,
    };
    program("raw_1", attach, "rawtracepoint:sys_enter")
}

fn tracepoint(event: &str) -> Program {
    let attach = Attach::Tracepoint {
        category: "sched".to_owned(),
        event: event.to_owned(),
    };
    program("tp_1", attach, &format!("tracepoint:sched:{event}"))
}

fn no_stop() -> bool {
    false
}

#[test]
fn begin_runs_once_and_its_map_is_read() {
    if !root() {
        return;
    }
    let mut loaded = load(&begin(Asm::at("one();").count().exit())).expect("loads");
    assert_eq!(counted(&mut loaded), 0);
    loaded.run_begin().expect("runs");
    assert_eq!(counted(&mut loaded), 1);
    let control = loaded.entries(CONTROL).expect("readable").values;
    let word = |offset: u32| control[offset as usize..][..8].to_vec();
    assert_eq!(word(artifact::CONTROL_ENABLED), [0; 8], "not yet");
    assert_ne!(word(artifact::CONTROL_START), [0; 8], "time counts");
    loaded.zero(COUNT).expect("zeroes");
    assert_eq!(counted(&mut loaded), 0);
}

#[test]
fn subprograms_are_linked_as_callbacks_and_calls() {
    if !root() {
        return;
    }
    const BPF_LOOP: i32 = 181;
    let body = Asm::at("one();")
        .then([Insn::alu_imm(Alu::Mov, true, Reg(1), 5)])
        .reference(2, pseudo::FUNC, RelocTarget::Func(FuncId(1)))
        .then([
            Insn::alu_imm(Alu::Mov, true, Reg(3), 0),
            Insn::alu_imm(Alu::Mov, true, Reg(4), 0),
            Insn::call(0, BPF_LOOP),
            Insn::alu_imm(Alu::Mov, true, Reg(1), 0),
            Insn::alu_imm(Alu::Mov, true, Reg(2), 0),
        ]);
    let mut body = body;
    let insn = body.code.insns.len();
    body.code.relocs.push(Reloc {
        insn,
        target: RelocTarget::Func(FuncId(1)),
    });
    let body = body.then([Insn::call(pseudo::CALL, 0)]).exit();
    let program = program("begin_0", Attach::Begin, "begin");
    let callback = Asm::at("two();").count().exit();
    let elf = object_of(MissingProbes::Error, vec![(program, body)], vec![callback]);
    let mut loaded = load(&elf).expect("loads");
    loaded.run_begin().expect("runs");
    assert_eq!(
        counted(&mut loaded),
        6,
        "five times as a callback, once called"
    );
}

#[test]
fn records_come_through_the_ring_buffer() {
    if !root() {
        return;
    }
    const RINGBUF_OUTPUT: i32 = 130;
    let body = Asm::at("one();")
        .then([Insn::store_imm(Size::Double, Reg::FP, -8, 42)])
        .reference(1, pseudo::MAP_FD, RelocTarget::Map(RING))
        .then([
            Insn::alu(Alu::Mov, true, Reg(2), Reg::FP),
            Insn::alu_imm(Alu::Add, true, Reg(2), -8),
            Insn::alu_imm(Alu::Mov, true, Reg(3), 8),
            Insn::alu_imm(Alu::Mov, true, Reg(4), 0),
            Insn::call(0, RINGBUF_OUTPUT),
        ])
        .exit();
    let mut loaded = load(&begin(body)).expect("loads");
    let mut ring = loaded.ring().expect("mapped").expect("there is one");
    let mut next = || {
        let mut seen = None;
        ring.next_record(&mut |record| seen = Some(record.to_vec()));
        seen
    };
    assert!(next().is_none());
    loaded.run_begin().expect("runs");
    assert_eq!(next().as_deref(), Some(&42u64.to_ne_bytes()[..]));
    assert!(next().is_none());
}

#[test]
fn raw_tracepoints_fire_between_attach_and_detach_only() {
    if !root() {
        return;
    }
    let body = Asm::at("two();").if_enabled(|asm| asm.count().exit());
    let elf = object_of(
        MissingProbes::Error,
        vec![(raw_tracepoint(), body)],
        Vec::new(),
    );
    let mut loaded = load(&elf).expect("loads");
    loaded.check_host().expect("needs nothing");
    let attached = loaded.attach(&NoFunctions, &no_stop).expect("attaches");
    assert_eq!(attached, Attached::All(1, Vec::new()));
    for _ in 0..100 {
        // SAFETY: takes nothing, cannot fail.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    loaded.silence();
    let count = counted(&mut loaded);
    assert!(count >= 100, "{count}");
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(counted(&mut loaded), count);
}

#[test]
fn tracepoints_fire() {
    if !root() {
        return;
    }
    let body = Asm::at("two();").if_enabled(|asm| asm.count().exit());
    let programs = vec![(tracepoint("sched_switch"), body)];
    let elf = object_of(MissingProbes::Error, programs, Vec::new());
    let mut loaded = load(&elf).expect("loads");
    loaded
        .check_host()
        .expect("tracefs is there or can be mounted");
    loaded.attach(&NoFunctions, &no_stop).expect("attaches");
    std::thread::sleep(Duration::from_millis(20));
    loaded.silence();
    assert!(counted(&mut loaded) > 0);
}

#[test]
fn a_missing_tracepoint_is_told_at_its_place() {
    if !root() {
        return;
    }
    let body = || Asm::at("two();").count().exit();
    let elf = |missing| object_of(missing, vec![(tracepoint("nonsense"), body())], Vec::new());
    let mut loaded = load(&elf(MissingProbes::Error)).expect("loads");
    let problems = loaded.attach(&NoFunctions, &no_stop).expect_err("missing");
    let [problem] = problems.as_slice() else {
        panic!("one problem, not {problems:?}");
    };
    assert_eq!(problem.code, codes::NO_SUCH_TARGET);
    assert_eq!(
        problem.message,
        "this kernel has no tracepoint `sched:nonsense`"
    );
    let place = problem.primary_span().expect("a place");
    assert_eq!(loaded.sources().text(place), "tracepoint:a:b");

    // With nothing else to do, a warning alone would leave a tracer that waits for nothing.
    let mut loaded = load(&elf(MissingProbes::Warn)).expect("loads");
    let problems = loaded.attach(&NoFunctions, &no_stop).expect_err("nothing");
    assert_eq!(problems[0].code, codes::MISSING_TARGET);
    assert_eq!(problems[1].message, "no probe is left to attach");
}

#[test]
fn a_missing_target_is_skipped_on_request() {
    if !root() {
        return;
    }
    let body = || Asm::at("two();").count().exit();
    let programs = vec![(tracepoint("nonsense"), body()), (raw_tracepoint(), body())];
    let mut loaded = load(&object_of(MissingProbes::Warn, programs, Vec::new())).expect("loads");
    let attached = loaded.attach(&NoFunctions, &no_stop).expect("goes on");
    assert_eq!(attached, Attached::All(1, Vec::new()));
    let warnings = loaded.take_warnings();
    assert_eq!(
        warnings[0].message,
        "`tracepoint:sched:nonsense` is skipped: this kernel has no tracepoint `sched:nonsense`"
    );
}

#[test]
fn what_a_wildcard_matches_and_cannot_be_attached_is_left_out() {
    if !root() {
        return;
    }
    let elf = |events: &[&str]| {
        let mut pattern = tracepoint("sched_switch");
        let first = pattern.targets[0].clone();
        pattern.targets = events
            .iter()
            .map(|event| Target {
                attach: tracepoint(event).targets[0].attach.clone(),
                ..first.clone()
            })
            .collect();
        let body = Asm::at("two();").count().exit();
        object_of(MissingProbes::Error, vec![(pattern, body)], Vec::new())
    };
    let mut loaded = load(&elf(&["sched_switch", "nonsense"])).expect("loads");
    let attached = loaded.attach(&NoFunctions, &no_stop).expect("goes on");
    assert_eq!(attached, Attached::All(1, Vec::new()));
    let warnings = loaded.take_warnings();
    let [warning] = warnings.as_slice() else {
        panic!("one warning, not {warnings:?}");
    };
    assert_eq!(warning.message, "1 of 2 targets of this pattern is skipped");
    let mut loaded = load(&elf(&["nonsense", "nonsense2"])).expect("loads");
    let problems = loaded.attach(&NoFunctions, &no_stop).expect_err("nothing");
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0].code, codes::NO_SUCH_TARGET);
}

#[test]
fn a_stop_while_attaching_detaches_everything() {
    if !root() {
        return;
    }
    let body = || Asm::at("two();").count().exit();
    let programs = vec![
        (raw_tracepoint(), body()),
        (tracepoint("sched_switch"), body()),
    ];
    let mut loaded = load(&object_of(MissingProbes::Error, programs, Vec::new())).expect("loads");
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 1
    };
    let attached = loaded.attach(&NoFunctions, &stop).expect("no problem");
    assert_eq!(attached, Attached::Stopped);
    loaded.detach(&stop);
    let count = counted(&mut loaded);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(counted(&mut loaded), count);
}

#[test]
fn a_refused_program_is_told_on_the_scripts_line() {
    if !root() {
        return;
    }
    let mut asm = Asm::at("one();").then([Insn::alu_imm(Alu::Mov, true, Reg(0), 0)]);
    asm.span = Asm::at("two();").span;
    // A number is no pointer.
    let asm = asm
        .then([Insn::load(Size::Double, Reg(1), Reg(0), 0)])
        .exit();
    let problems = load(&begin(asm)).expect_err("refused");
    let [problem] = problems.as_slice() else {
        panic!("one problem, not {problems:?}");
    };
    assert_eq!(problem.code, codes::VERIFIER);
    let place = problem.primary_span().expect("a place");
    let mut sources = SourceMap::new();
    sources.add("test.nt", SCRIPT);
    assert_eq!(sources.text(place), "two(); }");
    assert!(
        problem.notes[0].contains("invalid mem access"),
        "{problem:?}"
    );
}

#[test]
fn without_kprobes_the_message_names_the_option_and_what_works() {
    if !root() || std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        return;
    }
    let attach = Attach::Kprobe {
        symbol: "nf_ct_delete".to_owned(),
        module: None,
        offset: 0,
    };
    let kprobe = program("kprobe_1", attach, "kprobe:nf_ct_delete");
    let elf = object_of(
        MissingProbes::Error,
        vec![(kprobe, Asm::at("two();").count().exit())],
        Vec::new(),
    );
    let mut loaded = load(&elf).expect("verifies even so");
    let before = loaded.check_host().expect_err("no kprobes");
    assert_eq!(before[0].code, codes::NO_KPROBES);
    assert!(before[0].notes[0].contains("CONFIG_KPROBES"));
    assert!(before[0].help[0].contains("rawtracepoint"));
    let at_attach = loaded
        .attach(&NoFunctions, &no_stop)
        .expect_err("no kprobes");
    assert_eq!(at_attach, before);
}

#[test]
fn a_policy_against_fentry_is_told_as_such() {
    if !root() {
        return;
    }
    let attach = Attach::Fentry {
        symbol: "present".to_owned(),
        module: None,
    };
    let fentry = program("fentry_1", attach, "fentry:present");
    let body = Asm::at("two();").count().exit();
    let elf = object_of(MissingProbes::Error, vec![(fentry, body)], Vec::new());
    faults::plan("BPF_PROG_LOAD", libc::EPERM);
    faults::plan("BPF_PROG_LOAD", libc::EPERM);
    let problems = load(&elf).expect_err("refused");
    assert_eq!(
        problems[0].message,
        "this machine does not let fentry and fexit programs be loaded"
    );
}

#[test]
fn functions_that_a_trampoline_itself_needs_are_refused() {
    if !root() {
        return;
    }
    let attach = Attach::Fentry {
        symbol: "migrate_disable".to_owned(),
        module: None,
    };
    let fentry = program("fentry_1", attach, "fentry:migrate_disable");
    let body = Asm::at("two();").count().exit();
    let elf = object_of(MissingProbes::Error, vec![(fentry, body)], Vec::new());
    let problems = load(&elf).expect_err("refused");
    assert_eq!(problems[0].code, codes::NOT_TRACEABLE);
}

#[test]
fn an_unknown_function_is_told_with_the_nearest_name() {
    if !root() {
        return;
    }
    let attach = |module: Option<&str>| Attach::Fexit {
        symbol: "presnt".to_owned(),
        module: module.map(str::to_owned),
    };
    let elf = |module| {
        let fexit = program("fexit_1", attach(module), "fexit:presnt");
        let body = Asm::at("two();").count().exit();
        object_of(MissingProbes::Error, vec![(fexit, body)], Vec::new())
    };
    let problems = load(&elf(None)).expect_err("missing");
    assert_eq!(problems[0].message, "this kernel has no function `presnt`");
    assert_eq!(problems[0].help[0], "did you mean `present`?");
    let problems = load(&elf(Some("nf_tables"))).expect_err("missing");
    assert_eq!(problems[0].message, "module `nf_tables` is not loaded");
    assert_eq!(problems[0].help[0], "modprobe nf_tables");
}

#[test]
fn missing_privilege_names_what_is_missing() {
    if !root() {
        return;
    }
    let elf = begin(Asm::at("one();").exit());
    faults::plan("BPF_MAP_CREATE", libc::EPERM);
    let problems = load(&elf).expect_err("refused");
    assert_eq!(problems[0].code, codes::NO_PRIVILEGE);
    assert_eq!(problems[0].message, "not allowed to create map `@count`");
}

#[test]
fn per_cpu_hashes_are_read_whole_in_both_ways() {
    if !root() {
        return;
    }
    let loaded = load(&begin(Asm::at("one();").exit())).expect("loads");
    let map = &loaded.maps[PER_CPU];
    let stride = 8 * crate::maps::possible_cpus();
    for key in 0u32..50 {
        let value: Vec<u8> = (0..stride).map(|i| key as u8 + i as u8).collect();
        sys::map::update(map.as_fd(), &key.to_ne_bytes(), &value).expect("room");
    }
    let sorted = |contents: &Entries| {
        assert_eq!((contents.key_size, contents.value_size), (4, stride));
        let keys = contents.keys.chunks(4).map(<[u8]>::to_vec);
        let values = contents.values.chunks(stride).map(<[u8]>::to_vec);
        let mut all: Vec<_> = keys.zip(values).collect();
        all.sort();
        all
    };
    let batch = sorted(&map.entries().expect("readable"));
    assert_eq!(batch.len(), 50);
    faults::plan("BPF_MAP_LOOKUP_BATCH", libc::EINVAL);
    assert_eq!(sorted(&map.entries().expect("readable")), batch);
    map.clear().expect("clears");
    assert!(map.entries().expect("readable").keys.is_empty());
}

/// A layout of every kind.
fn layouts() -> Vec<Layout> {
    let int = |bytes, signed| Layout::Int { bytes, signed };
    let field = |name: &str, offset, layout| artifact::Field {
        name: name.to_owned(),
        offset,
        layout,
    };
    let bits = |shift| Layout::Bits {
        bytes: 4,
        shift,
        width: 3,
        signed: false,
    };
    let names = |values: &[i64]| Layout::Enum {
        bytes: 4,
        signed: true,
        names: values.iter().map(|v| (*v, format!("V{}", v & 7))).collect(),
    };
    let stack = |user| Layout::Stack {
        user,
        frames: 5,
        mode: artifact::StackMode::Bpftrace,
    };
    let record = Layout::Record {
        fields: vec![
            field("value", 0, int(4, true)),
            // A bit-field beside a whole one, as in a union.
            field("bits", 0, bits(4)),
            field("more", 0, bits(7)),
            field("next", 8, Layout::Pointer),
            field("not an identifier", 16, Layout::Mac),
        ],
        size: 24,
    };
    let tuple = Layout::Tuple {
        fields: vec![
            field("", 0, int(1, false)),
            field("", 8, record.clone()),
            field("", 32, Layout::Str { cap: 3 }),
        ],
        size: 40,
    };
    vec![
        int(1, true),
        int(2, false),
        int(8, true),
        Layout::Bool,
        names(&[0, 1, -1]),
        names(&[1 << 40]),
        names(&[]),
        Layout::Pointer,
        Layout::Str { cap: 64 },
        Layout::Buf { cap: 7 },
        stack(false),
        stack(true),
        Layout::KSym,
        Layout::USym,
        Layout::Inet { v6: false },
        Layout::Inet { v6: true },
        Layout::InetAny,
        Layout::Mac,
        Layout::ProbeName,
        Layout::Array {
            elem: Box::new(record.clone()),
            len: 3,
        },
        record,
        tuple,
    ]
}

#[test]
fn the_kernel_takes_the_types_of_every_layout() {
    if !root() {
        return;
    }
    for layout in layouts() {
        let mut plan = plan(MissingProbes::Error, Vec::new());
        let size = layout.size();
        let both = ScriptMap {
            name: "@both".to_owned(),
            key: Some(layout.clone()),
            value: Stored::Plain(layout.clone()),
        };
        let map = map("nt_both", MapKind::Hash, (size, size, 10), Some(both));
        let id = plan.maps.push(map);
        let elf = nettrace_compiler::object::write(plan, &IndexVec::new(), &SourceMap::new())
            .expect("a consistent test")
            .elf;
        let parsed = Parsed::new(&elf).expect("parses");
        let btf = sys::btf::load(&parsed.btf).unwrap_or_else(|e| panic!("{layout:?}: {e}"));
        let (key_type, value_type) = parsed.map_types("nt_both").expect("has types");
        let create = sys::map::MapCreate {
            name: "both",
            kind: MapKind::Hash as u32,
            key_size: size,
            value_size: size,
            max_entries: 10,
            flags: 0,
            btf: Some((btf.as_fd(), key_type, value_type)),
        };
        // Without a second attempt that leaves the types out.
        create
            .create()
            .unwrap_or_else(|e| panic!("{id} {layout:?}: {e}"));
    }
}

#[test]
fn nothing_is_left_behind() {
    if !root() {
        return;
    }
    let body = Asm::at("two();").count().exit();
    let elf = object_of(
        MissingProbes::Error,
        vec![(raw_tracepoint(), body)],
        Vec::new(),
    );
    let mut loaded = load(&elf).expect("loads");
    loaded.attach(&NoFunctions, &no_stop).expect("attaches");
    let Some(Prepared::Shared(program)) = loaded.programs.get(ProgramId(0)) else {
        panic!("not loaded");
    };
    let program = sys::prog::id(program.as_fd()).expect("an id");
    assert!(sys::prog::exists(program));
    drop(loaded);
    // The kernel lets go of it after a grace period.
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !sys::prog::exists(program)
    });
    assert!(gone, "program {program} is still there");
}
