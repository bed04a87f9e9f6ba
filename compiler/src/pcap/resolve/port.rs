//! Ports: numbers, services, ranges.

use super::super::ast::Form;
use super::super::names::Transport;
use super::super::words::Proto;
use super::{Address, Resolver, Result, wrong};

/// A port, and the only protocol it is for.
type Port = (Option<Transport>, u16);

impl Resolver<'_> {
    fn transport(&self) -> Result<Option<Transport>> {
        match self.quals.proto {
            None => Ok(None),
            Some(Proto::Tcp) => Ok(Some(Transport::Tcp)),
            Some(Proto::Udp) => Ok(Some(Transport::Udp)),
            Some(Proto::Sctp) => Ok(Some(Transport::Sctp)),
            Some(proto) => {
                let message = match proto {
                    Proto::Link => "the link layer has no ports".to_string(),
                    _ => format!(
                        "`{}` has no ports, only tcp, udp and sctp have",
                        proto.word()
                    ),
                };
                self.misqualified(proto, message)
            }
        }
    }

    fn ports(&self, over: Option<Transport>, low: u16, high: u16) -> Address {
        Address::Ports {
            over,
            dir: self.dir(),
            low: low.min(high),
            high: low.max(high),
        }
    }

    pub(super) fn port(&self) -> Result<Address> {
        let over = self.transport()?;
        match &self.id.form {
            Form::Number(number) => {
                let port = self.port_number(*number)?;
                Ok(self.ports(over, port, port))
            }
            Form::Name(name) => {
                let found = self.service(name, over)?;
                let Some(found) = found else {
                    let diag = wrong(self.id.span, format!("no service named `{name}` is known"));
                    let help = match name.contains('-')
                        && name.starts_with(|c: char| c.is_ascii_digit())
                    {
                        true => "for several ports write `portrange`",
                        false => "write the port's number",
                    };
                    return Err(Box::new(diag.help(help)));
                };
                let mut all: Vec<Address> = found
                    .into_iter()
                    .map(|(over, port)| self.ports(over, port, port))
                    .collect();
                Ok(match all.len() {
                    1 => all.remove(0),
                    _ => Address::Any(all),
                })
            }
            _ => self.error(
                "an address is no port",
                "expected a number or a service's name",
            ),
        }
    }

    fn port_number(&self, number: u32) -> Result<u16> {
        match u16::try_from(number) {
            Ok(port) => Ok(port),
            Err(_) => self.error(
                format!("there is no port {number}"),
                "expected at most 65535",
            ),
        }
    }

    /// The ports of a service, each with the only protocol it is for. `None` when the name is unknown.
    fn service(&self, name: &str, over: Option<Transport>) -> Result<Option<Vec<Port>>> {
        let found = self.names.service(name);
        if found.is_empty() {
            return Ok(None);
        }
        if let Some(over) = over {
            let port = found.iter().find(|(_, transport)| *transport == over);
            let Some((port, _)) = port else {
                let has: Vec<&str> = found.iter().map(|(_, t)| t.word()).collect();
                let message = format!("`{name}` is a service over {}", has.join(" and "));
                let diag = wrong(self.id.span, message);
                return Err(Box::new(diag.label(format!("not over {}", over.word()))));
            };
            return Ok(Some(vec![(Some(over), *port)]));
        }
        Ok(Some(match found.as_slice() {
            [(port, only)] => vec![(Some(*only), *port)],
            // The same number everywhere: then the name means the number.
            [(port, _), rest @ ..] if rest.iter().all(|(other, _)| other == port) => {
                vec![(None, *port)]
            }
            all => all
                .iter()
                .map(|(port, only)| (Some(*only), *port))
                .collect(),
        }))
    }

    pub(super) fn port_range(&self) -> Result<Address> {
        let over = self.transport()?;
        let expected = "expected two ports with a dash, such as 6000-6008";
        match &self.id.form {
            Form::Number(number) => {
                let port = self.port_number(*number)?;
                Ok(self.ports(over, port, port))
            }
            Form::Name(name) => {
                for (at, _) in name.match_indices('-') {
                    let (first, last) = (&name[..at], &name[at + 1..]);
                    let low = self.bound(first, over)?;
                    let high = self.bound(last, over)?;
                    if let (Some((low_over, low)), Some((high_over, high))) = (low, high) {
                        let same = if low_over == high_over {
                            low_over
                        } else {
                            None
                        };
                        return Ok(self.ports(over.or(same), low, high));
                    }
                }
                match self.bound(name, over)? {
                    Some((only, port)) => Ok(self.ports(over.or(only), port, port)),
                    None => self.error(format!("`{name}` is no range of ports"), expected),
                }
            }
            _ => self.error("an address is no range of ports", expected),
        }
    }

    /// One end of a range: a number or a service with one port.
    fn bound(&self, text: &str, over: Option<Transport>) -> Result<Option<Port>> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().unwrap_or(u32::MAX);
            return Ok(Some((over, self.port_number(number)?)));
        }
        let found = self.service(text, over)?;
        Ok(found.and_then(|all| all.first().copied()))
    }
}
