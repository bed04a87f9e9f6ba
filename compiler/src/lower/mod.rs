//! The typed program to IR.
//!
//! In: [`crate::typed::Program`] and the kernel's features. Out: an [`crate::ir::Module`] and the plan's maps, events and programs. Cannot fail.

/// The state of lowering one probe.
pub struct Lower<'a> {
    #[allow(dead_code)]
    marker: std::marker::PhantomData<&'a ()>,
}

/// A piece of memory: where a value in memory lies or is wanted.
#[derive(Clone, Debug)]
pub struct Place {
    #[allow(dead_code)]
    base: crate::ir::Value,
}
