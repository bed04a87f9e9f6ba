//! A map as the user sees it: per-CPU parts put together, rows in printing order.
//!
//! In: the raw [`Entries`] of a script map and the [`ScriptMap`] that describes them. Out: a [`Table`] for a sink.
//! Reading the kernel's maps is the loader's work, turning rows into text the sink's.

use std::cmp::Ordering;

use nettrace_compiler::artifact::{Map, ScriptMap, Stored};

use crate::decode::{DecodeError, Value, decode, native};
use crate::live::Entries;

/// What a map holds, ready to print.
#[derive(Debug)]
pub struct Table<'a> {
    /// With `@`.
    pub name: &'a str,
    /// In printing order. A scalar map has one row without a key.
    pub rows: Vec<Row<'a>>,
}

/// One entry of a map.
#[derive(Debug)]
pub struct Row<'a> {
    /// `None` in a scalar map.
    pub key: Option<Result<Value<'a>, DecodeError>>,
    /// The value over all CPUs.
    pub value: Result<Reduced<'a>, DecodeError>,
}

/// A map's value over all CPUs.
#[derive(Clone, Debug)]
pub enum Reduced<'a> {
    /// A plain value, count, sum, average, minimum or maximum.
    Value(Value<'a>),
    /// `stats()`; average and total are both signed or both unsigned.
    Stats {
        /// How many numbers.
        count: u64,
        /// Total over count; 0 without numbers.
        average: Value<'a>,
        /// Their sum.
        total: Value<'a>,
    },
    /// `hist()`
    Hist {
        /// Each power of two is divided into `2^bits` buckets.
        bits: u32,
        /// As `artifact::hist_buckets` numbers them.
        buckets: Vec<u64>,
    },
    /// `lhist()`
    Lhist {
        /// Lower bound of the first regular bucket.
        min: i64,
        /// Upper bound of the last regular bucket.
        max: i64,
        /// Width of a bucket.
        step: i64,
        /// Below `min`, the regular ones, from `max` on.
        buckets: Vec<u64>,
    },
}

impl Reduced<'_> {
    /// The number that rows are sorted by; `None` sorts by key.
    fn rank(&self) -> Option<i128> {
        match self {
            Reduced::Value(value) => value.number(),
            Reduced::Stats { average, .. } => average.number(),
            Reduced::Hist { buckets, .. } | Reduced::Lhist { buckets, .. } => {
                Some(buckets.iter().map(|&n| i128::from(n)).sum())
            }
        }
    }
}

impl<'a> Table<'a> {
    /// Puts a map's entries in order: ascending by number, else by key. `top` keeps that many of the last ones (0: all);
    /// numbers are divided by `div` (0 and 1: not at all), but not in `stats()` and `lhist()`.
    pub fn new(
        map: &'a Map,
        script: &'a ScriptMap,
        entries: &'a Entries,
        top: u32,
        div: u32,
    ) -> Table<'a> {
        let stride = cpu_stride(map);
        let mut rows: Vec<Row<'a>> = entries
            .iter()
            .map(|(key, value)| Row {
                key: script.key.as_ref().map(|layout| decode(layout, key)),
                value: reduce(&script.value, value, stride),
            })
            .collect();
        rows.sort_by(order);
        if top > 0 && rows.len() > top as usize {
            rows.drain(..rows.len() - top as usize);
        }
        if div > 1 {
            rows.iter_mut()
                .filter_map(|row| row.value.as_mut().ok())
                .for_each(|value| divide(value, div));
        }
        Table {
            name: &script.name,
            rows,
        }
    }
}

/// Bytes from one CPU's value to the next one's.
fn cpu_stride(map: &Map) -> Option<usize> {
    map.kind
        .per_cpu()
        .then(|| (map.value_size as usize).next_multiple_of(8))
}

fn order(a: &Row<'_>, b: &Row<'_>) -> Ordering {
    let rank = |row: &Row<'_>| row.value.as_ref().ok().and_then(Reduced::rank);
    rank(a).cmp(&rank(b)).then_with(|| match (&a.key, &b.key) {
        (Some(Ok(a)), Some(Ok(b))) => a.order(b),
        _ => Ordering::Equal,
    })
}

fn divide(value: &mut Reduced<'_>, div: u32) {
    match value {
        Reduced::Value(Value::Signed(n)) => *n /= i64::from(div),
        Reduced::Value(Value::Unsigned(n)) => *n /= u64::from(div),
        Reduced::Hist { buckets, .. } => buckets.iter_mut().for_each(|n| *n /= u64::from(div)),
        _ => {}
    }
}

/// Puts the parts of all CPUs together. `stride` is the distance of the parts, `None` for a map with one value.
pub(crate) fn reduce<'a>(
    stored: &'a Stored,
    bytes: &'a [u8],
    stride: Option<usize>,
) -> Result<Reduced<'a>, DecodeError> {
    let parts = Parts {
        bytes,
        stride: stride.unwrap_or(bytes.len()).max(1),
    };
    Ok(Reduced::Value(match stored {
        Stored::Plain(layout) => decode(layout, bytes)?,
        Stored::Count => Value::Unsigned(parts.sum(0)?),
        Stored::Sum { signed } => signed_or_not(parts.sum(0)?, *signed),
        Stored::Avg { signed } => average(parts.sum(0)?, parts.sum(8)?, *signed),
        Stored::Min { signed } => parts.extreme(*signed, Ordering::Less)?,
        Stored::Max { signed } => parts.extreme(*signed, Ordering::Greater)?,
        Stored::Stats { signed } => {
            let (total, count) = (parts.sum(0)?, parts.sum(8)?);
            return Ok(Reduced::Stats {
                count,
                average: average(total, count, *signed),
                total: signed_or_not(total, *signed),
            });
        }
        Stored::Hist { bits } => {
            let buckets = parts.buckets(nettrace_compiler::artifact::hist_buckets(*bits))?;
            return Ok(Reduced::Hist {
                bits: *bits,
                buckets,
            });
        }
        Stored::Lhist { min, max, step } => {
            let (min, max, step) = (*min, *max, *step);
            let count = nettrace_compiler::artifact::lhist_buckets(min, max, step);
            let buckets = parts.buckets(count)?;
            return Ok(Reduced::Lhist {
                min,
                max,
                step,
                buckets,
            });
        }
    }))
}

fn signed_or_not<'a>(raw: u64, signed: bool) -> Value<'a> {
    if signed {
        Value::Signed(raw as i64)
    } else {
        Value::Unsigned(raw)
    }
}

fn average<'a>(total: u64, count: u64, signed: bool) -> Value<'a> {
    if signed {
        // In 128 bits: i64::MIN has no absolute value, and a count may exceed i64::MAX.
        let quotient = i128::from(total as i64).checked_div(i128::from(count));
        Value::Signed(quotient.unwrap_or(0) as i64)
    } else {
        Value::Unsigned(total.checked_div(count).unwrap_or(0))
    }
}

/// The values of one entry, one per CPU.
#[derive(Clone, Copy)]
struct Parts<'a> {
    bytes: &'a [u8],
    stride: usize,
}

impl<'a> Parts<'a> {
    fn each(self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.chunks(self.stride)
    }

    /// The sum of the `u64` at this offset, wrapping as the programs' own additions do.
    fn sum(self, offset: usize) -> Result<u64, DecodeError> {
        self.each()
            .try_fold(0u64, |sum, part| Ok(sum.wrapping_add(word(part, offset)?)))
    }

    /// The least or greatest value among the CPUs that have one; 0 if none has.
    fn extreme(self, signed: bool, wanted: Ordering) -> Result<Value<'a>, DecodeError> {
        let mut best: Option<u64> = None;
        for part in self.each() {
            let (raw, is_set) = (word(part, 0)?, word(part, 8)?);
            let better = best.is_none_or(|best| compare(raw, best, signed) == wanted);
            if is_set != 0 && better {
                best = Some(raw);
            }
        }
        Ok(signed_or_not(best.unwrap_or(0), signed))
    }

    fn buckets(self, count: u32) -> Result<Vec<u64>, DecodeError> {
        let count = count as usize;
        let mut sums = vec![0u64; count];
        for part in self.each() {
            if part.len() < count * 8 {
                return Err(DecodeError::Short {
                    need: count * 8,
                    have: part.len(),
                });
            }
            for (sum, chunk) in sums.iter_mut().zip(part.chunks_exact(8)) {
                *sum = sum.wrapping_add(native(chunk)?);
            }
        }
        Ok(sums)
    }
}

fn word(part: &[u8], offset: usize) -> Result<u64, DecodeError> {
    native(part.get(offset..).unwrap_or_default())
}

fn compare(a: u64, b: u64, signed: bool) -> Ordering {
    if signed {
        (a as i64).cmp(&(b as i64))
    } else {
        a.cmp(&b)
    }
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{Layout, MapKind};

    use super::*;
    use crate::live::Live;
    use crate::output::Sink;
    use crate::testing::{
        FakeLive, I64, U64, int, names, padded, printed, script_map, sink, tuple, words,
    };

    /// Prints a map named `@m` as the sink shows it.
    fn show(
        kind: MapKind,
        key: Option<Layout>,
        value: Stored,
        entries: &[(&[u8], &[u8])],
        top: u32,
        div: u32,
    ) -> String {
        let map = script_map("@m", kind, key, value);
        let mut live = FakeLive::default();
        live.fill(1, entries);
        let entries = live
            .entries(nettrace_compiler::artifact::MapId(1))
            .expect("entries");
        let script = map.script.as_ref().expect("a script map");
        let mut sink = sink();
        sink.map(&Table::new(&map, script, &entries, top, div), &mut names());
        printed(sink).0
    }

    fn scalar(value: Stored, parts: &[u64]) -> String {
        show(
            MapKind::PercpuArray,
            None,
            value,
            &[(&[0; 4], &words(parts))],
            0,
            0,
        )
    }

    #[test]
    fn aggregations_over_all_cpus() {
        let minus = |n: i64| n as u64;
        assert_eq!(scalar(Stored::Count, &[1, 2, 3]), "@m: 6\n");
        assert_eq!(
            scalar(Stored::Sum { signed: true }, &[minus(-9), 2]),
            "@m: -7\n"
        );
        assert_eq!(
            scalar(Stored::Sum { signed: false }, &[1 << 63, 1]),
            "@m: 9223372036854775809\n"
        );
        assert_eq!(
            scalar(Stored::Avg { signed: true }, &[minus(-9), 2, 2, 1]),
            "@m: -2\n"
        );
        assert_eq!(
            scalar(Stored::Avg { signed: false }, &[10, 3, 0, 0]),
            "@m: 3\n"
        );
        // A CPU that saw nothing holds zeros that do not count.
        assert_eq!(
            scalar(Stored::Min { signed: false }, &[7, 1, 0, 0, 9, 1]),
            "@m: 7\n"
        );
        assert_eq!(
            scalar(Stored::Min { signed: true }, &[7, 1, minus(-1), 1]),
            "@m: -1\n"
        );
        assert_eq!(
            scalar(Stored::Max { signed: true }, &[minus(-5), 1, 0, 0]),
            "@m: -5\n"
        );
        assert_eq!(
            scalar(Stored::Max { signed: false }, &[minus(-5), 1, 3, 1]),
            "@m: 18446744073709551611\n"
        );
        assert_eq!(
            scalar(Stored::Stats { signed: true }, &[minus(-4), 2, 10, 1]),
            "@m: { .count = 3, .average = 2, .total = 6 }\n"
        );
    }

    #[test]
    fn nothing_counted_is_zero() {
        assert_eq!(scalar(Stored::Count, &[0, 0]), "@m: 0\n");
        assert_eq!(scalar(Stored::Avg { signed: true }, &[0, 0]), "@m: 0\n");
        assert_eq!(
            scalar(Stored::Max { signed: true }, &[0, 0, 0, 0]),
            "@m: 0\n"
        );
        assert_eq!(scalar(Stored::Hist { bits: 0 }, &[0; 66]), "@m:\n\n");
    }

    fn counts(entries: &[(&str, u64)], top: u32, div: u32) -> String {
        let entries: Vec<(Vec<u8>, Vec<u8>)> = entries
            .iter()
            .map(|(key, count)| (padded(key, 16), words(&[*count, 1])))
            .collect();
        let entries: Vec<(&[u8], &[u8])> = entries
            .iter()
            .map(|(k, v)| (k.as_slice(), v.as_slice()))
            .collect();
        show(
            MapKind::PercpuHash,
            Some(Layout::Str { cap: 16 }),
            Stored::Count,
            &entries,
            top,
            div,
        )
    }

    #[test]
    fn rows_ascend_by_value_and_then_by_key() {
        let entries = [("nginx", 40), ("curl", 1), ("sshd", 9), ("bash", 9)];
        assert_eq!(
            counts(&entries, 0, 0),
            "@m[curl]: 2\n@m[bash]: 10\n@m[sshd]: 10\n@m[nginx]: 41\n"
        );
        assert_eq!(counts(&entries, 2, 0), "@m[sshd]: 10\n@m[nginx]: 41\n");
        assert_eq!(
            counts(&entries, 9, 10),
            "@m[curl]: 0\n@m[bash]: 1\n@m[sshd]: 1\n@m[nginx]: 4\n"
        );
        assert_eq!(counts(&[], 0, 0), "");
    }

    #[test]
    fn values_that_are_no_numbers_leave_the_order_to_the_keys() {
        let key = |n: i64| n.to_ne_bytes();
        let text = |s: &str| padded(s, 8);
        assert_eq!(
            show(
                MapKind::Hash,
                Some(I64),
                Stored::Plain(Layout::Str { cap: 8 }),
                &[
                    (&key(3), &text("a")),
                    (&key(-1), &text("z")),
                    (&key(2), &text("m"))
                ],
                0,
                0
            ),
            "@m[-1]: z\n@m[2]: m\n@m[3]: a\n"
        );
    }

    #[test]
    fn plain_numbers_sort_by_value_with_their_sign() {
        let entry = |n: i32| n.to_ne_bytes();
        assert_eq!(
            show(
                MapKind::Hash,
                Some(int(4, false)),
                Stored::Plain(int(4, true)),
                &[(&entry(1), &entry(5)), (&entry(2), &entry(-5))],
                0,
                0
            ),
            "@m[2]: -5\n@m[1]: 5\n"
        );
    }

    #[test]
    fn tuple_keys_lose_their_parentheses() {
        let key = tuple(&[
            int(4, false),
            tuple(&[int(4, false), Layout::Str { cap: 4 }]),
        ]);
        assert_eq!(
            show(
                MapKind::PercpuHash,
                Some(key),
                Stored::Count,
                &[(b"\x01\0\0\0\x02\0\0\0abc\0", &words(&[4]))],
                0,
                0
            ),
            "@m[1, (2, abc)]: 4\n"
        );
    }

    #[test]
    fn stacks_as_keys_stand_on_their_own_lines() {
        let key = Layout::Stack {
            user: false,
            frames: 2,
            mode: nettrace_compiler::artifact::StackMode::Bpftrace,
        };
        assert_eq!(
            show(
                MapKind::PercpuHash,
                Some(key),
                Stored::Count,
                &[(
                    &words(&[16, 0xffffffffc0a10001, 0xffffffff81000101]),
                    &words(&[1, 0])
                )],
                0,
                0
            ),
            "@m[\n        nf_ct_delete+1 [nf_conntrack]\n        ip_output+1\n]: 1\n"
        );
    }

    #[test]
    fn histograms_end_with_a_blank_line() {
        let mut buckets = [0u64; 2 * 4];
        buckets[1] = 1; // CPU 0
        buckets[4 + 1] = 1; // CPU 1
        buckets[4 + 3] = 1;
        let value = Stored::Lhist {
            min: 0,
            max: 20,
            step: 10,
        };
        let bar = |n| "@".repeat(n) + &" ".repeat(52 - n);
        let rows = format!(
            "[0, 10)                2 |{}|\n[10, 20)               0 |{}|\n[20, ...)              1 |{}|\n",
            bar(52),
            bar(0),
            bar(26)
        );
        assert_eq!(
            show(
                MapKind::PercpuHash,
                Some(U64),
                value.clone(),
                &[(&words(&[7]), &words(&buckets))],
                0,
                0
            ),
            format!("@m[7]:\n{rows}\n")
        );
        assert_eq!(scalar(value, &buckets), format!("@m:\n{rows}\n"));
    }

    #[test]
    fn values_too_short_for_their_layout_are_told_in_place() {
        assert_eq!(
            scalar(Stored::Hist { bits: 0 }, &[1, 2]),
            "@m: !{16 bytes where 528 are needed}\n"
        );
    }
}
