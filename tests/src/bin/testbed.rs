//! `cargo testbed`: the commands of the test bed.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use libtest_mimic::Arguments;
use nettrace_tests::setup::cache::Cache;
use nettrace_tests::setup::kernels::{MATRIX, Series};
use nettrace_tests::{artifacts, bench, demo, progress, setup, suite};

/// Real kernels for nettrace: sets up virtual machines, plays cases in them, shows the story they start from.
#[derive(Parser)]
#[command(name = "cargo testbed", bin_name = "cargo testbed")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing and fetch all kernels and images into the cache
    Setup {
        /// Look for newer packages than the ones in the cache
        #[arg(long)]
        update: bool,
    },
    /// Set up and run every test: units, cases on this kernel, cases on all kernels of the matrix
    Test,
    /// Set up and run the cases only; filters and flags as `cargo test` has them
    Cases(Arguments),
    /// Run the published conntrack script: on this machine where it has kprobes and this is root, else
    /// on the story's router in a virtual machine
    Demo {
        /// The kernel to boot; also said where this machine could be traced
        #[arg(long)]
        kernel: Option<String>,
    },
    /// Measure nettrace beside bpftrace in the same boot and print a table
    Bench {
        /// The kernels; all without
        kernels: Vec<String>,
    },
    /// Boot a kernel and run a shell command in it, with nettrace in its PATH
    Boot {
        /// 6.1, 6.12 or 7.2
        kernel: String,
        /// The command
        #[arg(default_value = "uname -a")]
        command: String,
        /// Bring this topology up first
        #[arg(long)]
        topology: Option<String>,
        /// With bpftrace and pwru in a root of their own, /opt
        #[arg(long)]
        peers: bool,
    },
}

fn main() -> ExitCode {
    progress::start();
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; false when a test failed.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Setup { update } => {
            let cache = Cache::open()?;
            if update {
                cache.forget()?;
            }
            setup::set_up(&cache, &MATRIX)?;
            progress::step("everything is set up");
            Ok(true)
        }
        Command::Test => {
            // Some compare with programs and libraries of the system.
            setup::tools::set_up(&Cache::open()?)?;
            progress::step("unit tests of the workspace");
            artifacts::cargo(&["test", "--workspace"])?;
            suite::run(Arguments::from_iter(["testbed"]))
        }
        Command::Cases(args) => suite::run(args),
        Command::Demo { kernel } => {
            demo::conntrack_story(kernel.as_deref().map(series).transpose()?)
        }
        Command::Bench { kernels } => {
            let chosen: Vec<Series> = kernels
                .iter()
                .map(|name| series(name))
                .collect::<Result<_>>()?;
            bench::run(if chosen.is_empty() { &MATRIX } else { &chosen })?;
            Ok(true)
        }
        Command::Boot {
            kernel,
            command,
            topology,
            peers,
        } => demo::command(series(&kernel)?, &command, topology.as_deref(), peers),
    }
}

fn series(name: &str) -> Result<Series> {
    let known = MATRIX.map(|series| series.name).join(", ");
    Series::named(name).with_context(|| format!("there is no kernel {name}, only {known}"))
}
