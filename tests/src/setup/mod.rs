//! Everything that must exist before a guest can boot, made once and kept in the cache.
//!
//! In: which kernels are wanted. Out: [`Kernel`]s with all their files. A second call finds all of it there
//! and takes no time.

pub mod apt;
pub mod cache;
pub mod image;
pub mod kernels;
pub mod tools;

use anyhow::Result;

use cache::Cache;
use kernels::{Kernel, Series};

/// Sets up the machine for `wanted` kernels; for none of them it only installs programs.
///
/// # Errors
/// When packages cannot be installed or fetched.
pub fn set_up(cache: &Cache, wanted: &[Series]) -> Result<Vec<Kernel>> {
    tools::set_up(cache)?;
    wanted.iter().map(|series| series.set_up(cache)).collect()
}
