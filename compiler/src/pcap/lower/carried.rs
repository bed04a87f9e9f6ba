//! Packets inside packets: what a Geneve packet carries, and headers behind headers.

use super::super::plan::test::Offset;
use super::{Inner, Known, Lower};
use crate::ir::{BinOp, BlockId, Cond, Var};

/// Most headers that `protochain` follows; packets with more do not match.
const CHAIN: i64 = 16;
/// Transparent Ethernet bridging: Geneve's protocol number of Ethernet.
const BRIDGED: i64 = 0x6558;

impl Lower<'_> {
    /// Moves the places inside a `geneve` there; the current block goes on.
    pub(super) fn enter(&mut self, n: usize, ip: Offset, v6: bool, mut known: Known) {
        let ip_at = self.place(ip);
        let udp = if v6 {
            self.b.binary_imm(BinOp::Add, ip_at, 40)
        } else {
            let first = self.load(Some(ip_at), 0, 1, &mut known);
            let words = self.b.binary_imm(BinOp::And, first, 0xf);
            let length = self.b.binary_imm(BinOp::Shl, words, 2);
            self.b.binary(BinOp::Add, ip_at, length)
        };
        let geneve = self.b.binary_imm(BinOp::Add, udp, 8);
        let first = self.load(Some(geneve), 0, 1, &mut known);
        let words = self.b.binary_imm(BinOp::And, first, 0x3f);
        let options = self.b.binary_imm(BinOp::Shl, words, 2);
        let carried = self.load(Some(geneve), 2, 2, &mut known);
        let header = self.b.binary(BinOp::Add, geneve, options);
        let header = self.b.binary_imm(BinOp::Add, header, 8);
        let Some(inner) = self.geneve.get(n) else {
            return;
        };
        let Inner {
            header: header_var,
            kind: kind_var,
            payload: payload_var,
            entered,
        } = *inner;
        self.b.write_var(header_var, header);
        let one = self.b.iconst(1);
        self.b.write_var(entered, one);
        let bridged = self.b.compare_imm(Cond::Eq, carried, BRIDGED);
        let blocks = [(); 3].map(|()| self.b.create_block());
        let [frame, packet, done] = blocks;
        self.b.branch(bridged, frame, packet);
        for (block, kind, payload) in [
            (frame, (header, 12), (header, 14)),
            (packet, (geneve, 2), (header, 0)),
        ] {
            self.b.switch_to(block);
            let kind = self.b.binary_imm(BinOp::Add, kind.0, kind.1);
            let payload = self.b.binary_imm(BinOp::Add, payload.0, payload.1);
            self.b.write_var(kind_var, kind);
            self.b.write_var(payload_var, payload);
            self.b.jump(done);
        }
        for block in blocks {
            self.b.seal_block(block);
        }
        self.b.switch_to(done);
        self.outside(n + 1);
    }

    /// Follows the headers behind an IP header: those of IPv6 that may stand before others, and the authentication header.
    pub(super) fn chased(
        &mut self,
        ip: Offset,
        v6: bool,
        proto: u32,
        mut known: Known,
        yes: BlockId,
        no: BlockId,
    ) {
        let ip = self.place(ip);
        let (next, at, left) = (
            self.b.declare_var(),
            self.b.declare_var(),
            self.b.declare_var(),
        );
        let first = self.load(Some(ip), if v6 { 6 } else { 9 }, 1, &mut known);
        self.b.write_var(next, first);
        let start = if v6 {
            self.b.binary_imm(BinOp::Add, ip, 40)
        } else {
            let first = self.load(Some(ip), 0, 1, &mut known);
            let words = self.b.binary_imm(BinOp::And, first, 0xf);
            let length = self.b.binary_imm(BinOp::Shl, words, 2);
            self.b.binary(BinOp::Add, ip, length)
        };
        self.b.write_var(at, start);
        let most = self.b.iconst(CHAIN);
        self.b.write_var(left, most);
        let head = self.b.create_block();
        self.b.jump(head);
        self.b.switch_to(head);
        let header = self.b.read_var(next);
        let found = self.b.compare_imm(Cond::Eq, header, proto.into());
        self.otherwise(found, yes);
        let rest = self.b.read_var(left);
        let enough = self.b.compare_imm(Cond::Eq, rest, 0);
        self.otherwise(enough, no);
        let rest = self.b.binary_imm(BinOp::Sub, rest, 1);
        self.b.write_var(left, rest);
        if v6 {
            let advance = self.b.create_block();
            for skipped in [0, 60, 43, 44] {
                let is = self.b.compare_imm(Cond::Eq, header, skipped);
                self.otherwise(is, advance);
            }
            let done = self.b.current();
            self.b.switch_to(advance);
            self.advance((next, at), (1, 3), head);
            self.b.switch_to(done);
        }
        let authentication = self.b.compare_imm(Cond::Ne, header, 51);
        self.otherwise(authentication, no);
        self.advance((next, at), (2, 2), head);
    }

    /// Over a header that tells its length in its second byte, to the one it names in its first.
    fn advance(&mut self, (next, at): (Var, Var), (more, shift): (i64, i64), head: BlockId) {
        let here = self.b.read_var(at);
        let named = self.load(Some(here), 0, 1, &mut Known(0));
        let length = self.load(Some(here), 1, 1, &mut Known(0));
        let length = self.b.binary_imm(BinOp::Add, length, more);
        let length = self.b.binary_imm(BinOp::Shl, length, shift);
        let behind = self.b.binary(BinOp::Add, here, length);
        self.b.write_var(next, named);
        self.b.write_var(at, behind);
        self.b.jump(head);
    }
}
