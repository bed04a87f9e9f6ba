//! Gives an identifier its meaning under its qualifiers: numbers for names, masks for networks.
//!
//! In: qualifiers, an identifier as written, a [`Names`]. Out: an [`Address`], or what is wrong with the combination. Where in the packet the
//! address is looked for is not decided here.

mod port;
mod proto;

use std::net::{IpAddr, Ipv6Addr};

use nettrace_grammar::diag::Diagnostic;
use nettrace_grammar::{Span, codes};

use super::ast::{Dir, Form, Id, IdKind, Quals};
use super::names::{Names, Transport};
use super::words::Proto;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// What an identifier with its qualifiers means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Address {
    /// One of several: a name with more than one address.
    Any(Vec<Address>),
    V4 {
        within: Within,
        dir: Dir,
        addr: u32,
        mask: u32,
    },
    V6 {
        dir: Dir,
        addr: u128,
        mask: u128,
    },
    Mac {
        dir: Dir,
        mac: [u8; 6],
    },
    Decnet {
        dir: Dir,
        addr: u16,
    },
    /// From or to that MAC address, but not from or to one of these hosts.
    Gateway {
        within: Within,
        mac: [u8; 6],
        hosts: Vec<u32>,
    },
    /// Ports from `low` to `high`, both included.
    Ports {
        over: Option<Transport>,
        dir: Dir,
        low: u16,
        high: u16,
    },
    /// An ether type, or up to 1500 a SAP of 802.2.
    EtherProto(u32),
    IpProto(IpVersion, u32),
    ProtoChain(IpVersion, u32),
    OsiProto(u32),
    IsisPdu(u32),
}

/// Which headers an IPv4 address is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    IpArpRarp,
    Ip,
    Arp,
    Rarp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpVersion {
    Both,
    V4,
    V6,
}

fn wrong(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::BAD_FILTER, span, message)
}

/// The meaning of an identifier.
pub(super) fn resolve(quals: Quals, id: &Id, names: &dyn Names) -> Result<Address> {
    let resolver = Resolver { quals, id, names };
    match quals.kind {
        None | Some(IdKind::Host) => resolver.host(),
        Some(IdKind::Net) => resolver.net(),
        Some(IdKind::Port) => resolver.port(),
        Some(IdKind::PortRange) => resolver.port_range(),
        Some(IdKind::Proto) => resolver.proto(),
        Some(IdKind::ProtoChain) => resolver.proto_chain(),
        Some(IdKind::Gateway) => resolver.gateway(),
    }
}

struct Resolver<'a> {
    quals: Quals,
    id: &'a Id,
    names: &'a dyn Names,
}

impl Resolver<'_> {
    fn dir(&self) -> Dir {
        self.quals.dir.unwrap_or(Dir::Either)
    }

    fn error<T>(&self, message: impl Into<String>, label: &str) -> Result<T> {
        Err(Box::new(wrong(self.id.span, message).label(label)))
    }

    fn unknown<T>(&self, what: &str, name: &str, help: &str) -> Result<T> {
        let diag = wrong(self.id.span, format!("no {what} named `{name}` is known"));
        Err(Box::new(diag.help(help)))
    }

    /// The protocol does not fit the type.
    fn misqualified<T>(&self, proto: Proto, message: String) -> Result<T> {
        let diag = wrong(self.quals.span, message);
        let and = match self.quals.kind {
            Some(kind) => kind.word(),
            None => "host",
        };
        Err(Box::new(match proto {
            Proto::Link => diag,
            _ => diag.help(format!("join two tests: `{} and {and} …`", proto.word())),
        }))
    }

    fn host(&self) -> Result<Address> {
        match (self.quals.proto, &self.id.form) {
            (Some(Proto::Link), Form::Mac(mac)) => Ok(self.mac(*mac)),
            (Some(Proto::Link), Form::Name(name)) => match self.names.ether(name) {
                Some(mac) => Ok(self.mac(mac)),
                None => self.unknown(
                    "MAC address",
                    name,
                    "write it in numbers, as in 00:11:22:33:44:55",
                ),
            },
            (Some(Proto::Link), _) => self.error(
                "the link layer has MAC addresses",
                "expected a MAC address, such as 00:11:22:33:44:55",
            ),
            (_, Form::Mac(_)) => {
                let diag = wrong(
                    self.id.span,
                    "a MAC address is no host of the network layer",
                );
                Err(Box::new(diag.help("write `ether host` before it")))
            }
            (Some(Proto::Decnet), form) => self.decnet(form),
            (_, Form::Name(name)) => self.named_host(name),
            (_, Form::V6(addr)) => self.v6(*addr, 128),
            (_, Form::V6Len(addr, len)) if len.value == 128 => self.v6(*addr, 128),
            (_, Form::V6Len(..) | Form::DottedLen(..) | Form::DottedMask(..)) => {
                let diag = wrong(self.id.span, "a host has no mask");
                Err(Box::new(diag.help("write `net` instead of `host`")))
            }
            (_, Form::Number(addr)) => self.v4(*addr, u32::MAX),
            (_, Form::Dotted(parts)) => {
                let (addr, mask) = self.dotted(parts, self.id.span)?;
                self.v4(addr, mask)
            }
        }
    }

    fn net(&self) -> Result<Address> {
        match &self.id.form {
            _ if self.quals.proto == Some(Proto::Link) => {
                self.misqualified(Proto::Link, "the link layer has no networks".to_string())
            }
            form if self.quals.proto == Some(Proto::Decnet) => self.decnet(form),
            Form::Mac(_) => self.error(
                "a MAC address is no network",
                "expected a network, such as 10.1.0.0/16",
            ),
            Form::Name(name) => match self.names.net(name) {
                Some(number) => self.classful(number),
                None => self.unknown("network", name, "write its address, as in 10.1.0.0/16"),
            },
            Form::Number(number) => self.classful(*number),
            Form::V6(addr) => self.v6(*addr, 128),
            Form::V6Len(addr, len) => {
                if len.value > 128 {
                    let diag = wrong(len.span, "an IPv6 address has 128 bits");
                    return Err(Box::new(diag.label("expected at most 128")));
                }
                self.v6(*addr, len.value)
            }
            Form::Dotted(parts) => {
                let (addr, mask) = self.dotted(parts, self.id.span)?;
                self.v4(addr, mask)
            }
            Form::DottedLen(parts, len) => {
                if len.value > 32 {
                    let diag = wrong(len.span, "an IPv4 address has 32 bits");
                    return Err(Box::new(diag.label("expected at most 32")));
                }
                let (addr, _) = self.dotted(parts, self.id.span)?;
                self.masked(addr, u32::MAX.checked_shl(32 - len.value).unwrap_or(0))
            }
            Form::DottedMask(parts, mask, span) => {
                let (addr, _) = self.dotted(parts, self.id.span)?;
                let (mask, _) = self.dotted(mask, *span)?;
                self.masked(addr, mask)
            }
        }
    }

    /// The address of two to four octets, left-aligned, and the mask that covers them.
    fn dotted(&self, parts: &[u32], span: Span) -> Result<(u32, u32)> {
        let mut addr = 0;
        for part in parts {
            if *part > 255 {
                let diag = wrong(span, "an octet of an IPv4 address is larger than 255");
                return Err(Box::new(diag));
            }
            addr = addr << 8 | part;
        }
        let bits = 32 - 8 * (parts.len() as u32).min(4);
        Ok((addr << bits, u32::MAX << bits))
    }

    /// A network by its number: `10` is 10.0.0.0/8, `172.16` as a number the /16.
    fn classful(&self, number: u32) -> Result<Address> {
        let bits = match number {
            0 => 0,
            _ => number.leading_zeros() / 8 * 8,
        };
        self.v4(number << bits, u32::MAX << bits)
    }

    fn masked(&self, addr: u32, mask: u32) -> Result<Address> {
        if addr & !mask != 0 {
            return self.outside_mask(std::net::Ipv4Addr::from(addr & mask).to_string());
        }
        self.v4(addr, mask)
    }

    fn outside_mask<T>(&self, network: String) -> Result<T> {
        let diag = wrong(self.id.span, "the address has bits outside of its mask");
        Err(Box::new(diag.help(format!(
            "the network is {network}, for one host write `host`"
        ))))
    }

    fn v4(&self, addr: u32, mask: u32) -> Result<Address> {
        Ok(Address::V4 {
            within: self.within()?,
            dir: self.dir(),
            addr,
            mask,
        })
    }

    /// The headers that IPv4 addresses are looked for in under this protocol.
    fn within(&self) -> Result<Within> {
        match self.quals.proto {
            None => Ok(Within::IpArpRarp),
            Some(Proto::Ip) => Ok(Within::Ip),
            Some(Proto::Arp) => Ok(Within::Arp),
            Some(Proto::Rarp) => Ok(Within::Rarp),
            Some(Proto::Ip6) => {
                self.error("an IPv4 address after `ip6`", "expected an IPv6 address")
            }
            Some(proto) => self.misqualified(
                proto,
                format!("`{}` has no hosts and networks", proto.word()),
            ),
        }
    }

    fn v6(&self, addr: Ipv6Addr, len: u32) -> Result<Address> {
        let addr = u128::from(addr);
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        match self.quals.proto {
            None | Some(Proto::Ip6) => {}
            Some(proto @ (Proto::Ip | Proto::Arp | Proto::Rarp)) => {
                let message = format!("an IPv6 address after `{}`", proto.word());
                return self.error(message, "expected an IPv4 address");
            }
            Some(proto) => {
                return self.misqualified(
                    proto,
                    format!("`{}` has no hosts and networks", proto.word()),
                );
            }
        }
        if addr & !mask != 0 {
            return self.outside_mask(Ipv6Addr::from(addr & mask).to_string());
        }
        Ok(Address::V6 {
            dir: self.dir(),
            addr,
            mask,
        })
    }

    fn mac(&self, mac: [u8; 6]) -> Address {
        Address::Mac {
            dir: self.dir(),
            mac,
        }
    }

    fn decnet(&self, form: &Form) -> Result<Address> {
        let addr = match form {
            Form::Number(addr) => u16::try_from(*addr).ok(),
            Form::Dotted(parts) => match parts.as_slice() {
                [area, node] if *area < 64 && *node < 1024 => Some((area << 10 | node) as u16),
                _ => None,
            },
            _ => None,
        };
        match addr {
            Some(addr) => Ok(Address::Decnet {
                dir: self.dir(),
                addr,
            }),
            None => self.error(
                "this is no DECnet address",
                "expected area.node, such as 10.123",
            ),
        }
    }

    fn named_host(&self, name: &str) -> Result<Address> {
        // An impossible protocol is the error, whatever the name.
        let v6_only = self.quals.proto == Some(Proto::Ip6);
        if !v6_only {
            self.within()?;
        }
        let found = self.names.host(name);
        if found.is_empty() {
            return self.unknown("host", name, "write its address");
        }
        let mut all = Vec::new();
        for addr in found {
            match addr {
                IpAddr::V4(addr) if !v6_only => all.push(self.v4(addr.into(), u32::MAX)?),
                IpAddr::V6(addr) if matches!(self.quals.proto, None | Some(Proto::Ip6)) => {
                    all.push(self.v6(addr, 128)?);
                }
                _ => {}
            }
        }
        match all.len() {
            0 => self.error(
                format!("`{name}` has no address of the family asked for"),
                "leave the protocol out, or name another host",
            ),
            1 => Ok(all.remove(0)),
            _ => Ok(Address::Any(all)),
        }
    }

    fn gateway(&self) -> Result<Address> {
        let Form::Name(name) = &self.id.form else {
            let diag = wrong(self.id.span, "`gateway` needs a name");
            let help = "with addresses write `ether host MAC and not host ADDRESS`";
            return Err(Box::new(diag.label("expected a host's name").help(help)));
        };
        let within = self.within()?;
        let Some(mac) = self.names.ether(name) else {
            let help = "add it to /etc/ethers, or write `ether host MAC and not host ADDRESS`";
            return self.unknown("MAC address", name, help);
        };
        let addrs = self.names.host(name).into_iter();
        let hosts: Vec<u32> = addrs
            .filter_map(|addr| match addr {
                IpAddr::V4(addr) => Some(addr.into()),
                IpAddr::V6(_) => None,
            })
            .collect();
        if hosts.is_empty() {
            return self.unknown(
                "IPv4 host",
                name,
                "write `ether host MAC and not host ADDRESS`",
            );
        }
        Ok(Address::Gateway { within, mac, hosts })
    }
}
