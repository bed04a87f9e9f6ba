//! What the parser expected and what it found, in words.
//!
//! In: LALRPOP's errors, with the names of terminals that would have been accepted, and what the lexer knows about the
//! text. Out: diagnostics, one per mistake: an error right behind another one is its consequence and says nothing new.

use crate::codes;
use crate::diag::Diagnostic;
use crate::lexer::Findings;
use crate::source::Span;
use crate::token::Tok;
use lalrpop_util::ParseError;
use std::convert::Infallible;

/// Tokens that must have been accepted since the last error before another one counts.
const CALM: usize = 3;

/// A parser error, before it is known whether it is worth telling.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    /// The token it happened at; empty at the end of the script.
    at: Span,
    expected: Vec<String>,
    /// End of the last token that was dropped to go on.
    resumed: Option<u32>,
    /// Whether the script ended.
    at_end: bool,
}

impl SyntaxError {
    pub(crate) fn new(
        error: ParseError<u32, Tok<'_>, Infallible>,
        resumed: Option<u32>,
    ) -> SyntaxError {
        let (at, expected, at_end) = match error {
            ParseError::UnrecognizedToken {
                token: (lo, _, hi),
                expected,
            } => (Span::new(lo, hi), expected, false),
            ParseError::ExtraToken { token: (lo, _, hi) } => (Span::new(lo, hi), Vec::new(), false),
            ParseError::UnrecognizedEof { location, expected } => {
                (Span::new(location, location), expected, true)
            }
            ParseError::InvalidToken { location } => {
                (Span::new(location, location), Vec::new(), false)
            }
            ParseError::User { error } => match error {},
        };
        SyntaxError {
            at,
            expected,
            resumed,
            at_end,
        }
    }
}

/// Turns the parser's errors into diagnostics. `text` starts at `base`.
pub(crate) fn diagnostics(
    mut errors: Vec<SyntaxError>,
    findings: &Findings,
    text: &str,
    base: u32,
) -> Vec<Diagnostic> {
    errors.sort_by_key(|error| error.at);
    let mut out = Vec::new();
    let mut last: Option<usize> = None;
    for error in &errors {
        let index = findings
            .tokens
            .partition_point(|token| token.lo < error.at.lo);
        let calm = last.is_none_or(|last| index >= last + CALM);
        let resumed = error
            .resumed
            .map(|end| findings.tokens.partition_point(|token| token.hi < end));
        last = Some(resumed.map_or(index, |resumed| resumed.max(index)));
        let silent = findings.silent.binary_search(&error.at.lo).is_ok()
            || findings
                .silent_from
                .is_some_and(|from| error.at_end || error.at.lo >= from);
        if calm && !silent {
            out.push(Found::new(error, index, findings, text, base).diagnostic());
        }
    }
    out
}

/// The text under a span; `text` starts at `base`.
fn slice(text: &str, base: u32, span: Span) -> &str {
    let range = span.lo.saturating_sub(base) as usize..span.hi.saturating_sub(base) as usize;
    text.get(range).unwrap_or("")
}

/// One error with its surroundings.
struct Found<'a> {
    error: &'a SyntaxError,
    /// The source of the token it happened at.
    found: &'a str,
    /// The token before it.
    before: Option<Span>,
    /// The source of that one.
    before_text: &'a str,
    /// Whether a line break stands between the two.
    new_line: bool,
    /// The tokens before it, and what their spans refer to.
    tokens: &'a [Span],
    text: &'a str,
    base: u32,
}

impl<'a> Found<'a> {
    fn new(
        error: &'a SyntaxError,
        index: usize,
        findings: &'a Findings,
        text: &'a str,
        base: u32,
    ) -> Found<'a> {
        let source = |lo, hi| slice(text, base, Span::new(lo, hi));
        let before = index
            .checked_sub(1)
            .and_then(|index| findings.tokens.get(index))
            .copied();
        Found {
            error,
            found: source(error.at.lo, error.at.hi),
            before,
            before_text: before.map_or("", |before| source(before.lo, before.hi)),
            new_line: before
                .is_some_and(|before| source(before.hi, error.at.lo.max(before.hi)).contains('\n')),
            tokens: findings.tokens.get(..index).unwrap_or(&[]),
            text,
            base,
        }
    }

    fn expects(&self, terminal: &str) -> bool {
        self.error
            .expected
            .iter()
            .any(|name| name.trim_matches('"') == terminal)
    }

    fn diagnostic(&self) -> Diagnostic {
        let found = self.describe_found();
        let expected = describe(&self.error.expected);
        let message = match expected.as_str() {
            "" => format!("unexpected {found}"),
            expected => format!("expected {expected}, found {found}"),
        };
        let mut diag = self.place(message);
        if let Some(open) = self.unclosed() {
            diag = diag.also(open, "this is never closed");
        }
        match self.hint() {
            Some(hint) => diag.help(hint),
            None => diag,
        }
    }

    /// Marks the found token; or, where something is missing at the end of a line, that end.
    fn place(&self, message: String) -> Diagnostic {
        let missing_end = self.new_line && (self.expects(";") || self.expects(")"));
        match self.before {
            Some(before) if missing_end => {
                let end = Span::new(before.hi, before.hi);
                let diag = Diagnostic::error(codes::UNEXPECTED_TOKEN, end, message);
                if self.expects(";") {
                    diag.label("`;` is missing here")
                } else {
                    diag
                }
            }
            _ => Diagnostic::error(codes::UNEXPECTED_TOKEN, self.error.at, message),
        }
    }

    /// The bracket that should have been closed by now, where what was found shows that it was forgotten.
    fn unclosed(&self) -> Option<Span> {
        let forgotten = self.new_line || matches!(self.found, ";" | "{" | "}");
        if !forgotten || !(self.expects(")") || self.expects("]")) {
            return None;
        }
        let mut closed = 0usize;
        for &token in self.tokens.iter().rev() {
            match slice(self.text, self.base, token) {
                ")" | "]" => closed += 1,
                "(" | "[" if closed == 0 => return Some(token),
                "(" | "[" => closed -= 1,
                ";" | "{" | "}" => return None,
                _ => {}
            }
        }
        None
    }

    fn describe_found(&self) -> String {
        if self.error.at_end {
            return "the end of the script".to_string();
        }
        let mut shown: String = self.found.chars().take(30).collect();
        if shown.len() < self.found.len() {
            shown.push('…');
        }
        format!("`{}`", shown.replace(['\n', '\r', '\t'], " "))
    }

    /// What to do, where the mistake is a well-known one.
    fn hint(&self) -> Option<String> {
        let operator_due = self.expects("&&");
        let hint = match self.found {
            // Not `operator_due`: the tables take `=` for the end of the operand and forget what else may follow.
            "=" if !self.expects("number") => {
                "to compare write `==`; an assignment is a statement of its own"
            }
            "and" if operator_due => "write `&&`",
            "or" if operator_due => "write `||`",
            "not" if self.expects("!") => "write `!`",
            _ if operator_due && self.before_text == "not" => "write `!`",
            "else" => "`else` follows the `}` of an `if`",
            "}" if self.expects("attach point") && !self.expects("{") => {
                "this `}` closes nothing: remove it, or add the `{` it belongs to"
            }
            "+" if self.expects("-") && !operator_due => "there is no unary `+`",
            "**" => "there is no operator for powers",
            "\"" => "strings are written with `\"`",
            _ if self.expects("{") && operator_due && self.before_text == ")" => {
                "the body of an `if` needs braces: `if (…) { … }`"
            }
            _ if self.expects("/") && self.expects("{") => {
                "a probe is written `kprobe:name /condition/ { statements }`; several names are separated by commas"
            }
            _ if self.expects("attach point") && self.error.expected.len() < 9 => {
                "a script consists of probes such as `kprobe:tcp_connect { … }`"
            }
            _ => return None,
        };
        Some(hint.to_string())
    }
}

/// Terminals that start an operand and nothing else.
const OPERANDS: [&str; 8] = [
    "number",
    "string",
    "variable",
    "map",
    "identifier",
    "sizeof",
    "true",
    "(",
];

/// The expected terminals as words: what ends or separates first, then what may stand instead.
fn describe(expected: &[String]) -> String {
    let names: Vec<&str> = expected.iter().map(|name| name.trim_matches('"')).collect();
    let has = |name: &str| names.contains(&name);
    let operand = has("number") && has("variable");
    let mut words: Vec<String> = Vec::new();
    for name in [";", ",", ")", "]", ":", "/"] {
        if has(name) && !(operand && name != ")" && name != "]") {
            words.push(format!("`{name}`"));
        }
    }
    if has("/ {") {
        words.push("`/` before the body".to_string());
    }
    if operand && has("return") {
        words.push("a statement".to_string());
    } else if operand {
        words.push("an expression".to_string());
    }
    for name in ["{", "}"] {
        if has(name) {
            words.push(format!("`{name}`"));
        }
    }
    if has("attach point") {
        words.push("a probe".to_string());
    }
    let single = [
        ("variable", "a variable"),
        ("number", "a number"),
        ("identifier", "a name"),
        ("type name", "a type"),
    ];
    if !operand && has("number") && has("string") {
        words.push("a value".to_string());
    } else if !operand {
        let is_type = has("struct");
        for (name, word) in single {
            if has(name) && !(is_type && name == "identifier") && (!has("}") || name == "variable")
            {
                words.push(word.to_string());
            }
        }
    }
    if words.is_empty() {
        words.extend(
            names
                .iter()
                .filter(|name| !OPERANDS.contains(name))
                .map(|name| format!("`{name}`")),
        );
    }
    words.truncate(6);
    join(&words)
}

fn join(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}
