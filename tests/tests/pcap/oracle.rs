//! libpcap in a process of its own: `oracle/libpcap.c`, compiled here with the system's C compiler.
//!
//! A process, because the workspace links statically and libpcap's static library wants half a desktop.

use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use nettrace_compiler::pcap::LinkLayer;

use crate::packets::Packet;

/// A running oracle.
pub(crate) struct Oracle {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Oracle {
    pub(crate) fn start() -> Oracle {
        let mut child = Command::new(binary())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        Oracle { child, to, from }
    }

    /// Which packets match, or libpcap's error.
    pub(crate) fn ask(
        &mut self,
        filter: &str,
        link: LinkLayer,
        packets: &[Packet],
    ) -> Result<Vec<bool>, String> {
        let mut message = Vec::new();
        let mut number = |n: usize, bytes: &[u8]| {
            message.extend((n as u32).to_ne_bytes());
            message.extend(bytes);
        };
        // DLT_EN10MB and DLT_RAW.
        number(if link == LinkLayer::Ethernet { 1 } else { 12 }, &[]);
        number(filter.len(), filter.as_bytes());
        number(packets.len(), &[]);
        for packet in packets {
            number(packet.length, &[]);
            number(packet.bytes.len(), &packet.bytes);
        }
        let to = self.to.as_mut().expect("a pipe");
        to.write_all(&message).expect("the oracle listens");
        to.flush().expect("the oracle listens");
        let mut verdicts = vec![0; packets.len()];
        if self.number() == 0 {
            self.from.read_exact(&mut verdicts).expect("verdicts");
            return Ok(verdicts.into_iter().map(|verdict| verdict != 0).collect());
        }
        let mut error = vec![0; self.number() as usize];
        self.from.read_exact(&mut error).expect("an error");
        Err(String::from_utf8_lossy(&error).into_owned())
    }

    fn number(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.from
            .read_exact(&mut bytes)
            .expect("the oracle answers");
        u32::from_ne_bytes(bytes)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It ends with its input.
        self.to = None;
        let _ = self.child.wait();
    }
}

fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/libpcap.c");
        // The test binaries' own folder; each test process compiles its own.
        let binary =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libpcap-{}", std::process::id()));
        let out = Command::new("cc")
            .args(["-O1", "-o"])
            .arg(&binary)
            .arg(source)
            .arg("-lpcap")
            .output()
            .expect("a C compiler, which Rust needs as well");
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(
            out.status.success(),
            "libpcap's headers are missing? `cargo testbed setup` installs libpcap-dev\n{error}"
        );
        binary
    })
}
