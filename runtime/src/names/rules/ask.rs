//! Asking the tools for a namespace's rules: `nft`, `iptables-nft-save`, `iptables-legacy-save` and their IPv6 kin.
//!
//! In: a namespace and a kind of rule set. Out: the texts of its rules. This takes as long as the tools take, so it runs in a thread of
//! its own, which enters the namespace and ends with the answer. The tools only list: nothing is changed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::save::Saved;
use super::{netlink, nft};

/// More output of a tool is not read.
const MAX_OUTPUT: u64 = 64 << 20;

/// Chains that belong to hook points, by number.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// What keeps the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// nf_tables, iptables-nft included.
    Nft,
    /// iptables-legacy.
    Ipv4,
    /// ip6tables-legacy.
    Ipv6,
}

/// A rule in its rule set: table, chain (empty for nf_tables), handle or number.
pub(super) type Key = (u64, Vec<u8>, u64);

/// Texts of rules, or why there are none.
pub(super) type Answer = Result<HashMap<Key, String>, String>;

/// Starts to ask. `netns` is another namespace than ours.
pub(super) fn start(kind: Kind, netns: Option<File>) -> Receiver<Answer> {
    let (answer, receiver) = channel();
    let failed = answer.clone();
    let work = move || {
        let entered = match netns {
            Some(netns) => setns(&netns, CloneFlags::CLONE_NEWNET),
            None => Ok(()),
        };
        let rules = match entered {
            Ok(()) => ask(kind),
            Err(e) => Err(format!("its namespace cannot be entered: {e}")),
        };
        // Nobody waits any more when the run is over.
        let _ = answer.send(rules);
    };
    if let Err(e) = thread::Builder::new().spawn(work) {
        let _ = failed.send(Err(format!("no thread to ask in: {e}")));
    }
    receiver
}

fn ask(kind: Kind) -> Answer {
    match kind {
        Kind::Nft => ask_nft(),
        Kind::Ipv4 => legacy(&["iptables-legacy-save", "iptables-save"]),
        Kind::Ipv6 => legacy(&["ip6tables-legacy-save", "ip6tables-save"]),
    }
}

fn ask_nft() -> Answer {
    // Counters would be those of the moment of asking.
    let (output, warnings) = match run("nft", &["--stateless", "--handle", "list", "ruleset"]) {
        Ok(output) => output,
        Err(why) => return without_nft(&why),
    };
    let rules = nft::rules(&output);
    let mut texts: HashMap<Key, String> = HashMap::new();
    // Older versions warn among the tables.
    let mut of_iptables = nft::of_iptables(&warnings);
    of_iptables.extend(nft::of_iptables(&output));
    let mut saved = HashMap::new();
    for (family, tool) in [("ip", "iptables-nft-save"), ("ip6", "ip6tables-nft-save")] {
        if of_iptables.iter().any(|(f, _)| f == family)
            && let Ok((output, _)) = run(tool, &[])
        {
            saved.insert(family, Saved::of(&output));
        }
    }
    let mut lengths: HashMap<(u64, &str), usize> = HashMap::new();
    for rule in &rules {
        *lengths.entry((rule.table, &rule.chain)).or_default() += 1;
    }
    for rule in &rules {
        let ours = (rule.family.clone(), rule.table_name.clone());
        let length = lengths.get(&(rule.table, rule.chain.as_str())).copied();
        let text = saved
            .get(rule.family.as_str())
            .filter(|_| of_iptables.contains(&ours))
            .and_then(|saved| saved.rule(&rule.table_name, &rule.chain, rule.index, length?))
            .unwrap_or(&rule.text);
        texts.insert((rule.table, Vec::new(), rule.handle), text.to_owned());
    }
    Ok(texts)
}

/// What the kernel tells by itself: whether the rule is there, and its comment.
fn without_nft(why: &str) -> Answer {
    let text = |rule: netlink::Rule| {
        let text = match rule.comment {
            Some(comment) => format!("comment \"{comment}\" ({why})"),
            None => format!("(no text: {why})"),
        };
        ((rule.table, Vec::new(), rule.handle), text)
    };
    Ok(netlink::rules()?.into_iter().map(text).collect())
}

fn legacy(tools: &[&str]) -> Answer {
    let mut output = Err("there is no iptables-save".to_owned());
    for tool in tools {
        output = run(tool, &[]);
        if output.is_ok() {
            break;
        }
    }
    let (output, _) = output?;
    let saved = Saved::of(&output);
    let text = |(table, chain, number, text): (&str, &str, u64, String)| {
        // The kernel knows only the names of users' chains.
        let hook = HOOKS.iter().position(|hook| *hook == chain);
        let key = match hook {
            Some(hook) => (
                table_number(table),
                Vec::new(),
                number + ((hook as u64 + 1) << 32),
            ),
            None => (table_number(table), chain.as_bytes().to_vec(), number),
        };
        (key, text)
    };
    Ok(saved.numbered().map(text).collect())
}

/// The first 8 bytes of a table's name, as a program reads them.
pub(super) fn table_number(name: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    u64::from_ne_bytes(bytes)
}

/// What a tool prints to standard output and to standard error.
fn run(tool: &str, args: &[&str]) -> Result<(String, String), String> {
    // These folders are not in everyone's path.
    for folder in ["", "/usr/sbin/", "/sbin/"] {
        let started = Command::new(format!("{folder}{tool}"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match started {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(format!("`{tool}` cannot be started: {e}")),
            Ok(child) => child,
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // A tool that prints much to either would wait for a reader.
        let (output, messages) = thread::scope(|scope| {
            let messages = scope.spawn(move || read(stderr));
            (read(stdout), messages.join().unwrap_or_default())
        });
        return match child.wait() {
            Ok(status) if status.success() => Ok((output, messages)),
            Ok(status) => Err(format!("`{tool}` failed: {status}")),
            Err(e) => Err(format!("`{tool}` failed: {e}")),
        };
    }
    Err(format!("there is no `{tool}`"))
}

/// All text up to a bound. What was read before a failure counts: the tool's status tells whether it is complete.
fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
