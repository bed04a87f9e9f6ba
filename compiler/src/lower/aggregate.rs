//! Recording into aggregations: `@m[key] = count()` and its like.
//!
//! In: an aggregation map and what goes into it. Out: the change of this CPU's value. Sums are added atomically, because a program
//! may interrupt another one on the same CPU between a load and a store.

use super::total::{greater, less};
use super::{Lower, Place};
use crate::artifact::{MapKind, Stored, hist_buckets, lhist_buckets};
use crate::ir::{BinOp, Cond, Mem, Value};
use crate::typed::{Expr, ScriptMapId};

impl Lower<'_> {
    /// Records a value, nothing for `count()`.
    pub(super) fn aggregate(&mut self, map: ScriptMapId, key: Option<&Expr>, value: Option<&Expr>) {
        let id = self.plans.of_script(map);
        let stored = match &self.plans.map(id).script {
            Some(script) => script.value.clone(),
            None => return,
        };
        let value = match value {
            Some(value) => self.value(value),
            None => self.b.iconst(1),
        };
        debug_assert_ne!(self.plans.map(id).kind, MapKind::Array);
        // Computed before the lookup: afterwards the entry's address has to be kept, too.
        let bucket = match stored {
            Stored::Hist { bits } => Some((self.log_bucket(value, bits), hist_buckets(bits))),
            Stored::Lhist { min, max, step } => Some((
                self.linear_bucket(value, min, max, step),
                lhist_buckets(min, max, step),
            )),
            _ => None,
        };
        self.change_entry(map, key, |lower, place| match (stored, bucket) {
            (_, Some((bucket, buckets))) => lower.count_in(place, bucket, buckets),
            (Stored::Avg { .. } | Stored::Stats { .. }, None) => {
                let one = lower.b.iconst(1);
                lower.add(place, value);
                lower.add(place.at(8, 8), one);
            }
            (Stored::Min { signed }, None) => lower.keep(place, value, less(signed)),
            (Stored::Max { signed }, None) => lower.keep(place, value, greater(signed)),
            (_, None) => lower.add(place, value),
        });
    }

    fn add(&mut self, place: Place, value: Value) {
        let address = self.address(place.at(0, 8));
        self.b.atomic_add(Mem::U64, address, 0, value);
    }

    /// Adds one to a bucket.
    fn count_in(&mut self, place: Place, bucket: Value, buckets: u32) {
        // The bucket is in range by construction; the verifier has to see it. The comparison costs one instruction.
        let (inside, join) = (self.b.create_block(), self.b.create_block());
        let valid = self.b.compare_imm(Cond::ULt, bucket, i64::from(buckets));
        self.b.branch(valid, inside, join);
        self.arm(inside, |lower| {
            let offset = lower.b.binary_imm(BinOp::Shl, bucket, 3);
            let start = lower.address(place);
            let address = lower.b.binary(BinOp::Add, start, offset);
            let one = lower.b.iconst(1);
            lower.b.atomic_add(Mem::U64, address, 0, one);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
    }

    /// Keeps the value when it is the first or better than the one kept so far.
    fn keep(&mut self, place: Place, value: Value, better: Cond) {
        let (compare, take, join) = (
            self.b.create_block(),
            self.b.create_block(),
            self.b.create_block(),
        );
        let is_set = self.load(place.at(8, 8), Mem::U64);
        self.b.branch(is_set, compare, take);
        self.arm(compare, |lower| {
            let kept = lower.load(place, Mem::U64);
            let better = lower.b.compare(better, value, kept);
            lower.b.branch(better, take, join);
        });
        self.arm(take, |lower| {
            lower.store(place, Mem::U64, value);
            lower.store_const(place.at(8, 8), 8, 1);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
    }
}
