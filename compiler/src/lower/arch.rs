//! Where `struct pt_regs` keeps what the language asks for: x86_64, the System V calling convention.
//!
//! Source: `arch/x86/include/asm/ptrace.h`. Another machine is another set of these numbers.

/// Offsets of the argument registers rdi, rsi, rdx, rcx, r8, r9.
const ARGUMENTS: [i32; 6] = [112, 104, 96, 88, 72, 64];

/// Offset of the n-th argument register.
pub(crate) fn argument(n: u32) -> Option<i32> {
    ARGUMENTS.get(n as usize).copied()
}

/// Offset of the register that holds a function's result (rax).
pub(crate) const RETURN_VALUE: i32 = 80;

/// Offset of the stack pointer (rsp). At a function's entry it points to the return address; the arguments on the stack follow.
pub(crate) const STACK_POINTER: i32 = 152;

/// Offset of the instruction pointer (rip).
pub(crate) const INSTRUCTION_POINTER: i32 = 128;
