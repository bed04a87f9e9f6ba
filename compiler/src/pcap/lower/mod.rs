//! A filter's tests to IR: compares and branches around bounded loads of a packet.
//!
//! In: a plan and a [`Packet`], which says where the packet's bytes are and what the kernel knows beside them. Out: a value, 1 for a match and
//! 0 for none. Every field is loaded where it is tested, big-endian, after a check that the packet has it; a check that an earlier
//! one implies is left out, and repeated loads are left to `opt::cse`. A missing field leaves for "no match" at once.

use load::Index;

mod carried;
mod load;
mod number;

use crate::ir::{BinOp, BlockId, Cond, FuncBuilder, Value, Var};

use super::ast::{Join, Relation};
use super::plan::Plan;
use super::plan::test::{Base, Part, Test};
use super::{Filter, LinkLayer};

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
            Test::Direction(outgoing) => {
                let value = self.packet.outgoing(self.b);
                let value = value.map(|value| match outgoing {
                    true => value,
                    false => self.b.compare_imm(Cond::Eq, value, 0),
                });
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

    /// Goes elsewhere when the value is not 0, else on.
    fn otherwise(&mut self, cond: Value, elsewhere: BlockId) {
        let next = self.b.create_block();
        self.b.branch(cond, elsewhere, next);
        self.b.seal_block(next);
        self.b.switch_to(next);
    }
}

impl Known {
    fn min(self, other: Known) -> Known {
        Known(self.0.min(other.0))
    }
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
