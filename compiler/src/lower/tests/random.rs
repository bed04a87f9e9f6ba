//! Random expressions: all ways to run a script agree with the plain meaning of its typed program.

use nettrace_grammar::{Sink, SourceMap, parse};
use proptest::prelude::*;

use super::reference::Reference;
use super::{Code, Machine};
use crate::artifact::Layout;
use crate::check::{Options, check};
use crate::kernel::fixture::kernels;
use crate::{bpf, lower, pipeline};

/// Numbers where mistakes live: around 0, the ends of every width, powers of two.
fn number() -> impl Strategy<Value = u64> {
    let edges = vec![
        0,
        1,
        2,
        7,
        63,
        64,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 32,
        1 << 62,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    prop_oneof![3 => prop::sample::select(edges), 1 => any::<u64>()]
}

fn operand() -> impl Strategy<Value = String> {
    let vars = vec!["$a", "$b", "$c", "$d", "$e", "$f"];
    prop_oneof![
        4 => prop::sample::select(vars).prop_map(str::to_string),
        1 => (0u64..300).prop_map(|n| n.to_string()),
        1 => number().prop_map(|n| format!("{n}")),
        1 => (1i64..1000).prop_map(|n| format!("-{n}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let operators = vec![
        "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "==", "!=", "<", ">", "<=", ">=", "&&",
        "||",
    ];
    let casts = vec![
        "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "bool",
    ];
    operand().prop_recursive(4, 24, 3, move |inner| {
        prop_oneof![
            6 => (inner.clone(), prop::sample::select(operators.clone()), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            2 => (prop::sample::select(casts.clone()), inner.clone())
                .prop_map(|(ty, a)| format!("(({ty})({a}))")),
            1 => (prop::sample::select(vec!["-", "~", "!"]), inner.clone())
                .prop_map(|(op, a)| format!("({op}({a}))")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("({c} ? (int64){a} : (int64){b})")),
            // The pattern that the optimiser knows.
            1 => inner.prop_map(|a| {
                format!("(((uint16)({a}) >> 8) | (((uint16)({a}) << 8) & 0xff00))")
            }),
        ]
    })
}

/// What the ways to run the script print; `None` when check refuses it (a constant that overflows, say).
fn compare(script: &str, args: &[u64]) -> Option<()> {
    let kernel = kernels::linux_6_12();
    let mut sources = SourceMap::new();
    let file = sources.add("random.nt", script);
    let mut sink = Sink::new();
    let program = check(
        &parse(&sources, file).script,
        &kernel,
        &Options::default(),
        &mut sink,
    )
    .ok()?;
    let expected = Reference::run(&program, args);
    let raw = lower::lower(&program, &kernel, Default::default(), Vec::new());
    let mut module = raw.module.clone();
    pipeline::optimise(&mut module).expect("the passes keep the contract");
    let codes = bpf::emit_module(&module).expect("the script fits");
    for (name, code) in [
        ("lowering", Code::Ir(raw.module)),
        ("optimised", Code::Ir(module.clone())),
        ("bytecode", Code::Bytecode(codes)),
    ] {
        let mut machine = Machine::new(code, &raw.plan);
        machine.call(0, args);
        let printed: Vec<i128> = machine
            .world
            .sent
            .iter()
            .zip(raw.plan.events.iter())
            .map(|(record, event)| number_in(&event.fields[0].layout, &record[8..]))
            .collect();
        assert_eq!(printed, expected, "{name}\n{script}\n{args:x?}\n{module}");
    }
    Some(())
}

fn number_in(layout: &Layout, bytes: &[u8]) -> i128 {
    let mut all = [0; 8];
    let size = layout.size() as usize;
    all[..size].copy_from_slice(&bytes[..size]);
    let shift = 64 - 8 * layout.size();
    let value = u64::from_le_bytes(all);
    match layout {
        Layout::Int { signed: true, .. } => i128::from((value << shift) as i64 >> shift),
        _ => i128::from(value),
    }
}

fn script(first: &str, second: &str) -> String {
    format!(
        "kprobe:nf_ct_delete {{
            $a = arg0; $b = (int64)arg1; $c = (uint8)arg2; $d = (int32)arg3; $e = (uint16)arg4; $f = (int8)arg5;
            print({first});
            if ({second}) {{ $a = (uint64)({first}); $c++; }} else {{ --$d; }}
            print($a); print($c); print($d);
            print({second});
        }}"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_way_to_run_an_expression_gives_its_meaning(
        first in expression(),
        second in expression(),
        args in prop::collection::vec(number(), 6),
    ) {
        prop_assume!(compare(&script(&first, &second), &args).is_some());
    }
}

/// Shares of random scripts may be refused, but not most of them: the test above would show nothing.
#[test]
fn ordinary_expressions_are_accepted() {
    let accepted = compare(&script("$a * 3 + $d / $f", "$b < $c"), &[1, 2, 3, 4, 5, 6]);
    assert!(accepted.is_some());
}
