//! Arithmetic: numbers, bytes of packets, operators.
//!
//! Precedence climbing. `%` and `^` have no precedence in libpcap's grammar: they take one operand on the left and everything on the
//! right.

use super::super::ast::{Arith, ArithKind, ArithOp, Relation};
use super::super::lex::Tok;
use super::super::words::{Proto, Word};
use super::{Parser, Result, wrong};

/// How many operators one arithmetic expression may have.
const OPERATORS: u32 = 256;

impl Parser<'_> {
    pub(super) fn arith(&mut self, least: u8) -> Result<Arith> {
        let left = self.operand()?;
        self.arith_from(left, least)
    }

    /// Goes on behind an operand, with operators that bind at least that strong.
    pub(super) fn arith_from(&mut self, mut left: Arith, least: u8) -> Result<Arith> {
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

    pub(super) fn operand(&mut self) -> Result<Arith> {
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

pub(super) fn relation(op: &str) -> Option<Relation> {
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
