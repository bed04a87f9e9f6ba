//! A line on the terminal while many probes are attached or detached.
//!
//! In: how many there are, and how many are done. Out: a bar on standard error, once it has become clear that it takes a while;
//! nothing when standard error is no terminal or progress is unwanted. It has no colours, and is gone when it is dropped.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done faster than this is done without a word.
const PATIENCE: Duration = Duration::from_millis(300);
/// The most often that the line is drawn, per second.
const RATE: u8 = 10;

/// Progress of one activity.
#[derive(Debug)]
pub(crate) struct Progress {
    doing: &'static str,
    /// What interrupting it comes to.
    hint: &'static str,
    total: usize,
    done: Cell<usize>,
    started: Instant,
    shown: bool,
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    /// An activity of `total` steps. `wanted` is the user's wish; whether there is a terminal is found out here.
    pub(crate) fn new(
        doing: &'static str,
        hint: &'static str,
        total: usize,
        wanted: bool,
    ) -> Progress {
        Progress {
            doing,
            hint,
            total,
            done: Cell::new(0),
            started: Instant::now(),
            shown: wanted && std::io::stderr().is_terminal(),
            bar: RefCell::new(None),
        }
    }

    /// No line, ever.
    #[cfg(test)]
    pub(crate) fn hidden() -> Progress {
        Progress::new("", "", 0, false)
    }

    /// So many more steps are done.
    pub(crate) fn advance(&self, steps: usize) {
        self.done.set(self.done.get() + steps);
        self.look();
    }

    /// Time has passed.
    pub(crate) fn look(&self) {
        if !self.shown || self.started.elapsed() < PATIENCE {
            return;
        }
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| self.draw());
        bar.set_position(self.done.get() as u64);
    }

    fn draw(&self) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(
            Some(self.total as u64),
            ProgressDrawTarget::stderr_with_hz(RATE),
        );
        let template = "{prefix} {bar:30} {pos}/{len}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(self.doing);
        bar.set_message(self.hint);
        bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
