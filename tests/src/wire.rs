//! What host and guest say to each other: jobs go in as one JSON file, messages come back one per line.
//!
//! Only plain data is here; who runs jobs is [`crate::exec`], who judges outcomes is [`crate::case`].

use serde::{Deserialize, Serialize};

/// Where the guest finds its jobs.
pub const JOBS_FILE: &str = "/payload/jobs.json";
/// Where the guest finds the programs under test; first in its `PATH`.
pub const PROGRAMS_DIR: &str = "/payload/bin";

/// One program run: everything needed to play a case, without any knowledge of what it should print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The case's name, unique within a boot.
    pub name: String,
    /// Files put into the fresh working directory: name and text.
    pub files: Vec<(String, String)>,
    /// The shell command under test.
    pub run: String,
    /// Shell script that must succeed before `run` is started.
    pub before: Option<String>,
    /// Shell script that is played once `run` has said that it is attached.
    pub traffic: Option<String>,
    /// What ends `run`.
    pub stop: Stop,
    /// The most that `before`, `run` and `traffic` may take together, in seconds.
    pub timeout: u64,
    /// Whether output is also sent while it appears.
    pub live: bool,
}

/// What ends the command under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// It ends by itself.
    Itself,
    /// SIGINT after the traffic.
    Interrupt,
    /// SIGTERM after the traffic.
    Terminate,
}

/// What became of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Standard output of the command under test, lossily decoded.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; 128 + the signal's number when a signal killed it; none when it never ended or started.
    pub exit: Option<i32>,
    /// What the `before` and `traffic` scripts printed.
    pub scripts: String,
    /// Everything that went wrong around the command: failed scripts, time limits, things left behind.
    pub problems: Vec<String>,
    /// Milliseconds from the start of the command until it said it was attached.
    pub attached_ms: Option<u64>,
    /// Milliseconds from its start to its end.
    pub total_ms: u64,
    /// Its peak memory in kilobytes.
    pub peak_kb: u64,
}

/// A line from the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The guest is up and runs this kernel release.
    Booted {
        /// As `uname -r` says.
        release: String,
    },
    /// A job begins.
    Started {
        /// Its name.
        name: String,
    },
    /// A piece of a live job's output.
    Output {
        /// The text.
        text: String,
        /// Whether it came from stderr.
        error: bool,
    },
    /// A job has ended.
    Finished {
        /// Its name.
        name: String,
        /// What became of it.
        outcome: Outcome,
    },
    /// All jobs are done, or the guest cannot go on for this reason.
    Done {
        /// Why it cannot go on.
        failure: Option<String>,
    },
}
