//! `#define NAME value`: a macro without parameters.
//!
//! In: a preprocessor line. Out: [`Define`], and from its value an [`ast::Macro`](crate::ast::Macro), which the compiler puts wherever
//! the name stands, before or behind the line. The value is an expression of its own: `#define A 1 + 2` makes `A * 2` 6, as in
//! bpftrace. Macros with parameters, which paste text, are not known; the language has `macro` for them.

use std::cell::Cell;

use crate::ast::{Ident, Macro, StmtKind, ValueBlock};
use crate::codes;
use crate::diag::Diagnostic;
use crate::header::identifier;
use crate::source::Span;
use crate::{parser, trivia};

/// A definition whose value has not been read.
#[derive(Clone, Debug)]
pub(crate) struct Define {
    /// The name.
    name: Ident,
    /// The value's text, as long as in the script; empty for `#define NAME`.
    value: String,
    /// Where the value is.
    at: Span,
    /// The whole line.
    span: Span,
}

/// What a `#define` line is.
pub(crate) enum Line {
    /// A definition.
    Value(Define),
    /// Something else or wrong.
    Wrong(Diagnostic),
    /// No definition.
    Other,
}

/// Reads a line that starts with `#` at `span.lo`.
pub(crate) fn read(line: &str, span: Span) -> Line {
    let words = line.trim_start_matches('#').trim_start();
    if identifier(words) != "define" {
        return Line::Other;
    }
    let rest = words.get("define".len()..).unwrap_or("");
    let rest = rest.trim_start();
    let name = identifier(rest);
    if name.is_empty() {
        let diag = Diagnostic::error(codes::UNEXPECTED_TOKEN, span, "`#define` without a name");
        return Line::Wrong(diag.help("write `#define NAME value`"));
    }
    let start = line.len() - rest.len();
    let behind = rest.get(name.len()..).unwrap_or("");
    if behind.starts_with('(') {
        return Line::Wrong(with_parameters(name, behind, span));
    }
    let lo = span.lo + (start + name.len()) as u32;
    Line::Value(Define {
        name: Ident {
            name: name.to_string(),
            span: Span::new(span.lo + start as u32, lo),
        },
        // What continues a line is a blank.
        value: behind.replace("\\\r\n", "   ").replace("\\\n", "  "),
        at: Span::new(lo, span.hi),
        span,
    })
}

fn with_parameters(name: &str, behind: &str, span: Span) -> Diagnostic {
    let message =
        format!("`#define {name}(…)` needs a C preprocessor, which nettrace does not have");
    let diag = Diagnostic::error(codes::NOT_YET, span, message);
    let one_line = !behind.contains('\n');
    let parts = behind.get(1..).and_then(|rest| rest.split_once(')'));
    match parts.filter(|_| one_line) {
        Some((params, body)) if !uncommented(body).is_empty() => diag.help(format!(
            "write it as a macro of the language: `macro {name}({}) {{ {} }}`",
            params.trim(),
            uncommented(body)
        )),
        _ => diag.help("write it as a macro of the language: `macro name(a, b) { … }`"),
    }
}

/// Text without the comment at its end.
fn uncommented(text: &str) -> &str {
    let text = text.split("//").next().unwrap_or("");
    text.split("/*").next().unwrap_or("").trim()
}

/// The macros that definitions make. Mistakes go to `diags`.
pub(crate) fn macros(
    defines: Vec<Define>,
    errors: &Cell<usize>,
    diags: &mut Vec<Diagnostic>,
) -> Vec<Macro> {
    let mut made: Vec<Macro> = Vec::new();
    let mut seen: Vec<(String, String)> = Vec::new();
    for define in defines {
        let value = define.value.trim();
        let empty = trivia::skip(value, 0).end >= value.len();
        let key = (define.name.name.clone(), value.to_string());
        // C allows the same definition twice, and a name that stands for itself.
        if empty || value == define.name.name || seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let parsed = parser::parse_value(&define.value, define.at.lo, errors);
        match parsed.and_then(|mut stmts| match (stmts.pop(), stmts.is_empty()) {
            (Some(stmt), true) => Some(stmt.kind),
            _ => None,
        }) {
            Some(StmtKind::Expr(value)) => made.push(Macro {
                name: define.name,
                params: Vec::new(),
                body: ValueBlock {
                    stmts: Vec::new(),
                    value: Some(Box::new(value)),
                    span: define.at,
                    expands: None,
                },
                span: define.span,
            }),
            _ => {
                errors.set(errors.get() + 1);
                let message = format!("the value of `{}` is not an expression", define.name.name);
                diags.push(
                    Diagnostic::error(codes::UNEXPECTED_TOKEN, define.at, message).help(
                        "`#define NAME value` gives a value a name; statements go into a `macro name() { … }`",
                    ),
                );
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use crate::source::SourceMap;
    use crate::{parse, print};

    /// The script as its tree says it, or the messages.
    fn read(text: &str) -> String {
        let mut map = SourceMap::new();
        let file = map.add("script", text);
        let parsed = parse(&map, file);
        match parsed.diags.as_slice() {
            [] => print::script(&parsed.script, &map),
            diags => diags
                .iter()
                .map(|d| [d.message.as_str(), &d.help.join("; ")].join(" | "))
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    #[test]
    fn a_definition_is_a_macro_without_parameters() {
        assert_eq!(
            read("#define PORT 443 // https\n"),
            read("macro PORT() { 443 }")
        );
        assert_eq!(
            read("#define URL \"http://x\"\n# define SUM \\\n  (1 + \\\n 2) /* 3 */\n"),
            read("macro URL() { \"http://x\" } macro SUM() { (1 + 2) }")
        );
    }

    #[test]
    fn names_without_a_value_and_repetitions_are_silent() {
        assert_eq!(read("#define DEBUG\n#define AF_INET AF_INET\n"), read(""));
        assert_eq!(read("#define A 1\n#define A 1\n"), read("#define A 1"));
    }

    #[test]
    fn a_name_that_is_defined_decides_conditions() {
        let text = "#define DEBUG\n#ifdef DEBUG\n#define A 1\n#else\n#define A 2\n#endif\n";
        assert_eq!(read(text), read("#define A 1"));
    }

    #[test]
    fn what_is_no_value_is_told() {
        assert_eq!(
            read("#define BODY { print(1); }\n"),
            "the value of `BODY` is not an expression | `#define NAME value` gives a value a name; statements go into a `macro name() { … }`"
        );
        assert_eq!(
            read("#define MAX(a, b) (a > b ? a : b)\n"),
            "`#define MAX(…)` needs a C preprocessor, which nettrace does not have | write it as a macro of the language: `macro MAX(a, b) { (a > b ? a : b) }`"
        );
        assert_eq!(
            read("#define\n"),
            "`#define` without a name | write `#define NAME value`"
        );
    }
}
