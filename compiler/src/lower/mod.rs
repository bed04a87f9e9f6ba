//! The typed program to IR.
//!
//! In: [`crate::typed::Program`] and the kernel's description of its types. Out: [`Lowered`], an [`crate::ir::Module`] with one
//! program per typed probe, and the plan's maps, events and programs. Cannot fail: a checked script has a meaning, and limits
//! of eBPF (the stack above all) are `bpf`'s to report. Nothing is optimised here, except that values in memory are built
//! where they are wanted, which no later pass could make good.
//!
//! * `stmt`, `expr`, `access`, `into`, `compare`, `order`: statements, scalars, places, values in memory, their comparison
//! * `maps`, `aggregate`, `buckets`, `total`: the script's maps
//! * `event`, `control`: ring records, and the words that programs and runtime share
//! * `place`, `known`, `temp`, `assigned`: memory; `plan`: what becomes part of the plan; `arch`: registers

use std::collections::HashMap;

use crate::artifact::{Clock, Layout, Plan, ProgramId};
use crate::index::IndexVec;
use crate::ir::{self, FuncBuilder, FuncKind, Mem, Module};
use crate::kernel::{Feature, Kernel, KernelTypeId};
use crate::probes::ContextKind;
use crate::typed::{Probe, Program, VarId};
use crate::types::{Ty, Type};

mod access;
mod aggregate;
mod arch;
mod assigned;
mod buckets;
mod compare;
mod control;
mod event;
mod expr;
mod into;
mod known;
mod loops;
mod maps;
mod order;
mod packet;
mod place;
mod plan;
mod read;
mod stmt;
mod temp;
#[cfg(test)]
mod tests;
mod total;
mod walk;

use place::Base;
pub(crate) use place::Fill;
pub use place::Place;
use plan::Plans;
use temp::Temps;

/// What lowering gives.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// One program per probe, in the plan's order, then subprograms.
    pub module: Module,
    /// Everything the runtime must know.
    pub plan: Plan,
}

/// How pointers of unknown origin are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reads {
    /// By helpers, on every kernel.
    #[default]
    Helpers,
    /// By plain loads where the kernel has `bpf_rdonly_cast` (6.2), which turns any number into a pointer to a struct of vmlinux.
    /// A bad address reads as 0, as with helpers. The object then depends on the kernel's BTF ids.
    Direct,
}

/// Lowers a whole script. `sources` are the names and texts that the plan keeps for messages.
pub fn lower(
    program: &Program,
    kernel: &dyn Kernel,
    reads: Reads,
    sources: Vec<(String, String)>,
) -> Lowered {
    let cast = match reads {
        Reads::Direct if kernel.has(Feature::RdonlyCast) => kernel.kfunc("bpf_rdonly_cast"),
        _ => None,
    };
    let mut plans = Plans::new(program, kernel, sources);
    let mut module = Module::default();
    for probe in &program.probes {
        module
            .funcs
            .push(Lower::new(program, (kernel, cast), probe, &mut plans).program());
    }
    for func in plans.subprograms(program) {
        module.funcs.push(func);
    }
    Lowered {
        module,
        plan: plans.finish(),
    }
}

/// The state of lowering one probe.
pub struct Lower<'a> {
    pub(crate) program: &'a Program,
    pub(crate) kernel: &'a dyn Kernel,
    pub(crate) probe: &'a Probe,
    /// The program in the plan.
    pub(crate) id: ProgramId,
    pub(crate) plans: &'a mut Plans,
    /// Builds the function.
    pub(crate) b: FuncBuilder,
    vars: IndexVec<VarId, Home>,
    temps: Temps,
    /// The scratch region, where the way here has looked it up already.
    scratch: Option<ir::Value>,
    /// The ring record that must be given back before the program may return.
    record: Option<ir::Value>,
    /// Whether the program can only run while the control map says so.
    gated: bool,
    /// Pointers whose BTF type the verifier knows, with the struct they point to.
    typed: HashMap<ir::Value, KernelTypeId>,
    /// Values that say what time it is.
    times: HashMap<ir::Value, Clock>,
    /// The packet of an `skb` probe, found where the program starts.
    packet: Option<ir::Value>,
    /// The BTF id of `bpf_rdonly_cast`, if it is to be used.
    cast: Option<u32>,
    /// Pointers that it has made on the way here.
    casts: HashMap<(ir::Value, KernelTypeId), ir::Value>,
    /// Whether there may be such pointers at all. The verifier allows no arithmetic with them.
    known_pointers: bool,
    /// The program's context.
    context: ir::Value,
    /// What the program shares with the bodies of its loops.
    frame: Option<loops::Frame>,
    /// The body of a loop is being lowered.
    in_body: bool,
}

/// Where a variable of the script lives.
#[derive(Clone, Copy, Debug)]
enum Home {
    /// A scalar.
    Value(ir::Var),
    /// A value in memory.
    Slot(Place),
    /// A large value in memory: bytes from the start of the scratch region, and its size.
    Scratch(u32, u32),
}

impl<'a> Lower<'a> {
    fn new(
        program: &'a Program,
        (kernel, cast): (&'a dyn Kernel, Option<u32>),
        probe: &'a Probe,
        plans: &'a mut Plans,
    ) -> Lower<'a> {
        let id = plans.program(probe);
        let name = plans.symbol(id);
        let b = FuncBuilder::new(name, FuncKind::Program, 1, probe.span);
        Lower {
            context: b.param(0),
            frame: None,
            in_body: false,
            program,
            kernel,
            probe,
            id,
            b,
            vars: IndexVec::new(),
            temps: Temps::default(),
            scratch: None,
            record: None,
            gated: plans.shared(),
            typed: HashMap::new(),
            times: HashMap::new(),
            packet: None,
            cast,
            casts: HashMap::new(),
            known_pointers: matches!(
                probe.kind.context,
                ContextKind::Args | ContextKind::ArgsAndResult
            ),
            plans,
        }
    }

    /// The whole program. The entry block is ended last, when it is known whether the body stops the run.
    fn program(mut self) -> ir::Func {
        let entry = self.b.current();
        let body = self.b.create_block();
        self.b.switch_to(body);
        self.homes();
        self.find_packet();
        self.share_packet();
        if let Some(predicate) = &self.probe.predicate {
            let run = self.b.create_block();
            let skip = self.b.create_block();
            self.branch(predicate, run, skip);
            self.b.switch_to(skip);
            self.leave();
            self.b.switch_to(run);
        }
        self.stmts(&self.probe.body);
        self.leave();
        self.b.switch_to(entry);
        self.b.set_span(self.probe.span);
        // A late timer runs `interval` several times in a row, also behind an `exit()`; `begin` and `end` run while nothing may record.
        if self.gated && !matches!(self.probe.kind.name, "begin" | "end") {
            self.gate(body);
        }
        self.b.jump(body);
        self.b.finish()
    }

    /// The program's context.
    pub(crate) fn context(&self) -> ir::Value {
        self.context
    }

    /// The shape of a type.
    pub(crate) fn ty(&self, ty: Ty) -> &'a Type {
        self.program.types.get(ty)
    }

    /// The bytes of a type.
    pub(crate) fn layout(&mut self, ty: Ty) -> Layout {
        self.plans.layout(self.program, self.kernel, ty)
    }

    /// How many bytes a type has.
    pub(crate) fn size(&mut self, ty: Ty) -> u32 {
        self.layout(ty).size()
    }

    /// Whether values of this type are places rather than 64-bit values.
    pub(crate) fn in_memory(&self, ty: Ty) -> bool {
        matches!(
            self.ty(ty),
            Type::Record(_)
                | Type::Array { .. }
                | Type::Str { .. }
                | Type::Buf { .. }
                | Type::Tuple(_)
                | Type::NamedTuple(_)
                | Type::Stack { .. }
                | Type::USym
                | Type::Inet { .. }
                | Type::InetAny
                | Type::Mac
                | Type::Flow
                | Type::KFormat
                | Type::Rule
                | Type::Meaning { .. }
        )
    }

    /// Width and sign of a scalar in memory.
    pub(crate) fn scalar_mem(&self, ty: Ty) -> Mem {
        match *self.ty(ty) {
            Type::Bool => Mem::U8,
            Type::Int { bytes, signed } | Type::Enum { bytes, signed, .. } => {
                Mem::of(u32::from(bytes), signed).unwrap_or(Mem::U64)
            }
            _ => Mem::U64,
        }
    }

    /// The time of day or since the start, as a value that [`Lower::send`] recognises: the runtime orders events by it.
    pub(crate) fn note_time(&mut self, value: ir::Value, clock: Clock) -> ir::Value {
        self.times.insert(value, clock);
        value
    }

    /// Notes that the verifier knows what this pointer points to.
    fn note_typed(&mut self, pointer: ir::Value, to: Ty) {
        if let Type::Record(id) = *self.ty(to) {
            self.note_struct(pointer, id);
        }
    }

    fn note_struct(&mut self, pointer: ir::Value, id: KernelTypeId) {
        self.typed.insert(pointer, id);
        self.known_pointers = true;
    }
}
