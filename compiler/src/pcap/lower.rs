//! A filter's tests to IR: compares and branches around bounded loads of a packet.
//!
//! In: a plan and a [`Packet`], which says where the packet's bytes are and what the kernel knows beside them. Out: a value, 1 for a match and
//! 0 for none. Every field is loaded where it is tested, big-endian, after a check that the packet has it; a check that an earlier
//! one implies is left out, and repeated loads are left to `opt::cse`. A missing field leaves for "no match" at once.

use crate::ir::{BinOp, BlockId, Cond, FuncBuilder, Mem, Space, Value, Var};

use super::ast::{ArithOp, Join, Relation};
use super::plan::Plan;
use super::plan::test::{Base, Number, Offset, Part, Place, Test};
use super::{Filter, LinkLayer};

/// Most headers that `protochain` follows; packets with more do not match.
const CHAIN: i64 = 16;
/// A constant offset beyond which the address is computed.
const FAR: u32 = 0x4000;
/// Transparent Ethernet bridging: Geneve's protocol number of Ethernet.
const BRIDGED: i64 = 0x6558;

/// A packet that a filter is applied to, and what is known of it beside its bytes.
///
/// What a source cannot tell is `None`; tests of it are false.
pub trait Packet {
    /// The address of the first byte: of the Ethernet header for [`LinkLayer::Ethernet`], of the IP header for [`LinkLayer::Raw`].
    fn start(&mut self, b: &mut FuncBuilder) -> Value;
    /// How many bytes can be read from there.
    fn available(&mut self, b: &mut FuncBuilder) -> Value;
    /// How long the packet is from there, readable or not: `len`.
    fn length(&mut self, b: &mut FuncBuilder) -> Value;
    /// The VLAN tag that the kernel keeps beside the packet, not in it.
    fn vlan_tag(&mut self, b: &mut FuncBuilder) -> Option<VlanTag>;
    /// Not 0 when the packet leaves this host.
    fn outgoing(&mut self, b: &mut FuncBuilder) -> Option<Value>;
    /// The number of the packet's network device.
    fn ifindex(&mut self, b: &mut FuncBuilder) -> Option<Value>;
    /// Not 0 when the packet's network device has this name.
    fn ifname_is(&mut self, b: &mut FuncBuilder, name: &str) -> Option<Value>;
}

/// A VLAN tag beside a packet.
#[derive(Clone, Copy, Debug)]
pub struct VlanTag {
    /// Not 0 when there is one.
    pub present: Value,
    /// Its number with the priority, in host order.
    pub tci: Value,
}

/// Appends the filter for one kind of packet; the result is 1 when it matches, else 0. The builder goes on in a new block.
///
/// Primitives without meaning at `link` (see [`Filter::meaningless`]) are false.
pub fn lower(
    filter: &Filter,
    link: LinkLayer,
    packet: &mut dyn Packet,
    b: &mut FuncBuilder,
) -> Value {
    let plan = filter.plan(link);
    let (accept, reject, done) = (b.create_block(), b.create_block(), b.create_block());
    let start = packet.start(b);
    let available = packet.available(b);
    let tag = packet.vlan_tag(b);
    let mut lower = Lower {
        start,
        available,
        tag,
        behind_tag: None,
        geneve: Vec::new(),
        plan,
        packet,
        reject,
        b,
    };
    lower.prepare();
    lower.test(&plan.test, Known(0), accept, reject);
    let b = lower.b;
    let matched = b.add_param(done);
    for (block, value) in [(accept, 1), (reject, 0)] {
        b.switch_to(block);
        let value = b.iconst(value);
        b.jump_with(done, &[value]);
    }
    b.switch_to(done);
    matched
}

/// How many of the packet's first bytes are known to be there.
#[derive(Clone, Copy)]
struct Known(u64);

/// What is known where a test goes on, when it is true and when it is false.
struct After {
    yes: Known,
    no: Known,
}

/// The run-time places of one `geneve`.
struct Inner {
    header: Var,
    kind: Var,
    payload: Var,
    entered: Var,
}

struct Lower<'a> {
    b: &'a mut FuncBuilder,
    packet: &'a mut dyn Packet,
    plan: &'a Plan,
    start: Value,
    available: Value,
    tag: Option<VlanTag>,
    /// [`Base::Tag`], where it is not the same for all packets.
    behind_tag: Option<Value>,
    geneve: Vec<Inner>,
    reject: BlockId,
}

impl Lower<'_> {
    // ---- places -------------------------------------------------------------------------------------------------------

    /// What must be computed before any test, because a test that uses it may follow one that was left out.
    fn prepare(&mut self) {
        if let Some(tag) = self.tag {
            let zero = self.b.iconst(0);
            let absent = self.b.compare(Cond::Eq, tag.present, zero);
            self.behind_tag = Some(self.b.binary_imm(BinOp::Shl, absent, 2));
        }
        for _ in &self.plan.geneve {
            let inner = Inner {
                header: self.b.declare_var(),
                kind: self.b.declare_var(),
                payload: self.b.declare_var(),
                entered: self.b.declare_var(),
            };
            self.geneve.push(inner);
        }
        self.outside(0);
    }

    /// Sets the places inside the n-th `geneve` and all later ones to those outside.
    fn outside(&mut self, from: usize) {
        for (n, outer) in self.plan.geneve.iter().enumerate().skip(from) {
            let places = [outer.header, outer.kind, outer.payload].map(|place| self.place(place));
            if let (Some(inner), [header, kind, payload]) = (self.geneve.get(n), places) {
                self.b.write_var(inner.header, header);
                self.b.write_var(inner.kind, kind);
                self.b.write_var(inner.payload, payload);
            }
        }
    }

    /// The run-time part of a base, and its constant part.
    fn base(&mut self, base: Base) -> (Option<Value>, u32) {
        match base {
            Base::Start => (None, 0),
            Base::Tag => match self.behind_tag {
                Some(value) => (Some(value), 0),
                None => (None, 4),
            },
            Base::Inner(n, part) => {
                let var = self.geneve.get(n).map(|inner| match part {
                    Part::Header => inner.header,
                    Part::Type => inner.kind,
                    Part::Payload => inner.payload,
                });
                (var.map(|var| self.b.read_var(var)), 0)
            }
        }
    }

    /// An offset as one value.
    fn place(&mut self, offset: Offset) -> Value {
        let (dynamic, more) = self.base(offset.base);
        let bytes = i64::from(offset.bytes) + i64::from(more);
        match dynamic {
            Some(value) => self.b.binary_imm(BinOp::Add, value, bytes),
            None => self.b.iconst(bytes),
        }
    }

    // ---- loads --------------------------------------------------------------------------------------------------------

    /// Bytes at a constant offset plus, perhaps, a 32-bit value; big-endian. Leaves when the packet does not have them.
    fn load(&mut self, dynamic: Option<Value>, bytes: u64, size: u8, known: &mut Known) -> Value {
        let end = bytes + u64::from(size);
        let (ptr, off) = match dynamic {
            None if bytes <= FAR.into() => {
                if end > known.0 {
                    let end = self.b.iconst(end as i64);
                    self.require(end);
                    known.0 = end_of(bytes, size);
                }
                (self.start, bytes as i32)
            }
            _ => {
                let at = match dynamic {
                    Some(value) => self.b.binary_imm(BinOp::Add, value, bytes as i64),
                    None => self.b.iconst(bytes as i64),
                };
                let end = self.b.binary_imm(BinOp::Add, at, size.into());
                self.require(end);
                (self.b.binary(BinOp::Add, self.start, at), 0)
            }
        };
        let mem = Mem::of(size.into(), false).unwrap_or(Mem::U8);
        let raw = self.b.kernel_load(mem, ptr, off, Space::Kernel);
        match size {
            1 => raw,
            _ => self.b.swap_bytes(size, raw),
        }
    }

    /// Goes on when the packet has so many bytes, else the filter does not match.
    fn require(&mut self, end: Value) {
        let there = self.b.compare(Cond::ULe, end, self.available);
        let next = self.b.create_block();
        self.b.branch(there, next, self.reject);
        self.b.seal_block(next);
        self.b.switch_to(next);
    }

    /// A field, `index` bytes beyond its place.
    fn field(&mut self, place: Place, index: Index, size: u8, known: &mut Known) -> Value {
        let (base, more) = self.base(place.from.base);
        let fixed = u64::from(place.from.bytes) + u64::from(more);
        let length = place.past_ipv4.then(|| {
            let first = self.load(base, fixed, 1, known);
            let words = self.b.binary_imm(BinOp::And, first, 0xf);
            self.b.binary_imm(BinOp::Shl, words, 2)
        });
        let (index, constant) = match index {
            Index::None => (None, 0),
            Index::Const(n) if base.is_none() && length.is_none() => (None, n),
            Index::Const(n) => (Some(self.b.iconst(n.into())), 0),
            Index::Value(value) => (Some(value), 0),
        };
        // What varies is added in 32 bits, as BPF's index register is; the rest does not wrap.
        let mut dynamic = None;
        for part in [base, length, index].into_iter().flatten() {
            dynamic = Some(match dynamic {
                None => part,
                Some(sum) => {
                    let sum = self.b.binary(BinOp::Add, sum, part);
                    self.b.extend(Mem::U32, sum)
                }
            });
        }
        let fixed = fixed + u64::from(place.offset) + u64::from(constant);
        self.load(dynamic, fixed, size, known)
    }

    // ---- tests --------------------------------------------------------------------------------------------------------

    /// Appends a test to the current block, which ends.
    fn test(&mut self, test: &Test, known: Known, yes: BlockId, no: BlockId) -> After {
        let same = After {
            yes: known,
            no: known,
        };
        match test {
            Test::Const(holds) => {
                self.b.jump(if *holds { yes } else { no });
                same
            }
            Test::At(span, inner) => {
                let before = self.b.set_span(*span);
                let after = self.test(inner, known, yes, no);
                self.b.set_span(before);
                after
            }
            Test::Not(inner) => {
                let after = self.test(inner, known, no, yes);
                After {
                    yes: after.no,
                    no: after.yes,
                }
            }
            Test::Chain(first, rest) => self.chain(first, rest, known, yes, no),
            Test::Field {
                place,
                size,
                mask,
                relation,
                value,
            } => {
                let mut known = known;
                let mut field = self.field(*place, Index::None, *size, &mut known);
                if u64::from(*mask) & largest(*size) != largest(*size) {
                    field = self.b.binary_imm(BinOp::And, field, (*mask).into());
                }
                let holds = self.b.compare_imm(cond(*relation), field, (*value).into());
                self.b.branch(holds, yes, no);
                After {
                    yes: known,
                    no: known,
                }
            }
            Test::Compare(relation, left, right) => {
                let mut known = known;
                let left = self.number(left, &mut known);
                let right = self.number(right, &mut known);
                let holds = self.b.compare(cond(*relation), left, right);
                self.b.branch(holds, yes, no);
                After {
                    yes: known,
                    no: known,
                }
            }
            Test::Chased { ip, v6, proto } => {
                self.chased(*ip, *v6, *proto, known, yes, no);
                same
            }
            Test::Tagged { id, in_packet } => self.tagged(*id, in_packet, known, yes, no),
            Test::Enter { geneve, ip, v6 } => {
                self.enter(*geneve, *ip, *v6, known);
                self.b.jump(yes);
                same
            }
            Test::CarriesEthernet(n) => {
                let (header, _) = self.base(Base::Inner(*n, Part::Header));
                let (payload, _) = self.base(Base::Inner(*n, Part::Payload));
                let holds = match (header, payload) {
                    (Some(header), Some(payload)) => self.b.compare(Cond::Ne, header, payload),
                    _ => self.b.iconst(0),
                };
                self.b.branch(holds, yes, no);
                same
            }
            Test::IfEntered(n, inside, outside) => {
                self.if_entered(*n, inside, outside, known, yes, no)
            }
            Test::Outgoing => {
                let value = self.packet.outgoing(self.b);
                self.known_beside(value, yes, no);
                same
            }
            Test::Ifindex(number) => {
                let value = self.packet.ifindex(self.b);
                let value =
                    value.map(|value| self.b.compare_imm(Cond::Eq, value, (*number).into()));
                self.known_beside(value, yes, no);
                same
            }
            Test::Ifname(name) => {
                let value = self.packet.ifname_is(self.b, name);
                self.known_beside(value, yes, no);
                same
            }
        }
    }

    /// What the kernel may know beside the packet.
    fn known_beside(&mut self, value: Option<Value>, yes: BlockId, no: BlockId) {
        match value {
            Some(value) => self.b.branch(value, yes, no),
            None => self.b.jump(no),
        }
    }

    /// All tests of a chain, each ending where the joins after it say: without recursion, chains are long.
    fn chain(
        &mut self,
        first: &Test,
        rest: &[(Join, Test)],
        known: Known,
        yes: BlockId,
        no: BlockId,
    ) -> After {
        // From the last to the first: where the chain up to there goes, and the block between it and the next test.
        let mut targets = vec![(yes, no)];
        let mut blocks = Vec::new();
        let mut of_prefix = (yes, no);
        for (join, _) in rest.iter().rev() {
            let block = self.b.create_block();
            match join {
                Join::And => of_prefix.0 = block,
                Join::Or => of_prefix.1 = block,
            }
            blocks.push(block);
            targets.push(of_prefix);
        }
        // The n-th test ends where the chain up to the n-th does.
        let mut targets = targets.into_iter().rev();
        let (yes, no) = targets.next().unwrap_or((yes, no));
        let mut after = self.test(first, known, yes, no);
        for (((join, test), block), (yes, no)) in
            rest.iter().zip(blocks.into_iter().rev()).zip(targets)
        {
            self.b.switch_to(block);
            let known = match join {
                Join::And => after.yes,
                Join::Or => after.no,
            };
            let this = self.test(test, known, yes, no);
            after = match join {
                Join::And => After {
                    yes: this.yes,
                    no: after.no.min(this.no),
                },
                Join::Or => After {
                    yes: after.yes.min(this.yes),
                    no: this.no,
                },
            };
        }
        after
    }

    /// One test or another; at its end only what both know is known.
    fn either(
        &mut self,
        cond: Value,
        (then, otherwise): (&Test, &Test),
        known: Known,
        yes: BlockId,
        no: BlockId,
    ) -> After {
        let (first, second) = (self.b.create_block(), self.b.create_block());
        self.b.branch(cond, first, second);
        self.b.switch_to(first);
        let one = self.test(then, known, yes, no);
        self.b.switch_to(second);
        let other = self.test(otherwise, known, yes, no);
        After {
            yes: one.yes.min(other.yes),
            no: one.no.min(other.no),
        }
    }

    fn if_entered(
        &mut self,
        n: usize,
        inside: &Test,
        outside: &Test,
        known: Known,
        yes: BlockId,
        no: BlockId,
    ) -> After {
        match self.geneve.get(n).map(|inner| inner.entered) {
            Some(var) => {
                let entered = self.b.read_var(var);
                self.either(entered, (inside, outside), known, yes, no)
            }
            None => self.test(outside, known, yes, no),
        }
    }

    fn tagged(
        &mut self,
        id: Option<u32>,
        in_packet: &Test,
        known: Known,
        yes: BlockId,
        no: BlockId,
    ) -> After {
        let Some(tag) = self.tag else {
            return self.test(in_packet, known, yes, no);
        };
        let (beside, inside) = (self.b.create_block(), self.b.create_block());
        self.b.branch(tag.present, beside, inside);
        self.b.switch_to(beside);
        match id {
            Some(id) => {
                let number = self.b.binary_imm(BinOp::And, tag.tci, 0xfff);
                let same = self.b.compare_imm(Cond::Eq, number, id.into());
                self.b.branch(same, yes, no);
            }
            None => self.b.jump(yes),
        }
        self.b.switch_to(inside);
        self.test(in_packet, known, yes, no);
        After {
            yes: known,
            no: known,
        }
    }

    /// Moves the places inside a `geneve` there; the current block goes on.
    fn enter(&mut self, n: usize, ip: Offset, v6: bool, mut known: Known) {
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
    fn chased(
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

    /// Goes elsewhere when the value is not 0, else on.
    fn otherwise(&mut self, cond: Value, elsewhere: BlockId) {
        let next = self.b.create_block();
        self.b.branch(cond, elsewhere, next);
        self.b.seal_block(next);
        self.b.switch_to(next);
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

    // ---- numbers ------------------------------------------------------------------------------------------------------

    /// A number: 32 bits, zero-extended.
    fn number(&mut self, number: &Number, known: &mut Known) -> Value {
        match number {
            Number::Const(value) => self.b.iconst((*value).into()),
            Number::Length => {
                let length = self.packet.length(self.b);
                self.b.extend(Mem::U32, length)
            }
            Number::Load(place, index, size) => {
                let index = match **index {
                    Number::Const(value) => Index::Const(value),
                    ref number => Index::Value(self.number(number, known)),
                };
                self.field(*place, index, *size, known)
            }
            Number::Neg(inner) => {
                let inner = self.number(inner, known);
                let zero = self.b.iconst(0);
                let negative = self.b.binary(BinOp::Sub, zero, inner);
                self.b.extend(Mem::U32, negative)
            }
            Number::Binary(op, left, right) => {
                let left = self.number(left, known);
                let constant = match **right {
                    Number::Const(value) => Some(value),
                    _ => None,
                };
                let right = self.number(right, known);
                self.binary(*op, left, right, constant)
            }
        }
    }

    fn binary(&mut self, op: ArithOp, left: Value, right: Value, constant: Option<u32>) -> Value {
        let op = match op {
            ArithOp::Add => BinOp::Add,
            ArithOp::Sub => BinOp::Sub,
            ArithOp::Mul => BinOp::Mul,
            ArithOp::And => BinOp::And,
            ArithOp::Or => BinOp::Or,
            ArithOp::Xor => BinOp::Xor,
            ArithOp::Div | ArithOp::Mod => {
                if constant.is_none_or(|n| n == 0) {
                    // Division by zero fails the filter.
                    let zero = self.b.compare_imm(Cond::Eq, right, 0);
                    let reject = self.reject;
                    self.otherwise(zero, reject);
                }
                match op {
                    ArithOp::Div => BinOp::UDiv,
                    _ => BinOp::UMod,
                }
            }
            ArithOp::Shl | ArithOp::Shr => {
                let op = match op {
                    ArithOp::Shl => BinOp::Shl,
                    _ => BinOp::LShr,
                };
                return match constant {
                    Some(0..=31) => self.shift(op, left, right),
                    _ => self.any_shift(op, left, right),
                };
            }
        };
        let value = self.b.binary(op, left, right);
        match op {
            BinOp::Add | BinOp::Sub | BinOp::Mul => self.b.extend(Mem::U32, value),
            _ => value,
        }
    }

    /// By less than 64 bits.
    fn shift(&mut self, op: BinOp, left: Value, right: Value) -> Value {
        let value = self.b.binary(op, left, right);
        self.b.extend(Mem::U32, value)
    }

    /// By 32 bits and more nothing is left.
    fn any_shift(&mut self, op: BinOp, left: Value, right: Value) -> Value {
        let (small, done) = (self.b.create_block(), self.b.create_block());
        let result = self.b.add_param(done);
        let in_range = self.b.compare_imm(Cond::ULt, right, 32);
        let zero = self.b.iconst(0);
        self.b.branch_with(in_range, small, &[], done, &[zero]);
        self.b.switch_to(small);
        let shifted = self.shift(op, left, right);
        self.b.jump_with(done, &[shifted]);
        for block in [small, done] {
            self.b.seal_block(block);
        }
        self.b.switch_to(done);
        result
    }
}

/// How far beyond its place a field is.
enum Index {
    None,
    Const(u32),
    Value(Value),
}

impl Known {
    fn min(self, other: Known) -> Known {
        Known(self.0.min(other.0))
    }
}

fn end_of(bytes: u64, size: u8) -> u64 {
    bytes + u64::from(size)
}

/// The largest value of a field.
fn largest(size: u8) -> u64 {
    match size {
        1 => 0xff,
        2 => 0xffff,
        _ => 0xffff_ffff,
    }
}

fn cond(relation: Relation) -> Cond {
    match relation {
        Relation::Eq => Cond::Eq,
        Relation::Ne => Cond::Ne,
        Relation::Gt => Cond::UGt,
        Relation::Ge => Cond::UGe,
        Relation::Lt => Cond::ULt,
        Relation::Le => Cond::ULe,
    }
}
