//! Entries of an interactive session: maps live on with their types.

use std::rc::Rc;

use nettrace_grammar::{Sink, SourceMap, parse, render};

use super::{Options, check, print};
use crate::check::{Before, Question};
use crate::kernel::fixture::kernels;
use crate::kernel::{Kernel as _, TypeKind};
use crate::macros;
use crate::session::Session;

/// Checks entries one after the other; what is said of the last one: messages, else its typed program.
fn last_of(entries: &[&str]) -> String {
    let kernel = kernels::linux_6_12();
    let mut session = Session::default();
    let mut out = String::new();
    for (number, entry) in (1..).zip(entries) {
        session.entry = number;
        let mut sources = SourceMap::new();
        session.quote(&mut sources);
        let file = sources.add(format!("[{number}]"), *entry);
        let parsed = parse(&sources, file);
        let mut sink = Sink::new();
        sink.extend(parsed.diags);
        let script = macros::expand(&parsed.script, &[], &[], &mut sink);
        let options = Options {
            session: Some(Rc::new(session.clone())),
            ..Options::default()
        };
        let program = check(&script, &kernel, &options, &mut sink);
        out = render::render(&sources, &sink.into_sorted(), false);
        if let Ok(program) = program {
            session.adopt(&program, &sources);
            out.push_str(&print(&program, &kernel));
        }
    }
    out
}

#[test]
fn a_later_entry_uses_the_map_of_an_earlier_one() {
    let out = last_of(&[
        "kprobe:nf_ct_delete { @start[tid] = nsecs; }",
        "kretprobe:nf_ct_delete { print(nsecs - @start[tid]); delete(@start, tid); }",
    ]);
    assert!(out.contains("map @start[uint64]: uint64"), "{out}");
    assert!(!out.contains("error"), "{out}");
}

#[test]
fn a_map_keeps_its_type_and_says_where_it_was_defined() {
    let out = last_of(&[
        "begin { @who = comm; }",
        "begin { @n = 1; }",
        "begin { @who = 7; }",
    ]);
    let expected = "\
error[NT2001]: `@who` holds a string and cannot be assigned a number (int8)
  --> [3]:1:16
  |
1 | begin { @who = 7; }
  |                ^ this is a number (int8)
  |
  --> [1]:1:9
  |
1 | begin { @who = comm; }
  |         ---- `@who` is a string since here
  |
  = help: use another name, or cast the value

";
    assert_eq!(out, expected);
}

#[test]
fn keys_shapes_and_aggregations_stay_what_they_are() {
    let define = "begin { @by[comm] = count(); }";
    let rows = [
        (
            "begin { @by = count(); }",
            "`@by` has keys and is used without one here",
        ),
        (
            "begin { @by[1] = count(); }",
            "the keys of `@by` are a string; this one is a number (int8)",
        ),
        (
            "begin { @by[comm] = sum(3); }",
            "`@by` is count() and cannot be sum() as well",
        ),
        (
            "begin { @by[comm] = 3; }",
            "`@by` is count(): only that can be stored in it",
        ),
        (
            "let @by = hash(10); begin { @by[comm] = count(); }",
            "the map `@by` lives on from an earlier entry, which defined it otherwise",
        ),
    ];
    for (entry, expected) in rows {
        let out = last_of(&[define, entry]);
        assert!(out.contains(expected), "{entry}\n{out}");
        assert!(out.contains("--> [1]:"), "{out}");
    }
}

#[test]
fn maps_have_room_for_what_later_entries_may_store() {
    let out = last_of(&[
        "begin { @s = \"ab\"; @n = pid; }",
        "begin { @s = comm; @n = nsecs; @n += 5; }",
    ]);
    assert!(!out.contains("error") && !out.contains("warning"), "{out}");
    assert!(
        out.contains("map @s: string[64]") && out.contains("map @n: uint64"),
        "{out}"
    );
}

#[test]
fn a_forgotten_map_is_free_for_another_type() {
    let mut session = Session::default();
    let kernel = kernels::linux_6_12();
    let mut sources = SourceMap::new();
    let file = sources.add("[1]", "begin { @x = 1; }");
    let script = parse(&sources, file).script;
    let options = Options {
        session: Some(Rc::new(session.clone())),
        ..Options::default()
    };
    let program = check(&script, &kernel, &options, &mut Sink::new()).expect("no mistake");
    assert_eq!(session.adopt(&program, &sources), ["x"]);
    assert_eq!(session.adopt(&program, &sources), Vec::<String>::new());
    session.forget("x");
    assert!(session.find("x").is_none());
}

/// What an editor learns about the place that the script marks with `?`.
fn asked(script: &str) -> Option<Before> {
    let question = Rc::new(Question::default());
    let options = Options {
        question: Some(Rc::clone(&question)),
        ..Options::default()
    };
    let script = script.replace('?', Question::MEMBER);
    super::typed_with(&script, &kernels::linux_6_12(), &options);
    question.answer()
}

#[test]
fn an_editor_learns_what_stands_before_a_member() {
    let kernel = kernels::linux_6_12();
    let record = |name: &str| {
        let id = kernel.find_type(TypeKind::Struct, name).expect(name);
        Some(Before::Record(id))
    };
    assert_eq!(
        asked("kprobe:nf_ct_delete { $ct = (struct nf_conn *)arg0; $x = $ct->?; }"),
        record("nf_conn")
    );
    assert_eq!(
        asked("kprobe:nf_ct_delete { print(((struct nf_conn *)arg0)->tuplehash[0].?) }"),
        record("nf_conntrack_tuple_hash")
    );
    let Some(Before::Arguments(names)) = asked("fentry:nf_ct_delete { print(args.?) }") else {
        panic!("no arguments");
    };
    assert_eq!(names[0], ("ct".to_string(), "struct nf_conn *".to_string()));
    assert_eq!(asked("begin { print(1.?) }"), None);
    assert_eq!(asked("begin { $x = 1; print($x.?) }"), None);
}
