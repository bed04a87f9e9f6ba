//! The test bed: script cases played on real kernels, natively and in virtual machines.
//!
//! In: `tests/cases/**/*.nt` and `tests/topologies/*.sh`. Out: ordinary test results. The program that
//! people run is `cargo testbed`; the static `guest` binary is what runs inside the machines. What a case
//! may say is described in `tests/README.md`.

pub mod artifacts;
pub mod bench;
pub mod case;
pub mod command;
pub mod demo;
pub mod exec;
pub mod guest;
pub mod progress;
pub mod setup;
pub mod suite;
pub mod vm;
pub mod wire;
