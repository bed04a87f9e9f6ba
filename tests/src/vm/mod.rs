//! Booting a kernel in QEMU and listening to what its guest runner says.
//!
//! In: a [`Kernel`], the root image, programs and jobs. Out: the guest's [`Message`]s in order; a guest
//! that hangs, crashes or never starts is an error that ends with its console's last lines.

pub mod initramfs;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::tail;
use crate::setup::kernels::Kernel;
use crate::setup::tools::QEMU;
use crate::wire::{JOBS_FILE, Job, Message, PROGRAMS_DIR};
use initramfs::Archive;

/// How long a guest may take until it says something first, and between two messages beside what a job
/// may take by its own limit.
const SILENCE: Duration = Duration::from_secs(90);

/// Lines of the console that an error repeats.
const CONSOLE_TAIL: usize = 40;

/// What is put into a guest beside kernel and root image.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The guest runner: a static binary that becomes the first process.
    pub guest: PathBuf,
    /// Programs for the guest's `PATH`: name and file.
    pub programs: Vec<(String, PathBuf)>,
    /// A further root file system, seen as `/opt` in the guest.
    pub extra: Option<PathBuf>,
}

/// A guest that is running.
#[derive(Debug)]
pub struct Guest {
    qemu: Child,
    messages: Receiver<std::io::Result<String>>,
    console: PathBuf,
    silence: Duration,
    _dir: tempfile::TempDir,
}

impl Guest {
    /// Starts `kernel` with `jobs`.
    ///
    /// # Errors
    /// When the initramfs cannot be written or QEMU does not start.
    pub fn boot(kernel: &Kernel, payload: &Payload, jobs: &[Job]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("nettrace-vm-").tempdir()?;
        let initrd = dir.path().join("initrd");
        pack(&initrd, kernel, payload, jobs).context("cannot write the initramfs")?;
        let console = dir.path().join("console");
        let mut qemu = command(kernel, payload, &initrd, &console)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(File::create(dir.path().join("qemu"))?))
            .spawn()
            .with_context(|| format!("cannot run {QEMU}"))?;
        let stdout = qemu.stdout.take().context("QEMU has no stdout")?;
        let longest = jobs.iter().map(|job| job.timeout).max().unwrap_or(0);
        let silence = SILENCE + Duration::from_secs(longest);
        Ok(Self {
            qemu,
            messages: listen(stdout),
            console,
            silence,
            _dir: dir,
        })
    }

    /// The next message; none after [`Message::Done`] was given and the guest has gone.
    ///
    /// # Errors
    /// When the guest has died, is silent for too long, or talks nonsense.
    pub fn next_message(&mut self) -> Result<Message> {
        let line = match self.messages.recv_timeout(self.silence) {
            Ok(line) => line?,
            Err(RecvTimeoutError::Timeout) => bail!(
                "the guest has said nothing for {} s; its console ends with:\n{}",
                self.silence.as_secs(),
                self.console_tail()
            ),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.qemu.wait()?;
                bail!(
                    "the guest died (QEMU: {status}); its console ends with:\n{}",
                    self.console_tail()
                )
            }
        };
        serde_json::from_str(&line)
            .with_context(|| format!("the guest said something unintelligible: {line}"))
    }

    /// The end of everything the guest's kernel and QEMU have printed.
    #[must_use]
    pub fn console_tail(&self) -> String {
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let qemu = read(&self.console.with_file_name("qemu"));
        tail(&format!("{}\n{qemu}", read(&self.console)), CONSOLE_TAIL)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn pack(to: &Path, kernel: &Kernel, payload: &Payload, jobs: &[Job]) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(File::create(to)?));
    archive.file("/init", &read(&payload.guest)?)?;
    archive.directory("/dev")?;
    archive.directory("/early")?;
    for module in &kernel.early {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("/early/{name}"), &read(module)?)?;
    }
    for (name, file) in &payload.programs {
        archive.file(&format!("{PROGRAMS_DIR}/{name}"), &read(file)?)?;
    }
    archive.file(JOBS_FILE, &serde_json::to_vec(jobs)?)?;
    archive.finish()?;
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

fn command(kernel: &Kernel, payload: &Payload, initrd: &Path, console: &Path) -> Command {
    let mut qemu = Command::new(QEMU);
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ])
    // Emulation, never KVM: guests hang on machines that are guests themselves. Five-level page tables
    // only make the emulated page walks longer.
    .args([
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max,la57=off",
        "-smp",
        "2",
        "-m",
        "2G",
    ])
    .arg("-kernel")
    .arg(&kernel.image)
    .arg("-initrd")
    .arg(initrd)
    // no_timer_check: on a busy machine the emulated timer comes late, and the kernel would take it for broken and panic.
    .args([
        "-append",
        "console=ttyS0 panic=-1 oops=panic mitigations=off no_timer_check quiet loglevel=4",
    ])
    .arg("-serial")
    .arg(format!("file:{}", console.display()))
    .args([
        "-chardev",
        "stdio,id=report,signal=off",
        "-serial",
        "chardev:report",
    ]);
    for (number, disk) in [
        Some(kernel.root.as_path()),
        Some(&kernel.modules),
        payload.extra.as_deref(),
    ]
    .into_iter()
    .flatten()
    .enumerate()
    {
        qemu.arg("-drive")
            .arg(format!(
                "file={},format=raw,if=none,id=disk{number},snapshot=on",
                disk.display()
            ))
            .arg("-device")
            .arg(format!("virtio-blk-pci,drive=disk{number}"));
    }
    // SAFETY: prctl is async-signal-safe; it makes the guest die with the thread that listens to it.
    unsafe {
        qemu.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    qemu
}

fn listen(stdout: ChildStdout) -> Receiver<std::io::Result<String>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
