//! Diagnostics as data: what is wrong, where, why, and what to do.
//!
//! Analysis pushes [`Diagnostic`]s into a [`Sink`] and never prints; [`crate::render`] turns them into text.
//! [`Reported`] is the proof that an error was put into the sink: only [`Sink::error`] makes one.

use crate::codes::Code;
use crate::source::Span;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Severity {
    /// Compilation goes on.
    Warning,
    /// No program comes out.
    Error,
}

/// A marked place in the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// Text beside the mark; may be empty.
    pub text: String,
    /// The guilty place, as opposed to one that explains it.
    pub primary: bool,
}

/// One message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The row of [`crate::codes`] that this is an instance of.
    pub code: Code,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// Marked places; at most one is primary.
    pub labels: Vec<Label>,
    /// Why: facts that explain the message.
    pub notes: Vec<String>,
    /// What to do now.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, span, message.into())
    }

    /// A warning at a place.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, span, message.into())
    }

    /// An error of the host: nothing in the script is at fault.
    pub fn host(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    fn new(severity: Severity, code: Code, span: Span, message: String) -> Diagnostic {
        let labels = vec![Label {
            span,
            text: String::new(),
            primary: true,
        }];
        Diagnostic {
            severity,
            code,
            message,
            labels,
            notes: Vec::new(),
            help: Vec::new(),
        }
    }

    /// Sets the text beside the primary mark.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        if let Some(label) = self.labels.iter_mut().find(|l| l.primary) {
            label.text = text.into();
        }
        self
    }

    /// Marks a further place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label {
            span,
            text: text.into(),
            primary: false,
        });
        self
    }

    /// Adds a fact that explains the message.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds what to do now.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(text.into());
        self
    }

    /// The guilty place.
    pub fn primary_span(&self) -> Option<Span> {
        self.labels.iter().find(|l| l.primary).map(|l| l.span)
    }
}

/// Proof that an error lies in a [`Sink`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reported(());

/// Collects diagnostics.
#[derive(Debug, Default)]
pub struct Sink {
    diags: Vec<Diagnostic>,
}

impl Sink {
    /// An empty sink.
    pub fn new() -> Sink {
        Sink::default()
    }

    /// Adds an error and hands out the proof of it.
    pub fn error(&mut self, diag: Diagnostic) -> Reported {
        debug_assert_eq!(diag.severity, Severity::Error);
        self.diags.push(diag);
        Reported(())
    }

    /// Adds a warning.
    pub fn warn(&mut self, diag: Diagnostic) {
        debug_assert_eq!(diag.severity, Severity::Warning);
        self.diags.push(diag);
    }

    /// Adds diagnostics of any severity.
    pub fn extend(&mut self, diags: impl IntoIterator<Item = Diagnostic>) {
        self.diags.extend(diags);
    }

    /// `Err` when an error has been added.
    pub fn check(&self) -> Result<(), Reported> {
        if self.diags.iter().any(|d| d.severity == Severity::Error) {
            Err(Reported(()))
        } else {
            Ok(())
        }
    }

    /// Everything collected, in order of position; those without a position come first.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.diags
            .sort_by_key(|d| d.primary_span().map_or(0, |s| s.lo + 1));
        self.diags
    }

    /// Everything collected so far, in the order in which it was found.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diags
    }
}
