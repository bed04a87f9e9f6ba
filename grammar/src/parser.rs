//! One script from text to tree: lexer, LALRPOP's tables and the wording of errors put together.

use crate::actions::Context;
use crate::ast::{Script, Stmt};
use crate::codes;
use crate::define;
use crate::diag::Diagnostic;
use crate::lexer::{Lexer, MAX_ERRORS};
use crate::source::{FileId, SourceFile, SourceMap, Span};
use crate::syntax_error::{self, SyntaxError};
use std::cell::Cell;

#[allow(clippy::all, unused_imports, unused_parens, unreachable_pub, dead_code)]
mod tables {
    lalrpop_util::lalrpop_mod!(pub(crate) grammar);
}

/// A script's tree and what is wrong with it: always both.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The tree, as much of it as could be read; `Error` nodes stand for the rest.
    pub script: Script,
    /// Mistakes in order of their position; all of them errors. Empty for a correct script.
    pub diags: Vec<Diagnostic>,
}

/// Parses a file of `map`. Never fails and never overflows the stack, whatever the text; takes time and memory in
/// proportion to its length. Spans are in the map's offset space.
pub fn parse(map: &SourceMap, file: FileId) -> Parsed {
    let (file, errors) = (map.file(file), Cell::new(0));
    read(file, Lexer::new(&file.text, file.base, &errors), &errors)
}

/// Parses a file that holds statements, or one expression, as the body of a `begin` probe: what is typed into a session. As [`parse`]
/// otherwise.
pub fn parse_body(map: &SourceMap, file: FileId) -> Parsed {
    let (file, errors) = (map.file(file), Cell::new(0));
    read(
        file,
        Lexer::of_body(&file.text, file.base, &errors),
        &errors,
    )
}

/// The statements of a text that stands at `base`; `None` after any mistake in it, which the caller reports.
pub(crate) fn parse_value(text: &str, base: u32, errors: &Cell<usize>) -> Option<Vec<Stmt>> {
    let before = errors.get();
    let mut lexer = Lexer::of_body(text, base, errors);
    let mut cx = Context::new(text, base, errors);
    let parsed = tables::grammar::ScriptParser::new().parse(&mut cx, &mut lexer);
    let right = parsed.is_ok() && errors.get() == before && cx.syntax.is_empty();
    errors.set(before);
    let mut probes = cx.script.probes;
    match (right && probes.len() == 1, probes.pop()) {
        (true, Some(probe)) => Some(probe.body.stmts),
        _ => None,
    }
}

fn read(file: &SourceFile, mut lexer: Lexer<'_, '_>, errors: &Cell<usize>) -> Parsed {
    let (text, base) = (file.text.as_str(), file.base);
    let mut cx = Context::new(text, base, errors);
    if let Err(error) = tables::grammar::ScriptParser::new().parse(&mut cx, &mut lexer) {
        cx.syntax.push(SyntaxError::new(error, None));
    }
    let Context {
        mut script,
        mut diags,
        syntax,
        ..
    } = cx;
    let mut findings = lexer.findings;
    script.directives = std::mem::take(&mut findings.directives);
    let defines = std::mem::take(&mut findings.defines);
    script
        .macros
        .extend(define::macros(defines, errors, &mut diags));
    diags.append(&mut findings.diags);
    let unread = !syntax.is_empty();
    diags.extend(syntax_error::diagnostics(syntax, &findings, text, base));
    if unread && diags.is_empty() {
        // Errors are only held back behind others, so this is not reached; but a hole in the tree must never go unsaid.
        let all = Span::new(base, base + text.len() as u32);
        diags.push(Diagnostic::error(
            codes::UNEXPECTED_TOKEN,
            all,
            "the script cannot be read",
        ));
    }
    diags.sort_by_key(Diagnostic::primary_span);
    diags.dedup();
    // Lexer and tree have a limit each; one of them is enough to hear of.
    let mut deep = false;
    diags.retain(|diag| diag.code != codes::TOO_DEEP || !std::mem::replace(&mut deep, true));
    if errors.get() >= MAX_ERRORS {
        diags.truncate(MAX_ERRORS);
        let end = findings.tokens.last().map_or(base, |token| token.hi);
        diags.push(
            Diagnostic::error(
                codes::UNEXPECTED_TOKEN,
                Span::new(end, end),
                "too many mistakes",
            )
            .note("the rest of the script was not read"),
        );
    }
    Parsed { script, diags }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print;

    fn body(text: &str) -> (String, Vec<String>) {
        let mut map = SourceMap::new();
        let file = map.add("[1]", text);
        let parsed = parse_body(&map, file);
        let messages = parsed.diags.iter().map(|d| d.message.clone()).collect();
        (print::script(&parsed.script, &map), messages)
    }

    #[test]
    fn statements_without_a_probe() {
        let read = |text: &str| {
            let (script, messages) = body(text);
            assert!(messages.is_empty(), "{text}: {messages:?}");
            script
        };
        assert_eq!(read("1 + 2"), "begin\n{\n    1 + 2;\n}\n");
        assert_eq!(
            read("@x = 1; print(@x)"),
            "begin\n{\n    @x = 1;\n    print(@x);\n}\n"
        );
        assert_eq!(read("@"), "begin\n{\n    @;\n}\n");
        assert_eq!(read(""), "begin\n{\n}\n");
        assert!(read("if (1) { print(2) }").contains("if (1)"));
    }

    #[test]
    fn mistakes_in_a_body_are_told_where_they_are() {
        let said = |text: &str| body(text).1.join("; ");
        assert_eq!(said("}"), "this `}` closes nothing");
        assert_eq!(said("1 } begin { 2"), "this `}` closes nothing");
        assert_eq!(said("print(1"), "expected `)`, found the end of the script");
        assert_eq!(
            said("if (1) {"),
            "expected `}`, found the end of the script"
        );
        assert_eq!(body("1 +").1.len(), 1);
    }
}
