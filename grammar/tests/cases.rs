//! Mistakes and what the user is told: every `.nt` file under `tests/cases`.
//!
//! A case is a script, and behind a line `---- STAGE` the expected text of that stage: `diagnostics`, `tokens`, `ast`, or
//! `print`. `//~` in a script marks the line that an error must point at, `//~^` the line above; every error needs a
//! mark. `BLESS=1 cargo test -p nettrace-grammar --test cases` writes the stages anew; read the difference before you commit it.

#![allow(clippy::disallowed_methods, reason = "the cases are files")]

use nettrace_grammar::{Parsed, SourceMap, dump, parse, print, render};
use std::collections::BTreeSet;
use std::path::Path;

/// Script and the names of its stages, in order, with their expected text.
fn split(case: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = case.split("\n---- ");
    let script = parts.next().unwrap_or("");
    let stages = parts.filter_map(|part| part.split_once('\n')).collect();
    (script, stages)
}

/// Lines, counted from 1, that the marks point at.
fn marked(script: &str) -> BTreeSet<u32> {
    let lines = script.lines().zip(1..);
    lines
        .filter_map(|(line, number)| {
            let mark = line.rsplit_once("//~")?.1;
            Some(if mark.starts_with('^') {
                number - 1
            } else {
                number
            })
        })
        .collect()
}

fn reported(map: &SourceMap, parsed: &Parsed) -> BTreeSet<u32> {
    let spans = parsed.diags.iter().filter_map(|diag| diag.primary_span());
    spans
        .filter_map(|span| Some(map.position(span.lo)?.1.line))
        .collect()
}

fn run(path: &Path) -> Result<(), String> {
    let case = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (script, stages) = split(&case);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("case.nt");
    let mut map = SourceMap::new();
    let file = map.add(name, script);
    let parsed = parse(&map, file);
    let (marks, lines) = (marked(script), reported(&map, &parsed));
    let mut actual = script.trim_end().to_string();
    for (stage, _) in &stages {
        let text = match *stage {
            "diagnostics" => render::render(&map, &parsed.diags, false),
            "tokens" => dump::tokens(&map, file),
            "ast" => dump::ast(&parsed.script),
            "print" => print::script(&parsed.script, &map),
            other => return Err(format!("unknown stage `{other}`")),
        };
        actual.push_str(&format!("\n\n---- {stage}\n{}", text.trim_end()));
    }
    actual.push('\n');
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &actual).map_err(|error| error.to_string())?;
    } else if actual != case {
        return Err(format!("expected:\n{case}\nfound:\n{actual}"));
    }
    if marks != lines {
        return Err(format!(
            "marked lines {marks:?}, errors on {lines:?}\n{actual}"
        ));
    }
    Ok(())
}

#[test]
fn every_case_says_what_it_said() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .expect("tests/cases exists")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "nt"))
        .collect();
    paths.sort();
    assert!(paths.len() > 20, "only {} cases found", paths.len());
    let failed: Vec<String> = paths
        .iter()
        .filter_map(|path| Some(format!("{}: {}", path.display(), run(path).err()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
