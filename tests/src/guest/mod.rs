//! The first process of a guest: brings the machine up, plays all jobs, reports, and switches off.
//!
//! In: the initramfs that [`crate::vm`] packed. Out: one [`Message`] per line on the second serial port,
//! so that kernel messages on the first do not mix in.

mod system;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::{Context, Result};

use crate::exec;
use crate::wire::{JOBS_FILE, Job, Message, PROGRAMS_DIR};

/// The serial port that carries messages.
const REPORT_PORT: &str = "/dev/ttyS1";

/// Runs the guest and never returns: the machine is switched off at the end.
pub fn main() -> ! {
    let failure = run().err().map(|error| format!("{error:#}"));
    if let Some(failure) = failure {
        // The report port may be what failed; the console is the other place the host looks at.
        eprintln!("guest: {failure}");
        if let Ok(mut port) = open_port() {
            let _ = write_line(
                &mut port,
                &Message::Done {
                    failure: Some(failure),
                },
            );
        }
    }
    system::switch_off()
}

fn run() -> Result<()> {
    system::bring_up()?;
    let port = open_port()?;
    let (sender, receiver) = channel();
    let writer = thread::spawn(move || write_all(port, &receiver));
    let played = play(&sender);
    drop(sender);
    writer
        .join()
        .ok()
        .context("the thread that reports panicked")??;
    played
}

fn play(report: &Sender<Message>) -> Result<()> {
    let jobs: Vec<Job> =
        serde_json::from_slice(&std::fs::read(JOBS_FILE).context("no jobs in the initramfs")?)?;
    report.send(Message::Booted {
        release: nix::sys::utsname::uname()?
            .release()
            .to_string_lossy()
            .into_owned(),
    })?;
    for job in &jobs {
        report.send(Message::Started {
            name: job.name.clone(),
        })?;
        let mut outcome = exec::run(job, Path::new(PROGRAMS_DIR), Some(report));
        outcome.problems.extend(system::new_kernel_warning());
        system::reap();
        report.send(Message::Finished {
            name: job.name.clone(),
            outcome,
        })?;
    }
    report.send(Message::Done { failure: None })?;
    Ok(())
}

fn open_port() -> Result<File> {
    let port = File::options()
        .read(true)
        .write(true)
        .open(REPORT_PORT)
        .context("cannot open the report port")?;
    let mut settings = nix::sys::termios::tcgetattr(port.as_fd())?;
    // Bytes as they are: no line ends added, nothing echoed.
    nix::sys::termios::cfmakeraw(&mut settings);
    nix::sys::termios::tcsetattr(port.as_fd(), nix::sys::termios::SetArg::TCSANOW, &settings)?;
    Ok(port)
}

fn write_all(mut port: File, messages: &Receiver<Message>) -> Result<()> {
    for message in messages {
        write_line(&mut port, &message)?;
    }
    nix::sys::termios::tcdrain(port.as_fd())?;
    Ok(())
}

fn write_line(port: &mut File, message: &Message) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    port.write_all(&line)?;
    Ok(())
}
