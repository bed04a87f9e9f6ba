//! nettrace's own verdicts: a filter as a function `(start, available, length)`, run by the interpreter of the IR or as bytecode.

use nettrace_compiler::artifact::MapId;
use nettrace_compiler::bpf::{self, Code};
use nettrace_compiler::index::IndexVec;
use nettrace_compiler::ir::machine::{Fault, Fresh, Kernel, Memory};
use nettrace_compiler::ir::verify::{Stage, verify};
use nettrace_compiler::ir::{self, FuncBuilder, FuncId, FuncKind, Helper, Module, Value};
use nettrace_compiler::pcap::{self, Filter, LinkLayer, VlanTag};
use nettrace_compiler::pipeline;
use nettrace_grammar::{SourceMap, Span, render};

use crate::packets::Packet;

/// `sizeof(struct skb_shared_info)`
const BEHIND: usize = 320;

/// A filter for one link layer.
pub(crate) struct Compiled {
    module: Module,
    bytecode: Option<IndexVec<FuncId, Code>>,
}

/// The filter, or nettrace's messages as text.
pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    let mut map = SourceMap::new();
    map.add("filter", text);
    pcap::parse(text, Span::new(0, text.len() as u32))
        .map_err(|diags| render::render(&map, &diags, false))
}

impl Compiled {
    pub(crate) fn new(filter: &Filter, link: LinkLayer) -> Compiled {
        let mut b = FuncBuilder::new("filter", FuncKind::Subprogram, 4, Span::default());
        let mut packet = Buffer {
            start: b.param(0),
            available: b.param(1),
            length: b.param(2),
        };
        let verdict = pcap::lower(filter, link, &mut packet, &mut b);
        b.ret(verdict);
        let mut module = Module::default();
        module.funcs.push(b.finish());
        if let Err(errors) = verify(&module, Stage::Ir) {
            panic!("the IR is wrong: {errors:?}\n{module}");
        }
        Compiled {
            module,
            bytecode: None,
        }
    }

    /// As optimised bytecode from now on.
    pub(crate) fn into_bytecode(mut self) -> Compiled {
        pipeline::optimise(&mut self.module).expect("passes keep the IR valid");
        let codes = bpf::emit_module(&self.module);
        self.bytecode = Some(codes.expect("the filter fits into a program"));
        self
    }

    pub(crate) fn matches(&self, packet: &Packet) -> bool {
        let mut memory = Memory::new();
        // Optimised programs read neighbouring fields at once, before they know that all are there. Behind a packet's bytes the
        // kernel has its `skb_shared_info`, which is never taken for the packet.
        let behind = if self.bytecode.is_some() { BEHIND } else { 0 };
        let start = memory.allocate(packet.bytes.len() + behind, Fresh::Zero);
        memory.write(start, &packet.bytes).expect("a packet");
        let garbage = vec![0x45; behind];
        let end = start + packet.bytes.len() as u64;
        memory.write(end, &garbage).expect("memory behind a packet");
        let args = [start, packet.bytes.len() as u64, packet.length as u64, 0];
        let func = FuncId(0);
        let result = match &self.bytecode {
            None => ir::interp::run(&self.module, func, &args, &mut memory, &mut World),
            Some(codes) => bpf::interp::run(codes, func, &args, &mut memory, &mut World),
        };
        match result {
            Ok(verdict @ (0 | 1)) => verdict == 1,
            other => panic!("{other:?}\n{}", self.module),
        }
    }
}

/// A packet in plain memory: nothing is known beside its bytes.
struct Buffer {
    start: Value,
    available: Value,
    length: Value,
}

impl pcap::Packet for Buffer {
    fn start(&mut self, _: &mut FuncBuilder) -> Value {
        self.start
    }

    fn available(&mut self, _: &mut FuncBuilder) -> Value {
        self.available
    }

    fn length(&mut self, _: &mut FuncBuilder) -> Value {
        self.length
    }

    fn vlan_tag(&mut self, _: &mut FuncBuilder) -> Option<VlanTag> {
        None
    }

    fn outgoing(&mut self, _: &mut FuncBuilder) -> Option<Value> {
        None
    }

    fn ifindex(&mut self, _: &mut FuncBuilder) -> Option<Value> {
        None
    }

    fn ifname_is(&mut self, _: &mut FuncBuilder, _: &str) -> Option<Value> {
        None
    }
}

/// A kernel that can read its memory and nothing else.
struct World;

impl Kernel for World {
    fn helper(
        &mut self,
        helper: Helper,
        args: [u64; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        if helper != Helper::ProbeReadKernel {
            return Err(Fault(format!("{helper:?} is not for filters")));
        }
        let [to, size, from, ..] = args;
        // The filter has to look before it reads.
        let bytes = memory.read(from, size as usize)?;
        memory.write(to, &bytes)?;
        Ok(0)
    }

    fn kfunc(&mut self, id: u32, _: [u64; 5], _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("kernel function {id} is not for filters")))
    }

    fn map(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("{map} is not for filters")))
    }

    fn map_value(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("{map} is not for filters")))
    }
}
