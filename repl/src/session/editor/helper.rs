//! What rustyline asks while somebody types: completion, hints, colours, whether an entry is finished.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use nettrace_compiler::builtins;
use nettrace_grammar::words::{Class, words};
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::SearchDirection;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::{Numbers, complete, paint};
use crate::session::bench::Bench;
use crate::session::entry;

/// Answers rustyline.
pub(super) struct Lookout {
    bench: Rc<RefCell<Bench>>,
    numbers: Numbers,
    color: bool,
}

impl Lookout {
    pub(super) fn new(bench: Rc<RefCell<Bench>>, numbers: Numbers, color: bool) -> Lookout {
        Lookout {
            bench,
            numbers,
            color,
        }
    }
}

impl Helper for Lookout {}

impl Completer for Lookout {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let numbers = self.numbers.borrow();
        let Ok(mut bench) = self.bench.try_borrow_mut() else {
            return Ok((pos, Vec::new()));
        };
        let found = complete::complete(&mut bench, &numbers, line, pos);
        let pairs = found.candidates.into_iter().map(|c| Pair {
            display: c.shown,
            replacement: c.text,
        });
        Ok((found.start, pairs.collect()))
    }
}

/// Shown behind the cursor.
pub(super) struct Suggestion {
    shown: String,
    text: Option<String>,
}

impl Hint for Suggestion {
    fn display(&self) -> &str {
        &self.shown
    }

    fn completion(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl Hinter for Lookout {
    type Hint = Suggestion;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Suggestion> {
        // Without colours nobody could tell a hint from what was typed.
        if !self.color || line.is_empty() || pos < line.len() {
            return None;
        }
        remembered(line, context).or_else(|| signature(line))
    }
}

/// The rest of the latest entry that begins so.
fn remembered(line: &str, context: &Context<'_>) -> Option<Suggestion> {
    let history = context.history();
    let last = history.len().checked_sub(1)?;
    let found = history
        .starts_with(line, last, SearchDirection::Reverse)
        .ok()??;
    let rest = found.entry.get(line.len()..)?.to_string();
    let one_line = !rest.is_empty() && !rest.contains('\n');
    one_line.then(|| Suggestion {
        shown: rest.clone(),
        text: Some(rest),
    })
}

/// The signature of the function whose parenthesis was just opened.
fn signature(line: &str) -> Option<Suggestion> {
    let words = words(line);
    let [.., name, open] = words.as_slice() else {
        return None;
    };
    let text = |word: &nettrace_grammar::words::Word| line.get(word.lo..word.hi);
    if text(open)? != "(" || open.hi != line.len() || name.class != Class::Name {
        return None;
    }
    let row = builtins::find(text(name)?)?;
    Some(Suggestion {
        shown: format!("  {}", row.signature),
        text: None,
    })
}

impl Highlighter for Lookout {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        match self.color {
            true => Cow::Owned(paint::paint(line, pos)),
            false => Cow::Borrowed(line),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        match self.color {
            true => Cow::Owned(format!("\x1b[90m{hint}\x1b[0m")),
            false => Cow::Borrowed(hint),
        }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.color
    }
}

impl Validator for Lookout {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        // An empty line at the end hands in what is there, so that its mistake is told.
        let gives_up = text.ends_with("\n") && !text.trim().is_empty();
        Ok(match entry::is_unfinished(text) && !gives_up {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}
