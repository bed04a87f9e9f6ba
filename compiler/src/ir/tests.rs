//! The builder, the text form and the verifier, shown on short functions.

use nettrace_grammar::Span;

use super::parse::{parse, parse_func};
use super::verify::{Stage, verify, verify_func};
use super::*;

fn builder() -> FuncBuilder {
    FuncBuilder::new("f", FuncKind::Program, 1, Span::default())
}

#[track_caller]
fn finished(b: FuncBuilder, expected: &str) {
    let func = b.finish();
    verify_func(&func, Stage::Ir).expect("what the builder makes is valid");
    assert_eq!(func.to_string().trim(), unindent(expected));
}

/// Removes the indentation of the closing line of a raw string from all lines.
fn unindent(text: &str) -> String {
    let indent = text.lines().last().map_or(0, str::len);
    let lines: Vec<_> = text
        .trim_start_matches('\n')
        .lines()
        .map(|l| l.get(indent..).unwrap_or_default())
        .collect();
    lines.join("\n").trim().to_string()
}

/// `$x = 1; if (ctx) { $x = 2 } return $x`
#[test]
fn a_variable_written_on_one_way_becomes_a_parameter() {
    let mut b = builder();
    let x = b.declare_var();
    let one = b.iconst(1);
    b.write_var(x, one);
    let (then, join) = (b.create_block(), b.create_block());
    b.branch(b.param(0), then, join);
    b.seal_block(then);
    b.switch_to(then);
    let two = b.iconst(2);
    b.write_var(x, two);
    b.jump(join);
    b.seal_block(join);
    b.switch_to(join);
    let value = b.read_var(x);
    b.ret(value);
    finished(
        b,
        r#"
        program "f"
        b0(v0):
          v1 = const 1
          branch v0, b1, b2(v1)
        b1:
          v2 = const 2
          jump b2(v2)
        b2(v3):
          ret v3
        "#,
    );
}

/// A loop that changes one variable and leaves another alone.
#[test]
fn a_loop_carries_only_what_it_changes() {
    let mut b = builder();
    let (i, limit) = (b.declare_var(), b.declare_var());
    let ten = b.iconst(10);
    b.write_var(limit, ten);
    let (head, body, exit) = (b.create_block(), b.create_block(), b.create_block());
    b.jump(head);
    b.switch_to(head);
    let (now, end) = (b.read_var(i), b.read_var(limit));
    let more = b.compare(Cond::ULt, now, end);
    b.branch(more, body, exit);
    b.seal_block(body);
    b.switch_to(body);
    let now = b.read_var(i);
    let next = b.binary_imm(BinOp::Add, now, 1);
    b.write_var(i, next);
    b.jump(head);
    b.seal_block(head);
    b.seal_block(exit);
    b.switch_to(exit);
    let last = b.read_var(i);
    b.ret(last);
    finished(
        b,
        r#"
        program "f"
        b0(v0):
          v7 = const 0
          v1 = const 10
          jump b1(v7)
        b1(v2):
          v4 = ult v2, v1
          branch v4, b2, b3
        b2:
          v5 = const 1
          v6 = add v2, v5
          jump b1(v6)
        b3:
          ret v2
        "#,
    );
}

/// `return; $x = 1;` must not disturb what follows the statement that returns.
#[test]
fn statements_after_a_return_reach_nothing() {
    let mut b = builder();
    let x = b.declare_var();
    let (then, join) = (b.create_block(), b.create_block());
    b.branch(b.param(0), then, join);
    b.switch_to(then);
    let zero = b.iconst(0);
    b.ret(zero);
    assert!(b.is_terminated());
    let one = b.iconst(1);
    b.write_var(x, one);
    b.jump(join);
    b.switch_to(join);
    let value = b.read_var(x);
    b.ret(value);
    let func = b.finish();
    verify_func(&func, Stage::Ir).unwrap();
    assert!(
        func.blocks[join].params.is_empty(),
        "only one way leads to the join"
    );
}

#[test]
fn a_block_left_open_returns_zero() {
    finished(
        builder(),
        r#"
        program "f"
        b0(v0):
          v1 = const 0
          ret v1
        "#,
    );
}

/// Every instruction once, printed exactly as it was read.
#[test]
fn the_text_form_reads_back() {
    let text = r#"program "everything"
  s0: 16 bytes, align 8, "key of \"@m\""
b0(v0):
  v1 = const -5
  v2 = sdiv v0, v1
  v3 = sle v1, v2
  v4 = ext.s16 v3
  v5 = swap.4 v4
  v6 = addr s0+8
  v7 = map m0
  v8 = addr m1+16
  v9 = addr f1
  v10 = load.u32 v0+96
  store.u8 v6-1, v10
  atomic_add.u64 v8+0, v10
  v11 = atomic_add.u32 v8+8, v10
  zero v6+0, 8
  copy v6+0, v8+0, 8, align 8
  v12 = read.s8 user v10-4
  readcopy v6+0, kernel v10+4, 8
  v13 = call map_lookup_elem(v7, v6)
  v14 = kfunc 1234(v1, v2)
  v15 = call f1(v1)
  branch v13, b1(v14, v15), b2
b1(v16, v17):
  jump b2
b2:
  ret v1

subprogram "callback"
b0(v0):
  ret v0
"#;
    let module = parse(text).unwrap();
    verify(&module, Stage::Ir).unwrap();
    assert_eq!(module.to_string(), text);
}

#[track_caller]
fn rejected(text: &str, expected: &[&str]) {
    let func = parse_func(&format!("program \"f\"\n{text}")).unwrap();
    let errors = verify_func(&func, Stage::Bpf).expect_err("the function is wrong");
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected);
}

#[test]
fn the_verifier_lists_every_breach() {
    rejected(
        "b0(v0):\n jump b1\nb1(v1):\n jump b7",
        &[
            "f b0: jump to b1 passes 0 values, it takes 1",
            "f b1: jump to b7, which does not exist",
        ],
    );
    rejected(
        "b0(v0):\n branch v0, b1, b2\nb1:\n v1 = const 1\n jump b2\nb2:\n ret v1",
        &["f b2: v1 is not defined on every way here"],
    );
    rejected(
        "b0(v0):\n v2 = add v0, v1\n v1 = const 1\n ret v9",
        &[
            "f b0[0]: v1 is not defined on every way here",
            "f b0: v9 is not defined",
        ],
    );
    rejected(
        "b0(v0):\n v1 = read.u32 kernel v0+0\n v2 = call map_lookup_elem(v1)\n ret v1",
        &[
            "f b0[0]: `read.u32 kernel v0+0` must be gone before bpf",
            "f b0[1]: map_lookup_elem takes 2 arguments, not 1",
        ],
    );
    rejected(
        " s0: 4 bytes, align 4, \"key\"\nb0(v0):\n v1 = addr s0+0\n store.u64 v1+0, v0\n jump b0",
        &["f b0: jump to b0 passes 0 values, it takes 1"],
    );
    rejected(
        " s0: 4 bytes, align 4, \"key\"\nb0(v0):\n v1 = addr s0+0\n store.u64 v1+0, v0\n ret v0",
        &["f b0[1]: `store.u64 v1+0, v0` leaves s0 of 4 bytes"],
    );
}

#[test]
fn unreadable_text_is_refused_with_its_line() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        error("program \"f\"\nb0(v0):\n  v1 = frob v0\n"),
        "line 3: no instruction is called `frob`"
    );
    assert_eq!(
        error("b0(v0):\n"),
        "line 1: expected `program \"name\"` or `subprogram \"name\"` first"
    );
    assert_eq!(
        error("program \"f\"\nb0(v0):\n"),
        "line 2: b0 has no terminator"
    );
}
