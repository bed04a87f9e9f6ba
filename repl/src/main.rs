//! The `nettrace` command: reads the command line, does what it says, exits.
//!
//! Each command is a function here that puts the library crates together; nothing of the language is known in this crate.

mod cli;
mod compile;
mod imports;
mod options;
mod report;
mod script;
mod session;
mod trace;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::path::Path;
use std::process;
use std::rc::Rc;

use nettrace_compiler::kernel::similar;
use nettrace_compiler::pipeline::Stage;
use nettrace_grammar::{Diagnostic, SourceMap, codes};
use nettrace_runtime::host::{HostFunctions, LiveKernel};
use nettrace_runtime::list;
use nettrace_runtime::signals::Signals;

use crate::cli::{
    BuildArgs, CheckArgs, Cli, Command, CompileOptions, ReplArgs, RunArgs, RunOptions, TraceArgs,
};
use crate::options::Words;
use crate::report::{Exit, Reporter};
use crate::script::Script;
use crate::trace::{Tracer, unwritable};

fn main() {
    panic::set_hook(Box::new(tell_bug));
    let exit = match cli::parse() {
        Ok(cli) => panic::catch_unwind(|| run(cli)).unwrap_or(Exit::Bug),
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() {
                Exit::Mistake
            } else {
                Exit::Done
            }
        }
    };
    process::exit(exit.code());
}

fn tell_bug(info: &panic::PanicHookInfo<'_>) {
    let _ = writeln!(
        io::stderr(),
        "nettrace: this is a bug of nettrace: {info}\nPlease report it with the script and the output of `nettrace --version`."
    );
}

fn run(cli: Cli) -> Exit {
    let exit = match cli.command {
        None => trace(&cli.trace),
        Some(Command::Run(args)) => run_what(&args),
        Some(Command::Build(args)) => build(&args),
        Some(Command::Check(args)) => check(&args),
        Some(Command::List) => print(&library()),
        Some(Command::Repl(args)) => session::run(&args),
        Some(Command::Completions { shell }) => print(&completions(shell)),
    };
    exit.unwrap_or_else(|exit| exit)
}

/// How object files begin.
const OBJECT: &[u8] = b"\x7fELF";

/// `nettrace FILE`, `-e PROG`, `-l PATTERN`, `--emit STAGE`.
fn trace(args: &TraceArgs) -> Result<Exit, Exit> {
    let reporter = Reporter::new(args.compile.color);
    if args.list {
        return list(args, reporter);
    }
    let (mut script, params) = match (&args.program, &args.file) {
        (Some(program), first) => {
            // With -e every word is a parameter.
            let params: Vec<String> = first.iter().chain(&args.params).cloned().collect();
            (Script::inline(program), params)
        }
        (None, Some(path)) => {
            // A pipe can be read only once; what comes out of one is a script.
            let is_file = fs::metadata(path).is_ok_and(|meta| meta.is_file());
            if is_file
                && args.emit.is_none()
                && let Ok(bytes) = script::read_file(Path::new(path))
                && bytes.starts_with(OBJECT)
            {
                return run_object(&bytes, &args.compile, &args.run, reporter);
            }
            (read(path, reporter)?, args.params.clone())
        }
        (None, None) if args.emit.is_none() && io::stdin().is_terminal() => {
            return session::run(&ReplArgs {
                files: Vec::new(),
                compile: args.compile.clone(),
            });
        }
        (None, None) => {
            let _ = cli::command().print_help();
            return Err(Exit::Mistake);
        }
    };
    let Some(words) = words(&mut script, &params, &|_| None, reporter)? else {
        return Ok(Exit::Done);
    };
    match args.emit {
        Some(stage) => emit(stage, &script, &args.compile, &words, reporter),
        None => run_script(&script, &args.compile, &args.run, &words, reporter),
    }
}

/// What the words behind a script say; `None` when they asked for its help, which has been printed.
fn words(
    script: &mut Script,
    params: &[String],
    own: options::Own<'_>,
    reporter: Reporter,
) -> Result<Option<Words>, Exit> {
    let mut words = options::read(params, &script.unit.options, own).map_err(|diag| {
        reporter.host(*diag);
        Exit::Mistake
    })?;
    if words.help {
        let file = script.sources.file(script.file);
        print(&options::help(&file.name, &file.text, &script.unit.options))?;
        return Ok(None);
    }
    // Our own scripts say by what they use how many parameters they take; others may have had more in mind.
    let ours = nettrace_stdlib::find(&script.sources.file(script.file).name).is_some();
    words.fit(script.unit.parameters, ours).map_err(|diag| {
        reporter.host(*diag);
        Exit::Mistake
    })?;
    words.add_to(script);
    Ok(Some(words))
}

/// `nettrace run WHAT`: an object, a script, or the name of one of ours.
fn run_what(args: &RunArgs) -> Result<Exit, Exit> {
    let reporter = Reporter::new(args.compile.color);
    let path = Path::new(&args.what);
    let mut script = match script::read_file(path) {
        Ok(bytes) if bytes.starts_with(OBJECT) => {
            return run_object(&bytes, &args.compile, &args.run, reporter);
        }
        Ok(bytes) => Script::new(&args.what, &bytes),
        Err(error) => match nettrace_stdlib::find(&args.what) {
            Some(ours) => Script::new(ours.name, ours.text.as_bytes()),
            None => {
                reporter.host(no_script(&args.what, &error));
                return Err(Exit::Mistake);
            }
        },
    };
    let Some(words) = words(&mut script, &args.params, &cli::own_option, reporter)? else {
        return Ok(Exit::Done);
    };
    if words.own.is_empty() {
        return run_script(&script, &args.compile, &args.run, &words, reporter);
    }
    // Options of nettrace may stand behind the name as well as before it.
    let again = cli::with_options(&args.what, args.params.len(), &words.own).map_err(|error| {
        let _ = error.print();
        Exit::Mistake
    })?;
    run_script(
        &script,
        &again.compile,
        &again.run,
        &words,
        Reporter::new(again.compile.color),
    )
}

/// Neither a file nor a script of ours.
fn no_script(what: &str, error: &io::Error) -> Diagnostic {
    let diag = script::unreadable(what, error);
    let names = nettrace_stdlib::SCRIPTS.iter().map(|s| s.name);
    match similar::nearest(what, names).first() {
        Some(near) => diag.help(format!("did you mean `nettrace run {near}`?")),
        None => diag.help("`nettrace list` shows the scripts that come with nettrace"),
    }
}

/// Runs what `nettrace build` wrote.
fn run_object(
    bytes: &[u8],
    compile: &CompileOptions,
    run: &RunOptions,
    reporter: Reporter,
) -> Result<Exit, Exit> {
    let signals = block_signals(reporter)?;
    // A damaged object is reported by the loader; its messages then have no script to point into.
    let sources = nettrace_compiler::object::read(bytes).map_or_else(
        |_| SourceMap::new(),
        |plan| {
            let mut sources = SourceMap::new();
            for (name, text) in plan.sources {
                sources.add(name, text);
            }
            sources
        },
    );
    let tracer = Tracer {
        kernel: HostFunctions::new(compile.btf.as_deref()),
        signals,
        options: run,
        reporter,
    };
    Ok(tracer.run(bytes, &sources))
}

fn run_script(
    script: &Script,
    compile: &CompileOptions,
    run: &RunOptions,
    words: &Words,
    reporter: Reporter,
) -> Result<Exit, Exit> {
    // First of all, so that no signal is ever missed, also while compiling.
    let signals = block_signals(reporter)?;
    let kernel = running(compile, reporter)?;
    let mut options = compile::options(compile, script, words);
    options.json_output = run.format == cli::Format::Json;
    let artifact = compile::compile(script, &kernel, &options, reporter)?;
    // Its BTF would be in memory for as long as the script runs.
    drop(kernel);
    if signals.stop_requested() {
        return Ok(Exit::Done);
    }
    let tracer = Tracer {
        kernel: HostFunctions::new(compile.btf.as_deref()),
        signals,
        options: run,
        reporter,
    };
    Ok(tracer.run(&artifact.elf, &script.sources))
}

fn build(args: &BuildArgs) -> Result<Exit, Exit> {
    let reporter = Reporter::new(args.compile.color);
    let mut script = match (&args.program, &args.file) {
        (Some(program), _) => Script::inline(program),
        (None, Some(path)) => read(path, reporter)?,
        (None, None) => return Err(Exit::Mistake),
    };
    let kernel = described(&args.compile, reporter)?;
    let Some(words) = words(&mut script, &args.params, &|_| None, reporter)? else {
        return Ok(Exit::Done);
    };
    let options = compile::options(&args.compile, &script, &words);
    let artifact = compile::compile(&script, &*kernel, &options, reporter)?;
    if let Err(error) = write_whole(&args.output, &artifact.elf) {
        reporter.host(unwritable(&args.output, &error));
        return Err(Exit::Refused);
    }
    Ok(Exit::Done)
}

/// Writes a file; one that does not fit is removed rather than left cut off.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all().or_else(ignore_unsyncable));
    if written.is_err() && file.metadata().is_ok_and(|meta| meta.is_file()) {
        let _ = fs::remove_file(path);
    }
    written
}

/// Pipes and devices cannot be synced and need not be.
fn ignore_unsyncable(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::InvalidInput {
        Ok(())
    } else {
        Err(error)
    }
}

fn check(args: &CheckArgs) -> Result<Exit, Exit> {
    let reporter = Reporter::new(args.compile.color);
    let kernel = described(&args.compile, reporter)?;
    let mut exit = Exit::Done;
    let inline = args
        .program
        .iter()
        .map(|program| Ok(Script::inline(program)));
    for script in inline.chain(args.files.iter().map(|path| read(path, reporter))) {
        let checked = script.and_then(|s| {
            let options = compile::options(&args.compile, &s, &Words::default());
            compile::check(&s, &*kernel, &options, reporter)
        });
        if let Err(found) = checked {
            exit = found;
        }
    }
    if exit == Exit::Done && io::stderr().is_terminal() {
        let count = args.files.len() + usize::from(args.program.is_some());
        let _ = writeln!(
            io::stderr(),
            "no mistakes in {count} script{}",
            if count == 1 { "" } else { "s" }
        );
    }
    Ok(exit)
}

fn emit(
    stage: cli::Stage,
    script: &Script,
    compile: &CompileOptions,
    words: &Words,
    reporter: Reporter,
) -> Result<Exit, Exit> {
    let kernel = described(compile, reporter)?;
    let options = compile::options(compile, script, words);
    let stage = match stage {
        cli::Stage::Tokens => Stage::Tokens,
        cli::Stage::Ast => Stage::Ast,
        cli::Stage::Typed => Stage::Typed,
        cli::Stage::RawIr => Stage::RawIr,
        cli::Stage::Ir => Stage::Ir,
        cli::Stage::Asm => Stage::Asm,
        cli::Stage::Elf => {
            let artifact = compile::compile(script, &*kernel, &options, reporter)?;
            let text = nettrace_compiler::object::describe(&artifact.elf).map_err(|diag| {
                reporter.host(diag);
                Exit::Bug
            })?;
            return print(&text);
        }
    };
    print(&compile::stage(
        stage, script, &*kernel, &options, reporter,
    )?)
}

fn list(args: &TraceArgs, reporter: Reporter) -> Result<Exit, Exit> {
    let pattern = args.file.as_deref().unwrap_or("*");
    let kernel = described(&args.compile, reporter)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let listed = list::list(&*kernel, pattern, args.run.verbose, &mut out)
        .and_then(|listed| out.flush().map(|()| listed));
    match listed {
        Ok(listed) => {
            reporter.print(&SourceMap::new(), &listed.problems);
            // Some kinds may be unreadable while others were listed; nothing at all is a failure.
            if listed.found > 0 {
                Ok(Exit::Done)
            } else {
                Err(Exit::Mistake)
            }
        }
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => {
            reporter.host(unwritable(Path::new("standard output"), &error));
            Err(Exit::Refused)
        }
    }
}

fn library() -> String {
    let width = nettrace_stdlib::SCRIPTS
        .iter()
        .map(|s| s.name.len())
        .max()
        .unwrap_or(0);
    nettrace_stdlib::SCRIPTS
        .iter()
        .map(|script| format!("{:width$}  {}\n", script.name, script.purpose()))
        .collect()
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "nettrace", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Prints to standard output; a reader that has gone away is no mistake.
fn print(text: &str) -> Result<Exit, Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(
                io::stderr(),
                "nettrace: cannot write to standard output: {error}"
            );
            Err(Exit::Refused)
        }
        _ => Ok(Exit::Done),
    }
}

fn read(path: &str, reporter: Reporter) -> Result<Script, Exit> {
    Script::read(path).map_err(|diag| {
        reporter.host(diag);
        Exit::Mistake
    })
}

/// The kernel to compile for, without running anything.
fn described(
    options: &CompileOptions,
    reporter: Reporter,
) -> Result<Box<dyn nettrace_compiler::kernel::Kernel>, Exit> {
    compile::kernel(options).map_err(|diag| {
        reporter.host(*diag);
        Exit::Refused
    })
}

/// The kernel to compile for and then to run on.
fn running(options: &CompileOptions, reporter: Reporter) -> Result<LiveKernel, Exit> {
    let opened = match &options.btf {
        Some(vmlinux) => LiveKernel::with_files(vmlinux, &options.btf_module),
        None => LiveKernel::open(),
    };
    opened.map_err(|diag| {
        reporter.host(*diag);
        Exit::Refused
    })
}

fn block_signals(reporter: Reporter) -> Result<Rc<Signals>, Exit> {
    Signals::block().map(Rc::new).map_err(|error| {
        let message = format!("cannot watch for signals: {error}");
        reporter.host(Diagnostic::host(codes::KERNEL_REFUSED, message));
        Exit::Refused
    })
}
