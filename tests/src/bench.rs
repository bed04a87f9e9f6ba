//! nettrace beside bpftrace: the same script, the same boot, one after the other.
//!
//! In: a kernel, the stories' scripts, and an image with bpftrace that only this needs. Out: a table of
//! medians and ratios on stdout, in the form of docs/performance.md. Emulation is 10 to 20 times slower
//! than hardware, so only the ratios say something. bpftrace cannot run the published scripts as they are
//! on a machine without kernel headers, so it gets them without their `#include` lines.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::artifacts;
use crate::case;
use crate::progress::step;
use crate::setup::cache::Cache;
use crate::setup::image::PEERS;
use crate::setup::kernels::Series;
use crate::setup::{self};
use crate::vm::{Guest, Payload};
use crate::wire::{Job, Message, Outcome, Stop};

/// Timed runs of each program; one more comes before them and is not counted.
const RUNS: usize = 5;

/// Runs of the native compiler.
const COMPILATIONS: usize = 21;

/// The script whose start is timed, and the one whose program is counted.
const SCRIPTS: [&str; 2] = ["stories/ct-delete-dst", "stories/ct-delete"];

/// Seconds a start may take; bpftrace needs 5 to 10.
const TIMEOUT: u64 = 120;

/// Counts the instructions of every kprobe program that is loaded, as the kernel runs them.
const COUNT: &str = r#"
for id in $(bpftool prog show | sed -n 's/^\([0-9]*\): kprobe .*/\1/p'); do
    echo "instructions $(bpftool prog dump xlated id $id | grep -cE '^ *[0-9]+: \(')"
done
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Nettrace,
    Bpftrace,
}

const TOOLS: [Tool; 2] = [Tool::Nettrace, Tool::Bpftrace];

/// Medians of one tool's runs of one script.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    attached_ms: u64,
    peak_kb: u64,
    instructions: u64,
}

/// Measures on each of `kernels` and prints the tables.
///
/// # Errors
/// When the machine cannot be set up, a guest fails, or one of the programs does not attach.
pub fn run(kernels: &[Series]) -> Result<()> {
    let dir = artifacts::crate_dir();
    let cases = case::read_all(&dir.join("cases"), &dir.join("topologies"))?;
    let scripts = SCRIPTS.map(|name| {
        let case = cases.iter().find(|case| case.name == name)?;
        case.job.files.first().map(|(_, text)| text.clone())
    });
    let [Some(start), Some(size)] = scripts else {
        bail!("the cases {} are gone", SCRIPTS.join(" and "))
    };

    let nettrace = artifacts::nettrace()?;
    let cache = Cache::open()?;
    let payload = Payload {
        guest: artifacts::guest()?,
        programs: vec![("nettrace".to_owned(), nettrace.clone())],
        extra: Some(PEERS.set_up(&cache)?),
    };
    let kernels = setup::set_up(&cache, kernels)?;
    // Measuring takes minutes; others need not wait for the cache meanwhile.
    drop(cache);
    println!("| kernel | figure | nettrace | bpftrace | ratio |");
    println!("|---|---|---|---|---|");
    for kernel in &kernels {
        step(format_args!("booting {}", kernel.name));
        let jobs = jobs(&start, &size);
        let mut guest = Guest::boot(kernel, &payload, &jobs)?;
        let outcomes = listen(&mut guest)?;
        let figures = |which: usize, tool: Tool| figures(&outcomes, &job_prefix(which, tool));
        let (ours, theirs) = (figures(0, Tool::Nettrace)?, figures(0, Tool::Bpftrace)?);
        row(
            kernel.name,
            "script (b): start until attached, ms",
            ours.attached_ms,
            theirs.attached_ms,
        );
        row(
            kernel.name,
            "script (b): peak memory, kB",
            ours.peak_kb,
            theirs.peak_kb,
        );
        let (ours, theirs) = (figures(1, Tool::Nettrace)?, figures(1, Tool::Bpftrace)?);
        row(
            kernel.name,
            "script (a): instructions in the kernel",
            ours.instructions,
            theirs.instructions,
        );
    }
    println!(
        "\ncompiling script (a) on this machine, whole process: {} ms (median)",
        compile(&nettrace, &size)?
    );
    Ok(())
}

fn row(kernel: &str, figure: &str, ours: u64, theirs: u64) {
    // Tables are for people; a ratio of counts this small loses nothing in an f64.
    let ratio = theirs as f64 / ours.max(1) as f64;
    println!("| {kernel} | {figure} | {ours} | {theirs} | {ratio:.1} |");
}

fn jobs(start: &str, size: &str) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (which, script) in [start, size].into_iter().enumerate() {
        for number in 0..=RUNS {
            for tool in TOOLS {
                jobs.push(job(
                    format!("{}{number}", job_prefix(which, tool)),
                    tool,
                    script,
                ));
            }
        }
    }
    jobs
}

fn job_prefix(which: usize, tool: Tool) -> String {
    format!("{which} {tool:?} ")
}

fn job(name: String, tool: Tool, script: &str) -> Job {
    let modules = "modprobe -a nf_conntrack nf_nat\n";
    let (script, before, run) = match tool {
        Tool::Nettrace => (
            script.to_owned(),
            modules.to_owned(),
            "exec nettrace script.nt".to_owned(),
        ),
        Tool::Bpftrace => (
            without_headers(script),
            // bpftrace lives in a root of its own; the mounts are the job's and go with it.
            format!(
                "{modules}for d in dev proc sys; do mount --rbind /$d /opt/$d; done\ncp script.nt /opt/tmp/script.bt"
            ),
            "exec chroot /opt bpftrace /tmp/script.bt >&2".to_owned(),
        ),
    };
    Job {
        name,
        files: vec![("script.nt".to_owned(), script)],
        run,
        before: Some(before),
        traffic: Some(COUNT.to_owned()),
        stop: Stop::Interrupt,
        timeout: TIMEOUT,
        live: false,
    }
}

/// The script with what its headers gave it written out.
fn without_headers(script: &str) -> String {
    let lines: Vec<&str> = script
        .lines()
        .filter(|line| !line.starts_with("#include"))
        .collect();
    lines.join("\n").replace("AF_INET", "2") + "\n"
}

fn listen(guest: &mut Guest) -> Result<Vec<(String, Outcome)>> {
    let mut outcomes = Vec::new();
    loop {
        match guest.next_message()? {
            Message::Finished { name, outcome } => {
                if outcome.exit != Some(0)
                    || outcome.attached_ms.is_none()
                    || !outcome.problems.is_empty()
                {
                    bail!("{name} failed: {outcome:#?}");
                }
                step(format_args!(
                    "{name}: attached after {} ms",
                    outcome.attached_ms.unwrap_or(0)
                ));
                outcomes.push((name, outcome));
            }
            Message::Done {
                failure: Some(failure),
            } => bail!("the guest cannot go on: {failure}"),
            Message::Done { failure: None } => return Ok(outcomes),
            Message::Booted { .. } | Message::Started { .. } | Message::Output { .. } => {}
        }
    }
}

/// Medians over the runs whose names begin with `prefix`, without the first.
fn figures(outcomes: &[(String, Outcome)], prefix: &str) -> Result<Figures> {
    let runs: Vec<&Outcome> = outcomes
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(_, outcome)| outcome)
        .skip(1)
        .collect();
    let instructions = |outcome: &Outcome| -> u64 {
        let counts = outcome
            .scripts
            .lines()
            .filter_map(|line| line.strip_prefix("instructions "));
        counts
            .filter_map(|count| count.trim().parse::<u64>().ok())
            .sum()
    };
    let of = |what: &dyn Fn(&Outcome) -> u64| median(runs.iter().map(|run| what(run)).collect());
    Ok(Figures {
        attached_ms: of(&|run| run.attached_ms.unwrap_or(0)).context("no run")?,
        peak_kb: of(&|run| run.peak_kb).context("no run")?,
        instructions: of(&instructions).context("no run")?,
    })
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Milliseconds from the start of `nettrace build` to its end.
fn compile(nettrace: &Path, script: &str) -> Result<String> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("script.nt"), script)?;
    let mut micros = Vec::new();
    for _ in 0..COMPILATIONS {
        let start = Instant::now();
        let status = Command::new(nettrace)
            .current_dir(dir.path())
            .args(["build", "script.nt", "-o", "script.bpf.o"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("cannot run nettrace")?;
        if !status.success() {
            bail!("`nettrace build` failed");
        }
        micros.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    let median = median(micros).context("no run")?;
    Ok(format!("{}.{}", median / 1000, median % 1000 / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpftrace_gets_the_script_without_headers() {
        assert_eq!(
            without_headers("#include <linux/socket.h>\n\nbegin { print(AF_INET); }\n"),
            "\nbegin { print(2); }\n"
        );
    }

    #[test]
    fn the_first_run_does_not_count() {
        let run = |ms, text: &str| Outcome {
            attached_ms: Some(ms),
            scripts: text.to_owned(),
            ..Outcome::default()
        };
        let outcomes: Vec<(String, Outcome)> = [
            (900, ""),
            (5, "instructions 7\n"),
            (3, "instructions 7\n"),
            (4, "x"),
        ]
        .into_iter()
        .enumerate()
        .map(|(number, (ms, text))| (format!("0 Nettrace {number}"), run(ms, text)))
        .collect();
        let figures = figures(&outcomes, &job_prefix(0, Tool::Nettrace)).unwrap();
        assert_eq!((figures.attached_ms, figures.instructions), (4, 7));
    }
}
