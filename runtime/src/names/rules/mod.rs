//! The texts of rules of packet filters, as they are when they are printed.
//!
//! In: what a program knows of a rule: namespace, handles or numbers, the generation of the rule set. Out: the rule's text. The tools are
//! asked once per namespace, and again when a rule is unknown and the generation is another one: never for each event. A handle is
//! given to one rule only, so a text that is known stays right. Who asks waits a moment for the answer, and then goes without.

mod ask;
mod netlink;
mod nft;
mod save;

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::namespaces::Namespaces;
use crate::decode::Rule;
use ask::{Answer, Key, Kind};

/// Who asks waits so long for the tools.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The tools are not asked more often.
const PAUSE: Duration = Duration::from_millis(100);
/// There while nf_tables is.
const NF_TABLES: &str = "/sys/module/nf_tables";
/// More texts of rules that have gone are not remembered per rule set.
const MAX_GONE: usize = 100_000;
/// More rule sets are not remembered.
const MAX_SETS: usize = 1024;

/// A rule set: the inode number of its namespace (0: ours), and what keeps it.
type Source = (u64, Kind);

/// Knows rules.
#[derive(Debug, Default)]
pub(super) struct Rules {
    sets: HashMap<Source, Set>,
}

/// What is known of a rule set.
#[derive(Debug)]
struct Set {
    texts: HashMap<Key, String>,
    /// Why the last attempt brought none.
    failure: Option<String>,
    /// The generation of the rule that made us ask.
    generation: Option<u32>,
    asked: Instant,
    /// The answer is still to come.
    pending: Option<Receiver<Answer>>,
    /// The tools took too long before: nobody waits for them again.
    slow: bool,
}

impl Rules {
    /// Asks for the rules of nf_tables in our own namespace ahead of the first event: those that go meanwhile are known then.
    pub(super) fn prepare(&mut self) {
        // Asking for its rules would load it.
        if Path::new(NF_TABLES).exists() {
            let set = self.sets.entry((0, Kind::Nft)).or_insert_with(Set::new);
            set.pending = Some(ask::start(Kind::Nft, None));
        }
    }

    /// The text of a rule, or why it cannot be shown.
    pub(super) fn text(
        &mut self,
        namespaces: &mut Namespaces,
        rule: &Rule<'_>,
    ) -> Result<&[u8], String> {
        let kind = match rule.family {
            0 => Kind::Nft,
            2 => Kind::Ipv4,
            10 => Kind::Ipv6,
            family => return Err(format!("no rules of address family {family}")),
        };
        let inode = u64::from(rule.netns);
        let ours = inode == 0 || inode == namespaces.own();
        let source = (if ours { 0 } else { inode }, kind);
        let key = (rule.table, rule.chain.to_vec(), rule.rule);
        if self.sets.len() >= MAX_SETS && !self.sets.contains_key(&source) {
            self.sets.clear();
        }
        // What is being asked already may be older than the rule.
        for _ in 0..2 {
            let set = self.sets.entry(source).or_insert_with(Set::new);
            set.poll(Duration::ZERO);
            if set.suffices(kind, &key, rule.generation) {
                break;
            }
            let netns = match ours {
                true => None,
                false => Some(namespaces.open(inode).ok_or("its namespace is gone")?),
            };
            set.ask(kind, netns, rule.generation);
        }
        let set = self.sets.get(&source).ok_or("it is unknown")?;
        match set.texts.get(&key) {
            Some(text) => Ok(text.as_bytes()),
            None => Err(set.why()),
        }
    }
}

impl Set {
    fn new() -> Set {
        Set {
            texts: HashMap::new(),
            failure: None,
            generation: None,
            asked: Instant::now(),
            pending: None,
            slow: false,
        }
    }

    /// Whether asking now would bring nothing new. What was read ahead of the first rule has no generation.
    fn suffices(&self, kind: Kind, key: &Key, generation: u32) -> bool {
        // A handle means one rule for ever, a number does not.
        let lasts = kind == Kind::Nft;
        let known = self.texts.contains_key(key);
        let same = self.generation == Some(generation) && self.pending.is_none();
        (known && lasts) || same
    }

    /// Asks the tools, unless they are being asked, and waits for the answer if that is likely to help.
    fn ask(&mut self, kind: Kind, netns: Option<std::fs::File>, generation: u32) {
        if self.pending.is_none() {
            // `asked` of a new set is now, but it has no generation yet.
            let since = self.asked.elapsed();
            if self.generation.is_some() && since < PAUSE {
                std::thread::sleep(PAUSE.saturating_sub(since));
            }
            self.generation = Some(generation);
            self.asked = Instant::now();
            self.pending = Some(ask::start(kind, netns));
        }
        let patience = match self.slow {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        self.poll(patience);
    }

    /// Takes the answer if it comes in time.
    fn poll(&mut self, patience: Duration) {
        let Some(pending) = &self.pending else { return };
        match pending.recv_timeout(patience) {
            Ok(Ok(texts)) => {
                self.slow &= self.asked.elapsed() > PATIENCE;
                self.learn(texts);
                self.failure = None;
            }
            Ok(Err(why)) => self.failure = Some(why),
            Err(RecvTimeoutError::Timeout) => {
                self.slow |= !patience.is_zero();
                return;
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.failure = Some("asking for it failed".to_owned());
            }
        }
        self.pending = None;
    }

    /// Rules that have gone keep their texts, for events that are still to be printed.
    fn learn(&mut self, texts: HashMap<Key, String>) {
        if self.texts.len() > texts.len() + MAX_GONE {
            self.texts.clear();
        }
        self.texts.extend(texts);
    }

    fn why(&self) -> String {
        match (&self.failure, &self.pending) {
            (Some(why), _) => format!("no text: {why}"),
            (None, Some(_)) => "no text: the rules are still being read".to_owned(),
            (None, None) => "no text: the rule is gone".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    fn key(handle: u64) -> Key {
        (4, Vec::new(), handle)
    }

    /// A rule set whose tools are being asked, because of a rule of generation 7, and their answer.
    fn asked() -> (Set, Sender<Answer>) {
        let (answer, pending) = channel();
        let set = Set {
            generation: Some(7),
            pending: Some(pending),
            ..Set::new()
        };
        (set, answer)
    }

    fn answered(handles: &[u64]) -> Set {
        let (mut set, answer) = asked();
        let texts = handles.iter().map(|h| (key(*h), format!("rule {h}")));
        answer.send(Ok(texts.collect())).expect("somebody waits");
        set.poll(Duration::ZERO);
        set
    }

    #[test]
    fn tools_are_asked_once_per_generation() {
        let set = answered(&[5]);
        assert!(set.suffices(Kind::Nft, &key(5), 7));
        assert!(
            set.suffices(Kind::Nft, &key(6), 7),
            "it would be unknown again"
        );
        assert!(
            !set.suffices(Kind::Nft, &key(6), 8),
            "it may have come since"
        );
        assert!(
            set.suffices(Kind::Nft, &key(5), 8),
            "a handle means one rule for ever"
        );
        assert!(
            !set.suffices(Kind::Ipv4, &key(5), 8),
            "a number means another rule by now"
        );
    }

    #[test]
    fn rules_that_have_gone_keep_their_texts() {
        let mut set = answered(&[5]);
        set.learn(HashMap::from([(key(6), "rule 6".to_owned())]));
        assert_eq!(set.texts.len(), 2);
        set.learn(
            (0..=MAX_GONE as u64 + 10)
                .map(|n| (key(n), String::new()))
                .collect(),
        );
        set.learn(HashMap::from([(key(6), "rule 6".to_owned())]));
        assert_eq!(set.texts.len(), 1, "memory is bounded");
    }

    #[test]
    fn slow_tools_are_waited_for_once() {
        let (mut set, answer) = asked();
        set.poll(Duration::from_millis(1));
        assert!(set.slow);
        assert_eq!(set.why(), "no text: the rules are still being read");
        // A second rule does not ask again, and does not wait.
        let before = Instant::now();
        set.ask(Kind::Nft, None, 8);
        assert!(before.elapsed() < PATIENCE / 2);
        assert_eq!(set.generation, Some(7));
        answer
            .send(Ok(HashMap::from([(key(5), "rule 5".to_owned())])))
            .expect("somebody waits");
        set.poll(Duration::ZERO);
        assert!(set.suffices(Kind::Nft, &key(5), 7));
        assert_eq!(set.why(), "no text: the rule is gone");
    }

    #[test]
    fn why_there_is_no_text() {
        let (mut set, answer) = asked();
        answer
            .send(Err("there is no `nft`".to_owned()))
            .expect("somebody waits");
        set.poll(Duration::ZERO);
        assert_eq!(set.why(), "no text: there is no `nft`");
        let (mut set, answer) = asked();
        drop(answer);
        set.poll(Duration::ZERO);
        assert_eq!(set.why(), "no text: asking for it failed");
        let rule = Rule {
            family: 7,
            netns: 0,
            generation: 1,
            table: 1,
            chain: b"",
            rule: 1,
        };
        let text = Rules::default()
            .text(&mut Namespaces::default(), &rule)
            .map(<[u8]>::to_vec);
        assert_eq!(text, Err("no rules of address family 7".to_owned()));
    }
}
