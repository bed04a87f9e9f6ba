//! All cases as ordinary tests: one trial per kernel and case, named `6.12::stories/ct-delete`.
//!
//! In: cases and the command line of a test program (filters and flags as `cargo test` has them). Out:
//! libtest's report. Only the kernels that some selected trial needs are set up and booted, each once;
//! trials wait for the result that their kernel's boot delivers.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::case::{self, CHECK, Case, NATIVE};
use crate::progress::step;
use crate::setup;
use crate::setup::cache::Cache;
use crate::setup::kernels::{Kernel, Series};
use crate::vm::{Guest, Payload};
use crate::wire::{Job, Message, Outcome};
use crate::{artifacts, exec};

/// How a trial ended: nothing to say, or a report.
type Verdict = Result<(), String>;

/// Runs the trials that `args` selects; true when all of them passed.
///
/// # Errors
/// When cases cannot be read, the machine cannot be set up or a binary does not compile.
pub fn run(mut args: Arguments) -> Result<bool> {
    let dir = artifacts::crate_dir();
    let cases = Arc::new(case::read_all(&dir.join("cases"), &dir.join("topologies"))?);
    let board = Arc::new(Board::default());
    let (trials, selected) = trials(&args, &cases, &board);
    // They only wait; with more than one thread a test's line is printed whole when it is done.
    args.test_threads = Some(trials.len().max(2));
    if args.list {
        return Ok(!libtest_mimic::run(&args, trials).has_failed());
    }
    let worker = if selected.is_empty() {
        None
    } else {
        Some(start(selected, &cases, &board)?)
    };
    let conclusion = libtest_mimic::run(&args, trials);
    if let Some(worker) = worker {
        let _ = worker.join();
    }
    Ok(!conclusion.has_failed())
}

/// Which cases run on which kernel: indices by the kernel's name.
type Selection = BTreeMap<String, Vec<usize>>;

fn trials(args: &Arguments, cases: &Arc<Vec<Case>>, board: &Arc<Board>) -> (Vec<Trial>, Selection) {
    let root = nix::unistd::geteuid().is_root();
    let mut selection = Selection::new();
    let mut all = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for kernel in &case.kernels {
            let name = format!("{kernel}::{}", case.name);
            let (board, key) = (Arc::clone(board), name.clone());
            let trial = Trial::test(name, move || board.wait(&key).map_err(Failed::from))
                .with_ignored_flag(kernel == NATIVE && !root);
            if !args.is_filtered_out(&trial) && !args.is_ignored(&trial) {
                selection.entry(kernel.clone()).or_default().push(index);
            }
            all.push((kernel_order(kernel), trial));
        }
    }
    all.sort_by_key(|(order, _)| *order);
    (all.into_iter().map(|(_, trial)| trial).collect(), selection)
}

/// Trials are listed and played in this order: the machine's own kernel, then oldest first.
fn kernel_order(name: &str) -> Option<usize> {
    crate::setup::kernels::MATRIX
        .iter()
        .position(|series| series.name == name)
}

/// Sets everything up and starts the thread that delivers verdicts.
fn start(
    selected: Selection,
    cases: &Arc<Vec<Case>>,
    board: &Arc<Board>,
) -> Result<thread::JoinHandle<()>> {
    let wanted: Vec<Series> = crate::setup::kernels::MATRIX
        .into_iter()
        .filter(|series| selected.contains_key(series.name))
        .collect();
    let nettrace = artifacts::nettrace()?;
    // What only compiles needs nothing of the machine.
    let kernels = if selected.keys().all(|kernel| kernel == CHECK) {
        Vec::new()
    } else {
        setup::set_up(&Cache::open()?, &wanted)?
    };
    let payload = Payload {
        guest: artifacts::guest()?,
        programs: vec![("nettrace".to_owned(), nettrace.clone())],
        extra: None,
    };
    // Native cases find it under its own name, whatever the file is called.
    let programs = tempfile::tempdir()?;
    std::os::unix::fs::symlink(
        std::path::absolute(&nettrace)?,
        programs.path().join("nettrace"),
    )?;
    let (cases, board) = (Arc::clone(cases), Arc::clone(board));
    Ok(thread::spawn(move || {
        let chosen = |kernel: &str| -> Vec<&Case> {
            selected
                .get(kernel)
                .into_iter()
                .flatten()
                .filter_map(|index| cases.get(*index))
                .collect()
        };
        for case in chosen(CHECK) {
            board.post(
                CHECK,
                case,
                settle(case, CHECK, &exec::run_hermetic(&case.job, programs.path())),
            );
        }
        for case in chosen(NATIVE) {
            board.post(
                NATIVE,
                case,
                settle(case, NATIVE, &exec::run(&case.job, programs.path(), None)),
            );
        }
        let queue = Mutex::new(kernels.iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        // Booting keeps one processor busy and playing mostly waits, so a guest per processor pays.
        let guests = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            for _ in 0..guests.min(kernels.len()) {
                scope.spawn(|| {
                    while let Some(kernel) = next() {
                        play(kernel, &payload, chosen(kernel.name), &board);
                    }
                });
            }
        });
    }))
}

/// Plays `cases` in as few boots as the guest allows: normally one; after a crash the rest in another.
fn play(kernel: &Kernel, payload: &Payload, mut cases: Vec<&Case>, board: &Board) {
    while !cases.is_empty() {
        step(format_args!(
            "booting {} for {} cases",
            kernel.name,
            cases.len()
        ));
        let before = cases.len();
        let Err(error) = boot(kernel, payload, &mut cases, board) else {
            return;
        };
        let error = format!("{error:#}");
        // A guest that got nowhere would not get further next time.
        let failed = if cases.len() == before && !error.contains(IN_CASE) {
            cases.len()
        } else {
            1
        };
        for case in cases.drain(..failed) {
            board.post(kernel.name, case, Err(error.clone()));
        }
    }
}

/// Part of the message of an error that belongs to the case that was running.
const IN_CASE: &str = "while the case was running";

/// One boot; takes the cases that have a verdict off the front of `cases`.
fn boot(kernel: &Kernel, payload: &Payload, cases: &mut Vec<&Case>, board: &Board) -> Result<()> {
    let jobs: Vec<Job> = cases.iter().map(|case| case.job.clone()).collect();
    let mut guest = Guest::boot(kernel, payload, &jobs)?;
    let mut running = false;
    loop {
        let message = guest.next_message();
        match if running {
            message.context(IN_CASE)?
        } else {
            message?
        } {
            Message::Booted { release } => step(format_args!("{}: {release} is up", kernel.name)),
            Message::Started { .. } => running = true,
            Message::Output { .. } => {}
            Message::Finished { name, outcome } => {
                running = false;
                if cases.first().is_none_or(|case| case.name != name) {
                    anyhow::bail!("the guest played {name} out of turn");
                }
                let case = cases.remove(0);
                board.post(kernel.name, case, settle(case, kernel.name, &outcome));
            }
            Message::Done {
                failure: Some(failure),
            } => {
                anyhow::bail!(
                    "the guest cannot go on: {failure}\n{}",
                    guest.console_tail()
                )
            }
            Message::Done { failure: None } => return Ok(()),
        }
    }
}

/// The verdict; with `BLESS` in the environment exact sections are rewritten before.
fn settle(case: &Case, kernel: &str, outcome: &Outcome) -> Verdict {
    if std::env::var_os("BLESS").is_none() {
        return case.judge(kernel, outcome);
    }
    let changed = case
        .bless(kernel, outcome)
        .map_err(|error| format!("cannot bless: {error:#}"))?;
    if changed {
        step(format_args!(
            "blessed {} as {kernel} has it",
            case.path.display()
        ));
    }
    case.judge_blessed(kernel, outcome)
}

/// Where verdicts are put and waited for.
#[derive(Debug, Default)]
struct Board {
    verdicts: Mutex<BTreeMap<String, Verdict>>,
    news: Condvar,
}

impl Board {
    fn post(&self, kernel: &str, case: &Case, verdict: Verdict) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(format!("{kernel}::{}", case.name), verdict);
        self.news.notify_all();
    }

    fn wait(&self, name: &str) -> Verdict {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(verdict) = verdicts.remove(name) {
                return verdict;
            }
            verdicts = self
                .news
                .wait(verdicts)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
