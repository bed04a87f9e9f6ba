//! Kernel modules: which are loaded, and their BTF.
//!
//! In: `/sys/module`, `/sys/kernel/btf`, or files that the user names. Out: names, and bytes when a module is needed.

use std::path::{Path, PathBuf};

use nettrace_compiler::kernel::btf::ModuleSource;

const BTF: &str = "/sys/kernel/btf";
const MODULES: &str = "/sys/module";

/// The modules of the running kernel.
pub(super) struct Loaded;

impl ModuleSource for Loaded {
    fn names(&self) -> Vec<String> {
        let mut names = entries(Path::new(BTF));
        names.retain(|name| name != "vmlinux");
        names
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(Path::new(BTF).join(name)).ok()
    }
}

/// Modules of another kernel, each in a file.
pub(super) struct Files(pub(super) Vec<(String, PathBuf)>);

impl ModuleSource for Files {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let (_, path) = self.0.iter().find(|(n, _)| n == name)?;
        super::btf::section_bytes(path).ok()
    }
}

/// Whether the running kernel has this module, loaded or built in (those with parameters or a version are listed too).
pub(super) fn is_present(name: &str) -> bool {
    !name.contains('/')
        && !name.starts_with('.')
        && !name.is_empty()
        && Path::new(MODULES).join(name).is_dir()
}

/// Names of all modules that are present.
pub(super) fn present() -> Vec<String> {
    entries(Path::new(MODULES))
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().into_string().ok())
        .collect()
}
