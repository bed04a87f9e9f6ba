//! Reading aggregations inside a program: a value per CPU becomes one number.
//!
//! In: a map of per-CPU values and a key. Out: a call of `bpf_loop` (Linux 5.17) with a subprogram that looks at the value of one CPU,
//! with `bpf_map_lookup_percpu_elem` (5.19), which gives null beyond the last possible CPU and ends the loop. A loop
//! in the program itself would be walked through by the verifier round by round, and it allows 8192 open branches only.

use super::{Lower, Place};
use crate::artifact::{MapId, Stored};
use crate::ir::{BinOp, Cond, FuncBuilder, FuncKind, Helper, Mem, Value};
use crate::typed::{Expr, ScriptMapId};

/// More rounds than there can be CPUs (`CONFIG_NR_CPUS`).
const ROUNDS: i64 = 1 << 16;

/// What a subprogram does with the value of one CPU. It knows its state: the key's address, then two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visit {
    /// Adds the first so many words to the numbers.
    Add(u32),
    /// Keeps the value that the condition prefers in the first number; the second says that there is one.
    Best(Cond),
    /// Clears so many bytes.
    Clear(u32),
}

/// Bytes of a subprogram's state, and where its parts are.
const STATE: u32 = 24;
const KEY: u32 = 0;
const FIRST: u32 = 8;
const SECOND: u32 = 16;

impl Lower<'_> {
    /// The value of an aggregation over all CPUs.
    pub(super) fn total(&mut self, map: ScriptMapId, key: Option<&Expr>) -> Value {
        let key = self.key(map, key);
        self.total_at(map, key)
    }

    /// The same for the address of a key.
    pub(super) fn total_at(&mut self, map: ScriptMapId, key: Value) -> Value {
        let id = self.plans.of_script(map);
        let Some(stored) = self.plans.map(id).script.as_ref().map(|s| s.value.clone()) else {
            return self.b.iconst(0);
        };
        match stored {
            // No aggregation, and not asked for.
            Stored::Plain(_) => self.b.iconst(0),
            Stored::Count | Stored::Sum { .. } => {
                let state = self.visit_cpus_at(map, key, Visit::Add(1));
                self.load(state.at(FIRST, 8), Mem::U64)
            }
            Stored::Avg { signed } | Stored::Stats { signed } => {
                let state = self.visit_cpus_at(map, key, Visit::Add(2));
                let total = self.load(state.at(FIRST, 8), Mem::U64);
                let count = self.load(state.at(SECOND, 8), Mem::U64);
                // Without entries: 0 / 0, which eBPF defines as 0.
                let op = if signed { BinOp::SDiv } else { BinOp::UDiv };
                self.b.binary(op, total, count)
            }
            Stored::Min { signed } => self.best(map, key, less(signed)),
            Stored::Max { signed } => self.best(map, key, greater(signed)),
            // Histograms are no number; check refuses them.
            Stored::Hist { .. } | Stored::Lhist { .. } => self.b.iconst(0),
        }
    }

    fn best(&mut self, map: ScriptMapId, key: Value, better: Cond) -> Value {
        let state = self.visit_cpus_at(map, key, Visit::Best(better));
        self.load(state.at(FIRST, 8), Mem::U64)
    }

    /// Visits the values of all CPUs; the state afterwards. A missing key has no values.
    pub(super) fn visit_cpus(
        &mut self,
        map: ScriptMapId,
        key: Option<&Expr>,
        visit: Visit,
    ) -> Place {
        let key = self.key(map, key);
        self.visit_cpus_at(map, key, visit)
    }

    /// The same for the address of a key.
    fn visit_cpus_at(&mut self, map: ScriptMapId, key: Value, visit: Visit) -> Place {
        let func = self.plans.visitor(self.plans.of_script(map), visit);
        let state = self.temp(STATE, 8, "the sum over all CPUs");
        self.store(state.at(KEY, 8), Mem::U64, key);
        self.store_const(state.at(FIRST, 8), 8, 0);
        self.store_const(state.at(SECOND, 8), 8, 0);
        let rounds = self.b.iconst(ROUNDS);
        let callback = self.b.func_ref(func);
        let address = self.address(state);
        let flags = self.b.iconst(0);
        self.b
            .call(Helper::Loop, &[rounds, callback, address, flags]);
        state
    }
}

/// The subprogram that visits one CPU's value. Parameters: the CPU, the state; the result is 1 at the end.
pub(super) fn visitor(
    name: String,
    map: MapId,
    visit: Visit,
    span: nettrace_grammar::Span,
) -> crate::ir::Func {
    let mut b = FuncBuilder::new(name, FuncKind::Subprogram, 2, span);
    let (cpu, state) = (b.param(0), b.param(1));
    let map = b.map_ref(map);
    let key = b.load(Mem::U64, state, KEY as i32);
    let value = b.call(Helper::MapLookupPercpu, &[map, key, cpu]);
    let there = b.compare_imm(Cond::Ne, value, 0);
    let (found, end) = (b.create_block(), b.create_block());
    b.branch(there, found, end);
    b.switch_to(end);
    let one = b.iconst(1);
    b.ret(one);
    b.switch_to(found);
    match visit {
        Visit::Add(words) => {
            for word in 0..words as i32 {
                let so_far = b.load(Mem::U64, state, FIRST as i32 + 8 * word);
                let here = b.load(Mem::U64, value, 8 * word);
                let sum = b.binary(BinOp::Add, so_far, here);
                b.store(Mem::U64, state, FIRST as i32 + 8 * word, sum);
            }
        }
        Visit::Best(better) => keep_best(&mut b, state, value, better),
        Visit::Clear(bytes) => b.zero_memory(value, 0, bytes),
    }
    let zero = b.iconst(0);
    b.ret(zero);
    b.finish()
}

/// Leaves the builder where both ways have met.
fn keep_best(b: &mut FuncBuilder, state: Value, value: Value, better: Cond) {
    let (set, compare) = (b.create_block(), b.create_block());
    let (take, join) = (b.create_block(), b.create_block());
    let is_set = b.load(Mem::U64, value, 8);
    b.branch(is_set, set, join);
    b.switch_to(set);
    let here = b.load(Mem::U64, value, 0);
    let any = b.load(Mem::U64, state, SECOND as i32);
    b.branch(any, compare, take);
    b.switch_to(compare);
    let so_far = b.load(Mem::U64, state, FIRST as i32);
    let better = b.compare(better, here, so_far);
    b.branch(better, take, join);
    b.switch_to(take);
    b.store(Mem::U64, state, FIRST as i32, here);
    let one = b.iconst(1);
    b.store(Mem::U64, state, SECOND as i32, one);
    b.jump(join);
    b.switch_to(join);
}

/// The comparison that the new minimum fulfils.
pub(super) fn less(signed: bool) -> Cond {
    if signed { Cond::SLt } else { Cond::ULt }
}

/// The comparison that the new maximum fulfils.
pub(super) fn greater(signed: bool) -> Cond {
    if signed { Cond::SGt } else { Cond::UGt }
}
