//! Everything that touches the system: loads and attaches an artifact, and turns what it sends into output.
//!
//! In: a [`nettrace_compiler::artifact::Artifact`] or the bytes of an object file. Out: text on standard output, an exit code.
//! The only crate that names aya. It knows nothing of the language: a [`nettrace_compiler::artifact::Plan`] says what to do.

pub mod decode;
pub mod events;
pub mod live;
pub mod loss;
pub mod output;
pub mod ring;
pub mod run;
pub mod signals;
pub mod symbols;
pub mod table;
#[cfg(test)]
mod testing;
pub mod wire;
