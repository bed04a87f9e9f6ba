//! The packet of an `skb` probe, whose functions keep it in different registers.
//!
//! In: the registers of the targets. Out: the packet's address as a value that is there from the program's start. A program may read
//! its context at constant offsets only, so the register is chosen by comparing the cookie's upper half, the most frequent one first.

use super::{Lower, arch};
use crate::artifact::COOKIE_PACKET_SHIFT;
use crate::ir::{BinOp, Cond, Mem, Value};
use crate::probes::ContextKind;
use crate::typed::{Context, Expr, ExprKind};

impl Lower<'_> {
    /// The packet.
    pub(super) fn packet(&mut self) -> Value {
        match self.packet {
            Some(packet) => packet,
            None => self.b.iconst(0),
        }
    }

    /// Finds the packet before the body needs it: once, however often and wherever it is used.
    pub(super) fn find_packet(&mut self) {
        let is_packet = |e: &Expr| matches!(e.kind, ExprKind::Context(Context::Packet));
        let used = super::walk::any_in_probe(self.probe, &is_packet);
        if used && self.probe.kind.context == ContextKind::Packet {
            self.packet = Some(self.choose_register());
        }
    }

    fn choose_register(&mut self) -> Value {
        let registers = self.registers();
        let (last, others) = match registers.split_last() {
            Some((last, others)) => (*last, others),
            None => return self.b.iconst(0),
        };
        if others.is_empty() {
            return self.register(last);
        }
        let packet = self.b.declare_var();
        let join = self.b.create_block();
        let cookie = self.attach_cookie();
        let wanted = self
            .b
            .binary_imm(BinOp::LShr, cookie, i64::from(COOKIE_PACKET_SHIFT));
        for register in others {
            let (here, next) = (self.b.create_block(), self.b.create_block());
            let is_it = self.b.compare_imm(Cond::Eq, wanted, i64::from(*register));
            self.b.branch(is_it, here, next);
            self.arm(here, |lower| {
                let value = lower.register(*register);
                lower.b.write_var(packet, value);
                lower.b.jump(join);
            });
            self.b.seal_block(next);
            self.b.switch_to(next);
        }
        let value = self.register(last);
        self.b.write_var(packet, value);
        self.b.jump(join);
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(packet)
    }

    /// The registers that hold the packet in any target, the most frequent first.
    fn registers(&self) -> Vec<u8> {
        let mut found: Vec<(usize, u8)> = Vec::new();
        for register in self.probe.targets.iter().filter_map(|t| t.packet) {
            match found.iter_mut().find(|(_, r)| *r == register) {
                Some((count, _)) => *count += 1,
                None => found.push((1, register)),
            }
        }
        found.sort_by_key(|(count, register)| (std::cmp::Reverse(*count), *register));
        found.into_iter().map(|(_, register)| register).collect()
    }

    fn register(&mut self, number: u8) -> Value {
        let ctx = self.context();
        match arch::argument(u32::from(number)) {
            Some(offset) => self.b.load(Mem::U64, ctx, offset),
            None => self.b.iconst(0),
        }
    }
}
