//! The kernels of the matrix, unpacked from Debian packages.
//!
//! In: a row of [`MATRIX`]. Out: a directory with the kernel, an ext4 image of its modules, and the
//! modules that must be loaded before a disk can be read, decompressed and numbered in loading order.
//! Nothing is installed on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::apt::Apt;
use super::cache::Cache;
use super::image;
use crate::command::output;
use crate::progress::step;

/// One kernel of the matrix and the packages that carry it.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// What people call it, and the name in `---- kernels` and in test names.
    pub name: &'static str,
    /// The Debian release that has it, in itself or in its backports.
    release: &'static str,
    /// What the package names begin with, before the version; they end in [`FLAVOUR`].
    packages: &'static [&'static str],
}

/// The flavour for virtual machines: fewest drivers, same tracing options.
const FLAVOUR: &str = "-cloud-amd64";

/// Modules without which the guest cannot read its disks; what they need comes along.
const EARLY_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

/// Every kernel the tests run on, oldest first.
pub const MATRIX: [Series; 3] = [
    // No fprobe: kprobe-multi is absent and probes attach through perf events.
    Series {
        name: "6.1",
        release: "bookworm",
        packages: &["linux-image-6.1."],
    },
    Series {
        name: "6.12",
        release: "trixie",
        packages: &["linux-image-6.12."],
    },
    // Since 7.2 the image package is an empty shell.
    Series {
        name: "7.2",
        release: "trixie",
        packages: &["linux-binary-7.2.", "linux-modules-7.2.", "linux-base-7.2."],
    },
];

/// A kernel that is ready to boot.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The series' name, such as `6.12`.
    pub name: &'static str,
    /// The compressed kernel.
    pub image: PathBuf,
    /// An ext4 image whose root is `/lib/modules`.
    pub modules: PathBuf,
    /// The root file system that its guest lives in.
    pub root: PathBuf,
    /// The modules to load first, in order.
    pub early: Vec<PathBuf>,
}

impl Series {
    /// The series of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        MATRIX.into_iter().find(|series| series.name == name)
    }

    /// The kernel and the guest's root image, fetched and made if the cache does not have them.
    ///
    /// # Errors
    /// When a package cannot be found or fetched, or lacks what a kernel package should hold.
    pub fn set_up(self, cache: &Cache) -> Result<Kernel> {
        let root = image::TOOLS.set_up(cache)?;
        let recipe = format!("{self:?} {EARLY_MODULES:?} layout 2");
        let dir = cache.part(&format!("kernel-{}", self.name), &recipe, |work| {
            step(format_args!("kernel {}: fetching and unpacking", self.name));
            let apt = Apt::of(cache, self.release)?;
            let packages: Vec<String> = self
                .packages
                .iter()
                .map(|prefix| apt.newest(prefix, FLAVOUR))
                .collect::<Result<_>>()?;
            let unpacked = tempfile::tempdir()?;
            apt.unpack(&packages, unpacked.path())?;
            arrange(unpacked.path(), work.path())
        })?;
        let mut early: Vec<PathBuf> = fs::read_dir(dir.join("early"))?
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<_, _>>()?;
        early.sort();
        Ok(Kernel {
            name: self.name,
            image: dir.join("vmlinuz"),
            modules: dir.join("modules.ext4"),
            root,
            early,
        })
    }
}

/// Turns an unpacked package into the part's layout; returns the part's key: release and contents, because
/// a release is sometimes built again under its old name.
fn arrange(unpacked: &Path, into: &Path) -> Result<String> {
    // Where /lib is a link to /usr/lib, as newer packages assume, everything ends up in one place.
    let modules = ["usr/lib/modules", "lib/modules"]
        .map(|dir| unpacked.join(dir))
        .into_iter()
        .find(|dir| dir.is_dir())
        .ok_or_else(|| anyhow!("the kernel's packages hold no modules"))?;
    let root = unpacked.join("root");
    fs::create_dir_all(root.join("lib"))?;
    let modules_here = root.join("lib/modules");
    fs::rename(&modules, &modules_here)?;
    let release = fs::read_dir(&modules_here)?
        .next()
        .ok_or_else(|| anyhow!("the kernel's packages hold no modules"))??
        .file_name()
        .to_string_lossy()
        .into_owned();

    let own = modules_here.join(&release);
    let image = [
        own.join("vmlinuz"),
        unpacked.join(format!("boot/vmlinuz-{release}")),
    ]
    .into_iter()
    .find(|path| path.is_file())
    .ok_or_else(|| anyhow!("the kernel's packages hold no kernel image"))?;
    fs::copy(&image, into.join("vmlinuz")).context("cannot copy the kernel image")?;

    // Normally the package's installation script does this.
    output(
        Command::new("/sbin/depmod")
            .arg("-b")
            .arg(&root)
            .arg(&release),
    )?;
    collect_early(&root, &release, &into.join("early"))?;
    image::ext4(&modules_here, &into.join("modules.ext4"))?;
    Ok(format!(
        "{release}-{}",
        image::content_key(&into.join("vmlinuz"))?
    ))
}

/// Copies the early modules into `into` as `00-name.ko`, `01-name.ko`, … in loading order, decompressed,
/// because 6.1 cannot decompress modules itself.
fn collect_early(root: &Path, release: &str, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for module in EARLY_MODULES {
        let order = output(
            Command::new("/sbin/modprobe")
                .args(["--show-depends", "-d"])
                .arg(root)
                .args(["-S", release, module]),
        )?;
        for file in order
            .lines()
            .filter_map(|line| line.strip_prefix("insmod "))
        {
            let file = PathBuf::from(file.trim());
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    for (number, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let copy = into.join(format!("{number:02}-{name}"));
        fs::copy(file, &copy)?;
        match copy.extension().and_then(|e| e.to_str()) {
            Some("xz") => output(Command::new("xz").args(["-d", "-q"]).arg(&copy))?,
            Some("zst") => output(Command::new("zstd").args(["-d", "-q", "--rm"]).arg(&copy))?,
            Some("gz") => output(Command::new("gzip").args(["-d", "-q"]).arg(&copy))?,
            _ => String::new(),
        };
    }
    Ok(())
}
