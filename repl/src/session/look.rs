//! Looking around: types, probes, help.
//!
//! In: what was asked for. Out: text. Everything is asked of the kernel's description and the tables of the compiler; nothing runs.

use nettrace_compiler::builtins;
use nettrace_compiler::kernel::{Kernel, KernelType, KernelTypeId, Similar, TypeKind, similar};
use nettrace_compiler::probes;
use nettrace_compiler::types::{members, print};
use nettrace_grammar::{Diagnostic, codes};
use nettrace_runtime::list;

use super::Session;
use super::commands::{self, COMMANDS};
use super::output;

/// More probes than this are listed without their arguments.
const FEW: usize = 40;
/// More lines than this are not shown.
const MANY: usize = 400;

/// `:type struct nf_conn.tuplehash`
pub(super) fn show_type(session: &mut Session<'_>, rest: &str) {
    let kernel = session.kernel();
    match described(&*kernel, rest) {
        Ok(text) => session.show(&text),
        Err(diag) => session.wrong(*diag),
    }
}

/// What `struct nf_conn.tuplehash` leads to.
pub(super) fn resolve_path(
    kernel: &dyn Kernel,
    text: &str,
) -> Result<KernelTypeId, Box<Diagnostic>> {
    let mut parts = text.split('.');
    let mut id = find(kernel, parts.next().unwrap_or("").trim())?;
    for member in parts.map(str::trim) {
        let found = members::find(kernel, id, member);
        let found = found.ok_or_else(|| no_member(kernel, id, member))?;
        id = behind(kernel, found.ty);
    }
    Ok(id)
}

fn described(kernel: &dyn Kernel, text: &str) -> Result<String, Box<Diagnostic>> {
    let mut parts = text.split('.');
    let name = parts.next().unwrap_or("").trim();
    let mut id = find(kernel, name)?;
    let mut path = String::new();
    for member in parts.map(|member| member.trim_matches([' ', '*'])) {
        let Some(found) = members::find(kernel, id, member) else {
            return Err(Box::new(no_member(kernel, id, member)));
        };
        let ty = behind(kernel, found.ty);
        path.push_str(&format!(
            "{} at {}\n",
            print::declaration(kernel, found.ty, member),
            found.offset
        ));
        id = ty;
    }
    let module = kernel.module_name(id.module);
    let module = module.as_deref().unwrap_or("vmlinux");
    Ok(match &*kernel.ty(id) {
        // What an integer is called says the line of the member already.
        KernelType::Typedef { .. } if !path.is_empty() => path,
        KernelType::Record(_) | KernelType::Enum(_) | KernelType::Typedef { .. } => {
            format!("{path}{module}: {}", print::definition(kernel, id))
        }
        _ if path.is_empty() => format!("{module}: {}\n", print::kernel_type(kernel, id)),
        _ => path,
    })
}

/// The type of this name; the keyword may be left out.
fn find(kernel: &dyn Kernel, name: &str) -> Result<KernelTypeId, Box<Diagnostic>> {
    let kinds = [
        ("struct ", TypeKind::Struct),
        ("union ", TypeKind::Union),
        ("enum ", TypeKind::Enum),
        ("", TypeKind::Struct),
        ("", TypeKind::Typedef),
        ("", TypeKind::Union),
        ("", TypeKind::Enum),
        ("", TypeKind::Int),
    ];
    // What it points to is what is asked for.
    let name = name.trim_end_matches([' ', '*']);
    for (keyword, kind) in kinds {
        if let Some(bare) = name.strip_prefix(keyword)
            && let Some(id) = kernel.find_type(kind, bare.trim())
        {
            return Ok(id);
        }
    }
    let (keyword, bare) = name.split_once(' ').unwrap_or(("struct", name));
    let kind = match keyword {
        "union" => TypeKind::Union,
        "enum" => TypeKind::Enum,
        _ => TypeKind::Struct,
    };
    let diag = match name.is_empty() {
        true => Diagnostic::host(codes::UNKNOWN_TYPE, "which type?")
            .help("`:type struct nf_conn`; `:type struct nf_conn.tuplehash` goes deeper"),
        false => Diagnostic::host(
            codes::UNKNOWN_TYPE,
            format!("the kernel has no type `{name}`"),
        ),
    };
    let near = kernel.similar(Similar::Type(kind), bare);
    Err(Box::new(match near.first() {
        Some(near) if !name.is_empty() => diag.help(format!("did you mean `{keyword} {near}`?")),
        _ => diag,
    }))
}

/// What a member leads to: through arrays and pointers.
fn behind(kernel: &dyn Kernel, mut id: KernelTypeId) -> KernelTypeId {
    for _ in 0..16 {
        id = match &*kernel.ty(id) {
            KernelType::Pointer { to, .. } => *to,
            KernelType::Array { elem, .. } => *elem,
            KernelType::Typedef { to, .. } => match &*kernel.ty(*to) {
                KernelType::Int { .. } => return id,
                _ => *to,
            },
            _ => return id,
        };
    }
    id
}

fn no_member(kernel: &dyn Kernel, id: KernelTypeId, member: &str) -> Diagnostic {
    let ty = print::kernel_type(kernel, id);
    let message = format!("`{ty}` has no member `{member}`");
    let diag = Diagnostic::host(codes::UNKNOWN_FIELD, message);
    let names = members::names(kernel, id);
    match similar::nearest(member, &names).first() {
        Some(near) => diag.help(format!("did you mean `{near}`?")),
        None => diag,
    }
}

/// `:list kprobe:nf_ct_*`
pub(super) fn list(session: &mut Session<'_>, rest: &str) {
    if rest.is_empty() {
        let diag = Diagnostic::host(codes::BAD_ARGUMENT, "which probes?");
        session.wrong(
            diag.help("`:list kprobe:nf_ct_*`, `:list tracepoint:net:*`, `:list struct nf_*`"),
        );
        return;
    }
    let kernel = session.kernel();
    let listed = |verbose| {
        let mut text = Vec::new();
        let listed = list::list(&*kernel, rest, verbose, &mut text);
        // Writing to memory cannot fail.
        listed.map(|l| (l, text)).unwrap_or_default()
    };
    let (mut found, mut text) = listed(false);
    if found.found <= FEW {
        (found, text) = listed(true);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let shown: String = text.split_inclusive('\n').take(MANY).collect();
    session.show(&shown);
    if shown.len() < text.len() {
        let left = text.lines().count() - MANY;
        session.say(&format!("… and {left} more; a narrower pattern shows them"));
    }
    for problem in found.problems {
        session.wrong(problem);
    }
}

/// `:help NAME`
pub(super) fn help(session: &mut Session<'_>, rest: &str) {
    let text = match rest.trim_start_matches(':') {
        "" => overview(),
        name => match explained(name) {
            Some(text) => text,
            None => {
                let message = format!("there is no help for `{name}`");
                let diag = Diagnostic::host(codes::UNKNOWN_NAME, message);
                let near = similar::nearest(name, words());
                session.wrong(match near.first() {
                    Some(near) => diag.help(format!("did you mean `:help {near}`?")),
                    None => diag.help("`:help` lists the commands; `:type NAME` shows a type"),
                });
                return;
            }
        },
    };
    session.show(&text);
}

/// Everything that help knows by name.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let rows = builtins::all().map(|row| row.name);
    let kinds = probes::KINDS.iter().map(|kind| kind.name);
    rows.chain(kinds).chain(COMMANDS.iter().map(|c| c.name))
}

fn explained(name: &str) -> Option<String> {
    if let Some(row) = builtins::find(name) {
        return Some(format!("{}\n    {}\n", row.signature, row.doc));
    }
    if let Some(kind) = probes::find(name) {
        return Some(format!("{}\n    {}\n", kind.usage, kind.doc));
    }
    if let Ok(command) = commands::find(name) {
        let usage = format!(":{} {}", command.name, command.args);
        return Some(format!("{}\n    {}\n", usage.trim_end(), command.doc));
    }
    let file = nettrace_stdlib::prelude(name)?;
    Some(format!(
        "{}\n    {}\n",
        heading(file.text, name)?,
        file.purpose()
    ))
}

/// `macro flow(x)`: how a macro of a text is used.
pub(super) fn heading<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let is_own = |line: &&str| {
        let rest = line
            .strip_prefix("macro ")
            .and_then(|l| l.strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    let line = text.lines().find(is_own)?;
    let end = line.find(')').map_or(line.len(), |at| at + 1);
    line.get(..end)
}

fn overview() -> String {
    let mut rows: Vec<[String; 2]> = COMMANDS
        .iter()
        .map(|c| {
            let usage = format!(":{} {}", c.name, c.args);
            [usage.trim_end().to_string(), c.doc.to_string()]
        })
        .collect();
    rows.insert(
        0,
        [
            "PROBE { … }".to_string(),
            "Attaches a probe, which gets a number and runs while you go on.".to_string(),
        ],
    );
    rows.insert(
        1,
        [
            "expression".to_string(),
            "Prints its value now. `@` prints a map; maps live on from entry to entry.".to_string(),
        ],
    );
    table(&rows, &[])
}

/// Narrower than this no column is made.
const NARROW: usize = 30;

/// Rows in columns; those of the numbers in `right` are aligned on the right. Where the last one does not fit into the line, it goes on
/// below itself.
pub(super) fn table<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let columns = output::columns();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let fill = " ".repeat(width.saturating_sub(cell.chars().count()));
            match right.contains(&column) {
                true => line.push_str(&format!("{fill}{cell}")),
                false => line.push_str(&format!("{cell}{fill}")),
            }
        }
        let last = row.last().map_or(0, |cell| cell.chars().count());
        let indent = line.trim_end().chars().count().saturating_sub(last);
        let room = columns.saturating_sub(indent).max(NARROW);
        let broken = last > room && !right.contains(&(N - 1));
        match row.last() {
            Some(cell) if broken => {
                let head: String = line.chars().take(indent).collect();
                let lines = broken_into(cell, room);
                let between = format!("\n{}", " ".repeat(indent));
                text.push_str(&format!("{head}{}", lines.join(&between)));
            }
            _ => text.push_str(line.trim_end()),
        }
        text.push('\n');
    }
    text
}

/// A text in lines of at most `room` columns, between words.
fn broken_into(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}
