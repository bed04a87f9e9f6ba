//! The words that programs share with the runtime: may programs record, what was lost.
//!
//! In: the control map of the plan. Out: the test at a program's start, counting of losses, leaving a program.

use super::Lower;
use crate::artifact::{CONTROL_ENABLED, MapId, control_lost};
use crate::ir::{BlockId, Mem};
use crate::probes::ContextKind;

impl Lower<'_> {
    /// Goes to `body` when programs may record, else returns.
    pub(super) fn gate(&mut self, body: BlockId) {
        let control = self.plans.control();
        let address = self.b.map_value(control, 0);
        let enabled = self.b.load(Mem::U64, address, CONTROL_ENABLED as i32);
        let closed = self.b.create_block();
        self.b.branch(enabled, body, closed);
        self.b.switch_to(closed);
        self.leave();
    }

    /// Nothing may be recorded from here on.
    pub(crate) fn stop_recording(&mut self) {
        self.gated = true;
        let control = self.plans.control();
        let address = self.b.map_value(control, 0);
        let zero = self.b.iconst(0);
        self.b
            .store(Mem::U64, address, CONTROL_ENABLED as i32, zero);
    }

    /// Counts something that this program could not record.
    pub(crate) fn count_loss(&mut self) {
        let control = self.plans.control();
        let address = self.b.map_value(control, 0);
        let one = self.b.iconst(1);
        self.b
            .atomic_add(Mem::U64, address, control_lost(self.id) as i32, one);
    }

    /// Counts an entry that a map had no room for.
    pub(super) fn count_full(&mut self, map: MapId) {
        let offset = self.plans.counter_of_full(map);
        let control = self.plans.control();
        let address = self.b.map_value(control, 0);
        let one = self.b.iconst(1);
        self.b.atomic_add(Mem::U64, address, offset as i32, one);
    }

    /// Leaves the program. What it returns matters for tracepoints only: 0 would hide the event from every user of perf.
    pub(crate) fn leave(&mut self) {
        let result = match self.probe.kind.context {
            ContextKind::Record => 1,
            _ => 0,
        };
        let result = self.b.iconst(result);
        self.leave_with(result);
    }

    /// Leaves the program with a result.
    pub(super) fn leave_with(&mut self, result: crate::ir::Value) {
        if !self.b.is_terminated() {
            self.discard_record();
        }
        if self.in_body {
            return self.leave_from_body(result);
        }
        self.b.ret(result);
    }
}
