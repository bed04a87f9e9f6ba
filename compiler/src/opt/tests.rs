//! Each pass on a short function: what goes in, what comes out.

use super::*;
use crate::ir::parse::parse_func;
use crate::ir::verify::{Stage, verify_func};

/// Runs a pass on the body of a program and compares.
#[track_caller]
fn becomes(pass: fn(&mut Func), before: &str, after: &str) {
    let mut func =
        parse_func(&format!("program \"f\"\n{before}")).expect("the test's IR is well-formed");
    verify_func(&func, Stage::Ir).expect("the test's IR is valid");
    pass(&mut func);
    if let Err(errors) = verify_func(&func, Stage::Ir) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("the pass broke the function: {errors:?}\n{func}");
    }
    let text = func.to_string();
    let trim = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_string());
        lines
            .filter(|line| !line.is_empty() && !line.starts_with("program"))
            .collect()
    };
    assert_eq!(trim(&text), trim(after), "\n{text}");
}

fn snapshot_and_merge(func: &mut Func) {
    cse::run(func);
    snapshots::run(func);
    simplify::run(func);
    cse::run(func);
    dead::run(func);
    merge::run(func);
    dead::run(func);
}

/// `$t = $ct->tuple; if ($t.num == 2) { use $t.ip, $t.port }`: 56 bytes are copied in the script, 8 in the program.
#[test]
fn a_struct_variable_becomes_one_read_of_what_is_used() {
    becomes(
        snapshot_and_merge,
        r#"
        s0: 56 bytes, align 8, "$t"
        b0(v0):
          v1 = load.u64 v0+112
          v2 = read.u16 kernel v1+50
          v3 = const 2
          v4 = eq v2, v3
          branch v4, b1, b2
        b1:
          v5 = addr s0+0
          readcopy v5+0, kernel v1+32, 56
          v6 = addr s0+0
          v7 = load.u32 v6+0
          v8 = addr s0+0
          v9 = load.u16 v8+16
          v10 = add v7, v9
          ret v10
        b2:
          ret v3
        "#,
        r#"
        s0: 20 bytes, align 8, "fields that are read together"
        b0(v0):
          v1 = load.u64 v0+112
          v13 = addr s0+0
          readcopy v13+0, kernel v1+32, 20
          v2 = load.u16 v13+18
          v3 = const 2
          v4 = eq v2, v3
          branch v4, b1, b2
        b1:
          v11 = load.u32 v13+0
          v12 = load.u16 v13+16
          v10 = add v11, v12
          ret v10
        b2:
          ret v3
        "#,
    );
}
