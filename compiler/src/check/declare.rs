//! Declarations of maps: `let @m = lruhash(1000);`.

use std::collections::HashSet;

use nettrace_grammar::ast::{ExprKind, MapDecl, Script};
use nettrace_grammar::{Diagnostic, Sink, codes, visit};

use super::state::{MapTable, Shape};
use crate::kernel::similar;
use crate::typed::Declared;

/// Entries that a map may have.
const MAX_ENTRIES: u64 = 1 << 24;

/// The kinds, and whether a full map gives up old entries. Whether there is a value per CPU follows from what is stored.
const KINDS: [(&str, bool); 4] = [
    ("hash", false),
    ("lruhash", true),
    ("percpuhash", false),
    ("percpulruhash", true),
];

/// Notes the declarations of a script. Aggregations have a value per CPU whatever the declaration says, other maps never.
pub(super) fn maps(decls: &[MapDecl], table: &mut MapTable, sink: &mut Sink) {
    for decl in decls {
        let Some(declared) = read(decl, sink) else {
            continue;
        };
        let id = table.id(&decl.map.name, decl.map.span);
        let map = &mut table.maps[id];
        if map.known && map.declared.is_some_and(|(known, _)| known == declared) {
            continue;
        }
        if map.known {
            let message = format!(
                "the map `@{}` lives on from an earlier entry, which defined it otherwise",
                map.name
            );
            let diag = Diagnostic::error(codes::REDECLARED, decl.span, message);
            sink.error(diag.also(map.span, "defined here"));
            continue;
        }
        if let Some((_, first)) = map.declared {
            let message = format!("the map `@{}` is declared twice", map.name);
            sink.error(
                Diagnostic::error(codes::REDECLARED, decl.span, message).also(first, "first here"),
            );
            continue;
        }
        map.declared = Some((declared, decl.span));
    }
}

fn read(decl: &MapDecl, sink: &mut Sink) -> Option<Declared> {
    let name = decl.kind.name.as_str();
    let Some((_, lru)) = KINDS.iter().find(|(kind, _)| *kind == name) else {
        let message = format!("there is no kind of map `{name}`");
        let diag = Diagnostic::error(codes::UNKNOWN_NAME, decl.kind.span, message);
        let near = similar::nearest(name, KINDS.iter().map(|(kind, _)| *kind));
        let diag = crate::resolve::suggest(diag, &near);
        sink.error(diag.help("write hash(N), lruhash(N), percpuhash(N) or percpulruhash(N)"));
        return None;
    };
    let size = decl.size.as_ref().map(|size| (&size.kind, size.span));
    match size {
        Some((ExprKind::Int(n), _)) if (1..=MAX_ENTRIES).contains(n) => Some(Declared {
            lru: *lru,
            entries: *n as u32,
        }),
        other => {
            let at = other.map_or(decl.span, |(_, span)| span);
            let message = format!("a map holds a number of entries from 1 to {MAX_ENTRIES}");
            sink.error(Diagnostic::error(codes::BAD_ARGUMENT, at, message));
            None
        }
    }
}

/// Reports declarations that do not go with how the maps are used. What only another kernel or other options use is used, too.
pub(super) fn check(script: &Script, table: &MapTable, sink: &mut Sink) {
    let mut named = HashSet::new();
    visit::script(script, &mut |e| {
        if let ExprKind::Map { name, .. } = &e.kind {
            named.insert(name.as_str());
        }
    });
    for map in table.maps.iter() {
        let Some((_, at)) = map.declared else {
            continue;
        };
        match (&map.shape, &map.value) {
            (Shape::Scalar(used), _) => {
                let message = format!(
                    "`@{}` is declared with entries and used without a key",
                    map.name
                );
                sink.error(
                    Diagnostic::error(codes::MAP_SHAPE, *used, message).also(at, "declared here"),
                );
            }
            (Shape::Unknown, None) if !map.assigned && !named.contains(map.name.as_str()) => {
                let message = format!("the map `@{}` is never used", map.name);
                sink.warn(Diagnostic::warning(codes::NEVER_ASSIGNED, at, message));
            }
            _ => {}
        }
    }
}
