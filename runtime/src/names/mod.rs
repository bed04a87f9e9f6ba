//! Names of network devices and namespaces, as they are when they are printed.
//!
//! In: numbers that programs send: inode numbers of namespaces, indexes of devices. Out: names. What appears or is renamed while a
//! script runs is followed; what has gone keeps its name for the events that are still to be printed. Nothing is held open: a
//! descriptor of a namespace, or a socket in it, would keep it alive after its end.

pub mod devices;
pub mod namespaces;

use self::devices::Devices;
use self::namespaces::Namespaces;

/// Names of the network; does nothing until the first one is asked for.
#[derive(Debug, Default)]
pub struct Network {
    namespaces: Namespaces,
    devices: Devices,
}

impl Network {
    /// The name of a network namespace, given by its inode number.
    pub fn namespace(&mut self, inode: u64) -> Option<&[u8]> {
        self.namespaces.name(inode)
    }

    /// The name of a device, given by its namespace (0: ours) and its index; `-` for index 0, which is no device.
    pub fn device(&mut self, netns: u32, index: u32) -> Option<&[u8]> {
        if index == 0 {
            return Some(b"-");
        }
        self.devices.name(&mut self.namespaces, netns.into(), index)
    }
}
