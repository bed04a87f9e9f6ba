//! Scripts in, typed programs or rendered messages out, against the small kernel that is checked in.

mod declared;
mod errors;
mod expansion;
mod loops;
mod network;
mod percpu;
mod probes;
mod records;
mod robust;
mod semantics;
mod session;
mod stories;

use nettrace_grammar::{Sink, SourceMap, parse, render};

use super::{Options, check, print};
use crate::kernel::fixture::{FixtureKernel, kernels};
use crate::macros;

/// The typed program as text, after the messages if there are any.
fn typed_with(script: &str, kernel: &FixtureKernel, options: &Options) -> String {
    let mut map = SourceMap::new();
    let file = map.add("test.nt", script);
    let parsed = parse(&map, file);
    let mut sink = Sink::new();
    sink.extend(parsed.diags);
    let script = macros::expand(&parsed.script, &[], &[], &mut sink);
    let program = check(&script, kernel, options, &mut sink);
    let mut out = render::render(&map, &sink.into_sorted(), false);
    if let Ok(program) = program {
        out.push_str(&print(&program, kernel));
    }
    out
}

fn typed(script: &str) -> String {
    typed_with(script, &kernels::linux_6_12(), &Options::default())
}

#[allow(dead_code)]
/// The statements of a `begin` probe with this body, without messages.
fn body(text: &str) -> String {
    let out = typed(&format!("begin {{ {text} }}"));
    let lines: Vec<&str> = out
        .lines()
        .skip_while(|l| !l.starts_with("p0 "))
        .skip(1)
        .take_while(|l| *l != "}")
        .map(|l| l.strip_prefix("  ").unwrap_or(l))
        .filter(|l| !l.starts_with("let "))
        .collect();
    assert!(out.contains("p0 begin {"), "{text}\n{out}");
    lines.join("\n")
}

#[allow(dead_code)]
/// The first lines of all messages.
fn messages(script: &str) -> Vec<String> {
    typed(script)
        .lines()
        .filter(|l| l.starts_with("error[") || l.starts_with("warning["))
        .map(str::to_string)
        .collect()
}
