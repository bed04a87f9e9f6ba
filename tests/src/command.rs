//! Running other programs with errors that say what was run and what it answered.
//!
//! In: a `Command`. Out: its output, or an error with the command line and the end of its stderr.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How much of a failed program's output an error repeats.
const TAIL_LINES: usize = 15;

/// Runs `command` to its end and returns its stdout.
///
/// # Errors
/// When it cannot be started, or ends with anything but success; the error ends with its last lines.
pub fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() {
        let stderr = String::from_utf8_lossy(&out.stderr);
        bail!(
            "`{line}` failed ({}):\n{}",
            out.status,
            tail(&format!("{stdout}{stderr}"), TAIL_LINES)
        );
    }
    Ok(stdout)
}

/// A command that runs `program` as root: directly, or through sudo for everybody else.
#[must_use]
pub fn as_root(program: &str) -> Command {
    if nix::unistd::geteuid().is_root() {
        Command::new(program)
    } else {
        let mut command = Command::new("sudo");
        command.arg(program);
        command
    }
}

/// Whether a program of this name is in `PATH` or one of the system directories that a user's `PATH` lacks.
#[must_use]
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

/// The last `lines` lines of `text`.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}
