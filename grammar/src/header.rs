//! The words outside of braces: attach points and what else may start an item of a script.
//!
//! In: text outside of any braces. Out: how far the word there reaches and what it is. An attach point is taken as
//! written, because nearly anything may stand in one: wildcards, paths, offsets, quoted C++ names. It ends at a blank, `,` or
//! `{`; and at a `/`, which then starts the predicate, unless that slash belongs to a path, as it does behind a colon in
//! probes that name a file. A `"` protects everything up to the next one.

use crate::token::Tok;

/// Probe kinds whose text may hold a path, with their short names.
const WITH_PATH: [&str; 7] = ["uprobe", "u", "uretprobe", "ur", "usdt", "U", "iter"];

/// What a word outside of braces is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Word {
    /// The first word of an item that is made of tokens: `config`, `macro`, `import`, `let`.
    Item(Tok<'static>),
    /// The first word of something that nettrace does not know yet: `struct`, `fn`, …
    Construct,
    /// An attach point, as far as one can tell.
    AttachPoint,
    /// An attach point whose quote is never closed.
    OpenQuote,
    /// Text that starts like nothing that may stand here.
    Junk,
}

/// Length and kind of the word that `rest` starts with. The length is at least 1 unless `rest` starts with a blank,
/// `,`, `{` or `/`.
pub(crate) fn word(rest: &str) -> (usize, Word) {
    let name = identifier(rest);
    let behind = rest.get(name.len()..).unwrap_or("");
    match name {
        "config" if behind.trim_start().starts_with(['=', '{']) => {
            return (name.len(), Word::Item(Tok::Config));
        }
        "struct" | "union" | "enum" | "macro" | "fn" | "import" | "let"
            if behind.starts_with(|c: char| c.is_whitespace() || "\"@{;".contains(c)) =>
        {
            let kind = match name {
                "macro" => Word::Item(Tok::Macro),
                "import" => Word::Item(Tok::Import),
                "let" => Word::Item(Tok::Let),
                _ => Word::Construct,
            };
            return (name.len(), kind);
        }
        "if" | "else" | "return" | "while" | "for" | "unroll" => return (name.len(), Word::Junk),
        _ => {}
    }
    let (len, closed) = attach_point(rest);
    let kind = match rest.chars().next() {
        _ if !closed => Word::OpenQuote,
        Some(c) if c.is_ascii_alphabetic() || "_*?$\"".contains(c) => Word::AttachPoint,
        _ => Word::Junk,
    };
    (len, kind)
}

/// Length of the attach point's text, and whether its quotes are closed.
fn attach_point(rest: &str) -> (usize, bool) {
    let provider = identifier(rest);
    let with_path = WITH_PATH.contains(&provider)
        || WITH_PATH
            .iter()
            .any(|kind| kind.len() > 2 && kind.eq_ignore_ascii_case(provider));
    let bytes = rest.as_bytes();
    let mut colon = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let inside = rest.get(at + 1..).unwrap_or("");
                match inside.find(['"', '\n']) {
                    Some(len) if inside.as_bytes().get(len) == Some(&b'"') => at += 1 + len,
                    Some(len) => return (at + 1 + len, false),
                    None => return (rest.len(), false),
                }
            }
            b'{' | b'}' | b',' | b';' => break,
            b'/' => {
                let in_path = colon && (with_path || bytes.get(at.wrapping_sub(1)) == Some(&b':'));
                if !in_path {
                    break;
                }
            }
            b':' => colon = true,
            _ if byte.is_ascii_whitespace() => break,
            _ => {}
        }
        at += 1;
    }
    (at, true)
}

/// The identifier that `text` starts with; empty when it starts with none.
pub(crate) fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let word = text.get(..end).unwrap_or("");
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        ""
    } else {
        word
    }
}

/// Whether the first column of a line inside a body holds the start of the next probe, which means that a `}` is missing
/// before it. Nothing else in the language puts a word and a colon without a blank around it there.
pub(crate) fn is_probe_start(rest: &str) -> bool {
    let name = identifier(rest);
    let behind = rest.get(name.len()..).unwrap_or("");
    if name.is_empty() {
        return false;
    }
    if name.eq_ignore_ascii_case("begin") || name.eq_ignore_ascii_case("end") {
        return behind.trim_start().starts_with('{');
    }
    let target = behind.strip_prefix(':').unwrap_or("");
    target.starts_with(|c: char| c.is_ascii_alphanumeric() || "_*/\"$.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attach(text: &str) -> &str {
        let (len, kind) = word(text);
        assert_eq!(kind, Word::AttachPoint, "{text}");
        &text[..len]
    }

    #[test]
    fn attach_points_are_taken_as_written() {
        assert_eq!(attach("kprobe:nf_ct_*, x"), "kprobe:nf_ct_*");
        assert_eq!(
            attach("kprobe:nf_conntrack:nf_ct_delete+0x10{"),
            "kprobe:nf_conntrack:nf_ct_delete+0x10"
        );
        assert_eq!(attach("interval:s:1 { }"), "interval:s:1");
        assert_eq!(attach("begin{ }"), "begin");
        assert_eq!(
            attach("uprobe:/bin/bash:readline /1/"),
            "uprobe:/bin/bash:readline"
        );
        assert_eq!(
            attach("uprobe:./a.out:cpp:\"ns::f(int, long)\" {"),
            "uprobe:./a.out:cpp:\"ns::f(int, long)\""
        );
        assert_eq!(attach("config:x {"), "config:x");
        assert_eq!(attach("struct_ops:x {"), "struct_ops:x");
    }

    #[test]
    fn a_slash_starts_the_predicate_where_no_path_can_stand() {
        assert_eq!(attach("begin/1/ {"), "begin");
        assert_eq!(attach("kprobe:f/pid == 1/ {"), "kprobe:f");
        assert_eq!(attach("uprobe:/bin/ls:main/1/ {"), "uprobe:/bin/ls:main/1/");
    }

    #[test]
    fn other_words_are_told_apart() {
        assert_eq!(word("config = {").1, Word::Item(Tok::Config));
        assert_eq!(word("struct S {").1, Word::Construct);
        assert_eq!(word("let @m = hash(1);").1, Word::Item(Tok::Let));
        assert_eq!(word("(((").1, Word::Junk);
        assert_eq!(word("uprobe:\"x\ny").1, Word::OpenQuote);
    }

    #[test]
    fn the_next_probe_is_recognised_inside_a_body() {
        assert!(is_probe_start("kprobe:nf_hook_slow {"));
        assert!(is_probe_start("END {"));
        assert!(!is_probe_start("printf(\"x\");"));
        assert!(!is_probe_start("x : y"));
    }
}
