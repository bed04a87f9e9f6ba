//! Protocols by number or name: ether types, IP protocols, OSI's.

use super::super::ast::Form;
use super::super::names::{ETHER_PROTOCOLS, OSI_PROTOCOLS};
use super::super::words::{Proto, WORDS, Word};
use super::{Address, IpVersion, Resolver, Result};

impl Resolver<'_> {
    pub(super) fn proto(&self) -> Result<Address> {
        match self.quals.proto {
            None => Ok(Address::IpProto(IpVersion::Both, self.ip_proto()?)),
            Some(Proto::Ip) => Ok(Address::IpProto(IpVersion::V4, self.ip_proto()?)),
            Some(Proto::Ip6) => Ok(Address::IpProto(IpVersion::V6, self.ip_proto()?)),
            Some(Proto::Link) => {
                let number = self.proto_number("ether type", ETHER_PROTOCOLS, 0xffff)?;
                Ok(Address::EtherProto(number))
            }
            Some(Proto::Iso) => {
                let number = self.proto_number("OSI protocol", OSI_PROTOCOLS, 0xff)?;
                Ok(Address::OsiProto(number))
            }
            Some(Proto::Isis) => Ok(Address::IsisPdu(self.proto_number(
                "type of PDU",
                &[],
                0xff,
            )?)),
            Some(proto) => self.misqualified(
                proto,
                format!("`{}` says of no protocol that it carries it", proto.word()),
            ),
        }
    }

    pub(super) fn proto_chain(&self) -> Result<Address> {
        let version = match self.quals.proto {
            None => IpVersion::Both,
            Some(Proto::Ip) => IpVersion::V4,
            Some(Proto::Ip6) => IpVersion::V6,
            Some(proto) => {
                let message = format!(
                    "`{}` has no chain of headers, only ip and ip6 have",
                    proto.word()
                );
                return self.misqualified(proto, message);
            }
        };
        Ok(Address::ProtoChain(version, self.ip_proto()?))
    }

    fn ip_proto(&self) -> Result<u32> {
        match &self.id.form {
            Form::Name(name) => match self.names.proto(name) {
                Some(number) => Ok(number.into()),
                None => {
                    let help = match WORDS
                        .iter()
                        .any(|(word, w)| word == name && matches!(w, Word::Proto(_)))
                    {
                        true => "for a protocol of the link layer write `ether proto`",
                        false => "write the protocol's number",
                    };
                    self.unknown("IP protocol", name, help)
                }
            },
            _ => self.proto_number("IP protocol", &[], 0xff),
        }
    }

    fn proto_number(&self, what: &str, names: &[(&str, u32)], largest: u32) -> Result<u32> {
        match &self.id.form {
            Form::Number(number) if *number <= largest => Ok(*number),
            Form::Number(number) => self.error(
                format!("there is no {what} {number}"),
                &format!("expected at most {largest}"),
            ),
            Form::Name(name) => match names.iter().find(|(known, _)| known == name) {
                Some((_, number)) => Ok(*number),
                None => {
                    let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
                    let help = match known.is_empty() {
                        true => "write its number".to_string(),
                        false => format!("write its number, or one of {}", known.join(" ")),
                    };
                    self.unknown(what, name, &help)
                }
            },
            _ => self.error(
                format!("an address is no {what}"),
                "expected a number or a name",
            ),
        }
    }
}
