//! Judging: does an outcome fulfil what its case wants?
//!
//! In: a case, the kernel it ran on, the outcome. Out: nothing, or a report for a person: every complaint
//! and everything the programs printed. Also blessing: exact sections rewritten to what was printed.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::section::{replace_body, split};
use super::{Case, Check, CheckKind, Stream, pattern};
use crate::wire::Outcome;

/// Words on stderr by which nettrace tells that events were lost: as it happens, and at the end.
const LOSSES: [&str; 3] = ["Lost ", "lost event count", "did not fit into full maps"];

impl Case {
    /// Holds `outcome`, which came from `kernel`, against the expectations.
    ///
    /// # Errors
    /// The report.
    pub fn judge(&self, kernel: &str, outcome: &Outcome) -> Result<(), String> {
        self.judge_by(self.checks_on(kernel), outcome)
    }

    /// As [`Case::judge`] after blessing: exact sections are right by definition.
    ///
    /// # Errors
    /// The report.
    pub fn judge_blessed(&self, kernel: &str, outcome: &Outcome) -> Result<(), String> {
        let inexact = self
            .checks_on(kernel)
            .filter(|check| !matches!(check.kind, CheckKind::Exact));
        self.judge_by(inexact, outcome)
    }

    fn judge_by<'a>(
        &self,
        checks: impl Iterator<Item = &'a Check>,
        outcome: &Outcome,
    ) -> Result<(), String> {
        let mut complaints = outcome.problems.clone();
        match outcome.exit {
            Some(exit) if exit != self.wanted.exit => {
                complaints.push(format!("exit code {exit}, not {}", self.wanted.exit));
            }
            _ => {}
        }
        complaints.extend(checks.filter_map(|check| complaint(check, outcome)));
        if !self.wanted.losses_allowed
            && let Some(line) = outcome
                .stderr
                .lines()
                .find(|line| LOSSES.iter().any(|words| line.contains(words)))
        {
            complaints.push(format!("events were lost: {line}"));
        }
        let report = report(&complaints, outcome);
        if !self.wanted.complaints.is_empty() {
            return pattern::in_order(&self.wanted.complaints, &complaints.join("\n"))
                .map_err(|missing| format!("nobody complained `{}`\n{report}", missing.pattern));
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(report)
        }
    }

    /// Rewrites the exact sections that apply to `kernel` to what `outcome` holds; true when that changed
    /// the file.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn bless(&self, kernel: &str, outcome: &Outcome) -> Result<bool> {
        let old = fs::read_to_string(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        let mut new = old.clone();
        for check in self
            .checks_on(kernel)
            .filter(|check| matches!(check.kind, CheckKind::Exact))
        {
            // Looked up anew each time: an earlier blessing has moved the lines.
            let pieces = split(&new);
            let section = pieces
                .sections
                .get(check.number)
                .context("the file has changed meanwhile")?;
            new = replace_body(&new, section, trimmed(printed(check.stream, outcome)));
        }
        if new == old {
            return Ok(false);
        }
        fs::write(&self.path, new)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(true)
    }

    fn checks_on(&self, kernel: &str) -> impl Iterator<Item = &Check> {
        self.wanted.checks.iter().filter(move |check| {
            check.only_on.is_empty() || check.only_on.iter().any(|name| name == kernel)
        })
    }
}

fn complaint(check: &Check, outcome: &Outcome) -> Option<String> {
    let text = printed(check.stream, outcome);
    let stream = match check.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    match &check.kind {
        CheckKind::Expect(patterns) => {
            let missing = pattern::in_order(patterns, text).err()?;
            let after = missing.after.map_or(String::new(), |line| {
                format!(", after the line `{}`", line.trim())
            });
            Some(format!("{stream} lacks `{}`{after}", missing.pattern))
        }
        CheckKind::Reject(patterns) => {
            let (line, pattern) = text.lines().find_map(|line| {
                patterns
                    .iter()
                    .find(|pattern| pattern.matches(line))
                    .map(|p| (line, p))
            })?;
            Some(format!(
                "{stream} has `{}`, which `{}` forbids",
                line.trim(),
                pattern.text()
            ))
        }
        CheckKind::Exact => {
            let wanted = &check.section.body;
            (trimmed(wanted) != trimmed(text)).then(|| {
                format!(
                    "{stream} differs from line {} on; wanted:\n{wanted}",
                    check.section.line + 1
                )
            })
        }
    }
}

fn printed(stream: Stream, outcome: &Outcome) -> &str {
    match stream {
        Stream::Stdout => &outcome.stdout,
        Stream::Stderr => &outcome.stderr,
    }
}

/// Blank lines at the end are the file's layout.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches('\n')
}

fn report(complaints: &[String], outcome: &Outcome) -> String {
    let mut report = String::new();
    for complaint in complaints {
        let _ = writeln!(report, "{complaint}");
    }
    for (name, text) in [
        ("stdout", &outcome.stdout),
        ("stderr", &outcome.stderr),
        ("scripts", &outcome.scripts),
    ] {
        if !text.is_empty() {
            let _ = writeln!(report, "--- {name}\n{}", trimmed(text));
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn case(text: &str) -> Case {
        super::super::read(
            "c".to_owned(),
            Path::new("c.nt"),
            text,
            Path::new("/nowhere"),
        )
        .unwrap()
    }

    fn outcome(stdout: &str, stderr: &str, exit: i32) -> Outcome {
        Outcome {
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            exit: Some(exit),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_case_that_gets_what_it_wants_passes() {
        let case = case("x\n---- expect\na{{\\d}}\n---- reject stderr\nb\n---- exit 2\n");
        assert_eq!(case.judge("6.1", &outcome("z\na1\n", "", 2)), Ok(()));
    }

    #[test]
    fn every_complaint_is_told() {
        let case = case("x\n---- expect\na\n---- reject stderr\nb\n---- stdout\nq\n");
        let mut outcome = outcome("z\n", "b\nLost 3 events (begin)\n", 1);
        outcome.problems.push("left behind: a map".to_owned());
        let report = case.judge("6.1", &outcome).unwrap_err();
        for part in [
            "left behind: a map",
            "exit code 1, not 0",
            "lacks `a`",
            "forbids",
            "differs",
            "Lost 3 events",
        ] {
            assert!(report.contains(part), "{part} is not in:\n{report}");
        }
    }

    #[test]
    fn sections_for_other_kernels_do_not_count() {
        let case = case("x\n---- expect 6.1\na\n---- expect 7.2\nb\n");
        assert_eq!(case.judge("7.2", &outcome("b\n", "", 0)), Ok(()));
        assert!(case.judge("6.1", &outcome("b\n", "", 0)).is_err());
    }

    #[test]
    fn a_case_can_be_meant_to_fail() {
        let case = case("x\n---- expect\na\n---- complaints\nstdout lacks `a`\n");
        assert_eq!(case.judge("6.1", &outcome("b\n", "", 0)), Ok(()));
        assert!(
            case.judge("6.1", &outcome("a\n", "", 0))
                .unwrap_err()
                .contains("nobody complained")
        );
    }

    #[test]
    fn losses_can_be_allowed() {
        let lossy = outcome("a\n", "WARNING: Total lost event count: 3\n", 0);
        assert_eq!(
            case("x\n---- expect\na\n---- allow losses\n").judge("6.1", &lossy),
            Ok(())
        );
        assert!(case("x\n---- expect\na\n").judge("6.1", &lossy).is_err());
    }

    #[test]
    fn blessing_rewrites_exact_sections_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.nt");
        let text = "x\n---- expect\nold\n---- stdout\nold\n\n---- stderr 7.2\nolder\n";
        fs::write(&path, text).unwrap();
        let case = super::super::read("c".to_owned(), &path, text, Path::new("/nowhere")).unwrap();
        assert!(case.bless("6.1", &outcome("new\n", "newer\n", 0)).unwrap());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "x\n---- expect\nold\n---- stdout\nnew\n\n---- stderr 7.2\nolder\n"
        );
    }
}
