//! The programs and libraries that the test bed needs on this machine.
//!
//! In: nothing. Out: they are installed. A machine that has them all is not touched, and its apt is not
//! even asked.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::apt::{self, Apt};
use super::cache::Cache;
use crate::command::{exists, output};
use crate::progress::step;

/// A program and the package that has it.
const PROGRAMS: [(&str, &str); 10] = [
    ("mmdebstrap", "mmdebstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("llvm-objdump", "llvm"),
    ("bpftool", "bpftool"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("tmux", "tmux"),
];

/// A header of a library and the package that has it.
const LIBRARIES: [(&str, &str); 1] = [("/usr/include/pcap/pcap.h", "libpcap-dev")];

/// The emulator of this name boots the guests.
pub const QEMU: &str = "qemu-system-x86_64";

/// Version 7.2 crashes guests in multi-threaded TCG (double faults in their allocator).
const OLDEST_QEMU: u32 = 10;

/// Installs what is missing.
///
/// # Errors
/// When apt cannot install a package.
pub fn set_up(cache: &Cache) -> Result<()> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !exists(program));
    let libraries = LIBRARIES
        .iter()
        .filter(|(header, _)| !Path::new(header).exists());
    let missing: Vec<&str> = programs
        .chain(libraries)
        .map(|(_, package)| *package)
        .collect();
    let qemu = qemu_version();
    let new_qemu = qemu.is_none_or(|version| version < OLDEST_QEMU);
    if missing.is_empty() && !new_qemu {
        return Ok(());
    }
    let codename = apt::codename()?;
    let apt = Apt::of(cache, &codename)?;
    if !missing.is_empty() {
        step(format_args!("installing {}", missing.join(" ")));
        apt.install(&missing, None)?;
    }
    if new_qemu {
        step(format_args!(
            "installing qemu-system-x86 {OLDEST_QEMU} or newer"
        ));
        let backports = format!("{codename}-backports");
        // Releases after bookworm have it in themselves.
        let target = (codename == "bookworm").then_some(backports.as_str());
        apt.install(&["qemu-system-x86"], target)?;
    }
    Ok(())
}

/// The installed emulator's major version.
fn qemu_version() -> Option<u32> {
    let text = output(Command::new(QEMU).arg("--version")).ok()?;
    text.split_whitespace()
        .skip_while(|word| *word != "version")
        .nth(1)?
        .split('.')
        .next()?
        .parse()
        .ok()
}
