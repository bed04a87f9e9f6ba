//! Everything that touches the system: loads and attaches an artifact, and turns what it sends into output.
//!
//! In: a [`nettrace_compiler::artifact::Artifact`] or the bytes of an object file. Out: text on standard output, an exit code.
//! The only crate that names aya. It knows nothing of the language: a [`nettrace_compiler::artifact::Plan`] says what to do.

pub mod attach;
mod captures;
mod coarse;
mod code;
mod control;
pub mod decode;
pub mod events;
mod held;
pub mod host;
pub mod list;
pub mod live;
pub mod load;
pub mod loss;
mod maps;
pub mod names;
mod order;
pub mod output;
mod privilege;
pub mod ring;
pub mod run;
pub mod signals;
pub mod symbols;
pub mod sys;
pub mod table;
#[cfg(test)]
mod testing;
mod timers;
pub mod tracefs;
pub mod units;
mod verifier;
pub mod wire;
