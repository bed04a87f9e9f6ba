//! Network and mount namespaces and a working directory for one job.
//!
//! In: the files the job wants to find. Out: the calling thread, and every process it starts from now on,
//! is in fresh namespaces whose loopback is up; `ip netns add` works there and is seen nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::process::{kill, processes};
use crate::command::output;

/// Environment variable that every process of a job inherits; it tells what to kill at the end.
const MARKER: &str = "NETTRACE_TESTBED_JOB";

/// How long killed processes may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// The directory of one job, and its namespaces if it has any; the kernel removes the former with the last process in them.
pub(super) struct Sandbox {
    dir: tempfile::TempDir,
    marker: String,
    programs: PathBuf,
}

impl Sandbox {
    /// Moves the calling thread into fresh namespaces for good and creates `files` in a new directory.
    pub(super) fn enter(files: &[(String, String)], programs: &Path) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .context("cannot create namespaces (this needs root)")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("cannot make mounts private")?;
        std::fs::create_dir_all("/run/netns")?;
        mount(
            Some("tmpfs"),
            "/run/netns",
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .context("cannot hide the machine's named network namespaces")?;
        let tracing = Path::new("/sys/kernel/tracing");
        if tracing.is_dir() && !tracing.join("events").exists() {
            // The guest has it; a machine that never traced may not.
            mount(
                Some("tracefs"),
                tracing,
                Some("tracefs"),
                MsFlags::empty(),
                none,
            )
            .context("cannot mount tracefs")?;
        }
        output(Command::new("ip").args(["link", "set", "lo", "up"]))?;

        Self::plain(files, programs)
    }

    /// Creates `files` in a new directory; no namespaces, no privilege needed.
    pub(super) fn plain(files: &[(String, String)], programs: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("case-").tempdir()?;
        for (name, text) in files {
            let place = dir.path().join(name);
            if !place.starts_with(dir.path()) || name.contains("..") {
                bail!("file name {name} leads out of the case's directory");
            }
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&place, text).with_context(|| format!("cannot write {name}"))?;
        }
        let marker = dir
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            dir,
            marker,
            programs: programs.to_owned(),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory that comes first in the job's `PATH`.
    pub(super) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The environment variable that marks the job's processes, and its value.
    pub(super) fn marker(&self) -> (&str, &str) {
        (MARKER, &self.marker)
    }

    /// Ends everything the job still runs, and empties its connection tables first: left to the namespace's
    /// own end, the kernel would delete the entries while the next case already watches deletions.
    pub(super) fn empty(self) {
        let flush = "for n in $(ip netns list | cut -d' ' -f1); do ip netns exec \"$n\" conntrack -F; done; conntrack -F";
        let _ = output(Command::new("/bin/sh").args(["-c", flush]));
        let until = Instant::now() + PATIENCE;
        while self.kill_all() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills every process that carries the marker; whether there was any.
    fn kill_all(&self) -> bool {
        let wanted = format!("{MARKER}={}", self.marker);
        let mut found = false;
        for pid in processes() {
            let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else {
                continue;
            };
            if environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == wanted.as_bytes())
            {
                kill(pid, libc::SIGKILL);
                found = true;
            }
        }
        found
    }
}
