//! Whatever the text: no panic, no overflow, and an answer in time proportional to its length (anything worse shows
//! as a test that does not end: the texts are that long).

use nettrace_grammar::{Diagnostic, SourceMap, codes, dump, parse, print, render, source};
use proptest::prelude::*;

const STORY: [&str; 4] = [
    include_str!("scripts/conntrack.nt"),
    include_str!("scripts/conntrack_first.nt"),
    include_str!("scripts/prerouting.nt"),
    include_str!("scripts/stacks.nt"),
];

/// Parses and does everything that may be done with the result.
fn all_stages(script: &str) -> Vec<Diagnostic> {
    let mut map = SourceMap::new();
    map.add("before.nt", "begin { }");
    let file = map.add("s.nt", script);
    let parsed = parse(&map, file);
    let tree = dump::ast(&parsed.script);
    let holes = tree.lines().any(|line| line.trim() == "error");
    assert!(
        !holes || !parsed.diags.is_empty(),
        "a hole in the tree that nobody was told of:\n{script}"
    );
    print::script(&parsed.script, &map);
    let text = render::render(&map, &parsed.diags, false);
    assert!(text.len() < 60_000, "{} bytes of errors", text.len());
    parsed.diags
}

fn codes_of(diags: &[Diagnostic]) -> Vec<codes::Code> {
    diags.iter().map(|diag| diag.code).collect()
}

#[test]
fn scripts_cut_off_anywhere() {
    for script in STORY {
        for end in 0..script.len() {
            let (text, _) = source::decode(&script.as_bytes()[..end]);
            all_stages(&text);
        }
    }
}

#[test]
fn scripts_with_a_byte_missing() {
    for script in STORY {
        for at in 0..script.len() {
            let mut bytes = script.as_bytes().to_vec();
            bytes.remove(at);
            all_stages(&source::decode(&bytes).0);
        }
    }
}

/// Every construct that can contain itself, 200,000 times, as the opening, the middle and the closing part.
#[test]
fn deep_nesting_is_one_clean_error() {
    let shapes = [
        ("parentheses", "$x = ", "(", "1", ")", ""),
        ("open parentheses", "$x = ", "(", "", "", ""),
        ("brackets", "$x = ", "@a[", "1", "]", ""),
        ("calls", "$x = ", "f(", "1", ")", ""),
        ("tuples", "$x = ", "(1,", "1", ")", ""),
        ("not", "$x = ", "!", "1", "", ""),
        ("minus", "$x = ", "- ", "1", "", ""),
        ("stars", "$x = ", "*", "$p", "", ""),
        ("increments", "$x = ", "++", "$p", "", ""),
        ("casts", "$x = ", "(u8)", "1", "", ""),
        ("sizeof", "$x = ", "sizeof(", "1", ")", ""),
        ("sum", "$x = 1", "+1", "", "", ""),
        ("sum to the right", "$x = ", "(1+", "1", ")", ""),
        ("or", "$x = 1", "||1", "", "", ""),
        ("fields", "$x = $y", ".a", "", "", ""),
        ("arrows", "$x = $y", "->a", "", "", ""),
        ("elements", "$x = $y", ".0", "", "", ""),
        ("indices", "$x = $y", "[0]", "", "", ""),
        ("ternary in the middle", "$x = ", "1?", "1", ":1", ""),
        ("ternary at the end", "$x = ", "1?1:", "1", "", ""),
        ("short ternary", "$x = ", "1?:", "1", "", ""),
        ("open ternary", "$x = ", "1?", "", "", ""),
        ("blocks", "", "{", "", "}", ""),
        ("ifs", "", "if 1 {", "", "}", ""),
        ("else ifs", "if 1 {}", " else if 1 {}", "", "", ""),
        ("else blocks", "", "if 1 {} else {", "", "}", ""),
        ("pointers", "let $x: u8 ", "*", "", "", ""),
        ("pointer cast", "$x = (struct s ", "*", "", "", ") 1"),
        ("arrays", "let $x: u8", "[1]", "", "", ""),
    ];
    for (name, start, open, middle, close, end) in shapes {
        let n = 200_000;
        let script = format!(
            "begin {{ {start}{}{middle}{}{end}; }}",
            open.repeat(n),
            close.repeat(n)
        );
        let diags = all_stages(&script);
        let codes = codes_of(&diags);
        assert!(codes.contains(&codes::TOO_DEEP), "{name}: {codes:?}");
        assert_eq!(codes.len(), 1, "{name}: {diags:?}");
    }
}

#[test]
fn a_megabyte_of_one_thing() {
    for text in [
        "(", ")", "{", "}", "[", "!", "1", "x", "\"", "'", "/", "#", "@", "$", ";", ",", "é", "\0",
        "/*", "//", "\\", "x ", "1 ", "if ", "@ ",
    ] {
        for start in ["", "begin { ", "begin { $x = ", "kprobe:f /"] {
            let script = format!("{start}{}", text.repeat((1 << 20) / text.len()));
            let diags = all_stages(&script);
            assert!(diags.len() <= 41, "{start}{text}…: {} errors", diags.len());
        }
    }
}

#[test]
fn ten_megabytes_of_parentheses() {
    for start in ["", "begin { $x = "] {
        let script = format!("{start}{}", "(".repeat(10 << 20));
        assert_eq!(all_stages(&script).len(), 1);
    }
}

#[test]
fn a_long_correct_script() {
    let body = "    $x = $skb->len + 1; @a[$x, \"k\"] = count();\n".repeat(20_000);
    assert_eq!(all_stages(&format!("begin\n{{\n{body}}}\n")), []);
}

/// Pieces of the language without order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = vec![
        "kprobe:f",
        "begin",
        "config = {",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ";",
        ",",
        "/",
        "//x\n",
        "/*",
        "*/",
        "\"a\"",
        "\"",
        "$x",
        "@m",
        "@",
        "$1",
        "$#",
        "pid",
        "1",
        "0x1f",
        "5ms",
        "08",
        "=",
        "==",
        "+=",
        "+",
        "-",
        "*",
        "&",
        "&&",
        "|",
        "?",
        ":",
        ".",
        "->",
        "if",
        "else",
        "let",
        "return",
        "sizeof(",
        "offsetof(",
        "(struct s *)",
        "(u8)",
        "while",
        "for",
        "unroll",
        "break",
        "comptime",
        "typeof",
        "struct",
        "#include <x>",
        "#define",
        "\n",
        "++",
        "!",
        "true",
        "…",
        "..",
        "_",
        "print(",
    ];
    let piece = prop::sample::select(pieces);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        all_stages(&source::decode(&bytes).0);
    }

    #[test]
    fn any_text(text in "\\PC{0,100}") {
        all_stages(&text);
        all_stages(&format!("begin {{ {text} }}"));
    }

    #[test]
    fn any_tokens(text in soup()) {
        all_stages(&text);
        all_stages(&format!("begin {{ {text} }}"));
    }
}
