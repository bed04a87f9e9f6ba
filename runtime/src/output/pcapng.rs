//! Packets as a pcapng file, which Wireshark and tcpdump read.
//!
//! In: packets with time, place and a comment. Out: a section header, a description of each interface before its first packet, and a
//! block per packet (draft-ietf-opsawg-pcapng). An interface is a device in a namespace. All packets have an Ethernet header, as libpcap reads no
//! file with several kinds: those seen above the link layer get one whose addresses are zero. Times are nanoseconds; numbers have the
//! machine's byte order, which the header tells.

use std::io::{self, Write};

/// Blocks by type.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Tells the byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;
/// Bytes of two addresses in an Ethernet header; the type follows.
const ADDRESSES: [u8; 12] = [0; 12];

// Options of blocks.
const END: u16 = 0;
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const DESCRIPTION: u16 = 3;
const RESOLUTION: u16 = 9;

/// Where a packet was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The device's name.
    pub device: Vec<u8>,
    /// The namespace's name or number.
    pub netns: Vec<u8>,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// It begins with an Ethernet header, not with that of IP.
    pub ethernet: bool,
    /// Its beginning.
    pub bytes: &'a [u8],
    /// Bytes of the whole packet.
    pub length: u32,
    /// Shown beside it.
    pub comment: &'a [u8],
}

/// Writes a file.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    /// In the order of their descriptions.
    interfaces: Vec<Interface>,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of the writer, here and below.
    pub fn new(out: W) -> io::Result<PcapngWriter<W>> {
        let mut writer = PcapngWriter {
            out,
            interfaces: Vec::new(),
        };
        let mut body = Vec::new();
        body.extend(BYTE_ORDER.to_ne_bytes());
        // Version 1.0 of the format; how long the section is, nobody knows yet.
        body.extend(1u16.to_ne_bytes());
        body.extend(0u16.to_ne_bytes());
        body.extend((-1i64).to_ne_bytes());
        option(&mut body, APPLICATION, b"nettrace");
        option(&mut body, END, &[]);
        writer.block(SECTION_HEADER, &body)?;
        Ok(writer)
    }

    /// Appends a packet.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn packet(&mut self, interface: &Interface, packet: Packet<'_>) -> io::Result<()> {
        let number = match self.interfaces.iter().position(|known| known == interface) {
            Some(number) => number,
            None => self.describe(interface)?,
        };
        let mut body = Vec::with_capacity(packet.bytes.len() + 64);
        body.extend((number as u32).to_ne_bytes());
        body.extend(((packet.time >> 32) as u32).to_ne_bytes());
        body.extend((packet.time as u32).to_ne_bytes());
        let header = link_header(&packet);
        let bytes = [header.as_slice(), packet.bytes].concat();
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let length = packet.length.saturating_add(header.len() as u32);
        body.extend(captured.to_ne_bytes());
        body.extend(length.max(captured).to_ne_bytes());
        padded(&mut body, &bytes);
        if !packet.comment.is_empty() {
            option(&mut body, COMMENT, packet.comment);
            option(&mut body, END, &[]);
        }
        self.block(PACKET, &body)
    }

    fn describe(&mut self, interface: &Interface) -> io::Result<usize> {
        let mut body = Vec::new();
        body.extend(ETHERNET.to_ne_bytes());
        body.extend(0u16.to_ne_bytes());
        // Packets are cut off where the program that saw them says.
        body.extend(0u32.to_ne_bytes());
        option(&mut body, NAME, &interface.device);
        let description = [b"network namespace ".as_slice(), &interface.netns].concat();
        option(&mut body, DESCRIPTION, &description);
        option(&mut body, RESOLUTION, &[9]);
        option(&mut body, END, &[]);
        self.block(INTERFACE, &body)?;
        self.interfaces.push(interface.clone());
        Ok(self.interfaces.len() - 1)
    }

    /// Writes what has been collected.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Type and length, the body, the length again.
    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = (body.len() as u32 + 12).to_ne_bytes();
        self.out.write_all(&kind.to_ne_bytes())?;
        self.out.write_all(&length)?;
        self.out.write_all(body)?;
        self.out.write_all(&length)
    }
}

/// The Ethernet header of a packet that has none.
fn link_header(packet: &Packet<'_>) -> Vec<u8> {
    if packet.ethernet {
        return Vec::new();
    }
    let kind: [u8; 2] = match packet.bytes.first().map(|byte| byte >> 4) {
        Some(4) => [0x08, 0x00],
        Some(6) => [0x86, 0xdd],
        // For experiments: readers show the bytes as they are.
        _ => [0x88, 0xb5],
    };
    [ADDRESSES.as_slice(), &kind].concat()
}

/// Number, length, value. What is longer than a length can say is cut off.
fn option(body: &mut Vec<u8>, number: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(number.to_ne_bytes());
    body.extend(length.to_ne_bytes());
    padded(body, value.get(..length.into()).unwrap_or(value));
}

/// Bytes, and zeros up to a multiple of four.
fn padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks of a file: type and body. Checks that both lengths agree.
    fn blocks(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().expect("4 bytes"));
        let (mut at, mut blocks) = (0, Vec::new());
        while at < file.len() {
            let length = word(at + 4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(at + length - 4) as usize, length);
            blocks.push((word(at), file[at + 8..at + length - 4].to_vec()));
            at += length;
        }
        blocks
    }

    fn interface(device: &str) -> Interface {
        Interface {
            device: device.into(),
            netns: b"blue".to_vec(),
        }
    }

    #[test]
    fn interfaces_are_described_before_their_first_packet_and_once() {
        let mut writer = PcapngWriter::new(Vec::new()).expect("memory");
        let packet = Packet {
            time: 0x1_0000_0002,
            ethernet: true,
            bytes: &[1, 2, 3, 4, 5],
            length: 60,
            comment: b"ip_rcv",
        };
        for device in ["eth0", "eth0", "lo"] {
            writer.packet(&interface(device), packet).expect("memory");
        }
        let blocks = blocks(&writer.out);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [SECTION_HEADER, INTERFACE, PACKET, PACKET, INTERFACE, PACKET]
        );
        assert_eq!(blocks[1].1[..2], ETHERNET.to_ne_bytes());
        assert!(blocks[1].1.windows(4).any(|w| w == b"eth0"));
        let words: Vec<u32> = blocks[2].1[..20]
            .chunks(4)
            .map(|w| u32::from_ne_bytes(w.try_into().expect("4 bytes")))
            .collect();
        // Interface, time in two halves, captured and original length; then the bytes, padded.
        assert_eq!(words, [0, 1, 2, 5, 60]);
        assert_eq!(blocks[2].1[20..28], [1, 2, 3, 4, 5, 0, 0, 0]);
        assert!(blocks[2].1.windows(6).any(|w| w == b"ip_rcv"));
        assert_eq!(blocks[5].1[..4], 1u32.to_ne_bytes());
    }

    #[test]
    fn a_packet_is_as_long_as_its_bytes_at_least() {
        let mut writer = PcapngWriter::new(Vec::new()).expect("memory");
        let packet = Packet {
            time: 0,
            ethernet: true,
            bytes: &[0; 8],
            length: 4,
            comment: b"",
        };
        writer.packet(&interface("lo"), packet).expect("memory");
        let blocks = blocks(&writer.out);
        assert_eq!(blocks[2].1[16..20], 8u32.to_ne_bytes());
    }

    #[test]
    fn packets_without_a_link_layer_get_one() {
        let header = |first: u8, ethernet| {
            let packet = Packet {
                time: 0,
                ethernet,
                bytes: &[first],
                length: 1,
                comment: b"",
            };
            let mut writer = PcapngWriter::new(Vec::new()).expect("memory");
            writer.packet(&interface("lo"), packet).expect("memory");
            let body = &blocks(&writer.out)[2].1;
            let captured = u32::from_ne_bytes(body[12..16].try_into().expect("4 bytes"));
            body[20..20 + captured as usize].to_vec()
        };
        assert_eq!(header(0x45, true), [0x45]);
        assert_eq!(header(0x45, false)[12..], [0x08, 0x00, 0x45]);
        assert_eq!(header(0x60, false)[12..], [0x86, 0xdd, 0x60]);
        assert_eq!(header(0x00, false).len(), 15);
    }
}
