//! Random programs: steps as data, so that they shrink, and the IR they describe.
//!
//! Programs terminate and touch only their own memory by construction, and addresses never become visible. Shared by the unit
//! tests of the code generator and by the test that runs programs in the kernel.

use nettrace_compiler::artifact::MapId;
use nettrace_compiler::ir::{
    BinOp, BlockId, Cond, Func, FuncBuilder, FuncKind, Helper, Mem, Op, SlotId, Value, Var,
};
use nettrace_grammar::Span;
use proptest::prelude::*;

/// How many programs a test tries: few enough for the normal run, as many as `PROPTEST_CASES` says for a long one.
#[allow(clippy::disallowed_methods)] // The compiler does not read the environment; its tests may.
pub(crate) fn cases(normal: u32) -> u32 {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(normal)
}

/// Bytes of the context.
pub(crate) const CONTEXT_SIZE: u32 = 64;
/// Bytes of the value of each map; the last eight hold the result.
pub(crate) const VALUE_SIZE: usize = 72;
/// The ring buffer; the maps before it have one value each.
pub(crate) const RING: MapId = MapId(2);
const SLOT_SIZES: [u32; 3] = [8, 24, 40];
const VARS: usize = 3;

/// A statement of a random program. Operands are indices into the values at hand, taken modulo their number.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Const(i64),
    Binary(BinOp, usize, usize),
    BinaryConst(BinOp, usize, i64),
    ConstBinary(BinOp, i64, usize),
    Compare(Cond, usize, usize),
    CompareConst(Cond, usize, i64),
    Extend(Mem, usize),
    Swap(u8, usize),
    LoadContext(Mem, u32),
    Load(Mem, Place),
    Store(Mem, Place, usize),
    StoreConst(Mem, Place, i64),
    AtomicAdd(bool, usize, u32, usize, bool),
    Zero(Place, u32),
    Copy(Place, Place, u32),
    Set(usize, usize),
    Get(usize),
    Clock,
    Pid,
    Kfunc(usize, usize),
    /// Sends values in a slot of its own.
    Output(Vec<usize>),
    /// Sends values in a record, if there is room.
    Submit(Vec<usize>),
    If(usize, Vec<Step>, Vec<Step>),
    IfCompare(Cond, usize, i64, Vec<Step>, Vec<Step>),
    /// Whether a bit-field, `(value >> n) & mask`, is (or is not) this.
    IfField(usize, u8, u8, bool, u8, Vec<Step>),
    Repeat(u8, Vec<Step>),
    Return(usize, usize),
}

/// Memory that may be written: a slot or a map value, and an offset of eight-byte steps in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Slot(usize, u32),
    Map(usize, u32),
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        -3i64..70,
        any::<i64>(),
        any::<i32>().prop_map(i64::from),
        any::<u32>().prop_map(i64::from),
        (0u32..64).prop_map(|n| (1u64 << n) as i64),
        (0u32..64).prop_map(|n| (1u64 << n).wrapping_sub(1) as i64),
        Just(i64::MIN),
    ]
}

fn mem() -> impl Strategy<Value = Mem> {
    proptest::sample::select(Mem::ALL.to_vec())
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        (any::<usize>(), 0u32..8).prop_map(|(i, o)| Place::Slot(i, o)),
        (0usize..2, 0u32..8).prop_map(|(i, o)| Place::Map(i, o)),
    ]
}

/// Any statement.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let op = || proptest::sample::select(BinOp::ALL.to_vec());
    let cond = || proptest::sample::select(Cond::ALL.to_vec());
    let v = any::<usize>;
    let leaf = prop_oneof![
        1 => number().prop_map(Step::Const),
        4 => (op(), v(), v()).prop_map(|(o, a, b)| Step::Binary(o, a, b)),
        4 => (op(), v(), number()).prop_map(|(o, a, n)| Step::BinaryConst(o, a, n)),
        1 => (op(), number(), v()).prop_map(|(o, n, a)| Step::ConstBinary(o, n, a)),
        1 => (cond(), v(), v()).prop_map(|(c, a, b)| Step::Compare(c, a, b)),
        1 => (cond(), v(), number()).prop_map(|(c, a, n)| Step::CompareConst(c, a, n)),
        2 => (mem(), v()).prop_map(|(m, a)| Step::Extend(m, a)),
        1 => (proptest::sample::select(vec![2u8, 4, 8]), v()).prop_map(|(n, a)| Step::Swap(n, a)),
        2 => (mem(), 0..CONTEXT_SIZE / 8).prop_map(|(m, o)| Step::LoadContext(m, o * 8)),
        2 => (mem(), place()).prop_map(|(m, p)| Step::Load(m, p)),
        2 => (mem(), place(), v()).prop_map(|(m, p, a)| Step::Store(m, p, a)),
        1 => (mem(), place(), number()).prop_map(|(m, p, n)| Step::StoreConst(m, p, n)),
        1 => (any::<bool>(), 0usize..2, 0u32..8, v(), any::<bool>())
            .prop_map(|(w, m, o, a, f)| Step::AtomicAdd(w, m, o, a, f)),
        1 => (place(), 1u32..40).prop_map(|(p, n)| Step::Zero(p, n)),
        1 => (place(), place(), 1u32..40).prop_map(|(a, b, n)| Step::Copy(a, b, n)),
        2 => (0..VARS, v()).prop_map(|(x, a)| Step::Set(x, a)),
        2 => (0..VARS).prop_map(Step::Get),
        1 => Just(Step::Clock),
        1 => Just(Step::Pid),
        1 => (v(), v()).prop_map(|(a, b)| Step::Kfunc(a, b)),
        1 => proptest::collection::vec(v(), 1..4).prop_map(Step::Output),
        1 => proptest::collection::vec(v(), 1..4).prop_map(Step::Submit),
    ];
    leaf.prop_recursive(3, 40, 8, move |inner| {
        let body = || proptest::collection::vec(inner.clone(), 0..8);
        prop_oneof![
            (any::<usize>(), body(), body()).prop_map(|(c, a, b)| Step::If(c, a, b)),
            (cond(), any::<usize>(), number(), body(), body())
                .prop_map(|(c, a, n, x, y)| Step::IfCompare(c, a, n, x, y)),
            (
                any::<usize>(),
                0u8..40,
                1u8..8,
                any::<bool>(),
                0u8..3,
                body()
            )
                .prop_map(|(a, n, m, e, w, x)| Step::IfField(a, n, m, e, w, x)),
            (1u8..4, body()).prop_map(|(n, a)| Step::Repeat(n, a)),
            (any::<usize>(), any::<usize>()).prop_map(|(c, a)| Step::Return(c, a)),
        ]
    })
}

/// Builds the function a list of steps describes.
pub(crate) struct Maker {
    b: FuncBuilder,
    values: Vec<Value>,
    vars: Vec<Var>,
    slots: Vec<SlotId>,
}

impl Maker {
    /// A program of these steps.
    pub(crate) fn func(steps: &[Step]) -> Func {
        let mut b = FuncBuilder::new("random", FuncKind::Program, 1, Span::default());
        let vars = (0..VARS).map(|_| b.declare_var()).collect();
        let mut slots = Vec::new();
        for size in SLOT_SIZES {
            let slot = b.slot(size, 8, "slot");
            let at = b.slot_addr(slot, 0);
            b.zero_memory(at, 0, size);
            slots.push(slot);
        }
        let first = b.load(Mem::U64, b.param(0), 0);
        let mut maker = Maker {
            b,
            values: vec![first],
            vars,
            slots,
        };
        maker.steps(steps);
        // Everything still at hand goes into the result, so that much lives long.
        let mut all = maker.values[0];
        for &value in &maker.values[1..] {
            let mixed = maker.b.binary_imm(BinOp::Mul, all, 31);
            all = maker.b.binary(BinOp::Add, mixed, value);
        }
        let at = maker.b.map_value(MapId(0), VALUE_SIZE as u32 - 8);
        maker.b.store(Mem::U64, at, 0, all);
        maker.b.ret(all);
        maker.b.finish()
    }

    fn get(&self, index: usize) -> Value {
        self.values[index % self.values.len()]
    }

    /// A block of statements; what it computes is not at hand afterwards.
    fn block(&mut self, steps: &[Step], to: BlockId) {
        let before = self.values.len();
        self.steps(steps);
        self.values.truncate(before);
        self.b.jump(to);
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            if let Some(value) = self.step(step) {
                self.values.push(value);
            }
        }
    }

    fn step(&mut self, step: &Step) -> Option<Value> {
        Some(match *step {
            Step::Const(n) => self.b.iconst(n),
            Step::Binary(op, a, b) => self.b.binary(op, self.get(a), self.get(b)),
            Step::BinaryConst(op, a, n) => self.b.binary_imm(op, self.get(a), n),
            Step::ConstBinary(op, n, a) => {
                let n = self.b.iconst(n);
                self.b.binary(op, n, self.get(a))
            }
            Step::Compare(cond, a, b) => self.b.compare(cond, self.get(a), self.get(b)),
            Step::CompareConst(cond, a, n) => self.b.compare_imm(cond, self.get(a), n),
            Step::Extend(mem, a) => self.b.extend(mem, self.get(a)),
            Step::Swap(bytes, a) => self.b.swap_bytes(bytes, self.get(a)),
            Step::LoadContext(mem, off) => self.b.load(mem, self.b.param(0), off as i32),
            Step::Get(var) => self.b.read_var(self.vars[var]),
            Step::Clock => self.b.call(Helper::KtimeGetNs, &[]),
            Step::Pid => self.b.call(Helper::GetCurrentPidTgid, &[]),
            Step::Kfunc(a, b) => self.b.kfunc(7, &[self.get(a), self.get(b)]),
            Step::Load(mem, place) => {
                let (ptr, off, _) = self.place(place);
                self.b.load(mem, ptr, off)
            }
            Step::AtomicAdd(wide, map, off, a, fetch) => {
                let ptr = self.b.map_value(MapId(map as u32), off * 8);
                let mem = if wide { Mem::U64 } else { Mem::U32 };
                let value = self.get(a);
                if !fetch {
                    self.b.atomic_add(mem, ptr, 0, value);
                    return None;
                }
                self.b.atomic_fetch_add(mem, ptr, 0, value)
            }
            _ => {
                self.effect(step);
                return None;
            }
        })
    }

    fn effect(&mut self, step: &Step) {
        match step {
            Step::Set(var, a) => self.b.write_var(self.vars[*var], self.get(*a)),
            Step::Store(mem, place, a) => {
                let (ptr, off, _) = self.place(*place);
                self.b.store(*mem, ptr, off, self.get(*a));
            }
            Step::StoreConst(mem, place, n) => {
                let (ptr, off, _) = self.place(*place);
                let n = self.b.iconst(*n);
                self.b.store(*mem, ptr, off, n);
            }
            Step::Zero(place, size) => {
                let (ptr, off, room) = self.place(*place);
                self.b.zero_memory(ptr, off, room.min(*size));
            }
            Step::Copy(to, from, size) => self.copy(*to, *from, *size),
            Step::Output(values) => self.output(values),
            Step::Submit(values) => self.submit(values),
            Step::If(cond, then, otherwise) => self.branch(self.get(*cond), then, otherwise),
            Step::IfCompare(cond, a, n, then, otherwise) => {
                let cond = self.b.compare_imm(*cond, self.get(*a), *n);
                self.branch(cond, then, otherwise);
            }
            Step::IfField(a, by, mask, equal, wanted, then) => {
                let value = self.get(*a);
                let value = self.b.binary_imm(BinOp::LShr, value, i64::from(*by));
                let value = self.b.binary_imm(BinOp::And, value, i64::from(*mask));
                let cond = if *equal { Cond::Eq } else { Cond::Ne };
                let cond = self.b.compare_imm(cond, value, i64::from(*wanted));
                self.branch(cond, then, &[]);
            }
            Step::Repeat(count, body) => self.repeat(*count, body),
            Step::Return(cond, a) => {
                let (leave, stay) = (self.b.create_block(), self.b.create_block());
                self.b.branch(self.get(*cond), leave, stay);
                self.b.switch_to(leave);
                self.b.ret(self.get(*a));
                self.b.switch_to(stay);
            }
            _ => {}
        }
    }

    /// Base, offset, and the bytes from there to the end.
    fn place(&mut self, place: Place) -> (Value, i32, u32) {
        match place {
            Place::Slot(index, step) => {
                let index = index % self.slots.len();
                let size = SLOT_SIZES[index];
                let off = step * 8 % size;
                let base = self.b.slot_addr(self.slots[index], 0);
                (base, off as i32, size - off)
            }
            Place::Map(map, step) => {
                let off = step * 8;
                let base = self.b.map_value(MapId(map as u32), 0);
                // Once through an addition that selection can fold.
                let base = self.b.binary_imm(BinOp::Add, base, i64::from(off));
                (base, 0, VALUE_SIZE as u32 - 8 - off)
            }
        }
    }

    fn copy(&mut self, to: Place, from: Place, size: u32) {
        let overlap = match (to, from) {
            (Place::Slot(a, _), Place::Slot(b, _)) => a % self.slots.len() == b % self.slots.len(),
            (Place::Map(a, _), Place::Map(b, _)) => a == b,
            _ => false,
        };
        if overlap {
            return;
        }
        let (dst, dst_off, room) = self.place(to);
        let (src, src_off, there) = self.place(from);
        self.b.effect(Op::Copy {
            dst,
            dst_off,
            src,
            src_off,
            size: size.min(room).min(there),
            align: 8,
        });
    }

    fn output(&mut self, values: &[usize]) {
        let size = 8 * values.len() as u32;
        let slot = self.b.slot(size, 8, "record");
        let at = self.b.slot_addr(slot, 0);
        for (i, &value) in values.iter().enumerate() {
            self.b.store(Mem::U64, at, 8 * i as i32, self.get(value));
        }
        let map = self.b.map_ref(RING);
        let size = self.b.iconst(i64::from(size));
        let flags = self.b.iconst(0);
        self.b.call(Helper::RingbufOutput, &[map, at, size, flags]);
    }

    fn submit(&mut self, values: &[usize]) {
        let map = self.b.map_ref(RING);
        let size = self.b.iconst(8 * values.len() as i64);
        let flags = self.b.iconst(0);
        let record = self.b.call(Helper::RingbufReserve, &[map, size, flags]);
        let (send, after) = (self.b.create_block(), self.b.create_block());
        let reserved = self.b.compare_imm(Cond::Ne, record, 0);
        self.b.branch(reserved, send, after);
        self.b.switch_to(send);
        for (i, &value) in values.iter().enumerate() {
            // A call while the record is held.
            let now = self.b.call(Helper::KtimeGetNs, &[]);
            let mixed = self.b.binary(BinOp::Xor, now, self.get(value));
            self.b.store(Mem::U64, record, 8 * i as i32, mixed);
        }
        let flags = self.b.iconst(0);
        self.b.call(Helper::RingbufSubmit, &[record, flags]);
        self.b.jump(after);
        self.b.switch_to(after);
    }

    fn branch(&mut self, cond: Value, then: &[Step], otherwise: &[Step]) {
        let blocks = [then, otherwise].map(|steps| (self.b.create_block(), steps));
        let join = self.b.create_block();
        self.b.branch(cond, blocks[0].0, blocks[1].0);
        for (block, steps) in blocks {
            self.b.switch_to(block);
            self.block(steps, join);
        }
        self.b.switch_to(join);
    }

    fn repeat(&mut self, count: u8, body: &[Step]) {
        let counter = self.b.declare_var();
        let zero = self.b.iconst(0);
        self.b.write_var(counter, zero);
        let [head, inside, after] = [(); 3].map(|()| self.b.create_block());
        self.b.jump(head);
        self.b.switch_to(head);
        let now = self.b.read_var(counter);
        let more = self.b.compare_imm(Cond::ULt, now, i64::from(count));
        self.b.branch(more, inside, after);
        self.b.switch_to(inside);
        let next = self.b.binary_imm(BinOp::Add, now, 1);
        self.b.write_var(counter, next);
        self.block(body, head);
        self.b.switch_to(after);
    }
}
