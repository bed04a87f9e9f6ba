//! The scripts that come with nettrace and the prelude of macros that all scripts can use: names and texts.
//!
//! In: nothing; the texts are part of the binary. Out: [`SCRIPTS`], [`PRELUDE`]. This crate does not know what a script means.

/// A file that comes with nettrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// What a user types.
    pub name: &'static str,
    /// The whole text. Its first comment line says what it is for.
    pub text: &'static str,
}

macro_rules! files {
    ($(#[$doc:meta])* $list:ident, $folder:literal: $($name:literal)*) => {
        $(#[$doc])*
        pub const $list: &[Script] = &[
            $(Script { name: $name, text: include_str!(concat!("../", $folder, "/", $name, ".nt")) }),*
        ];
    };
}

files! {
    /// The scripts that `nettrace run NAME` starts, in name order.
    SCRIPTS, "scripts":
    "call-graph"
    "conntrack-delete"
    "conntrack-destroy"
    "conntrack-prerouting"
    "ct-delete"
    "ct-events"
    "ct-invalid"
    "ct-prerouting"
    "ct-unconfirmed"
    "hook-slow"
    "nf-hooks"
    "nf-trace"
    "skb-diff"
    "skb-drops"
    "skb-path"
}

files! {
    /// The files of the prelude in name order. A script that names one of their macros has read the file already.
    PRELUDE, "prelude":
    "align"
    "byteorder"
    "conntrack"
    "device"
    "filter"
    "flow"
    "netfilter"
    "packet"
    "pcap"
    "pointer"
    "task"
    "text"
    "track"
}

/// The script of this name.
pub fn find(name: &str) -> Option<&'static Script> {
    SCRIPTS.iter().find(|s| s.name == name)
}

/// The file of the prelude that defines a macro of this name.
pub fn prelude(name: &str) -> Option<&'static Script> {
    PRELUDE.iter().find(|file| file.macros().any(|m| m == name))
}

impl Script {
    /// What it is for: the text of its first `//` line.
    pub fn purpose(&self) -> &'static str {
        self.text
            .lines()
            .find_map(|l| l.strip_prefix("//"))
            .map_or("", str::trim)
    }

    /// Names of the macros that it defines: each at the start of a line.
    pub fn macros(&self) -> impl Iterator<Item = &'static str> {
        self.text
            .lines()
            .filter_map(|l| l.strip_prefix("macro "))
            .filter_map(|l| l.split('(').next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_says_what_it_is_for_and_names_are_sorted() {
        for list in [SCRIPTS, PRELUDE] {
            for script in list {
                assert!(
                    script.purpose().len() > 10,
                    "{} has no purpose line",
                    script.name
                );
            }
            assert!(list.is_sorted_by_key(|s| s.name));
        }
    }

    #[test]
    fn macros_are_found_by_name() {
        assert_eq!(prelude("ntohs").map(|f| f.name), Some("byteorder"));
        assert_eq!(prelude("nonsense"), None);
    }
}
