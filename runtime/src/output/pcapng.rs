//! Packets as a pcapng file, which Wireshark and tcpdump read.
//!
//! In: packets with time, place and a comment. Out: a section header, a description of each interface before its first packet, and a
//! block per packet (draft-ietf-opsawg-pcapng). An interface is a device in a namespace with one kind of link-layer header: packets above the
//! link layer have none. Times are nanoseconds; numbers have the machine's byte order, which the header tells.

use std::io::{self, Write};

/// Blocks by type.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Tells the byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// `LINKTYPE_ETHERNET` and `LINKTYPE_RAW` (IPv4 or IPv6 without a link-layer header).
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

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
    /// Packets have an Ethernet header.
    pub ethernet: bool,
}

/// A packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970.
    pub time: u64,
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
        let captured = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        body.extend(captured.to_ne_bytes());
        body.extend(packet.length.max(captured).to_ne_bytes());
        padded(&mut body, packet.bytes);
        if !packet.comment.is_empty() {
            option(&mut body, COMMENT, packet.comment);
            option(&mut body, END, &[]);
        }
        self.block(PACKET, &body)
    }

    fn describe(&mut self, interface: &Interface) -> io::Result<usize> {
        let mut body = Vec::new();
        let link = if interface.ethernet { ETHERNET } else { RAW };
        body.extend(link.to_ne_bytes());
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

    fn interface(device: &str, ethernet: bool) -> Interface {
        Interface {
            device: device.into(),
            netns: b"blue".to_vec(),
            ethernet,
        }
    }

    #[test]
    fn interfaces_are_described_before_their_first_packet_and_once() {
        let mut writer = PcapngWriter::new(Vec::new()).expect("memory");
        let packet = Packet {
            time: 0x1_0000_0002,
            bytes: &[1, 2, 3, 4, 5],
            length: 60,
            comment: b"ip_rcv",
        };
        for (device, ethernet) in [("eth0", true), ("eth0", true), ("eth0", false)] {
            writer
                .packet(&interface(device, ethernet), packet)
                .expect("memory");
        }
        let blocks = blocks(&writer.out);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [SECTION_HEADER, INTERFACE, PACKET, PACKET, INTERFACE, PACKET]
        );
        assert_eq!(blocks[1].1[..2], ETHERNET.to_ne_bytes());
        assert_eq!(blocks[4].1[..2], RAW.to_ne_bytes());
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
            bytes: &[0; 8],
            length: 4,
            comment: b"",
        };
        writer
            .packet(&interface("lo", false), packet)
            .expect("memory");
        let blocks = blocks(&writer.out);
        assert_eq!(blocks[2].1[16..20], 8u32.to_ne_bytes());
    }
}
