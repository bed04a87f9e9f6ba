//! Qualifiers and the identifiers behind them: `tcp src or dst port 80`, `host (a or b)`.

use nettrace_grammar::Span;
use nettrace_grammar::diag::Diagnostic;

use super::super::ast::{Dir, Expr, Form, Id, IdKind, Kind, Numeral, Primitive, Quals};
use super::super::lex::Tok;
use super::super::words::{Proto, WORDS, Word};
use super::{Parser, Result, Test, Thing};

impl Parser<'_> {
    /// Behind a protocol, or where a direction or type begins.
    pub(super) fn qualified(&mut self, start: Span, proto: Option<Proto>) -> Result<Thing> {
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
            Word::Protocol => self.just(IdKind::Proto),
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
    pub(super) fn ids(&mut self, quals: Quals) -> Result<Test> {
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
