//! What may stand at the cursor.
//!
//! In: the line, the cursor, the bench. Out: candidates for the word at the cursor. What a word can be follows from what stands before it:
//! fields behind `.` and `->` by the type of the expression before them (the checker is asked), probes in a header, types behind `struct`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use nettrace_compiler::builtins::{self, Form};
use nettrace_compiler::check::{Before, Question};
use nettrace_compiler::kernel::{Kernel, KernelTypeId, TypeKind};
use nettrace_compiler::pipeline::Stage;
use nettrace_compiler::probes::{ContextKind, KINDS, PACKET};
use nettrace_compiler::resolve;
use nettrace_compiler::types::{members, print};
use nettrace_grammar::words::{Class, Word, words};

use crate::session::bench::Bench;
use crate::session::commands::{self, COMMANDS, Takes};
use crate::session::entry;
use crate::session::look;

/// As many candidates are offered at most; more help nobody.
const MAX: usize = 2000;
/// Columns of a candidate's description.
const WIDTH: usize = 76;

/// Keywords of the language.
const KEYWORDS: [&str; 20] = [
    "break", "comptime", "continue", "else", "enum", "false", "for", "if", "let", "macro",
    "import", "offsetof", "return", "sizeof", "struct", "true", "typeof", "union", "unroll",
    "while",
];

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Where the word at the cursor starts.
    pub(super) start: usize,
    pub(super) candidates: Vec<Candidate>,
}

/// A candidate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// What is put in.
    pub(super) text: String,
    /// What is listed.
    pub(super) shown: String,
}

impl Candidate {
    fn plain(text: impl Into<String>) -> Candidate {
        let text = text.into();
        Candidate {
            shown: text.clone(),
            text,
        }
    }

    fn described(text: impl Into<String>, shown: &str) -> Candidate {
        let shown = match shown.chars().count() > WIDTH {
            true => shown.chars().take(WIDTH - 1).chain(['…']).collect(),
            false => shown.to_string(),
        };
        Candidate {
            text: text.into(),
            shown,
        }
    }
}

/// Looks for what may stand at `pos`.
pub(super) fn complete(bench: &mut Bench, numbers: &[u32], line: &str, pos: usize) -> Found {
    let text = line.get(..pos).unwrap_or(line);
    let mut found = match text.trim_start().strip_prefix(':') {
        Some(command) => behind_colon(bench, numbers, text, command),
        None => in_entry(bench, text),
    };
    found.candidates.sort();
    found.candidates.dedup();
    found.candidates.truncate(MAX);
    found
}

/// The same with offsets of a text that begins `base` bytes later.
fn shifted(found: Found, base: usize) -> Found {
    Found {
        start: found.start + base,
        ..found
    }
}

// ---- commands -------------------------------------------------------------------------------------------------------------

fn behind_colon(bench: &mut Bench, numbers: &[u32], text: &str, command: &str) -> Found {
    let Some((name, rest)) = command.split_once(char::is_whitespace) else {
        let start = text.len() - command.len();
        let named = COMMANDS.iter().filter(|c| c.name.starts_with(command));
        let candidates = named.map(|c| {
            let space = if c.args.is_empty() { "" } else { " " };
            let usage = format!(":{} {}", c.name, c.args);
            Candidate::described(format!("{}{space}", c.name), usage.trim_end())
        });
        return Found {
            start,
            candidates: candidates.collect(),
        };
    };
    let Ok(command) = commands::find(name) else {
        return Found::default();
    };
    let base = text.len() - rest.len();
    let word = rest.rsplit([' ', ',']).next().unwrap_or(rest);
    let first = rest.len() == word.len();
    let start = text.len() - word.len();
    let of = |names: Vec<String>| {
        let fitting = names.into_iter().filter(|name| name.starts_with(word));
        Found {
            start,
            candidates: fitting.map(Candidate::plain).collect(),
        }
    };
    match command.takes {
        Takes::Nothing => Found::default(),
        Takes::Numbers if command.name == "edit" && !first => {
            let typed = rest.split_once(' ').map_or("", |(_, typed)| typed);
            shifted(in_entry(bench, typed), text.len() - typed.len())
        }
        Takes::Numbers => {
            let numbers = numbers.iter().map(u32::to_string);
            of(numbers.chain(["all".to_string()]).collect())
        }
        Takes::Pattern => match rest.strip_prefix("struct ") {
            Some(_) => shifted(type_path(bench, rest), base),
            None => shifted(attach_point(bench, word), start),
        },
        Takes::Type => shifted(type_path(bench, rest), base),
        Takes::File => shifted(file(word), start),
        Takes::ReadyScript if first => of(nettrace_stdlib::SCRIPTS
            .iter()
            .map(|s| s.name.to_string())
            .collect()),
        Takes::ReadyScript => Found::default(),
        Takes::Word => of(look::words().map(str::to_string).collect()),
        Takes::Maps => of(maps(bench, "")),
        Takes::Setting if first => {
            let names = resolve::config_names().iter().map(|n| n.to_string());
            of(names.chain(["stats".to_string()]).collect())
        }
        Takes::Setting => Found::default(),
        Takes::Stage if first => of(Stage::ALL
            .iter()
            .map(|(name, _)| name.to_string())
            .collect()),
        Takes::Stage => {
            let typed = rest.split_once(' ').map_or("", |(_, typed)| typed);
            shifted(in_entry(bench, typed), text.len() - typed.len())
        }
    }
}

/// `struct nf_conn.tuplehash`
fn type_path(bench: &Bench, text: &str) -> Found {
    if let Some((path, last)) = text.rsplit_once('.') {
        let start = text.len() - last.len();
        let kernel = &*bench.kernel;
        let Ok(id) = look::resolve_path(kernel, path) else {
            return Found::default();
        };
        return Found {
            start,
            candidates: fields(kernel, id, last, ""),
        };
    }
    let (keyword, name) = text.rsplit_once(' ').unwrap_or(("struct", text));
    let start = text.len() - name.len();
    let mut found = Found {
        start,
        candidates: type_names(bench, keyword.trim(), name),
    };
    if !text.contains(' ') {
        let keywords = ["struct ", "union ", "enum "].iter();
        let keywords = keywords.filter(|k| k.starts_with(name));
        found
            .candidates
            .extend(keywords.map(|k| Candidate::plain(*k)));
    }
    found
}

fn type_names(bench: &Bench, keyword: &str, name: &str) -> Vec<Candidate> {
    let kind = match keyword {
        "struct" => TypeKind::Struct,
        "union" => TypeKind::Union,
        "enum" => TypeKind::Enum,
        _ => return Vec::new(),
    };
    let names = bench.kernel.types_matching(kind, &format!("{name}*"));
    names.into_iter().map(Candidate::plain).collect()
}

fn file(word: &str) -> Found {
    let (directory, name) = word.rsplit_once('/').map_or((".", word), |(d, n)| {
        (if d.is_empty() { "/" } else { d }, n)
    });
    let start = word.len() - name.len();
    let entries = fs::read_dir(Path::new(directory))
        .into_iter()
        .flatten()
        .flatten();
    let candidates = entries.filter_map(|entry| {
        let found = entry.file_name().into_string().ok()?;
        let hidden = found.starts_with('.') && !name.starts_with('.');
        let folder = entry.path().is_dir();
        (found.starts_with(name) && !hidden)
            .then(|| Candidate::plain(if folder { format!("{found}/") } else { found }))
    });
    Found {
        start,
        candidates: candidates.collect(),
    }
}

// ---- entries --------------------------------------------------------------------------------------------------------------

fn in_entry(bench: &mut Bench, text: &str) -> Found {
    let all = words(text);
    // Nothing is completed in strings and comments.
    let touches = all.last().filter(|word| word.hi == text.len());
    if touches.is_some_and(|w| matches!(w.class, Class::Text | Class::Comment)) {
        return Found {
            start: text.len(),
            ..Found::default()
        };
    }
    if let Some(start) = header_start(text, &all) {
        let point = text.get(start..).unwrap_or("");
        if point.contains(':') {
            return shifted(attach_point(bench, point), start);
        }
    }
    let is_word = |word: &&Word| {
        matches!(
            word.class,
            Class::Name | Class::Keyword | Class::Variable | Class::Map
        )
    };
    let typed = touches.filter(is_word);
    let start = typed.map_or(text.len(), |word| word.lo);
    let word = text.get(start..).unwrap_or("");
    let before: Vec<&Word> = all.iter().filter(|w| w.hi <= start).collect();
    let last = before.last().and_then(|w| text.get(w.lo..w.hi));
    let candidates = match last {
        Some(dot @ ("." | "->")) => {
            let dot = before.last().map_or(start, |w| w.lo) + dot.len();
            members_at(bench, text.get(..dot).unwrap_or(""), word)
        }
        Some(keyword @ ("struct" | "union" | "enum")) => type_names(bench, keyword, word),
        _ => named(bench, text, start, word),
    };
    Found { start, candidates }
}

/// Where the attach point at the end of a text starts; `None` inside of braces and predicates, and where none can stand.
fn header_start(text: &str, words: &[Word]) -> Option<usize> {
    let mut depth = 0i32;
    for word in words {
        match word.class {
            Class::Open => depth += 1,
            Class::Close => depth -= 1,
            _ => {}
        }
    }
    if depth != 0 {
        return None;
    }
    let header = text.rsplit('}').next().unwrap_or(text);
    let point = header
        .rsplit([',', ' ', '\n', '\t'])
        .next()
        .unwrap_or(header);
    let first = header.trim_start();
    let starts = point.len() == first.len() || entry::looks_like_script(first);
    let kind = point.split(':').next().unwrap_or("");
    let known = nettrace_compiler::probes::find(kind).is_some();
    (starts && !header.contains('/') && known).then(|| text.len() - point.len())
}

/// Names that can stand where an expression or statement can.
fn named(bench: &Bench, text: &str, start: usize, word: &str) -> Vec<Candidate> {
    if let Some(name) = word.strip_prefix('@') {
        let names = maps(bench, text.get(..start).unwrap_or(""));
        let fitting = names
            .into_iter()
            .filter(|n| n.get(1..).is_some_and(|n| n.starts_with(name)));
        return fitting.map(Candidate::plain).collect();
    }
    if word.starts_with('$') {
        let before = text.get(..start).unwrap_or("");
        return fitting(of_class(before, Class::Variable), word);
    }
    let mut found = Vec::new();
    for row in builtins::all().filter(|row| row.name.starts_with(word)) {
        let text = match row.form {
            Form::Function => format!("{}(", row.name),
            _ => row.name.to_string(),
        };
        found.push(Candidate::described(text, row.signature));
    }
    found.extend(
        KEYWORDS
            .iter()
            .filter(|k| k.starts_with(word))
            .map(|k| Candidate::plain(*k)),
    );
    let inside = words(text)
        .iter()
        .filter(|w| w.class == Class::Open)
        .count()
        > 0;
    if !inside {
        let kinds = KINDS.iter().filter(|kind| kind.name.starts_with(word));
        found.extend(kinds.map(|kind| {
            let colon = if kind.usage.contains(':') { ":" } else { " { " };
            Candidate::described(format!("{}{colon}", kind.name), kind.usage)
        }));
    }
    let own = bench.macros();
    let library = nettrace_stdlib::PRELUDE
        .iter()
        .flat_map(|file| file.macros().map(|name| (name, file.text)));
    let macros = own.chain(library);
    let macros = macros.filter(|(name, _)| !word.is_empty() && name.starts_with(word));
    found.extend(macros.map(|(name, text)| {
        let usage = look::heading(text, name).unwrap_or(name);
        Candidate::described(format!("{name}("), usage)
    }));
    found
}

fn fitting(names: BTreeSet<String>, word: &str) -> Vec<Candidate> {
    let names = names.into_iter().filter(|name| name.starts_with(word));
    names.map(Candidate::plain).collect()
}

/// Maps of the session and of the text, with `@`.
fn maps(bench: &Bench, text: &str) -> Vec<String> {
    let known = bench
        .session
        .maps()
        .iter()
        .map(|map| format!("@{}", map.name));
    let mut names = of_class(text, Class::Map);
    names.extend(known);
    names.into_iter().collect()
}

fn of_class(text: &str, class: Class) -> BTreeSet<String> {
    let all = words(text).into_iter().filter(|word| word.class == class);
    all.filter_map(|word| text.get(word.lo..word.hi).map(str::to_string))
        .collect()
}

// ---- members --------------------------------------------------------------------------------------------------------------

/// Members of what stands before the `.` or `->` at the end of `text`.
fn members_at(bench: &mut Bench, text: &str, word: &str) -> Vec<Candidate> {
    let question = Rc::new(Question::default());
    let whole = closed(text);
    bench.ask(&whole, Rc::clone(&question));
    match question.answer() {
        Some(Before::Record(id)) => fields(&*bench.kernel, id, word, ""),
        Some(Before::Arguments(names)) => {
            let names = names.iter().filter(|(name, _)| name.starts_with(word));
            names
                .map(|(name, ty)| Candidate::described(name, &format!("{name}  {ty}")))
                .collect()
        }
        None => Vec::new(),
    }
}

/// A text that ends before a member, made whole: the member, and all brackets closed.
fn closed(text: &str) -> String {
    let mut open: Vec<(&str, bool)> = Vec::new();
    let mut before = "";
    for word in words(text) {
        let token = text.get(word.lo..word.hi).unwrap_or("");
        match word.class {
            Class::Open => open.push((token, matches!(before, "if" | "while"))),
            Class::Close => {
                open.pop();
            }
            _ => {}
        }
        before = token;
    }
    let mut whole = format!("{text}{}", Question::MEMBER);
    if entry::looks_like_script(text.trim_start()) && !open.iter().any(|(o, _)| *o == "{") {
        // In a predicate.
        whole.push_str("/ { ");
        open.push(("{", false));
    }
    while let Some((bracket, has_body)) = open.pop() {
        whole.push_str(match (bracket, has_body) {
            ("(", true) => ") { }",
            ("(", false) => ")",
            ("[", _) => "]",
            _ => " }",
        });
    }
    whole
}

/// Members of a record whose names begin with `word`; those of unnamed members are its own.
fn fields(kernel: &dyn Kernel, id: KernelTypeId, word: &str, indent: &str) -> Vec<Candidate> {
    let names = members::names(kernel, id);
    let fitting = names.iter().filter(|name| name.starts_with(word));
    fitting
        .map(|name| {
            let ty = members::find(kernel, id, name)
                .map(|found| print::declaration(kernel, found.ty, name));
            let shown = ty.unwrap_or_else(|| name.clone());
            Candidate::described(name.clone(), &format!("{indent}{shown}"))
        })
        .collect()
}

// ---- probes ---------------------------------------------------------------------------------------------------------------

/// `kprobe:nf_ct_`
fn attach_point(bench: &Bench, point: &str) -> Found {
    let kernel = &*bench.kernel;
    let Some((kind, rest)) = point.split_once(':') else {
        let kinds = KINDS.iter().filter(|kind| kind.name.starts_with(point));
        return Found {
            start: 0,
            candidates: kinds
                .map(|kind| Candidate::described(format!("{}:", kind.name), kind.usage))
                .collect(),
        };
    };
    let Some(kind) = nettrace_compiler::probes::find(kind) else {
        return Found::default();
    };
    let (group, name) = match rest.rsplit_once(':') {
        Some((group, name)) => (Some(group), name),
        None => (None, rest),
    };
    let start = point.len() - name.len();
    let pattern = format!("{name}*");
    let candidates: Vec<Candidate> = match kind.context {
        ContextKind::None => ["hz:", "s:", "ms:", "us:"]
            .iter()
            .filter(|unit| kind.usage.contains(':') && group.is_none() && unit.starts_with(name))
            .map(|unit| Candidate::plain(*unit))
            .collect(),
        ContextKind::Record => match group {
            Some(category) => {
                let events = kernel
                    .tracepoints_matching(category, &pattern)
                    .unwrap_or_default();
                events
                    .into_iter()
                    .map(|(_, event)| Candidate::plain(event))
                    .collect()
            }
            None => {
                let events = kernel
                    .tracepoints_matching(&pattern, "*")
                    .unwrap_or_default();
                let categories: BTreeSet<String> =
                    events.into_iter().map(|(c, _)| format!("{c}:")).collect();
                categories.into_iter().map(Candidate::plain).collect()
            }
        },
        ContextKind::EventArgs => {
            let events = kernel.raw_tracepoints_matching(&pattern);
            events.into_iter().map(Candidate::plain).collect()
        }
        ContextKind::Packet => {
            let takers = kernel.functions_taking(PACKET, &pattern, group.unwrap_or("*"));
            takers
                .into_iter()
                .map(|taker| Candidate::plain(taker.name))
                .collect()
        }
        _ if kind.is_hook() => {
            let hooks = kernel.hook_functions(&pattern, group.unwrap_or("*"));
            hooks
                .into_iter()
                .map(|hook| Candidate::plain(hook.name))
                .collect()
        }
        _ => {
            let functions = kernel.functions_matching(&pattern, group);
            functions
                .into_iter()
                .map(|function| Candidate::plain(function.name))
                .collect()
        }
    };
    Found { start, candidates }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_made_whole() {
        let m = Question::MEMBER;
        assert_eq!(closed("$x->"), format!("$x->{m}"));
        assert_eq!(
            closed("kprobe:f { print(((struct a *)arg0)->"),
            format!("kprobe:f {{ print(((struct a *)arg0)->{m}) }}")
        );
        assert_eq!(
            closed("kprobe:f { if (arg0."),
            format!("kprobe:f {{ if (arg0.{m}) {{ }} }}")
        );
        assert_eq!(
            closed("kprobe:f /args.sk->"),
            format!("kprobe:f /args.sk->{m}/ {{  }}")
        );
        assert_eq!(closed("@a[$x."), format!("@a[$x.{m}]"));
    }

    #[test]
    fn attach_points_are_where_no_bracket_is_open() {
        let start = |text: &str| header_start(text, &words(text));
        assert_eq!(start("kprobe:nf_"), Some(0));
        assert_eq!(start("kprobe:a, kprobe:b"), Some(10));
        assert_eq!(start("kprobe:a { } kretprobe:b"), Some(13));
        assert_eq!(start("kprobe:a { kprobe:b"), None);
        assert_eq!(start("1 + kprobe:"), None);
        assert_eq!(start("kprobe:a /args.x"), None);
    }
}
