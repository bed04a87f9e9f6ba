//! Showing things to a person: the story's script at work, or any command in a guest, with live output.
//!
//! In: a kernel and what to run. Out: the command's own stdout and stderr, passed through as they come.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::artifacts;
use crate::case::{self, Case};
use crate::progress::step;
use crate::setup::cache::Cache;
use crate::setup::image::PEERS;
use crate::setup::kernels::{MATRIX, Series};
use crate::setup::{self};
use crate::vm::{Guest, Payload};
use crate::wire::{Job, Message, Stop};

/// The case that plays the story.
const STORY: &str = "stories/ct-delete";

/// Seconds that a command of a person's own may take.
const OWN_COMMAND_TIMEOUT: u64 = 600;

/// Runs the published conntrack script: on this machine if it can be traced and no kernel is named, else
/// in a guest while the story is played there. False when the command failed.
///
/// # Errors
/// When the machine cannot be set up or the guest fails.
pub fn conntrack_story(kernel: Option<Series>) -> Result<bool> {
    let dir = artifacts::crate_dir();
    let cases = case::read_all(&dir.join("cases"), &dir.join("topologies"))?;
    let story: Case = cases
        .into_iter()
        .find(|case| case.name == STORY)
        .with_context(|| format!("there is no case {STORY}"))?;
    let nettrace = artifacts::nettrace()?;
    if kernel.is_none() && nix::unistd::geteuid().is_root() && has_kprobes() {
        // Its functions can be traced once it is loaded; without it there are no connections either.
        let loaded = Command::new("modprobe").arg("nf_conntrack").status();
        if !loaded.is_ok_and(|status| status.success()) {
            step("modprobe nf_conntrack failed; it may be built in");
        }
        step(
            "tracing this machine: connections of 172.17.0.2, Docker's first container, as they end; Ctrl-C ends it",
        );
        let script = story
            .job
            .files
            .first()
            .map(|(_, text)| text.as_str())
            .unwrap_or_default();
        let status = Command::new(&nettrace)
            .args(["-e", script])
            .status()
            .context("cannot run nettrace")?;
        return Ok(status.success());
    }
    let [.., newest] = MATRIX;
    let job = Job {
        live: true,
        ..story.job
    };
    in_guest(kernel.unwrap_or(newest), job, &nettrace, false)
}

/// Runs a shell command in a guest, after bringing `topology` up; with `peers` the programs that nettrace is measured beside are in
/// `/opt`, a root of their own. False when it failed.
///
/// # Errors
/// When the machine cannot be set up or the guest fails.
pub fn command(kernel: Series, command: &str, topology: Option<&str>, peers: bool) -> Result<bool> {
    let library = match topology {
        Some(name) => {
            let file = artifacts::crate_dir().join(format!("topologies/{name}.sh"));
            std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?
        }
        None => String::new(),
    };
    let job = Job {
        name: "command".to_owned(),
        files: Vec::new(),
        run: format!("{library}\n{command}"),
        before: topology.map(|_| format!("{library}\nup")),
        traffic: None,
        stop: Stop::Itself,
        timeout: OWN_COMMAND_TIMEOUT,
        live: true,
    };
    in_guest(kernel, job, &artifacts::nettrace()?, peers)
}

fn in_guest(series: Series, job: Job, nettrace: &Path, peers: bool) -> Result<bool> {
    let cache = Cache::open()?;
    let kernels = setup::set_up(&cache, &[series])?;
    let extra = peers.then(|| PEERS.set_up(&cache)).transpose()?;
    drop(cache);
    let [kernel] = kernels.as_slice() else {
        bail!("the kernel was not set up")
    };
    let payload = Payload {
        guest: artifacts::guest()?,
        programs: vec![("nettrace".to_owned(), nettrace.to_owned())],
        extra,
    };
    step(format_args!("booting {}", kernel.name));
    let mut guest = Guest::boot(kernel, &payload, &[job])?;
    let mut good = true;
    loop {
        match guest.next_message()? {
            Message::Booted { release } => step(format_args!("{release} is up")),
            Message::Started { .. } => {}
            Message::Output { text, error: false } => {
                print!("{text}");
                std::io::stdout().flush()?;
            }
            Message::Output { text, error: true } => eprint!("{text}"),
            Message::Finished { outcome, .. } => {
                good = outcome.exit == Some(0) && outcome.problems.is_empty();
                if !good {
                    eprint!("{}", outcome.scripts);
                }
                for problem in &outcome.problems {
                    eprintln!("{problem}");
                }
            }
            Message::Done {
                failure: Some(failure),
            } => bail!("the guest cannot go on: {failure}"),
            Message::Done { failure: None } => return Ok(good),
        }
    }
}

/// Whether this kernel lets kprobes be defined.
fn has_kprobes() -> bool {
    [
        "/sys/kernel/tracing/kprobe_events",
        "/sys/kernel/debug/tracing/kprobe_events",
        "/sys/kernel/debug/kprobes",
    ]
    .iter()
    .any(|file| Path::new(file).exists())
        || std::fs::read_to_string("/sys/bus/event_source/devices/kprobe/type").is_ok()
}
