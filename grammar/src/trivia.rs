//! What stands between tokens: blanks and comments.
//!
//! In: a text and an offset. Out: the offset of the next token. Comments do not nest. Preprocessor lines are not trivia
//! ([`crate::directive`]).

/// Where trivia ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trivia {
    /// Offset of the first byte that is not trivia.
    pub(crate) end: usize,
    /// Offset of a `/*` that nothing closes; `end` is then the text's end.
    pub(crate) open_comment: Option<usize>,
}

/// Skips blanks and comments from `at` on.
pub(crate) fn skip(text: &str, at: usize) -> Trivia {
    let bytes = text.as_bytes();
    let mut end = at;
    loop {
        let rest = bytes.get(end..).unwrap_or(&[]);
        match rest {
            [b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c, ..] => end += 1,
            // A byte order mark, which editors on other systems put at the start of a file.
            [0xef, 0xbb, 0xbf, ..] if end == 0 => end += 3,
            [b'/', b'/', ..] => end += length_to(rest, b"\n").unwrap_or(rest.len()),
            [b'/', b'*', inside @ ..] => match length_to(inside, b"*/") {
                Some(len) => end += 2 + len + 2,
                None => {
                    return Trivia {
                        end: bytes.len(),
                        open_comment: Some(end),
                    };
                }
            },
            _ => {
                return Trivia {
                    end,
                    open_comment: None,
                };
            }
        }
    }
}

/// Bytes before the first occurrence of `what`.
fn length_to(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Whether only blanks stand between the start of the line and `at`.
pub(crate) fn starts_line(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or("");
    let line = before.rsplit('\n').next().unwrap_or("");
    // A line can be megabytes long and this is asked at every token of some kinds: look at its end first.
    line.bytes()
        .next_back()
        .is_none_or(|b| b.is_ascii_whitespace())
        && line.trim_start_matches('\u{feff}').trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blanks_are_passed_over() {
        let text = " \t// one\n/* two * / */\r\n x";
        assert_eq!(text.get(skip(text, 0).end..), Some("x"));
        assert_eq!(skip("/**/", 0).end, 4);
        assert_eq!(skip("/ 2", 0).end, 0);
    }

    #[test]
    fn an_open_comment_is_told() {
        assert_eq!(skip(" /* x", 0).open_comment, Some(1));
        assert_eq!(skip(" /*/", 0).open_comment, Some(1));
    }
}
