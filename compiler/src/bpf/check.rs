//! Checks a register allocation, knowing nothing of how it was made.
//!
//! In: the code before and after, connected by `origin`. Out: the first use that would read a wrong value. The idea is
//! regalloc2's checker: run the allocated code symbolically. The state says for each machine register and spill slot which of the
//! original registers' current values it holds.
//! * A move, load or store between registers and spill slots copies the set.
//! * An original instruction must find each operand in the place it now reads from. What it writes is removed everywhere and
//!   put where it is written now. A call empties `r0`-`r5`.
//! * An original move `d = s` puts `d` wherever `s` is, whatever became of the instruction.
//! * A constant or address made anew is the symbol of itself; an original register that only ever is that constant may be read
//!   from it.
//!
//! Where ways meet, a place holds what it holds on all of them; repeated until nothing changes.

use std::collections::{BTreeMap, BTreeSet};

use super::mir::*;
use crate::index::IndexVec;

/// A place for a value after allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Reg(VReg),
    Spill(SpillId),
}

/// What a place can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Symbol {
    /// The current value of an original register.
    Reg(VReg),
    /// A value that can be made from nothing: index into a table.
    Known(u32),
}

type State = BTreeMap<Place, BTreeSet<Symbol>>;

/// Checks `after` against `before`. The message names block and instruction of `after`.
pub(crate) fn check(before: &MFunc, after: &MFunc) -> Result<(), String> {
    if before.blocks.len() != after.blocks.len() {
        return Err("blocks were added or removed".to_string());
    }
    let mut checker = Checker::new(before);
    checker.complete(before, after)?;
    let mut states: IndexVec<MBlockId, Option<State>> =
        before.blocks.iter().map(|_| None).collect();
    let mut open = Vec::new();
    if !before.blocks.is_empty() {
        let arguments = (0..before.params as usize).map(VReg::argument);
        let entry = arguments.map(|reg| (Place::Reg(reg), BTreeSet::from([Symbol::Reg(reg)])));
        states[MBlockId(0)] = Some(entry.collect());
        open.push(MBlockId(0));
    }
    while let Some(id) = open.pop() {
        let Some(mut state) = states[id].clone() else {
            continue;
        };
        checker
            .block(&before.blocks[id], &after.blocks[id], &mut state)
            .map_err(|error| format!("{id}: {error}"))?;
        for succ in after.blocks[id].term.successors() {
            let changed = match &mut states[succ] {
                Some(old) => meet(old, &state),
                empty => {
                    *empty = Some(state.clone());
                    true
                }
            };
            if changed {
                open.push(succ);
            }
        }
    }
    Ok(())
}

/// Keeps what both have; tells whether anything went.
fn meet(old: &mut State, new: &State) -> bool {
    let mut changed = false;
    old.retain(|place, symbols| {
        let before = symbols.len();
        match new.get(place) {
            Some(other) => symbols.retain(|symbol| other.contains(symbol)),
            None => symbols.clear(),
        }
        changed |= symbols.len() != before;
        !symbols.is_empty()
    });
    changed
}

struct Checker {
    /// The original instructions by number.
    originals: Vec<MOp>,
    known: Vec<Known>,
    /// Registers that are the same value wherever they are written.
    constant: BTreeMap<VReg, Option<u32>>,
}

impl Checker {
    fn new(before: &MFunc) -> Checker {
        let mut checker = Checker {
            originals: Vec::new(),
            known: Vec::new(),
            constant: BTreeMap::new(),
        };
        let insts = || before.blocks.iter().flat_map(|block| &block.insts);
        checker.originals = insts().map(|inst| inst.op).collect();
        // Copies of a constant are constant as well: assume the best and repeat until nothing contradicts.
        let mut changed = true;
        while changed {
            changed = false;
            for inst in insts() {
                changed |= checker.find_constants(&inst.op);
            }
        }
        checker
    }

    /// Takes one instruction into account; tells whether anything new was learnt.
    fn find_constants(&mut self, op: &MOp) -> bool {
        let value = match *op {
            MOp::Nop => return false,
            MOp::Def { known, .. } => Some(self.intern(known)),
            MOp::Mov { src, .. } => match self.constant.get(&src) {
                Some(&value) => value,
                // Arguments are written by nobody; others will be, later.
                None if src.is_fixed() => None,
                None => return false,
            },
            _ => None,
        };
        let constant = &mut self.constant;
        let mut changed = false;
        op.defs(|reg| {
            let entry = constant.entry(reg).or_insert_with(|| {
                changed = true;
                value
            });
            if *entry != value && entry.is_some() {
                *entry = None;
                changed = true;
            }
        });
        changed
    }

    fn intern(&mut self, known: Known) -> u32 {
        let at = self.known.iter().position(|k| *k == known);
        let at = at.unwrap_or_else(|| {
            self.known.push(known);
            self.known.len() - 1
        });
        at as u32
    }

    /// Every original instruction is there, once, in its block and in order.
    fn complete(&self, before: &MFunc, after: &MFunc) -> Result<(), String> {
        for (id, block) in after.blocks.iter_enumerated() {
            let kept = block.insts.iter().filter_map(|inst| inst.origin);
            let all = before.blocks[id]
                .insts
                .iter()
                .filter_map(|inst| inst.origin);
            if !kept.eq(all) {
                return Err(format!("{id}: instructions were lost or moved"));
            }
        }
        Ok(())
    }

    fn block(&mut self, before: &MBlock, after: &MBlock, state: &mut State) -> Result<(), String> {
        for inst in &after.insts {
            self.inst(inst, state)
                .map_err(|error| format!("{:?}: {error}", inst.op))?;
        }
        let mut wanted = Vec::new();
        before.term.uses(|reg| wanted.push(reg));
        let mut found = Vec::new();
        after.term.uses(|reg| found.push(reg));
        if wanted.len() != found.len() || !same_shape_term(before.term, after.term) {
            return Err("the terminator has changed".to_string());
        }
        for (wanted, found) in wanted.into_iter().zip(found) {
            self.holds(state, Place::Reg(found), wanted)?;
        }
        Ok(())
    }

    fn inst(&mut self, inst: &MInst, state: &mut State) -> Result<(), String> {
        let original = match inst.origin {
            None => None,
            Some(number) => Some(
                *self
                    .originals
                    .get(number as usize)
                    .ok_or("unknown origin")?,
            ),
        };
        match original {
            None => self.transfer(&inst.op, state),
            Some(MOp::Mov { dst, src }) => {
                self.transfer(&inst.op, state)?;
                forget(state, dst);
                for symbols in state.values_mut() {
                    if symbols.contains(&Symbol::Reg(src)) {
                        symbols.insert(Symbol::Reg(dst));
                    }
                }
                self.follow_constant(state, dst, src);
                Ok(())
            }
            Some(MOp::Def { dst, known }) => {
                self.transfer(&inst.op, state)?;
                forget(state, dst);
                let symbol = Symbol::Known(self.intern(known));
                for symbols in state.values_mut() {
                    if symbols.contains(&symbol) {
                        symbols.insert(Symbol::Reg(dst));
                    }
                }
                Ok(())
            }
            Some(original) => self.operate(original, inst.op, state),
        }
    }

    /// After `dst = src` where `src` is a constant: places that hold the constant hold `dst` as well.
    fn follow_constant(&self, state: &mut State, dst: VReg, src: VReg) {
        if let Some(Some(symbol)) = self.constant.get(&src) {
            for symbols in state.values_mut() {
                if symbols.contains(&Symbol::Known(*symbol)) {
                    symbols.insert(Symbol::Reg(dst));
                }
            }
        }
    }

    /// What is done by moves, reloads, spills and constants.
    fn transfer(&mut self, op: &MOp, state: &mut State) -> Result<(), String> {
        let (from, to) = match *op {
            MOp::Nop => return Ok(()),
            MOp::Mov { dst, src } => (Place::Reg(src), Place::Reg(dst)),
            MOp::Load {
                dst,
                base: Base::Spill(at),
                ..
            } => (Place::Spill(at), Place::Reg(dst)),
            MOp::Store {
                src,
                base: Base::Spill(at),
                ..
            } => (Place::Reg(src), Place::Spill(at)),
            MOp::Def { dst, known } => {
                let symbol = Symbol::Known(self.intern(known));
                state.insert(Place::Reg(dst), BTreeSet::from([symbol]));
                return Ok(());
            }
            _ => return Err("not an instruction that allocation may add".to_string()),
        };
        let symbols = state.get(&from).cloned().unwrap_or_default();
        state.insert(to, symbols);
        Ok(())
    }

    /// An original instruction on other registers.
    fn operate(&self, original: MOp, now: MOp, state: &mut State) -> Result<(), String> {
        let wanted = named(original);
        let found = named(now);
        if !same_shape(original, now) || wanted.len() != found.len() {
            return Err(format!("was {original:?}"));
        }
        for (&(wanted, role), &(found, _)) in wanted.iter().zip(&found) {
            if role != Role::Def {
                self.holds(state, Place::Reg(found), wanted)?;
            }
        }
        if let MOp::Call { args, .. } = original {
            for n in 0..usize::from(args) {
                let reg = VReg::argument(n);
                self.holds(state, Place::Reg(reg), reg)?;
            }
            for n in 0..=5 {
                state.remove(&Place::Reg(VReg(n)));
                forget(state, VReg(n));
            }
            let result = BTreeSet::from([Symbol::Reg(VReg::RESULT)]);
            state.insert(Place::Reg(VReg::RESULT), result);
        }
        if let MOp::SetIf { .. } = now
            && let Some((result, rest)) = found.split_last()
            && rest.iter().any(|(reg, _)| reg == &result.0)
        {
            return Err("the result overwrites an operand".to_string());
        }
        for (&(wanted, role), &(found, _)) in wanted.iter().zip(&found) {
            if role != Role::Use {
                forget(state, wanted);
                state.insert(Place::Reg(found), BTreeSet::from([Symbol::Reg(wanted)]));
            }
        }
        Ok(())
    }

    fn holds(&self, state: &State, place: Place, wanted: VReg) -> Result<(), String> {
        let symbols = state.get(&place);
        let constant = self.constant.get(&wanted).copied().flatten();
        let found = symbols.is_some_and(|s| {
            s.contains(&Symbol::Reg(wanted))
                || constant.is_some_and(|known| s.contains(&Symbol::Known(known)))
        });
        if found {
            return Ok(());
        }
        Err(format!("{place:?} does not hold {wanted}: {symbols:?}"))
    }
}

/// The value of the register is a new one.
fn forget(state: &mut State, reg: VReg) {
    for symbols in state.values_mut() {
        symbols.remove(&Symbol::Reg(reg));
    }
}

fn named(mut op: MOp) -> Vec<(VReg, Role)> {
    let mut regs = Vec::new();
    op.each_reg(|reg, role| regs.push((*reg, role)));
    regs
}

/// Equal but for the registers.
fn same_shape(mut a: MOp, mut b: MOp) -> bool {
    a.each_reg(|reg, _| *reg = VReg::RESULT);
    b.each_reg(|reg, _| *reg = VReg::RESULT);
    a == b
}

fn same_shape_term(mut a: MTerm, mut b: MTerm) -> bool {
    a.each_reg(|reg| *reg = VReg::RESULT);
    b.each_reg(|reg| *reg = VReg::RESULT);
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::insn::Alu;
    use nettrace_grammar::Span;

    fn func(ops: &[(MOp, Option<u32>)]) -> MFunc {
        let insts = ops.iter().map(|&(op, origin)| MInst {
            op,
            span: Span::default(),
            origin,
        });
        let block = MBlock {
            insts: insts.collect(),
            term: MTerm::Exit,
            term_span: Span::default(),
        };
        MFunc {
            blocks: [block].into_iter().collect(),
            regs: 20,
            params: 2,
            spills: 1,
        }
    }

    fn add(dst: VReg, src: VReg) -> MOp {
        MOp::Alu {
            op: Alu::Add,
            wide: true,
            dst,
            src: Operand::Reg(src),
        }
    }

    /// `%0 = r1; %1 = r2; %1 += %0; r0 = %1`
    fn original() -> MFunc {
        let (a, b) = (VReg(11), VReg(12));
        let (r0, r1, r2) = (VReg(0), VReg(1), VReg(2));
        func(&[
            (MOp::Mov { dst: a, src: r1 }, Some(0)),
            (MOp::Mov { dst: b, src: r2 }, Some(1)),
            (add(b, a), Some(2)),
            (MOp::Mov { dst: r0, src: b }, Some(3)),
        ])
    }

    #[test]
    fn merged_moves_are_accepted() {
        let (r0, r1, r2) = (VReg(0), VReg(1), VReg(2));
        let after = func(&[
            (MOp::Nop, Some(0)),
            (MOp::Nop, Some(1)),
            (add(r2, r1), Some(2)),
            (MOp::Mov { dst: r0, src: r2 }, Some(3)),
        ]);
        assert_eq!(check(&original(), &after), Ok(()));
    }

    #[test]
    fn an_overwritten_operand_is_found() {
        let (r0, r1, r2) = (VReg(0), VReg(1), VReg(2));
        let after = func(&[
            (MOp::Mov { dst: r2, src: r1 }, Some(0)),
            (MOp::Nop, Some(1)),
            (add(r2, r1), Some(2)),
            (MOp::Mov { dst: r0, src: r2 }, Some(3)),
        ]);
        let error = check(&original(), &after).unwrap_err();
        assert!(error.contains("does not hold %1"), "{error}");
    }

    #[test]
    fn a_lost_instruction_is_found() {
        let (r1, r2) = (VReg(1), VReg(2));
        let after = func(&[
            (MOp::Nop, Some(0)),
            (MOp::Nop, Some(1)),
            (add(r2, r1), Some(2)),
        ]);
        let error = check(&original(), &after).unwrap_err();
        assert_eq!(error, "L0: instructions were lost or moved");
    }

    #[test]
    fn a_reload_before_the_spill_is_found() {
        let (r0, r1, r2) = (VReg(0), VReg(1), VReg(2));
        let reload = MOp::Load {
            size: crate::bpf::insn::Size::Double,
            dst: r1,
            base: Base::Spill(SpillId(0)),
            off: 0,
        };
        let after = func(&[
            (MOp::Nop, Some(0)),
            (MOp::Nop, Some(1)),
            (reload, None),
            (add(r2, r1), Some(2)),
            (MOp::Mov { dst: r0, src: r2 }, Some(3)),
        ]);
        let error = check(&original(), &after).unwrap_err();
        assert!(error.contains("does not hold %0"), "{error}");
    }
}
