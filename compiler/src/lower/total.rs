//! Reading aggregations inside a program: a value per CPU becomes one number.
//!
//! In: a map of per-CPU values and a key. Out: a loop over the CPUs with `bpf_map_lookup_percpu_elem` (Linux 5.19), which gives null
//! beyond the last possible CPU. The loop has a constant bound, for the verifier.

use super::maps::NotNull;
use super::{Lower, Place};
use crate::artifact::{MapId, Stored};
use crate::ir::{BinOp, Cond, Helper, Mem, Value};
use crate::typed::{Expr, ScriptMapId};

/// More CPUs than this are not looked at. The verifier walks through every round: about ten instructions each.
const MAX_CPUS: i64 = 1024;

impl Lower<'_> {
    /// The value of an aggregation over all CPUs.
    pub(super) fn total(&mut self, map: ScriptMapId, key: Option<&Expr>) -> Value {
        let id = self.plans.of_script(map);
        let Some(stored) = self.plans.map(id).script.as_ref().map(|s| s.value.clone()) else {
            return self.b.iconst(0);
        };
        match stored {
            Stored::Plain(_) => match key {
                Some(key) => self.read_entry(map, Some(key), crate::types::Types::U64),
                None => self.read_entry(map, None, crate::types::Types::U64),
            },
            Stored::Count | Stored::Sum { .. } => self.sum_over_cpus(map, key),
            Stored::Avg { signed } | Stored::Stats { signed } => self.average(map, key, signed),
            Stored::Min { signed } => self.extreme(map, key, less(signed)),
            Stored::Max { signed } => self.extreme(map, key, greater(signed)),
            // Histograms are no number; check refuses them.
            Stored::Hist { .. } | Stored::Lhist { .. } => self.b.iconst(0),
        }
    }

    fn sum_over_cpus(&mut self, map: ScriptMapId, key: Option<&Expr>) -> Value {
        let sum = self.b.declare_var();
        self.start_at_zero(sum);
        self.each_value(map, key, |lower, value| lower.accumulate(sum, value, 0));
        self.b.read_var(sum)
    }

    fn average(&mut self, map: ScriptMapId, key: Option<&Expr>, signed: bool) -> Value {
        let (total, count) = (self.b.declare_var(), self.b.declare_var());
        self.start_at_zero(total);
        self.start_at_zero(count);
        self.each_value(map, key, |lower, value| {
            lower.accumulate(total, value, 0);
            lower.accumulate(count, value, 8);
        });
        // Without entries: 0 / 0, which eBPF defines as 0.
        let (total, count) = (self.b.read_var(total), self.b.read_var(count));
        let op = if signed { BinOp::SDiv } else { BinOp::UDiv };
        self.b.binary(op, total, count)
    }

    /// The value that `better` than all others of CPUs that have one.
    fn extreme(&mut self, map: ScriptMapId, key: Option<&Expr>, better: Cond) -> Value {
        let (best, any) = (self.b.declare_var(), self.b.declare_var());
        self.start_at_zero(best);
        self.start_at_zero(any);
        self.each_value(map, key, |lower, value| {
            let (set, take) = (lower.b.create_block(), lower.b.create_block());
            let (compare, join) = (lower.b.create_block(), lower.b.create_block());
            let is_set = lower.b.load(Mem::U64, value, 8);
            lower.b.branch(is_set, set, join);
            lower.b.seal_block(set);
            lower.b.switch_to(set);
            let here = lower.b.load(Mem::U64, value, 0);
            let known = lower.b.read_var(any);
            lower.b.branch(known, compare, take);
            lower.b.seal_block(compare);
            lower.b.switch_to(compare);
            let so_far = lower.b.read_var(best);
            let better = lower.b.compare(better, here, so_far);
            lower.b.branch(better, take, join);
            lower.b.seal_block(take);
            lower.b.switch_to(take);
            lower.b.write_var(best, here);
            let one = lower.b.iconst(1);
            lower.b.write_var(any, one);
            lower.b.jump(join);
            lower.b.seal_block(join);
            lower.b.switch_to(join);
        });
        self.b.read_var(best)
    }

    fn start_at_zero(&mut self, var: crate::ir::Var) {
        let zero = self.b.iconst(0);
        self.b.write_var(var, zero);
    }

    fn accumulate(&mut self, var: crate::ir::Var, value: Value, offset: i32) {
        let part = self.b.load(Mem::U64, value, offset);
        let so_far = self.b.read_var(var);
        let sum = self.b.binary(BinOp::Add, so_far, part);
        self.b.write_var(var, sum);
    }

    fn each_value(
        &mut self,
        map: ScriptMapId,
        key: Option<&Expr>,
        visit: impl FnOnce(&mut Self, Value),
    ) {
        let id = self.plans.of_script(map);
        match key {
            None => self.each_cpu(id, None, visit),
            Some(_) => {
                let key = self.key(map, key);
                self.each_cpu(id, Some(key), visit);
            }
        }
    }

    /// Visits the value of each CPU; without key that of an array's only entry. A missing key is visited on no CPU.
    pub(super) fn each_cpu(
        &mut self,
        map: MapId,
        key: Option<Value>,
        visit: impl FnOnce(&mut Self, Value),
    ) {
        let key = match key {
            Some(key) => key,
            None => {
                let place: Place = self.temp(4, 4, "the index of an array");
                self.store_const(place, 4, 0);
                self.address(place)
            }
        };
        let cpu = self.b.declare_var();
        self.start_at_zero(cpu);
        let (head, body) = (self.b.create_block(), self.b.create_block());
        let (next, done) = (self.b.create_block(), self.b.create_block());
        self.b.jump(head);
        self.b.switch_to(head);
        let at = self.b.read_var(cpu);
        let map = self.b.map_ref(map);
        let value = self.b.call(Helper::MapLookupPercpu, &[map, key, at]);
        self.b.branch_not_null(value, body, done);
        self.arm(body, |lower| {
            visit(lower, value);
            lower.b.jump(next);
        });
        self.b.seal_block(next);
        self.b.switch_to(next);
        let after = self.b.binary_imm(BinOp::Add, at, 1);
        self.b.write_var(cpu, after);
        let more = self.b.compare_imm(Cond::ULt, after, MAX_CPUS);
        self.b.branch(more, head, done);
        self.b.seal_block(head);
        self.b.seal_block(done);
        self.b.switch_to(done);
    }
}

/// The comparison that the new minimum fulfils.
pub(super) fn less(signed: bool) -> Cond {
    if signed { Cond::SLt } else { Cond::ULt }
}

/// The comparison that the new maximum fulfils.
pub(super) fn greater(signed: bool) -> Cond {
    if signed { Cond::SGt } else { Cond::UGt }
}
