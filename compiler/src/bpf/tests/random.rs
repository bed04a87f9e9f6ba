//! Random programs: the IR interpreter and the emitted bytes must agree in result, events and maps.
//!
//! Each program is compiled with all registers and with hardly any, so that spilling is exercised; the allocation checker
//! runs on each.

use proptest::prelude::*;

use super::program::{CONTEXT_SIZE, Maker, Step, cases, step};
use super::world::World;
use super::*;
use crate::ir::machine::{Fault, Fresh, Memory};

/// What a run leaves behind.
#[derive(Debug, PartialEq)]
struct Traces {
    result: u64,
    log: Vec<String>,
    maps: Vec<(MapId, Vec<u8>)>,
}

fn traces(
    context: &[u8],
    run: impl FnOnce(u64, &mut Memory, &mut World) -> Result<u64, Fault>,
) -> Traces {
    let mut memory = Memory::new();
    let mut world = World::default();
    let at = memory.allocate(context.len(), Fresh::Zero);
    memory.write(at, context).unwrap();
    let result = run(at, &mut memory, &mut world).expect("random programs run to their end");
    Traces {
        result,
        maps: world
            .maps(&mut memory)
            .into_iter()
            .filter(|(_, bytes)| bytes.iter().any(|b| *b != 0))
            .collect(),
        log: world.log,
    }
}

fn agree(steps: &[Step], context: &[u8]) {
    let func = Maker::func(steps);
    let mut module = Module::default();
    module.funcs.push(func);
    verify(&module, Stage::Bpf).expect("the builder makes valid IR");
    let expected = traces(context, |at, memory, world| {
        crate::ir::interp::run(&module, FuncId(0), &[at], memory, world)
    });
    for callee_saved in [4, 2, 0] {
        let code = match emit_with(&module.funcs[FuncId(0)], callee_saved) {
            Ok(code) => code,
            Err(error) if error.message.contains("bytes of stack") => continue,
            Err(error) => panic!("{error:?}"),
        };
        let text = disasm::text(&code);
        let codes = [code].into_iter().collect();
        let found = traces(context, |at, memory, world| {
            crate::bpf::interp::run(&codes, FuncId(0), &[at], memory, world)
                .map_err(|fault| Fault(format!("{fault}\n{text}")))
        });
        assert_eq!(found, expected, "{callee_saved}\n{module}\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytecode_does_what_the_ir_says(
        steps in proptest::collection::vec(step(), 0..40),
        context in proptest::collection::vec(any::<u8>(), CONTEXT_SIZE as usize),
    ) {
        agree(&steps, &context);
    }

    #[test]
    fn the_text_form_reads_back(steps in proptest::collection::vec(step(), 0..40)) {
        let text = Maker::func(&steps).to_string();
        let module = parse(&text).expect("printed IR is readable");
        prop_assert_eq!(module.to_string(), text);
    }

    #[test]
    fn any_text_is_ir_or_refused(text in "[ a-z0-9.,:()=+\"#\n-]{0,80}|\\PC{0,40}") {
        let wrapped = format!("program \"f\"\nb0(v0):\n v4294967295 = {text}\n ret v0\n");
        for text in [&text, &wrapped] {
            if let Ok(module) = parse(text) {
                let _ = verify(&module, Stage::Ir);
            }
        }
    }
}
