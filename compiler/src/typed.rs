//! The checked program: the proof that a script is correct, and the only input of `lower`.
//!
//! Every name is resolved, every expression has a type, every conversion is written out, constants are folded.
//! * Arithmetic (`Binary`) has two operands of the same 64-bit integer or pointer type (the right one of a shift may differ);
//!   pointer arithmetic is already scaled. Signedness is in the operator.
//! * `Cast` is the only conversion between scalars. Between values in memory it changes the capacity of a string, buffer or stack,
//!   takes bytes as they are (string and array of one size), or adds the family to an address (`Inet` to `InetAny`). An integer and an
//!   array convert into each other by their bytes in memory; an array that is larger is padded with zeros.
//! * A *place* is an expression that denotes memory: `Deref`, `Member`, `Element`, `Context(Memory)`, and `Var`, `Map` of a memory type.
//!   Types in memory are `Record`, `Array`, `Str`, `Buf`, `Tuple`, `NamedTuple`, `Stack`, `Inet`, `InetAny`, `Mac`, `Flow`, `Rule`, `Meaning`,
//!   `USym`; all others are scalars (64-bit values).
//! * Variables have one type for the whole script and exist once per probe; all start as zero.

use std::rc::Rc;

use nettrace_grammar::Span;

use crate::artifact::{Piece, Settings, Target};
use crate::builtins::Builtin;
use crate::define_id;
use crate::index::IndexVec;
use crate::ir::{BinOp, Cond};
use crate::pcap::Filter;
use crate::probes::ProbeKind;
use crate::types::{Ty, Types};

define_id!(
    /// A map of the script.
    ScriptMapId, "@"
);
define_id!(
    /// A variable of a probe.
    VarId, "$"
);

/// A correct script.
#[derive(Clone, Debug)]
pub struct Program {
    /// All types that appear.
    pub types: Types,
    /// The script's maps in order of first use.
    pub maps: IndexVec<ScriptMapId, Map>,
    /// In script order; a probe of the script whose targets need different code stands here once per kind of code.
    pub probes: Vec<Probe>,
    /// Run-time settings.
    pub settings: Settings,
    /// Capacity of `str()` results and of keyed maps.
    pub limits: Limits,
    /// Its number as an entry of an interactive session.
    pub entry: Option<u32>,
}

/// Settings of the config block that act while compiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `max_strlen`
    pub max_strlen: u32,
    /// `max_map_keys`
    pub max_map_keys: u32,
    /// `perf_rb_pages`: size of the ring buffer in bytes, a power of two.
    pub ring_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_strlen: 1024,
            max_map_keys: 4096,
            // A few thousand records with a stack each, or a hundred thousand short ones.
            ring_bytes: 4 << 20,
        }
    }
}

/// A map of the script.
#[derive(Clone, Debug)]
pub struct Map {
    /// Without `@`; empty for the anonymous one.
    pub name: String,
    /// `None` for a scalar map.
    pub key: Option<Ty>,
    /// What it stores.
    pub value: MapValue,
    /// What `let @m = …(N);` says of it.
    pub declared: Option<Declared>,
    /// First use.
    pub span: Span,
}

/// A declaration of a keyed map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// A full map gives up its least recently used entry.
    pub lru: bool,
    /// How many entries it holds.
    pub entries: u32,
}

/// What a map stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapValue {
    /// Values of a type.
    Plain(Ty),
    /// An aggregation.
    Aggregate(Aggregate),
}

/// The aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in the language; `signed` is the type of what goes in.
pub enum Aggregate {
    Count,
    Sum { signed: bool },
    Avg { signed: bool },
    Min { signed: bool },
    Max { signed: bool },
    Stats { signed: bool },
    Hist { bits: u32 },
    Lhist { min: i64, max: i64, step: i64 },
}

/// A body and where it goes.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The row of the probe table; the same for all targets.
    pub kind: &'static ProbeKind,
    /// At least one. Cookies are final.
    pub targets: Vec<Target>,
    /// Its variables.
    pub vars: IndexVec<VarId, Var>,
    /// The body runs when this is not zero; type `Bool`.
    pub predicate: Option<Expr>,
    /// The body.
    pub body: Vec<Stmt>,
    /// The script's probe.
    pub span: Span,
}

/// A variable.
#[derive(Clone, Debug)]
pub struct Var {
    /// Without `$`.
    pub name: String,
    /// Its type.
    pub ty: Ty,
    /// First assignment or declaration.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What kind.
    pub kind: StmtKind,
    /// Where.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `$v = e`; the value has the variable's type.
    Assign(VarId, Expr),
    /// `@m[k] = e`; key and value have the map's types.
    AssignMap(ScriptMapId, Option<Expr>, Expr),
    /// `@m[k] += e`, atomically; an integer map. `-=` has a negated value.
    AddMap(ScriptMapId, Option<Expr>, Expr),
    /// `@m[k] = sum(e)`; the value is 64 bits wide, absent for `count()`.
    Aggregate(ScriptMapId, Option<Expr>, Option<Expr>),
    /// For its effect.
    Expr(Expr),
    /// The condition is `Bool`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// Leaves the probe. The value is a 64-bit integer.
    Return(Option<Expr>),
    /// Runs the body again and again.
    Loop(Loop, Vec<Stmt>),
    /// Leaves the innermost loop.
    Break,
    /// Goes on with the innermost loop's next round.
    Continue,
}

/// What drives a loop.
#[derive(Clone, Debug)]
pub enum Loop {
    /// As long as a condition (`Bool`) holds.
    While(Expr),
    /// The variable, an `int64`, counts from the first number up to, without, the second; both are evaluated once.
    Range(VarId, Expr, Expr),
    /// The variable, a tuple, holds key and value of each entry of a keyed map, aggregations as their totals.
    Entries(VarId, ScriptMapId),
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What kind.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Ty,
    /// Where.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// The bits of an integer, bool, enum or pointer constant, extended according to its type.
    Int(i64),
    /// A string constant, without NUL; shorter than the capacity of its type.
    Str(Vec<u8>),
    /// Constant bytes, as many as its array type has.
    Bytes(Vec<u8>),
    /// A variable.
    Var(VarId),
    /// The value under a key, zero when there is none. Plain maps only.
    Map(ScriptMapId, Option<Box<Expr>>),
    /// The value of an aggregation over all CPUs as a 64-bit integer (count, sum, min, max, avg).
    MapTotal(ScriptMapId, Option<Box<Expr>>),
    /// Arithmetic.
    Binary(BinOp, Box<Expr>, Box<Expr>),
    /// Division and modulo of the language: a divisor of 0 gives 1 for `/` and 1 for `%`, as bpftrace has it.
    Divide(BinOp, Box<Expr>, Box<Expr>),
    /// Comparison of scalars of equal type; gives `Bool`.
    Compare(Cond, Box<Expr>, Box<Expr>),
    /// Equality of two values in memory (or string constants); `true` in front for `==`, `false` for `!=`.
    CompareMemory(bool, Box<Expr>, Box<Expr>),
    /// `&&`, short-circuit; operands and result are `Bool`.
    And(Box<Expr>, Box<Expr>),
    /// `||`, short-circuit.
    Or(Box<Expr>, Box<Expr>),
    /// `!` of a `Bool`.
    Not(Box<Expr>),
    /// `c ? a : b`; the condition is `Bool`, both arms have the type of the whole (or `Void`).
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a ?: b`: the first operand, evaluated once, unless it is zero. Both are scalars of the type of the whole.
    Either(Box<Expr>, Box<Expr>),
    /// Conversion from the operand's type to the expression's. To `Bool`: not equal to zero.
    Cast(Box<Expr>),
    /// `++`, `--` of a `Var` or `Map` (atomic): adds `delta` (scaled for pointers); the value is the new one when `prefix`.
    IncDec {
        /// `Var` or `Map`.
        target: Box<Expr>,
        /// What is added.
        delta: i64,
        /// Gives the new value.
        prefix: bool,
    },
    /// The memory behind a pointer.
    Deref(Box<Expr>),
    /// The address of a place in kernel, user or context memory (`&p->field`, and arrays that decay).
    AddressOf(Box<Expr>),
    /// A member of a record place.
    Member {
        /// The record.
        base: Box<Expr>,
        /// Bytes from the record's start; for a bit-field the bytes that hold it.
        offset: u32,
        /// Set for a bit-field.
        bits: Option<Bits>,
    },
    /// An element of an array place; the stride is the size of the element's type.
    Element(Box<Expr>, Box<Expr>),
    /// An element of a tuple, with names or without, by number.
    TupleElement(Box<Expr>, u32),
    /// A tuple, with names or without.
    Tuple(Vec<Expr>),
    /// What the probe's context holds.
    Context(Context),
    /// A call of a builtin.
    Call(Call),
    /// Statements, then the value.
    Block(Vec<Stmt>, Box<Expr>),
}

/// A bit-field: load `bytes` at the member's offset, shift right by `shift`, keep `width` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// 1, 2, 4 or 8.
    pub bytes: u8,
    /// Position of the lowest bit.
    pub shift: u8,
    /// How many bits.
    pub width: u8,
}

/// What the probe's context holds. `ctx` layouts: `struct pt_regs` for kprobes, `u64[]` for fentry, fexit and raw tracepoints, the
/// event record for tracepoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The n-th argument register of `pt_regs`.
    Register(u32),
    /// The argument register of `pt_regs` that holds the packet; another one for each target.
    Packet,
    /// The return value register of `pt_regs`.
    ReturnRegister,
    /// The n-th `u64` of the context.
    Slot(u32),
    /// A value or place at this offset in the context.
    Memory(u32),
    /// The address of a `__data_loc` member: context plus the low 16 bits of the `u32` at this offset.
    DataLoc(u32),
    /// The context's address.
    Address,
}

/// A call of a builtin that exists at run time.
#[derive(Clone, Debug)]
pub struct Call {
    /// The row.
    pub builtin: &'static Builtin,
    /// Checked and converted by the row's `check`.
    pub args: Vec<Expr>,
    /// What the row's `check` found beside the arguments.
    pub extra: Extra,
}

/// What a call carries beside its arguments.
#[derive(Clone, Debug)]
pub enum Extra {
    /// Nothing.
    None,
    /// printf: the format; the arguments are in the order of its values.
    Format(Vec<Piece>),
    /// The map that print, clear, zero, delete act on, and its key (delete).
    Map(ScriptMapId, Option<Box<Expr>>),
    /// print(@m, top, div)
    PrintMap(ScriptMapId, u32, u32),
    /// A constant text: `time` format, `join` separator.
    Text(String),
    /// A constant number: the length of `buf`, the clock of `nsecs`.
    Number(u32),
    /// A packet filter.
    Filter(Rc<Filter>),
    /// An aggregation; only until the assignment around it becomes [`StmtKind::Aggregate`].
    Aggregate(Aggregate),
}
