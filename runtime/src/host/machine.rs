//! Network namespaces and devices of this machine, as options of scripts name them.
//!
//! In: names and paths. Out: [`Machine`], asked while a script is compiled. `/run/netns`, `/proc` and the kernel's lists of devices are read
//! when they are asked for.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nettrace_compiler::kernel::machine::Machine;

use crate::names::Network;

/// Asks this machine.
#[derive(Debug, Default)]
pub(super) struct ThisMachine {
    network: RefCell<Network>,
}

impl Machine for ThisMachine {
    fn namespace(&self, name: &str) -> Result<u32, String> {
        if !name.contains('/') {
            let found = self.network.borrow_mut().namespace_named(name.as_bytes());
            return found
                .and_then(|inode| u32::try_from(inode).ok())
                .ok_or_else(|| "it has no such name in /run/netns".to_string());
        }
        let meta = fs::metadata(Path::new(name)).map_err(|error| error.to_string())?;
        // Other files have inode numbers too.
        let is_namespace = crate::names::is_namespace(Path::new(name));
        match u32::try_from(meta.ino()) {
            Ok(inode) if is_namespace => Ok(inode),
            _ => Err("this is not a network namespace".to_string()),
        }
    }

    fn namespaces(&self) -> Vec<String> {
        self.network.borrow_mut().namespace_names()
    }

    fn devices(&self, namespace: Option<u32>) -> Option<Vec<String>> {
        let found = self
            .network
            .borrow_mut()
            .device_names(namespace.map(u64::from))?;
        let names = found
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        Some(names)
    }

    fn cpus(&self) -> Option<u32> {
        u32::try_from(crate::maps::possible_cpus()).ok()
    }
}
