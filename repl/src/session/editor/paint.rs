//! Colours of the line that is typed.
//!
//! In: a text and where the cursor is. Out: the same text with colours; the bracket at the cursor and the one that belongs to it stand
//! out.

use nettrace_grammar::words::{Class, Word, words};

const RESET: &str = "\x1b[0m";
const BRACKET: &str = "\x1b[1;7m";

fn colour(class: Class) -> &'static str {
    match class {
        Class::Keyword => "\x1b[1;34m",
        Class::Number => "\x1b[36m",
        Class::Text => "\x1b[32m",
        Class::Variable => "\x1b[33m",
        Class::Map => "\x1b[35m",
        Class::Comment => "\x1b[90m",
        Class::Bad => "\x1b[31m",
        Class::Name | Class::Open | Class::Close | Class::Operator => "",
    }
}

/// The text with colours.
pub(super) fn paint(text: &str, cursor: usize) -> String {
    let words = words(text);
    let pair = pair(text, &words, cursor);
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for word in &words {
        let marked = pair.is_some_and(|(a, b)| word.lo == a || word.lo == b);
        let colour = if marked { BRACKET } else { colour(word.class) };
        let inside = text.get(word.lo..word.hi).unwrap_or("");
        out.push_str(text.get(at..word.lo).unwrap_or(""));
        match colour {
            "" => out.push_str(inside),
            colour => {
                out.push_str(colour);
                out.push_str(inside);
                out.push_str(RESET);
            }
        }
        at = word.hi;
    }
    out.push_str(text.get(at..).unwrap_or(""));
    out
}

/// The bracket under the cursor, or else before it, and its partner.
fn pair(text: &str, words: &[Word], cursor: usize) -> Option<(usize, usize)> {
    let bracket = |at: usize| {
        let found = words.iter().position(|w| w.lo == at);
        found.filter(|&i| {
            matches!(
                words.get(i).map(|w| w.class),
                Some(Class::Open | Class::Close)
            )
        })
    };
    let index = bracket(cursor).or_else(|| bracket(cursor.checked_sub(1)?))?;
    let mut depth = 0i32;
    let step = |word: &Word, depth: &mut i32| match word.class {
        Class::Open => *depth += 1,
        Class::Close => *depth -= 1,
        _ => {}
    };
    let opens = words.get(index)?.class == Class::Open;
    let mut order: Box<dyn Iterator<Item = &Word>> = match opens {
        true => Box::new(words.iter().skip(index)),
        false => Box::new(words.iter().take(index + 1).rev()),
    };
    let partner = order.find(|word| {
        step(word, &mut depth);
        depth == 0 && matches!(word.class, Class::Open | Class::Close)
    })?;
    let first = words.get(index)?;
    let kinds = (
        text.get(first.lo..first.hi)?,
        text.get(partner.lo..partner.hi)?,
    );
    let kinds = if opens { kinds } else { (kinds.1, kinds.0) };
    matches!(kinds, ("(", ")") | ("[", "]") | ("{", "}")).then_some((first.lo, partner.lo))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(painted: &str) -> String {
        let mut out = String::new();
        let mut rest = painted;
        while let Some((before, behind)) = rest.split_once('\x1b') {
            out.push_str(before);
            rest = behind.split_once('m').map_or("", |(_, rest)| rest);
        }
        out + rest
    }

    #[test]
    fn colours_change_nothing_else() {
        for text in [
            "",
            "  ",
            "if ($x) { @m[1] = \"a\"; } // é",
            "\"open",
            "é } (",
            "/* open",
        ] {
            for cursor in 0..=text.len() {
                assert_eq!(plain(&paint(text, cursor)), text);
            }
        }
        assert_eq!(paint("@x = 5", 6), "\x1b[35m@x\x1b[0m = \x1b[36m5\x1b[0m");
    }

    #[test]
    fn brackets_find_their_partners() {
        let at = |text: &str, cursor| pair(text, &words(text), cursor);
        assert_eq!(at("f(a[1])", 7), Some((6, 1)));
        assert_eq!(at("f(a[1])", 1), Some((1, 6)));
        assert_eq!(at("f(a[1])", 3), Some((3, 5)));
        assert_eq!(at("f(a]", 4), None);
        assert_eq!(at("f(", 2), None);
        assert_eq!(at("", 0), None);
    }
}
