//! The script's maps: keys, lookups, plain values.
//!
//! In: a map of the script and a key expression. Out: places of values, or helper calls. A scalar map is an array of one entry
//! whose value has a fixed address; a keyed one is a hash. Keys are canonical bytes. Entries that a full map refuses are counted per
//! map.

use super::total::Visit;
use super::{Base, Fill, Home, Lower, Place};
use crate::artifact::{MapId, MapKind};
use crate::ir::{BinOp, BlockId, Cond, Helper, Mem, Value};
use crate::typed::{Expr, ExprKind, ScriptMapId};
use crate::types::Ty;

/// `BPF_ANY` of `linux/bpf.h`: insert or replace.
const ANY: i64 = 0;
/// `BPF_NOEXIST`: insert only.
const NOEXIST: i64 = 1;
/// Initial values up to this size are built on the stack, larger ones come from the map of zeros.
const SMALL_VALUE: u32 = 16;

impl Lower<'_> {
    /// The value of a scalar map that is not per-CPU.
    pub(super) fn only_value(&self, map: ScriptMapId) -> Place {
        let map = self.plans.of_script(map);
        Place {
            base: Base::MapValue(map),
            off: 0,
            align: 8,
            room: self.plans.map(map).value_size,
            fill: Fill::Zeroed,
        }
    }

    /// Whether the map is an array that can be written without asking.
    fn has_only_value(&self, map: ScriptMapId) -> bool {
        self.plans.map(self.plans.of_script(map)).kind == MapKind::Array
    }

    /// `@m[key] = value`
    pub(super) fn put(&mut self, map: ScriptMapId, key: Option<&Expr>, value: &Expr) {
        let value = match self.ready_place(value) {
            Some(place) => place,
            None => self.materialize(value),
        };
        let key = self.key(map, key);
        let value = self.address(value);
        let failed = self.update(self.plans.of_script(map), key, value, ANY);
        let (full, join) = (self.b.create_block(), self.b.create_block());
        self.b.branch(failed, full, join);
        let id = self.plans.of_script(map);
        self.arm(full, |lower| {
            lower.count_full(id);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
    }

    /// Where a value lies already in the form that maps take.
    fn ready_place(&mut self, expr: &Expr) -> Option<Place> {
        match expr.kind {
            ExprKind::Var(var) if !matches!(self.vars[var], Home::Value(_)) => self.var_place(var),
            _ => None,
        }
    }

    /// The address of a key's bytes; index 0 for an array.
    pub(super) fn key(&mut self, map: ScriptMapId, key: Option<&Expr>) -> Value {
        let place = match key {
            None => self.index_place(0),
            Some(key) => match self.ready_place(key) {
                Some(place) => place,
                None => {
                    let layout = self.layout(key.ty);
                    let what = format!("the key of @{}", self.program.maps[map].name);
                    // Map implementations compare and hash keys in words.
                    let place = self.temp(layout.size(), layout.align(), &what);
                    self.write(key, &place);
                    place
                }
            },
        };
        self.address(place)
    }

    fn index_place(&mut self, index: i64) -> Place {
        let place = self.temp(4, 4, "the index of an array");
        self.store_const(place, 4, index);
        place
    }

    /// The address of an entry; null as far as the verifier knows.
    pub(super) fn lookup(&mut self, map: MapId, key: Value) -> Value {
        let map = self.b.map_ref(map);
        self.b.call(Helper::MapLookup, &[map, key])
    }

    /// Not 0 when it failed.
    fn update(&mut self, map: MapId, key: Value, value: Value, flags: i64) -> Value {
        let map = self.b.map_ref(map);
        let flags = self.b.iconst(flags);
        self.b.call(Helper::MapUpdate, &[map, key, value, flags])
    }

    /// The scalar under a key, 0 when there is none.
    pub(super) fn read_entry(&mut self, map: ScriptMapId, key: Option<&Expr>, ty: Ty) -> Value {
        if self.has_only_value(map) {
            let place = self.only_value(map);
            return self.load_scalar(place, ty);
        }
        let key = self.key(map, key);
        let entry = self.lookup(self.plans.of_script(map), key);
        let result = self.b.declare_var();
        let (found, join) = (self.b.create_block(), self.b.create_block());
        self.branch_not_null(entry, found, join);
        self.arm(found, |lower| {
            let value = lower.load_scalar(Place::pointer(entry, 8), ty);
            lower.b.write_var(result, value);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        self.b.read_var(result)
    }

    /// The place of a value in memory under a key, zeros when there is none.
    pub(super) fn entry_place(&mut self, map: ScriptMapId, key: Option<&Expr>, ty: Ty) -> Place {
        if self.has_only_value(map) {
            return self.only_value(map);
        }
        let size = self.size(ty);
        let key = self.key(map, key);
        let entry = self.lookup(self.plans.of_script(map), key);
        let address = self.b.declare_var();
        self.b.write_var(address, entry);
        let (missing, join) = (self.b.create_block(), self.b.create_block());
        self.branch_not_null(entry, join, missing);
        self.arm(missing, |lower| {
            let zeros = lower.plans.zeros(size);
            let zeros = lower.b.map_value(zeros, 0);
            lower.b.write_var(address, zeros);
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
        let address = self.b.read_var(address);
        Place::pointer(address, size)
    }

    /// Changes the entry under a key, which is made of zeros first when there is none. A full map is counted as a loss.
    pub(super) fn change_entry(
        &mut self,
        map: ScriptMapId,
        key: Option<&Expr>,
        change: impl FnOnce(&mut Self, Place),
    ) {
        if self.has_only_value(map) {
            let place = self.only_value(map);
            return change(self, place);
        }
        let id = self.plans.of_script(map);
        let (kind, size) = (self.plans.map(id).kind, self.plans.map(id).value_size);
        let key = self.key(map, key);
        let address = self.b.declare_var();
        let entry = self.lookup(id, key);
        self.b.write_var(address, entry);
        let (found, missing) = (self.b.create_block(), self.b.create_block());
        let (lost, join) = (self.b.create_block(), self.b.create_block());
        self.branch_not_null(entry, found, missing);
        self.arm(missing, |lower| {
            if kind == MapKind::PercpuArray {
                // Arrays have all their entries.
                lower.b.jump(lost);
                return;
            }
            let zeros = lower.zeros(size);
            // Somebody may have been faster; then this fails and the entry is there.
            lower.update(id, key, zeros, NOEXIST);
            let entry = lower.lookup(id, key);
            lower.b.write_var(address, entry);
            lower.branch_not_null(entry, found, lost);
        });
        self.b.seal_block(lost);
        self.b.seal_block(found);
        self.arm(found, |lower| {
            let address = lower.b.read_var(address);
            change(lower, Place::pointer(address, size));
            lower.b.jump(join);
        });
        self.arm(lost, |lower| {
            if kind != MapKind::PercpuArray {
                lower.count_full(id);
            }
            lower.b.jump(join);
        });
        self.b.seal_block(join);
        self.b.switch_to(join);
    }

    /// The address of so many zeros.
    fn zeros(&mut self, size: u32) -> Value {
        if size > SMALL_VALUE {
            let zeros = self.plans.zeros(size);
            return self.b.map_value(zeros, 0);
        }
        let place = self.temp(size.next_multiple_of(8), 8, "a new map entry");
        self.zero(place);
        self.address(place)
    }

    /// Adds to the integer under a key, atomically, and passes on the old value.
    pub(super) fn add_to_map(
        &mut self,
        map: ScriptMapId,
        key: Option<&Expr>,
        delta: Value,
        then: impl FnOnce(&mut Self, Value),
    ) {
        let ty = match self.program.maps[map].value {
            crate::typed::MapValue::Plain(ty) => ty,
            crate::typed::MapValue::Aggregate(_) => crate::types::Types::U64,
        };
        let mem = self.scalar_mem(ty);
        self.change_entry(map, key, |lower, place| {
            let old = match mem {
                Mem::U64 | Mem::U32 | Mem::S32 => {
                    let address = lower.address(place);
                    let old = lower.b.atomic_fetch_add(unsigned(mem), address, 0, delta);
                    match mem {
                        Mem::S32 => lower.b.extend(mem, old),
                        _ => old,
                    }
                }
                // eBPF has no atomic additions of less than 32 bits.
                narrow => {
                    let old = lower.load(place, narrow);
                    let new = lower.b.binary(BinOp::Add, old, delta);
                    lower.store(place, narrow, new);
                    old
                }
            };
            then(lower, old);
        });
    }

    /// Whether a keyed map has an entry.
    pub(crate) fn has_entry(&mut self, map: ScriptMapId, key: Option<&Expr>) -> Value {
        let key = self.key(map, key);
        let entry = self.lookup(self.plans.of_script(map), key);
        self.b.compare_imm(Cond::Ne, entry, 0)
    }

    /// How many entries a keyed map has.
    pub(crate) fn entry_count(&mut self, map: ScriptMapId) -> Value {
        let callback = self.plans.nothing();
        let id = self.plans.of_script(map);
        let map = self.b.map_ref(id);
        let callback = self.b.func_ref(callback);
        let none = self.b.iconst(0);
        self.b
            .call(Helper::ForEachMapElem, &[map, callback, none, none])
    }

    /// `delete(@m, key)`; 1 when there was an entry.
    pub(crate) fn delete_entry(&mut self, map: ScriptMapId, key: Option<&Expr>) -> Value {
        let id = self.plans.of_script(map);
        match self.plans.map(id).kind {
            MapKind::Array => {
                let place = self.only_value(map);
                self.zero(place);
                self.b.iconst(1)
            }
            MapKind::PercpuArray => {
                let size = self.plans.map(id).value_size;
                self.visit_cpus(map, None, Visit::Clear(size));
                self.b.iconst(1)
            }
            _ => {
                let key = self.key(map, key);
                let map = self.b.map_ref(id);
                let failed = self.b.call(Helper::MapDelete, &[map, key]);
                self.b.compare_imm(Cond::Eq, failed, 0)
            }
        }
    }
}

fn unsigned(mem: Mem) -> Mem {
    match mem {
        Mem::U64 => Mem::U64,
        _ => Mem::U32,
    }
}

impl Lower<'_> {
    /// Goes to `then` when the pointer is not null.
    fn branch_not_null(&mut self, pointer: Value, then: BlockId, otherwise: BlockId) {
        let there = self.b.compare_imm(Cond::Ne, pointer, 0);
        self.b.branch(there, then, otherwise);
    }
}
