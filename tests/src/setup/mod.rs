//! Everything that must exist before a guest can boot, made once and kept in the cache.
//!
//! In: which kernels are wanted. Out: [`Bed`], the paths of kernels and images. A second call finds all of
//! it there and takes no time.

pub mod apt;
pub mod cache;
pub mod image;
pub mod kernels;
pub mod tools;

use std::path::PathBuf;

use anyhow::Result;

use cache::Cache;
use kernels::{Kernel, Series};

/// A machine that is set up.
#[derive(Debug)]
pub struct Bed {
    /// The kernels that were asked for.
    pub kernels: Vec<Kernel>,
    /// The guest's root file system.
    pub root: PathBuf,
}

/// Sets up the machine for `wanted` kernels.
///
/// # Errors
/// When packages cannot be installed or fetched.
pub fn set_up(cache: &Cache, wanted: &[Series]) -> Result<Bed> {
    tools::set_up(cache)?;
    let root = image::TOOLS.set_up(cache)?;
    let kernels = wanted
        .iter()
        .map(|series| series.set_up(cache))
        .collect::<Result<_>>()?;
    Ok(Bed { kernels, root })
}
