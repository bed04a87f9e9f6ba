//! Names that resemble a misspelt one, for error messages.
//!
//! In: the wrong name and all right ones. Out: at most five, best first. Two things make names alike: few edits, and, as kernel
//! names are made of words (`ipv4_conntrack_defrag`, `nf_ct_ipv4_defrag`), sharing most of their words.

/// Most names that are suggested.
const LIMIT: usize = 5;
/// The least distance of names that only share words.
const BY_WORDS: u32 = 32;

/// The best candidates, best first; equals in alphabetical order. Nothing that only resembles remotely.
pub fn nearest<S: AsRef<str>>(wanted: &str, names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut best: Vec<(u32, String)> = Vec::new();
    for name in names {
        let name = name.as_ref();
        let Some(score) = distance(wanted, name) else {
            continue;
        };
        let worse = |(s, n): &(u32, String)| (*s, n.as_str()) > (score, name);
        if best.len() < LIMIT || best.last().is_some_and(worse) {
            if best.iter().any(|(_, n)| n == name) {
                continue;
            }
            let at = best.iter().position(worse).unwrap_or(best.len());
            best.insert(at, (score, name.to_string()));
            best.truncate(LIMIT);
        }
    }
    // A slip of the finger explains the name; then what merely shares words would distract.
    if best.first().is_some_and(|(score, _)| *score < BY_WORDS) {
        best.retain(|(score, _)| *score < BY_WORDS);
    }
    best.into_iter().map(|(_, name)| name).collect()
}

/// How far apart two names are; `None` when they do not resemble each other. Units: eighths of an edit.
fn distance(wanted: &str, name: &str) -> Option<u32> {
    let allowed = (wanted.len() / 4).clamp(1, 3) as u32;
    let by_edits = edits(wanted.as_bytes(), name.as_bytes(), allowed).map(|n| 8 * n);
    by_edits.or_else(|| by_words(wanted, name))
}

/// Names that contain one another as words, or share at least two thirds of their words. Always farther than by edits.
fn by_words(wanted: &str, name: &str) -> Option<u32> {
    if wanted.len() < 4 || name.len() > 4 * wanted.len() {
        return None;
    }
    let words = |text: &'_ str| text.split('_').filter(|w| w.len() > 1).count() as u32;
    let shared = wanted
        .split('_')
        .filter(|w| w.len() > 1 && name.split('_').any(|other| other == *w))
        .count() as u32;
    let (total, others) = (words(wanted), words(name));
    let prefix = name.len() > wanted.len() && name.starts_with(wanted);
    if prefix || (shared >= 2 && 3 * shared >= 2 * total.max(2)) {
        let missing = total.saturating_sub(shared);
        let extra = others.saturating_sub(shared);
        return Some(
            BY_WORDS + 4 * missing + 2 * extra + name.len().abs_diff(wanted.len()) as u32 / 4,
        );
    }
    None
}

/// Insertions, deletions, replacements and swaps of neighbours between two texts, if at most `limit`.
fn edits(a: &[u8], b: &[u8], limit: u32) -> Option<u32> {
    if a.len().abs_diff(b.len()) as u32 > limit || a.len() > 256 {
        return None;
    }
    let width = b.len() + 1;
    let mut before: Vec<u32> = vec![0; width];
    let mut last: Vec<u32> = (0..width as u32).collect();
    let mut row: Vec<u32> = vec![0; width];
    for (i, &x) in a.iter().enumerate() {
        row[0] = i as u32 + 1;
        for (j, &y) in b.iter().enumerate() {
            let mut best = (last[j] + u32::from(!x.eq_ignore_ascii_case(&y)))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            let swapped = i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y;
            if swapped {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        if row.iter().min().is_some_and(|&m| m > limit) {
            return None;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last.last().copied().filter(|&n| n <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "nf_ct_delete",
        "nf_ct_destroy",
        "nf_ct_kill_acct",
        "ipv4_conntrack_in",
        "ipv4_conntrack_local",
        "tcp_sendmsg",
        "tcp_sendmsg_locked",
        "vfs_read",
    ];

    #[test]
    fn a_slip_of_the_finger() {
        assert_eq!(nearest("nf_ct_delet", NAMES), ["nf_ct_delete"]);
        assert_eq!(nearest("tcp_sendmgs", NAMES), ["tcp_sendmsg"]);
    }

    #[test]
    fn a_name_of_another_kernel() {
        assert_eq!(
            nearest("ipv4_conntrack_defrag", NAMES),
            ["ipv4_conntrack_local", "ipv4_conntrack_in"]
        );
    }

    #[test]
    fn the_beginning_of_a_name() {
        assert_eq!(
            nearest("tcp_send", NAMES),
            ["tcp_sendmsg", "tcp_sendmsg_locked"]
        );
    }

    #[test]
    fn nothing_alike() {
        assert!(nearest("zzzzzz", NAMES).is_empty());
        assert!(nearest("", NAMES).is_empty());
    }
}
