//! Events above the line that is typed.
//!
//! In: texts, from any thread. Out: the same through rustyline's external printer, in a thread of its own: that printer may block until
//! the line is edited again, and whoever traces must not. Texts that come while one is printed go out together. When more comes than a
//! terminal can show, the oldest is counted and left out.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustyline::ExternalPrinter;

use crate::session::output;

/// Bytes that may wait.
const MAX_WAITING: usize = 4 << 20;
/// Bytes that go out at once.
const PIECE: usize = 16 << 10;
/// How long somebody waits for the screen at most.
const PATIENCE: Duration = Duration::from_millis(300);

/// A way to the screen.
#[derive(Clone, Debug)]
pub(crate) struct Above {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    text: String,
    left_out: usize,
    /// A piece is being printed.
    busy: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Above {
    /// Starts the thread that prints.
    pub(super) fn start(mut printer: impl ExternalPrinter + Send + 'static) -> io::Result<Above> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("screen".to_string())
            .spawn(move || {
                loop {
                    let piece = next_piece(&own);
                    let printed = printer.print(piece);
                    own.lock().busy = false;
                    own.changed.notify_all();
                    if printed.is_err() {
                        return;
                    }
                }
            })?;
        Ok(Above { shared })
    }

    /// Waits until everything is on the screen; not for long, as the printer may be waiting for the next line.
    pub(super) fn settle(&self) {
        let until = Instant::now() + PATIENCE;
        let mut waiting = self.shared.lock();
        while (waiting.busy || !waiting.text.is_empty()) && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let woken = self.shared.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl output::Above for Above {
    fn print(&mut self, text: String) {
        let mut waiting = self.shared.lock();
        waiting.text.push_str(&text);
        if waiting.text.len() > MAX_WAITING {
            let half = waiting.text.len() / 2;
            let cut = waiting
                .text
                .as_bytes()
                .iter()
                .skip(half)
                .position(|&b| b == b'\n');
            let cut = cut.map_or(waiting.text.len(), |at| half + at + 1);
            waiting.left_out += waiting.text.drain(..cut).filter(|c| *c == '\n').count();
        }
        self.shared.changed.notify_all();
    }
}

/// Whole lines that wait; blocks until there are some.
fn next_piece(shared: &Shared) -> String {
    let mut waiting = shared.lock();
    while waiting.text.is_empty() {
        let woken = shared.changed.wait(waiting);
        waiting = woken.unwrap_or_else(PoisonError::into_inner);
    }
    waiting.busy = true;
    let mut piece = String::new();
    let left_out = std::mem::take(&mut waiting.left_out);
    if left_out > 0 {
        piece.push_str(&format!(
            "… {left_out} lines left out: they came faster than the terminal shows them\n"
        ));
    }
    let text = waiting.text.as_bytes();
    let end = match text.len() <= PIECE {
        true => text.len(),
        false => text
            .iter()
            .take(PIECE)
            .rposition(|&b| b == b'\n')
            .map_or(text.len(), |at| at + 1),
    };
    piece.extend(waiting.text.drain(..end));
    piece
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::session::output::Above as _;

    /// Hands over each piece, when somebody takes it.
    struct Slow(mpsc::SyncSender<String>);

    impl ExternalPrinter for Slow {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            self.0
                .send(text)
                .map_err(|_| io::Error::other("gone").into())
        }
    }

    #[test]
    fn a_blocked_screen_blocks_nobody_and_loses_nothing() {
        let (sender, screen) = mpsc::sync_channel(0);
        let mut above = Above::start(Slow(sender)).expect("a thread");
        for number in 0..1000 {
            above.print(format!("{number}\n"));
        }
        let mut seen = String::new();
        while !seen.ends_with("999\n") {
            seen.push_str(&screen.recv().expect("a piece"));
        }
        let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn too_much_is_counted() {
        let (sender, screen) = mpsc::sync_channel(0);
        let mut above = Above::start(Slow(sender)).expect("a thread");
        above.print("first\n".to_string());
        std::thread::sleep(Duration::from_millis(20));
        let line = "x".repeat(99) + "\n";
        let lines = MAX_WAITING / line.len() + 1000;
        for _ in 0..lines {
            above.print(line.clone());
        }
        assert_eq!(screen.recv().as_deref(), Ok("first\n"));
        let next = screen.recv().expect("a piece");
        let (count, rest) = next.split_once(" lines left out").expect("a count");
        let count: usize = count.trim_start_matches("… ").parse().expect("a number");
        let mut shown = rest.matches("x\n").count();
        while count + shown < lines {
            shown += screen.recv().expect("a piece").matches("x\n").count();
        }
        assert_eq!(count + shown, lines);
    }
}
