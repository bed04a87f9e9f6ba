//! What a run has left behind, as text: one line per event, one per map entry.

use super::world::World;
use crate::artifact::{Action, EventId, Field, Layout, Map, Plan, Stored};
use crate::ir::machine::Memory;

/// Events in order, then the script's maps.
pub(super) fn outcome(plan: &Plan, world: &World, memory: &mut Memory) -> String {
    let mut lines = Vec::new();
    for record in &world.sent {
        lines.push(event(plan, record));
    }
    for (map, state) in plan.maps.iter().zip(&world.maps) {
        let Some(script) = &map.script else { continue };
        for (key, values) in &state.entries {
            let key = match &script.key {
                Some(layout) => format!("[{}]", value(layout, key)),
                None => String::new(),
            };
            let values: Vec<Vec<u8>> = values
                .iter()
                .map(|&at| {
                    memory
                        .read(at, map.value_size as usize)
                        .expect("a map's value")
                })
                .collect();
            lines.push(format!(
                "{}{key}: {}",
                script.name,
                stored(map, &script.value, &values)
            ));
        }
    }
    lines.extend(lost(plan, memory, world));
    lines.join("\n")
}

/// The counters of the control map that are not 0.
fn lost(plan: &Plan, memory: &mut Memory, world: &World) -> Vec<String> {
    let Some(control) = plan.control else {
        return Vec::new();
    };
    let at = world.maps[control.0 as usize].entries[&vec![0; 4]][0];
    let full = plan.maps.ids().filter_map(|id| {
        let offset = crate::artifact::control_full(plan.programs.len(), id);
        let inside = offset < plan.maps[control].value_size;
        let refused = inside.then(|| memory.load(at + u64::from(offset), 8).expect("a counter"));
        refused
            .filter(|n| *n > 0)
            .map(|n| format!("{id} refused {n}"))
    });
    let full: Vec<String> = full.collect();
    let lost = plan.programs.ids().filter_map(|id| {
        let offset = crate::artifact::control_lost(id);
        let lost = memory.load(at + u64::from(offset), 8).expect("a counter");
        (lost > 0).then(|| format!("{id} lost {lost}"))
    });
    lost.chain(full).collect()
}

fn event(plan: &Plan, record: &[u8]) -> String {
    let event = &plan.events[EventId(number(record.get(..8).unwrap_or_default()) as u32)];
    assert_eq!(event.size as usize, record.len());
    let mut words = vec![
        match &event.action {
            Action::Printf { .. } => "printf",
            Action::PrintValue => "print",
            Action::PrintMap { .. } => "print map",
            Action::Clear { .. } => "clear",
            Action::Zero { .. } => "zero",
            Action::Time { .. } => "time",
            Action::Join { .. } => "join",
            Action::Exit => "exit",
            Action::Release => "release",
            Action::Packet { .. } => "packet",
        }
        .to_string(),
    ];
    for field in &event.fields {
        words.push(value(&field.layout, &record[field.offset as usize..]));
    }
    words.join(" ")
}

fn number(bytes: &[u8]) -> i64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(all)
}

fn int(bytes: &[u8], signed: bool) -> String {
    let shift = 64 - 8 * bytes.len() as u32;
    match signed {
        true => (number(bytes) << shift >> shift).to_string(),
        false => (number(bytes) as u64).to_string(),
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    format!("{:?}", String::from_utf8_lossy(&bytes[..end]))
}

/// A value at the start of some bytes.
pub(super) fn value(layout: &Layout, bytes: &[u8]) -> String {
    let bytes = &bytes[..layout.size() as usize];
    match layout {
        Layout::Int { signed, .. } | Layout::Enum { signed, .. } => int(bytes, *signed),
        Layout::Bool => (bytes[0] != 0).to_string(),
        Layout::Pointer | Layout::KSym => format!("{:#x}", number(bytes)),
        Layout::Time { format } => format!("{format:?} of {}", number(bytes)),
        Layout::Device => format!("device {} of {}", number(&bytes[..4]), number(&bytes[4..])),
        Layout::NetNs => format!("netns {}", number(bytes)),
        Layout::Mac => format!("mac {bytes:02x?}"),
        Layout::ProbeName => format!("probe{}", number(bytes)),
        Layout::Str { .. } => text(bytes),
        Layout::Literal { text } => format!("literal {text:?}"),
        Layout::Buf { .. } => {
            let length = number(&bytes[..4]) as usize;
            format!("{:02x?}", &bytes[4..4 + length])
        }
        Layout::Inet { v6: false } => {
            let parts: Vec<String> = bytes.iter().map(u8::to_string).collect();
            parts.join(".")
        }
        Layout::Stack { user, .. } => {
            let skip = if *user { 8 } else { 0 };
            let frames = number(&bytes[skip..skip + 8]) as usize / 8;
            let frames: Vec<String> = bytes[skip + 8..]
                .chunks(8)
                .take(frames)
                .map(|frame| format!("{:#x}", number(frame)))
                .collect();
            format!("stack {}", frames.join(" "))
        }
        Layout::Tuple { fields, .. } => {
            let parts: Vec<String> = fields
                .iter()
                .map(|field| value(&field.layout, &bytes[field.offset as usize..]))
                .collect();
            format!("({})", parts.join(", "))
        }
        Layout::Record { fields, .. } => {
            let part = |field: &Field| {
                let bytes = &bytes[field.offset as usize..];
                format!("{}={}", field.name, value(&field.layout, bytes))
            };
            let parts: Vec<String> = fields.iter().map(part).collect();
            format!("({})", parts.join(", "))
        }
        _ => format!("{bytes:02x?}"),
    }
}

fn stored(map: &Map, stored: &Stored, values: &[Vec<u8>]) -> String {
    let word = |cpu: &Vec<u8>, n: usize| number(&cpu[8 * n..8 * n + 8]);
    let sum = |n: usize| values.iter().map(|cpu| word(cpu, n)).sum::<i64>();
    match stored {
        Stored::Plain(layout) => value(layout, &values[0]),
        Stored::Count | Stored::Sum { .. } => sum(0).to_string(),
        Stored::Avg { .. } | Stored::Stats { .. } => format!("total {} count {}", sum(0), sum(1)),
        Stored::Min { .. } | Stored::Max { .. } => {
            let set = values.iter().filter(|cpu| word(cpu, 1) != 0);
            let set: Vec<String> = set.map(|cpu| word(cpu, 0).to_string()).collect();
            format!("one of {}", set.join(" "))
        }
        Stored::Hist { .. } | Stored::Lhist { .. } => {
            let buckets = 0..map.value_size as usize / 8;
            let full = buckets.filter(|&n| sum(n) > 0);
            let full: Vec<String> = full.map(|n| format!("{n}:{}", sum(n))).collect();
            format!("buckets {}", full.join(" "))
        }
    }
}
