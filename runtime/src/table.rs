//! A map as the user sees it: per-CPU parts put together, rows in printing order.
//!
//! In: the raw [`Entries`] of a script map and the [`ScriptMap`] that describes them. Out: a [`Table`] for a sink.
//! Reading the kernel's maps is the loader's work, turning rows into text the sink's.

pub(crate) mod alike;

use std::cmp::Ordering;

use nettrace_compiler::artifact::{Map, ScriptMap, Stored};

use crate::decode::{DecodeError, Value, decode, native};
use crate::live::Entries;

/// What a map holds, ready to print.
#[derive(Debug)]
pub struct Table<'a> {
    /// With `@`.
    pub name: &'a str,
    /// What the map's values are.
    pub stored: &'a Stored,
    /// Whether entries have keys.
    pub keyed: bool,
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
            stored: &script.value,
            keyed: script.key.is_some(),
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
mod tests;
