//! One line on stderr per step that takes long, with the time since the start, so that nobody waits blindly.

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// Starts the clock that the lines show; the first [`step`] does so otherwise.
pub fn start() {
    START.get_or_init(Instant::now);
}

/// Says what begins now.
pub fn step(what: impl Display) {
    let since = START.get_or_init(Instant::now).elapsed().as_secs();
    eprintln!("[{:>2}:{:02}] {what}", since / 60, since % 60);
}
