//! docs/packet-filters.md shows filters that are right, and programs of filters stay short.

use std::path::Path;

use nettrace_compiler::ir::{FuncBuilder, FuncKind, Helper, Module, Op, Value};
use nettrace_compiler::pcap::{self, LinkLayer, VlanTag};
use nettrace_compiler::pipeline;
use nettrace_grammar::Span;

fn parse(text: &str) -> pcap::Filter {
    let span = Span::new(0, text.len() as u32);
    pcap::parse(text, span).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

#[test]
#[allow(clippy::disallowed_methods)] // A test reads its document.
fn the_page_shows_filters_that_are_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/packet-filters.md");
    let page = std::fs::read_to_string(path).expect("docs/packet-filters.md");
    let (_, rest) = page.split_once("```pcap\n").expect("filters");
    let (filters, _) = rest.split_once("```").expect("their end");
    assert!(filters.lines().count() > 10);
    filters.lines().for_each(|filter| {
        parse(filter);
    });
}

/// Its parts are parameters of the function.
struct Parameters(Value, Value);

impl pcap::Packet for Parameters {
    fn start(&mut self, _: &mut FuncBuilder) -> Value {
        self.0
    }

    fn available(&mut self, _: &mut FuncBuilder) -> Value {
        self.1
    }

    fn length(&mut self, _: &mut FuncBuilder) -> Value {
        self.1
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

/// Calls that read memory in the optimised code, and its blocks.
fn size(text: &str, link: LinkLayer) -> (usize, usize) {
    let mut b = FuncBuilder::new("filter", FuncKind::Subprogram, 2, Span::default());
    let mut packet = Parameters(b.param(0), b.param(1));
    let verdict = pcap::lower(&parse(text), link, &mut packet, &mut b);
    b.ret(verdict);
    let mut module = Module::default();
    module.funcs.push(b.finish());
    pipeline::optimise(&mut module).expect("valid IR");
    let blocks = module.funcs.iter().flat_map(|func| func.blocks.iter());
    let insts = blocks.clone().flat_map(|block| &block.insts);
    let reads = insts.filter(|inst| matches!(inst.op, Op::Call(Helper::ProbeReadKernel, _)));
    (reads.count(), blocks.count())
}

/// Fields are read once, neighbours together, and the packet's length is not asked again for what is known to be there.
#[test]
fn few_reads_and_branches() {
    for (text, reads, blocks) in [
        ("ip", 1, 4),
        ("tcp", 1, 12),
        ("host 10.0.0.1", 1, 8),
        ("tcp port 443", 3, 18),
        ("tcp port 443 and host 10.0.0.1 and ip[8] > 1", 3, 25),
        ("port 80 or 443 or 8080", 7, 60),
    ] {
        let found = size(text, LinkLayer::Raw);
        assert!(found.0 <= reads && found.1 <= blocks, "{text}: {found:?}");
    }
}
