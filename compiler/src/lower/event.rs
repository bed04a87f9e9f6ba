//! Events: records written in place into the ring buffer.
//!
//! In: what the runtime shall do, and values. Out: a reservation of constant size, the event's id and the values in place, the
//! submission; a full ring is counted as a loss of this program. A reservation never outlives the statement: whatever leaves
//! the program in between gives it back ([`Lower::discard_record`]).

use super::walk::has_effect;
use super::{Fill, Lower, Place};
use crate::artifact::{Action, Clock, EventId, Layout};
use crate::builtins::is_group;
use crate::ir::{Cond, Helper, Value};
use crate::typed::{Expr, ExprKind};

impl Lower<'_> {
    /// Sends the values of expressions. String constants are known to the runtime and not sent.
    pub(crate) fn send(&mut self, action: Action, args: &[Expr]) {
        let layouts = args.iter().map(|arg| self.sent_layout(arg)).collect();
        // An effect must happen even when the ring is full, so such values are computed before the reservation.
        let ready: Vec<Option<Value>> = args
            .iter()
            .map(|arg| (has_effect(arg) && !self.in_memory(arg.ty)).then(|| self.value(arg)))
            .collect();
        let mut time = None;
        let id = self.event(action, layouts, |lower, fields| {
            for (i, ((arg, field), ready)) in args.iter().zip(fields).zip(ready).enumerate() {
                let value = match (ready, &arg.kind) {
                    (_, ExprKind::Str(_)) => None,
                    (Some(value), _) => {
                        lower.store_scalar(*field, arg.ty, value);
                        Some(value)
                    }
                    (None, _) => lower.write(arg, field),
                };
                let clock = value.and_then(|value| lower.clock_of(value));
                time = time.or(clock.map(|clock| (i, clock)));
            }
        });
        if let Some(field) = args.iter().position(is_group) {
            self.plans.grouped(id, field);
        }
        if let Some((field, clock)) = time {
            self.plans.timed(id, field, clock);
        }
    }

    /// The clock whose time a value is.
    fn clock_of(&self, value: Value) -> Option<Clock> {
        if self.times.is_empty() {
            return None;
        }
        self.times.get(&self.b.origin(value)).copied()
    }

    /// Sends a record whose fields `fill` writes; gives the kind of event.
    pub(crate) fn event(
        &mut self,
        action: Action,
        layouts: Vec<Layout>,
        fill: impl FnOnce(&mut Self, &[Place]),
    ) -> EventId {
        let ring = self.plans.ring();
        let id = self.plans.event(self.id, action, layouts, self.b.span());
        let event = self.plans.event_of(id);
        let size = event.size;
        let fields: Vec<(u32, u32)> = event
            .fields
            .iter()
            .map(|field| (field.offset, field.layout.size()))
            .collect();
        let record = self.reserve(ring, size);
        let full = self.b.create_block();
        let room = self.b.create_block();
        let join = self.b.create_block();
        let failed = self.b.compare_imm(Cond::Eq, record, 0);
        self.b.branch(failed, full, room);
        self.arm(room, |lower| {
            lower.record = Some(record);
            let place = Place::pointer(record, size).filled(Fill::Any);
            let number = lower.plans.event_number(id);
            lower.store_const(place.at(0, 8), 8, number as i64);
            let places: Vec<Place> = fields
                .iter()
                .map(|&(offset, size)| place.at(offset, size))
                .collect();
            fill(lower, &places);
            lower.record = None;
            let flags = lower.b.iconst(0);
            lower.b.call(Helper::RingbufSubmit, &[record, flags]);
            lower.b.jump(join);
        });
        self.arm(full, |lower| {
            lower.count_loss();
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        id
    }

    fn reserve(&mut self, ring: crate::artifact::MapId, size: u32) -> Value {
        let ring = self.b.map_ref(ring);
        let size = self.b.iconst(i64::from(size));
        let flags = self.b.iconst(0);
        self.b.call(Helper::RingbufReserve, &[ring, size, flags])
    }

    /// Gives a pending record back, before the program returns.
    pub(super) fn discard_record(&mut self) {
        if let Some(record) = self.record {
            let flags = self.b.iconst(0);
            self.b.call(Helper::RingbufDiscard, &[record, flags]);
        }
    }

    fn sent_layout(&mut self, arg: &Expr) -> Layout {
        match &arg.kind {
            ExprKind::Str(text) => Layout::Literal {
                text: String::from_utf8_lossy(text).into_owned(),
            },
            _ => self.layout(arg.ty),
        }
    }
}
