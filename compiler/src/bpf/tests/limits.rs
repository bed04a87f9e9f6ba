//! What does not fit into eBPF is told in the script's words; and the listing that people read.

use nettrace_grammar::SourceMap;

use super::*;
use crate::ir::SlotId;

fn errors(ir: &str) -> Vec<String> {
    let module = parse(ir).expect("readable IR");
    verify(&module, Stage::Bpf).expect("valid IR");
    let errors = emit_module(&module).expect_err("beyond the limits");
    errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn the_largest_slot_is_named_when_the_stack_is_full() {
    let module = parse(
        r#"program "f"
             s0: 300 bytes, align 8, "key of @m"
             s1: 256 bytes, align 8, "$name"
           b0(v0):
             v1 = addr s0+0
             v2 = addr s1+0
             copy v1+0, v0+0, 16, align 8
             copy v2+0, v0+0, 16, align 8
             copy v1+16, v2+0, 16, align 8
             v3 = load.u64 v1+0
             ret v3"#,
    )
    .unwrap();
    let error = emit(&module.funcs[FuncId(0)]).unwrap_err();
    assert_eq!(
        error.message,
        "key of @m takes 300 bytes; with everything else this probe needs 560 bytes of stack, eBPF has 512"
    );
    assert_eq!(error.span, module.funcs[FuncId(0)].slots[SlotId(0)].span);
}

#[test]
fn a_loop_body_shares_the_stack_with_its_probe() {
    let found = errors(
        r#"program "f"
             s0: 400 bytes, align 8, "key of @m"
           b0(v0):
             v1 = addr s0+0
             v2 = const 400
             v3 = call probe_read_kernel(v1, v2, v0)
             v4 = addr f1
             v5 = const 0
             v6 = call loop(v2, v4, v1, v5)
             ret v6
           subprogram "body"
             s0: 200 bytes, align 8, "$name"
           b0(v0, v1):
             v2 = addr s0+0
             v3 = const 200
             v4 = call probe_read_kernel(v2, v3, v1)
             ret v4"#,
    );
    assert_eq!(
        found,
        ["this probe and the loops in it need 640 bytes of stack, eBPF has 512"]
    );
}

/// A jump over 40000 stores.
#[test]
fn a_jump_that_is_too_long_is_refused() {
    let mut ir = "program \"f\"\nb0(v0):\n v1 = load.u64 v0+0\n v2 = addr m0+0\n".to_string();
    ir += " branch v1, b1, b2\nb1:\n";
    for off in 0..40_000 {
        ir += &format!(" store.u8 v2+{}, v1\n", off % 64);
    }
    ir += " jump b2\nb2:\n v4 = const 0\n ret v4\n";
    assert_eq!(
        errors(&ir),
        ["this probe is too long: a jump over 40000 instructions, eBPF allows 32767"]
    );
}

/// 200 values across a call: more than the stack holds.
#[test]
fn too_many_values_at_a_time() {
    let mut ir = "program \"f\"\nb0(v0):\n".to_string();
    for n in 1..200 {
        ir += &format!(" v{n} = load.u64 v0+{}\n", n * 8);
    }
    ir += " v200 = call ktime_get_ns()\n";
    for n in 1..200 {
        ir += &format!(" v{} = add v{}, v{n}\n", 200 + n, 199 + n);
    }
    ir += " ret v399\n";
    let found = errors(&ir);
    assert_eq!(
        found,
        ["this probe keeps too many values at a time: 1560 bytes of stack, eBPF has 512"]
    );
}

#[test]
fn the_listing_shows_the_script_between_the_instructions() {
    let script = "kprobe:f {\n  @n = arg0 + 1;\n  return;\n}";
    let mut sources = SourceMap::new();
    sources.add("x.nt", script);
    let mut b = crate::ir::FuncBuilder::new("f", crate::ir::FuncKind::Program, 1, Span::new(0, 8));
    let statement = script.find("@n").unwrap() as u32;
    b.set_span(Span::new(statement, statement + 2));
    let arg = b.load(crate::ir::Mem::U64, b.param(0), 112);
    let sum = b.binary_imm(crate::ir::BinOp::Add, arg, 1);
    let map = b.map_value(MapId(0), 0);
    b.store(crate::ir::Mem::U64, map, 0, sum);
    let statement = script.find("return").unwrap() as u32;
    b.set_span(Span::new(statement, statement + 6));
    let zero = b.iconst(0);
    b.ret(zero);
    let code = emit(&b.finish()).unwrap();
    assert_eq!(
        disasm::listing(&code, &sources),
        "; @n = arg0 + 1;
   0: r0 = *(u64 *)(r1 +112)
   1: r0 += 1
   2: r1 = map[m0][0]+0
   4: *(u64 *)(r1 +0) = r0
; return;
   5: r0 = 0
   6: exit
"
    );
}
