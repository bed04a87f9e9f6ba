//! Bytes and their [`Layout`] to values.
//!
//! In: a ring record, a map key or a map value as the kernel wrote it. Out: a [`Value`] that borrows the bytes; tuples,
//! records and arrays are decoded while they are walked, so that printing allocates nothing per field. Addresses stay
//! addresses: naming them is the work of `symbols`. No input panics; what cannot be read is a [`DecodeError`].

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nettrace_compiler::artifact::{
    FLOW_SIZE, Field, KFORMAT_ARGS, KFORMAT_STRING, KFORMAT_TEXT, Layout, RULE_CHAIN, RULE_SIZE,
    STRING_CUT, StackMode,
};

/// Why bytes are not what their layout says: always a bug of nettrace or a damaged object file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the layout needs.
    #[error("{have} bytes where {need} are needed")]
    Short {
        /// Bytes the layout needs.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// A length inside the value is larger than its room.
    #[error("a length of {length} in a value of at most {cap}")]
    Length {
        /// What the value claims.
        length: i64,
        /// What its layout allows.
        cap: u64,
    },
    /// An integer of a width that does not exist.
    #[error("an integer of {0} bytes")]
    Width(u8),
    /// An address family that is neither 2 (IPv4) nor 10 (IPv6).
    #[error("unknown address family {0}")]
    Family(u64),
}

/// A decoded value; it borrows the bytes it came from and the names of its layout.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// `true` or `false`.
    Bool(bool),
    /// An integer that may have a name.
    Enum {
        /// The number.
        number: i64,
        /// Whether the number is signed.
        signed: bool,
        /// The name of this number, if it has one.
        name: Option<&'a str>,
    },
    /// An address printed as a number.
    Pointer(u64),
    /// Text up to its first NUL.
    Text {
        /// The text; any bytes.
        bytes: &'a [u8],
        /// The text goes on where it came from.
        cut: bool,
    },
    /// Bytes of a buffer.
    Buffer(&'a [u8]),
    /// A stack of return addresses.
    Stack(Stack<'a>),
    /// A kernel address printed as its symbol.
    KernelSymbol(u64),
    /// A kernel address printed as the module it is in.
    KernelModule(u64),
    /// A user address printed as its symbol.
    UserSymbol {
        /// Process (thread group) id.
        pid: u64,
        /// The address.
        address: u64,
    },
    /// An IP address.
    Ip(IpAddr),
    /// A link-layer address.
    Mac([u8; 6]),
    /// A point in time.
    Time {
        /// Nanoseconds of `CLOCK_BOOTTIME`.
        nsecs: u64,
        /// How to print it.
        format: &'a str,
    },
    /// A network device.
    Device {
        /// Inode number of its network namespace; 0 is nettrace's own.
        netns: u32,
        /// Its index there.
        index: u32,
    },
    /// The inode number of a network namespace.
    NetNs(u64),
    /// The two ends of a connection.
    Flow(Flow),
    /// A rule of a packet filter.
    Rule(Rule<'a>),
    /// A message of the kernel.
    KFormat(KFormat<'a>),
    /// A kernel stack that is printed as what it means, with the rows to choose from.
    Meaning(Stack<'a>, &'a [(String, String)]),
    /// A number that is printed as the names of its bits.
    Flags {
        /// The number.
        bits: u64,
        /// Bits and names.
        names: &'a [(u64, String)],
        /// Between two names.
        separator: &'a str,
    },
    /// The cookie of a target, printed as the target's name.
    Probe(u64),
    /// `(a, b)`
    Tuple(Fields<'a>),
    /// `{ .a = 1 }`
    Record(Fields<'a>),
    /// `[1,2]`
    Array(Items<'a>),
}

/// A format string of the kernel with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct KFormat<'a> {
    bytes: &'a [u8],
}

impl<'a> KFormat<'a> {
    fn of(bytes: &'a [u8]) -> KFormat<'a> {
        KFormat { bytes }
    }

    /// The format.
    pub fn format(self) -> &'a [u8] {
        c_string(self.bytes, 0, KFORMAT_TEXT as usize)
    }

    /// The n-th argument; `None` for more than are kept.
    pub fn arg(self, n: usize) -> Option<u64> {
        let n = u32::try_from(n).ok().filter(|n| *n < KFORMAT_ARGS)?;
        unsigned(tail(self.bytes, (KFORMAT_TEXT + 8 * n) as usize).ok()?, 8).ok()
    }

    /// The string that the n-th argument points to.
    pub fn string(self, n: usize) -> &'a [u8] {
        let size = KFORMAT_STRING as usize;
        let at = (KFORMAT_TEXT + 8 * KFORMAT_ARGS) as usize + size * n;
        c_string(self.bytes, at, size)
    }
}

/// A number of so many bytes in network byte order.
fn from_network(number: u64, width: u8) -> u64 {
    match width {
        2 => u64::from(u16::from_be(number as u16)),
        4 => u64::from(u32::from_be(number as u32)),
        8 => u64::from_be(number),
        _ => number,
    }
}

/// The bytes of a field up to its NUL.
fn c_string(bytes: &[u8], at: usize, size: usize) -> &[u8] {
    let field = bytes.get(at..at + size).unwrap_or(&[]);
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    field.get(..end).unwrap_or(&[])
}

/// The two ends of a connection and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Protocol number of the IP header.
    pub protocol: u8,
    /// Source and destination; `None` when the packet is not an IP packet.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// Source and destination port; of ICMP the identifier, and type and code.
    pub ports: (u16, u16),
}

/// A rule of a packet filter, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule<'a> {
    /// 0 for nf_tables, the address family for iptables-legacy.
    pub family: u32,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Changes whenever the rule set does.
    pub generation: u32,
    /// Handle of the table, or the first 8 bytes of its name.
    pub table: u64,
    /// The chain's name; empty for nf_tables.
    pub chain: &'a [u8],
    /// Handle of the rule, or its number in its chain from 1.
    pub rule: u64,
}

/// The frames of a kernel or user stack.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    /// The process of a user stack; `None` for a kernel stack.
    pub pid: Option<u64>,
    /// How to print it.
    pub mode: StackMode,
    addresses: &'a [u8],
}

impl<'a> Stack<'a> {
    /// The addresses, innermost first.
    pub fn frames(self) -> impl ExactSizeIterator<Item = u64> + 'a {
        self.addresses
            .chunks_exact(8)
            .map(|chunk| native(chunk).unwrap_or(0))
    }
}

/// The fields of a tuple or record, decoded while they are walked.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    fields: &'a [Field],
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.fields.is_empty()
    }

    /// Whether they are the members of a union: several, all in the same place.
    pub fn overlap(self) -> bool {
        self.fields.len() > 1 && self.fields.iter().all(|field| field.offset == 0)
    }

    /// Names (empty in tuples) and values in order.
    pub fn iter(
        self,
    ) -> impl ExactSizeIterator<Item = (&'a str, Result<Value<'a>, DecodeError>)> + 'a {
        self.fields
            .iter()
            .map(move |field| (field.name.as_str(), decode_field(field, self.bytes)))
    }
}

/// The elements of an array, decoded while they are walked.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a> {
    elem: &'a Layout,
    stride: usize,
    len: usize,
    bytes: &'a [u8],
}

impl<'a> Items<'a> {
    /// The values in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Result<Value<'a>, DecodeError>> + 'a {
        (0..self.len).map(move |i| decode(self.elem, tail(self.bytes, i * self.stride)?))
    }

    /// The bytes themselves, when every element is one byte.
    pub fn raw(self) -> Option<&'a [u8]> {
        (self.stride == 1).then_some(self.bytes)
    }
}

/// Reads one value from the start of `bytes`; what follows it is ignored.
pub fn decode<'a>(layout: &'a Layout, bytes: &'a [u8]) -> Result<Value<'a>, DecodeError> {
    Ok(match layout {
        Layout::Int {
            bytes: width,
            signed,
        } => integer(bytes, *width, *signed)?,
        Layout::Net { bytes: width } => {
            Value::Unsigned(from_network(unsigned(bytes, *width)?, *width))
        }
        Layout::Bits {
            bytes: width,
            shift,
            width: bits,
            signed,
        } => bit_field(unsigned(bytes, *width)?, *shift, *bits, *signed),
        Layout::Bool => Value::Bool(unsigned(bytes, 1)? != 0),
        Layout::Enum {
            bytes: width,
            signed,
            names,
        } => enumeration(bytes, *width, *signed, names)?,
        Layout::Pointer => Value::Pointer(unsigned(bytes, 8)?),
        Layout::Str { cap } => text(head(bytes, *cap as usize)?),
        Layout::Buf { cap } => buffer(bytes, *cap)?,
        Layout::Literal { text } => Value::Text {
            bytes: text.as_bytes(),
            cut: false,
        },
        Layout::Stack { user, frames, mode } => stack(bytes, *user, *frames, *mode)?,
        Layout::KSym => Value::KernelSymbol(unsigned(bytes, 8)?),
        Layout::KModule => Value::KernelModule(unsigned(bytes, 8)?),
        Layout::USym => Value::UserSymbol {
            pid: unsigned(bytes, 8)?,
            address: unsigned(tail(bytes, 8)?, 8)?,
        },
        Layout::Inet { v6: false } => ipv4(bytes)?,
        Layout::Inet { v6: true } => ipv6(bytes)?,
        Layout::InetAny => match unsigned(bytes, 8)? {
            2 => ipv4(tail(bytes, 8)?)?,
            10 => ipv6(tail(bytes, 8)?)?,
            family => return Err(DecodeError::Family(family)),
        },
        Layout::Mac => Value::Mac(array(bytes)?),
        Layout::Time { format } => Value::Time {
            nsecs: unsigned(bytes, 8)?,
            format,
        },
        Layout::Device => {
            let both = unsigned(bytes, 8)?;
            Value::Device {
                netns: (both >> 32) as u32,
                index: both as u32,
            }
        }
        Layout::NetNs => Value::NetNs(unsigned(bytes, 8)?),
        Layout::Flow => Value::Flow(flow(array(bytes)?)),
        Layout::Rule => Value::Rule(rule(head(bytes, RULE_SIZE as usize)?)?),
        Layout::KFormat => Value::KFormat(KFormat::of(head(bytes, layout.size() as usize)?)),
        Layout::Meaning { frames, rows } => {
            match stack(bytes, false, *frames, StackMode::Bpftrace)? {
                Value::Stack(stack) => Value::Meaning(stack, rows),
                other => other,
            }
        }
        Layout::Flags { names, separator } => Value::Flags {
            bits: unsigned(bytes, 8)?,
            names,
            separator,
        },
        Layout::ProbeName => Value::Probe(unsigned(bytes, 8)?),
        Layout::Tuple { fields, size } => Value::Tuple(Fields {
            fields,
            bytes: head(bytes, *size as usize)?,
        }),
        Layout::Record { fields, size } => Value::Record(Fields {
            fields,
            bytes: head(bytes, *size as usize)?,
        }),
        Layout::Array { elem, len } => {
            let (stride, len) = (elem.size() as usize, *len as usize);
            let bytes = head(bytes, stride.saturating_mul(len))?;
            Value::Array(Items {
                elem,
                stride,
                len,
                bytes,
            })
        }
    })
}

/// Reads a field; `bytes` starts where the field's container starts.
pub fn decode_field<'a>(field: &'a Field, bytes: &'a [u8]) -> Result<Value<'a>, DecodeError> {
    match field.layout {
        // It lies nowhere.
        Layout::Literal { .. } => decode(&field.layout, &[]),
        _ => decode(&field.layout, tail(bytes, field.offset as usize)?),
    }
}

impl Value<'_> {
    /// The bits of a value that printf's integer conversions accept, sign-extended to 64 bits.
    pub fn bits(&self) -> Option<u64> {
        match *self {
            Value::Signed(n) | Value::Enum { number: n, .. } => Some(n as u64),
            Value::Unsigned(n)
            | Value::Pointer(n)
            | Value::KernelSymbol(n)
            | Value::NetNs(n)
            | Value::Time { nsecs: n, .. }
            | Value::UserSymbol { address: n, .. } => Some(n),
            Value::Bool(b) => Some(u64::from(b)),
            _ => None,
        }
    }

    /// The number that maps are sorted by, when the value is one.
    pub fn number(&self) -> Option<i128> {
        match *self {
            Value::Signed(n)
            | Value::Enum {
                number: n,
                signed: true,
                ..
            } => Some(n.into()),
            Value::Unsigned(n) => Some(n.into()),
            Value::Enum {
                number: n,
                signed: false,
                ..
            } => Some((n as u64).into()),
            _ => None,
        }
    }

    /// A total order of values of one layout: numbers by value, text by bytes, tuples field by field.
    pub fn order(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Value::Text { bytes: a, .. }, Value::Text { bytes: b, .. })
            | (Value::Buffer(a), Value::Buffer(b)) => a.cmp(b),
            (Value::Stack(a), Value::Stack(b)) => {
                a.pid.cmp(&b.pid).then_with(|| a.frames().cmp(b.frames()))
            }
            (
                Value::UserSymbol { pid: p, address: a },
                Value::UserSymbol { pid: q, address: b },
            ) => (p, a).cmp(&(q, b)),
            (Value::Ip(a), Value::Ip(b)) => a.cmp(b),
            (Value::Mac(a), Value::Mac(b)) => a.cmp(b),
            (Value::Flow(a), Value::Flow(b)) => a.cmp(b),
            (Value::Rule(a), Value::Rule(b)) => a.cmp(b),
            (Value::Meaning(a, _), Value::Meaning(b, _)) => a.frames().cmp(b.frames()),
            (Value::Probe(a), Value::Probe(b)) => a.cmp(b),
            (Value::Device { netns: n, index: a }, Value::Device { netns: m, index: b }) => {
                (n, a).cmp(&(m, b))
            }
            (Value::Tuple(a), Value::Tuple(b)) | (Value::Record(a), Value::Record(b)) => {
                order_all(a.iter().map(|f| f.1), b.iter().map(|f| f.1))
            }
            (Value::Array(a), Value::Array(b)) => order_all(a.iter(), b.iter()),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => self.bits().cmp(&other.bits()),
            },
        }
    }
}

type Decoded<'a> = Result<Value<'a>, DecodeError>;

fn order_all<'a, 'b>(
    a: impl Iterator<Item = Decoded<'a>>,
    b: impl Iterator<Item = Decoded<'b>>,
) -> Ordering {
    a.zip(b)
        .map(|(a, b)| match (a, b) {
            (Ok(a), Ok(b)) => a.order(&b),
            _ => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn short(need: usize, bytes: &[u8]) -> DecodeError {
    DecodeError::Short {
        need,
        have: bytes.len(),
    }
}

fn head(bytes: &[u8], need: usize) -> Result<&[u8], DecodeError> {
    bytes.get(..need).ok_or_else(|| short(need, bytes))
}

fn tail(bytes: &[u8], from: usize) -> Result<&[u8], DecodeError> {
    bytes.get(from..).ok_or_else(|| short(from, bytes))
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes.first_chunk().copied().ok_or_else(|| short(N, bytes))
}

/// Eight bytes in the machine's order.
pub(crate) fn native(bytes: &[u8]) -> Result<u64, DecodeError> {
    Ok(u64::from_ne_bytes(array(bytes)?))
}

fn unsigned(bytes: &[u8], width: u8) -> Result<u64, DecodeError> {
    Ok(match width {
        1 => u64::from(u8::from_ne_bytes(array(bytes)?)),
        2 => u64::from(u16::from_ne_bytes(array(bytes)?)),
        4 => u64::from(u32::from_ne_bytes(array(bytes)?)),
        8 => native(bytes)?,
        _ => return Err(DecodeError::Width(width)),
    })
}

fn integer(bytes: &[u8], width: u8, signed: bool) -> Result<Value<'_>, DecodeError> {
    let raw = unsigned(bytes, width)?;
    Ok(if signed {
        Value::Signed(sign_extend(raw, u32::from(width) * 8))
    } else {
        Value::Unsigned(raw)
    })
}

/// The low `bits` (1 to 64) of a number as a signed number.
pub(crate) fn sign_extend(raw: u64, bits: u32) -> i64 {
    let unused = 64u32.saturating_sub(bits).min(63);
    ((raw << unused) as i64) >> unused
}

fn bit_field<'a>(raw: u64, shift: u8, bits: u8, signed: bool) -> Value<'a> {
    let shifted = raw.checked_shr(u32::from(shift)).unwrap_or(0);
    let mask = 1u64
        .checked_shl(u32::from(bits))
        .map_or(u64::MAX, |bit| bit - 1);
    if signed && bits > 0 {
        Value::Signed(sign_extend(shifted & mask, u32::from(bits)))
    } else {
        Value::Unsigned(shifted & mask)
    }
}

fn enumeration<'a>(
    bytes: &[u8],
    width: u8,
    signed: bool,
    names: &'a [(i64, String)],
) -> Result<Value<'a>, DecodeError> {
    let raw = unsigned(bytes, width)?;
    let number = if signed {
        sign_extend(raw, u32::from(width) * 8)
    } else {
        raw as i64
    };
    let name = names
        .iter()
        .find(|(value, _)| *value == number)
        .map(|(_, name)| name.as_str());
    Ok(Value::Enum {
        number,
        signed,
        name,
    })
}

fn text(bytes: &[u8]) -> Value<'_> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    match &bytes[..end] {
        [text @ .., STRING_CUT] => Value::Text {
            bytes: text,
            cut: true,
        },
        text => Value::Text {
            bytes: text,
            cut: false,
        },
    }
}

fn buffer(bytes: &[u8], cap: u32) -> Result<Value<'_>, DecodeError> {
    let length = unsigned(bytes, 4)?;
    if length > u64::from(cap) {
        return Err(DecodeError::Length {
            length: length as i64,
            cap: cap.into(),
        });
    }
    Ok(Value::Buffer(head(tail(bytes, 4)?, length as usize)?))
}

fn rule(bytes: &[u8]) -> Result<Rule<'_>, DecodeError> {
    let number = |at: usize, width: u8| unsigned(tail(bytes, at)?, width);
    Ok(Rule {
        family: number(0, 4)? as u32,
        netns: number(4, 4)? as u32,
        generation: number(8, 4)? as u32,
        table: number(16, 8)?,
        rule: number(24, 8)?,
        chain: c_string(bytes, 32, RULE_CHAIN as usize),
    })
}

fn flow(bytes: [u8; FLOW_SIZE as usize]) -> Flow {
    let [family, protocol, _, _, s0, s1, d0, d1, rest @ ..] = bytes;
    let (source, destination) = rest.split_at(16);
    let v4 = |b: &[u8]| match b {
        &[a, b, c, d, ..] => Some(IpAddr::from(Ipv4Addr::new(a, b, c, d))),
        _ => None,
    };
    let v6 = |b: &[u8]| Some(IpAddr::from(<[u8; 16]>::try_from(b).ok()?));
    let addresses = match i64::from(family) {
        2 => v4(source).zip(v4(destination)),
        10 => v6(source).zip(v6(destination)),
        _ => None,
    };
    Flow {
        protocol,
        addresses,
        ports: (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])),
    }
}

fn stack(bytes: &[u8], user: bool, frames: u32, mode: StackMode) -> Result<Value<'_>, DecodeError> {
    let (pid, bytes) = if user {
        (Some(native(bytes)?), tail(bytes, 8)?)
    } else {
        (None, bytes)
    };
    let length = native(bytes)? as i64;
    let cap = u64::from(frames) * 8;
    if length > cap as i64 {
        return Err(DecodeError::Length { length, cap });
    }
    // Negative: the kernel found no stack, for example the user stack of a kernel thread.
    let addresses = head(tail(bytes, 8)?, length.max(0) as usize)?;
    Ok(Value::Stack(Stack {
        pid,
        mode,
        addresses,
    }))
}

fn ipv4(bytes: &[u8]) -> Result<Value<'_>, DecodeError> {
    let octets: [u8; 4] = array(bytes)?;
    Ok(Value::Ip(IpAddr::V4(Ipv4Addr::from(octets))))
}

fn ipv6(bytes: &[u8]) -> Result<Value<'_>, DecodeError> {
    let octets: [u8; 16] = array(bytes)?;
    Ok(Value::Ip(IpAddr::V6(Ipv6Addr::from(octets))))
}
