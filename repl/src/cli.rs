//! The command line: options, their help, and nothing else.
//!
//! bpftrace's options keep their letters and meanings, so that habits and scripts carry over.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  nettrace -e 'kprobe:nf_ct_delete { @[kstack()] = count(); }'
                                   who deletes conntrack entries
  nettrace trace.nt                run a script, an existing bpftrace script too
  nettrace run conntrack-delete    run a script that comes with nettrace
  nettrace check trace.nt          find mistakes; needs no privilege
  nettrace -l 'kprobe:nf_ct_*'     list probes
  nettrace -lv 'struct nf_conn'    show a kernel type
  nettrace build trace.nt -o trace.bpf.o && nettrace run trace.bpf.o
                                   compile here, run without the script

Exit codes: 0 done (also after Ctrl-C), N from exit(N), 1 a mistake in the command line or script,
2 a bug of nettrace, 255 the system refused to load or attach.";

/// Trace what the Linux kernel does to packets and connections.
#[derive(Parser, Debug)]
#[command(
    name = "nettrace",
    version,
    about,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) trace: TraceArgs,
}

/// What to do instead of tracing.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run an object file, a script file, or a script that comes with nettrace
    Run(RunArgs),
    /// Compile a script to a standard BPF object file
    Build(BuildArgs),
    /// Find mistakes in scripts; needs no privilege and no running kernel of that kind
    Check(CheckArgs),
    /// List the scripts that come with nettrace
    List,
    /// Try probes and expressions in an interactive session; also `nettrace` alone on a terminal
    Repl(ReplArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// `nettrace [FILE | -e PROG] …`
#[derive(Args, Debug)]
pub(crate) struct TraceArgs {
    /// Script to run; `-` is standard input. Further words are the script's $1, $2, …
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// Parameters of the script
    #[arg(
        value_name = "PARAM",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) params: Vec<String>,
    /// Program text instead of a file
    #[arg(short = 'e', value_name = "PROG", allow_hyphen_values = true)]
    pub(crate) program: Option<String>,
    /// List probes that match a pattern, or show a type: 'struct NAME'
    #[arg(short = 'l', long = "list")]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) compile: CompileOptions,
    /// Print a stage of the compilation instead of running
    #[arg(long, value_name = "STAGE")]
    pub(crate) emit: Option<Stage>,
}

/// `nettrace run`
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Object file, script file or name of a script (see `nettrace list`)
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// Parameters of the script
    #[arg(
        value_name = "PARAM",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) params: Vec<String>,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) compile: CompileOptions,
}

/// `nettrace build`
#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    /// Script; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "program")]
    pub(crate) file: Option<String>,
    /// Parameters of the script
    #[arg(
        value_name = "PARAM",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) params: Vec<String>,
    /// Program text instead of a file
    #[arg(
        short = 'e',
        value_name = "PROG",
        allow_hyphen_values = true,
        conflicts_with = "file"
    )]
    pub(crate) program: Option<String>,
    /// Where the object goes
    #[arg(short = 'o', value_name = "OBJECT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) compile: CompileOptions,
}

/// `nettrace check`
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Scripts; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present = "program")]
    pub(crate) files: Vec<String>,
    /// Program text instead of a file
    #[arg(short = 'e', value_name = "PROG", allow_hyphen_values = true)]
    pub(crate) program: Option<String>,
    #[command(flatten)]
    pub(crate) compile: CompileOptions,
}

/// `nettrace repl`
#[derive(Args, Debug)]
pub(crate) struct ReplArgs {
    /// Scripts to begin with
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<String>,
    #[command(flatten)]
    pub(crate) compile: CompileOptions,
}

/// Options of everything that compiles.
#[derive(Args, Debug, Clone)]
pub(crate) struct CompileOptions {
    /// Type information of another machine's kernel (its /sys/kernel/btf/vmlinux)
    #[arg(long, value_name = "FILE")]
    pub(crate) btf: Option<PathBuf>,
    /// Type information of a module of that machine; repeatable
    #[arg(long, value_name = "NAME=FILE", requires = "btf", value_parser = name_and_file)]
    pub(crate) btf_module: Vec<(String, PathBuf)>,
    /// What happens to probes whose function or event does not exist
    #[arg(long, value_name = "MODE")]
    pub(crate) missing_probes: Option<MissingProbes>,
    /// Whether messages have colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// Options of everything that runs programs.
#[derive(Args, Debug, Clone)]
pub(crate) struct RunOptions {
    /// Write the script's output to a file; messages stay on standard error
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How the output is written: text, or json (one object a line)
    #[arg(short = 'f', long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// When output is written: line, full or none; unless given, whenever no more events wait
    #[arg(short = 'B', value_name = "MODE", hide_possible_values = true)]
    pub(crate) buffering: Option<Buffering>,
    /// Keep quiet about what was attached
    #[arg(short = 'q', long)]
    pub(crate) quiet: bool,
    /// Show more: arguments with -l, else the verifier's whole log when it refuses a program
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,
    /// Load and verify the programs, attach nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Values of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Values of `-B`, as bpftrace has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Buffering {
    /// After each line
    Line,
    /// In large pieces
    Full,
    /// After each event
    None,
}

/// Stages that `--emit` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    Tokens,
    Ast,
    Typed,
    RawIr,
    Ir,
    Asm,
    Elf,
}

/// Values of `--missing-probes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingProbes {
    Error,
    Warn,
    Ignore,
}

/// Values of `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

fn name_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_string(), PathBuf::from(file)))
        }
        _ => Err("write it as NAME=FILE, for example nf_conntrack=nf_conntrack.btf".to_string()),
    }
}

/// The command for help and completions.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// How many values follow an option that `nettrace run` takes; `None` for what is not one.
pub(crate) fn own_option(word: &str) -> Option<usize> {
    let command = command();
    let run = command.find_subcommand("run")?;
    let name = word.split('=').next().unwrap_or(word);
    let arg = run.get_arguments().find(|arg| {
        let long = arg
            .get_long()
            .is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = arg.get_short().is_some_and(|short| {
            let mut letters = name.chars();
            letters.next() == Some('-') && letters.next() == Some(short) && letters.next().is_none()
        });
        long || short
    })?;
    let takes_value = arg.get_action().takes_values() && !word.contains('=');
    Some(usize::from(takes_value))
}

/// The command line once more, with options that stood behind `what` moved before it. `behind` is the number of words behind it.
pub(crate) fn with_options(
    what: &str,
    behind: usize,
    options: &[String],
) -> Result<RunArgs, clap::Error> {
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let before = words.len().saturating_sub(behind + 1);
    let mut line: Vec<&str> = words.iter().take(before).map(String::as_str).collect();
    if line.last() == Some(&what) {
        // A `--` stood between the two.
        line.pop();
    }
    line.extend(options.iter().map(String::as_str));
    line.push(what);
    match Cli::try_parse_from(line)?.command {
        Some(Command::Run(args)) => Ok(args),
        _ => Err(command().error(clap::error::ErrorKind::InvalidSubcommand, "not a run")),
    }
}

/// Reads the command line. `nettrace run SCRIPT --help` is a question to the script, not to nettrace.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let error = match Cli::try_parse() {
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => error,
        parsed => return parsed,
    };
    let words = std::env::args_os().filter(|word| word != "--help" && word != "-h");
    match Cli::try_parse_from(words) {
        Ok(Cli {
            command: Some(Command::Run(mut args)),
            trace,
        }) => {
            args.params.push("--help".to_string());
            Ok(Cli {
                command: Some(Command::Run(args)),
                trace,
            })
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Cli {
        Cli::try_parse_from(words).expect("valid command line")
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn one_liners_files_and_subcommands_are_told_apart() {
        assert_eq!(
            parse(&["nettrace", "-e", "begin { }"])
                .trace
                .program
                .as_deref(),
            Some("begin { }")
        );
        let file = parse(&["nettrace", "trace.nt", "10", "-x"]);
        assert_eq!(file.trace.file.as_deref(), Some("trace.nt"));
        assert_eq!(file.trace.params, ["10", "-x"]);
        assert!(matches!(
            parse(&["nettrace", "check", "a.nt"]).command,
            Some(Command::Check(_))
        ));
    }

    #[test]
    fn formats_are_named() {
        let json = parse(&["nettrace", "-f", "json", "-B", "line", "-e", "begin { }"]);
        assert_eq!(json.trace.run.format, Format::Json);
        assert_eq!(json.trace.run.buffering, Some(Buffering::Line));
        let run = ["nettrace", "run", "--format", "xml", "ct-delete"];
        let error = Cli::try_parse_from(run).expect_err("no such format");
        let text = error.to_string();
        assert!(text.contains("[possible values: text, json]"), "{text}");
    }

    #[test]
    fn listing_takes_an_optional_pattern() {
        let all = parse(&["nettrace", "-l"]);
        assert!(all.trace.list && all.trace.file.is_none());
        let verbose = parse(&["nettrace", "-lv", "struct iphdr"]);
        assert!(verbose.trace.list && verbose.trace.run.verbose);
        assert_eq!(verbose.trace.file.as_deref(), Some("struct iphdr"));
    }
}
