//! What stays of a session: scripts written by `:save`, and maps until `:clear`.

use std::fs;
use std::path::Path;

use nettrace_grammar::{Diagnostic, SourceMap, ast, codes, parse_body, visit};

use super::Session;
use crate::trace::unwritable;

/// Whether statements store something, so that a script that does the same has to have them.
pub(super) fn stores(text: &str) -> bool {
    let mut sources = SourceMap::new();
    let file = sources.add("", text);
    let parsed = parse_body(&sources, file);
    let assigns = |stmt: &ast::Stmt| matches!(&stmt.kind, ast::StmtKind::Assign { target, .. } if matches!(target.kind, ast::ExprKind::Map { .. }));
    let mut counts = false;
    visit::script(&parsed.script, &mut |e| {
        counts |= matches!(&e.kind, ast::ExprKind::IncDec { target, .. } if matches!(target.kind, ast::ExprKind::Map { .. }));
    });
    let bodies = parsed.script.probes.iter().map(|probe| &probe.body);
    counts || bodies.flat_map(|body| &body.stmts).any(assigns)
}

/// `:save FILE`
pub(super) fn save(session: &mut Session<'_>, rest: &str) {
    if rest.is_empty() {
        let diag = Diagnostic::host(codes::BAD_ARGUMENT, "into which file?");
        session.wrong(diag.help("`:save FILE`"));
        return;
    }
    let text = as_script(session);
    match fs::write(Path::new(rest), text) {
        Ok(()) => session.say(&format!("saved to {rest}; `nettrace {rest}` runs it")),
        Err(error) => session.wrong(unwritable(Path::new(rest), &error)),
    }
}

/// A script that does what the session does: its settings, macros, statements that stored something, and probes; those that are stopped
/// as comments.
fn as_script(session: &Session<'_>) -> String {
    let stats = session.stats();
    let mut text = String::from("// saved from a session of nettrace\n");
    if !session.bench.borrow_mut().config.is_empty() {
        text.push_str("\nconfig = {\n");
        for (name, value) in &session.bench.borrow_mut().config {
            text.push_str(&format!("    {name} = {};\n", quoted(value)));
        }
        text.push_str("}\n");
    }
    for kept in session.bench.borrow_mut().kept() {
        text.push_str(&format!("\n{kept}\n"));
    }
    if !session.statements.is_empty() {
        text.push_str("\nbegin {\n");
        for statement in &session.statements {
            let end = if statement.ends_with([';', '}']) {
                ""
            } else {
                ";"
            };
            text.push_str(&format!("    {statement}{end}\n"));
        }
        text.push_str("}\n");
    }
    for (number, placed) in session.board.iter() {
        let running = stats.iter().any(|s| placed.programs.has(s) && s.running);
        text.push('\n');
        for line in placed.text.lines() {
            match running {
                true => text.push_str(&format!("{line}\n")),
                false => text.push_str(&format!("// stopped {number}: {line}\n")),
            }
        }
    }
    text
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
