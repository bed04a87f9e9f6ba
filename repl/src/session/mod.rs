//! The interactive session: `nettrace repl`.
//!
//! In: entries, typed or from a file. Out: what they print. An entry is a command ([`commands`]), items of a script, whose probes are
//! attached at once and get numbers, or statements, which are carried out now. Maps live on from one entry to the next. Nothing that goes
//! wrong ends the session. What traces runs in a thread of its own ([`nettrace_runtime::units`]).

mod bench;
mod board;
mod commands;
mod editor;
mod entry;
mod input;
mod look;
mod output;
mod store;

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use nettrace_compiler::kernel::{Feature, Kernel as _};
use nettrace_compiler::pipeline::Compiled;
use nettrace_compiler::session::known_value;
use nettrace_grammar::{Diagnostic, SourceMap, codes};
use nettrace_runtime::host::LiveKernel;
use nettrace_runtime::load::LoadOptions;
use nettrace_runtime::output::Sink;
use nettrace_runtime::signals::Signals;
use nettrace_runtime::units::{Added, Notice, Programs, Silence, Tracer, Units};
use nix::sys::signal::Signal;

use self::bench::{Attempt, Bench};
use self::board::Board;
use self::editor::Editor;
use self::entry::Entry;
use self::input::{Lines, Read};
use self::store::Past;
use crate::cli::ReplArgs;
use crate::options::{self, Words};
use crate::report::{Exit, Reporter};
use crate::script::{self, Script};

/// Starts a session.
pub(crate) fn run(args: &ReplArgs) -> Result<Exit, Exit> {
    let reporter = Reporter::new(args.compile.color);
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let signals = blocked(person).map_err(|error| {
        let message = format!("cannot watch for signals: {error}");
        reporter.host(Diagnostic::host(codes::KERNEL_REFUSED, message));
        Exit::Refused
    })?;
    let kernel = crate::running(&args.compile, reporter)?;
    let bench = Bench::new(kernel, args.compile.clone());
    let bench = Rc::new(RefCell::new(bench));
    let numbers = editor::Numbers::default();
    let mut editor = match person {
        true => match Editor::open(Rc::clone(&bench), Rc::clone(&numbers), reporter.colors()) {
            Ok(editor) => Some(editor),
            Err(why) => {
                let message = format!("cannot edit lines on this terminal: {why}");
                reporter.host(Diagnostic::host(codes::KERNEL_REFUSED, message));
                return Err(Exit::Refused);
            }
        },
        false => None,
    };
    let sink: Box<dyn FnOnce() -> Box<dyn Sink> + Send> = match &editor {
        Some(editor) => Box::new(editor.sink()),
        None => Box::new(output::plain),
    };
    let btf = args.compile.btf.clone();
    let tracer = Tracer::start(sink, LoadOptions::default(), btf).map_err(|diag| {
        reporter.host(diag);
        Exit::Refused
    })?;
    let mut session = Session {
        bench,
        tracer,
        board: Board::default(),
        reporter,
        signals: &signals,
        past: Vec::new(),
        to_edit: None,
        began: Instant::now(),
        leaving: false,
        exit: None,
        forbidden: false,
    };
    session.greet(editor.is_some());
    // Without it `:stats` has no times; whoever may not count sees none.
    session.ask(|units| units.count_runs(true));
    for file in &args.files {
        session.load(file, &[]);
    }
    match &mut editor {
        Some(editor) => session.converse(editor, &numbers),
        None => session.read(),
    }
    Ok(session.leave())
}

/// A message with what is different in a session.
fn advised(diag: Diagnostic) -> Diagnostic {
    let variable = diag.code == codes::UNKNOWN_VARIABLE && diag.message.contains("variable `$");
    match variable {
        true => diag.help("variables do not outlive their entry; maps do: `@x = 5`"),
        false => diag,
    }
}

/// Ctrl-C interrupts what is carried out. Without a person, signals end the session as they end a run.
fn blocked(person: bool) -> io::Result<Signals> {
    if !person {
        return Signals::block();
    }
    // First, so that the thread that watches for hangups has it blocked, too.
    let interrupts = Signals::of(&[Signal::SIGINT])?;
    editor::hangup::watch()?;
    Ok(interrupts)
}

/// A session.
pub(crate) struct Session<'s> {
    bench: Rc<RefCell<Bench>>,
    tracer: Tracer,
    board: Board,
    reporter: Reporter,
    signals: &'s Signals,
    /// What was carried out and stored something, in its order, for `:save`.
    past: Vec<Past>,
    /// What the next line begins with.
    to_edit: Option<String>,
    /// When the entry was handed in.
    began: Instant,
    leaving: bool,
    /// What `exit(N)` said.
    exit: Option<i32>,
    /// This process may not trace.
    forbidden: bool,
}

impl Session<'_> {
    /// Reads entries from something that is no terminal.
    fn read(&mut self) {
        let mut lines = Lines::new(self.signals);
        while !self.leaving {
            match lines.next() {
                Read::Entry(text) => self.enter(&text),
                Read::Cleared => {}
                Read::End => break,
            }
        }
    }

    /// Reads entries that somebody types.
    fn converse(&mut self, editor: &mut Editor, numbers: &editor::Numbers) {
        while !self.leaving {
            *numbers.borrow_mut() = self.board.iter().map(|(number, _)| number).collect();
            editor.settle();
            let initial = self.to_edit.take();
            match editor.next(initial.as_deref()) {
                Read::Entry(text) => self.enter(&text),
                Read::Cleared => {}
                Read::End => break,
            }
        }
    }

    fn kernel(&self) -> Rc<LiveKernel> {
        Rc::clone(&self.bench.borrow().kernel)
    }

    /// Says who is there, and once what will not work.
    fn greet(&mut self, person: bool) {
        if person {
            let version = env!("CARGO_PKG_VERSION");
            self.say(&format!(
                "nettrace {version}; :help shows what can be typed, TAB completes, Ctrl-D leaves"
            ));
        }
        if let Some(diag) = nettrace_runtime::units::forbidden() {
            self.forbidden = true;
            self.reporter
                .host(diag.note("types, checks, `:emit`, `:type` and `:list` work all the same"));
        }
        if !self.kernel().has(Feature::Kprobes) {
            self.say("this kernel has no kprobes (CONFIG_KPROBES): kprobe, kretprobe and skb probes do not attach");
        }
    }

    /// Carries out an entry.
    pub(crate) fn enter(&mut self, text: &str) {
        self.began = Instant::now();
        match entry::sort(text) {
            Entry::Nothing => {}
            Entry::Command(name, rest) => commands::carry_out(self, name, rest),
            Entry::Script => {
                let name = format!("entry {}", self.bench.borrow_mut().next());
                let script = self.bench.borrow_mut().script(&name, text);
                self.add(script, &Words::default(), None, None);
            }
            Entry::Statements => self.evaluate(text),
        }
        self.hear();
    }

    /// Compiles a script and attaches its probes. `number` is the probe that it replaces.
    fn add(&mut self, script: Script, words: &Words, origin: Option<&str>, number: Option<u32>) {
        if !script.problems.is_empty() {
            self.reporter.print(&script.sources, &script.problems);
            return;
        }
        if script.unit.script.probes.is_empty() && script.unit.diags.is_empty() {
            if let Some(config) = &script.unit.script.config {
                for entry in &config.entries {
                    self.set(&entry.key.name, &entry.value.name);
                }
            }
            let kept = self.bench.borrow_mut().keep(&script);
            if !kept.is_empty() {
                self.say(&format!("defined {}", kept.join(", ")));
            }
            if !kept.is_empty() || script.unit.script.config.is_some() {
                return;
            }
        }
        let attempt = self.bench.borrow_mut().compile(script, words);
        let replaces = number
            .and_then(|n| self.board.get(n))
            .map(|p| p.programs.clone());
        let Some(added) = self.try_out(&attempt, replaces.clone()) else {
            return;
        };
        self.bench.borrow_mut().keep(&attempt.script);
        self.past.extend(Past::of(&attempt.script, origin, words));
        if added.exit.is_some() || added.gone {
            return;
        }
        let Some(artifact) = &attempt.compiled.artifact else {
            return;
        };
        let sources = &attempt.script.sources;
        let numbers = self.board.place(&artifact.plan, sources, origin, number);
        if let Some(old) = replaces {
            self.clean_up(&old);
        }
        self.tell_attached(&numbers, &added);
    }

    /// Reports what the compiler says, loads what it made, and keeps the maps.
    fn try_out(&mut self, attempt: &Attempt, replaces: Option<Programs>) -> Option<Added> {
        let Attempt { script, compiled } = attempt;
        let diagnostics: Vec<Diagnostic> =
            compiled.diagnostics.iter().cloned().map(advised).collect();
        self.reporter.print(&script.sources, &diagnostics);
        let Compiled {
            artifact: Some(artifact),
            program: Some(program),
            ..
        } = compiled
        else {
            return None;
        };
        if self.forbidden {
            self.without_kernel(compiled);
            return None;
        }
        let elf = artifact.elf.clone();
        let added = self.ask(move |units| units.add(&elf, replaces.as_ref()))?;
        match added {
            Ok(added) => {
                self.reporter.print(&script.sources, &added.warnings);
                self.bench.borrow_mut().adopt(program, script);
                Some(added)
            }
            Err(diags) => {
                self.reporter.print(&script.sources, &diags);
                None
            }
        }
    }

    /// What an entry comes to that may not be loaded: its value, if the compiler knows it.
    fn without_kernel(&self, compiled: &Compiled) {
        match known_value(compiled) {
            Some((layout, bytes)) => {
                self.ask(move |units| units.show(&layout, &bytes));
            }
            None => self.wrong(Diagnostic::host(
                codes::NO_PRIVILEGE,
                "not allowed to trace: the entry was only checked",
            )),
        }
    }

    fn tell_attached(&mut self, numbers: &[u32], added: &Added) {
        let time = self.began.elapsed();
        let stats = self.stats();
        for &number in numbers {
            let Some(placed) = self.board.get(number) else {
                continue;
            };
            let own = stats.iter().filter(|s| placed.programs.has(s));
            let targets: usize = own.map(|s| s.targets).sum();
            let mut line = format!("{number}: {}", placed.title);
            if targets > 1 {
                line.push_str(&format!(" ({targets} places)"));
            }
            if number == *numbers.last().unwrap_or(&0) {
                line.push_str(&format!("; attached in {:.1} ms", time.as_secs_f64() * 1e3));
            }
            self.say(&line);
        }
        let skipped: Vec<String> = added
            .skipped
            .iter()
            .map(|s| format!("{} {}", s.functions, s.reason))
            .collect();
        if !skipped.is_empty() {
            self.say(&format!("functions skipped: {}", skipped.join(", ")));
        }
    }

    /// Removes a script from the kernel once no number means it.
    fn clean_up(&mut self, old: &Programs) {
        let entry = old.entry;
        if self.board.of_entry(entry).is_empty() {
            self.ask(move |units| units.remove(entry));
        }
    }

    /// Carries out statements now.
    fn evaluate(&mut self, text: &str) {
        let all = matches!(text.trim().trim_end_matches(';'), "@").then(|| self.all_maps());
        let text = match &all {
            Some(text) if text.is_empty() => {
                self.say("no maps; an entry such as `@x = 5` makes one");
                return;
            }
            Some(text) => text,
            None => text,
        };
        let name = format!("entry {}", self.bench.borrow_mut().next());
        let attempt = self.bench.borrow_mut().evaluation(&name, text);
        let Some(added) = self.try_out(&attempt, None) else {
            return;
        };
        if added.exit.is_some() {
            self.leaving = true;
            self.exit = added.exit;
        }
        let program = attempt.compiled.program.as_ref();
        if program.is_some_and(|program| !program.maps.is_empty()) && store::stores(text) {
            self.past.push(Past::Statements(text.trim().to_string()));
        }
    }

    /// Replaces a probe by what the text says.
    fn replace(&mut self, number: u32, text: &str) {
        let name = format!("entry {}", self.bench.borrow_mut().next());
        let script = self.bench.borrow_mut().script(&name, text);
        let one = script.unit.script.probes.len() == 1;
        if !one && script.unit.diags.is_empty() {
            let diag = Diagnostic::host(codes::BAD_ARGUMENT, "a probe is replaced by one probe");
            self.wrong(diag.help(format!("`:edit {number} kprobe:FUNCTION {{ … }}`")));
            return;
        }
        self.add(script, &Words::default(), None, Some(number));
    }

    /// Lets the text of a probe be edited.
    fn edit_line(&mut self, number: u32) {
        if let Some(placed) = self.board.get(number) {
            self.to_edit = Some(format!(":edit {number} {}", placed.text));
        }
    }

    /// Changes an option for later entries, if the compiler takes it.
    fn set(&mut self, name: &str, value: &str) {
        let mut config = self.bench.borrow_mut().config.clone();
        config.retain(|(known, _)| known != name);
        config.push((name.to_string(), value.trim_matches('"').to_string()));
        let before = std::mem::replace(&mut self.bench.borrow_mut().config, config);
        let diags = self.bench.borrow_mut().check_config();
        if !diags.is_empty() {
            self.bench.borrow_mut().config = before;
            self.reporter.print(&SourceMap::new(), &diags);
        }
    }

    /// Statements that print all maps.
    fn all_maps(&self) -> String {
        let bench = self.bench.borrow();
        let maps = bench.session.maps().iter();
        maps.map(|map| format!("print(@{}); ", map.name)).collect()
    }

    /// Runs a script file. `words` are what stands behind its name.
    fn load(&mut self, path: &str, words: &[String]) {
        match script::read_file(Path::new(path)) {
            Ok(bytes) => {
                let (text, not_utf8) = nettrace_grammar::source::decode(&bytes);
                self.bench.borrow_mut().next();
                let mut script = self.bench.borrow_mut().script(path, &text);
                let file = script.sources.file(script.file);
                let problem = not_utf8.map(|p| p.diagnostic(file));
                script.problems.extend(problem);
                self.add_with_words(script, words, path);
            }
            Err(error) => self.reporter.host(script::unreadable(path, &error)),
        }
    }

    /// Adds a script that takes words.
    fn add_with_words(&mut self, mut script: Script, words: &[String], origin: &str) {
        let read = options::read(words, &script.unit.options, &|_| None);
        match read {
            Err(diag) => self.reporter.host(*diag),
            Ok(read) if read.help => {
                let file = script.sources.file(script.file);
                let help = options::help(&file.name, &file.text, &script.unit.options);
                self.show(&help);
            }
            Ok(mut read) => {
                let ours = nettrace_stdlib::find(origin).is_some();
                if let Err(diag) = read.fit(script.unit.parameters, ours) {
                    self.reporter.host(*diag);
                    return;
                }
                read.add_to(&mut script);
                self.add(script, &read, Some(origin), None);
            }
        }
    }

    /// Has the tracer do something; `None` when it was interrupted, which has been told.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Units) -> T + Send + 'static,
    ) -> Option<T> {
        let before = self.signals.stops();
        match self.tracer.ask(job, &|| self.signals.stops() > before) {
            Ok(answer) => Some(answer),
            Err(Silence::Interrupted) => {
                self.say("interrupted");
                None
            }
            Err(Silence::Gone(diag)) => {
                self.reporter.host(*diag);
                None
            }
        }
    }

    /// What is known of all attached programs.
    fn stats(&self) -> Vec<nettrace_runtime::units::ProgramStats> {
        self.ask(Units::stats).unwrap_or_default()
    }

    /// Tells what has happened by itself.
    fn hear(&mut self) {
        for notice in self.ask(Units::take_notices).unwrap_or_default() {
            match notice {
                Notice::Closed => self.leaving = true,
                Notice::Exited { entry, code } => {
                    for number in self.board.of_entry(entry) {
                        if let Some(placed) = self.board.get(number) {
                            self.say(&format!(
                                "{number}: {} ended with exit({code})",
                                placed.title
                            ));
                        }
                        self.board.remove(number);
                    }
                }
            }
        }
    }

    /// Ends the session; nothing stays in the kernel.
    fn leave(self) -> Exit {
        let before = self.signals.stops();
        let (signals, exit) = (self.signals, self.exit);
        self.tracer.finish(&|| signals.stops() > before);
        exit.map_or(Exit::Done, Exit::Script)
    }

    /// A line for the person, beside the results.
    fn say(&self, line: &str) {
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Text that was asked for.
    fn show(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if written.is_err() {
            self.leaving = true;
        }
    }

    /// A mistake in a command.
    fn wrong(&self, diag: Diagnostic) {
        self.reporter.print(&SourceMap::new(), &[diag]);
    }
}
