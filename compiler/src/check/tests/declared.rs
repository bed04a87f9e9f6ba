//! Declarations of maps.

use super::{messages, typed};

#[test]
fn a_declared_map_has_its_own_size() {
    let out = typed("let @seen = lruhash(100); begin { @seen[pid] = 1; }");
    assert!(!out.contains("error"), "{out}");
}

#[test]
fn what_is_wrong_with_declarations() {
    let rows = [
        (
            "let @m = hsh(5); begin { @m[1] = 1; }",
            "error[NT1001]: there is no kind of map `hsh`",
        ),
        (
            "let @m = hash(0); begin { @m[1] = 1; }",
            "error[NT2003]: a map holds a number of entries from 1 to 16777216",
        ),
        (
            "let @m = hash(5); let @m = hash(6); begin { @m[1] = 1; }",
            "error[NT1006]: the map `@m` is declared twice",
        ),
        (
            "let @m = hash(5); begin { @m = 1; }",
            "error[NT2006]: `@m` is declared with entries and used without a key",
        ),
        (
            "let @m = hash(5); begin { print(1); }",
            "warning[NT5004]: the map `@m` is never used",
        ),
    ];
    for (script, expected) in rows {
        assert_eq!(messages(script), [expected], "{script}");
    }
}
