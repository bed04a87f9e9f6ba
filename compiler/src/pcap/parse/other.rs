//! Primitives with a shape of their own: `less 60`, `vlan 5`, `llc xid`, `ifname eth0`.

use nettrace_grammar::Span;
use nettrace_grammar::diag::Diagnostic;

use super::super::ast::{ByteOp, Kind, Llc, Numeral, Relation};
use super::super::lex::Tok;
use super::super::words::{Foreign, Word};
use super::{Parser, Result, Thing, wrong};

/// How many `geneve` a filter may have: each has places that are only known at run time.
const GENEVE: u32 = 8;

impl Parser<'_> {
    pub(super) fn other(&mut self, start: Span, word: Word) -> Result<Thing> {
        if let Word::Src
        | Word::Dst
        | Word::Host
        | Word::Net
        | Word::Port
        | Word::PortRange
        | Word::Protocol
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
                self.geneve += 1;
                if self.geneve > GENEVE {
                    let diag = wrong(start, "too many `geneve` in one filter");
                    return Err(Box::new(diag.note(format!("at most {GENEVE}"))));
                }
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

    pub(super) fn foreign(&self, foreign: Foreign) -> Box<Diagnostic> {
        let diag = wrong(self.span(), "this word has no meaning here");
        Box::new(
            diag.label(format!("is about {}", foreign.about()))
                .note("nettrace sees Ethernet frames and IP packets"),
        )
    }

    pub(super) fn number(&mut self, what: &str) -> Result<Numeral> {
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
