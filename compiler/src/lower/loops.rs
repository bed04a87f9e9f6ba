//! Loops: the body becomes a subprogram that the kernel calls once per round.
//!
//! In: loops of the typed program. Out: calls of `bpf_loop` (Linux 5.17) and `bpf_for_each_map_elem` (5.13) with such subprograms. A
//! loop in the program itself would be walked through by the verifier round by round.
//!
//! What a program and its bodies share lives in the *frame*, a piece of the program's stack whose address every body gets: the
//! program's context and packet, whether a body wants to leave the program and with what result, where each range starts. Variables
//! that a loop mentions are in the scratch region, which bodies look up themselves: of what is on the stack the verifier knows the
//! value, and since Linux 6.7 it would follow a counter round by round until it gives up; of map memory it knows none.

use std::collections::HashSet;

use super::temp::Temps;
use super::walk::each_part;
use super::{Lower, Place};
use crate::artifact::{Layout, Stored};
use crate::ir::{BinOp, BlockId, Cond, FuncBuilder, FuncId, FuncKind, Helper, Mem, SlotId, Value};
use crate::typed::{Expr, ExprKind, Loop, Probe, ScriptMapId, Stmt, StmtKind, VarId};
use crate::types::Type;

/// More rounds than this the kernel refuses (`BPF_MAX_LOOPS`).
const MAX_ROUNDS: u32 = 1 << 23;

// The frame's words.
const CONTEXT: u32 = 0;
const PACKET: u32 = 8;
const LEAVING: u32 = 16;
const RESULT: u32 = 24;
const HEAD: u32 = 32;

/// Stack that a program with loops may use beside its frame, and that each body may use: all of them share the 512 bytes.
pub(super) const LOOP_BUDGET: u32 = 64;

/// What a probe's loops need.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Variables that a loop mentions.
    pub(super) captured: HashSet<VarId>,
    /// Loops over ranges.
    ranges: u32,
    /// Any loops.
    pub(super) any: bool,
}

/// Where the frame is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    /// In the program itself.
    Slot(SlotId),
    /// In a body: its address.
    Pointer(Value),
}

/// The frame while a program is lowered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    base: Base,
    /// Its bytes.
    size: u32,
    /// Where the next range's start goes.
    next_range: u32,
}

impl Needs {
    pub(super) fn of(probe: &Probe) -> Needs {
        let mut needs = Needs::default();
        needs.stmts(&probe.body, false);
        if let Some(predicate) = &probe.predicate {
            needs.expr(predicate, false);
        }
        needs
    }

    fn stmts(&mut self, stmts: &[Stmt], inside: bool) {
        for stmt in stmts {
            self.stmt(stmt, inside);
        }
    }

    fn stmt(&mut self, stmt: &Stmt, inside: bool) {
        match &stmt.kind {
            StmtKind::Assign(var, value) => {
                if inside {
                    self.captured.insert(*var);
                }
                self.expr(value, inside);
            }
            StmtKind::AssignMap(_, key, value) | StmtKind::AddMap(_, key, value) => {
                key.iter().for_each(|key| self.expr(key, inside));
                self.expr(value, inside);
            }
            StmtKind::Aggregate(_, key, value) => {
                key.iter().chain(value).for_each(|e| self.expr(e, inside));
            }
            StmtKind::Expr(e) => self.expr(e, inside),
            StmtKind::If(cond, then, otherwise) => {
                self.expr(cond, inside);
                self.stmts(then, inside);
                self.stmts(otherwise, inside);
            }
            StmtKind::Return(value) => value.iter().for_each(|e| self.expr(e, inside)),
            StmtKind::Loop(kind, body) => {
                self.any = true;
                match kind {
                    Loop::While(cond) => self.expr(cond, true),
                    Loop::Range(var, from, to) => {
                        self.ranges += 1;
                        self.captured.insert(*var);
                        self.expr(from, inside);
                        self.expr(to, inside);
                    }
                    Loop::Entries(var, _) => _ = self.captured.insert(*var),
                }
                self.stmts(body, true);
            }
            StmtKind::Break | StmtKind::Continue => {}
        }
    }

    fn expr(&mut self, e: &Expr, inside: bool) {
        match &e.kind {
            ExprKind::Var(var) if inside => _ = self.captured.insert(*var),
            ExprKind::Block(stmts, value) => {
                self.stmts(stmts, inside);
                self.expr(value, inside);
            }
            _ => each_part(e, |part| self.expr(part, inside)),
        }
    }
}

/// What a program keeps for itself while one of its bodies is lowered.
struct Outside {
    b: FuncBuilder,
    temps: Temps,
    scratch: Option<Value>,
    record: Option<Value>,
    typed: std::collections::HashMap<Value, crate::kernel::KernelTypeId>,
    times: std::collections::HashMap<Value, crate::artifact::Clock>,
    casts: std::collections::HashMap<(Value, crate::kernel::KernelTypeId), Value>,
    packet: Option<Value>,
    context: Value,
    frame: Option<Frame>,
    in_body: bool,
}

impl Lower<'_> {
    /// Makes the frame for a program with loops, all of it zero.
    pub(super) fn make_frame(&mut self, needs: &Needs) -> u32 {
        let size = HEAD + 8 * needs.ranges;
        self.b.set_span(self.probe.span);
        let slot = self
            .b
            .slot(size, 8, "what a loop's body shares with the program");
        self.frame = Some(Frame {
            base: Base::Slot(slot),
            size,
            next_range: HEAD,
        });
        let whole = Place::slot(slot, size, 8);
        self.zero(whole);
        let ctx = self.context();
        self.store(whole.at(CONTEXT, 8), Mem::U64, ctx);
        size
    }

    /// A piece of the frame.
    pub(super) fn frame_at(&self, at: u32, size: u32) -> Option<Place> {
        let frame = self.frame?;
        Some(match frame.base {
            Base::Slot(slot) => Place::slot(slot, frame.size, 8).at(at, size),
            Base::Pointer(pointer) => Place::pointer(pointer, frame.size).at(at, size),
        })
    }

    /// Notes the packet, once it is known, for the bodies.
    pub(super) fn share_packet(&mut self) {
        if let (Some(packet), Some(place)) = (self.packet, self.frame_at(PACKET, 8)) {
            self.store(place, Mem::U64, packet);
        }
    }

    pub(super) fn loop_stmt(&mut self, kind: &Loop, body: &[Stmt]) {
        match kind {
            Loop::While(cond) => self.while_loop(cond, body),
            Loop::Range(var, from, to) => self.range_loop(*var, from, to, body),
            Loop::Entries(var, map) => self.entries_loop(*var, *map, body),
        }
        self.pass_on_leaving();
    }

    fn while_loop(&mut self, cond: &Expr, body: &[Stmt]) {
        let func = self.body(2, 1, |lower, _| {
            let (go, stop) = (lower.b.create_block(), lower.b.create_block());
            lower.branch(cond, go, stop);
            lower.release_temps();
            lower.arm(stop, |lower| lower.end_rounds());
            lower.b.seal_block(go);
            lower.b.switch_to(go);
            lower.stmts(body);
        });
        let rounds = self.b.iconst(i64::from(MAX_ROUNDS));
        self.call_loop(rounds, func);
    }

    fn range_loop(&mut self, var: VarId, from: &Expr, to: &Expr, body: &[Stmt]) {
        let Some(start_at) = self.next_range() else {
            return;
        };
        let (from, to) = (self.value(from), self.value(to));
        if let Some(place) = self.frame_at(start_at, 8) {
            self.store(place, Mem::U64, from);
        }
        let func = self.body(2, 1, |lower, params| {
            let Some(&round) = params.first() else { return };
            if let (Some(start), Some(home)) = (lower.frame_at(start_at, 8), lower.var_place(var)) {
                let start = lower.load(start, Mem::U64);
                let now = lower.b.binary(BinOp::Add, start, round);
                lower.store(home, Mem::U64, now);
            }
            lower.stmts(body);
        });
        let rounds = self.rounds(from, to);
        self.call_loop(rounds, func);
    }

    /// How often a range goes round.
    fn rounds(&mut self, from: Value, to: Value) -> Value {
        let result = self.b.declare_var();
        let zero = self.b.iconst(0);
        self.b.write_var(result, zero);
        let (some, join) = (self.b.create_block(), self.b.create_block());
        let any = self.b.compare(Cond::SLt, from, to);
        self.b.branch(any, some, join);
        self.arm(some, |lower| {
            let count = lower.b.binary(BinOp::Sub, to, from);
            let count = lower.at_most(count, MAX_ROUNDS);
            lower.b.write_var(result, count);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    fn entries_loop(&mut self, var: VarId, map: ScriptMapId, body: &[Stmt]) {
        let func = self.body(4, 3, |lower, params| {
            let &[_, key, value, ..] = params else { return };
            lower.bind_entry(var, map, key, value);
            lower.stmts(body);
        });
        let id = self.plans.of_script(map);
        let map = self.b.map_ref(id);
        let callback = self.b.func_ref(func);
        let frame = self.frame_address();
        let flags = self.b.iconst(0);
        self.b
            .call(Helper::ForEachMapElem, &[map, callback, frame, flags]);
    }

    /// Puts key and value of an entry into the loop's variable.
    fn bind_entry(&mut self, var: VarId, map: ScriptMapId, key: Value, value: Value) {
        let ty = self.probe.vars[var].ty;
        let Layout::Tuple { fields, size } = self.layout(ty) else {
            return;
        };
        let ([key_field, value_field], Some(home)) = (fields.as_slice(), self.var_place(var))
        else {
            return;
        };
        let home = home.at(0, size);
        let key_size = key_field.layout.size();
        let key_at = home.at(key_field.offset, key_size);
        self.copy(Place::pointer(key, key_size), key_at, key_size);
        let value_at = home.at(value_field.offset, value_field.layout.size());
        let id = self.plans.of_script(map);
        let plain = self.plans.map(id).script.as_ref();
        match plain.map(|s| s.value.clone()) {
            Some(Stored::Plain(layout)) => {
                self.copy(
                    Place::pointer(value, layout.size()),
                    value_at,
                    layout.size(),
                );
            }
            _ => {
                // The kernel shows the value of one CPU only.
                let key = self.address(key_at);
                let total = self.total_at(map, key);
                self.store(value_at, Mem::U64, total);
            }
        }
        if let Type::Tuple(_) = self.ty(ty) {
            self.release_temps();
        }
    }

    fn next_range(&mut self) -> Option<u32> {
        let frame = self.frame.as_mut()?;
        let at = frame.next_range;
        frame.next_range += 8;
        Some(at)
    }

    fn call_loop(&mut self, rounds: Value, func: FuncId) {
        let callback = self.b.func_ref(func);
        let frame = self.frame_address();
        let flags = self.b.iconst(0);
        self.b.call(Helper::Loop, &[rounds, callback, frame, flags]);
    }

    fn frame_address(&mut self) -> Value {
        match self.frame_at(0, 8) {
            Some(place) => self.address(place),
            None => self.b.iconst(0),
        }
    }

    /// Lowers a body: a subprogram with so many parameters, one of which is the frame's address.
    fn body(
        &mut self,
        params: usize,
        frame_param: usize,
        fill: impl FnOnce(&mut Self, &[Value]),
    ) -> FuncId {
        let (id, symbol) = self.plans.body(self.id);
        let b = FuncBuilder::new(symbol, FuncKind::Subprogram, params, self.b.span());
        let params: Vec<Value> = (0..params).map(|n| b.param(n)).collect();
        let outside = self.go_inside(b, &params, frame_param);
        fill(self, &params);
        if !self.b.is_terminated() {
            self.next_round();
        }
        let next_range = self.frame.map(|frame| frame.next_range);
        let func = self.come_back(outside);
        if let (Some(frame), Some(next_range)) = (&mut self.frame, next_range) {
            frame.next_range = next_range;
        }
        self.plans.set_body(id, func);
        id
    }

    fn go_inside(&mut self, b: FuncBuilder, params: &[Value], frame_param: usize) -> Outside {
        let temps = self.temps.inside();
        let outside = Outside {
            b: std::mem::replace(&mut self.b, b),
            temps: std::mem::replace(&mut self.temps, temps),
            scratch: self.scratch.take(),
            record: self.record.take(),
            typed: std::mem::take(&mut self.typed),
            times: std::mem::take(&mut self.times),
            casts: std::mem::take(&mut self.casts),
            packet: self.packet,
            context: self.context,
            frame: self.frame,
            in_body: std::mem::replace(&mut self.in_body, true),
        };
        let frame = params.get(frame_param).copied();
        if let (Some(pointer), Some(shared)) = (frame, &mut self.frame) {
            shared.base = Base::Pointer(pointer);
            self.context = self.b.load(Mem::U64, pointer, CONTEXT as i32);
            if self.packet.is_some() {
                self.packet = Some(self.b.load(Mem::U64, pointer, PACKET as i32));
            }
        }
        outside
    }

    fn come_back(&mut self, outside: Outside) -> crate::ir::Func {
        let body = std::mem::replace(&mut self.b, outside.b);
        self.plans.scratch_room(self.temps.scratch_in_use());
        self.temps = outside.temps;
        self.scratch = outside.scratch;
        self.record = outside.record;
        self.typed = outside.typed;
        self.times = outside.times;
        self.casts = outside.casts;
        self.packet = outside.packet;
        self.context = outside.context;
        self.frame = outside.frame;
        self.in_body = outside.in_body;
        body.finish()
    }

    /// Ends a body: the kernel goes on with the next round.
    pub(super) fn next_round(&mut self) {
        let zero = self.b.iconst(0);
        self.b.ret(zero);
    }

    /// Ends a body and the loop.
    pub(super) fn end_rounds(&mut self) {
        let one = self.b.iconst(1);
        self.b.ret(one);
    }

    /// In a body: notes that the program is to be left with this result, and ends the loop.
    pub(super) fn leave_from_body(&mut self, result: Value) {
        if let (Some(leaving), Some(at)) = (self.frame_at(LEAVING, 8), self.frame_at(RESULT, 8)) {
            self.store_const(leaving, 8, 1);
            self.store(at, Mem::U64, result);
        }
        self.end_rounds();
    }

    /// Behind a loop: leaves the program if a body wanted to.
    fn pass_on_leaving(&mut self) {
        let (Some(leaving), Some(result)) = (self.frame_at(LEAVING, 8), self.frame_at(RESULT, 8))
        else {
            return;
        };
        let leaving = self.load(leaving, Mem::U64);
        let (leave, go_on): (BlockId, BlockId) = (self.b.create_block(), self.b.create_block());
        self.b.branch(leaving, leave, go_on);
        self.arm(leave, |lower| {
            let result = lower.load(result, Mem::U64);
            lower.leave_with(result);
        });
        self.b.seal_block(go_on);
        self.b.switch_to(go_on);
    }
}
