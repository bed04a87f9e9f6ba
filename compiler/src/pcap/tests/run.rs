//! Runs a filter on one packet in the IR's interpreter.

use std::collections::HashMap;
use std::net::IpAddr;

use nettrace_grammar::Span;

use crate::artifact::MapId;
use crate::ir::machine::{Fault, Fresh, Kernel, Memory};
use crate::ir::verify::{Stage, verify_func};
use crate::ir::{FuncBuilder, FuncId, FuncKind, Helper, Module, Value, interp};
use crate::pcap::{
    BuiltIn, Filter, LinkLayer, Names, Packet, Transport, VlanTag, lower, parse_with,
};

/// A machine with a few names of its own.
#[derive(Default)]
pub(super) struct Machine {
    pub(super) hosts: HashMap<&'static str, Vec<IpAddr>>,
    pub(super) ethers: HashMap<&'static str, [u8; 6]>,
    pub(super) services: HashMap<&'static str, Vec<(u16, Transport)>>,
}

impl Names for Machine {
    fn host(&self, name: &str) -> Vec<IpAddr> {
        self.hosts.get(name).cloned().unwrap_or_default()
    }

    fn net(&self, name: &str) -> Option<u32> {
        (name == "lab").then_some(0xac_10)
    }

    fn service(&self, name: &str) -> Vec<(u16, Transport)> {
        let own = self.services.get(name).cloned();
        own.unwrap_or_else(|| BuiltIn.service(name))
    }

    fn proto(&self, name: &str) -> Option<u8> {
        BuiltIn.proto(name)
    }

    fn ether(&self, name: &str) -> Option<[u8; 6]> {
        self.ethers.get(name).copied()
    }
}

/// What the kernel knows beside a packet's bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside {
    /// Whether there is a tag, and its number.
    pub(super) tag: Option<(bool, u16)>,
    pub(super) outgoing: Option<bool>,
    pub(super) ifindex: u32,
    pub(super) ifname: &'static str,
}

pub(super) fn filter(text: &str, names: &dyn Names) -> Filter {
    let span = Span::new(0, text.len() as u32);
    parse_with(text, span, names).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// The verdict.
pub(super) fn matches(filter: &Filter, link: LinkLayer, bytes: &[u8], beside: Beside) -> bool {
    let mut b = FuncBuilder::new("filter", FuncKind::Subprogram, 2, Span::default());
    let mut packet = Live {
        start: b.param(0),
        length: b.param(1),
        beside,
    };
    let verdict = lower(filter, link, &mut packet, &mut b);
    b.ret(verdict);
    let func = b.finish();
    verify_func(&func, Stage::Ir).expect("valid IR");
    let mut module = Module::default();
    module.funcs.push(func);
    let mut memory = Memory::new();
    let start = memory.allocate(bytes.len(), Fresh::Zero);
    memory.write(start, bytes).expect("a packet");
    let args = [start, bytes.len() as u64];
    interp::run(&module, FuncId(0), &args, &mut memory, &mut NoKernel) == Ok(1)
}

/// The verdict on a packet of which nothing else is known.
pub(super) fn matches_bytes(text: &str, link: LinkLayer, bytes: &[u8]) -> bool {
    matches(&filter(text, &BuiltIn), link, bytes, Beside::default())
}

struct Live {
    start: Value,
    length: Value,
    beside: Beside,
}

impl Packet for Live {
    fn start(&mut self, _: &mut FuncBuilder) -> Value {
        self.start
    }

    fn available(&mut self, _: &mut FuncBuilder) -> Value {
        self.length
    }

    fn length(&mut self, _: &mut FuncBuilder) -> Value {
        self.length
    }

    fn vlan_tag(&mut self, b: &mut FuncBuilder) -> Option<VlanTag> {
        let (present, tci) = self.beside.tag?;
        Some(VlanTag {
            present: b.iconst(present.into()),
            tci: b.iconst(tci.into()),
        })
    }

    fn outgoing(&mut self, b: &mut FuncBuilder) -> Option<Value> {
        self.beside.outgoing.map(|out| b.iconst(out.into()))
    }

    fn ifindex(&mut self, b: &mut FuncBuilder) -> Option<Value> {
        (self.beside.ifindex != 0).then(|| b.iconst(self.beside.ifindex.into()))
    }

    fn ifname_is(&mut self, b: &mut FuncBuilder, name: &str) -> Option<Value> {
        Some(b.iconst((name == self.beside.ifname).into()))
    }
}

/// Filters only read memory.
struct NoKernel;

impl Kernel for NoKernel {
    fn helper(&mut self, helper: Helper, _: [u64; 5], _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("{helper:?}")))
    }

    fn kfunc(&mut self, id: u32, _: [u64; 5], _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("kernel function {id}")))
    }

    fn map(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("{map}")))
    }

    fn map_value(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Err(Fault(format!("{map}")))
    }
}
