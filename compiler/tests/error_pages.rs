//! The pages of docs/errors: every code has one, its wrong script gives that code, and its right one gives no error.

use std::path::{Path, PathBuf};

use nettrace_compiler::check::Options;
use nettrace_compiler::kernel::fixture::FixtureKernel;
use nettrace_compiler::pcap;
use nettrace_compiler::pipeline;
use nettrace_compiler::unit::{NoImports, Unit};
use nettrace_grammar::codes::{ALL, Code};
use nettrace_grammar::diag::Severity;
use nettrace_grammar::{SourceMap, Span, codes, render};

/// Codes that no short script can give: they are about sizes, the backend, the machine, or nettrace itself.
const WITHOUT_SCRIPT: &[Code] = &[
    codes::NOT_UTF8,
    codes::TOO_DEEP,
    codes::TOO_LARGE,
    codes::STACK_TOO_LARGE,
    codes::VERIFIER,
    codes::PROGRAM_TOO_LONG,
    codes::UNKNOWN_OPTION,
    codes::NO_PRIVILEGE,
    codes::NO_BTF,
    codes::NO_KPROBES,
    codes::NO_TRACEFS,
    codes::KERNEL_REFUSED,
    codes::FILE_ERROR,
    codes::BAD_OBJECT,
    codes::NO_FEATURE,
    codes::INTERNAL,
];

/// A static function that exists twice, as there are some in every kernel.
const MORE_FACTS: &str = "
function type_show
symbol ffffffff81234560 type_show
symbol ffffffff81567890 type_show
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn kernel() -> FixtureKernel {
    let folder = repository().join("tests/kernels");
    let read = |name: &str| std::fs::read(folder.join(name)).expect(name);
    let modules =
        ["nf_conntrack", "nf_tables"].map(|m| (m.to_string(), read(&format!("x86-6.12.{m}.btf"))));
    let facts = String::from_utf8(read("x86-6.12.facts")).expect("facts are text");
    FixtureKernel::new(
        read("x86-6.12.btf"),
        modules.to_vec(),
        &(facts + MORE_FACTS),
    )
    .expect("a kernel")
}

/// What is under a heading: its language, `nt` for a script or `pcap` for a packet filter, and its text.
fn script<'a>(page: &'a str, heading: &str) -> Option<(&'a str, &'a str)> {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n\n```"))?;
    let (language, rest) = rest.split_once('\n')?;
    Some((language, rest.split_once("\n```")?.0))
}

/// The codes of a script's messages with their severity, and the messages as text.
fn compile(
    (language, script): (&str, &str),
    kernel: &FixtureKernel,
) -> (Vec<(Severity, Code)>, String) {
    let mut map = SourceMap::new();
    let file = map.add("page", script);
    let diags = match language {
        "pcap" => pcap::parse(script, Span::new(0, script.len() as u32))
            .err()
            .unwrap_or_default(),
        "nt" => {
            let unit = Unit::read(&mut map, file, &NoImports);
            pipeline::compile(&map, &unit, kernel, &Options::default()).diagnostics
        }
        other => panic!("a page with a script in {other:?}"),
    };
    let text = render::render(&map, &diags, false);
    (diags.iter().map(|d| (d.severity, d.code)).collect(), text)
}

#[test]
fn every_code_has_a_page_whose_scripts_show_it() {
    let kernel = kernel();
    for &(code, summary) in ALL {
        let path = repository().join(format!("docs/errors/{code}.md"));
        let page =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(
            page.lines().next(),
            Some(format!("# {code}: {summary}").as_str())
        );
        let scripts = (script(&page, "Wrong"), script(&page, "Right"));
        let (Some(wrong), Some(right)) = scripts else {
            assert!(
                WITHOUT_SCRIPT.contains(&code),
                "{code}: the page shows no script"
            );
            continue;
        };
        assert!(
            !WITHOUT_SCRIPT.contains(&code),
            "{code}: has a script after all"
        );
        let (found, text) = compile(wrong, &kernel);
        assert!(
            found.iter().any(|&(_, c)| c == code),
            "{code}: the wrong script says\n{text}"
        );
        let (found, text) = compile(right, &kernel);
        let clean = found
            .iter()
            .all(|&(severity, c)| severity != Severity::Error && c != code);
        assert!(clean, "{code}: the right script says\n{text}");
    }
}

#[test]
fn every_page_belongs_to_a_code() {
    let folder = repository().join("docs/errors");
    for entry in std::fs::read_dir(folder).expect("docs/errors") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        let known = ALL.iter().any(|(code, _)| name == format!("{code}.md"));
        assert!(known, "{name} belongs to no code");
    }
}
