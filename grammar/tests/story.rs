//! The scripts that nettrace was built for parse without a word.

use nettrace_grammar::{SourceMap, parse, render};

fn diagnostics(script: &str) -> String {
    let mut map = SourceMap::new();
    let file = map.add("s.nt", script);
    let parsed = parse(&map, file);
    render::render(&map, &parsed.diags, false)
}

#[test]
fn the_four_scripts_of_the_story() {
    for script in [
        include_str!("scripts/conntrack.nt"),
        include_str!("scripts/conntrack_first.nt"),
        include_str!("scripts/prerouting.nt"),
        include_str!("scripts/stacks.nt"),
    ] {
        assert_eq!(diagnostics(script), "");
    }
}
