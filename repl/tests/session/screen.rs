//! A terminal of its own for each test: tmux, without anybody's configuration.
//!
//! In: keys. Out: what is on the screen, once it shows what is waited for. Nothing is left running.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long something may take to appear. Machines that also build something else are slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// A screen with a session on it.
pub(crate) struct Screen {
    socket: String,
    /// Holds the history.
    pub(crate) state: tempfile::TempDir,
}

impl Screen {
    /// Starts `nettrace repl` with these arguments on a screen of 80 columns.
    pub(crate) fn start(arguments: &str) -> Screen {
        let state = tempfile::tempdir().expect("a directory");
        Screen::start_in(state, arguments, "")
    }

    /// The same with this history and these variables (`NAME=value …`).
    pub(crate) fn start_in(state: tempfile::TempDir, arguments: &str, variables: &str) -> Screen {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = format!("nettrace-test-{}-{number}", std::process::id());
        let screen = Screen { socket, state };
        let command = format!(
            "env -u NO_COLOR XDG_STATE_HOME={} {variables} {} repl {arguments}; echo \"[ended $?]\"; sleep 600",
            screen.state.path().display(),
            env!("CARGO_BIN_EXE_nettrace"),
        );
        screen.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            &command,
        ]);
        screen.wait_for("nt>");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let run = Command::new("tmux")
            .arg("-L")
            .arg(&self.socket)
            .args(arguments)
            .output();
        let output = run.expect("tmux is installed (`cargo testbed setup` does that)");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tmux {arguments:?}: {errors}");
        output
    }

    /// Types a text.
    pub(crate) fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses a key by tmux's name for it: `Enter`, `Tab`, `C-c`.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Types an entry and hands it in.
    pub(crate) fn enter(&self, text: &str) {
        self.types(text);
        self.press("Enter");
    }

    /// Changes the size of the window.
    pub(crate) fn resize(&self, columns: u32, rows: u32) {
        let (x, y) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &x, "-y", &y]);
    }

    /// What is on the screen, without blanks at the ends of lines.
    pub(crate) fn text(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.trim_end().to_string()
    }

    /// The same with colours.
    pub(crate) fn painted(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p", "-e"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the screen shows a text; gives the screen.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_until(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Waits until the screen is as wished.
    pub(crate) fn wait_until(&self, what: &str, wished: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let screen = self.text();
            if wished(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "no {what} on the screen:\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last line of the screen.
    pub(crate) fn last_line(&self) -> String {
        self.text().lines().last().unwrap_or("").to_string()
    }

    /// Leaves the session; gives the directory with its history.
    pub(crate) fn leave(self) -> tempfile::TempDir {
        self.press("C-u");
        self.press("C-d");
        self.wait_for("[ended 0]");
        let elsewhere = tempfile::tempdir().expect("a directory");
        let mut screen = self;
        std::mem::replace(&mut screen.state, elsewhere)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.socket, "kill-server"])
            .output();
    }
}

/// Files that describe a kernel, as arguments.
pub(crate) fn described(kernel: &str, module: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kernels");
    let folder = folder.display();
    format!(
        "--btf {folder}/x86-{kernel}.btf --btf-module {module}={folder}/x86-{kernel}.{module}.btf"
    )
}

/// Whether this process may trace; tests of what is attached have nothing to show without.
pub(crate) fn may_trace() -> bool {
    nix::unistd::geteuid().is_root()
}
