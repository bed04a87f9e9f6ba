//! Playing one job: in the guest and on the machine's own kernel alike.
//!
//! In: a [`Job`]. Out: an [`Outcome`]; nothing is judged here except what no case may ever do: leave BPF
//! objects behind, fail its own scripts, or not end. Every job has its own network and mount namespaces,
//! so a topology may do to "its" router what it likes and nothing needs to be taken down.

pub mod leftovers;
mod process;
mod sandbox;

use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::wire::{Job, Message, Outcome, Stop};
use leftovers::Inventory;
use process::{Limit, Process};
use sandbox::Sandbox;

/// How long the kernel may take to free what a finished process held (it does so after grace periods).
const SETTLE: Duration = Duration::from_secs(10);

/// Runs `job` to its end with `programs` first in its `PATH`; `live` gets its output while it appears, if the job asks for that.
pub fn run(job: &Job, programs: &Path, live: Option<&Sender<Message>>) -> Outcome {
    let mut outcome = Outcome::default();
    let before = Inventory::take();
    if let Err(error) = play(job, programs, live, &mut outcome) {
        outcome.problems.push(format!("{error:#}"));
    }
    match before.and_then(|before| before.what_is_new(SETTLE)) {
        Ok(new) => outcome
            .problems
            .extend(new.into_iter().map(|what| format!("left behind: {what}"))),
        Err(error) => outcome
            .problems
            .push(format!("cannot tell what was left behind: {error:#}")),
    }
    outcome
}

/// Runs a job that only compiles: without namespaces, without looking for leftovers, without privilege.
pub fn run_hermetic(job: &Job, programs: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    let played = Sandbox::plain(&job.files, programs)
        .and_then(|sandbox| play_inside(job, None, &mut outcome, &sandbox));
    if let Err(error) = played {
        outcome.problems.push(format!("{error:#}"));
    }
    outcome
}

/// Plays the job on a thread of its own, because namespaces belong to threads.
fn play(
    job: &Job,
    programs: &Path,
    live: Option<&Sender<Message>>,
    outcome: &mut Outcome,
) -> Result<()> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let sandbox = Sandbox::enter(&job.files, programs)?;
                let played = play_inside(job, live, outcome, &sandbox);
                sandbox.empty();
                played
            })
            .join()
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that played the case panicked")))
    })
}

fn play_inside(
    job: &Job,
    live: Option<&Sender<Message>>,
    outcome: &mut Outcome,
    sandbox: &Sandbox,
) -> Result<()> {
    let limit = Limit::after(Duration::from_secs(job.timeout));
    if let Some(script) = &job.before {
        script_must_succeed("before", script, sandbox, limit, outcome)?;
    }
    let started = Instant::now();
    let live = live.filter(|_| job.live);
    let mut process =
        Process::start(&job.run, sandbox, live).context("cannot start the command")?;
    let mut result = Ok(());
    if job.traffic.is_some() || job.stop != Stop::Itself {
        match process.wait_attached(limit) {
            Some(at) => {
                outcome.attached_ms = Some(millis(at - started));
                if let Some(script) = &job.traffic {
                    result = script_must_succeed("traffic", script, sandbox, limit, outcome);
                }
            }
            None => outcome
                .problems
                .push("it never said that it was attached".to_owned()),
        }
        match job.stop {
            Stop::Itself => {}
            Stop::Interrupt => process.signal(libc::SIGINT),
            Stop::Terminate => process.signal(libc::SIGTERM),
        }
    }
    let ended = process.finish(limit)?;
    outcome.total_ms = millis(started.elapsed());
    outcome.attached_ms = outcome
        .attached_ms
        .or(ended.attached.map(|at| millis(at - started)));
    outcome.stdout = ended.stdout;
    outcome.stderr = ended.stderr;
    outcome.exit = ended.exit;
    outcome.peak_kb = ended.peak_kb;
    if ended.exit.is_none() {
        outcome.problems.push(format!(
            "it did not end within {} s and was killed",
            job.timeout
        ));
    }
    result
}

fn script_must_succeed(
    what: &str,
    script: &str,
    sandbox: &Sandbox,
    limit: Limit,
    outcome: &mut Outcome,
) -> Result<()> {
    let (printed, exit) = process::script(script, sandbox, limit)
        .with_context(|| format!("cannot start the {what} script"))?;
    outcome.scripts.push_str(&printed);
    match exit {
        Some(0) => {}
        Some(code) => outcome
            .problems
            .push(format!("the {what} script failed with exit code {code}")),
        None => outcome
            .problems
            .push(format!("the {what} script did not end in time")),
    }
    Ok(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
