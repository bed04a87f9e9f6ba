//! Events lost because the ring buffer was full, entries that maps had no room for, and hits that programs missed.
//!
//! In: the control map's value, in which every program counts its own losses, and the kernel's counts of missed hits. Out: increases
//! since the last look, and totals.
//! When to look is the event loop's decision, how it is told the sink's.

use nettrace_compiler::artifact::{Plan, Program, ProgramId, control_full, control_lost};
use nettrace_compiler::index::Id as _;

use crate::decode::native;
use crate::live::Missed;
use crate::output::{Ledger, Lost};

/// The counters as last seen.
#[derive(Debug)]
pub struct Losses {
    programs: Vec<Counter>,
    /// Of the script's maps.
    maps: Vec<Counter>,
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
        let room = plan.control.and_then(|id| plan.maps.get(id));
        let room = room.map_or(0, |control| control.value_size);
        let maps = plan.maps.iter_enumerated().filter_map(|(id, map)| {
            let offset = control_full(plan.programs.len(), id);
            let script = map.script.as_ref().filter(|_| offset < room)?;
            Some(Counter {
                probe: script.name.clone(),
                offset: offset as usize,
                seen: 0,
            })
        });
        Losses {
            maps: maps.collect(),
            programs: plan.programs.iter_enumerated().map(counter).collect(),
        }
    }

    /// Takes the control map's value (of all CPUs, if there are several, `stride` bytes apart); returns the increases of lost events.
    pub fn update(&mut self, control: &[u8], stride: usize) -> Vec<Lost> {
        let mut increases = Vec::new();
        let read = |counter: &Counter| {
            control
                .chunks(stride.max(1))
                .filter_map(|part| native(part.get(counter.offset..)?).ok())
                .fold(0u64, u64::wrapping_add)
        };
        for counter in &mut self.maps {
            counter.seen = read(counter).max(counter.seen);
        }
        for counter in &mut self.programs {
            let now = read(counter);
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
        let full = self.maps.iter().filter(|counter| counter.seen > 0);
        let full = full.map(|counter| Lost {
            probe: counter.probe.clone(),
            events: counter.seen,
        });
        Ledger {
            map_full: full.collect(),
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
    fn full_maps_are_told_at_the_end() {
        let mut plan = plan(vec![program("p", &["kprobe:ip_rcv"])]);
        let map = plan.maps.push(crate::testing::script_map(
            "@known",
            nettrace_compiler::artifact::MapKind::Hash,
            Some(crate::testing::U64),
            nettrace_compiler::artifact::Stored::Plain(crate::testing::U64),
        ));
        let control = plan.control.expect("a control map");
        let offset = control_full(1, map);
        plan.maps[control].value_size = offset + 8;
        let mut losses = Losses::new(&plan);
        let mut bytes = vec![0; offset as usize + 8];
        bytes[offset as usize] = 5;
        assert_eq!(losses.update(&bytes, bytes.len()), [], "nothing lost");
        let ledger = losses.ledger(&[]);
        assert_eq!(ledger.map_full, [lost("@known", 5)]);
        assert_eq!((ledger.total(), ledger.is_empty()), (5, false));
    }

    #[test]
    fn a_short_control_map_loses_nothing() {
        let mut losses = Losses::new(&plan(vec![program("a", &["begin"])]));
        assert_eq!(losses.update(&[], 0), []);
        assert_eq!(losses.update(&[1; 11], 16), []);
    }
}
