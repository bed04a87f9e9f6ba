//! Events lost because the ring buffer was full, and hits that programs missed.
//!
//! In: the control map's value, in which every program counts its own losses, and the kernel's counts of missed hits. Out: increases
//! since the last look, and totals.
//! When to look is the event loop's decision, how it is told the sink's.

use nettrace_compiler::artifact::{Plan, Program, ProgramId, control_lost};
use nettrace_compiler::index::Id as _;

use crate::decode::native;
use crate::live::Missed;
use crate::output::{Ledger, Lost};

/// The counters as last seen.
#[derive(Debug)]
pub struct Losses {
    programs: Vec<Counter>,
}

#[derive(Debug)]
struct Counter {
    probe: String,
    offset: usize,
    seen: u64,
}

impl Losses {
    /// Counters for the programs of a plan.
    pub fn new(plan: &Plan) -> Losses {
        let counter = |(id, program): (ProgramId, &Program)| Counter {
            probe: describe(program),
            offset: control_lost(id) as usize,
            seen: 0,
        };
        Losses {
            programs: plan.programs.iter_enumerated().map(counter).collect(),
        }
    }

    /// Takes the control map's value (of all CPUs, if there are several, `stride` bytes apart); returns the increases.
    pub fn update(&mut self, control: &[u8], stride: usize) -> Vec<Lost> {
        let mut increases = Vec::new();
        for counter in &mut self.programs {
            let now = control
                .chunks(stride.max(1))
                .filter_map(|part| native(part.get(counter.offset..)?).ok())
                .fold(0u64, u64::wrapping_add);
            let events = now.saturating_sub(counter.seen);
            if events > 0 {
                counter.seen = now;
                increases.push(Lost {
                    probe: counter.probe.clone(),
                    events,
                });
            }
        }
        increases
    }

    /// What a program has lost so far because the ring was full.
    pub(crate) fn of(&self, program: ProgramId) -> u64 {
        let counter = self.programs.get(program.index());
        counter.map_or(0, |counter| counter.seen)
    }

    /// All losses so far, with what programs have missed.
    pub fn ledger(&self, missed: &[Missed]) -> Ledger {
        let of = |count: &dyn Fn(usize, &Counter) -> u64| {
            let counters = self.programs.iter().enumerate();
            let counted = counters.map(|(index, counter)| Lost {
                probe: counter.probe.clone(),
                events: count(index, counter),
            });
            counted.filter(|lost| lost.events > 0).collect()
        };
        let misses = |index: usize, count: fn(&Missed) -> u64| {
            let own = missed.iter().filter(|m| m.program.index() == index);
            own.map(count).sum()
        };
        Ledger {
            ring_full: of(&|_, counter| counter.seen),
            busy: of(&|index, _| misses(index, |m| m.busy)),
            nested: of(&|index, _| misses(index, |m| m.nested)),
        }
    }
}

/// A program by its probes.
fn describe(program: &Program) -> String {
    match program.targets.as_slice() {
        [] => program.symbol.clone(),
        [target] => target.probe.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.probe, rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{control, plan, program};

    fn lost(probe: &str, events: u64) -> Lost {
        Lost {
            probe: probe.to_string(),
            events,
        }
    }

    #[test]
    fn only_increases_are_told_and_totals_add_up() {
        let programs = vec![
            program("a", &["kprobe:nf_ct_delete"]),
            program(
                "b",
                &["kprobe:ip_output", "kprobe:ip_rcv", "kprobe:tcp_v4_rcv"],
            ),
        ];
        let mut losses = Losses::new(&plan(programs));
        assert_eq!(losses.update(&control(&[0, 0]), 32), []);
        assert_eq!(
            losses.update(&control(&[3, 0]), 32),
            [lost("kprobe:nf_ct_delete", 3)]
        );
        let both = [
            lost("kprobe:nf_ct_delete", 2),
            lost("kprobe:ip_output and 2 more", 7),
        ];
        assert_eq!(losses.update(&control(&[5, 7]), 32), both);
        assert_eq!(losses.update(&control(&[5, 7]), 32), []);
        let totals = [
            lost("kprobe:nf_ct_delete", 5),
            lost("kprobe:ip_output and 2 more", 7),
        ];
        assert_eq!(losses.ledger(&[]).ring_full, totals);
        assert_eq!(losses.ledger(&[]).total(), 12);
    }

    #[test]
    fn missed_hits_are_told_by_cause() {
        let programs = vec![
            program("a", &["kprobe:nf_ct_delete"]),
            program("b", &["skb:ip_rcv", "skb:ip_output"]),
        ];
        let missed = Missed {
            program: ProgramId(1),
            busy: 4,
            nested: 0,
        };
        let ledger = Losses::new(&plan(programs)).ledger(&[missed]);
        assert_eq!(ledger.busy, [lost("skb:ip_rcv and 1 more", 4)]);
        assert_eq!((ledger.nested, ledger.ring_full), (vec![], vec![]));
    }

    #[test]
    fn a_short_control_map_loses_nothing() {
        let mut losses = Losses::new(&plan(vec![program("a", &["begin"])]));
        assert_eq!(losses.update(&[], 0), []);
        assert_eq!(losses.update(&[1; 11], 16), []);
    }
}
