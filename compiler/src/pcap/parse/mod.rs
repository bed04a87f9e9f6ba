//! Tokens of a filter to its syntax tree, by recursive descent.
//!
//! Three things depend on what came before. After `and` and `or` a bare identifier takes over the qualifiers of the test before it
//! (`host a or b`); parentheses may hold tests, a list of identifiers or a part of an arithmetic expression, which shows only
//! inside; and a number is an identifier or the beginning of a comparison. So [`Parser::unit`] gives a [`Thing`], and whoever needs
//! one of its kinds asks for it.
//!
//! The grammar is that of libpcap 1.10; `and` and `or` have the same precedence in it.

use nettrace_grammar::diag::Diagnostic;
use nettrace_grammar::{Span, codes};

mod address;
mod arith;
mod other;

use super::ast::{Arith, ArithKind, Expr, Form, Id, Join, Kind, Primitive, Quals, Relation};
use super::lex::{Tok, Token};
use super::names::Names;
use super::resolve::resolve;
use super::words::{WORDS, Word};
use crate::kernel::similar;

/// How deep parentheses and `not` may nest.
const DEPTH: u32 = 64;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;
type Test = Expr;

/// What stands between two `and`s.
enum Thing {
    /// Part of a comparison that has not been compared yet, or, when a plain number, an identifier.
    Arith(Arith),
    /// A test, and what a bare identifier after it takes over.
    Test {
        test: Test,
        quals: Option<Quals>,
        /// An identifier or a list of them.
        is_id: bool,
    },
}

struct Parser<'a> {
    tokens: &'a [Token],
    names: &'a dyn Names,
    at: usize,
    /// Behind the last token.
    end: Span,
    depth: u32,
    /// Operators of the arithmetic expression being read.
    operators: u32,
    /// How often `geneve` was read.
    geneve: u32,
}

/// The tree of a whole filter; `None` for an empty one, which every packet passes. `end` is the place behind the text.
pub(super) fn parse(tokens: &[Token], end: Span, names: &dyn Names) -> Result<Option<Test>> {
    let mut parser = Parser {
        tokens,
        names,
        at: 0,
        end,
        depth: 0,
        operators: 0,
        geneve: 0,
    };
    if tokens.is_empty() {
        return Ok(None);
    }
    let thing = parser.chain(None)?;
    let (test, _, _) = parser.test(thing, None)?;
    match parser.peek() {
        None => Ok(Some(test)),
        Some(_) => Err(parser.trailing()),
    }
}

fn wrong(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::BAD_FILTER, span, message)
}

impl<'a> Parser<'a> {
    // ---- tokens -------------------------------------------------------------------------------------------------------

    fn peek(&self) -> Option<&'a Tok> {
        self.tokens.get(self.at).map(|token| &token.tok)
    }

    fn second(&self) -> Option<&'a Tok> {
        self.tokens.get(self.at + 1).map(|token| &token.tok)
    }

    /// The place of the next token.
    fn span(&self) -> Span {
        self.tokens
            .get(self.at)
            .map_or(self.end, |token| token.span)
    }

    /// The place of the token just taken.
    fn before(&self) -> Span {
        let token = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        token.map_or(self.end, |token| token.span)
    }

    fn take_word(&mut self, word: Word) -> bool {
        let found = self.peek() == Some(&Tok::Word(word));
        self.at += usize::from(found);
        found
    }

    fn take_op(&mut self, op: &'static str) -> bool {
        let found = self.peek() == Some(&Tok::Op(op));
        self.at += usize::from(found);
        found
    }

    fn join(&mut self) -> Option<Join> {
        let join = match self.peek()? {
            Tok::Word(Word::And) | Tok::Op("&&") => Join::And,
            Tok::Word(Word::Or) | Tok::Op("||") => Join::Or,
            _ => return None,
        };
        self.at += 1;
        Some(join)
    }

    /// "… where X was expected", at the next token.
    fn expected(&self, what: &str) -> Box<Diagnostic> {
        let diag = match self.peek() {
            None => wrong(self.span(), "the filter ends too early"),
            Some(_) => wrong(self.span(), "the filter cannot be read from here"),
        };
        let diag = diag.label(format!("expected {what}"));
        Box::new(match self.peek() {
            Some(Tok::Op(")")) if self.depth == 0 => diag.note("no `(` is open"),
            _ => diag,
        })
    }

    /// A complete test is followed by something else than `and`, `or` and the end.
    fn trailing(&self) -> Box<Diagnostic> {
        let diag = self.expected("`and`, `or` or the end of the filter");
        Box::new(match self.peek() {
            Some(Tok::Op("&" | "|")) => {
                diag.help("tests are joined with `and` and `or`, or `&&` and `||`")
            }
            Some(Tok::Op("[")) => {
                diag.help("bytes are read as in `tcp[13]`: a protocol and the offset in it")
            }
            Some(Tok::Word(_) | Tok::Name(_) | Tok::Number(_) | Tok::Dotted(_) | Tok::V6(_)) => {
                diag.help("put `and` or `or` between two tests")
            }
            _ => *diag,
        })
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            let diag = wrong(self.span(), "the filter is nested too deeply");
            return Err(Box::new(diag.note(format!("at most {DEPTH} levels"))));
        }
        Ok(())
    }

    // ---- tests --------------------------------------------------------------------------------------------------------

    /// Tests with `and` and `or` between them, up to `)` or the end; or an arithmetic expression in parentheses.
    fn chain(&mut self, quals: Option<Quals>) -> Result<Thing> {
        let thing = self.unit(quals)?;
        if !matches!(
            self.peek(),
            Some(Tok::Word(Word::And | Word::Or) | Tok::Op("&&" | "||"))
        ) {
            return Ok(thing);
        }
        let (first, mut quals, is_id) = self.test(thing, quals)?;
        let mut rest = Vec::new();
        while let Some(join) = self.join() {
            let next = match (is_id, quals) {
                (true, Some(quals)) => self.ids(quals)?,
                _ => {
                    let thing = self.unit(quals)?;
                    let (next, inherited, _) = self.test(thing, quals)?;
                    quals = inherited;
                    next
                }
            };
            rest.push((join, next));
        }
        Ok(Thing::Test {
            test: Expr::Chain(Box::new(first), rest),
            quals,
            is_id,
        })
    }

    /// A thing as a test.
    fn test(&self, thing: Thing, quals: Option<Quals>) -> Result<(Test, Option<Quals>, bool)> {
        match thing {
            Thing::Test { test, quals, is_id } => Ok((test, quals, is_id)),
            Thing::Arith(Arith {
                span,
                kind: ArithKind::Number(value),
            }) => match quals {
                Some(quals) => {
                    let form = Form::Number(value);
                    Ok((self.id(quals, Id { span, form })?, Some(quals), true))
                }
                None => Err(self.bare(span, &Tok::Number(value))),
            },
            Thing::Arith(_) => Err(self.expected("a comparison: one of < <= = != >= >")),
        }
    }

    fn id(&self, quals: Quals, id: Id) -> Result<Test> {
        Ok(Expr::Primitive(Primitive {
            span: id.span,
            kind: Kind::Id(resolve(quals, &id, self.names)?),
        }))
    }

    /// Something between `and`s.
    fn unit(&mut self, quals: Option<Quals>) -> Result<Thing> {
        let start = self.span();
        if self.take_op("!") || self.take_word(Word::Not) {
            self.deeper()?;
            let thing = self.unit(quals)?;
            let (test, quals, is_id) = self.test(thing, quals)?;
            self.depth -= 1;
            let test = Expr::Not(Box::new(test));
            return Ok(Thing::Test { test, quals, is_id });
        }
        let thing = self.primary(quals)?;
        let Thing::Arith(left) = thing else {
            return Ok(thing);
        };
        let left = self.arith_from(left, 0)?;
        let Some(relation) = self.relation() else {
            return Ok(Thing::Arith(left));
        };
        self.operators = 0;
        let right = self.arith(0)?;
        self.operators = 0;
        if self.relation().is_some() {
            self.at -= 1;
            let diag = self.expected("`and`, `or` or the end of the comparison");
            return Err(Box::new(diag.note("a comparison has two sides")));
        }
        Ok(self.done(start, Kind::Relation(relation, left, right)))
    }

    /// A primitive that nothing is inherited from.
    fn done(&self, start: Span, kind: Kind) -> Thing {
        let span = start.to(self.before());
        Thing::Test {
            test: Expr::Primitive(Primitive { span, kind }),
            quals: None,
            is_id: false,
        }
    }

    fn relation(&mut self) -> Option<Relation> {
        let Some(Tok::Op(op)) = self.peek() else {
            return None;
        };
        let relation = arith::relation(op)?;
        self.at += 1;
        Some(relation)
    }

    fn primary(&mut self, quals: Option<Quals>) -> Result<Thing> {
        let start = self.span();
        let Some(tok) = self.peek() else {
            return Err(self.expected("a test, such as `tcp` or `host 10.0.0.1`"));
        };
        match tok {
            Tok::Op("(") => {
                self.at += 1;
                self.group(quals)
            }
            Tok::Op("-") | Tok::Word(Word::Len) | Tok::Number(_) => {
                self.operators = 0;
                self.operand().map(Thing::Arith)
            }
            Tok::Name(_) | Tok::Dotted(_) | Tok::V6(_) | Tok::Mac(_) => match quals {
                Some(quals) => {
                    let test = self.ids(quals)?;
                    Ok(Thing::Test {
                        test,
                        quals: Some(quals),
                        is_id: true,
                    })
                }
                None => Err(self.bare(start, tok)),
            },
            Tok::Word(Word::Proto(proto)) => {
                if self.second() == Some(&Tok::Op("[")) {
                    self.operators = 0;
                    return self.operand().map(Thing::Arith);
                }
                self.at += 1;
                self.qualified(start, Some(*proto))
            }
            Tok::Word(word) => self.other(start, *word),
            Tok::Op(_) => Err(self.expected("a test, such as `tcp` or `host 10.0.0.1`")),
        }
    }

    /// Behind `(`, up to and with `)`.
    fn group(&mut self, outer: Option<Quals>) -> Result<Thing> {
        let open = self.before();
        self.deeper()?;
        let thing = self.chain(outer)?;
        if !self.take_op(")") {
            let diag = match thing {
                Thing::Arith(_) => self.expected("an operator, a comparison or `)`"),
                Thing::Test { .. } => self.expected("`and`, `or` or `)`"),
            };
            return Err(Box::new(diag.also(open, "this is open")));
        }
        self.depth -= 1;
        Ok(match thing {
            // What follows a group of tests inherits from before it.
            Thing::Test {
                test, is_id: false, ..
            } => Thing::Test {
                test,
                quals: outer,
                is_id: false,
            },
            thing => thing,
        })
    }

    /// An identifier stands where a test begins, and there is nothing to inherit from.
    fn bare(&self, span: Span, tok: &Tok) -> Box<Diagnostic> {
        let diag = wrong(span, "an identifier without a word that says what it is");
        let diag = diag.label("expected a word such as `host`, `net` or `port` before it");
        Box::new(match tok {
            Tok::Name(name) => {
                let ours = |(_, word): &&(_, Word)| !matches!(word, Word::Foreign(_) | Word::Rnr);
                let words = WORDS.iter().filter(ours).map(|(word, _)| word);
                match similar::nearest(name, words).first() {
                    Some(near) => diag.help(format!("did you mean `{near}`?")),
                    None => diag.help(format!("for a machine of that name write `host {name}`")),
                }
            }
            Tok::Number(number) => diag.help(format!("for a port write `port {number}`")),
            Tok::Mac(_) => diag.help("for this address write `ether host` before it"),
            _ => diag.help("for this address write `host` before it"),
        })
    }
}
