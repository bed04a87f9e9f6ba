//! Script cases: what a file under `tests/cases/` asks for and what must come of it.
//!
//! In: a case file (its form is described in `tests/README.md`). Out: a [`Case`] with the [`Job`] that
//! plays it and the expectations that [`verdict`] holds an outcome against. Where a case runs and how is
//! not known here.

pub mod pattern;
pub mod section;
pub mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::artifacts;
use crate::setup::kernels::MATRIX;
use crate::wire::{Job, Stop};
use pattern::Pattern;
use section::Section;

/// The name of the machine's own kernel in `---- kernels`.
pub const NATIVE: &str = "native";

/// The name under which cases run that only compile, against a kernel's description in `tests/kernels`.
pub const CHECK: &str = "check";

/// The kernel that such cases see unless they name another.
const CHECKED_KERNEL: &str = "6.12";

/// The file a script is written to, in the case's own directory.
const SCRIPT: &str = "script.nt";

/// Seconds a case may take unless it says otherwise; emulation is 10 to 20 times slower than hardware.
const TIMEOUT: u64 = 60;

/// A case file, read and checked.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file's path below `tests/cases`, without `.nt`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Where it runs: names of kernels, [`NATIVE`] among them, or only [`CHECK`].
    pub kernels: Vec<String>,
    /// How to play it.
    pub job: Job,
    /// What must come of it.
    pub(crate) wanted: Wanted,
}

/// Expectations, in the order of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) checks: Vec<Check>,
    pub(crate) exit: i32,
    pub(crate) losses_allowed: bool,
    /// The case is to fail, and these lines are in the report: for testing the test bed itself.
    pub(crate) complaints: Vec<Pattern>,
}

/// One section that says something about the output.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) stream: Stream,
    /// Only on these kernels; everywhere when empty.
    pub(crate) only_on: Vec<String>,
    pub(crate) kind: CheckKind,
    /// Which of the file's sections it is, counted from 0.
    pub(crate) number: usize,
    pub(crate) section: Section,
}

#[derive(Debug, Clone)]
pub(crate) enum CheckKind {
    /// These lines occur in order.
    Expect(Vec<Pattern>),
    /// No line is like one of these.
    Reject(Vec<Pattern>),
    /// The stream is exactly the section's body; blessing rewrites it.
    Exact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Reads all cases below `dir`, sorted by name. `topologies` holds the shell files that cases name.
///
/// # Errors
/// A file that cannot be read or says something that is not understood; the error names file and line.
pub fn read_all(dir: &Path, topologies: &Path) -> Result<Vec<Case>> {
    let mut files = Vec::new();
    find(dir, &mut files)?;
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let name = path
            .strip_prefix(dir)?
            .with_extension("")
            .to_string_lossy()
            .into_owned();
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        cases.push(
            read(name, &path, &text, topologies)
                .with_context(|| format!("in {}", path.display()))?,
        );
    }
    Ok(cases)
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "nt") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(name: String, path: &Path, text: &str, topologies: &Path) -> Result<Case> {
    let pieces = section::split(text);
    let mut reader = Reader::new(topologies);
    for (number, section) in pieces.sections.iter().enumerate() {
        reader
            .take(number, section)
            .with_context(|| format!("line {}: section {}", section.line, section.name))?;
    }
    let mut files = vec![(SCRIPT.to_owned(), pieces.script)];
    files.append(&mut reader.files);
    let scripted = reader.traffic.is_some();
    let library = reader.topology.clone();
    let with_library =
        |script: String| format!("{}\n{script}", library.as_deref().unwrap_or_default());
    let before = match (&reader.topology, reader.before) {
        (Some(_), before) => Some(format!("up\n{}", before.unwrap_or_default())),
        (None, before) => before,
    };
    let job = Job {
        name: name.clone(),
        files,
        run: reader.run.unwrap_or_else(|| format!("nettrace {SCRIPT}")),
        before: before.map(&with_library),
        traffic: reader.traffic.map(&with_library),
        stop: reader.stop.unwrap_or(if scripted {
            Stop::Interrupt
        } else {
            Stop::Itself
        }),
        timeout: reader.timeout,
        live: false,
    };
    reader.wanted.exit = reader.exit.unwrap_or(0);
    let wanted = &reader.wanted;
    if wanted.checks.is_empty() && wanted.complaints.is_empty() && wanted.exit == 0 {
        bail!(
            "the case expects nothing: it needs an expect, reject, stdout, stderr or exit section"
        );
    }
    Ok(Case {
        name,
        path: path.to_owned(),
        kernels: reader.kernels,
        job,
        wanted: reader.wanted,
    })
}

/// What has been read of a case so far.
struct Reader<'a> {
    topologies: &'a Path,
    run: Option<String>,
    topology: Option<String>,
    before: Option<String>,
    traffic: Option<String>,
    files: Vec<(String, String)>,
    stop: Option<Stop>,
    timeout: u64,
    kernels: Vec<String>,
    exit: Option<i32>,
    wanted: Wanted,
}

impl<'a> Reader<'a> {
    fn new(topologies: &'a Path) -> Self {
        Self {
            topologies,
            run: None,
            topology: None,
            before: None,
            traffic: None,
            files: Vec::new(),
            stop: None,
            timeout: TIMEOUT,
            kernels: MATRIX.iter().map(|series| series.name.to_owned()).collect(),
            exit: None,
            wanted: Wanted::default(),
        }
    }

    fn take(&mut self, number: usize, section: &Section) -> Result<()> {
        let body = section.body.clone();
        match section.name.as_str() {
            "run" => once(&mut self.run, body)?,
            "before" => once(&mut self.before, body)?,
            "traffic" => once(&mut self.traffic, body)?,
            "topology" => {
                let file = self.topologies.join(format!("{}.sh", one_arg(section)?));
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                once(&mut self.topology, text)?;
            }
            "file" => self.files.push((one_arg(section)?.to_owned(), body)),
            "stop" => once(
                &mut self.stop,
                match one_arg(section)? {
                    "sigint" => Stop::Interrupt,
                    "sigterm" => Stop::Terminate,
                    "itself" => Stop::Itself,
                    other => bail!("`{other}` is not one of sigint, sigterm, itself"),
                },
            )?,
            "timeout" => self.timeout = one_arg(section)?.parse().context("a number of seconds")?,
            "exit" => once(
                &mut self.exit,
                one_arg(section)?.parse().context("an exit code")?,
            )?,
            "diagnostics" => self.diagnostics(number, section)?,
            "allow" => match one_arg(section)? {
                "losses" => self.wanted.losses_allowed = true,
                other => bail!("`{other}` cannot be allowed, only `losses`"),
            },
            "complaints" => {
                self.wanted.complaints =
                    Pattern::parse_all(&section.body).map_err(|error| anyhow!(error))?;
            }
            "kernels" if self.kernels != [CHECK] => self.kernels = kernels(&section.args)?,
            "expect" | "reject" | "stdout" | "stderr" => {
                self.wanted.checks.push(check(number, section)?)
            }
            other => bail!("there is no section `{other}`; see tests/README.md"),
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// `---- diagnostics [KERNEL]`: exactly what `nettrace check` says to the script, against the small
    /// checked-in type information of a kernel and its modules.
    fn diagnostics(&mut self, number: usize, section: &Section) -> Result<()> {
        let version = if section.args.is_empty() {
            CHECKED_KERNEL
        } else {
            one_arg(section)?
        };
        once(&mut self.run, check_command(version)?)?;
        self.kernels = vec![CHECK.to_owned()];
        if self.exit.is_none() {
            self.exit = Some(i32::from(!section.body.is_empty()));
        }
        self.wanted.checks.push(Check {
            stream: Stream::Stderr,
            only_on: Vec::new(),
            kind: CheckKind::Exact,
            number,
            section: section.clone(),
        });
        Ok(())
    }
}

/// The command that checks the script against the description of kernel `version`.
fn check_command(version: &str) -> Result<String> {
    let dir = artifacts::crate_dir().join("kernels");
    let prefix = format!("x86-{version}.");
    let mut modules = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(module) = name
            .strip_prefix(&prefix)
            .and_then(|rest| rest.strip_suffix(".btf"))
        {
            modules.push(format!(" --btf-module {module}={}/{name}", dir.display()));
        }
    }
    let vmlinux = dir.join(format!("{prefix}btf"));
    if !vmlinux.is_file() {
        bail!(
            "there is no kernel {version}: {} does not exist",
            vmlinux.display()
        );
    }
    modules.sort();
    Ok(format!(
        "nettrace check --color never --btf {}{} {SCRIPT}",
        vmlinux.display(),
        modules.concat()
    ))
}

fn check(number: usize, section: &Section) -> Result<Check> {
    let patterns = || Pattern::parse_all(&section.body).map_err(|error| anyhow!(error));
    let (mut stream, kind) = match section.name.as_str() {
        "expect" => (Stream::Stdout, CheckKind::Expect(patterns()?)),
        "reject" => (Stream::Stdout, CheckKind::Reject(patterns()?)),
        "stderr" => (Stream::Stderr, CheckKind::Exact),
        _ => (Stream::Stdout, CheckKind::Exact),
    };
    let mut args = section.args.as_slice();
    if let (CheckKind::Expect(_) | CheckKind::Reject(_), Some((first, rest))) =
        (&kind, args.split_first())
        && first == "stderr"
    {
        stream = Stream::Stderr;
        args = rest;
    }
    if let CheckKind::Expect(patterns) | CheckKind::Reject(patterns) = &kind
        && patterns.is_empty()
    {
        bail!("no lines: nothing would be checked");
    }
    let only_on = if args.is_empty() {
        Vec::new()
    } else {
        kernels(args)?
    };
    Ok(Check {
        stream,
        only_on,
        kind,
        number,
        section: section.clone(),
    })
}

fn kernels(args: &[String]) -> Result<Vec<String>> {
    let known = || MATRIX.iter().map(|series| series.name);
    let mut names: Vec<String> = Vec::new();
    for arg in args {
        match arg.as_str() {
            "all" => names.extend(known().map(str::to_owned)),
            name if name == NATIVE || known().any(|known| known == name) => names.push(arg.clone()),
            other => bail!(
                "no kernel `{other}`: there are all, {NATIVE}, {}",
                known().collect::<Vec<_>>().join(", ")
            ),
        }
    }
    if names.is_empty() {
        bail!("no kernel is named");
    }
    Ok(names)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => bail!("it is there twice"),
    }
}

fn one_arg(section: &Section) -> Result<&str> {
    match section.args.as_slice() {
        [arg] => Ok(arg),
        args => bail!("one word must follow its name, not {}", args.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> Result<Case> {
        read(
            "x/y".to_owned(),
            Path::new("y.nt"),
            text,
            Path::new("/nowhere"),
        )
    }

    #[test]
    fn a_case_with_traffic_is_interrupted_after_it() {
        let case = case("begin {}\n---- traffic\nping -c1 ::1\n---- expect\nx\n").unwrap();
        assert_eq!(case.job.run, "nettrace script.nt");
        assert_eq!(case.job.stop, Stop::Interrupt);
        assert_eq!(case.kernels, ["6.1", "6.12", "7.2"]);
        assert_eq!(
            case.job.files,
            [("script.nt".to_owned(), "begin {}\n".to_owned())]
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, complaint) in [
            ("x\n---- run\na\n", "expects nothing"),
            ("x\n---- expct\na\n", "no section `expct`"),
            ("x\n---- kernels 5.4\n---- expect\na\n", "no kernel `5.4`"),
            ("x\n---- expect\n\n", "nothing would be checked"),
            ("x\n---- run\na\n---- run\nb\n", "line 4"),
            ("x\n---- topology none\n", "/nowhere/none.sh"),
            ("x\n---- diagnostics 5.4\nx\n", "no kernel 5.4"),
            ("x\n---- file ../../etc/x\nx\n---- expect\nx\n", ""),
        ] {
            match case(text) {
                Err(error) => assert!(
                    format!("{error:#}").contains(complaint),
                    "{text}: {error:#}"
                ),
                Ok(_) => assert!(complaint.is_empty(), "{text}"),
            }
        }
    }

    #[test]
    fn diagnostics_compile_against_a_described_kernel() {
        let case = case("x\n---- diagnostics 6.1\nerror: x\n").unwrap();
        assert_eq!(case.kernels, [CHECK]);
        assert_eq!(case.wanted.exit, 1);
        assert!(
            case.job
                .run
                .contains("x86-6.1.btf --btf-module nf_conntrack="),
            "{}",
            case.job.run
        );
        assert!(case.job.run.ends_with(" script.nt"));
    }

    #[test]
    fn expectations_can_be_for_one_stream_and_some_kernels() {
        let case = case("x\n---- expect stderr 6.1 native\na\n---- reject 7.2\nb\n").unwrap();
        let seen: Vec<_> = case
            .wanted
            .checks
            .iter()
            .map(|c| (c.stream, c.only_on.join(" ")))
            .collect();
        assert_eq!(
            seen,
            [
                (Stream::Stderr, "6.1 native".to_owned()),
                (Stream::Stdout, "7.2".to_owned())
            ]
        );
    }
}
