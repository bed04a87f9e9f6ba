//! A shell command with its output collected, its readiness noticed and its end enforced.
//!
//! In: the command and a directory. Out: what it printed, how it ended, when it said it was attached and
//! how much memory it took. Killing what it leaves running is the sandbox's job.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::sandbox::Sandbox;
use crate::wire::Message;

/// The programs whose processes get the signals: the one under test and the one it is measured against.
/// A pipeline's other members end by themselves.
const SUBJECTS: [&str; 2] = ["nettrace", "bpftrace"];

/// How often an ending process is looked at.
const POLL: Duration = Duration::from_millis(3);

/// A point in time by which something must have ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(Instant);

impl Limit {
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A running command under test.
pub(super) struct Process {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    ready: Receiver<Instant>,
    attached: Option<Instant>,
}

/// How the command under test ended.
pub(super) struct Ended {
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// None when it had to be killed because its time was up.
    pub(super) exit: Option<i32>,
    pub(super) attached: Option<Instant>,
    pub(super) peak_kb: u64,
}

impl Process {
    /// Starts `command` with the shell in `dir`; `live` gets what it prints at once.
    pub(super) fn start(
        command: &str,
        sandbox: &Sandbox,
        live: Option<&Sender<Message>>,
    ) -> Result<Self> {
        let mut child = shell(command, sandbox)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let (sender, ready) = channel();
        let (live_out, live_err) = (live.cloned(), live.cloned());
        Ok(Self {
            child,
            stdout: thread::spawn(move || collect(stdout, live_out, false, None)),
            stderr: thread::spawn(move || collect(stderr, live_err, true, Some(&sender))),
            ready,
            attached: None,
        })
    }

    /// Waits for the banner that says that all probes are attached; none when the process ended or the
    /// time was up before.
    pub(super) fn wait_attached(&mut self, limit: Limit) -> Option<Instant> {
        self.attached = self.ready.recv_timeout(limit.left()).ok();
        self.attached
    }

    /// Sends `signal` to the program under test.
    pub(super) fn signal(&self, signal: i32) {
        let group = self.child.id();
        for pid in processes() {
            let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            // "pid (name) state ppid pgrp …"; the name may hold anything, so look from its closing bracket.
            let Some((head, rest)) = stat.rsplit_once(')') else {
                continue;
            };
            let name = head.split_once('(').map_or("", |(_, name)| name);
            let pgrp = rest
                .split_whitespace()
                .nth(2)
                .and_then(|word| word.parse().ok());
            if pgrp == Some(group) && SUBJECTS.contains(&name) {
                kill(pid, signal);
            }
        }
    }

    /// Waits for the end, and kills the whole group when the time is up.
    pub(super) fn finish(mut self, limit: Limit) -> Result<Ended> {
        let group = -(self.child.id().cast_signed());
        let ended = wait(&mut self.child, limit)?;
        let exit = ended.map(|(status, _)| {
            status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        });
        // Also what the command left in its group: it may hold the pipes open.
        kill(group, libc::SIGKILL);
        let peak_kb = match ended {
            Some((_, peak_kb)) => peak_kb,
            None => wait(&mut self.child, Limit::after(Duration::from_secs(5)))?
                .map_or(0, |(_, peak)| peak),
        };
        let stdout = self.stdout.join().unwrap_or_default();
        let stderr = self.stderr.join().unwrap_or_default();
        let attached = self.attached.or_else(|| self.ready.try_recv().ok());
        Ok(Ended {
            stdout,
            stderr,
            exit,
            attached,
            peak_kb,
        })
    }
}

/// Runs a helper script to its end and returns its output and exit code (none: killed, time was up). What
/// it leaves running in the background goes on.
pub(super) fn script(text: &str, sandbox: &Sandbox, limit: Limit) -> Result<(String, Option<i32>)> {
    // A file and not a pipe: background processes may keep it open.
    let mut log = tempfile::tempfile()?;
    let mut child = shell(&format!("set -eu\n{text}"), sandbox)
        .stdout(Stdio::from(File::try_clone(&log)?))
        .stderr(Stdio::from(File::try_clone(&log)?))
        .spawn()?;
    let ended = wait(&mut child, limit)?;
    if ended.is_none() {
        kill(-(child.id().cast_signed()), libc::SIGKILL);
        wait(&mut child, Limit::after(Duration::from_secs(5)))?;
    }
    log.rewind()?;
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    let exit = ended.map(|(status, _)| {
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    });
    Ok((String::from_utf8_lossy(&bytes).into_owned(), exit))
}

/// The ids of all processes.
pub(super) fn processes() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Sends `signal` to a process, or to a group when `pid` is negative.
pub(super) fn kill(pid: i32, signal: i32) {
    // SAFETY: kill(2) touches no memory of ours. It may find nobody, which is as good.
    unsafe { libc::kill(pid, signal) };
}

fn shell(command: &str, sandbox: &Sandbox) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let (marker, value) = sandbox.marker();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", command])
        .current_dir(sandbox.dir())
        .env(
            "PATH",
            format!("{}:{path}:/usr/sbin:/sbin", sandbox.programs().display()),
        )
        .env("LC_ALL", "C.UTF-8")
        .env(marker, value)
        .stdin(Stdio::null())
        .process_group(0);
    shell
}

/// Waits until `child` has ended; its status and peak memory in kilobytes, or none when the time was up.
fn wait(child: &mut Child, limit: Limit) -> Result<Option<(ExitStatus, u64)>> {
    let pid = child.id().cast_signed();
    loop {
        let mut status = 0;
        // SAFETY: rusage is plain numbers, for which zero is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both out parameters live through the call; `pid` is our unreaped child.
        match unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) } {
            0 if limit.left().is_zero() => return Ok(None),
            0 => thread::sleep(POLL),
            -1 => return Err(std::io::Error::last_os_error()).context("cannot wait for a process"),
            _ => {
                return Ok(Some((
                    ExitStatus::from_raw(status),
                    usage.ru_maxrss.cast_unsigned(),
                )));
            }
        }
    }
}

/// Reads `from` to its end; says at once when the banner `Attached N probe…` has come by.
fn collect(
    mut from: impl Read,
    live: Option<Sender<Message>>,
    error: bool,
    ready: Option<&Sender<Instant>>,
) -> String {
    let mut all = Vec::new();
    let mut chunk = [0; 16384];
    let mut announced = false;
    while let Ok(count) = from.read(&mut chunk) {
        let Some(new) = chunk.get(..count).filter(|new| !new.is_empty()) else {
            break;
        };
        all.extend_from_slice(new);
        if let Some(live) = &live {
            let text = String::from_utf8_lossy(new).into_owned();
            let _ = live.send(Message::Output { text, error });
        }
        if let (Some(ready), false) = (ready, announced) {
            announced = says_attached(&String::from_utf8_lossy(&all));
            if announced {
                let _ = ready.send(Instant::now());
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Whether `text` holds a complete line `Attached N probe` or `Attached N probes`, also as older tools
/// write it (`Attaching 1 probe...` is not yet attached).
fn says_attached(text: &str) -> bool {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("Attached")
                && words
                    .next()
                    .is_some_and(|count| count.parse::<u32>().is_ok())
                && words.next().is_some_and(|word| word.starts_with("probe"))
        })
}

#[cfg(test)]
mod tests {
    use super::says_attached;

    #[test]
    fn only_a_complete_banner_counts() {
        assert!(says_attached("warning: x\nAttached 12 probes\n"));
        assert!(says_attached("Attached 1 probe\n"));
        assert!(!says_attached("Attached 1 prob"));
        assert!(!says_attached("Attaching 1 probe...\n"));
        assert!(!says_attached("not Attached 1 probe\n"));
    }
}
