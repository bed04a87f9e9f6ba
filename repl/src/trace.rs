//! Running: load, attach, print what comes, end in good order.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use nettrace_grammar::diag::Severity;
use nettrace_grammar::{Diagnostic, SourceMap, codes};
use nettrace_runtime::host::HostFunctions;
use nettrace_runtime::load::{Attached, LoadOptions, Loaded};
use nettrace_runtime::output::Sink;
use nettrace_runtime::output::json::JsonSink;
use nettrace_runtime::output::stream::Stream;
use nettrace_runtime::output::text::TextSink;
use nettrace_runtime::output::writer::{Buffering, Writer};
use nettrace_runtime::ring::Ring;
use nettrace_runtime::run::Session;
use nettrace_runtime::signals::Signals;

use crate::cli::{self, Format, RunOptions};
use crate::report::{Exit, Reporter};

/// What is needed to run a finished object.
pub(crate) struct Tracer<'a> {
    /// The running kernel.
    pub(crate) kernel: HostFunctions,
    /// Blocked before anything else happened.
    pub(crate) signals: Rc<Signals>,
    /// From the command line.
    pub(crate) options: &'a RunOptions,
    /// Where messages go.
    pub(crate) reporter: Reporter,
}

impl Tracer<'_> {
    /// Runs an object until it ends. `sources` are the scripts it was made of, as far as they are known before it is read.
    pub(crate) fn run(&self, elf: &[u8], sources: &SourceMap) -> Exit {
        let output = match self.output() {
            Ok(output) => output,
            Err(diag) => return self.refused(sources, vec![diag]),
        };
        let load = LoadOptions {
            verifier_log: self.options.verbose,
            list_skipped: self.options.verbose,
            progress: !self.options.quiet,
            since: None,
        };
        let mut loaded = match Loaded::load(elf, &self.kernel, load) {
            Ok(loaded) => loaded,
            Err(diags) => return self.refused(sources, diags),
        };
        let sources = loaded.sources().clone();
        self.warn(&sources, &mut loaded);
        if let Err(diags) = loaded.check_host() {
            return self.refused(&sources, diags);
        }
        if self.options.dry_run {
            return Exit::Done;
        }
        match self.session(loaded, output, &sources) {
            Ok(0) => Exit::Done,
            Ok(code) => Exit::Script(code),
            Err(diags) => self.refused(&sources, diags),
        }
    }

    fn session(
        &self,
        mut loaded: Loaded,
        output: Stream,
        sources: &SourceMap,
    ) -> Result<i32, Vec<Diagnostic>> {
        // The session reads the plan while the programs are attached and detached.
        let plan = loaded.plan().clone();
        let mut sink = self.sink(output);
        let ring = loaded.ring().map_err(one)?;
        let ring = ring.map(|ring| Box::new(ring) as Box<dyn Ring>);
        let mut session = Session::new(&plan, ring, &mut *sink).map_err(one)?;
        loaded.run_begin().map_err(one)?;
        session.drain(&mut loaded);
        if !session.has_exited() && !self.signals.stop_requested() {
            let stop = || self.signals.stop_requested();
            match loaded.attach(&self.kernel, &stop)? {
                Attached::All(count, skipped) => {
                    self.warn(sources, &mut loaded);
                    session.attached(count, &skipped);
                }
                Attached::Stopped => {}
            }
        }
        Ok(session.run(&mut loaded, &self.signals))
    }

    fn output(&self) -> Result<Stream, Diagnostic> {
        let signals = Some(Rc::clone(&self.signals));
        match &self.options.output {
            None => {
                Stream::stdout(signals).map_err(|e| unwritable(Path::new("standard output"), &e))
            }
            Some(path) => {
                let file = File::create(path).map_err(|e| unwritable(path, &e))?;
                Ok(Stream::new(OwnedFd::from(file), signals))
            }
        }
    }

    fn sink(&self, output: Stream) -> Box<dyn Sink> {
        let buffering = match self.options.buffering {
            None => Buffering::Batch,
            Some(cli::Buffering::Line) => Buffering::Line,
            Some(cli::Buffering::Full) => Buffering::Full,
            Some(cli::Buffering::None) => Buffering::Off,
        };
        let writer = Writer::new(output, io::stderr())
            .quiet(self.options.quiet)
            .buffering(buffering);
        match self.options.format {
            Format::Text => Box::new(TextSink::new(writer)),
            Format::Json => Box::new(JsonSink::new(writer)),
        }
    }

    fn warn(&self, sources: &SourceMap, loaded: &mut Loaded) {
        self.reporter.print(sources, &loaded.take_warnings());
    }

    /// The system's fault, whatever the code of the message.
    fn refused(&self, sources: &SourceMap, diags: Vec<Diagnostic>) -> Exit {
        self.reporter.print(sources, &diags);
        let bug = |d: &Diagnostic| d.severity == Severity::Error && d.code == codes::INTERNAL;
        if diags.iter().any(bug) {
            Exit::Bug
        } else {
            Exit::Refused
        }
    }
}

fn one(diag: Diagnostic) -> Vec<Diagnostic> {
    vec![diag]
}

/// Says why a file cannot be written.
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    let message = format!("cannot write `{}`: {error}", path.display());
    Diagnostic::host(codes::FILE_ERROR, message)
}
