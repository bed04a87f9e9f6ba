//! The stack frame: where slots and spilled registers lie in the 512 bytes below `r10`.
//!
//! In: selected and allocated code of a function, and its slots. Out: an offset for each slot and spill that is touched, or the
//! error that they do not fit, which names what the script put there.
//!
//! Two of them share bytes when they are never needed at the same time. Something is needed between its first and last touch on
//! any way through the function; a touch is an access, or any use of a register that may hold the slot's address. A slot whose
//! address is itself written to memory is needed everywhere.

use std::collections::BTreeSet;

use super::liveness::BitSet;
use super::mir::*;
use super::{Limit, LimitError};
use crate::index::{Id, IndexVec};
use crate::ir::{Func, SlotData, SlotId};

/// All the stack that the kernel gives to a program and what it calls.
pub(crate) const STACK_SIZE: u32 = 512;

/// Where everything lies: offsets from `r10`, negative.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    slots: Vec<i32>,
    spills: Vec<i32>,
    /// Bytes in use, a multiple of 8.
    pub(crate) size: u32,
}

impl Frame {
    /// The offset of a slot's first byte.
    pub(crate) fn slot(&self, slot: SlotId) -> i32 {
        self.slots.get(slot.index()).copied().unwrap_or(0)
    }

    /// The offset of a spilled register.
    pub(crate) fn spill(&self, spill: SpillId) -> i32 {
        self.spills.get(spill.index()).copied().unwrap_or(0)
    }
}

/// What a slot is aligned to: what it asks for, and what the widest access that fits into it wants.
pub(crate) fn slot_align(slot: &SlotData) -> u32 {
    let natural = match slot.size {
        0..=1 => 1,
        2..=3 => 2,
        4..=7 => 4,
        _ => 8,
    };
    slot.align.max(natural)
}

/// Places all slots and spills.
pub(crate) fn place(func: &Func, selected: &MFunc, allocated: &MFunc) -> Result<Frame, LimitError> {
    let slots = func.slots.len();
    let items = slots + allocated.spills as usize;
    let touches = Touches::new(selected, slots);
    let conflicts = conflicts(allocated, items, slots, &touches);
    let shape = |item: usize| match func.slots.get(SlotId::new(item)) {
        Some(slot) => (slot.size, slot_align(slot)),
        None => (8, 8),
    };
    let mut order: Vec<usize> = (0..items).filter(|&i| conflicts[i].contains(i)).collect();
    // Large ones first; what remains fills the gaps.
    order.sort_by_key(|&item| (std::cmp::Reverse(shape(item)), item));
    let mut depth: Vec<Option<u32>> = vec![None; items];
    for &item in &order {
        let (size, align) = shape(item);
        let taken = conflicts[item].iter().filter_map(|other| {
            let bottom = depth[other]?;
            Some((bottom - shape(other).0, bottom))
        });
        depth[item] = Some(first_fit(size, align, taken.collect()));
    }
    let size = depth.iter().flatten().max().copied().unwrap_or(0);
    let size = size.next_multiple_of(8);
    if size > STACK_SIZE {
        return Err(too_large(func, &order, size));
    }
    let offset = |item: usize| depth[item].map_or(0, |bottom| -(bottom as i32));
    Ok(Frame {
        slots: (0..slots).map(offset).collect(),
        spills: (slots..items).map(offset).collect(),
        size,
    })
}

/// The least depth of the far end at which `size` bytes are free.
fn first_fit(size: u32, align: u32, mut taken: Vec<(u32, u32)>) -> u32 {
    taken.sort_unstable();
    let mut bottom = size.next_multiple_of(align);
    for (top, end) in taken {
        if bottom - size < end && top < bottom {
            bottom = (end + size).next_multiple_of(align);
        }
    }
    bottom
}

fn too_large(func: &Func, order: &[usize], size: u32) -> LimitError {
    let largest = order
        .iter()
        .filter_map(|&item| func.slots.get(SlotId::new(item)))
        .max_by_key(|slot| slot.size);
    match largest {
        Some(slot) => LimitError {
            limit: Limit::Stack,
            span: slot.span,
            message: format!(
                "{} takes {} bytes; with everything else this probe needs {size} bytes of stack, eBPF has {STACK_SIZE}",
                slot.what, slot.size
            ),
            help:
                "use shorter strings or fewer key parts, or move part of the work to another probe"
                    .to_string(),
        },
        None => LimitError {
            limit: Limit::Stack,
            span: func.span,
            message: format!(
                "this probe keeps too many values at a time: {size} bytes of stack, eBPF has {STACK_SIZE}"
            ),
            help: "use fewer variables at a time, or split the probe in two".to_string(),
        },
    }
}

/// A few slots.
type Slots = BTreeSet<SlotId>;

/// Which slots each selected instruction touches.
struct Touches {
    by_origin: Vec<Slots>,
    /// Slots whose address is in memory.
    escaped: Slots,
}

impl Touches {
    fn new(selected: &MFunc, slots: usize) -> Touches {
        let mut pointers = Pointers {
            virtuals: vec![Slots::new(); selected.regs as usize],
            fixed: vec![Slots::new(); FIRST_VIRTUAL as usize],
        };
        let mut changed = slots > 0;
        while changed {
            changed = false;
            for block in selected.blocks.iter() {
                changed |= pointers.block(block, |_, _| {});
            }
        }
        let mut touches = Touches {
            by_origin: Vec::new(),
            escaped: Slots::new(),
        };
        for block in selected.blocks.iter() {
            pointers.block(block, |inst, pointers| {
                let mut touched: Slots = inst.op.slot().into_iter().collect();
                inst.op.uses(|reg| touched.extend(pointers.of(reg)));
                if let MOp::Store { src, .. } = inst.op {
                    touches.escaped.extend(pointers.of(src));
                }
                touches.by_origin.push(touched);
            });
        }
        touches
    }

    fn of(&self, inst: &MInst) -> Option<&Slots> {
        self.by_origin.get(inst.origin? as usize)
    }
}

/// Which slots each register may point into. Virtual registers: anywhere in the function; machine registers, which are only
/// used around calls: at the current instruction.
struct Pointers {
    virtuals: Vec<Slots>,
    fixed: Vec<Slots>,
}

impl Pointers {
    fn of(&self, reg: VReg) -> &Slots {
        if reg.is_fixed() {
            &self.fixed[reg.index()]
        } else {
            &self.virtuals[reg.index()]
        }
    }

    /// Follows pointers through a block, showing each instruction before its effect; tells whether anything was new.
    fn block(&mut self, block: &MBlock, mut see: impl FnMut(&MInst, &Pointers)) -> bool {
        let mut changed = false;
        for inst in &block.insts {
            see(inst, self);
            changed |= self.inst(&inst.op);
        }
        changed
    }

    fn inst(&mut self, op: &MOp) -> bool {
        let (dst, from) = match *op {
            MOp::Mov { dst, src }
            | MOp::Zext32 { dst, src }
            | MOp::Alu {
                dst,
                src: Operand::Reg(src),
                ..
            } => (dst, self.of(src).clone()),
            MOp::Def { dst, .. } => (dst, op.slot().into_iter().collect()),
            MOp::Call { .. } => {
                self.fixed.iter_mut().for_each(Slots::clear);
                return false;
            }
            _ => return false,
        };
        if dst.is_fixed() {
            self.fixed[dst.index()] = from;
            return false;
        }
        let known = &mut self.virtuals[dst.index()];
        let before = known.len();
        known.extend(from);
        known.len() != before
    }
}

/// For each slot and spill those that must not share bytes with it, itself included if it is touched at all.
fn conflicts(func: &MFunc, items: usize, slots: usize, touches: &Touches) -> Vec<BitSet> {
    let touched = |inst: &MInst, set: &mut BitSet| {
        if let Some(more) = touches.of(inst) {
            more.iter().for_each(|slot| set.insert(slot.index()));
        }
        if let Some(Base::Spill(spill)) = inst.op.base() {
            set.insert(slots + spill.index());
        }
    };
    let per_block: IndexVec<MBlockId, BitSet> = func
        .blocks
        .iter()
        .map(|block| {
            let mut set = BitSet::new(items);
            block.insts.iter().for_each(|inst| touched(inst, &mut set));
            set
        })
        .collect();
    let escaped = |item: usize| touches.escaped.contains(&SlotId::new(item));
    let (earlier, later) = reach(func, &per_block, items);
    let mut conflicts = vec![BitSet::new(items); items];
    for (id, block) in func.blocks.iter_enumerated() {
        // What is touched after each instruction of the block, from the last to the first.
        let mut after = later[id].clone();
        let mut afters = Vec::with_capacity(block.insts.len());
        for inst in block.insts.iter().rev() {
            afters.push(after.clone());
            touched(inst, &mut after);
        }
        let mut before = earlier[id].clone();
        for (inst, after) in block.insts.iter().zip(afters.into_iter().rev()) {
            let mut here = BitSet::new(items);
            touched(inst, &mut here);
            before.union(&here);
            let live: Vec<usize> = before
                .iter()
                .filter(|&i| after.contains(i) || here.contains(i) || escaped(i))
                .collect();
            for item in here.iter() {
                for &other in &live {
                    conflicts[item].insert(other);
                    conflicts[other].insert(item);
                }
            }
        }
    }
    conflicts
}

/// What may have been touched before each block, and what may be touched after it.
fn reach(
    func: &MFunc,
    per_block: &IndexVec<MBlockId, BitSet>,
    items: usize,
) -> (IndexVec<MBlockId, BitSet>, IndexVec<MBlockId, BitSet>) {
    let mut earlier: IndexVec<MBlockId, BitSet> =
        func.blocks.iter().map(|_| BitSet::new(items)).collect();
    let mut later = earlier.clone();
    let mut changed = true;
    while changed {
        changed = false;
        for id in func.blocks.ids() {
            let mut out = earlier[id].clone();
            out.union(&per_block[id]);
            for succ in func.blocks[id].term.successors() {
                changed |= earlier[succ].union(&out);
            }
        }
        for id in func.blocks.ids().rev() {
            for succ in func.blocks[id].term.successors() {
                let mut into = later[succ].clone();
                into.union(&per_block[succ]);
                changed |= later[id].union(&into);
            }
        }
    }
    (earlier, later)
}
