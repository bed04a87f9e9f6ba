//! Random layouts on random bytes: a plan that passes the wire check can be decoded, ordered and printed, whatever the
//! kernel sends. A second of it in the normal run; more with `PROPTEST_CASES`.

use nettrace_compiler::artifact::{
    Action, Conversion, Event, Field, Layout, MapKind, Piece, Plan, StackMode, Stored,
};
use proptest::prelude::*;

use crate::events::Dispatcher;
use crate::live::Live;
use crate::output::Sink;
use crate::output::json::JsonSink;
use crate::output::writer::Writer;
use crate::table::Table;
use crate::testing::{FakeLive, names, plan, program, script_map, sink, spec, with_symbols};

fn width() -> impl Strategy<Value = u8> {
    prop_oneof![8 => prop::sample::select(vec![1u8, 2, 4, 8]), 1 => any::<u8>()]
}

/// Mostly small, sometimes absurd.
fn count() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0u32..20, 1 => any::<u32>()]
}

fn mode() -> impl Strategy<Value = StackMode> {
    prop::sample::select(vec![StackMode::Bpftrace, StackMode::Perf, StackMode::Raw])
}

fn leaf() -> impl Strategy<Value = Layout> {
    prop_oneof![
        (width(), any::<bool>()).prop_map(|(bytes, signed)| Layout::Int { bytes, signed }),
        width().prop_map(|bytes| Layout::Net { bytes }),
        (width(), 0u8..70, 0u8..70, any::<bool>()).prop_map(|(bytes, shift, width, signed)| {
            Layout::Bits {
                bytes,
                shift,
                width,
                signed,
            }
        }),
        Just(Layout::Bool),
        (width(), any::<bool>(), any::<i64>()).prop_map(|(bytes, signed, value)| {
            Layout::Enum {
                bytes,
                signed,
                names: vec![(value, "A".into()), (0, "B".into())],
            }
        }),
        Just(Layout::Pointer),
        count().prop_map(|cap| Layout::Str { cap }),
        count().prop_map(|cap| Layout::Buf { cap }),
        Just(Layout::Literal {
            text: "text".into()
        }),
        (count(), mode()).prop_map(|(frames, mode)| Layout::Stack {
            user: false,
            frames,
            mode
        }),
        Just(Layout::KSym),
        any::<bool>().prop_map(|v6| Layout::Inet { v6 }),
        Just(Layout::InetAny),
        Just(Layout::Mac),
        Just(Layout::ProbeName),
        "[%a-zH ]{0,6}".prop_map(|format| Layout::Time { format }),
        Just(Layout::Device),
        Just(Layout::NetNs),
    ]
}

fn layout() -> impl Strategy<Value = Layout> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        let members = prop::collection::vec((count(), inner.clone()), 0..4);
        prop_oneof![
            (any::<bool>(), members, count()).prop_map(|(tuple, members, size)| {
                let field = |(offset, layout)| Field {
                    name: "f".into(),
                    offset,
                    layout,
                };
                let fields = members.into_iter().map(field).collect();
                if tuple {
                    Layout::Tuple { fields, size }
                } else {
                    Layout::Record { fields, size }
                }
            }),
            (inner, count()).prop_map(|(elem, len)| Layout::Array {
                elem: Box::new(elem),
                len
            }),
        ]
    })
}

fn stored() -> impl Strategy<Value = Stored> {
    let signed = any::<bool>();
    prop_oneof![
        layout().prop_map(Stored::Plain),
        Just(Stored::Count),
        signed.prop_map(|signed| Stored::Sum { signed }),
        signed.prop_map(|signed| Stored::Avg { signed }),
        signed.prop_map(|signed| Stored::Min { signed }),
        signed.prop_map(|signed| Stored::Stats { signed }),
        (0u32..9).prop_map(|bits| Stored::Hist { bits }),
        (any::<i8>(), any::<i8>(), any::<i8>()).prop_map(|(min, max, step)| Stored::Lhist {
            min: min.into(),
            max: max.into(),
            step: step.into()
        }),
    ]
}

fn with_event(layout: Layout, size: u32) -> Plan {
    let mut plan = plan(vec![program("p", &["begin"])]);
    let conversions = [Conversion::Text, Conversion::Signed, Conversion::Buffer];
    let fields = vec![
        Field {
            name: String::new(),
            offset: 8,
            layout
        };
        conversions.len()
    ];
    let format = conversions.map(|c| Piece::Value(spec(4, c))).to_vec();
    let action = Action::Printf { format };
    plan.events.push(Event {
        action,
        fields: fields.clone(),
        size,
        span: (0, 0),
        program: nettrace_compiler::artifact::ProgramId(0),
        time: None,
        group: None,
    });
    plan.events.push(Event {
        action: Action::PrintValue,
        fields,
        size,
        span: (0, 0),
        program: nettrace_compiler::artifact::ProgramId(0),
        time: None,
        group: None,
    });
    plan
}

/// Every line a program reads can be parsed.
fn all_json(mut sink: JsonSink<Vec<u8>, Vec<u8>>) -> Result<(), TestCaseError> {
    sink.finish().expect("a vector takes everything");
    let (output, _) = sink.into_parts();
    for line in output.split_inclusive(|&b| b == b'\n') {
        let parsed = serde_json::from_slice::<serde_json::Value>(line);
        prop_assert!(parsed.is_ok(), "{}", String::from_utf8_lossy(line));
    }
    Ok(())
}

proptest! {
    #[test]
    fn events_never_panic(
        layout in layout(),
        size in prop_oneof![Just(1u32 << 20), 0u32..64],
        event in 0u64..3,
        body in prop::collection::vec(any::<u8>(), 0..256),
    ) {
        let plan = with_event(layout, size);
        let mut json = JsonSink::new(Writer::new(Vec::new(), Vec::new()));
        let mut record = event.to_ne_bytes().to_vec();
        record.extend(body);
        // The size in the plan is only checked against the record; give it one that is long enough, too.
        let mut longer = record.clone();
        longer.resize(record.len().max((size as usize).min(4096)), 0x5a);
        let sinks: [&mut dyn Sink; 2] = [&mut sink(), &mut json];
        for sink in sinks {
            if let Ok(mut events) = Dispatcher::new(&plan, sink) {
                let symbols = with_symbols(std::mem::take(events.names_mut()));
                *events.names_mut() = symbols;
                events.record(&record, &mut FakeLive::default());
                events.record(&longer, &mut FakeLive::default());
            }
        }
        all_json(json)?;
    }

    #[test]
    fn tables_never_panic(
        key in layout(),
        value in stored(),
        per_cpu in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 64..512),
        top in 0u32..3,
        div in 0u32..3,
    ) {
        let kind = if per_cpu { MapKind::PercpuHash } else { MapKind::Hash };
        let mut plan = plan(Vec::new());
        // Sizes of the map itself that fit nearly everything: what is stored decides.
        let mut map = script_map("@m", kind, None, Stored::Count);
        (map.key_size, map.value_size) = (1 << 20, 1 << 20);
        if let Some(script) = &mut map.script {
            (script.key, script.value) = (Some(key), value);
        }
        let id = plan.maps.push(map);
        if crate::wire::check(&plan).is_ok()
            && let Some(map) = plan.maps.get(id)
            && let Some(script) = &map.script
        {
            let mut live = FakeLive::default();
            let (a, b) = bytes.split_at(bytes.len() / 2);
            let half = b.len().min(a.len());
            let entries: [(&[u8], &[u8]); 2] = [(&a[..half], &b[..half]), (&b[..half], &a[..half])];
            live.fill(id.0, &entries);
            let entries = live.entries(id).expect("entries");
            let table = Table::new(map, script, &entries, top, div);
            sink().map(&table, &mut names());
            let mut json = JsonSink::new(Writer::new(Vec::new(), Vec::new()));
            json.map(&table, &mut names());
            all_json(json)?;
        }
    }
}
