//! Histograms as rows of text.
//!
//! In: the buckets of `hist()` or `lhist()`. Out: one row per bucket from the first to the last that counted anything: the
//! bucket's bounds in 16 columns, the count in 8, a bar of 52.

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

fn write_rows(out: &mut Vec<u8>, buckets: &[u64], label: impl Fn(usize) -> String) {
    let counted = |count: &u64| *count > 0;
    let Some(first) = buckets.iter().position(counted) else {
        return;
    };
    let most = buckets.iter().copied().max().unwrap_or(1);
    let shown = buckets
        .iter()
        .rposition(counted)
        .map_or(first, |last| last + 1 - first);
    for (index, &count) in buckets.iter().enumerate().skip(first).take(shown) {
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
    fn linear_bounds() {
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
    fn huge_counts_do_not_overflow_the_bar() {
        let mut out = Vec::new();
        write_hist(&mut out, 0, &[u64::MAX, u64::MAX / 2]);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches('@').count(), 52 + 25);
    }
}
