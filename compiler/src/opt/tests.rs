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

fn simplified(func: &mut Func) {
    simplify::run(func);
    dead::run(func);
}

/// `($n >> 8) | (($n << 8) & 0xff00)` with a 16-bit `$n`.
#[test]
fn turning_a_port_by_hand_is_one_instruction() {
    becomes(
        simplified,
        r#"
        b0(v0):
          v1 = load.u16 v0+8
          v2 = const 8
          v3 = shr v1, v2
          v4 = shl v1, v2
          v5 = const 65280
          v6 = and v4, v5
          v7 = or v3, v6
          ret v7
        "#,
        r#"
        b0(v0):
          v1 = load.u16 v0+8
          v7 = swap.2 v1
          ret v7
        "#,
    );
}

/// With more bits than 16 it is something else.
#[test]
fn turning_a_wide_number_stays_what_it_is() {
    let wide = r#"
        b0(v0):
          v1 = load.u32 v0+8
          v2 = const 8
          v3 = shr v1, v2
          v4 = shl v1, v2
          v5 = const 65280
          v6 = and v4, v5
          v7 = or v3, v6
          ret v7
        "#;
    becomes(simplified, wide, wide);
}

#[test]
fn arithmetic_with_constants_is_done_once() {
    becomes(
        simplified,
        r#"
        b0(v0):
          v1 = load.u64 v0+0
          v2 = const 3
          v3 = const 4
          v4 = mul v2, v3
          v5 = add v1, v4
          v6 = sub v5, v2
          v7 = const 16
          v8 = umod v6, v7
          v9 = ext.u32 v8
          ret v9
        "#,
        r#"
        b0(v0):
          v1 = load.u64 v0+0
          v11 = const 9
          v6 = add v1, v11
          v12 = const 15
          v8 = and v6, v12
          ret v8
        "#,
    );
}

/// The constant is turned round instead of the value.
#[test]
fn comparing_a_swapped_port_with_a_constant_swaps_the_constant() {
    becomes(
        simplified,
        r#"
        b0(v0):
          v1 = load.u16 v0+0
          v2 = swap.2 v1
          v3 = const 80
          v4 = eq v2, v3
          ret v4
        "#,
        r#"
        b0(v0):
          v1 = load.u16 v0+0
          v5 = const 20480
          v4 = eq v1, v5
          ret v4
        "#,
    );
}

#[test]
fn a_branch_on_a_constant_is_a_jump_and_rows_of_blocks_are_one() {
    becomes(
        |func| {
            simplify::run(func);
            blocks::run(func);
            dead::run(func);
        },
        r#"
        b0(v0):
          v1 = const 1
          v2 = const 0
          v3 = eq v1, v2
          branch v3, b1, b2
        b1:
          v4 = const 7
          ret v4
        b2:
          jump b3(v0)
        b3(v5):
          ret v5
        "#,
        r#"
        b0(v0):
          ret v0
        "#,
    );
}

/// `if (a && b)` without a number for the condition.
#[test]
fn empty_blocks_are_skipped() {
    becomes(
        |func| {
            blocks::run(func);
        },
        r#"
        b0(v0):
          v1 = const 1
          branch v0, b1, b2
        b1:
          jump b3(v0)
        b2:
          jump b3(v1)
        b3(v2):
          ret v2
        "#,
        r#"
        b0(v0):
          v1 = const 1
          branch v0, b1(v0), b1(v1)
        b1(v2):
          ret v2
        "#,
    );
}

/// The same field twice, the same helper twice; the clock is asked twice.
#[test]
fn repeated_reads_and_pure_helpers_are_one() {
    becomes(
        cse::run,
        r#"
        b0(v0):
          v1 = load.u64 v0+112
          v2 = read.u32 kernel v1+8
          v3 = load.u64 v0+112
          v4 = read.u32 kernel v3+8
          v5 = call get_current_pid_tgid()
          v6 = call get_current_pid_tgid()
          v7 = call ktime_get_ns()
          v8 = call ktime_get_ns()
          v9 = add v2, v4
          v10 = add v5, v6
          v11 = add v7, v8
          ret v9
        "#,
        r#"
        b0(v0):
          v1 = load.u64 v0+112
          v2 = read.u32 kernel v1+8
          v5 = call get_current_pid_tgid()
          v7 = call ktime_get_ns()
          v8 = call ktime_get_ns()
          v9 = add v2, v2
          v10 = add v5, v5
          v11 = add v7, v8
          ret v9
        "#,
    );
}

/// What one arm of a branch computes is not known in the other.
#[test]
fn only_what_dominates_is_reused() {
    let arms = r#"
        b0(v0):
          branch v0, b1, b2
        b1:
          v1 = load.u64 v0+8
          ret v1
        b2:
          v2 = load.u64 v0+8
          ret v2
        "#;
    becomes(cse::run, arms, arms);
}

/// A slot that a helper fills, or that is read before the copy, is left alone.
#[test]
fn a_struct_that_goes_elsewhere_stays_a_copy() {
    let escapes = r#"
        s0: 8 bytes, align 8, "$t"
        b0(v0):
          v1 = addr s0+0
          readcopy v1+0, kernel v0+32, 8
          v2 = map m0
          v3 = call map_lookup_elem(v2, v1)
          v4 = load.u32 v1+0
          ret v4
        "#;
    becomes(snapshots::run, escapes, escapes);
}

/// More than a cache line apart, and user memory in another block.
#[test]
fn distant_and_conditional_user_reads_stay_apart() {
    let apart = r#"
        b0(v0):
          v1 = read.u32 kernel v0+0
          v2 = read.u32 kernel v0+64
          v3 = read.u32 user v0+0
          branch v3, b1, b2
        b1:
          v4 = read.u32 user v0+4
          ret v4
        b2:
          v5 = add v1, v2
          ret v5
        "#;
    becomes(merge::run, apart, apart);
}

#[test]
fn a_read_is_a_helper_call_unless_the_verifier_knows_the_pointer() {
    becomes(
        reads::run,
        r#"
        b0(v0):
          v1 = read.u32 typed v0+16
          v2 = read.s16 user v1+2
          ret v2
        "#,
        r#"
        s0: 8 bytes, align 8, "a field of kernel memory"
        b0(v0):
          v1 = load.u32 v0+16
          v3 = addr s0+0
          v4 = const 2
          v5 = add v1, v4
          v6 = const 2
          v7 = call probe_read_user(v3, v6, v5)
          v2 = load.s16 v3+0
          ret v2
        "#,
    );
}

#[test]
fn large_areas_are_cleared_by_one_call() {
    becomes(
        bulk::run,
        r#"
        b0(v0):
          zero v0+8, 1024
          zero v0+0, 8
          ret v0
        "#,
        r#"
        b0(v0):
          v1 = const 8
          v2 = add v0, v1
          v3 = const 0
          v4 = const 1024
          v5 = call probe_read_kernel(v2, v4, v3)
          zero v0+0, 8
          ret v0
        "#,
    );
}

#[test]
fn what_nobody_asks_for_goes_with_its_slot() {
    becomes(
        dead::run,
        r#"
        s0: 8 bytes, align 8, "unused"
        s1: 8 bytes, align 8, "used"
        b0(v0):
          v1 = addr s0+0
          store.u64 v1+0, v0
          v2 = addr s1+0
          store.u64 v2+0, v0
          v3 = load.u32 v2+0
          v4 = atomic_add.u64 v0+0, v3
          jump b1(v3)
        b1(v5):
          ret v0
        "#,
        r#"
        s0: 8 bytes, align 8, "used"
        b0(v0):
          v2 = addr s0+0
          store.u64 v2+0, v0
          v3 = load.u32 v2+0
          atomic_add.u64 v0+0, v3
          jump b1
        b1:
          ret v0
        "#,
    );
}
