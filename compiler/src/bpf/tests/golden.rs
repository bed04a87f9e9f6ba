//! What IR becomes, one property each.

use super::becomes;

/// The value that lives across the call waits in `r6`; the call's result stays where it is.
#[test]
fn values_across_a_call_are_kept_in_callee_saved_registers() {
    becomes(
        "b0(v0):
           v1 = load.u64 v0+96
           v2 = call get_current_pid_tgid()
           v3 = const 32
           v4 = shr v2, v3
           v5 = addr m0+0
           atomic_add.u64 v5+8, v1
           ret v4",
        "0: r6 = *(u64 *)(r1 +96)
         1: call get_current_pid_tgid#14
         2: r0 >>= 32
         3: r1 = map[m0][0]+0
         5: lock *(u64 *)(r1 +8) += r6
         6: exit",
    );
}
