//! What a machine has beside its kernel and an option of a script may name: network namespaces and devices.
//!
//! The compiler does no I/O: the runtime answers. A kernel that is only described by files has no machine behind it.

/// Network namespaces and devices of the machine that a script is compiled on.
pub trait Machine {
    /// The inode number of a network namespace by its name (`ip netns`), or by a path to it (`/proc/PID/ns/net`).
    ///
    /// # Errors
    /// Half a sentence that says why there is none.
    fn namespace(&self, name: &str) -> Result<u32, String>;

    /// Names of namespaces, in order: for messages.
    fn namespaces(&self) -> Vec<String>;

    /// Names of the devices in a namespace, or in all that can be seen; `None` if that cannot be told.
    fn devices(&self, namespace: Option<u32>) -> Option<Vec<String>>;

    /// How many CPUs it can have (`/sys/devices/system/cpu/possible`); `None` if that cannot be told.
    fn cpus(&self) -> Option<u32>;
}

/// Knows nothing: namespaces are numbers, devices may exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMachine;

impl Machine for NoMachine {
    fn namespace(&self, _: &str) -> Result<u32, String> {
        Err("names are not known here; give its number".to_string())
    }

    fn namespaces(&self) -> Vec<String> {
        Vec::new()
    }

    fn devices(&self, _: Option<u32>) -> Option<Vec<String>> {
        None
    }

    fn cpus(&self) -> Option<u32> {
        None
    }
}
