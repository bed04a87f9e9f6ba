//! The thread that traces while somebody types.
//!
//! In: things to do with the scripts, from any thread. Out: their answers. Everything of the kernel's lives in this thread: when it ends,
//! and when the process is killed, nothing is left.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nettrace_grammar::{Diagnostic, codes};
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Units, WAKE, gone};
use crate::load::LoadOptions;
use crate::output::Sink;
use crate::run::refused;

/// How often somebody who waits looks for an interruption.
const GLANCE: Duration = Duration::from_millis(20);
/// How long an interrupted job may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Something to do; true ends the thread.
type Job = Box<dyn FnOnce(&mut Units) -> bool + Send>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Interrupted; the job goes on and nobody waits for it.
    Interrupted,
    /// The thread has ended, which is a bug.
    Gone(Box<Diagnostic>),
}

/// The thread.
#[derive(Debug)]
pub struct Tracer {
    jobs: Sender<Job>,
    wake: Arc<EventFd>,
    interrupt: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tracer {
    /// Starts it. The sink is made in the thread, as it need not be able to move. `vmlinux` is the file of `--btf`.
    ///
    /// # Errors
    /// `KERNEL_REFUSED`.
    pub fn start(
        sink: impl FnOnce() -> Box<dyn Sink> + Send + 'static,
        options: LoadOptions,
        vmlinux: Option<PathBuf>,
    ) -> Result<Tracer, Diagnostic> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = EventFd::from_flags(flags).map_err(|e| refused("eventfd", e))?;
        let wake = Arc::new(wake);
        let interrupt = Arc::new(AtomicBool::new(false));
        let (jobs, received) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let (own_wake, own_interrupt) = (Arc::clone(&wake), Arc::clone(&interrupt));
        let work = move || {
            let units = Units::new(sink(), options, vmlinux.as_deref(), own_interrupt);
            let units = units.and_then(|units| {
                let readable = EpollEvent::new(EpollFlags::EPOLLIN, WAKE);
                let added = units.others.add(own_wake.as_fd(), readable);
                added.map(|()| units).map_err(|e| refused("epoll", e))
            });
            match units {
                Ok(units) => {
                    let _ = ready.send(Ok(()));
                    work(units, &received, &own_wake);
                }
                Err(diag) => {
                    let _ = ready.send(Err(diag));
                }
            }
        };
        let thread = thread::Builder::new().name("tracer".to_string());
        let thread = thread.spawn(work).map_err(|e| {
            let message = format!("cannot start a thread: {e}");
            Diagnostic::host(codes::KERNEL_REFUSED, message)
        })?;
        started.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(Tracer {
            jobs,
            wake,
            interrupt,
            thread: Some(thread),
        })
    }

    /// Has something done and waits for the answer, or until `interrupted` says that nobody wants it any more.
    ///
    /// # Errors
    /// See [`Silence`].
    pub fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Units) -> T + Send + 'static,
        interrupted: &dyn Fn() -> bool,
    ) -> Result<T, Silence> {
        let (answer, answered) = mpsc::channel();
        self.interrupt.store(false, Ordering::SeqCst);
        self.send(Box::new(move |units| {
            let _ = answer.send(job(units));
            false
        }))?;
        let mut until: Option<Instant> = None;
        loop {
            match answered.recv_timeout(GLANCE) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(Silence::Gone(Box::new(gone()))),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if until.is_none() && interrupted() {
                self.interrupt.store(true, Ordering::SeqCst);
                until = Some(Instant::now() + GRACE);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Silence::Interrupted);
            }
        }
    }

    fn send(&self, job: Job) -> Result<(), Silence> {
        let sent = self.jobs.send(job);
        sent.map_err(|_| Silence::Gone(Box::new(gone())))?;
        // Full means that it will wake up anyway.
        let _ = self.wake.write(1);
        Ok(())
    }

    /// Ends all scripts and the thread. Detaching ends early when `interrupted` says so.
    pub fn finish(mut self, interrupted: &dyn Fn() -> bool) {
        self.interrupt.store(false, Ordering::SeqCst);
        let last = self.send(Box::new(|units| {
            units.finish();
            true
        }));
        if let (Ok(()), Some(thread)) = (last, self.thread.take()) {
            while !thread.is_finished() {
                if interrupted() {
                    self.interrupt.store(true, Ordering::SeqCst);
                }
                thread::sleep(Duration::from_millis(1));
            }
            let _ = thread.join();
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let ended = self.send(Box::new(|units| {
                units.finish();
                true
            }));
            if ended.is_ok() {
                let _ = thread.join();
            }
        }
    }
}

fn work(mut units: Units, jobs: &Receiver<Job>, wake: &EventFd) {
    loop {
        while let Ok(job) = jobs.try_recv() {
            if job(&mut units) {
                return;
            }
        }
        match units.turn() {
            Ok(true) => {
                let _ = wake.read();
            }
            Ok(false) => {}
            Err(problem) => {
                units.sink.problem(&problem);
                units.finish();
                return;
            }
        }
    }
}
