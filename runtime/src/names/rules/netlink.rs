//! Rules of nf_tables where there is no `nft`: what the kernel itself tells of them, over netlink.
//!
//! In: the calling thread's network namespace. Out: handles and comments; the rules' expressions are not turned into text. Forms:
//! `struct nlmsghdr`, `struct nfgenmsg` and attributes, as linux/netfilter/nf_tables.h has them.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// The kernel answers at once, or not at all.
const TIMEOUT_SECONDS: i64 = 2;
/// More bytes of an answer are not read.
const MAX_ANSWER: usize = 64 << 20;
/// `NFNL_SUBSYS_NFTABLES`
const SUBSYSTEM: u16 = 10 << 8;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const GET_RULE: u16 = SUBSYSTEM | 7;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const DUMP: u16 = 0x301;
const HEADER: usize = 16;
const FAMILY: usize = HEADER;
const ATTRIBUTES: usize = HEADER + 4;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_USERDATA: u16 = 7;
/// `NFTNL_UDATA_RULE_COMMENT`
const COMMENT: u8 = 0;

/// A rule: handle of its table, its own, and its comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) table: u64,
    pub(super) handle: u64,
    pub(super) comment: Option<String>,
}

/// All rules of the calling thread's namespace.
pub(super) fn rules() -> Result<Vec<Rule>, String> {
    let told = |e| format!("the kernel does not list its rules: {e}");
    let tables = dump(GET_TABLE).map_err(told)?;
    let rules = dump(GET_RULE).map_err(told)?;
    Ok(join(&tables, &rules))
}

/// Everything of a kind, as messages one behind the other.
fn dump(kind: u16) -> Result<Vec<u8>, nix::Error> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::seconds(TIMEOUT_SECONDS),
    )?;
    send(socket.as_raw_fd(), &request(kind), MsgFlags::empty())?;
    receive(&socket)
}

fn request(kind: u16) -> Vec<u8> {
    let mut message = Vec::with_capacity(ATTRIBUTES);
    message.extend((ATTRIBUTES as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(DUMP.to_ne_bytes());
    // Sequence number and port, and a family: all.
    message.extend([0; 12]);
    message
}

fn receive(socket: &OwnedFd) -> Result<Vec<u8>, nix::Error> {
    let mut answer = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    while answer.len() < MAX_ANSWER {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let part = buffer.get(..length).unwrap_or_default();
        for (kind, message) in messages(part) {
            match kind {
                NLMSG_DONE => return Ok(answer),
                NLMSG_ERROR => {
                    let code = message.get(HEADER..).and_then(|m| m.first_chunk());
                    let code = code.map_or(0, |code| i32::from_ne_bytes(*code));
                    return Err(nix::Error::from_raw(code.wrapping_neg()));
                }
                _ => answer.extend_from_slice(message),
            }
        }
        if length == 0 {
            break;
        }
    }
    Ok(answer)
}

/// Type and bytes, header included, of each message.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
        let message = bytes.get(..length).filter(|m| m.len() >= HEADER)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, message))
    })
}

/// Type and value of each attribute of a message.
fn attributes(message: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = message.get(ATTRIBUTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(message)
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

fn handle(message: &[u8], wanted: u16) -> Option<u64> {
    let value = attribute(message, wanted)?;
    Some(u64::from_be_bytes(*value.first_chunk()?))
}

/// Rules name their table by family and name, programs by its handle.
fn join(tables: &[u8], rules: &[u8]) -> Vec<Rule> {
    let table = |(_, message): (u16, _)| {
        let name = (
            *<[u8]>::get(message, FAMILY)?,
            attribute(message, NFTA_TABLE_NAME)?,
        );
        Some((name, handle(message, NFTA_TABLE_HANDLE)?))
    };
    let tables: HashMap<_, _> = messages(tables).filter_map(table).collect();
    let rule = |(_, message): (u16, _)| {
        let name = (
            *<[u8]>::get(message, FAMILY)?,
            attribute(message, NFTA_RULE_TABLE)?,
        );
        Some(Rule {
            table: *tables.get(&name)?,
            handle: handle(message, NFTA_RULE_HANDLE)?,
            comment: attribute(message, NFTA_RULE_USERDATA).and_then(comment),
        })
    };
    messages(rules).filter_map(rule).collect()
}

/// The comment among what user space keeps with a rule: type, length, value, one behind the other.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        data = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute_of(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((value.len() as u16 + 4).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(family: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let attributes = attributes.concat();
        let mut bytes = Vec::new();
        bytes.extend((attributes.len() as u32 + 20).to_ne_bytes());
        bytes.extend([0; 12]);
        bytes.extend([family, 0, 0, 0]);
        bytes.extend(attributes);
        bytes
    }

    fn table(family: u8, name: &[u8], handle: u64) -> Vec<u8> {
        let handle = attribute_of(NFTA_TABLE_HANDLE, &handle.to_be_bytes());
        message(family, &[attribute_of(NFTA_TABLE_NAME, name), handle])
    }

    fn rule(family: u8, table: &[u8], handle: u64, userdata: &[u8]) -> Vec<u8> {
        let attributes = [
            attribute_of(NFTA_RULE_TABLE, table),
            attribute_of(NFTA_RULE_HANDLE, &handle.to_be_bytes()),
            attribute_of(NFTA_RULE_USERDATA, userdata),
        ];
        message(family, &attributes)
    }

    #[test]
    fn rules_know_their_table_by_its_handle() {
        let tables = [table(2, b"filter\0", 4), table(10, b"filter\0", 5)].concat();
        let rules = [
            rule(10, b"filter\0", 7, b"\x00\x06no 81\x00"),
            rule(2, b"filter\0", 8, b"\x01\x01x\x00\x03ok\0"),
            rule(2, b"gone\0", 9, b""),
        ]
        .concat();
        let expected = |table, handle, comment: &str| Rule {
            table,
            handle,
            comment: Some(comment.to_owned()),
        };
        assert_eq!(
            join(&tables, &rules),
            [expected(5, 7, "no 81"), expected(4, 8, "ok")]
        );
    }

    #[test]
    fn damaged_answers_have_fewer_rules() {
        let tables = table(2, b"filter\0", 4);
        let rules = rule(2, b"filter\0", 8, b"\x00\x09cut");
        for cut in 0..rules.len() {
            let found = join(&tables, rules.get(..cut).unwrap());
            assert!(found.is_empty(), "{cut}: {found:?}");
        }
        assert_eq!(join(&tables, &rules)[0].comment, None);
    }
}
