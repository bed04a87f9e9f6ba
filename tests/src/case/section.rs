//! Splitting a case file into its script and its sections.
//!
//! In: the file's text. Out: the script (everything before the first section) and the sections in order,
//! each with the line its body starts at, so that blessing can put another body in its place. What the
//! sections mean is decided elsewhere.

/// What begins a section's first line; the rest of the line is its name and arguments.
const MARK: &str = "---- ";

/// A case file in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// Everything before the first section.
    pub script: String,
    /// The sections, in order.
    pub sections: Vec<Section>,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name: the first word after the mark.
    pub name: String,
    /// The other words of its first line.
    pub args: Vec<String>,
    /// Its lines, joined; blank lines at the end belong to the file's layout and are left out.
    pub body: String,
    /// The number of its first line, the one with the mark; 1 is the file's first.
    pub line: usize,
    /// How many lines of the file its body takes, the blank ones at its end not counted.
    pub body_lines: usize,
}

/// Takes `text` to pieces. Every text has pieces: without a mark all of it is the script.
#[must_use]
pub fn split(text: &str) -> Pieces {
    let mut pieces = Pieces {
        script: String::new(),
        sections: Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        if let Some(head) = line.strip_prefix(MARK) {
            let mut words = head.split_whitespace().map(str::to_owned);
            pieces.sections.push(Section {
                name: words.next().unwrap_or_default(),
                args: words.collect(),
                body: String::new(),
                line: index + 1,
                body_lines: 0,
            });
            continue;
        }
        let body = pieces
            .sections
            .last_mut()
            .map_or(&mut pieces.script, |section| &mut section.body);
        body.push_str(line);
        body.push('\n');
    }
    for section in &mut pieces.sections {
        let kept = section.body.trim_end_matches('\n').len();
        section.body.truncate(kept);
        if kept > 0 {
            section.body.push('\n');
        }
        section.body_lines = section.body.lines().count();
    }
    pieces
}

/// `text` with the body of the section that starts at `line` replaced by `body`.
#[must_use]
pub fn replace_body(text: &str, section: &Section, body: &str) -> String {
    let mut out = String::new();
    let body_end = section.line + section.body_lines;
    for (index, line) in text.lines().enumerate() {
        if index < section.line || index >= body_end {
            out.push_str(line);
            out.push('\n');
        }
        if index + 1 == section.line {
            out.push_str(body);
            if !body.is_empty() && !body.ends_with('\n') {
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "begin { }\n\n---- run\nnettrace script.nt\n\n---- stdout exact\nold 1\nold 2\n\n---- exit 3\n";

    #[test]
    fn a_file_is_a_script_and_sections() {
        let pieces = split(FILE);
        assert_eq!(pieces.script, "begin { }\n\n");
        let seen: Vec<_> = pieces
            .sections
            .iter()
            .map(|s| {
                (
                    s.name.as_str(),
                    s.args.join(","),
                    s.body.as_str(),
                    s.line,
                    s.body_lines,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("run", String::new(), "nettrace script.nt\n", 3, 1),
                ("stdout", "exact".to_owned(), "old 1\nold 2\n", 6, 2),
                ("exit", "3".to_owned(), "", 10, 0),
            ]
        );
    }

    #[test]
    fn another_body_leaves_everything_else_alone() {
        let pieces = split(FILE);
        assert_eq!(
            replace_body(FILE, &pieces.sections[1], "new\n"),
            "begin { }\n\n---- run\nnettrace script.nt\n\n---- stdout exact\nnew\n\n---- exit 3\n"
        );
        assert_eq!(
            replace_body(FILE, &pieces.sections[2], "x"),
            "begin { }\n\n---- run\nnettrace script.nt\n\n---- stdout exact\nold 1\nold 2\n\n---- exit 3\nx\n"
        );
    }

    #[test]
    fn without_a_mark_all_is_script() {
        assert_eq!(split("a\n---b\n").script, "a\n---b\n");
    }
}
