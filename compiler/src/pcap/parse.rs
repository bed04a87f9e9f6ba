//! Tokens of a filter to its syntax tree: recursive descent, with precedence climbing in arithmetic.
//!
//! Three things depend on what came before. After `and` and `or` a bare identifier takes over the qualifiers of the test before it
//! (`host a or b`); parentheses may hold tests, a list of identifiers or a part of an arithmetic expression, which shows only
//! inside; and a number is an identifier or the beginning of a comparison. So [`Parser::unit`] gives a [`Thing`], and whoever needs
//! one of its kinds asks for it.
//!
//! The grammar is that of libpcap 1.10, with its peculiarities: `and` and `or` have the same precedence, and `%` and `^` take all
//! arithmetic to their right.

use nettrace_grammar::diag::Diagnostic;
use nettrace_grammar::{Span, codes};

use super::ast::{
    Arith, ArithKind, ArithOp, ByteOp, Dir, Expr, Form, Id, IdKind, Join, Kind, Llc, Numeral,
    Primitive, Quals, Relation,
};
use super::lex::{Tok, Token};
use super::names::Names;
use super::resolve::resolve;
use super::words::{Foreign, Proto, WORDS, Word};
use crate::kernel::similar;

/// How deep parentheses and `not` may nest.
const DEPTH: u32 = 64;
/// How many operators one arithmetic expression may have.
const OPERATORS: u32 = 256;

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
        let relation = relation(op)?;
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
                let words = WORDS.iter().map(|(word, _)| word);
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

    // ---- qualifiers and identifiers -----------------------------------------------------------------------------------

    /// Behind a protocol, or where a direction or type begins.
    fn qualified(&mut self, start: Span, proto: Option<Proto>) -> Result<Thing> {
        let Some(Tok::Word(word)) = self.peek() else {
            return self.abbreviation(start, proto);
        };
        let kind = match word {
            Word::Src | Word::Dst => {
                let dir = self.direction();
                let kind = self.id_kind();
                return self.head(start, proto, Some(dir), kind);
            }
            Word::Host | Word::Net | Word::Port | Word::PortRange => self.id_kind(),
            Word::ProtoWord => self.just(IdKind::Proto),
            Word::ProtoChain => self.just(IdKind::ProtoChain),
            Word::Gateway => self.just(IdKind::Gateway),
            Word::Broadcast => {
                self.at += 1;
                return Ok(self.done(start, Kind::Broadcast(proto)));
            }
            Word::Multicast => {
                self.at += 1;
                return Ok(self.done(start, Kind::Multicast(proto)));
            }
            Word::Foreign(foreign) => return Err(self.foreign(*foreign)),
            _ => return self.abbreviation(start, proto),
        };
        self.head(start, proto, None, kind)
    }

    fn just(&mut self, kind: IdKind) -> Option<IdKind> {
        self.at += 1;
        Some(kind)
    }

    fn id_kind(&mut self) -> Option<IdKind> {
        let kind = match self.peek()? {
            Tok::Word(Word::Host) => IdKind::Host,
            Tok::Word(Word::Net) => IdKind::Net,
            Tok::Word(Word::Port) => IdKind::Port,
            Tok::Word(Word::PortRange) => IdKind::PortRange,
            _ => return None,
        };
        self.just(kind)
    }

    /// `src`, `dst`, `src or dst`, `dst and src` …
    fn direction(&mut self) -> Dir {
        let src = self.take_word(Word::Src);
        self.at += usize::from(!src);
        let other = if src { Word::Dst } else { Word::Src };
        let both = self.second() == Some(&Tok::Word(other));
        match (both, self.peek()) {
            (true, Some(Tok::Word(Word::Or) | Tok::Op("||"))) => {
                self.at += 2;
                Dir::Either
            }
            (true, Some(Tok::Word(Word::And) | Tok::Op("&&"))) => {
                self.at += 2;
                Dir::Both
            }
            _ if src => Dir::Src,
            _ => Dir::Dst,
        }
    }

    /// Behind qualifiers: what they are about.
    fn head(
        &mut self,
        start: Span,
        proto: Option<Proto>,
        dir: Option<Dir>,
        kind: Option<IdKind>,
    ) -> Result<Thing> {
        let span = start.to(self.before());
        let quals = Quals {
            span,
            proto,
            dir,
            kind,
        };
        let test = match self.ids(quals)? {
            // The first identifier's mark covers its qualifiers.
            Expr::Primitive(primitive) => Expr::Primitive(Primitive {
                span: span.to(primitive.span),
                ..primitive
            }),
            test => test,
        };
        Ok(Thing::Test {
            test,
            quals: Some(quals),
            is_id: false,
        })
    }

    /// A protocol alone.
    fn abbreviation(&mut self, start: Span, proto: Option<Proto>) -> Result<Thing> {
        match proto {
            Some(Proto::Link) => Err(self.expected(
                "`host`, `src`, `dst`, `proto`, `broadcast`, `multicast` or `[` after the link layer's name",
            )),
            Some(proto) => match self.peek() {
                Some(Tok::Dotted(_) | Tok::V6(_) | Tok::Mac(_) | Tok::Name(_) | Tok::Number(_)) => {
                    let diag = self.expected("a word that says what follows: `host`, `net`, `port` …");
                    Err(Box::new(diag.help(match self.peek() {
                        Some(Tok::Number(n)) => format!("for a port write `{} port {n}`", proto.word()),
                        _ => format!("for an address write `{} host` before it", proto.word()),
                    })))
                }
                _ => Ok(self.done(start, Kind::Proto(proto))),
            },
            None => Err(self.expected("a test, such as `tcp` or `host 10.0.0.1`")),
        }
    }

    /// One identifier, `not` one, or a list in parentheses.
    fn ids(&mut self, quals: Quals) -> Result<Test> {
        if self.take_op("!") || self.take_word(Word::Not) {
            self.deeper()?;
            let test = self.ids(quals)?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(test)));
        }
        if !self.take_op("(") {
            let id = self.one_id(quals)?;
            return self.id(quals, id);
        }
        let open = self.before();
        self.deeper()?;
        let first = self.ids(quals)?;
        let mut rest = Vec::new();
        while let Some(join) = self.join() {
            rest.push((join, self.ids(quals)?));
        }
        if !self.take_op(")") {
            let diag = self.expected("`and`, `or` or `)`");
            return Err(Box::new(diag.also(open, "this is open")));
        }
        self.depth -= 1;
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Chain(Box::new(first), rest),
        })
    }

    fn one_id(&mut self, quals: Quals) -> Result<Id> {
        let start = self.span();
        let Some(tok) = self.peek() else {
            return Err(self.expected(what(quals)));
        };
        self.at += 1;
        let form = match tok {
            Tok::Number(value) => Form::Number(*value),
            Tok::Name(name) => Form::Name(name.clone()),
            Tok::Mac(mac) => Form::Mac(*mac),
            Tok::V6(addr) => match self.prefix_length()? {
                Some(len) => Form::V6Len(*addr, len),
                None => Form::V6(*addr),
            },
            Tok::Dotted(parts) => {
                if self.take_word(Word::Mask) {
                    let span = self.span();
                    let Some(Tok::Dotted(mask)) = self.peek() else {
                        return Err(self.expected("a mask, such as 255.255.255.0"));
                    };
                    self.at += 1;
                    Form::DottedMask(parts.clone(), mask.clone(), span)
                } else {
                    match self.prefix_length()? {
                        Some(len) => Form::DottedLen(parts.clone(), len),
                        None => Form::Dotted(parts.clone()),
                    }
                }
            }
            Tok::Word(_) | Tok::Op(_) => {
                self.at -= 1;
                return Err(self.not_an_id(quals));
            }
        };
        if let (Form::Number(value), Some(Tok::Op("/"))) = (&form, self.peek()) {
            let diag = self.expected("`and`, `or` or the end of the filter");
            return Err(Box::new(
                diag.help(format!("write the network with dots: {value}.0.0.0/8")),
            ));
        }
        let span = start.to(self.before());
        Ok(Id { span, form })
    }

    /// `/24`
    fn prefix_length(&mut self) -> Result<Option<Numeral>> {
        if !self.take_op("/") {
            return Ok(None);
        }
        match self.peek() {
            Some(Tok::Number(value)) => {
                let span = self.span();
                self.at += 1;
                Ok(Some(Numeral {
                    span,
                    value: *value,
                }))
            }
            _ => Err(self.expected("how many bits of the address count, a number")),
        }
    }

    fn not_an_id(&self, quals: Quals) -> Box<Diagnostic> {
        let diag = self.expected(what(quals));
        let Some(Tok::Word(word)) = self.peek() else {
            return diag;
        };
        let text = WORDS
            .iter()
            .find(|(_, w)| w == word)
            .map_or("", |(text, _)| text);
        let named = matches!(quals.kind, Some(IdKind::Proto | IdKind::ProtoChain));
        Box::new(match word {
            Word::Proto(_) if named => diag
                .note(format!("`{text}` is a word of the filter language"))
                .help(format!("a backslash makes it a name: `\\{text}`")),
            Word::Src | Word::Dst | Word::Host | Word::Net | Word::Port => diag
                .help("qualifiers come in the order protocol, direction, type: `tcp src port 80`"),
            _ => *diag,
        })
    }

    // ---- other primitives ---------------------------------------------------------------------------------------------

    fn other(&mut self, start: Span, word: Word) -> Result<Thing> {
        if let Word::Src
        | Word::Dst
        | Word::Host
        | Word::Net
        | Word::Port
        | Word::PortRange
        | Word::ProtoWord
        | Word::ProtoChain
        | Word::Gateway
        | Word::Broadcast
        | Word::Multicast
        | Word::Foreign(_) = word
        {
            return self.qualified(start, None);
        }
        self.at += 1;
        let kind = match word {
            Word::Less => Kind::Less(self.number("a length in bytes")?.value),
            Word::Greater => Kind::Greater(self.number("a length in bytes")?.value),
            Word::Byte => self.byte()?,
            Word::Inbound => Kind::Direction(false),
            Word::Outbound => Kind::Direction(true),
            Word::Ifindex => Kind::Ifindex(self.number("a device's number")?.value),
            Word::Ifname => Kind::Ifname(self.device()?),
            Word::Vlan => Kind::Vlan(self.optional_number("VLAN ids go", 0xfff)?),
            Word::Mpls => Kind::Mpls(self.optional_number("MPLS labels go", 0xf_ffff)?),
            Word::Pppoed => Kind::PppoeDiscovery,
            Word::Pppoes => {
                Kind::PppoeSession(self.optional_number("PPPoE session ids go", 0xffff)?)
            }
            Word::Geneve => {
                Kind::Geneve(self.optional_number("Geneve network identifiers go", 0xff_ffff)?)
            }
            Word::Llc => Kind::Llc(self.llc()?),
            Word::Rnr => {
                self.at -= 1;
                return Err(self.foreign(Foreign::Pf));
            }
            _ => {
                self.at -= 1;
                return Err(self.expected("a test, such as `tcp` or `host 10.0.0.1`"));
            }
        };
        Ok(self.done(start, kind))
    }

    fn foreign(&self, foreign: Foreign) -> Box<Diagnostic> {
        let diag = wrong(self.span(), "this word has no meaning here");
        Box::new(
            diag.label(format!("is about {}", foreign.about()))
                .note("nettrace sees Ethernet frames and IP packets"),
        )
    }

    fn number(&mut self, what: &str) -> Result<Numeral> {
        let span = self.span();
        match self.peek() {
            Some(Tok::Number(value)) => {
                self.at += 1;
                Ok(Numeral {
                    span,
                    value: *value,
                })
            }
            _ => Err(self.expected(what)),
        }
    }

    /// A number, in any parentheses, if one follows.
    fn optional_number(&mut self, what: &str, largest: u32) -> Result<Option<u32>> {
        if !matches!(self.peek(), Some(Tok::Number(_) | Tok::Op("("))) {
            return Ok(None);
        }
        let mut open = 0;
        while self.take_op("(") {
            open += 1;
        }
        let number = self.number("a number")?;
        if number.value > largest {
            let diag = wrong(number.span, "the number is too large");
            return Err(Box::new(diag.label(format!("{what} up to {largest}"))));
        }
        for _ in 0..open {
            if !self.take_op(")") {
                return Err(self.expected("`)`"));
            }
        }
        Ok(Some(number.value))
    }

    fn byte(&mut self) -> Result<Kind> {
        let offset = self.number("the number of a byte of the frame")?.value;
        let op = match self.peek() {
            Some(Tok::Op("&")) => Some(ByteOp::And),
            Some(Tok::Op("|")) => Some(ByteOp::Or),
            Some(Tok::Op("<")) => Some(ByteOp::Is(Relation::Lt)),
            Some(Tok::Op(">")) => Some(ByteOp::Is(Relation::Gt)),
            Some(Tok::Op("=" | "==")) => Some(ByteOp::Is(Relation::Eq)),
            _ => None,
        };
        let Some(op) = op else {
            return Err(self.expected("one of = < > & |"));
        };
        self.at += 1;
        Ok(Kind::Byte(offset, op, self.number("a number")?.value))
    }

    fn device(&mut self) -> Result<String> {
        match self.peek() {
            Some(Tok::Name(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            _ => Err(self.expected("the name of a network device")),
        }
    }

    fn llc(&mut self) -> Result<Llc> {
        let name = match self.peek() {
            Some(Tok::Name(name)) => name.to_ascii_lowercase(),
            Some(Tok::Word(Word::Rnr)) => "rnr".to_string(),
            _ => return Ok(Llc::Any),
        };
        let Some((_, mask, value)) = LLC_TYPES.iter().find(|(known, _, _)| *known == name) else {
            let all: Vec<&str> = LLC_TYPES.iter().map(|(name, _, _)| *name).collect();
            let diag = self.expected("a type of LLC frame");
            return Err(Box::new(diag.help(format!("types are {}", all.join(" ")))));
        };
        self.at += 1;
        Ok(Llc::Control {
            mask: *mask,
            value: *value,
        })
    }

    // ---- arithmetic ---------------------------------------------------------------------------------------------------

    fn arith(&mut self, least: u8) -> Result<Arith> {
        let left = self.operand()?;
        self.arith_from(left, least)
    }

    /// Goes on behind an operand, with operators that bind at least that strong.
    fn arith_from(&mut self, mut left: Arith, least: u8) -> Result<Arith> {
        loop {
            let Some(Tok::Op(op)) = self.peek() else {
                return Ok(left);
            };
            let Some((op, strength, right)) = arith_op(op) else {
                return Ok(left);
            };
            if strength < least {
                return Ok(left);
            }
            self.at += 1;
            self.count()?;
            let right = self.arith(right)?;
            no_such_constant(op, &right)?;
            left = Arith {
                span: left.span.to(right.span),
                kind: ArithKind::Binary(op, Box::new(left), Box::new(right)),
            };
        }
    }

    fn count(&mut self) -> Result<()> {
        self.operators += 1;
        if self.operators > OPERATORS {
            let diag = wrong(self.before(), "the arithmetic expression is too long");
            return Err(Box::new(
                diag.note(format!("at most {OPERATORS} operators")),
            ));
        }
        Ok(())
    }

    fn operand(&mut self) -> Result<Arith> {
        let start = self.span();
        let expected = "a number, `len`, or bytes of a packet such as `tcp[13]`";
        let Some(tok) = self.peek() else {
            return Err(self.expected(expected));
        };
        self.at += 1;
        let kind = match tok {
            Tok::Number(value) => ArithKind::Number(*value),
            Tok::Word(Word::Len) => ArithKind::Length,
            Tok::Op("-") => {
                self.count()?;
                ArithKind::Neg(Box::new(self.arith(NEGATION)?))
            }
            Tok::Op("(") => {
                self.deeper()?;
                let inner = self.arith(0)?;
                if !self.take_op(")") {
                    let diag = self.expected("an operator or `)`");
                    return Err(Box::new(diag.also(start, "this is open")));
                }
                self.depth -= 1;
                inner.kind
            }
            Tok::Word(Word::Proto(proto)) if self.take_op("[") => self.load(*proto)?,
            Tok::Word(Word::Foreign(foreign)) => {
                self.at -= 1;
                return Err(self.foreign(*foreign));
            }
            _ => {
                self.at -= 1;
                return Err(self.expected(expected));
            }
        };
        let span = start.to(self.before());
        Ok(Arith { span, kind })
    }

    /// Behind `tcp[`, up to and with `]`.
    fn load(&mut self, proto: Proto) -> Result<ArithKind> {
        let name = self.tokens.get(self.at.saturating_sub(2)).map(|t| t.span);
        if !can_index(proto) {
            let message = format!("`{}` has no bytes that can be read", proto.word());
            let diag = wrong(name.unwrap_or(self.before()), message);
            let help = "bytes are those of ether, ip, ip6, arp, rarp, tcp, udp, sctp, icmp, icmp6, igmp, igrp, pim, vrrp, carp, \
                        atalk, decnet, lat, sca, moprc and mopdl";
            return Err(Box::new(diag.help(help)));
        }
        self.deeper()?;
        let index = self.arith(0)?;
        let mut size = 1;
        if self.take_op(":") {
            let number = self.number("how many bytes: 1, 2 or 4")?;
            size = match number.value {
                1 | 2 | 4 => number.value as u8,
                _ => {
                    let diag = wrong(number.span, "1, 2 or 4 bytes can be read at once");
                    return Err(Box::new(diag.label("expected 1, 2 or 4")));
                }
            };
        }
        if !self.take_op("]") {
            return Err(self.expected("`]`, or `:` and how many bytes"));
        }
        self.depth -= 1;
        Ok(ArithKind::Load(proto, Box::new(index), size))
    }
}

/// Types of LLC frames with mask and value of the control byte.
const LLC_TYPES: &[(&str, u8, u8)] = &[
    ("i", 0x01, 0x00),
    ("s", 0x03, 0x01),
    ("u", 0x03, 0x03),
    ("rr", 0x0f, 0x01),
    ("rnr", 0x0f, 0x05),
    ("rej", 0x0f, 0x09),
    ("ui", 0xef, 0x03),
    ("ua", 0xef, 0x63),
    ("disc", 0xef, 0x43),
    ("sabme", 0xef, 0x6f),
    ("test", 0xef, 0xe3),
    ("xid", 0xef, 0xaf),
    ("frmr", 0xef, 0x87),
];

fn relation(op: &str) -> Option<Relation> {
    Some(match op {
        "=" | "==" => Relation::Eq,
        "!=" => Relation::Ne,
        ">" => Relation::Gt,
        ">=" => Relation::Ge,
        "<" => Relation::Lt,
        "<=" => Relation::Le,
        _ => return None,
    })
}

/// How strong a minus sign binds its operand: more than all operators that have a precedence.
const NEGATION: u8 = 6;

/// An operator, how strong it binds what is left of it, and what operators right of it must have at least.
fn arith_op(op: &str) -> Option<(ArithOp, u8, u8)> {
    Some(match op {
        "|" => (ArithOp::Or, 1, 2),
        "&" => (ArithOp::And, 2, 3),
        "<<" => (ArithOp::Shl, 3, 4),
        ">>" => (ArithOp::Shr, 3, 4),
        "+" => (ArithOp::Add, 4, 5),
        "-" => (ArithOp::Sub, 4, 5),
        "*" => (ArithOp::Mul, 5, 6),
        "/" => (ArithOp::Div, 5, 6),
        // Without a precedence in libpcap's grammar: they take one operand on the left and everything on the right.
        "%" => (ArithOp::Mod, 7, 0),
        "^" => (ArithOp::Xor, 7, 0),
        _ => return None,
    })
}

/// Constants that an operator cannot take.
fn no_such_constant(op: ArithOp, right: &Arith) -> Result<()> {
    let ArithKind::Number(value) = right.kind else {
        return Ok(());
    };
    let message = match op {
        ArithOp::Div | ArithOp::Mod if value == 0 => "division by zero",
        ArithOp::Shl | ArithOp::Shr if value > 31 => "a shift by more than 31 bits",
        _ => return Ok(()),
    };
    Err(Box::new(wrong(right.span, message)))
}

fn can_index(proto: Proto) -> bool {
    !matches!(
        proto,
        Proto::Ah
            | Proto::Esp
            | Proto::Aarp
            | Proto::Iso
            | Proto::Esis
            | Proto::Isis
            | Proto::L1
            | Proto::L2
            | Proto::Iih
            | Proto::Lsp
            | Proto::Snp
            | Proto::Csnp
            | Proto::Psnp
            | Proto::Clnp
            | Proto::Stp
            | Proto::Ipx
            | Proto::Netbeui
    )
}

/// What follows qualifiers.
fn what(quals: Quals) -> &'static str {
    match quals.kind {
        None | Some(IdKind::Host) if quals.proto == Some(Proto::Link) => {
            "a MAC address or a name that has one"
        }
        None | Some(IdKind::Host) => "an address or a host's name",
        Some(IdKind::Net) => "a network, such as 10.1.0.0/16",
        Some(IdKind::Port) => "a port: a number or a service's name",
        Some(IdKind::PortRange) => "a range of ports, such as 6000-6008",
        Some(IdKind::Proto | IdKind::ProtoChain) => "a protocol: a number or a name",
        Some(IdKind::Gateway) => "a host's name",
    }
}
