//! Names of addresses.
//!
//! [`kernel`] reads `/proc/kallsyms` into a compact table, [`user`] asks blazesym about processes. Both do nothing until the
//! first address is asked for. How a frame is printed is decided in `output`.

pub mod kernel;
mod recent;
pub mod user;

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The symbol's name; any bytes.
    pub name: &'a [u8],
    /// Bytes from the symbol's start to the address.
    pub offset: u64,
    /// The kernel module it lies in.
    pub module: Option<&'a str>,
}
