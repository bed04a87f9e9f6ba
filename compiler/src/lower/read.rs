//! What builtins need beside expressions: memory behind pointers, the traced function, the clock of a run.
//!
//! In: pointer arguments and lengths of the script. Out: helper calls whose sizes the verifier can see to be in range.

use super::{Base, Fill, Lower, Place, arch};
use crate::artifact::{Attach, CONTROL_START, Clock, MapId, STRING_CUT};
use crate::ir::{BinOp, Cond, Helper, Mem, Space, Value};
use crate::probes::ContextKind;
use crate::typed::{Expr, ScriptMapId};
use crate::types::{Ty, Type, Types};

impl Lower<'_> {
    /// The kernel map behind a map of the script.
    pub(crate) fn script_map(&self, map: ScriptMapId) -> MapId {
        self.plans.of_script(map)
    }

    /// The smaller of a number and a constant, both unsigned, as a branch: the verifier learns the bound.
    pub(crate) fn at_most(&mut self, value: Value, most: u32) -> Value {
        let result = self.b.declare_var();
        let bound = self.b.iconst(i64::from(most));
        self.b.write_var(result, value);
        let (above, join) = (self.b.create_block(), self.b.create_block());
        let too_much = self.b.compare(Cond::UGt, value, bound);
        self.b.branch(too_much, above, join);
        self.arm(above, |lower| {
            lower.b.write_var(result, bound);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    fn behind(&mut self, pointer: &Expr) -> (Value, Space) {
        let place = self.pointee(pointer, self.pointed(pointer.ty));
        let space = match place.base {
            Base::Foreign(_, Space::User) => Space::User,
            _ => Space::Kernel,
        };
        (self.address(place), space)
    }

    fn pointed(&self, pointer: Ty) -> Ty {
        match *self.ty(pointer) {
            Type::Pointer { to, .. } => to,
            _ => Types::VOID,
        }
    }

    /// Reads a string behind a pointer, at most `size` bytes with its NUL. With `marked`, a string that goes on behind the place's
    /// end is marked as cut off.
    pub(crate) fn read_string_at(&mut self, pointer: &Expr, to: Place, size: Value, marked: bool) {
        let (address, space) = self.behind(pointer);
        let read = self.read_string(to, size, address, space);
        if marked {
            self.mark_cut(read, to, address, space);
        }
    }

    /// Marks a string as cut off if all of the place was read and the text goes on.
    fn mark_cut(&mut self, read: Value, to: Place, address: Value, space: Space) {
        let last = to.room - 1;
        self.when_full(read, to.room, |lower| {
            let next = lower.temp(1, 1, "what a NUL stands for");
            lower.copy(Place::foreign(address, space, 1).at(last, 1), next, 1);
            let next = lower.load(next, Mem::U8);
            let (goes_on, join) = (lower.b.create_block(), lower.b.create_block());
            lower.b.branch(next, goes_on, join);
            lower.arm(goes_on, |lower| {
                lower.store_const(to.at(last, 1), 1, i64::from(STRING_CUT));
                lower.b.jump(join);
            });
            lower.b.seal_block(join);
            lower.b.switch_to(join);
        });
    }

    /// Fills a place with the bytes behind a pointer.
    pub(crate) fn read_bytes_at(&mut self, pointer: &Expr, to: Place) {
        let from = self.pointee(pointer, self.pointed(pointer.ty));
        self.copy(from, to, to.room);
    }

    /// Copies `size` bytes, known to fit, from behind a pointer.
    pub(crate) fn read_some_bytes_at(&mut self, pointer: &Expr, to: Place, size: Value) {
        if to.fill == Fill::Zeroed {
            self.zero(to);
        }
        let (address, space) = self.behind(pointer);
        let helper = match space {
            Space::User => Helper::ProbeReadUser,
            _ => Helper::ProbeReadKernel,
        };
        let dst = self.address(to);
        self.b.call(helper, &[dst, size, address]);
    }

    /// The same into a place that has been cleared.
    pub(crate) fn read_into_cleared(&mut self, pointer: &Expr, to: Place, size: Value) {
        self.read_some_bytes_at(pointer, to.filled(Fill::Any), size);
    }

    /// One of three constants, chosen by branches: the verifier knows the largest.
    pub(crate) fn choose_constant(&mut self, rows: [(Value, i64); 2], otherwise: i64) -> Value {
        let result = self.b.declare_var();
        let value = self.b.iconst(otherwise);
        self.b.write_var(result, value);
        let join = self.b.create_block();
        for (condition, constant) in rows {
            let (yes, no) = (self.b.create_block(), self.b.create_block());
            self.b.branch(condition, yes, no);
            self.arm(yes, |lower| {
                let value = lower.b.iconst(constant);
                lower.b.write_var(result, value);
                lower.b.jump(join);
            });
            self.b.seal_block(no);
            self.b.switch_to(no);
        }
        self.b.jump(join);
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// A number that is computed in two ways, chosen by a condition.
    pub(crate) fn choose_value(
        &mut self,
        condition: Value,
        compute: &mut dyn FnMut(&mut Self, bool) -> Value,
    ) -> Value {
        let result = self.b.declare_var();
        let (yes, no) = (self.b.create_block(), self.b.create_block());
        let join = self.b.create_block();
        self.b.branch(condition, yes, no);
        for (block, holds) in [(yes, true), (no, false)] {
            self.arm(block, |lower| {
                let value = compute(lower, holds);
                lower.b.write_var(result, value);
                lower.b.jump(join);
            });
        }
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// The n-th argument on the stack, at a function's entry.
    pub(crate) fn stack_argument(&mut self, n: u32) -> Value {
        let ctx = self.context();
        let stack = self.b.load(Mem::U64, ctx, arch::STACK_POINTER);
        self.b
            .kernel_load(Mem::U64, stack, 8 + 8 * n as i32, Space::Kernel)
    }

    /// Reads the strings of an array of pointers until one is null; how many there were.
    pub(crate) fn read_strings(&mut self, array: &Expr, to: &[Place]) -> Value {
        let count = self.b.declare_var();
        let (array, space) = self.behind(array);
        // Copied one by one: nobody may read further than to the null at the end.
        let pointer = self.temp(8, 8, "a string's address");
        let done = self.b.create_block();
        for (i, place) in to.iter().enumerate() {
            let found = self.b.iconst(i as i64);
            self.b.write_var(count, found);
            let from = Place::foreign(array, space, 8).at(8 * i as u32, 8);
            self.copy(from, pointer, 8);
            let string = self.load(pointer, Mem::U64);
            let next = self.b.create_block();
            self.b.branch(string, next, done);
            self.b.seal_block(next);
            self.b.switch_to(next);
            let size = self.b.iconst(i64::from(place.room));
            let read = self.read_string(*place, size, string, space);
            self.mark_cut(read, *place, string, space);
        }
        let found = self.b.iconst(to.len() as i64);
        self.b.write_var(count, found);
        self.b.jump(done);
        self.b.seal_block(done);
        self.b.switch_to(done);
        self.b.read_var(count)
    }

    /// The address of the traced function.
    pub(crate) fn traced_function(&mut self) -> Value {
        let ctx = self.context();
        let inside = self
            .probe
            .targets
            .iter()
            .all(|t| matches!(t.attach, Attach::Kprobe { offset, .. } if offset > 0));
        if inside && self.probe.kind.context == ContextKind::Entry {
            // The helper knows function entries only.
            return self.b.load(Mem::U64, ctx, arch::INSTRUCTION_POINTER);
        }
        self.b.call(Helper::GetFuncIp, &[ctx])
    }

    /// The cookie of the target that fired.
    pub(crate) fn cookie(&mut self) -> Value {
        match self.probe.targets.as_slice() {
            [only] => self.b.iconst(only.cookie as i64),
            _ => {
                let cookie = self.attach_cookie();
                // The upper half tells where the packet is.
                match self.probe.targets.iter().any(|t| t.packet.is_some()) {
                    true => self.b.extend(Mem::U32, cookie),
                    false => cookie,
                }
            }
        }
    }

    /// The whole attach cookie.
    pub(super) fn attach_cookie(&mut self) -> Value {
        self.plans.use_cookie(self.id);
        let ctx = self.context();
        self.b.call(Helper::GetAttachCookie, &[ctx])
    }

    /// Nanoseconds since the run started. The runtime writes the start; where it has not, the first program that asks does.
    pub(crate) fn elapsed(&mut self) -> Value {
        let control = self.plans.control();
        let control = self.b.map_value(control, 0);
        let now = self.b.call(Helper::KtimeGetBootNs, &[]);
        let start = self.b.load(Mem::U64, control, CONTROL_START as i32);
        let from = self.b.declare_var();
        self.b.write_var(from, start);
        let (first, join) = (self.b.create_block(), self.b.create_block());
        self.b.branch(start, join, first);
        self.arm(first, |lower| {
            lower.b.store(Mem::U64, control, CONTROL_START as i32, now);
            lower.b.write_var(from, now);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        let from = self.b.read_var(from);
        let elapsed = self.b.binary(BinOp::Sub, now, from);
        self.note_time(elapsed, Clock::Elapsed)
    }
}
