//! Reads neighbouring fields of one object at once.
//!
//! Requires: a valid function; runs after `cse` and `snapshots`, so that equal reads are one. Changes: reads of kernel memory (not typed
//! ones, which are plain loads) that start from the same pointer and lie close together become one copy to the stack, at the place of the
//! first, and loads from there. Reads that only one way needs join an earlier read on every way to them; that reads
//! more than asked for on the other ways, which costs less than a second helper call. Preserves: values, except that a field may be
//! read earlier in the run, and that fields read together are unreadable together: they belong to one object. User memory is only
//! joined within a block. Cost: reads times groups.

use crate::ir::cfg::Cfg;
use crate::ir::{BlockId, Func, Inst, Mem, Op, SlotData, Space, Value, ValueDef};

/// Fields further apart are read separately. A cache line: within it, reading more costs nothing.
const MAX_SPAN: i64 = 64;

/// All slots of a function together take no more of the stack than this on account of joined reads.
const STACK_BUDGET: u32 = 400;

/// One read.
#[derive(Clone, Copy)]
struct Read {
    block: BlockId,
    inst: usize,
    mem: Mem,
    off: i32,
}

/// Reads that become one.
struct Group {
    base: Value,
    space: Space,
    /// Range of offsets.
    lo: i64,
    hi: i64,
    /// At least one; the first one dominates the others.
    reads: Vec<Read>,
}

/// The pass.
pub fn run(func: &mut Func) {
    let cfg = Cfg::new(func);
    let mut groups: Vec<Group> = Vec::new();
    for &block in &cfg.order {
        for (n, inst) in func.blocks[block].insts.iter().enumerate() {
            let Op::KernelLoad {
                mem,
                base,
                off,
                space,
            } = inst.op
            else {
                continue;
            };
            // An access of the stack has to be aligned.
            if space == Space::KernelTyped || off % mem.bytes() as i32 != 0 {
                continue;
            }
            let read = Read {
                block,
                inst: n,
                mem,
                off,
            };
            match groups.iter_mut().find(|g| g.takes(&cfg, base, space, read)) {
                Some(group) => group.add(read),
                None => groups.push(Group {
                    base,
                    space,
                    lo: i64::from(off),
                    hi: i64::from(off) + i64::from(mem.bytes()),
                    reads: vec![read],
                }),
            }
        }
    }
    let mut stack: u32 = func.slots.iter().map(|slot| slot.size).sum();
    groups.retain(|group| {
        let fits = stack + group.room() <= STACK_BUDGET;
        let worth = group.reads.len() > 1 && fits;
        stack += if worth { group.room() } else { 0 };
        worth
    });
    let mut copies: Vec<((BlockId, usize), [Inst; 2])> = groups
        .iter()
        .map(|group| {
            let first = group.first();
            ((first.block, first.inst), join(func, group))
        })
        .collect();
    // From the back, so that positions in front stay valid.
    copies.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    for ((block, inst), copy) in copies {
        func.blocks[block].insts.splice(inst..inst, copy);
    }
}

impl Group {
    fn takes(&self, cfg: &Cfg, base: Value, space: Space, read: Read) -> bool {
        let (lo, hi) = self.with(read);
        let first = self.first();
        let reach = match space {
            Space::User => first.block == read.block,
            _ => cfg.dominates(first.block, read.block),
        };
        (self.base, self.space) == (base, space) && hi - lo <= MAX_SPAN && reach
    }

    fn with(&self, read: Read) -> (i64, i64) {
        let from = i64::from(read.off);
        (
            self.lo.min(from),
            self.hi.max(from + i64::from(read.mem.bytes())),
        )
    }

    fn add(&mut self, read: Read) {
        (self.lo, self.hi) = self.with(read);
        self.reads.push(read);
    }

    /// Bytes of its slot.
    fn room(&self) -> u32 {
        (self.hi - self.origin()) as u32
    }

    fn first(&self) -> Read {
        self.reads[0]
    }

    /// What offset 0 of the slot stands for: alignment of fields in the object is alignment on the stack.
    fn origin(&self) -> i64 {
        self.lo.div_euclid(8) * 8
    }
}

/// Turns the reads into loads from a new slot; gives the instructions that fill it.
fn join(func: &mut Func, group: &Group) -> [Inst; 2] {
    let first = group.first();
    let span = func.blocks[first.block].insts[first.inst].span;
    let slot = func.slots.push(SlotData {
        size: group.room(),
        align: 8,
        what: "fields that are read together".to_string(),
        span,
    });
    let address = func.values.push(ValueDef::Inst(first.block));
    for read in &group.reads {
        func.blocks[read.block].insts[read.inst].op = Op::Load {
            mem: read.mem,
            ptr: address,
            off: (i64::from(read.off) - group.origin()) as i32,
        };
    }
    let copy = Op::KernelCopy {
        dst: address,
        dst_off: (group.lo - group.origin()) as i32,
        size: (group.hi - group.lo) as u32,
        base: group.base,
        off: group.lo as i32,
        space: group.space,
    };
    let inst = |result, op| Inst { result, op, span };
    [inst(Some(address), Op::SlotAddr(slot, 0)), inst(None, copy)]
}
