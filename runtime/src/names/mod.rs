//! Names of network devices and namespaces and texts of rules, as they are when they are printed.
//!
//! In: numbers that programs send: inode numbers of namespaces, indexes of devices, handles of rules. Out: names, texts of rules. What
//! appears or is renamed while a script runs is followed; what has gone keeps its name for the events that are still to be printed.
//! Nothing is held open: a descriptor of a namespace, or a socket in it, would keep it alive after its end.

pub mod devices;
pub mod namespaces;
mod rules;

use self::devices::Devices;
use self::namespaces::Namespaces;
use self::rules::Rules;
use crate::decode::Rule;

pub(crate) use self::namespaces::is_namespace;

/// Names of the network; does nothing until the first one is asked for.
#[derive(Debug, Default)]
pub struct Network {
    namespaces: Namespaces,
    devices: Devices,
    rules: Rules,
}

impl Network {
    /// The name of a network namespace, given by its inode number; `-` for 0, which is none.
    pub fn namespace(&mut self, inode: u64) -> Option<&[u8]> {
        if inode == 0 {
            return Some(b"-");
        }
        self.namespaces.name(inode)
    }

    /// The inode number of the namespace of this name.
    pub fn namespace_named(&mut self, name: &[u8]) -> Option<u64> {
        self.namespaces.number(name)
    }

    /// Names of all namespaces that have one, in order.
    pub fn namespace_names(&mut self) -> Vec<String> {
        self.namespaces.names()
    }

    /// Names of the devices in a namespace, or in all namespaces that can be entered; `None` if none can.
    pub fn device_names(&mut self, netns: Option<u64>) -> Option<Vec<Vec<u8>>> {
        let wanted = match netns {
            Some(netns) => vec![netns],
            None => self.namespaces.all(),
        };
        let lists = wanted
            .into_iter()
            .filter_map(|netns| self.devices.names(&mut self.namespaces, netns));
        lists.reduce(|mut all, list| {
            all.extend(list);
            all
        })
    }

    /// The name of a device, given by its namespace (0: ours) and its index; `-` for index 0, which is no device.
    pub fn device(&mut self, netns: u32, index: u32) -> Option<&[u8]> {
        if index == 0 {
            return Some(b"-");
        }
        self.devices.name(&mut self.namespaces, netns.into(), index)
    }

    /// Texts of rules will be asked for.
    pub fn expect_rules(&mut self) {
        self.rules.prepare();
    }

    /// The text of a rule of a packet filter, as its tool prints it.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn rule(&mut self, rule: &Rule<'_>) -> Result<&[u8], String> {
        self.rules.text(&mut self.namespaces, rule)
    }
}
