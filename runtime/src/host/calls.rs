//! What a kernel function calls, seen by watching live calls of it.
//!
//! In: a function's name. Out: names and modules of the functions that ran below it, in the order of their first call. The kernel's
//! own function graph tracer watches, for the first call and what comes within a second of it. The tracer is there once for the
//! whole machine: if somebody uses it, that is an error, and it is put back as it was even if this process is killed.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nettrace_grammar::{Diagnostic, codes};
use nix::poll::{PollFd, PollFlags, poll};

use crate::signals;
use crate::sys::undo::{AtEnd, Restore, Undo};
use crate::tracefs;

/// How long calls are watched after the first one has begun.
const WINDOW: Duration = Duration::from_secs(1);
/// After this long without a call, the user is told what is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK_MS: u16 = 50;
/// Whether the tracer shows what interrupts do.
const INTERRUPTS: &str = "options/funcgraph-irqs";
/// What `set_graph_function` says when it is empty.
const ALL_FUNCTIONS: &str = "#### all functions enabled ####";

/// Functions that our own programs call: a probe on one would only ever miss itself.
const OWN: [&str; 12] = [
    "_raw_spin_lock",
    "_raw_spin_unlock",
    "_raw_spin_lock_irqsave",
    "_raw_spin_unlock_irqrestore",
    "_raw_spin_trylock",
    "__rcu_read_lock",
    "__rcu_read_unlock",
    "rcu_read_unlock_strict",
    "ktime_get_mono_fast_ns",
    "copy_from_kernel_nofault",
    "copy_from_kernel_nofault_allowed",
    "irq_work_queue",
];

/// Functions that run where an interrupt comes, before and behind what the tracer takes for one.
const ASIDE: [&str; 9] = [
    "irq_enter_rcu",
    "irq_exit_rcu",
    "idle_cpu",
    "sched_core_idle_cpu",
    "tick_nohz_irq_exit",
    "raw_irqentry_exit_cond_resched",
    "__hrtimer_rearm_deferred",
    "__do_softirq",
    "handle_softirqs",
];

/// A function and the module it is in; `None` is vmlinux.
pub(super) type Callee = (String, Option<String>);

/// Watches calls of a function; what it called, without itself.
///
/// # Errors
/// When the tracer cannot be used, is in use, does not know the function, or the user asks for the end.
pub(super) fn watch(function: &str) -> Result<Vec<Callee>, Box<Diagnostic>> {
    let tracer = Tracer::start(function)?;
    let mut seen = Seen::new(function);
    let mut rest = String::new();
    let begun = Instant::now();
    let (mut first, mut told) = (None, false);
    loop {
        tracer.read(&mut rest)?;
        while let Some(end) = rest.find('\n') {
            seen.line(rest.get(..end).unwrap_or(""));
            rest.drain(..=end);
        }
        if seen.any() {
            first = first.or_else(|| Some(Instant::now()));
        } else if !told && begun.elapsed() > PATIENCE {
            told = true;
            eprintln!("Waiting for a call of {function}, to see what it calls");
        }
        if seen.complete() && first.is_some_and(|first| first.elapsed() >= WINDOW) {
            return Ok(seen.found);
        }
        if signals::pending() {
            return Err(Box::new(interrupted(function)));
        }
    }
}

fn interrupted(function: &str) -> Diagnostic {
    let message = format!("interrupted before a call of `{function}` was seen");
    Diagnostic::host(codes::NO_FEATURE, message)
        .note("what it calls is found by watching one call; none came")
        .help("send a packet that takes this path, or name the functions yourself by a pattern")
}

/// The function graph tracer while it works for us.
struct Tracer {
    pipe: File,
    /// Dropped last: it puts everything back.
    _undo: Undo,
}

impl Tracer {
    fn start(function: &str) -> Result<Tracer, Box<Diagnostic>> {
        let root = tracefs::root()?;
        check_free(&root)?;
        let path = |name: &str| root.join(name);
        // Off, or absent, stays so.
        let interrupts = std::fs::read_to_string(path(INTERRUPTS)).unwrap_or_default();
        let shown = interrupts.trim() == "1";
        let restore = [
            Restore::new(&path("current_tracer"), b"nop\n"),
            Restore::new(&path("set_graph_function"), b""),
            shown
                .then(|| Restore::new(&path(INTERRUPTS), b"1\n"))
                .flatten(),
        ];
        let restore: Vec<Restore> = restore.into_iter().flatten().collect();
        let refused = |file: PathBuf| {
            move |error: io::Error| {
                let message = "the kernel's function graph tracer cannot be used";
                Box::new(
                    Diagnostic::host(codes::NO_FEATURE, message)
                        .note(format!("{}: {error}", file.display()))
                        .help("the kernel needs CONFIG_FUNCTION_GRAPH_TRACER=y; name the functions yourself by a pattern"),
                )
            }
        };
        let undo = Undo::arm(&AtEnd::Restore(&restore))
            .ok_or_else(|| refused(path("current_tracer"))(io::Error::last_os_error()))?;
        std::fs::write(path("set_graph_function"), function)
            .map_err(|error| Box::new(unknown(function, &error)))?;
        if shown {
            std::fs::write(path(INTERRUPTS), "0\n").map_err(refused(path(INTERRUPTS)))?;
        }
        std::fs::write(path("current_tracer"), "function_graph")
            .map_err(refused(path("current_tracer")))?;
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path("trace_pipe"))
            .map_err(refused(path("trace_pipe")))?;
        Ok(Tracer { pipe, _undo: undo })
    }

    /// Appends what there is; waits a moment when there is nothing.
    fn read(&self, into: &mut String) -> Result<(), Box<Diagnostic>> {
        let mut buffer = [0; 1 << 14];
        match (&self.pipe).read(&mut buffer) {
            Ok(0) => {}
            Ok(n) => {
                into.push_str(&String::from_utf8_lossy(buffer.get(..n).unwrap_or(&[])));
                return Ok(());
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => {
                let message = "the kernel's function graph tracer cannot be read";
                return Err(Box::new(
                    Diagnostic::host(codes::NO_FEATURE, message).note(format!("trace_pipe: {e}")),
                ));
            }
        }
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        // Interrupted or not: the caller looks again.
        let _ = poll(&mut fds, TICK_MS);
        Ok(())
    }
}

fn unknown(function: &str, error: &io::Error) -> Diagnostic {
    let message = format!("the kernel cannot watch calls of `{function}`");
    Diagnostic::host(codes::NO_FEATURE, message)
        .note(format!("set_graph_function: {error}"))
        .help("the function must be one of `available_filter_functions`: not inlined, in a module that is loaded")
}

/// An error if somebody uses the tracer or the buffer that it writes to.
fn check_free(root: &Path) -> Result<(), Box<Diagnostic>> {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
    let tracer = read("current_tracer");
    let functions = read("set_graph_function");
    let used = if tracer.trim() != "nop" {
        format!("current_tracer is `{}`", tracer.trim())
    } else if functions.trim() != ALL_FUNCTIONS {
        "set_graph_function is not empty".to_owned()
    } else if !read("set_event").trim().is_empty() {
        "set_event is not empty: events are being collected".to_owned()
    } else if read("tracing_on").trim() != "1" {
        "tracing_on is not 1".to_owned()
    } else {
        return Ok(());
    };
    Err(Box::new(
        Diagnostic::host(
            codes::NO_FEATURE,
            "the kernel's function graph tracer is in use",
        )
        .note(format!("{}: {used}", root.display()))
        .help("end the other tracing, or name the functions yourself by a pattern"),
    ))
}

/// What has been seen in the tracer's output.
struct Seen {
    root: String,
    found: Vec<Callee>,
    names: HashSet<Callee>,
    /// Per CPU: the indent of the root's open call.
    open: HashMap<String, usize>,
    /// Per CPU: the indent of an open call that is left out with all that is below it.
    aside: HashMap<String, usize>,
    calls: u32,
}

impl Seen {
    fn new(root: &str) -> Seen {
        Seen {
            root: root.to_owned(),
            found: Vec::new(),
            names: HashSet::new(),
            open: HashMap::new(),
            aside: HashMap::new(),
            calls: 0,
        }
    }

    fn any(&self) -> bool {
        self.calls > 0 || !self.open.is_empty()
    }

    fn complete(&self) -> bool {
        self.calls > 0
    }

    /// One line: ` 1)   0.123 us    |    nf_ct_get_tuple [nf_conntrack]();`
    fn line(&mut self, line: &str) {
        let Some((head, call)) = line.split_once('|') else {
            return;
        };
        let Some((cpu, _)) = head.split_once(')') else {
            return;
        };
        let cpu = cpu.trim().to_owned();
        let indent = call.len() - call.trim_start().len();
        let call = call.trim();
        if call.starts_with('}') {
            if self.aside.get(&cpu) == Some(&indent) {
                self.aside.remove(&cpu);
            } else if self.open.get(&cpu) == Some(&indent) {
                self.open.remove(&cpu);
                self.calls += 1;
            }
            return;
        }
        let Some((callee, leaf)) = callee(call) else {
            return;
        };
        if self.aside.contains_key(&cpu) {
            return;
        }
        if ASIDE.contains(&callee.0.as_str()) {
            if !leaf {
                self.aside.insert(cpu, indent);
            }
            return;
        }
        if callee.0 == self.root {
            match leaf {
                true => self.calls += 1,
                false => {
                    self.open.entry(cpu).or_insert(indent);
                }
            }
            return;
        }
        if self.open.contains_key(&cpu)
            && !OWN.contains(&callee.0.as_str())
            && self.names.insert(callee.clone())
        {
            self.found.push(callee);
        }
    }
}

/// `name [module]() {` or `name();` to the function, and whether it calls nothing.
fn callee(call: &str) -> Option<(Callee, bool)> {
    let (name, after) = call.split_once('(')?;
    let mut words = name.split_ascii_whitespace();
    let function = words.next()?;
    // A clone's name (`f.isra.0`) is a name of kallsyms; probes take it.
    let module = words.next().map(|m| m.trim_matches(['[', ']']).to_owned());
    Some((
        (function.to_owned(), module),
        !after.trim_end().ends_with('{'),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Linux 6.12, shortened.
    const TRACE: &str = "\
 1)   0.500 us    |  nothing_of_ours();
 1)               |  ipv4_conntrack_in [nf_conntrack]() {
 1)               |    nf_conntrack_in [nf_conntrack]() {
 0)               |  ipv4_conntrack_in [nf_conntrack]() {
 0)   0.600 us    |    other_path [nf_conntrack]();
 1)   0.790 us    |      get_l4proto [nf_conntrack]();
 1)               |      irq_enter_rcu() {
 1)   0.123 us    |        tick_irq_enter();
 1)   0.123 us    |      }
 ------------------------------------------
 1)   nc-123    =>   swapper-0
 ------------------------------------------
 1)   0.790 us    |      get_l4proto [nf_conntrack]();
 1)   0.200 us    |      irq_exit_rcu();
 1)   0.200 us    |      _raw_spin_lock();
 1)               |      __kmalloc_noprof() {
 1)   0.300 us    |        should_failslab();
 1)   1.000 us    |      }
 1) + 11.000 us   |    }
 1) + 12.000 us   |  }
 1)   0.500 us    |  nothing_of_ours();
";

    #[test]
    fn what_runs_below_the_function_is_found() {
        let mut seen = Seen::new("ipv4_conntrack_in");
        for line in TRACE.lines() {
            seen.line(line);
        }
        let names: Vec<String> = seen
            .found
            .iter()
            .map(|(name, module)| match module {
                Some(module) => format!("{module}:{name}"),
                None => name.clone(),
            })
            .collect();
        assert_eq!(
            names,
            [
                "nf_conntrack:nf_conntrack_in",
                "nf_conntrack:other_path",
                "nf_conntrack:get_l4proto",
                "__kmalloc_noprof",
                "should_failslab"
            ]
        );
        assert_eq!(seen.calls, 1);
        assert!(seen.any() && seen.complete());
    }

    #[test]
    fn before_a_call_there_is_nothing() {
        let mut seen = Seen::new("ipv4_conntrack_in");
        seen.line(" 1)               |  ip_rcv() {");
        seen.line("garbage");
        seen.line("");
        assert!(!seen.any() && seen.found.is_empty());
    }
}
