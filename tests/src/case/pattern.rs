//! Lines that may have holes: literal text with `{{regex}}` in it.
//!
//! In: patterns and a program's output. Out: whether the patterns occur in order, and if not, which one
//! is missing and where the search had got to. A pattern covers a whole line; white space at both ends
//! does not count, so that stacks can be written with or without their indent.

use regex::Regex;

/// One line that is looked for.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// The first pattern that was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The pattern as it is written.
    pub pattern: String,
    /// The last line that an earlier pattern matched.
    pub after: Option<String>,
}

impl Pattern {
    /// Reads one line of a section.
    ///
    /// # Errors
    /// A hole that is not closed or is no regular expression, told in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let text = line.trim();
        let mut regex = String::from("^");
        let mut rest = text;
        while let Some((literal, hole)) = rest.split_once("{{") {
            let Some(end) = closing(hole) else {
                return Err(format!("`{text}` has a {{{{ that no }}}} closes"));
            };
            let (hole, after) = hole.split_at(end);
            regex.push_str(&regex::escape(literal));
            regex.push_str(&format!("(?:{hole})"));
            rest = after.get(2..).unwrap_or_default();
        }
        regex.push_str(&regex::escape(rest));
        regex.push('$');
        let regex = Regex::new(&regex).map_err(|error| format!("`{text}`: {error}"))?;
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// Reads a section's body: one pattern per line, blank lines left out.
    ///
    /// # Errors
    /// Those of [`Pattern::parse`].
    pub fn parse_all(body: &str) -> Result<Vec<Self>, String> {
        body.lines()
            .filter(|line| !line.trim().is_empty())
            .map(Self::parse)
            .collect()
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it covers `line`.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        self.regex.is_match(line.trim())
    }
}

/// Where a hole ends: the first `}}` that is not the beginning of `}}}`, so that a hole may end in `{3}`.
fn closing(hole: &str) -> Option<usize> {
    let at = hole.find("}}")?;
    let run = hole
        .get(at..)?
        .bytes()
        .take_while(|byte| *byte == b'}')
        .count();
    Some(at + run - 2)
}

/// Looks for `patterns` in `output`, in order; other lines may stand between them.
///
/// # Errors
/// The first pattern that is not found after the ones before it.
pub fn in_order(patterns: &[Pattern], output: &str) -> Result<(), Missing> {
    let mut lines = output.lines();
    let mut after = None;
    for pattern in patterns {
        match lines.find(|line| pattern.matches(line)) {
            Some(line) => after = Some(line.to_owned()),
            None => {
                return Err(Missing {
                    pattern: pattern.text.clone(),
                    after,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(text: &str) -> Vec<Pattern> {
        Pattern::parse_all(text).unwrap()
    }

    #[test]
    fn literal_text_is_literal_and_holes_are_regular_expressions() {
        let line = Pattern::parse(r"  nf_ct_delete+{{\d+}} [nf_conntrack]").unwrap();
        assert!(line.matches("        nf_ct_delete+1 [nf_conntrack]"));
        assert!(!line.matches("nf_ct_delete+x [nf_conntrack]"));
        assert!(!line.matches("xnf_ct_delete+1 [nf_conntrack]"));
        assert!(Pattern::parse("a{{x{2}}}b").unwrap().matches("axxb"));
        assert!(Pattern::parse("@[1]: 2").unwrap().matches("@[1]: 2"));
    }

    #[test]
    fn an_open_hole_is_an_error() {
        assert!(Pattern::parse("a{{b").unwrap_err().contains("closes"));
        assert!(Pattern::parse("a{{(}}").is_err());
    }

    #[test]
    fn order_counts_and_other_lines_do_not() {
        let output = "one\nnoise\ntwo\nthree\n";
        assert_eq!(in_order(&patterns("one\nthree"), output), Ok(()));
        assert_eq!(
            in_order(&patterns("two\none"), output),
            Err(Missing {
                pattern: "one".to_owned(),
                after: Some("two".to_owned())
            })
        );
        assert_eq!(
            in_order(&patterns("one\none"), output),
            Err(Missing {
                pattern: "one".to_owned(),
                after: Some("one".to_owned())
            }),
            "each pattern takes a line of its own"
        );
    }
}
