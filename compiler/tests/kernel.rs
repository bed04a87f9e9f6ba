//! Random programs in the kernel itself: its verifier must accept what the compiler emits, and its processor must agree with
//! the reference interpreter.
//!
//! Programs are loaded as `BPF_PROG_TYPE_SYSCALL` and run by `BPF_PROG_TEST_RUN`, so nothing is attached to anything. Needs the
//! right to call bpf(2); without it the tests say so and check nothing.

#[path = "common/program.rs"]
mod program;
mod syscall;

use std::io::Write;

use nettrace_compiler::artifact::MapId;
use nettrace_compiler::bpf::{self, Code, RelocTarget, disasm};
use nettrace_compiler::ir::machine::{Fault, Fresh, Kernel, Memory};
use nettrace_compiler::ir::{FuncId, Helper, Module, interp};
use program::{CONTEXT_SIZE, Maker, RING, Step, VALUE_SIZE, step};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use syscall::{Map, Program};

const MAPS: usize = 2;

/// What a run leaves in the maps, and its result as the kernel hands it out: 32 bits.
type Traces = (u32, Vec<Vec<u8>>);

/// The kernel's part in the interpreter: maps, and a ring that is never full and that nobody reads.
struct World {
    values: Vec<u64>,
    pid: u64,
}

impl Kernel for World {
    fn helper(
        &mut self,
        helper: Helper,
        args: [u64; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        match helper {
            Helper::GetCurrentPidTgid => Ok(self.pid),
            // Only goes into records, which are not compared.
            Helper::KtimeGetNs => Ok(0),
            Helper::RingbufReserve => Ok(memory.allocate(args[1] as usize, Fresh::Undefined)),
            Helper::RingbufOutput | Helper::RingbufSubmit => Ok(0),
            other => Err(Fault(format!("no stand-in for {}", other.name()))),
        }
    }

    fn kfunc(&mut self, id: u32, _: [u64; 5], _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("no stand-in for kfunc {id}")))
    }

    fn map(&mut self, _: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Ok(0)
    }

    fn map_value(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        let value = self.values.get(map.0 as usize).copied();
        value.ok_or_else(|| Fault(format!("{map} does not exist")))
    }
}

fn interpreted(module: &Module, context: &[u8]) -> Traces {
    let mut memory = Memory::new();
    let at = memory.allocate(context.len(), Fresh::Zero);
    memory.write(at, context).unwrap();
    let values = (0..MAPS).map(|_| memory.allocate(VALUE_SIZE, Fresh::Zero));
    let mut world = World {
        values: values.collect(),
        pid: syscall::pid_tgid(),
    };
    let result = interp::run(module, FuncId(0), &[at], &mut memory, &mut world).unwrap();
    let values = world.values.iter();
    let read = values.map(|&at| memory.read(at, VALUE_SIZE).unwrap());
    (result as u32, read.collect())
}

/// The code with the maps' file descriptors filled in.
fn linked(code: &Code, maps: &[Map]) -> Vec<[u8; 8]> {
    let mut insns = code.insns.clone();
    for reloc in &code.relocs {
        if let RelocTarget::Map(map) | RelocTarget::MapValue(map, _) = reloc.target {
            insns[reloc.insn].imm = maps[map.0 as usize].fd();
        }
    }
    insns.iter().map(|insn| insn.bytes()).collect()
}

/// `Err` is the reason why this machine cannot say.
fn in_kernel(code: &Code, context: &[u8]) -> Result<Traces, String> {
    let mut maps = Vec::new();
    for _ in 0..MAPS {
        maps.push(Map::array(VALUE_SIZE as u32)?);
    }
    maps.push(Map::ring(1 << 20)?);
    assert_eq!(maps.len() - 1, RING.0 as usize);
    let program = Program::load(&linked(code, &maps))?;
    let result = program.run(&mut context.to_vec())?;
    let values = maps[..MAPS].iter().map(|map| map.value(VALUE_SIZE));
    Ok((result, values.collect::<Result<_, _>>()?))
}

/// Steps that the kernel cannot do the same twice, or at all in this kind of program, are left out.
fn reproducible(steps: &mut Vec<Step>) {
    steps.retain(|step| !matches!(step, Step::Clock | Step::Kfunc(..)));
    for step in steps {
        match step {
            Step::If(_, a, b) | Step::IfCompare(_, _, _, a, b) => {
                reproducible(a);
                reproducible(b);
            }
            Step::Repeat(_, body) | Step::IfField(.., body) => reproducible(body),
            _ => {}
        }
    }
}

#[test]
fn the_kernel_agrees_with_the_interpreter() {
    if let Err(reason) = syscall::permitted() {
        // Not through the macro, which the harness would swallow.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: programs in the kernel: {reason}"
        );
        return;
    }
    let config = Config {
        cases: program::cases(60),
        failure_persistence: None,
        ..Config::default()
    };
    let programs = (
        proptest::collection::vec(step(), 0..30),
        proptest::collection::vec(any::<u8>(), CONTEXT_SIZE as usize),
    );
    let outcome = TestRunner::new(config).run(&programs, |(mut steps, context)| {
        reproducible(&mut steps);
        let mut module = Module::default();
        module.funcs.push(Maker::func(&steps));
        let expected = interpreted(&module, &context);
        for callee_saved in [4, 1] {
            let code = bpf::emit_with(&module.funcs[FuncId(0)], callee_saved);
            // Too large a frame is no answer either way.
            let Ok(code) = code else { continue };
            let found = in_kernel(&code, &context);
            prop_assert_eq!(
                found.as_ref(),
                Ok(&expected),
                "{}\n{}",
                module,
                disasm::text(&code)
            );
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
