//! What an entry is: a command of the session, items of a script (probes, macros, declarations), or statements to be carried out now.
//!
//! In: the text that was typed. Out: [`Entry`]. A text with a mistake is what it looks like, so that the message fits.

use nettrace_compiler::probes;
use nettrace_grammar::{SourceMap, parse, parse_body, words};

/// A sorted entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'t> {
    /// Blanks and comments.
    Nothing,
    /// `:name rest`
    Command(&'t str, &'t str),
    /// Items of a script.
    Script,
    /// Statements, the last one an expression perhaps.
    Statements,
}

/// Sorts an entry.
pub(crate) fn sort(text: &str) -> Entry<'_> {
    let trimmed = text.trim();
    if trimmed.starts_with(':') {
        return command(trimmed);
    }
    let mut sources = SourceMap::new();
    let file = sources.add("", text);
    let script = parse(&sources, file);
    let empty = {
        let s = &script.script;
        s.probes.is_empty()
            && s.macros.is_empty()
            && s.map_decls.is_empty()
            && s.imports.is_empty()
            && s.config.is_none()
    };
    match (script.diags.is_empty(), empty) {
        (true, true) => Entry::Nothing,
        (true, false) => Entry::Script,
        (false, _) if parse_body(&sources, file).diags.is_empty() => Entry::Statements,
        (false, _) if looks_like_script(trimmed) => Entry::Script,
        (false, _) => Entry::Statements,
    }
}

/// Whether more lines have to come. A command takes one line, unless it holds a script whose brackets are open.
pub(crate) fn is_unfinished(text: &str) -> bool {
    let trimmed = text.trim();
    if let Entry::Command(name, rest) = command(trimmed) {
        return matches!(name, "edit" | "emit") && words::is_open(rest);
    }
    let headless = looks_like_script(trimmed)
        && !trimmed.contains('{')
        && !trimmed.ends_with(';')
        && !trimmed.starts_with("import");
    words::is_open(text) || words::hangs(text) || headless
}

fn command(trimmed: &str) -> Entry<'_> {
    let Some(command) = trimmed.strip_prefix(':') else {
        return Entry::Nothing;
    };
    let end = command.find(char::is_whitespace);
    let (name, rest) = command.split_at(end.unwrap_or(command.len()));
    Entry::Command(name, rest.trim())
}

/// Whether a text starts like a probe or another item.
pub(crate) fn looks_like_script(text: &str) -> bool {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (word, behind) = text.split_at(end);
    match word {
        "macro" | "import" | "config" => behind.starts_with(char::is_whitespace),
        "let" => behind.trim_start().starts_with('@'),
        _ => {
            let behind = behind.trim_start();
            probes::find(word).is_some() && (behind.starts_with([':', '{', ',', '/']))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_entries_go_on() {
        for text in [
            "kprobe:nf_ct_delete",
            "kprobe:f {",
            "print(",
            "1 +",
            ":edit 2 kprobe:f {",
            "macro f(x)",
        ] {
            assert!(is_unfinished(text), "{text}");
        }
        for text in [
            "kprobe:f { }",
            "1",
            "@x",
            ":list kprobe:nf_*",
            ":type struct x(",
            "let @m = hash(5);",
            "pid",
        ] {
            assert!(!is_unfinished(text), "{text}");
        }
    }

    #[test]
    fn entries_are_told_apart() {
        assert_eq!(sort("  // nothing\n"), Entry::Nothing);
        assert_eq!(sort(":stop 2 3"), Entry::Command("stop", "2 3"));
        assert_eq!(sort(":quit"), Entry::Command("quit", ""));
        for script in [
            "kprobe:nf_ct_delete { print(1) }",
            "interval:s:1 { }",
            "macro f(x) { x + 1 }",
            "let @m = lruhash(10);",
            "kprobe:nf_ct_delete { print( }",
            "begin { 1 + }",
        ] {
            assert_eq!(sort(script), Entry::Script, "{script}");
        }
        for statements in [
            "1 + 2",
            "@",
            "@x = 5",
            "print(@x, 5)",
            "sizeof(struct sk_buff)",
            "if (1) { print(2) }",
            "pid",
            "1 +",
            "$x = 5; $x + 1",
            "((struct net *)kaddr(\"init_net\"))->nf.hooks_ipv4[0]->num_hook_entries",
        ] {
            assert_eq!(sort(statements), Entry::Statements, "{statements}");
        }
    }
}
