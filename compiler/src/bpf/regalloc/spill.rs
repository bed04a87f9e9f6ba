//! Takes registers out of the graph: they live on the stack, or are made again where they are needed.
//!
//! In: the function and the registers that found no colour. Out: the function with loads, stores and shorter-lived registers.
//! What is added has no `origin`; an instruction that stays keeps its own, and becomes a `Nop` when nothing is left to do.
//!
//! A *region* is a run of instructions of one block without a call. In each a spilled register is represented by one fresh
//! register, its *piece*: loaded before its first use, stored after its last change if it is needed beyond the region. A piece that
//! is spilled in turn is represented by a fresh register for each single instruction; such *minimal* registers are never
//! ends of moves, so nothing makes them live longer.
//!
//! A number whose bounds a branch has established is stored once more behind the branch, for the verifier's sake: see
//! [`Spiller::refined`].

use std::collections::{BTreeMap, BTreeSet};

use super::super::insn::{Jump, Size};
use super::super::liveness::Liveness;
use super::super::mir::*;
use crate::index::Id;

/// Where a register's value can be found when it is in no register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Stack(SpillId),
    Known(Known),
}

/// What is known of registers made by spilling.
#[derive(Default)]
pub(super) struct Homes {
    places: BTreeMap<VReg, Place>,
    minimal: BTreeSet<VReg>,
}

impl Homes {
    /// Whether the register lives for a single instruction, so that spilling it is no use.
    pub(super) fn is_minimal(&self, reg: VReg) -> bool {
        self.minimal.contains(&reg)
    }
}

/// A register to be spilled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spilled {
    pub(super) reg: VReg,
    /// Others have been merged into it: then it is no longer the piece it may have been.
    pub(super) merged: bool,
}

/// Spills `spilled`; with `minimal`, straight to single instructions.
pub(super) fn spill(func: &mut MFunc, spilled: &[Spilled], homes: &mut Homes, minimal: bool) {
    let live = Liveness::new(func);
    let mut spiller = Spiller {
        targets: BTreeMap::new(),
        regs: func.regs,
        pieces: BTreeMap::new(),
        stores: BTreeSet::new(),
        out: Vec::new(),
        homes,
    };
    let known = known_values(func, spilled);
    for &Spilled { reg, merged } in spilled {
        if merged {
            spiller.homes.places.remove(&reg);
        }
        let again = spiller.homes.places.get(&reg).copied();
        let place = known.get(&reg).copied().flatten().map(Place::Known);
        let place = again.or(place).unwrap_or_else(|| {
            func.spills += 1;
            Place::Stack(SpillId(func.spills - 1))
        });
        let minimal = minimal || again.is_some();
        spiller.targets.insert(reg, Target { place, minimal });
    }
    let entered_once = entered_once(func);
    let mut refined = Vec::new();
    for id in func.blocks.ids() {
        let before = func.blocks[id].term;
        let block = &mut func.blocks[id];
        spiller.block(block, |reg| live.is_live_out(id, reg));
        for to in before.successors().filter(|to| entered_once[to.index()]) {
            let stores = spiller.refined(before, block, to, &live);
            refined.extend(stores.into_iter().map(|store| (to, store)));
        }
    }
    for (to, store) in refined {
        func.blocks[to].insts.insert(0, store);
    }
    func.regs = spiller.regs;
}

/// The blocks that only one way leads to.
fn entered_once(func: &MFunc) -> Vec<bool> {
    let mut ways = vec![0; func.blocks.len()];
    for succ in func.blocks.iter().flat_map(|block| block.term.successors()) {
        ways[succ.index()] += 1;
    }
    ways.into_iter().map(|ways| ways == 1).collect()
}

/// The registers that only ever hold one value that can be made from nothing.
fn known_values(func: &MFunc, spilled: &[Spilled]) -> BTreeMap<VReg, Option<Known>> {
    let spilled: BTreeSet<VReg> = spilled.iter().map(|s| s.reg).collect();
    let mut known: BTreeMap<VReg, Option<Known>> = BTreeMap::new();
    for inst in func.blocks.iter().flat_map(|block| &block.insts) {
        let value = match inst.op {
            MOp::Def { known, .. } => Some(known),
            _ => None,
        };
        inst.op.defs(|reg| {
            if spilled.contains(&reg) {
                known
                    .entry(reg)
                    .and_modify(|old| {
                        if *old != value {
                            *old = None;
                        }
                    })
                    .or_insert(value);
            }
        });
    }
    known
}

#[derive(Clone, Copy)]
struct Target {
    place: Place,
    minimal: bool,
}

struct Spiller<'a> {
    targets: BTreeMap<VReg, Target>,
    regs: u32,
    /// The register that holds a spilled one in the current region.
    pieces: BTreeMap<VReg, VReg>,
    /// Instructions of the current block after which a spilled register is stored.
    stores: BTreeSet<(usize, VReg)>,
    out: Vec<MInst>,
    homes: &'a mut Homes,
}

impl Spiller<'_> {
    fn block(&mut self, block: &mut MBlock, live_out: impl Fn(VReg) -> bool) {
        self.plan_stores(block, live_out);
        self.pieces.clear();
        let span = block.term_span;
        for (index, inst) in std::mem::take(&mut block.insts).into_iter().enumerate() {
            self.inst(index, inst);
        }
        let mut term = block.term;
        let mut at_end = BTreeMap::new();
        term.each_reg(|reg| {
            if self.targets.contains_key(reg) {
                let original = *reg;
                *reg = *at_end
                    .entry(original)
                    .or_insert_with(|| self.read(original, span));
            }
        });
        block.term = term;
        block.insts = std::mem::take(&mut self.out);
    }

    /// Behind a comparison that bounds a number, verifiers before Linux 6.8 know the bounds of the register, but not of the copy
    /// on the stack: it is stored again in the block `to`, to which the comparison leads.
    fn refined(&self, before: MTerm, block: &MBlock, to: MBlockId, live: &Liveness) -> Vec<MInst> {
        let (mut wanted, mut now) = (Vec::new(), Vec::new());
        match before {
            MTerm::Branch { cond, .. } if !matches!(cond, Jump::Eq | Jump::Ne | Jump::Set) => {
                before.uses(|reg| wanted.push(reg));
                block.term.uses(|reg| now.push(reg));
            }
            _ => {}
        }
        let pairs = wanted.into_iter().zip(now);
        let live = pairs.filter(|(reg, _)| live.is_live_in(to, *reg));
        let stores = live.filter_map(|(reg, now)| match self.place(reg) {
            Some(Place::Stack(at)) => Some(MInst {
                op: store(at, now),
                span: block.term_span,
                origin: None,
            }),
            _ => None,
        });
        stores.collect()
    }

    /// Finds the last change of each spilled register in each region at whose end it is live.
    fn plan_stores(&mut self, block: &MBlock, live_out: impl Fn(VReg) -> bool) {
        self.stores.clear();
        let mut live: BTreeSet<VReg> = self
            .targets
            .keys()
            .copied()
            .filter(|reg| live_out(*reg))
            .collect();
        let mut at_end = live.clone();
        // The terminator belongs to the last region: what only it reads is in the piece still.
        block.term.uses(|reg| {
            live.insert(reg);
        });
        let mut changed_later = BTreeSet::new();
        for (index, inst) in block.insts.iter().enumerate().rev() {
            if let MOp::Call { .. } = inst.op {
                at_end = live.clone();
                changed_later.clear();
            }
            let targets = &self.targets;
            inst.op.defs(|reg| {
                if targets.contains_key(&reg) {
                    if changed_later.insert(reg) && at_end.contains(&reg) {
                        self.stores.insert((index, reg));
                    }
                    live.remove(&reg);
                }
            });
            inst.op.uses(|reg| {
                if targets.contains_key(&reg) {
                    live.insert(reg);
                }
            });
        }
    }

    fn inst(&mut self, index: usize, inst: MInst) {
        match inst.op {
            MOp::Call { .. } => {
                self.pieces.clear();
                self.out.push(inst);
            }
            MOp::Mov { dst, src } => self.mov(index, inst, dst, src),
            op if inst.origin.is_none() && self.superseded(op) => {}
            MOp::Def { dst, .. } if matches!(self.place(dst), Some(Place::Known(_))) => {
                self.out.push(MInst {
                    op: MOp::Nop,
                    ..inst
                });
            }
            _ => self.rewrite(index, inst),
        }
    }

    fn place(&self, reg: VReg) -> Option<Place> {
        self.targets.get(&reg).map(|target| target.place)
    }

    /// A load or store that an earlier round added for a piece which is now spilled itself.
    fn superseded(&self, op: MOp) -> bool {
        match op {
            MOp::Load {
                dst: reg,
                base: Base::Spill(at),
                ..
            }
            | MOp::Store {
                src: reg,
                base: Base::Spill(at),
                ..
            } => {
                self.homes.places.get(&reg) == Some(&Place::Stack(at))
                    && self.place(reg) == Some(Place::Stack(at))
            }
            MOp::Def { dst, known } => {
                self.homes.places.get(&dst) == Some(&Place::Known(known))
                    && self.place(dst) == Some(Place::Known(known))
            }
            _ => false,
        }
    }

    /// A move to or from memory is a load or store.
    fn mov(&mut self, index: usize, inst: MInst, dst: VReg, src: VReg) {
        let from = self.targets.get(&src).copied();
        let to = self.targets.get(&dst).copied();
        let Some(to) = to else {
            let op = match from {
                None => inst.op,
                Some(_) if self.pieces.contains_key(&src) => MOp::Mov {
                    dst,
                    src: self.pieces[&src],
                },
                Some(from) => load(from.place, dst),
            };
            return self.out.push(MInst { op, ..inst });
        };
        let source = match from {
            Some(_) => self.read(src, inst.span),
            None => src,
        };
        if to.minimal {
            return match to.place {
                Place::Stack(at) => self.out.push(MInst {
                    op: store(at, source),
                    ..inst
                }),
                // A register that is made from nothing is never the target of a move.
                Place::Known(_) => self.out.push(inst),
            };
        }
        let piece = self.piece(dst, to);
        // A minimal register must not become the end of a move; it is loaded straight into the piece instead.
        let op = match from {
            Some(from) if from.minimal => {
                self.out.pop();
                load(from.place, piece)
            }
            _ => MOp::Mov {
                dst: piece,
                src: source,
            },
        };
        self.out.push(MInst { op, ..inst });
        self.pieces.insert(dst, piece);
        self.write_back(index, dst, piece, inst);
    }

    /// Any other instruction: spilled operands are loaded before and stored after.
    fn rewrite(&mut self, index: usize, mut inst: MInst) {
        let mut written = Vec::new();
        let mut here: BTreeMap<VReg, VReg> = BTreeMap::new();
        let mut op = inst.op;
        let span = inst.span;
        op.each_reg(|reg, role| {
            let original = *reg;
            let Some(target) = self.targets.get(&original).copied() else {
                return;
            };
            let now = match here.get(&original) {
                Some(&now) => now,
                None if role == Role::Def => {
                    let piece = self.piece(original, target);
                    if !target.minimal {
                        self.pieces.insert(original, piece);
                    }
                    piece
                }
                None => self.read(original, span),
            };
            here.insert(original, now);
            *reg = now;
            if role != Role::Use {
                written.push((original, now));
            }
        });
        inst.op = op;
        self.out.push(inst);
        for (original, now) in written {
            self.write_back(index, original, now, inst);
        }
    }

    fn write_back(&mut self, index: usize, original: VReg, now: VReg, inst: MInst) {
        let Some(target) = self.targets.get(&original) else {
            return;
        };
        if let Place::Stack(at) = target.place
            && (target.minimal || self.stores.contains(&(index, original)))
        {
            self.out.push(MInst {
                op: store(at, now),
                span: inst.span,
                origin: None,
            });
        }
    }

    /// A register that holds the spilled one here.
    fn read(&mut self, reg: VReg, span: nettrace_grammar::Span) -> VReg {
        let Some(target) = self.targets.get(&reg).copied() else {
            return reg;
        };
        if let Some(&piece) = self.pieces.get(&reg) {
            return piece;
        }
        let piece = self.piece(reg, target);
        self.out.push(MInst {
            op: load(target.place, piece),
            span,
            origin: None,
        });
        if !target.minimal {
            self.pieces.insert(reg, piece);
        }
        piece
    }

    /// A fresh register to stand for a spilled one.
    fn piece(&mut self, reg: VReg, target: Target) -> VReg {
        if let Some(&piece) = self.pieces.get(&reg) {
            return piece;
        }
        let piece = VReg(self.regs);
        self.regs += 1;
        self.homes.places.insert(piece, target.place);
        if target.minimal {
            self.homes.minimal.insert(piece);
        }
        piece
    }
}

fn load(place: Place, dst: VReg) -> MOp {
    match place {
        Place::Stack(at) => MOp::Load {
            size: Size::Double,
            dst,
            base: Base::Spill(at),
            off: 0,
        },
        Place::Known(known) => MOp::Def { dst, known },
    }
}

fn store(at: SpillId, src: VReg) -> MOp {
    MOp::Store {
        size: Size::Double,
        base: Base::Spill(at),
        off: 0,
        src,
    }
}
