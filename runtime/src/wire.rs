//! Checks the plan's description of the wire before anything is decoded with it.
//!
//! A plan may come from a file that anybody wrote. What passes [`check`] keeps the decoder's arithmetic in range and bounds
//! the work of printing a value. Whether the bytes fit their layouts is checked while decoding.

use nettrace_compiler::artifact::{
    Action, Event, Field, Layout, Map, MapId, PLAN_VERSION, Plan, Stored, hist_buckets,
    lhist_buckets,
};
use nettrace_compiler::index::Id;
use nettrace_grammar::{Diagnostic, codes};

/// Larger than any value that a program can send or store.
const MAX_SIZE: u64 = 1 << 28;

/// Refuses plans whose events, keys or values cannot be decoded.
pub fn check(plan: &Plan) -> Result<(), Diagnostic> {
    check_all(plan).map_err(|what| {
        Diagnostic::host(
            codes::BAD_OBJECT,
            format!("the object's plan is damaged: {what}"),
        )
        .help("build the object again with this version of nettrace")
    })
}

fn check_all(plan: &Plan) -> Result<(), String> {
    if plan.version != PLAN_VERSION {
        return Err(format!(
            "version {} instead of {PLAN_VERSION}",
            plan.version
        ));
    }
    for (id, map) in plan.maps.iter_enumerated() {
        check_map(map).map_err(|what| format!("map {id}: {what}"))?;
    }
    for map in plan.ring.iter().chain(&plan.control) {
        map_exists(plan, *map)?;
    }
    for (id, event) in plan.events.iter_enumerated() {
        check_event(plan, event).map_err(|what| format!("event {id}: {what}"))?;
    }
    Ok(())
}

fn map_exists(plan: &Plan, map: MapId) -> Result<&Map, String> {
    plan.maps.get(map).ok_or(format!("there is no map {map}"))
}

fn check_map(map: &Map) -> Result<(), String> {
    let Some(script) = &map.script else {
        return Ok(());
    };
    if let Some(key) = &script.key {
        fits(size(key)?, map.key_size.into(), "its key")?;
    }
    let need = match &script.value {
        Stored::Plain(layout) => size(layout)?,
        Stored::Count | Stored::Sum { .. } => 8,
        Stored::Avg { .. } | Stored::Min { .. } | Stored::Max { .. } | Stored::Stats { .. } => 16,
        Stored::Hist { bits: bits @ 0..=5 } => 8 * u64::from(hist_buckets(*bits)),
        Stored::Hist { bits } => return Err(format!("a histogram of {bits} bits")),
        Stored::Lhist { min, max, step } => lhist_size(*min, *max, *step)?,
    };
    fits(need, map.value_size.into(), "its value")
}

fn lhist_size(min: i64, max: i64, step: i64) -> Result<u64, String> {
    let range = max.checked_sub(min).filter(|_| step > 0 && min < max);
    match range.map(|range| range / step) {
        Some(0..=100_000) => Ok(8 * u64::from(lhist_buckets(min, max, step))),
        _ => Err(format!("a histogram from {min} to {max} by {step}")),
    }
}

fn check_event(plan: &Plan, event: &Event) -> Result<(), String> {
    fields_fit(&event.fields, event.size.into())?;
    if let Some(time) = event.time {
        fits(u64::from(time.offset) + 8, event.size.into(), "its time")?;
    }
    if let Some(group) = event.group {
        fits(u64::from(group) + 8, event.size.into(), "its group")?;
    }
    match &event.action {
        Action::Release if event.fields.is_empty() => return Err("no field".to_string()),
        Action::Packet { .. } if event.fields.len() != 7 => {
            return Err(format!("{} fields of a packet", event.fields.len()));
        }
        Action::Printf { format } => {
            let values = format.iter().filter(|p| p.takes_field());
            let (wanted, given) = (values.count(), event.fields.len());
            if wanted != given {
                return Err(format!("{given} fields for {wanted} conversions"));
            }
        }
        Action::PrintMap { map, .. } | Action::Clear { map } | Action::Zero { map } => {
            return map_exists(plan, *map)?
                .script
                .as_ref()
                .map(|_| ())
                .ok_or(format!("{map} is not a map of the script"));
        }
        Action::PrintValue | Action::Exit | Action::Join { .. } if event.fields.is_empty() => {
            return Err("no field".to_string());
        }
        _ => {}
    }
    Ok(())
}

fn fields_fit(fields: &[Field], room: u64) -> Result<(), String> {
    let sent = |field: &&Field| !matches!(field.layout, Layout::Literal { .. });
    for field in fields.iter().filter(sent) {
        let end = u64::from(field.offset) + size(&field.layout)?;
        fits(end, room, "a field")?;
    }
    Ok(())
}

fn fits(need: u64, room: u64, what: &str) -> Result<(), String> {
    if need <= room {
        Ok(())
    } else {
        Err(format!("{what} ends at byte {need} of {room}"))
    }
}

/// The size of a layout without the overflows that `Layout::size` leaves to well-made plans.
fn size(layout: &Layout) -> Result<u64, String> {
    let size = match layout {
        Layout::Int { bytes, .. } | Layout::Net { bytes } | Layout::Enum { bytes, .. } => {
            width(*bytes)?
        }
        Layout::Bits {
            bytes,
            shift,
            width: bits,
            ..
        } => {
            let room = width(*bytes)? * 8;
            fits(u64::from(*shift) + u64::from(*bits), room, "a bit-field")?;
            u64::from(*bytes)
        }
        Layout::Str { cap } => u64::from(*cap),
        Layout::Buf { cap } => 4 + u64::from(*cap),
        Layout::Stack { user, frames, .. } => 8 + 8 * u64::from(*frames) + 8 * u64::from(*user),
        Layout::Meaning { frames, .. } => 8 + 8 * u64::from(*frames),
        Layout::Tuple { fields, size } | Layout::Record { fields, size } => {
            fields_fit(fields, (*size).into())?;
            u64::from(*size)
        }
        Layout::Array { elem, len } => match size(elem)? {
            0 if *len > 0 => return Err("an array of nothing".to_string()),
            elem => elem * u64::from(*len),
        },
        other => u64::from(other.size()),
    };
    fits(size, MAX_SIZE, "a value").map(|()| size)
}

fn width(bytes: u8) -> Result<u64, String> {
    match bytes {
        1 | 2 | 4 | 8 => Ok(bytes.into()),
        _ => Err(format!("an integer of {bytes} bytes")),
    }
}

/// Whether a map id names a map of the script; for callers that have checked the plan.
pub(crate) fn script_maps(plan: &Plan) -> impl Iterator<Item = MapId> {
    (0..plan.maps.len())
        .map(MapId::new)
        .filter(|id| plan.maps.get(*id).is_some_and(|map| map.script.is_some()))
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{EventId, MapKind};

    use super::*;
    use crate::testing::{I64, U64, event, format, plan, program, script_map};

    fn good() -> Plan {
        let mut plan = plan(vec![program("p", &["begin"])]);
        plan.maps.push(script_map(
            "@m",
            MapKind::PercpuHash,
            Some(U64),
            Stored::Count,
        ));
        event(
            &mut plan,
            Action::Printf {
                format: format("%d %d\n"),
            },
            &[I64, U64],
        );
        event(
            &mut plan,
            Action::PrintMap {
                map: MapId(1),
                top: 0,
                div: 0,
            },
            &[],
        );
        plan
    }

    /// Damages a good plan and returns what is said about it.
    fn complaint(damage: impl FnOnce(&mut Plan)) -> String {
        let mut plan = good();
        damage(&mut plan);
        let diag = check(&plan).expect_err("the damage must be found");
        diag.message.replace("the object's plan is damaged: ", "")
    }

    fn layout_complaint(layout: Layout) -> String {
        complaint(|plan| plan.events[EventId(0)].fields[0].layout = layout)
    }

    #[test]
    fn a_good_plan_passes() {
        assert_eq!(check(&good()), Ok(()));
    }

    #[test]
    fn another_version() {
        assert_eq!(
            complaint(|plan| plan.version = 99),
            "version 99 instead of 1"
        );
    }

    #[test]
    fn ids_of_nothing() {
        assert_eq!(
            complaint(|plan| plan.ring = Some(MapId(9))),
            "there is no map m9"
        );
        let clear = |map| Action::Clear { map: MapId(map) };
        let of = |action| complaint(|plan| plan.events[EventId(1)].action = action);
        assert_eq!(of(clear(7)), "event e1: there is no map m7");
        assert_eq!(of(clear(0)), "event e1: m0 is not a map of the script");
        assert_eq!(of(Action::Exit), "event e1: no field");
    }

    #[test]
    fn formats_and_fields_must_agree() {
        let more = nettrace_compiler::artifact::Piece::Value(crate::testing::spec(
            4,
            nettrace_compiler::artifact::Conversion::Hex,
        ));
        let text = complaint(|plan| {
            if let Action::Printf { format } = &mut plan.events[EventId(0)].action {
                format.push(more);
            }
        });
        assert_eq!(text, "event e0: 2 fields for 3 conversions");
        assert_eq!(
            complaint(|plan| plan.events[EventId(0)].size = 16),
            "event e0: a field ends at byte 24 of 16"
        );
    }

    #[test]
    fn layouts_that_cannot_be() {
        assert_eq!(
            layout_complaint(Layout::Int {
                bytes: 3,
                signed: true
            }),
            "event e0: an integer of 3 bytes"
        );
        let bits = Layout::Bits {
            bytes: 1,
            shift: 6,
            width: 3,
            signed: false,
        };
        assert_eq!(
            layout_complaint(bits),
            "event e0: a bit-field ends at byte 9 of 8"
        );
        let nothing = Layout::Literal {
            text: String::new(),
        };
        let array = Layout::Array {
            elem: Box::new(nothing),
            len: u32::MAX,
        };
        assert_eq!(layout_complaint(array), "event e0: an array of nothing");
        let inner = Layout::Array {
            elem: Box::new(U64),
            len: u32::MAX,
        };
        assert!(layout_complaint(inner).starts_with("event e0: a value ends at byte"));
        let huge = Layout::Stack {
            user: true,
            frames: u32::MAX,
            mode: nettrace_compiler::artifact::StackMode::Raw,
        };
        assert!(layout_complaint(huge).starts_with("event e0: a value ends at byte"));
    }

    #[test]
    fn histograms_that_cannot_be() {
        let of = |value| {
            complaint(|plan| {
                if let Some(script) = &mut plan.maps[MapId(1)].script {
                    script.value = value;
                }
            })
        };
        assert_eq!(
            of(Stored::Hist { bits: 40 }),
            "map m1: a histogram of 40 bits"
        );
        assert_eq!(
            of(Stored::Hist { bits: 0 }),
            "map m1: its value ends at byte 528 of 8"
        );
        let lhist = |min, max, step| of(Stored::Lhist { min, max, step });
        assert_eq!(lhist(0, 10, 0), "map m1: a histogram from 0 to 10 by 0");
        assert_eq!(lhist(10, 0, 1), "map m1: a histogram from 10 to 0 by 1");
        assert!(lhist(i64::MIN, i64::MAX, 1).starts_with("map m1: a histogram from"));
    }
}
