//! What attaching asks, answered with as little of BTF as possible.
//!
//! In: nothing until a question comes. Out: [`KernelFunctions`]. Attaching kprobes and tracepoints asks nothing unless something
//! goes wrong; the mapped BTF of the compilation (10 MB of resident memory) need not live as long as the script runs, and an
//! object file runs on a kernel without BTF.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{LiveKernel, functions, modules};
use crate::attach::{BtfFunction, Homes, KernelFunctions};

/// The running kernel's functions; its BTF is opened by the first question that needs it.
#[derive(Debug)]
pub struct HostFunctions {
    /// A file that has the kernel's BTF, if the kernel does not show it.
    vmlinux: Option<PathBuf>,
    kernel: OnceCell<Option<LiveKernel>>,
}

impl HostFunctions {
    /// Opens nothing. `vmlinux` is the file of `--btf`.
    pub fn new(vmlinux: Option<&Path>) -> HostFunctions {
        HostFunctions {
            vmlinux: vmlinux.map(Path::to_path_buf),
            kernel: OnceCell::new(),
        }
    }

    /// `None` when the kernel has no BTF: then nothing is known.
    fn kernel(&self) -> Option<&LiveKernel> {
        let open = || match &self.vmlinux {
            Some(path) => LiveKernel::with_btf(path).ok(),
            None => LiveKernel::open().ok(),
        };
        self.kernel.get_or_init(open).as_ref()
    }
}

impl KernelFunctions for HostFunctions {
    fn btf_function(&self, symbol: &str, module: Option<&str>) -> Option<BtfFunction> {
        self.kernel()?.btf_function(symbol, module)
    }

    fn module_loaded(&self, module: &str) -> bool {
        module == "vmlinux" || modules::is_present(module)
    }

    fn untraceable(&self, symbol: &str, module: Option<&str>) -> Option<String> {
        self.kernel()?.untraceable(symbol, module)
    }

    fn similar(&self, symbol: &str) -> Vec<String> {
        let kernel = self.kernel();
        kernel.map_or(Vec::new(), |kernel| {
            KernelFunctions::similar(kernel, symbol)
        })
    }

    fn traceable(&self, names: &HashSet<&str>) -> Option<Homes> {
        functions::homes(names)
    }
}
