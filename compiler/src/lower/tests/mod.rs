//! Scripts that run: text in, events and maps out.
//!
//! Every scenario is played three times: with the IR as lowering makes it, with the optimised IR, and with the bytecode. All three
//! must leave the same behind; that is what these tests show, and the text they compare with says what it should be.

mod arithmetic;
mod golden;
mod maps;
mod output;
mod percpu;
mod random;
mod records;
mod reference;
mod show;
mod stories;
mod text;
mod world;

use nettrace_grammar::{Sink, SourceMap, parse, render};

use self::world::World;
use super::{Lowered, Reads, lower};
use crate::artifact::{CONTROL_ENABLED, Plan};
use crate::check::{Options, check};
use crate::index::IndexVec;
use crate::ir::machine::{Fresh, Memory};
use crate::ir::{FuncId, Module, interp};
use crate::kernel::fixture::{FixtureKernel, kernels};
use crate::{bpf, pipeline};

/// What runs.
enum Code {
    Ir(Module),
    Bytecode(IndexVec<FuncId, bpf::Code>),
}

/// A script on a machine.
struct Machine {
    code: Code,
    world: World,
    memory: Memory,
}

impl Machine {
    fn new(code: Code, plan: &Plan) -> Machine {
        let mut memory = Memory::new();
        let mut world = World::new(plan, &mut memory);
        if let Some(control) = plan.control {
            let at = world.maps[control.0 as usize].entries[&vec![0; 4]][0];
            memory
                .store(at + u64::from(CONTROL_ENABLED), 8, 1)
                .expect("the control map");
        }
        world.sent.clear();
        Machine {
            code,
            world,
            memory,
        }
    }

    /// Kernel memory with these bytes.
    fn object(&mut self, bytes: &[u8]) -> u64 {
        let at = self.memory.allocate(bytes.len(), Fresh::Zero);
        self.memory.write(at, bytes).expect("fresh memory");
        at
    }

    /// Runs the n-th program with a context of these bytes; its result.
    fn run(&mut self, program: u32, context: &[u8]) -> u64 {
        let context = self.object(context);
        let (memory, world) = (&mut self.memory, &mut self.world);
        let func = FuncId(program);
        let result = match &self.code {
            Code::Ir(module) => interp::run(module, func, &[context], memory, world),
            Code::Bytecode(codes) => bpf::interp::run(codes, func, &[context], memory, world),
        };
        assert!(self.world.at_rest(), "a record was not given back");
        result.expect("the program runs")
    }

    /// Runs a kprobe with these arguments.
    fn call(&mut self, program: u32, args: &[u64]) -> u64 {
        let mut regs = [0; 168];
        for (arg, at) in args.iter().zip([112, 104, 96, 88, 72, 64]) {
            regs[at..at + 8].copy_from_slice(&arg.to_le_bytes());
        }
        self.run(program, &regs)
    }
}

/// A script as IR, before the optimiser.
#[track_caller]
fn lowered(script: &str, kernel: &FixtureKernel) -> Lowered {
    lowered_with(script, kernel, Reads::Helpers)
}

#[track_caller]
fn lowered_with(script: &str, kernel: &FixtureKernel, reads: Reads) -> Lowered {
    let mut sources = SourceMap::new();
    let file = sources.add("test.nt", script);
    let parsed = parse(&sources, file);
    let mut sink = Sink::new();
    sink.extend(parsed.diags);
    let program = check(&parsed.script, kernel, &Options::default(), &mut sink);
    let messages = render::render(&sources, sink.diagnostics(), false);
    match program {
        Ok(program) => lower(&program, kernel, reads, Vec::new()),
        Err(_) => panic!("{messages}"),
    }
}

/// Plays a scenario in all three ways and gives what is left.
#[track_caller]
fn play(script: &str, scenario: impl Fn(&mut Machine)) -> String {
    play_with(script, Reads::Helpers, scenario)
}

#[track_caller]
fn play_with(script: &str, reads: Reads, scenario: impl Fn(&mut Machine)) -> String {
    let kernel = kernels::linux_6_12();
    let raw = lowered_with(script, &kernel, reads);
    let mut module = raw.module.clone();
    if let Err(bug) = pipeline::optimise(&mut module) {
        panic!("{}\n{}", bug.message, raw.module);
    }
    let codes = bpf::emit_module(&module).expect("the script fits");
    let ways = [
        ("lowering", Code::Ir(raw.module)),
        ("optimised", Code::Ir(module)),
        ("bytecode", Code::Bytecode(codes)),
    ];
    let mut outcomes: Vec<(&str, String)> = Vec::new();
    for (name, code) in ways {
        let mut machine = Machine::new(code, &raw.plan);
        scenario(&mut machine);
        let outcome = show::outcome(&raw.plan, &machine.world, &mut machine.memory);
        outcomes.push((name, outcome));
    }
    let (_, first) = &outcomes[0];
    for (name, outcome) in &outcomes {
        assert_eq!(outcome, first, "{name} differs from lowering");
    }
    first.clone()
}

/// What a `begin` probe leaves behind.
#[track_caller]
fn begin(body: &str) -> String {
    play(&format!("begin {{ {body} }}"), |machine| {
        machine.run(0, &[0; 8]);
    })
}

#[track_caller]
fn shows(outcome: &str, expected: &str) {
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(outcome, expected.join("\n"));
}
