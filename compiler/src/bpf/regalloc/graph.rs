//! One round of colouring: interference graph, coalescing, colours or candidates for spilling.
//!
//! Names and steps are those of Appel's description, so that it can be read beside: nodes wait in work lists; *simplify* takes
//! away a node with fewer neighbours than colours, *coalesce* merges the ends of a move when the result is no harder to
//! colour, *freeze* gives up moves, and when nothing else is left a node is taken away in the hope that its neighbours share
//! colours. Then nodes get colours in reverse order. Colours of moves that were given up are preferred, caller-saved ones come
//! before `r6`-`r9`. All work lists are ordered, so the result depends on nothing but the input.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::liveness::{BitSet, Liveness, step_back};
use super::super::mir::*;
use super::spill::{Homes, Spilled};
use crate::index::Id;

/// The result of a round.
pub(super) enum Outcome {
    /// The machine register of each register.
    Coloured(Vec<VReg>),
    /// No colouring. `alias` tells which registers were merged, `spilled` which must go to memory.
    Spilled {
        alias: Vec<VReg>,
        spilled: Vec<Spilled>,
    },
    /// Only registers that live for one instruction are left over: a bug.
    Stuck,
}

/// Tries to colour the registers with `colours` machine registers.
pub(super) fn colour(func: &MFunc, colours: usize, homes: &Homes) -> Outcome {
    let mut graph = Graph::new(func, colours, homes);
    graph.build(func);
    graph.make_work_lists();
    while graph.step() {}
    graph.assign()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Machine,
    Unused,
    Simplify,
    Freeze,
    Spill,
    Stacked,
    Coalesced,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MoveState {
    /// May become possible.
    Active,
    /// In the work list.
    Ready,
    /// Merged, impossible or given up.
    Done,
}

struct Graph {
    colours: usize,
    node: Vec<Node>,
    edges: HashSet<(u32, u32)>,
    neighbours: Vec<Vec<u32>>,
    degree: Vec<usize>,
    /// What it costs to spill the node; infinite when it lives for one instruction only.
    cost: Vec<f32>,
    alias: Vec<u32>,
    /// Source and destination of each move, most worthwhile first.
    moves: Vec<(u32, u32)>,
    move_state: Vec<MoveState>,
    moves_of: Vec<Vec<u32>>,
    ready: BTreeSet<u32>,
    simplify: BTreeSet<u32>,
    freeze: BTreeSet<u32>,
    spill: BTreeSet<u32>,
    stack: Vec<u32>,
}

impl Graph {
    fn new(func: &MFunc, colours: usize, homes: &Homes) -> Graph {
        let count = func.regs as usize;
        let mut node = vec![Node::Unused; count];
        let mut degree = vec![0; count];
        for reg in 0..(FIRST_VIRTUAL as usize).min(count) {
            node[reg] = Node::Machine;
            degree[reg] = usize::MAX;
        }
        let cost = (0..count)
            .map(|reg| {
                if homes.is_minimal(VReg::new(reg)) {
                    f32::INFINITY
                } else {
                    0.0
                }
            })
            .collect();
        Graph {
            colours,
            node,
            edges: HashSet::new(),
            neighbours: vec![Vec::new(); count],
            degree,
            cost,
            alias: (0..count as u32).collect(),
            moves: Vec::new(),
            move_state: Vec::new(),
            moves_of: vec![Vec::new(); count],
            ready: BTreeSet::new(),
            simplify: BTreeSet::new(),
            freeze: BTreeSet::new(),
            spill: BTreeSet::new(),
            stack: Vec::new(),
        }
    }

    fn machine(&self, node: u32) -> bool {
        self.node[node as usize] == Node::Machine
    }

    // ---- building -----------------------------------------------------------------------------------------------------

    fn build(&mut self, func: &MFunc) {
        let liveness = Liveness::new(func);
        let weights = weights(func);
        let mut moves = Vec::new();
        for (id, block) in func.blocks.iter_enumerated() {
            let weight = weights[id.index()];
            let mut live = liveness.live_out(id);
            block.term.uses(|reg| {
                self.mentioned(reg, weight);
                live.insert(reg.index());
            });
            for inst in block.insts.iter().rev() {
                if let MOp::Mov { dst, src } = inst.op {
                    moves.push((dst.0, src.0, weight));
                }
                self.build_inst(inst, &mut live, weight);
            }
        }
        self.file_moves(moves);
    }

    /// Puts the moves in order: first those between two registers that many moves connect.
    fn file_moves(&mut self, mut moves: Vec<(u32, u32, f32)>) {
        let pair = |a: u32, b: u32| (a.min(b), a.max(b));
        let mut worth: HashMap<(u32, u32), f32> = HashMap::new();
        for &(dst, src, weight) in &moves {
            *worth.entry(pair(dst, src)).or_default() += weight;
        }
        let worth = |&(dst, src, _): &(u32, u32, f32)| worth.get(&pair(dst, src)).copied();
        moves.sort_by(|a, b| worth(b).partial_cmp(&worth(a)).unwrap_or(Ordering::Equal));
        for (dst, src, _) in moves {
            let index = self.moves.len() as u32;
            self.moves.push((dst, src));
            self.move_state.push(MoveState::Ready);
            self.ready.insert(index);
            for end in BTreeSet::from([dst, src]) {
                self.moves_of[end as usize].push(index);
            }
        }
    }

    fn build_inst(&mut self, inst: &MInst, live: &mut BitSet, weight: f32) {
        let mut weight = weight;
        match inst.op {
            MOp::Mov { src, .. } => {
                // Both may share a register, as long as neither changes while the other lives.
                live.remove(src.index());
                // Spilled, the move becomes a load or store: hardly a loss.
                weight *= 0.4;
            }
            // Made again where it is needed; the definition goes.
            MOp::Def { .. } => weight *= 0.1,
            // The result must not overwrite what is still to be read.
            MOp::SetIf { .. } => inst.op.uses(|reg| live.insert(reg.index())),
            _ => {}
        }
        inst.op.uses(|reg| self.mentioned(reg, weight));
        inst.op.defs(|reg| self.mentioned(reg, weight));
        inst.op.defs(|def| {
            for other in live.iter() {
                self.add_edge(def.0, other as u32);
            }
        });
        step_back(live, inst);
    }

    fn mentioned(&mut self, reg: VReg, weight: f32) {
        let reg = reg.index();
        self.cost[reg] += weight;
        if self.node[reg] == Node::Unused {
            self.node[reg] = Node::Simplify;
        }
    }

    fn add_edge(&mut self, a: u32, b: u32) {
        if a == b || !self.edges.insert((a.min(b), a.max(b))) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            if !self.machine(from) {
                self.neighbours[from as usize].push(to);
                self.degree[from as usize] += 1;
            }
        }
    }

    fn interfere(&self, a: u32, b: u32) -> bool {
        self.edges.contains(&(a.min(b), a.max(b)))
    }

    fn make_work_lists(&mut self) {
        for node in 0..self.node.len() as u32 {
            if self.node[node as usize] != Node::Simplify {
                continue;
            }
            let state = if self.degree[node as usize] >= self.colours {
                Node::Spill
            } else if self.move_related(node) {
                Node::Freeze
            } else {
                Node::Simplify
            };
            self.file(node, state);
        }
    }

    /// Moves a node to the work list of this state.
    fn file(&mut self, node: u32, state: Node) {
        self.simplify.remove(&node);
        self.freeze.remove(&node);
        self.spill.remove(&node);
        match state {
            Node::Simplify => self.simplify.insert(node),
            Node::Freeze => self.freeze.insert(node),
            Node::Spill => self.spill.insert(node),
            _ => false,
        };
        self.node[node as usize] = state;
    }

    // ---- steps --------------------------------------------------------------------------------------------------------

    /// Does what is possible first; false when all nodes are gone.
    fn step(&mut self) -> bool {
        if let Some(node) = self.simplify.pop_first() {
            self.take_away(node);
        } else if let Some(index) = self.ready.pop_first() {
            self.coalesce(index);
        } else if let Some(node) = self.freeze.first().copied() {
            self.file(node, Node::Simplify);
            self.freeze_moves(node);
        } else if let Some(node) = self.cheapest() {
            self.file(node, Node::Simplify);
            self.freeze_moves(node);
        } else {
            return false;
        }
        true
    }

    /// The node to give up on: little work per neighbour it frees.
    fn cheapest(&self) -> Option<u32> {
        let price = |node: u32| self.cost[node as usize] / self.degree[node as usize].max(1) as f32;
        self.spill
            .iter()
            .copied()
            .min_by(|&a, &b| price(a).total_cmp(&price(b)))
    }

    fn adjacent(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.neighbours[node as usize]
            .iter()
            .copied()
            .filter(|&n| !matches!(self.node[n as usize], Node::Stacked | Node::Coalesced))
    }

    fn open_moves(&self, node: u32) -> impl Iterator<Item = u32> + '_ {
        self.moves_of[node as usize]
            .iter()
            .copied()
            .filter(|&m| self.move_state[m as usize] != MoveState::Done)
    }

    fn move_related(&self, node: u32) -> bool {
        self.open_moves(node).next().is_some()
    }

    fn take_away(&mut self, node: u32) {
        self.node[node as usize] = Node::Stacked;
        self.stack.push(node);
        for other in self.adjacent(node).collect::<Vec<_>>() {
            self.decrement(other);
        }
    }

    fn decrement(&mut self, node: u32) {
        if self.machine(node) {
            return;
        }
        self.degree[node as usize] -= 1;
        if self.degree[node as usize] + 1 != self.colours {
            return;
        }
        // The node has become easy: moves that were too risky may be possible now.
        let around: Vec<u32> = self.adjacent(node).chain([node]).collect();
        for other in around {
            for index in self.open_moves(other).collect::<Vec<_>>() {
                self.move_state[index as usize] = MoveState::Ready;
                self.ready.insert(index);
            }
        }
        if self.node[node as usize] == Node::Spill {
            let state = if self.move_related(node) {
                Node::Freeze
            } else {
                Node::Simplify
            };
            self.file(node, state);
        }
    }

    fn find(&self, mut node: u32) -> u32 {
        while self.node[node as usize] == Node::Coalesced {
            node = self.alias[node as usize];
        }
        node
    }

    fn coalesce(&mut self, index: u32) {
        let (a, b) = self.moves[index as usize];
        let (a, b) = (self.find(a), self.find(b));
        // A machine register, if there is one, is kept.
        let (keep, gone) = if self.machine(b) { (b, a) } else { (a, b) };
        self.move_state[index as usize] = MoveState::Done;
        if keep == gone {
            self.relax(keep);
        } else if self.machine(gone) || self.interfere(keep, gone) {
            self.relax(keep);
            self.relax(gone);
        } else if self.safe(keep, gone) {
            self.merge(keep, gone);
            self.relax(keep);
        } else {
            self.move_state[index as usize] = MoveState::Active;
        }
    }

    /// A node whose last move has gone can be simplified.
    fn relax(&mut self, node: u32) {
        if self.node[node as usize] == Node::Freeze && !self.move_related(node) {
            self.file(node, Node::Simplify);
        }
    }

    /// Whether merging keeps the graph as colourable as it is: George's test, or Briggs's for two virtual registers.
    fn safe(&self, keep: u32, gone: u32) -> bool {
        let george = self.adjacent(gone).all(|n| {
            self.degree[n as usize] < self.colours || self.machine(n) || self.interfere(n, keep)
        });
        george || (!self.machine(keep) && self.briggs(keep, gone))
    }

    fn briggs(&self, a: u32, b: u32) -> bool {
        let around: BTreeSet<u32> = self.adjacent(a).chain(self.adjacent(b)).collect();
        let hard = around
            .into_iter()
            .filter(|&n| {
                let shared = self.interfere(n, a) && self.interfere(n, b);
                let degree = self.degree[n as usize] - usize::from(shared && !self.machine(n));
                degree >= self.colours
            })
            .count();
        hard < self.colours
    }

    fn merge(&mut self, keep: u32, gone: u32) {
        self.file(gone, Node::Coalesced);
        self.alias[gone as usize] = keep;
        let moves = std::mem::take(&mut self.moves_of[gone as usize]);
        self.moves_of[keep as usize].extend(moves);
        self.cost[keep as usize] += self.cost[gone as usize];
        for other in self.adjacent(gone).collect::<Vec<_>>() {
            self.add_edge(other, keep);
            self.decrement(other);
        }
        if self.degree[keep as usize] >= self.colours && self.node[keep as usize] == Node::Freeze {
            self.file(keep, Node::Spill);
        }
    }

    fn freeze_moves(&mut self, node: u32) {
        for index in self.open_moves(node).collect::<Vec<_>>() {
            self.move_state[index as usize] = MoveState::Done;
            self.ready.remove(&index);
            let (a, b) = self.moves[index as usize];
            let (a, b) = (self.find(a), self.find(b));
            let other = if a == node { b } else { a };
            if self.degree[other as usize] < self.colours {
                self.relax(other);
            }
        }
    }

    // ---- colours ------------------------------------------------------------------------------------------------------

    fn assign(mut self) -> Outcome {
        let mut colour: Vec<Option<u32>> = (0..self.node.len() as u32)
            .map(|n| (n < FIRST_VIRTUAL).then_some(n))
            .collect();
        let mut spilled = Vec::new();
        while let Some(node) = self.stack.pop() {
            let mut free: Vec<bool> = vec![true; self.colours];
            for &other in &self.neighbours[node as usize] {
                if let Some(taken) = colour[self.find(other) as usize]
                    && let Some(free) = free.get_mut(taken as usize)
                {
                    *free = false;
                }
            }
            let is_free = |c: &u32| free.get(*c as usize).copied().unwrap_or(false);
            let preferred = self.moves_of[node as usize].iter().find_map(|&index| {
                let (a, b) = self.moves[index as usize];
                let (a, b) = (self.find(a), self.find(b));
                colour[if a == node { b } else { a } as usize].filter(is_free)
            });
            let choice = preferred.or_else(|| (0..self.colours as u32).find(is_free));
            match choice {
                Some(choice) => colour[node as usize] = Some(choice),
                None => spilled.push(VReg(node)),
            }
        }
        if spilled.is_empty() {
            let all = (0..self.node.len() as u32).map(|n| {
                let found = self.find(n);
                VReg(colour[found as usize].unwrap_or(0))
            });
            return Outcome::Coloured(all.collect());
        }
        if spilled
            .iter()
            .any(|reg| self.cost[reg.index()] == f32::INFINITY)
        {
            return Outcome::Stuck;
        }
        // Only merges into spilled registers stay; the others are found anew.
        let mut result: Vec<Spilled> = Vec::new();
        let mut slot_of = vec![None; self.node.len()];
        for reg in spilled {
            slot_of[reg.index()] = Some(result.len());
            result.push(Spilled { reg, merged: false });
        }
        let mut alias = Vec::with_capacity(self.node.len());
        for n in 0..self.node.len() as u32 {
            let found = self.find(n);
            match slot_of[found as usize] {
                Some(at) => {
                    result[at].merged |= found != n;
                    alias.push(VReg(found));
                }
                None => alias.push(VReg(n)),
            }
        }
        Outcome::Spilled {
            alias,
            spilled: result,
        }
    }
}

/// How often each block runs, roughly: ten times as often per loop around it.
fn weights(func: &MFunc) -> Vec<f32> {
    let mut weights = vec![1.0; func.blocks.len()];
    for (id, block) in func.blocks.iter_enumerated() {
        for head in block.term.successors() {
            // Blocks made for edges come last, but jump forward to what is selected from a later block.
            let is_back_edge = head.index() <= id.index() && reaches(func, head, id);
            if is_back_edge {
                for weight in &mut weights[head.index()..=id.index()] {
                    *weight *= 10.0;
                }
            }
        }
    }
    weights
}

fn reaches(func: &MFunc, from: MBlockId, to: MBlockId) -> bool {
    let mut seen = BitSet::new(func.blocks.len());
    let mut open = vec![from];
    while let Some(block) = open.pop() {
        if block == to {
            return true;
        }
        if seen.contains(block.index()) {
            continue;
        }
        seen.insert(block.index());
        open.extend(func.blocks[block].term.successors());
    }
    false
}
