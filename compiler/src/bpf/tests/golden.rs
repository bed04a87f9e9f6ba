//! What IR becomes, one property each.

use super::*;

/// Constants of 32 bits are part of the instruction; `x - 5` is `x + -5`; multiplication and division by powers of two are shifts.
#[test]
fn constants_go_into_the_instruction() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = const 5
  v3 = sub v1, v2
  v4 = const 8
  v5 = mul v3, v4
  v6 = const 16
  v7 = udiv v5, v6
  v8 = const 32
  v9 = umod v7, v8
  ret v9"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: r0 += -5
         2: r0 <<= 3
         3: r0 >>= 4
         4: r0 &= 31
         5: exit",
    );
}

/// What does not fit: 32 unsigned bits take a 32-bit move, 64 bits two slots. A mask of 32 bits needs neither.
#[test]
fn larger_constants() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = const 4294967040
  v3 = and v1, v2
  v4 = const 2147483648
  v5 = add v3, v4
  v6 = const 81985529216486895
  v7 = xor v5, v6
  ret v7"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: w0 &= -256
         2: w1 = -2147483648
         3: r0 += r1
         4: r1 = 0x123456789abcdef ll
         6: r0 ^= r1
         7: exit",
    );
}

/// eBPF has signed division from Linux 6.6 on only.
#[test]
fn signed_division_is_made_of_unsigned_division() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = const -10
  v3 = sdiv v1, v2
  ret v3"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: r2 = -10
         2: r1 = r0
         3: r1 s>>= 63
         4: r3 = r2
         5: r3 s>>= 63
         6: r2 ^= r3
         7: r2 -= r3
         8: r0 ^= r1
         9: r0 -= r1
         10: r0 /= r2
         11: r1 ^= r3
         12: r0 ^= r1
         13: r0 -= r1
         14: exit",
    );
}

/// The verifier refuses a constant divisor of 0.
#[test]
fn division_by_a_constant_zero_is_defined() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = const 0
  v3 = udiv v1, v2
  v4 = umod v1, v2
  v5 = add v3, v4
  ret v5"#,
        "0: r1 = *(u64 *)(r1 +0)
         1: r0 = 0
         2: r0 += r1
         3: exit",
    );
}

/// A load clears the upper bits itself.
#[test]
fn extensions_that_change_nothing_are_left_out() {
    becomes(
        r#"b0(v0):
  v1 = load.u16 v0+0
  v2 = ext.u32 v1
  v3 = ext.s32 v2
  v4 = load.s8 v0+2
  v5 = ext.u16 v4
  v6 = add v3, v5
  ret v6"#,
        "0: r0 = *(u16 *)(r1 +0)
         1: r1 = *(u8 *)(r1 +2)
         2: r1 <<= 56
         3: r1 s>>= 56
         4: r1 &= 65535
         5: r0 += r1
         6: exit",
    );
}

#[test]
fn network_byte_order() {
    becomes(
        r#"b0(v0):
  v1 = load.u16 v0+0
  v2 = swap.2 v1
  ret v2"#,
        "0: r0 = *(u16 *)(r1 +0)
         1: r0 = be16 r0
         2: exit",
    );
}

#[test]
fn a_comparison_before_its_branch_is_the_branch() {
    becomes(
        r#"b0(v0):
  v1 = load.u32 v0+0
  v2 = const 3232235777
  v3 = eq v1, v2
  v4 = const 0
  v5 = eq v3, v4
  branch v5, b1, b2
b1:
  v6 = const 1
  ret v6
b2:
  v7 = const 2
  ret v7"#,
        "0: r0 = *(u32 *)(r1 +0)
         1: if w0 != 0xc0a80101 goto +2
         2: r0 = 2
         3: exit
         4: r0 = 1
         5: exit",
    );
}

#[test]
fn a_tested_bit_needs_no_register() {
    becomes(
        r#"b0(v0):
  v1 = load.u8 v0+13
  v2 = const 2
  v3 = and v1, v2
  branch v3, b1, b2
b1:
  ret v1
b2:
  v7 = const 2
  ret v7"#,
        "0: r0 = *(u8 *)(r1 +13)
         1: if r0 & 0x2 goto +2
         2: r0 = 2
         3: exit
         4: exit",
    );
}

#[test]
fn a_comparison_whose_value_is_wanted() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = const 10
  v3 = ult v1, v2
  ret v3"#,
        "0: r1 = *(u64 *)(r1 +0)
         1: r0 = 1
         2: if r1 < 0xa goto +1
         3: r0 = 0
         4: exit",
    );
}

/// Stack slots and constant steps become part of the access; a store keeps only what it needs.
#[test]
fn addresses_are_folded() {
    becomes(
        r#"s0: 16 bytes, align 8, "key of @m"
b0(v0):
  v1 = load.u64 v0+96
  v2 = addr s0+0
  v3 = const 8
  v4 = add v2, v3
  v5 = ext.u32 v1
  store.u32 v2+0, v5
  v6 = const 7
  store.u64 v4+0, v6
  v7 = load.u64 v4+0
  ret v7"#,
        "0: r0 = *(u64 *)(r1 +96)
         1: *(u32 *)(r10 -16) = r0
         2: r0 = 7
         3: *(u64 *)(r10 -8) = r0
         4: r0 = *(u64 *)(r10 -8)
         5: exit",
    );
}

#[test]
fn an_offset_beyond_16_bits() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = load.u32 v1+40000
  ret v2"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: r0 += 40000
         2: r0 = *(u32 *)(r0 +0)
         3: exit",
    );
}

#[test]
fn zero_and_copy_take_the_widest_aligned_steps() {
    becomes(
        r#"s0: 15 bytes, align 4, "buffer"
b0(v0):
  v1 = addr s0+0
  zero v1+0, 15
  copy v1+4, v0+0, 7, align 2
  v2 = const 0
  ret v2"#,
        "0: r0 = 0
         1: *(u64 *)(r10 -16) = r0
         2: *(u32 *)(r10 -8) = r0
         3: *(u16 *)(r10 -4) = r0
         4: *(u8 *)(r10 -2) = r0
         5: r0 = *(u16 *)(r1 +0)
         6: *(u16 *)(r10 -12) = r0
         7: r0 = *(u16 *)(r1 +2)
         8: *(u16 *)(r10 -10) = r0
         9: r0 = *(u16 *)(r1 +4)
         10: *(u16 *)(r10 -8) = r0
         11: r0 = *(u8 *)(r1 +6)
         12: *(u8 *)(r10 -6) = r0
         13: r0 = 0
         14: exit",
    );
}

#[test]
fn an_atomic_addition_that_wants_the_old_value() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = addr m0+0
  v3 = atomic_add.u64 v2+16, v1
  atomic_add.u32 v2+8, v3
  ret v3"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: r1 = map[m0][0]+0
         3: r0 = atomic_fetch_add(*(u64 *)(r1 +16), r0)
         4: lock *(u32 *)(r1 +8) += r0
         5: exit",
    );
}

#[test]
fn arguments_are_computed_where_the_call_wants_them() {
    becomes(
        r#"s0: 8 bytes, align 8, "key"
b0(v0):
  v1 = load.u64 v0+0
  v2 = addr s0+0
  store.u64 v2+0, v1
  v3 = map m3
  v4 = call map_lookup_elem(v3, v2)
  v5 = const 0
  v6 = ne v4, v5
  branch v6, b1, b2
b1:
  v7 = load.u64 v4+0
  ret v7
b2:
  ret v5"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: *(u64 *)(r10 -8) = r0
         2: r1 = map[m3]
         4: r2 = r10
         5: r2 += -8
         6: call map_lookup_elem#1
         7: if r0 == 0x0 goto +2
         8: r0 = *(u64 *)(r0 +0)
         9: exit
         10: r0 = 0
         11: exit",
    );
}

/// What a loop passes round is moved at once: a cycle takes one register more.
#[test]
fn parameters_that_swap() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = load.u64 v0+8
  v3 = load.u64 v0+16
  jump b1(v1, v2, v3)
b1(v4, v5, v6):
  branch v6, b2, b3
b2:
  v7 = const 1
  v8 = sub v6, v7
  jump b1(v5, v4, v8)
b3:
  ret v4"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: r2 = *(u64 *)(r1 +8)
         2: r1 = *(u64 *)(r1 +16)
         3: if r1 == 0x0 goto +5
         4: r1 += -1
         5: r3 = r2
         6: r2 = r0
         7: r0 = r3
         8: goto -6
         9: exit",
    );
}

#[test]
fn equal_endings_are_one() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v9 = const 0
  branch v1, b1, b2
b1:
  v2 = call ktime_get_ns()
  v3 = addr m0+0
  store.u64 v3+0, v2
  v4 = const 0
  ret v4
b2:
  v5 = const 0
  ret v5"#,
        "0: r0 = *(u64 *)(r1 +0)
         1: if r0 == 0x0 goto +4
         2: call ktime_get_ns#5
         3: r1 = map[m0][0]+0
         5: *(u64 *)(r1 +0) = r0
         6: r0 = 0
         7: exit",
    );
}

#[test]
fn slots_that_are_never_needed_together_share_memory() {
    becomes(
        r#"s0: 256 bytes, align 8, "first"
s1: 400 bytes, align 8, "second"
b0(v0):
  v1 = addr s0+0
  v2 = const 256
  v3 = call probe_read_kernel(v1, v2, v0)
  v4 = load.u64 v1+8
  v5 = addr s1+0
  v6 = const 400
  v7 = call probe_read_kernel(v5, v6, v4)
  v8 = load.u64 v5+8
  ret v8"#,
        "0: r3 = r1
         1: r1 = r10
         2: r1 += -256
         3: r2 = 256
         4: call probe_read_kernel#113
         5: r3 = *(u64 *)(r10 -248)
         6: r1 = r10
         7: r1 += -400
         8: r2 = 400
         9: call probe_read_kernel#113
         10: r0 = *(u64 *)(r10 -392)
         11: exit",
    );
}

#[test]
fn calls_of_subprograms() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = call f1(v0, v1)
  v3 = const 3
  v4 = addr f1
  v5 = const 0
  v6 = call loop(v3, v4, v5, v5)
  v7 = kfunc 77(v6)
  v8 = add v7, v2
  ret v8
subprogram "g"
b0(v0, v1):
  ret v1"#,
        "0: r2 = *(u64 *)(r1 +0)
         1: call f1
         2: r6 = r0
         3: r1 = 3
         4: r2 = f1
         6: r3 = 0
         7: r4 = 0
         8: call loop#181
         9: r1 = r0
         10: call kfunc#77
         11: r0 += r6
         12: exit",
    );
}

/// A result that nobody wants is not computed, unless computing it does something else.
#[test]
fn dead() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+0
  v2 = add v1, v1
  v3 = call ktime_get_ns()
  v4 = call get_stack(v0, v0, v1, v1)
  v5 = const 0
  ret v5"#,
        "0: r4 = *(u64 *)(r1 +0)
         1: r2 = r1
         2: r3 = r4
         3: call get_stack#67
         4: r0 = 0
         5: exit",
    );
}

/// Six values across a call, four registers that survive it.
#[test]
fn what_finds_no_register_waits_on_the_stack() {
    becomes(
        r#"b0(v0):
  v1 = load.u64 v0+8
  v2 = load.u64 v0+16
  v3 = load.u64 v0+24
  v4 = load.u64 v0+32
  v5 = load.u64 v0+40
  v6 = load.u64 v0+48
  v7 = call ktime_get_ns()
  v8 = add v7, v1
  v9 = add v8, v2
  v10 = add v9, v3
  v11 = add v10, v4
  v12 = add v11, v5
  v13 = add v12, v6
  ret v13"#,
        "0: r6 = *(u64 *)(r1 +8)
         1: r7 = *(u64 *)(r1 +16)
         2: r8 = *(u64 *)(r1 +24)
         3: r9 = *(u64 *)(r1 +32)
         4: r0 = *(u64 *)(r1 +40)
         5: *(u64 *)(r10 -8) = r0
         6: r0 = *(u64 *)(r1 +48)
         7: *(u64 *)(r10 -16) = r0
         8: call ktime_get_ns#5
         9: r0 += r6
         10: r0 += r7
         11: r0 += r8
         12: r0 += r9
         13: r1 = *(u64 *)(r10 -8)
         14: r0 += r1
         15: r1 = *(u64 *)(r10 -16)
         16: r0 += r1
         17: exit",
    );
}

/// Five values across calls; the map's address is the one that can be had again at no cost.
#[test]
fn an_address_is_made_again_rather_than_kept() {
    becomes(
        r#"b0(v0):
  v1 = addr m0+0
  v2 = load.u64 v0+8
  v3 = load.u64 v0+16
  v4 = load.u64 v0+24
  v5 = load.u64 v0+32
  store.u64 v1+0, v2
  v6 = call ktime_get_ns()
  store.u64 v1+8, v3
  store.u64 v1+16, v4
  store.u64 v1+24, v5
  store.u64 v1+32, v2
  ret v6"#,
        "0: r9 = map[m0][0]+0
         2: r8 = *(u64 *)(r1 +8)
         3: r6 = *(u64 *)(r1 +16)
         4: r7 = *(u64 *)(r1 +24)
         5: r0 = *(u64 *)(r1 +32)
         6: *(u64 *)(r10 -8) = r0
         7: *(u64 *)(r9 +0) = r8
         8: call ktime_get_ns#5
         9: *(u64 *)(r9 +8) = r6
         10: *(u64 *)(r9 +16) = r7
         11: r1 = *(u64 *)(r10 -8)
         12: *(u64 *)(r9 +24) = r1
         13: *(u64 *)(r9 +32) = r8
         14: exit",
    );
}

/// `th->syn == 1`
#[test]
fn a_tested_bit_field_is_a_tested_bit() {
    becomes(
        r#"b0(v0):
  v1 = load.u8 v0+13
  v2 = const 1
  v3 = shr v1, v2
  v4 = and v3, v2
  v5 = eq v4, v2
  branch v5, b1, b2
b1:
  ret v1
b2:
  v7 = const 2
  ret v7"#,
        "0: r0 = *(u8 *)(r1 +13)
         1: if r0 & 0x2 goto +2
         2: r0 = 2
         3: exit
         4: exit",
    );
}

/// The length is compared before the first call and used after it. Before Linux 6.8 the verifier would not connect the bounds of
/// `r6` with what has been stored before the comparison, and refuse the second call.
#[test]
fn bounds_are_known_of_the_copy_on_the_stack_too() {
    let ir = "program \"f\"
        s0: 64 bytes, align 8, \"buffer\"
        b0(v0):
          v1 = load.u64 v0+0
          v2 = const 64
          v3 = ugt v1, v2
          branch v3, b1, b2
        b1:
          v4 = const 0
          ret v4
        b2:
          v5 = call ktime_get_ns()
          v6 = addr s0+0
          v7 = call probe_read_kernel(v6, v1, v5)
          ret v7";
    let module = parse(ir).unwrap();
    let code = emit_with(&module.funcs[FuncId(0)], 0).unwrap();
    lists(
        &code,
        "0: r0 = *(u64 *)(r1 +0)
         1: *(u64 *)(r10 -8) = r0
         2: if r0 <= 0x40 goto +2
         3: r0 = 0
         4: exit
         5: *(u64 *)(r10 -8) = r0
         6: call ktime_get_ns#5
         7: r3 = r0
         8: r2 = *(u64 *)(r10 -8)
         9: r1 = r10
        10: r1 += -64
        11: call probe_read_kernel#113
        12: exit",
    );
}
