//! The token stream that the parser reads.
//!
//! In: a script's text. Out: tokens with absolute offsets, and on the side what is wrong with the text, the preprocessor
//! lines and the facts that [`crate::syntax_error`] needs. It never fails: text that is no token becomes [`Tok::Bad`] and has
//! been reported. What a token is depends on where it stands, and that is decided here and nowhere else:
//!
//! * outside of braces words are attach points ([`crate::header`]), and a slash opens a predicate;
//! * in a predicate a slash before `{` closes it, any other divides;
//! * a `(` before a type is a token of its own ([`crate::type_ahead`]);
//! * behind `.` and `->` every word is a field;
//! * constructs that nettrace does not know are reported and passed over ([`crate::not_yet`]).
//!
//! Brackets that the text leaves open are closed here, so that the parser sees whole probes; and everything that could
//! make the tree deep or the errors endless ends the stream.

use crate::ast::Directive;
use crate::codes;
use crate::condition::{Conditions, Verdict};
use crate::define::{Define, Line};
use crate::diag::Diagnostic;
use crate::not_yet::{self, Construct};
use crate::source::Span;
use crate::token::{LexError, Tok};
use crate::type_ahead::{self, Before};
use crate::{define, directive, header, lex_error, trivia};
use logos::Logos;
use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;

/// Brackets that may be open at once, and `?` in one operand list. Far above what people write; far below what would
/// overflow the stack of a pass that walks the tree.
pub(crate) const MAX_NESTING: usize = 200;

/// Errors after which the rest of a script is not read: by then it is not a script.
pub(crate) const MAX_ERRORS: usize = 40;

/// Tokens of one statement. Without it megabytes of a stray bracket would take seconds to recover from.
const MAX_STATEMENT: usize = 100_000;

/// A token or what is wrong with the text there.
pub(crate) struct Lexeme<'s> {
    pub(crate) tok: Result<Tok<'s>, LexError>,
    pub(crate) lo: usize,
    pub(crate) hi: usize,
}

/// The token behind `at`, blanks and comments passed over. Looks at nothing else; `None` at the end.
pub(crate) fn raw(text: &str, at: usize) -> Option<Lexeme<'_>> {
    let lo = trivia::skip(text, at).end;
    let rest = text.get(lo..)?;
    let mut lexer = Tok::lexer(rest);
    let tok = lexer.next()?;
    let len = match tok {
        Err(LexError::BadChar) => lex_error::bad_run(rest),
        _ => lexer.span().end,
    };
    Some(Lexeme {
        tok,
        lo,
        hi: lo + len,
    })
}

/// Where in a probe the lexer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Outside of braces, between items or in a probe's header.
    Header,
    /// Between the slashes of a predicate.
    Predicate,
    /// Inside braces, or in the config block from its first word on.
    Body,
}

/// An open bracket.
#[derive(Clone, Copy, Debug)]
struct Open {
    bracket: char,
    at: usize,
}

/// What the lexer learns beside the tokens.
#[derive(Default)]
pub(crate) struct Findings {
    /// Preprocessor lines.
    pub(crate) directives: Vec<Directive>,
    /// Their definitions.
    pub(crate) defines: Vec<Define>,
    /// What is wrong with the text itself.
    pub(crate) diags: Vec<Diagnostic>,
    /// Spans of all tokens, in order.
    pub(crate) tokens: Vec<Span>,
    /// Offsets of tokens that the parser shall not complain about, ascending.
    pub(crate) silent: Vec<u32>,
    /// The parser shall not complain from here on: the stream was ended early or brackets were closed.
    pub(crate) silent_from: Option<u32>,
}

/// The token iterator.
pub(crate) struct Lexer<'s, 'e> {
    text: &'s str,
    base: u32,
    at: usize,
    mode: Mode,
    open: Vec<Open>,
    questions: usize,
    /// Tokens since a statement last started.
    statement: usize,
    previous: Option<Tok<'s>>,
    queue: VecDeque<(Tok<'s>, usize, usize)>,
    ended: bool,
    conditions: Conditions,
    /// The text is the body of a probe, whose braces are not written.
    bare: bool,
    errors: &'e Cell<usize>,
    pub(crate) findings: Findings,
}

impl<'s> Iterator for Lexer<'s, '_> {
    type Item = Result<(u32, Tok<'s>, u32), Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        let (tok, lo, hi) = self.token()?;
        let span = self.span(lo, hi);
        self.findings.tokens.push(span);
        self.statement += 1;
        self.previous = Some(tok.clone());
        Some(Ok((span.lo, tok, span.hi)))
    }
}

impl<'s, 'e> Lexer<'s, 'e> {
    /// A lexer for `text`, whose first byte has the offset `base`. `errors` counts mistakes of lexer and parser together.
    pub(crate) fn new(text: &'s str, base: u32, errors: &'e Cell<usize>) -> Lexer<'s, 'e> {
        Lexer {
            text,
            base,
            at: 0,
            mode: Mode::Header,
            open: Vec::new(),
            questions: 0,
            statement: 0,
            previous: None,
            queue: VecDeque::new(),
            ended: false,
            conditions: Conditions::default(),
            bare: false,
            errors,
            findings: Findings::default(),
        }
    }

    /// A lexer for the statements of a `begin` probe without the probe around them; its tokens are those of the whole probe.
    pub(crate) fn of_body(text: &'s str, base: u32, errors: &'e Cell<usize>) -> Lexer<'s, 'e> {
        let mut lexer = Lexer::new(text, base, errors);
        lexer.bare = true;
        lexer.mode = Mode::Body;
        lexer.push('{', 0);
        let around = [(Tok::AttachPoint("begin"), 0, 0), (Tok::LBrace, 0, 0)];
        lexer.queue.extend(around);
        lexer
    }

    fn span(&self, lo: usize, hi: usize) -> Span {
        Span::new(self.base + lo as u32, self.base + hi as u32)
    }

    fn rest(&self) -> &'s str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn report(&mut self, diag: Diagnostic) {
        self.errors.set(self.errors.get() + 1);
        self.findings.diags.push(diag);
    }

    /// The next token.
    fn token(&mut self) -> Option<(Tok<'s>, usize, usize)> {
        loop {
            if let Some(token) = self.queue.pop_front() {
                return Some(token);
            }
            if self.ended {
                return None;
            }
            self.skip_trivia();
            if self.statement >= MAX_STATEMENT {
                self.statement_too_large();
            } else if self.errors.get() >= MAX_ERRORS {
                self.end_early();
            } else if self.at >= self.text.len() {
                self.end();
            } else if self.rest().starts_with('#') && trivia::starts_line(self.text, self.at) {
                self.directive();
            } else if let Some(token) = match self.mode {
                Mode::Header => self.header_token(),
                Mode::Predicate | Mode::Body => self.body_token(),
            } {
                return Some(token);
            }
        }
    }

    fn skip_trivia(&mut self) {
        let trivia = trivia::skip(self.text, self.at);
        self.at = trivia.end;
        if let Some(open) = trivia.open_comment {
            let diag = Diagnostic::error(
                codes::UNTERMINATED,
                self.span(open, open + 2),
                "comment without an end",
            )
            .help("close it with `*/`");
            self.report(diag);
            self.end_early();
        }
    }

    fn directive(&mut self) {
        let lo = self.at;
        let line = self
            .rest()
            .get(..directive::line_len(self.rest()))
            .unwrap_or("");
        self.at += line.len();
        let first = self
            .text
            .get(..lo)
            .is_some_and(|before| before.is_empty() || before == "\u{feff}");
        let line = line.trim_end();
        let span = self.span(lo, lo + line.len());
        match self.conditions.read(line, span, self.rest()) {
            Verdict::Other => {}
            Verdict::Go => return,
            Verdict::Skip(len) => return self.at += len,
            Verdict::Wrong(diag) => return self.report(diag),
        }
        match define::read(line, span) {
            Line::Value(define) => return self.findings.defines.push(define),
            Line::Wrong(diag) => return self.report(diag),
            Line::Other => {}
        }
        let (directive, problem) = directive::read(line, span, first, self.mode != Mode::Header);
        self.findings.directives.push(directive);
        if let Some(problem) = problem {
            self.report(problem);
        }
    }

    /// A token outside of braces.
    fn header_token(&mut self) -> Option<(Tok<'s>, usize, usize)> {
        let lo = self.at;
        let rest = self.rest();
        let single = |tok| Some((tok, lo, lo + 1));
        self.at += 1;
        match rest.as_bytes().first() {
            Some(b'{') => {
                self.push('{', lo);
                self.mode = Mode::Body;
                self.statement = 0;
                return single(Tok::LBrace);
            }
            Some(b'}') => return single(Tok::RBrace),
            Some(b',') => return single(Tok::Comma),
            // What ends a C definition is no mistake after a probe either.
            Some(b';')
                if matches!(
                    self.previous,
                    Some(Tok::RBrace | Tok::SkippedItem | Tok::Semi)
                ) =>
            {
                return None;
            }
            Some(b';') => return single(Tok::Semi),
            Some(b'/') => {
                self.mode = Mode::Predicate;
                return single(Tok::PredicateStart);
            }
            _ => self.at = lo,
        }
        let (len, kind) = header::word(rest);
        // `word` reads at least one character here; the `max` keeps the loop going whatever happens.
        let len = len.max(rest.chars().next().map_or(1, char::len_utf8));
        let text = rest.get(..len).unwrap_or(rest);
        self.at = lo + len;
        let tok = match kind {
            header::Word::Item(tok) => {
                self.mode = Mode::Body;
                tok
            }
            header::Word::Construct => match not_yet::item(text) {
                Some(construct) => return self.pass_over(construct, lo),
                None => Tok::Ident(text),
            },
            header::Word::AttachPoint => Tok::AttachPoint(text),
            header::Word::OpenQuote => {
                let span = self.span(lo, self.at);
                self.report(lex_error::open_string(span));
                self.silent(lo);
                Tok::Bad
            }
            header::Word::Junk => Tok::Ident(text),
        };
        Some((tok, lo, self.at))
    }

    /// A token inside braces or in a predicate.
    fn body_token(&mut self) -> Option<(Tok<'s>, usize, usize)> {
        if self.mode == Mode::Body && !self.bare && self.starts_next_probe() {
            self.close_before_probe();
            return None;
        }
        let Lexeme { tok, lo, hi } = raw(self.text, self.at)?;
        self.at = hi;
        let tok = match tok {
            Ok(tok) => tok,
            Err(error) => return self.bad_token(error, lo, hi),
        };
        let tok = self.in_context(tok, lo, hi);
        if let Some(construct) = not_yet::inside(&tok) {
            return self.pass_over(construct, lo);
        }
        let hi = self.at;
        if self.bare && tok == Tok::RBrace && self.braces() == 1 {
            self.report(lex_error::nothing_to_close(self.span(lo, hi)));
            self.end_early();
            return None;
        }
        if !self.track(&tok, lo) {
            return None;
        }
        Some((tok, lo, hi))
    }

    fn bad_token(
        &mut self,
        error: LexError,
        lo: usize,
        hi: usize,
    ) -> Option<(Tok<'s>, usize, usize)> {
        let text = self.text.get(lo..hi).unwrap_or("");
        let span = self.span(lo, hi);
        self.report(lex_error::diagnostic(&error, text, span));
        // Where it is clear what was meant, the parser goes on as if it had been written.
        let tok = match error {
            LexError::BadChar if lex_error::is_blank(text) => return None,
            LexError::Number(_) if text.starts_with('$') => Tok::Positional(1),
            LexError::Number(_) => Tok::Int(0),
            LexError::Escape(_) => Tok::Str(Vec::new()),
            LexError::BadChar if lex_error::is_quoted(text) => Tok::Str(Vec::new()),
            LexError::BadChar | LexError::OpenString => {
                self.silent(lo);
                Tok::Bad
            }
        };
        Some((tok, lo, hi))
    }

    /// What a token is where it stands.
    fn in_context(&mut self, tok: Tok<'s>, lo: usize, hi: usize) -> Tok<'s> {
        if tok.is_word() && matches!(self.previous, Some(Tok::Dot | Tok::Arrow)) {
            return Tok::Ident(self.text.get(lo..hi).unwrap_or(""));
        }
        match tok {
            Tok::LBrace if self.value_due() => Tok::ValueBrace,
            Tok::If if self.value_due() => Tok::ValueIf,
            Tok::Slash if self.mode == Mode::Predicate && self.before_brace() => Tok::PredicateEnd,
            Tok::LParen if self.opens_type() => Tok::TypeParen,
            Tok::Ident(name)
                if type_ahead::is_type_word(name) || type_ahead::is_qualifier(name) =>
            {
                self.type_words(lo, hi)
            }
            Tok::Int(_) if self.is_fraction(lo) => {
                let end = hi + 1 + number_len(self.text.get(hi + 1..).unwrap_or(""));
                self.at = end;
                let span = self.span(lo, end);
                self.report(lex_error::fraction(span));
                Tok::Int(0)
            }
            tok => tok,
        }
    }

    fn before_brace(&self) -> bool {
        let next = trivia::skip(self.text, self.at).end;
        self.text.as_bytes().get(next) == Some(&b'{')
    }

    fn opens_type(&self) -> bool {
        let before = match &self.previous {
            Some(Tok::Ident(_) | Tok::AttachPoint(_)) => return false,
            Some(Tok::Sizeof | Tok::Offsetof) => Before::Sizeof,
            Some(Tok::If | Tok::ValueIf | Tok::While | Tok::Unroll) => Before::If,
            _ => Before::Operand,
        };
        type_ahead::opens_type(self.text, self.at, before)
    }

    /// Joins `unsigned long` into one token; drops nothing, the tree normalises the name. A single word stays a name.
    fn type_words(&mut self, lo: usize, hi: usize) -> Tok<'s> {
        let (mut end, mut last) = (hi, self.text.get(lo..hi).unwrap_or(""));
        while let Some(next) = raw(self.text, end)
            && let Ok(Tok::Ident(name)) = next.tok
            && (type_ahead::is_qualifier(last)
                || type_ahead::is_type_word(name)
                || type_ahead::is_type_name(name))
        {
            (end, last) = (next.hi, name);
        }
        self.at = end;
        let text = self.text.get(lo..end).unwrap_or("");
        if end > hi || type_ahead::is_qualifier(text) {
            Tok::TypeWords(text)
        } else {
            Tok::Ident(text)
        }
    }

    /// Whether the number at `lo` is followed by `.` and a digit without being part of `$t.0.1`.
    fn is_fraction(&self, lo: usize) -> bool {
        let rest = self.text.get(lo..).unwrap_or("");
        let behind = rest.get(number_len(rest)..).unwrap_or("");
        let digit = |c: char| c.is_ascii_digit();
        behind
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(digit))
            && self.previous != Some(Tok::Dot)
    }

    /// Whether the token before shows that a value has to follow.
    fn value_due(&self) -> bool {
        use Tok::*;
        let assigns = matches!(
            self.previous,
            Some(
                Assign
                    | AddAssign
                    | SubAssign
                    | MulAssign
                    | DivAssign
                    | ModAssign
                    | AndAssign
                    | OrAssign
                    | XorAssign
                    | ShlAssign
                    | ShrAssign
            )
        );
        let in_config = self.open.is_empty() && self.mode == Mode::Body;
        let operand = matches!(
            self.previous,
            Some(LParen | LBracket | Comma | Return | Question | Colon | Comptime)
        );
        !in_config && (assigns || operand)
    }

    /// Reports a construct and moves behind it; the token that stands in its place.
    fn pass_over(&mut self, construct: &Construct, lo: usize) -> Option<(Tok<'s>, usize, usize)> {
        let span = self.span(lo, self.at);
        self.report(construct.diagnostic(span));
        self.at = not_yet::end(self.text, self.at, construct.shape);
        Some((construct.stands_for.clone(), lo, self.at))
    }

    /// Keeps the brackets and the mode. False when the stream ends here.
    fn track(&mut self, tok: &Tok<'s>, lo: usize) -> bool {
        match tok {
            Tok::LBrace | Tok::ValueBrace => {
                self.push('{', lo);
                self.mode = Mode::Body;
            }
            Tok::LParen | Tok::TypeParen => self.push('(', lo),
            Tok::LBracket => self.push('[', lo),
            Tok::RBrace => {
                self.close('{');
                if !self.open.iter().any(|open| open.bracket == '{') {
                    self.mode = Mode::Header;
                }
            }
            Tok::RParen => self.close('('),
            Tok::RBracket => self.close('['),
            Tok::Semi => {
                self.close_to_brace();
                if self.open.is_empty() {
                    self.mode = Mode::Header;
                }
            }
            Tok::PredicateEnd => {
                self.close_to_brace();
                self.mode = Mode::Header;
            }
            Tok::Question => self.questions += 1,
            _ => {}
        }
        match tok {
            Tok::Semi | Tok::LBrace | Tok::ValueBrace | Tok::RBrace => {
                (self.questions, self.statement) = (0, 0)
            }
            Tok::Comma => self.questions = 0,
            _ => {}
        }
        if self.open.len() <= MAX_NESTING && self.questions <= MAX_NESTING {
            return true;
        }
        let diag = lex_error::too_deep(self.span(lo, lo + 1));
        self.report(diag);
        self.end_early();
        false
    }

    fn push(&mut self, bracket: char, at: usize) {
        self.open.push(Open { bracket, at });
    }

    /// Closes the innermost `bracket` and what is open inside it. A closing bracket without an opening one changes
    /// nothing: the parser tells.
    fn close(&mut self, bracket: char) {
        let inner = self.open.iter().rposition(|open| open.bracket == bracket);
        // A brace encloses; a parenthesis behind it cannot close one before it.
        let brace = self.open.iter().rposition(|open| open.bracket == '{');
        if let Some(inner) = inner.filter(|&inner| brace.is_none_or(|brace| brace <= inner)) {
            self.open.truncate(inner);
        }
    }

    /// `;` ends every parenthesis: none of the language's holds statements.
    fn close_to_brace(&mut self) {
        let brace = self.open.iter().rposition(|open| open.bracket == '{');
        self.open.truncate(brace.map_or(0, |brace| brace + 1));
    }

    fn starts_next_probe(&self) -> bool {
        let first_column = self.at == 0 || self.text.as_bytes().get(self.at - 1) == Some(&b'\n');
        first_column && self.questions == 0 && header::is_probe_start(self.rest())
    }

    /// Reports the missing `}` before a probe and closes what is open.
    fn close_before_probe(&mut self) {
        if let Some(open) = self
            .open
            .iter()
            .rev()
            .find(|open| open.bracket == '{')
            .copied()
        {
            let end = self
                .findings
                .tokens
                .last()
                .map_or(0, |span| (span.hi - self.base) as usize);
            let diag = Diagnostic::error(
                codes::UNEXPECTED_TOKEN,
                self.span(end, end),
                "expected `}` before the next probe",
            )
            .label("the body has to end here")
            .also(self.span(open.at, open.at + 1), "this `{` is never closed");
            self.report(diag);
        }
        self.close_all();
        self.mode = Mode::Header;
    }

    fn braces(&self) -> usize {
        self.open.iter().filter(|open| open.bracket == '{').count()
    }

    /// The text has ended; reports what is still open.
    fn end(&mut self) {
        if self.bare && self.open.len() == 1 {
            self.open.clear();
            self.queue.push_back((Tok::RBrace, self.at, self.at));
        }
        if let Some(open) = self.open.last().copied() {
            let closer = match open.bracket {
                '(' => ')',
                '[' => ']',
                _ => '}',
            };
            let message = format!("expected `{closer}`, found the end of the script");
            let diag = Diagnostic::error(
                codes::UNEXPECTED_TOKEN,
                self.span(open.at, open.at + 1),
                message,
            )
            .label(format!("this `{}` is never closed", open.bracket));
            self.report(diag);
            self.end_early();
        }
        self.ended = true;
    }

    fn statement_too_large(&mut self) {
        // Whoever has another mistake to mend needs not hear of this one.
        if self.errors.get() == 0 {
            let diag = lex_error::too_large(self.span(self.at, self.at), MAX_STATEMENT);
            self.report(diag);
        }
        self.end_early();
    }

    /// Stops reading; the parser gets the braces that are open and keeps silent from here on.
    fn end_early(&mut self) {
        let here = self.span(self.at, self.at).lo;
        self.findings.silent_from.get_or_insert(here);
        self.close_all();
        self.ended = true;
    }

    fn close_all(&mut self) {
        let braces = self.braces();
        self.open.clear();
        self.questions = 0;
        if braces > 0 {
            self.silent(self.at);
        }
        for _ in 0..braces {
            self.queue.push_back((Tok::RBrace, self.at, self.at));
        }
    }

    fn silent(&mut self, at: usize) {
        let at = self.span(at, at).lo;
        self.findings.silent.push(at);
    }
}

fn number_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}
