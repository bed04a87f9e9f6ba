//! One script from text to tree: lexer, LALRPOP's tables and the wording of errors put together.

use crate::actions::Context;
use crate::ast::Script;
use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::{Lexer, MAX_ERRORS};
use crate::source::{FileId, SourceMap, Span};
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
    let file = map.file(file);
    let (text, base) = (file.text.as_str(), file.base);
    let errors = Cell::new(0);
    let mut lexer = Lexer::new(text, base, &errors);
    let mut cx = Context::new(text, base, &errors);
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
