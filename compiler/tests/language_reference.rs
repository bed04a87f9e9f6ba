//! The tables of docs/language.md are the compiler's own tables. `BLESS=1` writes them.
#![allow(clippy::disallowed_methods)] // Reads and writes the document.

use std::fmt::Write as _;
use std::path::Path;

use nettrace_compiler::{builtins, probes};

fn probe_table() -> String {
    let mut text = String::from("| probe | short | |\n|---|---|---|\n");
    for kind in probes::KINDS {
        let aliases: Vec<String> = kind.aliases.iter().map(|a| format!("`{a}`")).collect();
        writeln!(
            text,
            "| `{}` | {} | {} |",
            kind.usage,
            aliases.join(", "),
            kind.doc
        )
        .expect("string");
    }
    text
}

fn builtin_table() -> String {
    let mut text = String::new();
    for (family, rows) in builtins::FAMILIES {
        writeln!(text, "**{family}**\n\n| | |\n|---|---|").expect("string");
        for row in *rows {
            let signature = row.signature.replace('|', "\\|");
            writeln!(text, "| `{signature}` | {} |", row.doc.replace('|', "\\|")).expect("string");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

/// Puts a table between its marks.
fn with_table(document: &str, name: &str, table: &str) -> String {
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = document.split_once(&begin).expect("the mark is there");
    let (_, after) = rest
        .split_once("<!-- end -->")
        .expect("the end mark is there");
    format!("{before}{begin}\n{table}\n<!-- end -->{after}")
}

#[test]
fn the_reference_shows_every_probe_and_builtin() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let document = std::fs::read_to_string(&path).expect("docs/language.md");
    let wanted = with_table(&document, "probes", &probe_table());
    let wanted = with_table(&wanted, "builtins", &builtin_table());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, wanted).expect("docs/language.md");
    } else {
        assert!(
            document == wanted,
            "docs/language.md is behind the compiler's tables; BLESS=1 writes it"
        );
    }
}
