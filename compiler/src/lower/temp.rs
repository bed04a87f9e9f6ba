//! Memory inside a program: homes of variables, short-lived values, and the scratch region for what the stack cannot hold.
//!
//! In: sizes. Out: places. The eBPF stack has 512 bytes for everything, spilled registers included, so large values live in
//! `nt_scratch`, a per-CPU map with one region per program: programs that interrupt each other never share a region, and the
//! kernel does not start a program again on a CPU where it is running.

use super::assigned::read_unassigned;
use super::loops::{LOOP_BUDGET, Needs};
use super::{Base, Fill, Home, Lower, Place};
use crate::ir::{Cond, SlotId};
use crate::types::Type;

/// Values up to this size go on the stack.
const SMALL: u32 = 64;
/// Structs up to this size do too: mostly a few members are read, and `opt::snapshots` leaves only those.
const SMALL_RECORD: u32 = 256;
/// As long as the stack holds no more than this; what remains is for spilled registers and kernel reads.
const STACK_BUDGET: u32 = 400;

/// Memory handed out.
#[derive(Debug)]
pub(crate) struct Temps {
    /// Bytes of stack that may be handed out.
    budget: u32,
    /// Slots of finished statements: size, alignment.
    free: Vec<(SlotId, u32, u32)>,
    /// Slots of the current statement.
    used: Vec<(SlotId, u32, u32)>,
    /// Bytes of stack handed out.
    stack: u32,
    /// Where the region's own index is when it is looked up. Outside of the budget: that may be what is used up.
    index: Option<SlotId>,
    /// Bytes of the scratch region that variables have.
    scratch_vars: u32,
    /// Bytes of the scratch region in use.
    scratch: u32,
    /// Bytes of it that the current statement found in use.
    floor: u32,
}

impl Default for Temps {
    fn default() -> Self {
        Temps {
            budget: STACK_BUDGET,
            free: Vec::new(),
            used: Vec::new(),
            stack: 0,
            index: None,
            scratch_vars: 0,
            scratch: 0,
            floor: 0,
        }
    }
}

impl Temps {
    /// The memory of a loop's body: a stack of its own, and of the scratch region what is not in use outside.
    pub(super) fn inside(&self) -> Temps {
        Temps {
            budget: LOOP_BUDGET,
            scratch_vars: self.scratch_vars,
            scratch: self.scratch,
            floor: self.scratch,
            ..Temps::default()
        }
    }

    pub(super) fn scratch_in_use(&self) -> u32 {
        self.scratch
    }
}

/// What a statement around others holds.
pub(super) struct Held {
    used: Vec<(SlotId, u32, u32)>,
    floor: u32,
}

impl Lower<'_> {
    /// Gives every variable its home and clears those that may be read before they are written.
    pub(super) fn homes(&mut self) {
        let clear = read_unassigned(self.probe);
        let needs = Needs::of(self.probe);
        if needs.any {
            let frame = self.make_frame(&needs);
            self.temps.stack += frame;
            self.temps.budget = frame + LOOP_BUDGET;
        }
        for (id, var) in self.probe.vars.iter_enumerated() {
            if needs.captured.contains(&id) {
                let size = self.size(var.ty);
                let at = self.temps.scratch_vars;
                self.temps.scratch_vars += size.next_multiple_of(8);
                self.vars.push(Home::Scratch(at, size));
                if clear.contains(&id)
                    && let Some(place) = self.var_place(id)
                {
                    self.zero(place);
                }
                continue;
            }
            if !self.in_memory(var.ty) {
                let home = Home::Value(self.b.declare_var());
                self.vars.push(home);
                continue;
            }
            let layout = self.layout(var.ty);
            let (size, align) = (layout.size(), slot_align(layout.size(), layout.align()));
            let record = matches!(self.ty(var.ty), Type::Record(_));
            let small = size <= if record { SMALL_RECORD } else { SMALL };
            let home = if small && self.temps.stack + size <= self.temps.budget {
                self.b.set_span(var.span);
                self.temps.stack += size.next_multiple_of(8);
                let slot = self.b.slot(size, align, format!("${}", var.name));
                Home::Slot(Place::slot(slot, size, align))
            } else {
                let at = self.temps.scratch_vars;
                self.temps.scratch_vars += size.next_multiple_of(8);
                Home::Scratch(at, size)
            };
            self.vars.push(home);
            if clear.contains(&id)
                && let Some(place) = self.var_place(id)
            {
                self.zero(place);
            }
        }
        self.temps.scratch = self.temps.scratch_vars;
        self.temps.floor = self.temps.scratch_vars;
        self.plans.scratch_room(self.temps.scratch);
    }

    /// Keeps the current statement's temporaries while others run inside it.
    pub(super) fn hold_temps(&mut self) -> Held {
        let used = std::mem::take(&mut self.temps.used);
        let floor = std::mem::replace(&mut self.temps.floor, self.temps.scratch);
        Held { used, floor }
    }

    /// Goes on with the statement that held them. What the last inner statement used is free.
    pub(super) fn give_back_temps(&mut self, held: Held) {
        self.release_temps();
        self.temps.used = held.used;
        self.temps.floor = held.floor;
    }

    /// The place of a variable in memory.
    pub(super) fn var_place(&mut self, var: crate::typed::VarId) -> Option<Place> {
        match self.vars[var] {
            Home::Value(_) => None,
            Home::Slot(place) => Some(place),
            Home::Scratch(at, size) => Some(self.scratch_at(at, size)),
        }
    }

    /// Memory until the end of the statement. `what` names it when the stack is too small.
    pub(crate) fn temp(&mut self, size: u32, align: u32, what: &str) -> Place {
        if size > SMALL {
            return self.scratch_temp(size);
        }
        let align = slot_align(size, align);
        let known = self
            .temps
            .free
            .iter()
            .position(|&(_, s, a)| (s, a) == (size, align));
        let slot = match known {
            Some(known) => self.temps.free.swap_remove(known).0,
            None if self.temps.stack + size > self.temps.budget => {
                return self.scratch_temp(size);
            }
            None => {
                self.temps.stack += size.next_multiple_of(8);
                self.b.slot(size, align, what)
            }
        };
        self.temps.used.push((slot, size, align));
        Place::slot(slot, size, align)
    }

    /// Ends the lives of all temporaries.
    pub(super) fn release_temps(&mut self) {
        self.temps.free.append(&mut self.temps.used);
        self.temps.scratch = self.temps.floor;
    }

    fn scratch_temp(&mut self, size: u32) -> Place {
        let at = self.temps.scratch;
        self.temps.scratch += size.next_multiple_of(8);
        self.plans.scratch_room(self.temps.scratch);
        self.scratch_at(at, size)
    }

    /// A piece of the scratch region. The region is looked up once on every way that needs it.
    fn scratch_at(&mut self, at: u32, size: u32) -> Place {
        let region = match self.scratch {
            Some(region) => region,
            None => self.find_scratch(),
        };
        Place {
            base: Base::Pointer(region),
            off: at as i32,
            align: 8,
            room: size,
            fill: Fill::Zeroed,
        }
    }

    fn find_scratch(&mut self) -> crate::ir::Value {
        let map = self.plans.scratch();
        let index = match self.temps.index {
            Some(slot) => slot,
            None => self.b.slot(4, 4, "the index of the scratch region"),
        };
        self.temps.index = Some(index);
        let index = Place::slot(index, 4, 4);
        self.store_const(index, 4, i64::from(self.id.0));
        let key = self.address(index);
        let region = self.lookup(map, key);
        let missing = self.b.compare_imm(Cond::Eq, region, 0);
        let gone = self.b.create_block();
        let found = self.b.create_block();
        self.b.branch(missing, gone, found);
        // The entry exists; the verifier wants to see the question asked.
        self.b.switch_to(gone);
        self.leave();
        self.b.switch_to(found);
        self.scratch = Some(region);
        region
    }
}

/// The alignment of a stack slot: as wide as its size allows, so that strings can be handled in words.
fn slot_align(size: u32, align: u32) -> u32 {
    match size {
        8.. => 8,
        4.. => align.max(4),
        _ => align,
    }
}
