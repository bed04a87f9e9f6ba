//! What an operating system's start-up does, as far as cases need it.
//!
//! In: the initramfs and the disks. Out: this process lives in the root image with all modules and file
//! systems in place. Not here: services, users, a network beyond loopback.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};

use crate::command::output;

/// How long the kernel may take to find the disks.
const DISK_PATIENCE: Duration = Duration::from_secs(20);

/// Bit of /proc/sys/kernel/tainted that says that the kernel printed a warning with a backtrace.
const TAINT_WARN: u64 = 1 << 9;

/// The taint bits that have been reported already.
static SEEN_TAINT: AtomicU64 = AtomicU64::new(0);

/// Loads modules, mounts everything and moves into the root image.
///
/// # Errors
/// When a module does not load or a disk does not appear.
pub(super) fn bring_up() -> Result<()> {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount_new(kind, place)?;
    }
    load_early_modules()?;
    fs::create_dir_all("/root")?;
    mount_disk("/dev/vda", "/root", MsFlags::empty())?;
    mount_disk("/dev/vdb", "/root/usr/lib/modules", MsFlags::MS_RDONLY)?;
    if Path::new("/dev/vdc").exists() {
        mount_disk("/dev/vdc", "/root/opt", MsFlags::empty())?;
    }
    fs::create_dir_all("/root/payload")?;
    move_mount("/payload", "/root/payload", MsFlags::MS_BIND)?;
    for place in ["/dev", "/proc", "/sys"] {
        move_mount(place, &format!("/root{place}"), MsFlags::MS_MOVE)?;
    }
    std::env::set_current_dir("/root")?;
    move_mount(".", "/", MsFlags::MS_MOVE)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")?;

    for (kind, place) in [
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("devpts", "/dev/pts"),
        ("tmpfs", "/dev/shm"),
        ("tracefs", "/sys/kernel/tracing"),
        ("debugfs", "/sys/kernel/debug"),
        ("bpf", "/sys/fs/bpf"),
        ("cgroup2", "/sys/fs/cgroup"),
    ] {
        mount_new(kind, place)?;
    }
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ] {
        let link = Path::new("/dev").join(link);
        if !link.exists() {
            std::os::unix::fs::symlink(target, &link)?;
        }
    }
    // SAFETY: the only thread so far.
    unsafe {
        std::env::set_var(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        std::env::set_var("HOME", "/root");
    }
    output(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    Ok(())
}

/// A description of the kernel's first warning since the last call, with the end of its log.
pub(super) fn new_kernel_warning() -> Option<String> {
    let taint: u64 = fs::read_to_string("/proc/sys/kernel/tainted")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let seen = SEEN_TAINT.fetch_or(taint, Ordering::Relaxed);
    if taint & !seen & TAINT_WARN == 0 {
        return None;
    }
    let log = output(&mut Command::new("dmesg")).unwrap_or_default();
    Some(format!(
        "the kernel printed a warning:\n{}",
        crate::command::tail(&log, 40)
    ))
}

/// Collects orphans that have ended: the first process inherits them.
pub(super) fn reap() {
    // SAFETY: waitpid with no status pointer; nobody else waits between two jobs.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

/// Ends the guest.
pub(super) fn switch_off() -> ! {
    // SAFETY: reboot(2) takes no pointers here. QEMU is told to exit when the guest restarts, which works
    // without ACPI.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_RESTART) };
    loop {
        thread::park();
    }
}

fn mount_new(kind: &str, place: &str) -> Result<()> {
    fs::create_dir_all(place)?;
    let none: Option<&str> = None;
    match mount(Some(kind), place, Some(kind), MsFlags::empty(), none) {
        // The kernel mounts devtmpfs by itself in some configurations, tracefs appears below debugfs.
        Ok(()) | Err(nix::Error::EBUSY) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot mount {kind} on {place}")),
    }
}

fn mount_disk(device: &str, place: &str, flags: MsFlags) -> Result<()> {
    let until = Instant::now() + DISK_PATIENCE;
    while !Path::new(device).exists() {
        if Instant::now() >= until {
            bail!("the disk {device} did not appear");
        }
        thread::sleep(Duration::from_millis(10));
    }
    fs::create_dir_all(place)?;
    let none: Option<&str> = None;
    mount(Some(device), place, Some("ext4"), flags, none)
        .with_context(|| format!("cannot mount {device} on {place}"))
}

fn move_mount(from: &str, to: &str, how: MsFlags) -> Result<()> {
    let none: Option<&str> = None;
    mount(Some(from), to, none, how, none).with_context(|| format!("cannot move {from} to {to}"))
}

fn load_early_modules() -> Result<()> {
    let mut files: Vec<_> = fs::read_dir("/early")?
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    for path in files {
        let file = File::open(&path)?;
        // SAFETY: a descriptor, an empty C string and no flags.
        let result =
            unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
        if result != 0 {
            return Err(std::io::Error::last_os_error())
                .with_context(|| format!("cannot load {}", path.display()));
        }
    }
    Ok(())
}
