//! The scripts that come with nettrace: names and texts.
//!
//! In: nothing; the texts are part of the binary. Out: [`SCRIPTS`]. This crate does not know what a script means.

/// A script that `nettrace run NAME` starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// What a user types.
    pub name: &'static str,
    /// The whole text. Its first comment line says what it is for.
    pub text: &'static str,
}

macro_rules! scripts {
    ($($name:literal)*) => {
        /// All scripts in name order.
        pub const SCRIPTS: &[Script] =
            &[$(Script { name: $name, text: include_str!(concat!("../scripts/", $name, ".nt")) }),*];
    };
}

scripts! {
    "conntrack-delete"
    "conntrack-destroy"
    "conntrack-prerouting"
    "hook-slow"
}

/// The script of this name.
pub fn find(name: &str) -> Option<&'static Script> {
    SCRIPTS.iter().find(|s| s.name == name)
}

impl Script {
    /// What it is for: the text of its first `//` line.
    pub fn purpose(&self) -> &'static str {
        self.text
            .lines()
            .find_map(|l| l.strip_prefix("//"))
            .map_or("", str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_is_for_and_names_are_sorted() {
        for script in SCRIPTS {
            assert!(
                script.purpose().len() > 10,
                "{} has no purpose line",
                script.name
            );
        }
        assert!(SCRIPTS.is_sorted_by_key(|s| s.name));
    }
}
