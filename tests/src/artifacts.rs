//! The binaries that the test bed takes along, built by cargo.
//!
//! In: this workspace. Out: paths of static binaries, up to date.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::step;

/// The directory of this crate: cases and topologies are below it.
#[must_use]
pub fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the command people use, as they get it: optimised. Another binary can be named by
/// `NETTRACE_BIN`.
///
/// # Errors
/// When it does not compile.
pub fn nettrace() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("NETTRACE_BIN") {
        return Ok(PathBuf::from(binary));
    }
    step("building nettrace (release)");
    cargo(&[
        "build",
        "--release",
        "--package",
        "nettrace",
        "--bin",
        "nettrace",
    ])?;
    Ok(target_dir()?.join("release/nettrace"))
}

/// Builds the guest runner.
///
/// # Errors
/// When it does not compile.
pub fn guest() -> Result<PathBuf> {
    cargo(&[
        "build",
        "--quiet",
        "--package",
        "nettrace-tests",
        "--bin",
        "guest",
    ])?;
    Ok(target_dir()?.join("debug/guest"))
}

/// Runs cargo in the workspace; its output goes to the terminal.
///
/// # Errors
/// When it fails.
pub fn cargo(args: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(args)
        .current_dir(crate_dir())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed", args.join(" "));
    }
    Ok(())
}

/// Where cargo puts binaries of this target: two levels above this program, `…/<target>/<profile>/testbed`.
fn target_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    own.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .context("this program is not in cargo's target directory")
}
