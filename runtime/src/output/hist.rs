//! Histograms: which numbers a bucket counts, and rows of text.
//!
//! In: the buckets of `hist()` or `lhist()`. Out: one row per bucket from the first to the last that counted anything: the
//! bucket's bounds in 16 columns, the count in 8, a bar of 52. For formats without bars, the bounds as numbers.

use std::ops::Range;

use super::value::write_display;

const BAR: usize = 52;
const LABEL: usize = 16;

/// Appends the rows of a `hist()` whose powers of two are divided into `2^bits` buckets.
pub fn write_hist(out: &mut Vec<u8>, bits: u32, buckets: &[u64]) {
    write_rows(out, buckets, |index| {
        let single = 2 << bits;
        match index {
            0 => "(..., 0)".to_string(),
            // Up to here a bucket is one number.
            index if index <= single => format!("[{}]", index - 1),
            index => format!(
                "[{}, {})",
                power_label(index - 1, bits),
                power_label(index, bits)
            ),
        }
    });
}

/// Appends the rows of an `lhist()`.
pub fn write_lhist(out: &mut Vec<u8>, min: i64, max: i64, step: i64, buckets: &[u64]) {
    let last = buckets.len().saturating_sub(1);
    let bound = |index: usize| {
        let offset = i128::from(step) * index as i128;
        (i128::from(min) + offset).min(max.into())
    };
    let suffixes = step % 1024 == 0;
    let label = |number| linear_label(number, suffixes);
    write_rows(out, buckets, |index| match index {
        0 => format!("(..., {})", label(min.into())),
        index if index == last => format!("[{}, ...)", label(max.into())),
        index => {
            let (low, high) = (bound(index - 1), bound(index));
            if high - low == 1 {
                format!("[{}]", label(low))
            } else {
                format!("[{}, {})", label(low), label(high))
            }
        }
    });
}

/// The buckets from the first to the last that counted anything.
pub(crate) fn shown(buckets: &[u64]) -> Range<usize> {
    let counted = |count: &u64| *count > 0;
    let first = buckets.iter().position(counted);
    let last = buckets.iter().rposition(counted);
    first
        .zip(last)
        .map_or(0..0, |(first, last)| first..last + 1)
}

/// The numbers that a bucket counts, both ends included; `None`: without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: Option<i128>,
    pub(crate) max: Option<i128>,
}

/// What bucket `index` of `hist(n, bits)` counts.
pub(crate) fn power_bounds(index: usize, bits: u32) -> Bounds {
    if index == 0 {
        return Bounds {
            min: None,
            max: Some(-1),
        };
    }
    Bounds {
        min: Some(power_start(index - 1, bits)),
        max: Some(power_start(index, bits) - 1),
    }
}

/// The smallest number of the bucket behind `index`.
fn power_start(index: usize, bits: u32) -> i128 {
    let parts = 1i128 << bits.min(16);
    let index = index as i128;
    if index < parts {
        return index;
    }
    // Plans are checked: there are no more than 64 powers.
    let power = (index / parts - 1).min(64);
    (parts + index % parts) << power
}

/// What bucket `index` of the `count` buckets of an `lhist()` counts.
pub(crate) fn linear_bounds(index: usize, count: usize, min: i64, max: i64, step: i64) -> Bounds {
    let start = |index: usize| {
        let offset = i128::from(step).saturating_mul(index as i128);
        i128::from(min).saturating_add(offset).min(max.into())
    };
    Bounds {
        min: index.checked_sub(1).map(start),
        max: (index + 1 < count).then(|| start(index) - 1),
    }
}

fn write_rows(out: &mut Vec<u8>, buckets: &[u64], label: impl Fn(usize) -> String) {
    let most = buckets.iter().copied().max().unwrap_or(1).max(1);
    let shown = shown(buckets);
    let rows = buckets.iter().enumerate().skip(shown.start);
    for (index, &count) in rows.take(shown.len()) {
        let filled = (u128::from(count) * BAR as u128 / u128::from(most)) as usize;
        let label = label(index);
        write_display(out, format_args!("{label:LABEL$}{count:8} |"));
        out.resize(out.len() + filled, b'@');
        out.resize(out.len() + BAR.saturating_sub(filled), b' ');
        out.extend_from_slice(b"|\n");
    }
}

/// The lower bound of what follows bucket `index`, with the suffix of the largest power of 1024 in the bucket's width.
fn power_label(index: usize, bits: u32) -> String {
    let parts = 1u128 << bits;
    let part = index as u128 & (parts - 1);
    let power = ((index >> bits) as u32).saturating_sub(1);
    let number = (parts + part) << (power % 10);
    let suffix = ["", "K", "M", "G", "T", "P", "E"];
    let suffix = suffix.get(power as usize / 10).unwrap_or(&"?");
    format!("{number}{suffix}")
}

fn linear_label(number: i128, suffixes: bool) -> String {
    const KIB: i128 = 1 << 10;
    const MIB: i128 = 1 << 20;
    match number {
        0 => "0".to_string(),
        n if suffixes && n % MIB == 0 => format!("{}M", n / MIB),
        n if suffixes && n % KIB == 0 => format!("{}K", n / KIB),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use nettrace_compiler::artifact::{hist_buckets, lhist_buckets};

    use super::*;

    /// The bucket of a number, by the rule of `artifact::hist_buckets`.
    fn bucket(value: u64, bits: u32) -> usize {
        if value < 1 << bits {
            return value as usize + 1;
        }
        let l = u64::from(63 - value.leading_zeros() - bits);
        (((l + 1) << bits) + ((value >> l) & ((1 << bits) - 1)) + 1) as usize
    }

    fn hist(bits: u32, counts: &[(u64, u64)]) -> String {
        let mut buckets = vec![0; hist_buckets(bits) as usize];
        for (value, count) in counts {
            buckets[bucket(*value, bits)] += count;
        }
        let mut out = Vec::new();
        write_hist(&mut out, bits, &buckets);
        String::from_utf8(out).expect("text")
    }

    fn lhist(min: i64, max: i64, step: i64, counts: &[(usize, u64)]) -> String {
        let mut buckets = vec![0; lhist_buckets(min, max, step) as usize];
        for (index, count) in counts {
            buckets[*index] = *count;
        }
        let mut out = Vec::new();
        write_lhist(&mut out, min, max, step, &buckets);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn rows_from_the_first_to_the_last_bucket_that_counted() {
        let expected = "\
[1]                    2 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
[2, 4)                 4 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[4, 8)                 0 |                                                    |
[8, 16)                1 |@@@@@@@@@@@@@                                       |
";
        assert_eq!(hist(0, &[(1, 2), (2, 3), (3, 1), (15, 1)]), expected);
    }

    fn labels(text: &str) -> Vec<&str> {
        text.lines().map(|line| line[..16].trim_end()).collect()
    }

    #[test]
    fn bounds_have_suffixes_of_1024() {
        let text = hist(0, &[(512, 1), (2047, 1)]);
        assert_eq!(labels(&text), ["[512, 1K)", "[1K, 2K)"]);
        let text = hist(0, &[(1 << 20, 1)]);
        assert_eq!(labels(&text), ["[1M, 2M)"]);
        let text = hist(0, &[(u64::MAX, 1)]);
        assert_eq!(labels(&text), ["[8E, 16E)"]);
    }

    #[test]
    fn powers_of_two_may_be_divided() {
        let text = hist(2, &[(7, 1), (8, 1), (10, 1)]);
        assert_eq!(labels(&text), ["[7]", "[8, 10)", "[10, 12)"]);
        let text = hist(5, &[(u64::MAX, 1)]);
        assert_eq!(labels(&text), ["[16128P, 16384P)"]);
    }

    #[test]
    fn negative_numbers_have_one_bucket() {
        let mut out = Vec::new();
        write_hist(&mut out, 0, &[3, 0, 0]);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(labels(&text), ["(..., 0)"]);
    }

    #[test]
    fn nothing_counted_is_no_row() {
        assert_eq!(hist(0, &[]), "");
        assert_eq!(lhist(0, 10, 1, &[]), "");
    }

    #[test]
    fn linear_labels() {
        let text = lhist(0, 100, 10, &[(0, 1), (1, 1), (2, 4), (11, 2)]);
        assert!(
            text.starts_with(
                "\
(..., 0)               1 |@@@@@@@@@@@@@                                       |
[0, 10)                1 |@@@@@@@@@@@@@                                       |
[10, 20)               4 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[20, 30)               0 |                                                    |
"
            ),
            "{text}"
        );
        assert!(
            text.ends_with(
                "\
[100, ...)             2 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
"
            ),
            "{text}"
        );
        assert_eq!(
            labels(&lhist(-2, 2, 1, &[(1, 1), (2, 1)])),
            ["[-2]", "[-1]"]
        );
        assert_eq!(
            labels(&lhist(0, 25, 10, &[(3, 1), (4, 1)])),
            ["[20, 25)", "[25, ...)"]
        );
        assert_eq!(
            labels(&lhist(0, 4096, 1024, &[(1, 1), (4, 1)]))[0],
            "[0, 1K)"
        );
    }

    #[test]
    fn bounds_are_what_the_buckets_count() {
        let both = |min, max| Bounds {
            min: Some(min),
            max: Some(max),
        };
        assert_eq!(power_bounds(0, 0).max, Some(-1));
        assert_eq!(power_bounds(1, 0), both(0, 0));
        assert_eq!(power_bounds(2, 0), both(1, 1));
        assert_eq!(power_bounds(3, 0), both(2, 3));
        assert_eq!(power_bounds(65, 0), both(1 << 63, u64::MAX.into()));
        for bits in 0..=5 {
            for value in (0..1000u64).chain([u64::MAX, 1 << 40, (1 << 40) - 1]) {
                let bounds = power_bounds(bucket(value, bits), bits);
                let range = bounds.min.expect("a bound")..=bounds.max.expect("a bound");
                assert!(range.contains(&value.into()), "{value} of {bits} bits");
            }
        }
        let linear = |index| linear_bounds(index, 5, 0, 25, 10);
        assert_eq!((linear(0).min, linear(0).max), (None, Some(-1)));
        assert_eq!(linear(1), both(0, 9));
        assert_eq!(linear(3), both(20, 24));
        assert_eq!((linear(4).min, linear(4).max), (Some(25), None));
    }

    #[test]
    fn huge_counts_do_not_overflow_the_bar() {
        let mut out = Vec::new();
        write_hist(&mut out, 0, &[u64::MAX, u64::MAX / 2]);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches('@').count(), 52 + 25);
    }
}
