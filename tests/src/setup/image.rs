//! Disk images for the guest: directories turned into ext4, and root file systems made of packages.
//!
//! In: a directory, or a release and a list of packages. Out: a sparse ext4 image that is never written
//! to (QEMU puts each run's changes elsewhere).

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::apt::Apt;
use super::cache::Cache;
use crate::command::{as_root, output};
use crate::progress::step;

/// A root file system image and the packages it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Root {
    /// The part's name in the cache.
    name: &'static str,
    /// The Debian release.
    release: &'static str,
    /// What is installed beside the essential packages.
    packages: &'static [&'static str],
}

/// What every case finds in the guest.
pub const TOOLS: Root = Root {
    name: "root",
    release: "trixie",
    packages: &[
        "bpftool",
        "conntrack",
        "ethtool",
        "iproute2",
        "iptables",
        "iputils-ping",
        "kmod",
        "netcat-openbsd",
        "nftables",
        "procps",
        "tcpdump",
    ],
};

/// What the benchmark measures against; only sid has bpftrace 0.27 and all it needs.
pub const PEERS: Root = Root {
    name: "bench",
    release: "sid",
    packages: &["bpftrace", "bpftool", "pwru"],
};

impl Root {
    /// The image, made if the cache does not have it.
    ///
    /// # Errors
    /// When the packages cannot be fetched or the image cannot be made.
    pub fn set_up(self, cache: &Cache) -> Result<PathBuf> {
        let recipe = format!("{self:?} layout 1");
        let dir = cache.part(self.name, &recipe, |work| {
            step(format_args!(
                "{} image: Debian {} with {}",
                self.name,
                self.release,
                self.packages.join(" ")
            ));
            let apt = Apt::of(cache, self.release)?;
            let tree = work.path().join("tree");
            output(
                as_root("mmdebstrap")
                    .args([
                        "--quiet",
                        "--variant=minbase",
                        "--aptopt=Acquire::Check-Valid-Until \"false\"",
                    ])
                    .arg(format!("--include={}", self.packages.join(",")))
                    .args([
                        "--dpkgopt=path-exclude=/usr/share/doc/*",
                        "--dpkgopt=path-exclude=/usr/share/man/*",
                    ])
                    .arg(self.release)
                    .arg(&tree)
                    .args(apt.sources()),
            )?;
            let image = work.path().join("root.ext4");
            ext4(&tree, &image)?;
            output(as_root("rm").args(["-rf", "--one-file-system"]).arg(&tree))?;
            content_key(&image)
        })?;
        Ok(dir.join("root.ext4"))
    }
}

/// Makes `image` an ext4 file system that holds the contents of `dir` and some room.
///
/// # Errors
/// When `dir` cannot be read or the file system cannot be made.
pub fn ext4(dir: &Path, image: &Path) -> Result<()> {
    let used = output(as_root("du").args(["-s", "--block-size=1M"]).arg(dir))?;
    let used: u64 = used
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(512);
    let size = used + used / 4 + 64;
    output(
        as_root("/sbin/mkfs.ext4")
            // No journal and no reserved blocks: the image is thrown away or never written.
            .args([
                "-q",
                "-F",
                "-m",
                "0",
                "-O",
                "^has_journal",
                "-E",
                "root_owner=0:0",
                "-d",
            ])
            .arg(dir)
            .arg(image)
            .arg(format!("{size}M")),
    )?;
    Ok(())
}

/// The first digits of the file's SHA-256.
pub(super) fn content_key(file: &Path) -> Result<String> {
    Ok(output(std::process::Command::new("sha256sum").arg(file))?
        .chars()
        .take(12)
        .collect())
}
