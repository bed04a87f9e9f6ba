//! Keys that read the same though their bytes differ: stacks that mean the same.
//!
//! In: a map's raw entries. Out: the same, with the values of such keys side by side, as if they were those of further CPUs: the table
//! puts them together like the parts of one value. Values that are no aggregations cannot be put together and stay apart.

use std::collections::BTreeMap;

use nettrace_compiler::artifact::{Layout, Map, ScriptMap};

use super::cpu_stride;
use crate::decode::decode;
use crate::live::Entries;
use crate::output::Names;
use crate::output::value::write_key;

/// Puts the entries together whose keys read the same.
pub(crate) fn put_together(
    map: &Map,
    script: &ScriptMap,
    entries: Entries,
    names: &mut Names,
) -> Entries {
    let (Some(layout), Some(stride)) = (&script.key, cpu_stride(map)) else {
        return entries;
    };
    // A value that does not end with a CPU's part would push the next one out of step.
    let has_meaning = layout.any(&|part| matches!(part, Layout::Meaning { .. }));
    if !has_meaning || !entries.value_size.is_multiple_of(stride.max(1)) {
        return entries;
    }
    let mut groups: BTreeMap<Vec<u8>, (&[u8], Vec<u8>)> = BTreeMap::new();
    for (key, value) in entries.iter() {
        let mut text = Vec::new();
        write_key(&mut text, &decode(layout, key), names);
        let group = groups.entry(text).or_insert_with(|| (key, Vec::new()));
        group.1.extend_from_slice(value);
    }
    let longest = groups.values().map(|(_, value)| value.len()).max();
    let value_size = longest.unwrap_or(entries.value_size);
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (key, mut value) in groups.into_values() {
        keys.extend_from_slice(key);
        // A part that is zero is a CPU without numbers.
        value.resize(value_size, 0);
        values.extend(value);
    }
    Entries {
        key_size: entries.key_size,
        value_size,
        keys,
        values,
    }
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{MapKind, Stored};

    use super::*;
    use crate::output::Sink as _;
    use crate::table::Table;
    use crate::testing::{names, printed, script_map, sink, words};

    const OUTPUT: u64 = 0xffff_ffff_8100_0100;
    const SLOW: u64 = 0xffff_ffff_8100_0200;
    const EXIT: u64 = 0xffff_ffff_8100_0300;

    /// Entries of stacks of two frames, each with the values of two CPUs.
    fn show(stored: Stored, entries: &[([u64; 2], &[u64])]) -> String {
        let rows = vec![
            ("nf_hook_slow".to_string(), "hook".to_string()),
            ("ip_output".to_string(), "output".to_string()),
        ];
        let key = Layout::Meaning { frames: 2, rows };
        let map = script_map("@m", MapKind::PercpuHash, Some(key), stored);
        let script = map.script.as_ref().expect("a script map");
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (frames, numbers) in entries {
            keys.extend(words(&[16, frames[0], frames[1]]));
            values.extend(words(numbers));
        }
        let raw = Entries {
            key_size: 24,
            value_size: values.len() / entries.len(),
            keys,
            values,
        };
        let together = put_together(&map, script, raw, &mut names());
        let mut sink = sink();
        sink.map(&Table::new(&map, script, &together, 0, 0), &mut names());
        printed(sink).0
    }

    #[test]
    fn counts_of_stacks_that_mean_the_same_are_one() {
        let entries: &[([u64; 2], &[u64])] = &[
            ([OUTPUT, EXIT + 1], &[1, 2]),
            ([SLOW, OUTPUT + 1], &[7, 0]),
            ([EXIT, OUTPUT + 1], &[4, 8]),
        ];
        assert_eq!(
            show(Stored::Count, entries),
            "@m[hook]: 7\n@m[output]: 15\n"
        );
    }

    #[test]
    fn a_minimum_is_that_of_all() {
        let entries: &[([u64; 2], &[u64])] = &[
            ([OUTPUT, EXIT + 1], &[5, 1, 0, 0]),
            ([EXIT, OUTPUT + 1], &[9, 1, 3, 1]),
            ([SLOW, EXIT + 1], &[8, 1, 0, 0]),
        ];
        let stored = Stored::Min { signed: true };
        assert_eq!(show(stored, entries), "@m[output]: 3\n@m[hook]: 8\n");
    }
}
