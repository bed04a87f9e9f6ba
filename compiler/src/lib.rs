//! Script and kernel description to one standard BPF object.
//!
//! In: a script's text, a [`kernel::Kernel`] that answers questions about the kernel it is for, and options.
//! Out: an [`artifact::Artifact`], or diagnostics. Pure: no files, clock, environment or terminal; the same inputs give the
//! same bytes. Nothing here knows how programs are loaded.

pub mod artifact;
pub mod bpf;
pub mod builtins;
pub mod check;
pub mod index;
pub mod ir;
pub mod kernel;
pub mod lower;
pub mod macros;
pub mod object;
pub mod opt;
pub mod pcap;
pub mod pipeline;
pub mod probes;
pub mod resolve;
pub mod session;
pub mod typed;
pub mod types;
pub mod unit;

// Files that unit tests share with integration tests name the crate as the latter do.
#[cfg(test)]
extern crate self as nettrace_compiler;
