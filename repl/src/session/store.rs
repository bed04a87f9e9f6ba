//! What stays of a session: scripts written by `:save`, and maps until `:clear`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nettrace_grammar::{Diagnostic, SourceMap, ast, codes, parse_body, visit};

use super::Session;
use crate::options::Words;
use crate::script::Script;
use crate::trace::unwritable;

/// Something that was carried out once, and that a script which does the same as the session has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Statements of an entry.
    Statements(String),
    /// A `begin` probe.
    Begin(String),
    /// An option of a script's config block.
    Option(String, String),
    /// A line of the preprocessor.
    Define(String),
    /// A script was run with words.
    Words(String, Vec<String>),
}

impl Past {
    /// What a script leaves that has been added. `origin` is its name if it was not typed.
    pub(super) fn of(script: &Script, origin: Option<&str>, words: &Words) -> Vec<Past> {
        let ast = &script.unit.script;
        let text = |span| script.sources.text(span).to_string();
        let is_begin = |probe: &&ast::Probe| {
            let mut points = probe.attach_points.iter().map(|point| point.text.as_str());
            points.all(|point| matches!(point, "begin" | "BEGIN"))
        };
        let begins: Vec<&ast::Probe> = ast.probes.iter().filter(is_begin).collect();
        // What only prints belongs to a script, but is not worth doing again when it was typed.
        let matters = origin.is_some() || begins.len() < ast.probes.len() || stores_in(ast);
        let mut past = Vec::new();
        for entry in ast.config.iter().flat_map(|config| &config.entries) {
            past.push(Past::Option(
                entry.key.name.clone(),
                entry.value.name.clone(),
            ));
        }
        let own = &script.sources.file(script.file).text;
        let defines = own.lines().filter(|line| line.starts_with("#define"));
        past.extend(defines.map(|line| Past::Define(line.to_string())));
        if matters {
            past.extend(begins.iter().map(|probe| Past::Begin(text(probe.span))));
        }
        if let (Some(origin), false) = (origin, words.written.is_empty()) {
            past.push(Past::Words(origin.to_string(), words.written.clone()));
        }
        past
    }
}

/// Whether statements store something.
pub(super) fn stores(text: &str) -> bool {
    let mut sources = SourceMap::new();
    let file = sources.add("", text);
    stores_in(&parse_body(&sources, file).script)
}

fn stores_in(script: &ast::Script) -> bool {
    let assigns = |stmt: &ast::Stmt| matches!(&stmt.kind, ast::StmtKind::Assign { target, .. } if matches!(target.kind, ast::ExprKind::Map { .. }));
    let mut counts = false;
    visit::script(script, &mut |e| {
        counts |= matches!(&e.kind, ast::ExprKind::IncDec { target, .. } if matches!(target.kind, ast::ExprKind::Map { .. }));
    });
    let bodies = script.probes.iter().map(|probe| &probe.body);
    counts || bodies.flat_map(|body| &body.stmts).any(assigns)
}

/// `:save FILE`
pub(super) fn save(session: &mut Session<'_>, rest: &str) {
    if rest.is_empty() {
        let diag = Diagnostic::host(codes::BAD_ARGUMENT, "into which file?");
        session.wrong(diag.help("`:save FILE`"));
        return;
    }
    let (text, words) = as_script(session);
    if let Err(error) = fs::write(Path::new(rest), text) {
        session.wrong(unwritable(Path::new(rest), &error));
        return;
    }
    match words.as_slice() {
        [] => session.say(&format!("saved to {rest}; `nettrace {rest}` runs it")),
        [(_, words)] => session.say(&format!(
            "saved to {rest}; `nettrace {rest} {words}` runs it"
        )),
        several => {
            let runs: Vec<String> = several
                .iter()
                .map(|(origin, words)| format!("{origin} {words}"))
                .collect();
            session.say(&format!(
                "saved to {rest}; it takes one set of words, and the session has several: {}",
                runs.join("; ")
            ));
        }
    }
}

/// A script that does what the session does: its settings, macros, what stored something, and probes; those that are stopped
/// as comments. Also the words that it has to be run with, by the script that took them.
fn as_script(session: &Session<'_>) -> (String, Vec<(String, String)>) {
    let stats = session.stats();
    let bench = session.bench.borrow();
    let mut text = String::from("// saved from a session of nettrace\n");
    let mut words: Vec<(String, String)> = Vec::new();
    for past in &session.past {
        if let Past::Words(origin, own) = past
            && session
                .board
                .iter()
                .any(|(_, p)| p.origin.as_ref() == Some(origin))
        {
            let own: Vec<String> = own.iter().map(|word| as_word(word)).collect();
            words.retain(|(known, _)| known != origin);
            words.push((origin.clone(), own.join(" ")));
        }
    }
    for (origin, words) in &words {
        text.push_str(&format!("// {origin} was run with: {words}\n"));
    }
    let mut defines: Vec<&str> = Vec::new();
    let mut options: BTreeMap<&str, &str> = BTreeMap::new();
    for past in &session.past {
        match past {
            Past::Option(name, value) => {
                options.insert(name, value);
            }
            Past::Define(line) if !defines.contains(&line.as_str()) => defines.push(line),
            _ => {}
        }
    }
    for (name, value) in &bench.config {
        options.insert(name, value);
    }
    for line in defines {
        text.push_str(&format!("\n{line}\n"));
    }
    if !options.is_empty() {
        text.push_str("\nconfig = {\n");
        for (name, value) in options {
            text.push_str(&format!("    {name} = {};\n", quoted(value)));
        }
        text.push_str("}\n");
    }
    for kept in bench.kept() {
        text.push_str(&format!("\n{kept}\n"));
    }
    put_past(&session.past, &mut text);
    for (number, placed) in session.board.iter() {
        let own = || stats.iter().filter(|s| placed.programs.has(s));
        text.push('\n');
        if own().any(|s| s.muted) {
            text.push_str("// was muted:\n");
        }
        let head = match own().any(|s| s.running) {
            true => String::new(),
            false => format!("// stopped {number}: "),
        };
        for line in placed.text.lines() {
            text.push_str(&format!("{head}{line}\n"));
        }
    }
    (text, words)
}

/// Statements in `begin` probes, and `begin` probes as they were, in their order.
fn put_past(past: &[Past], text: &mut String) {
    let mut open = false;
    for past in past {
        match past {
            Past::Statements(statement) => {
                if !open {
                    text.push_str("\nbegin {\n");
                    open = true;
                }
                let end = if statement.ends_with([';', '}']) {
                    ""
                } else {
                    ";"
                };
                text.push_str(&format!("    {statement}{end}\n"));
            }
            Past::Begin(probe) => {
                if std::mem::take(&mut open) {
                    text.push_str("}\n");
                }
                text.push_str(&format!("\n{probe}\n"));
            }
            _ => {}
        }
    }
    if open {
        text.push_str("}\n");
    }
}

/// A word as a shell reads it.
fn as_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn quoted(value: &str) -> String {
    match value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => value.to_string(),
        false => format!("{value:?}"),
    }
}

/// `:clear`, `:clear @a @b`
pub(super) fn clear(session: &mut Session<'_>, rest: &str) {
    if !rest.is_empty() {
        for name in rest.split([' ', ',']).filter(|name| !name.is_empty()) {
            clear_map(session, name.trim_start_matches('@'));
        }
        return;
    }
    let stats = session.stats();
    let stopped: Vec<u32> = session
        .board
        .iter()
        .filter(|(_, p)| !stats.iter().any(|s| p.programs.has(s) && s.running))
        .map(|(number, _)| number)
        .collect();
    for number in stopped {
        if let Some(placed) = session.board.get(number).cloned() {
            session.board.remove(number);
            session.clean_up(&placed.programs);
        }
    }
    let names: Vec<String> = session
        .bench
        .borrow()
        .session
        .maps()
        .iter()
        .map(|m| m.name.clone())
        .collect();
    for name in names {
        if users(session, &name).is_empty() {
            forget(session, &name);
        }
    }
}

fn clear_map(session: &mut Session<'_>, name: &str) {
    if session.bench.borrow_mut().session.find(name).is_none() {
        let message = format!("there is no map `@{name}`");
        session.wrong(Diagnostic::host(codes::UNKNOWN_VARIABLE, message));
        return;
    }
    let users = users(session, name);
    if users.is_empty() {
        forget(session, name);
        session.say(&format!("@{name} is forgotten"));
        return;
    }
    let map = format!("@{name}");
    if let Some(Err(diag)) = session.ask(move |units| units.clear_map(&map)) {
        session.wrong(diag);
        return;
    }
    let users: Vec<String> = users.iter().map(u32::to_string).collect();
    session.say(&format!(
        "@{name} is empty; it is used by {}",
        users.join(", ")
    ));
}

/// Numbers of the probes that use a map.
fn users(session: &Session<'_>, name: &str) -> Vec<u32> {
    let map = format!("@{name}");
    let entries = session
        .ask(move |units| units.users_of(&map))
        .unwrap_or_default();
    entries
        .iter()
        .flat_map(|entry| session.board.of_entry(*entry))
        .collect()
}

fn forget(session: &mut Session<'_>, name: &str) {
    session.bench.borrow_mut().session.forget(name);
    let map = format!("@{name}");
    session.ask(move |units| units.forget_map(&map));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_done_again_in_its_order() {
        let past = [
            Past::Statements("@a = 1".to_string()),
            Past::Statements("if (1) { @b = 2 }".to_string()),
            Past::Begin("begin { @c = @a; }".to_string()),
            Past::Statements("@a++;".to_string()),
        ];
        let mut text = String::new();
        put_past(&past, &mut text);
        assert_eq!(
            text,
            "\nbegin {\n    @a = 1;\n    if (1) { @b = 2 }\n}\n\nbegin { @c = @a; }\n\nbegin {\n    @a++;\n}\n"
        );
    }

    #[test]
    fn words_are_written_for_a_shell() {
        assert_eq!(as_word("10.0.0.1"), "10.0.0.1");
        assert_eq!(as_word("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(as_word(""), "''");
    }

    #[test]
    fn what_stores_is_told_from_what_only_prints() {
        assert!(stores("@x = 5") && stores("@x++") && stores("@x[1] = count()"));
        assert!(!stores("print(@x)") && !stores("1 + 2"));
    }
}
