//! Patterns of names: `*` stands for any text, `?` for one character.
//!
//! In: a pattern and a name. Out: whether they match. No allocation, no backtracking beyond the last `*`.

/// Whether a text contains `*` or `?`.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether a name matches a pattern; upper and lower case differ.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on when the text after the last `*` does not fit: one character later.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(&c) if c == b'?' || Some(&c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or(&[]).iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("nf_ct_*", "nf_ct_delete", true),
            ("nf_ct_*", "nf_conntrack_in", false),
            ("*", "", true),
            ("*_delete", "nf_ct_delete_delete", true),
            ("nf_?t_delete", "nf_ct_delete", true),
            ("nf_?t_delete", "nf_t_delete", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "x", false),
            ("tcp_sendmsg", "tcp_sendmsg", true),
            ("tcp_sendmsg", "tcp_sendmsg_locked", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_stay_quick() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&pattern, &"b".repeat(10_000)));
    }
}
