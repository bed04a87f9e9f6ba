//! The line editor of a session on a terminal: rustyline with what this language knows.
//!
//! In: keys. Out: whole entries. Events come in between through [`above`], which puts them above the line that is typed. History is kept
//! across sessions in the XDG state directory. Only this folder names rustyline.

mod above;
mod complete;
pub(super) mod hangup;
mod helper;
mod history;
mod paint;

use std::cell::RefCell;
use std::rc::Rc;

use nettrace_runtime::output::Sink;
use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{ColorMode, CompletionType, Config, Editor as Rustyline};

use self::helper::Lookout;
use super::bench::Bench;
use super::input::Read;
use super::output;

pub(crate) use above::Above;

/// How many entries are remembered.
const REMEMBERED: usize = 10_000;
/// Above this many candidates rustyline asks before it lists them.
const ASK_ABOVE: usize = 120;

/// The editor.
pub(crate) struct Editor {
    rustyline: Rustyline<Lookout, FileHistory>,
    history: history::Place,
    above: Above,
    prompt: (String, String),
}

/// What completion knows beside the bench: numbers of probes.
pub(crate) type Numbers = Rc<RefCell<Vec<u32>>>;

impl Editor {
    /// Opens the terminal; a half sentence says why it cannot be.
    pub(crate) fn open(
        bench: Rc<RefCell<Bench>>,
        numbers: Numbers,
        color: bool,
    ) -> Result<Editor, String> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .completion_prompt_limit(ASK_ABOVE)
            .color_mode(match color {
                true => ColorMode::Enabled,
                false => ColorMode::Disabled,
            })
            .tab_stop(4)
            .build();
        let mut rustyline: Rustyline<Lookout, FileHistory> =
            Rustyline::with_config(config).map_err(|e| e.to_string())?;
        let why = |e: ReadlineError| e.to_string();
        rustyline.set_max_history_size(REMEMBERED).map_err(why)?;
        rustyline.set_history_ignore_space(true);
        rustyline.set_helper(Some(Lookout::new(bench, numbers, color)));
        let history = history::Place::find();
        history.load(&mut rustyline);
        let printer = rustyline.create_external_printer().map_err(why)?;
        let above = Above::start(printer).map_err(|e| e.to_string())?;
        let plain = "nt> ".to_string();
        let styled = format!("\x1b[1;32m{plain}\x1b[0m");
        Ok(Editor {
            rustyline,
            history,
            above,
            prompt: (plain, styled),
        })
    }

    /// A sink that prints above the line, made in the thread that prints.
    pub(crate) fn sink(&self) -> impl FnOnce() -> Box<dyn Sink> + Send + 'static {
        let above = self.above.clone();
        move || output::above(Box::new(above))
    }

    /// Waits until what was printed is on the screen.
    pub(crate) fn settle(&self) {
        self.above.settle();
    }

    /// The next entry. `initial` is in the line already.
    pub(crate) fn next(&mut self, initial: Option<&str>) -> Read {
        let prompt = (self.prompt.0.as_str(), self.prompt.1.as_str());
        let read = match initial {
            Some(text) => self.rustyline.readline_with_initial(&prompt, (text, "")),
            None => self.rustyline.readline(&prompt),
        };
        match read {
            Ok(text) => {
                if !text.trim().is_empty() {
                    self.history.add(&mut self.rustyline, &text);
                }
                Read::Entry(text)
            }
            Err(ReadlineError::Interrupted) => Read::Cleared,
            // A terminal that has gone away is the end as well.
            Err(_) => Read::End,
        }
    }
}
