//! A machine for compiled scripts: the maps of the plan, a ring, a task, kernel memory.
//!
//! In: a plan, programs to run. Out: what programs have sent, and the maps. Two CPUs; time passes by one microsecond per question.

use std::collections::BTreeMap;

use crate::artifact::{MapId, MapKind, Plan};
use crate::ir::Helper;
use crate::ir::machine::{Fault, Fresh, Kernel, Memory};

/// How many CPUs there are.
pub(super) const CPUS: usize = 2;
/// What the address of a map counts from.
const MAPS: u64 = 0xffff_9000_0000_0000;
/// Error numbers of `asm-generic/errno-base.h`, as helpers return them.
const EEXIST: i64 = -17;
const E2BIG: i64 = -7;
const ENOENT: i64 = -2;
const EFAULT: i64 = -14;

/// One map: per key the addresses of its values, one per CPU for per-CPU maps.
#[derive(Debug, Default)]
pub(super) struct MapState {
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u64>>,
}

/// The kernel's side.
#[derive(Debug)]
pub(super) struct World {
    plan: Plan,
    pub(super) maps: Vec<MapState>,
    /// Submitted records.
    pub(super) sent: Vec<Vec<u8>>,
    records: BTreeMap<u64, usize>,
    /// Records that still fit into the ring.
    pub(super) room: usize,
    /// The CPU that programs run on.
    pub(super) cpu: usize,
    /// The attach cookie of the target that fires.
    pub(super) cookie: u64,
    now: u64,
    /// Reads of kernel memory so far.
    pub(super) reads: usize,
}

impl World {
    pub(super) fn new(plan: &Plan, memory: &mut Memory) -> World {
        let mut maps = Vec::new();
        for map in plan.maps.iter() {
            let mut state = MapState::default();
            if matches!(map.kind, MapKind::Array | MapKind::PercpuArray) {
                let copies = if map.kind.per_cpu() { CPUS } else { 1 };
                for index in 0..map.max_entries {
                    let values = (0..copies)
                        .map(|_| memory.allocate(map.value_size as usize, Fresh::Zero))
                        .collect();
                    state.entries.insert(index.to_le_bytes().to_vec(), values);
                }
            }
            maps.push(state);
        }
        World {
            plan: plan.clone(),
            maps,
            sent: Vec::new(),
            records: BTreeMap::new(),
            room: usize::MAX,
            cpu: 0,
            cookie: 1,
            now: 1_000_000,
            reads: 0,
        }
    }

    fn map_of(&self, address: u64) -> Result<usize, Fault> {
        let index = (address.wrapping_sub(MAPS) / 0x100) as usize;
        match index < self.maps.len() {
            true => Ok(index),
            false => Err(Fault(format!("{address:#x} is no map"))),
        }
    }

    fn lookup(&self, map: usize, key: &[u8], cpu: usize) -> u64 {
        let values = self.maps[map].entries.get(key);
        let value = values.and_then(|v| v.get(if v.len() > 1 { cpu } else { 0 }));
        value.copied().unwrap_or(0)
    }

    fn update(
        &mut self,
        map: usize,
        key: Vec<u8>,
        value: &[u8],
        flags: u64,
        memory: &mut Memory,
    ) -> Result<i64, Fault> {
        let (kind, limit) = {
            let map = &self.plan.maps[MapId(map as u32)];
            (map.kind, map.max_entries as usize)
        };
        let copies = if kind.per_cpu() { CPUS } else { 1 };
        let known = self.maps[map].entries.contains_key(&key);
        match (known, flags) {
            (true, 1) => return Ok(EEXIST),
            (false, _) if self.maps[map].entries.len() >= limit => return Ok(E2BIG),
            (false, _) => {
                let values = (0..copies)
                    .map(|_| memory.allocate(value.len(), Fresh::Zero))
                    .collect();
                self.maps[map].entries.insert(key.clone(), values);
            }
            (true, _) => {}
        }
        let at = self.lookup(map, &key, self.cpu);
        memory.write(at, value)?;
        Ok(0)
    }

    fn map_helper(
        &mut self,
        helper: Helper,
        args: [u64; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        let map = self.map_of(args[0])?;
        let sizes = &self.plan.maps[MapId(map as u32)];
        let (key_size, value_size) = (sizes.key_size as usize, sizes.value_size as usize);
        let key = memory.read(args[1], key_size)?;
        Ok(match helper {
            Helper::MapLookup => self.lookup(map, &key, self.cpu),
            Helper::MapLookupPercpu if args[2] as usize >= CPUS => 0,
            Helper::MapLookupPercpu => self.lookup(map, &key, args[2] as usize),
            Helper::MapUpdate => {
                let value = memory.read(args[2], value_size)?;
                self.update(map, key, &value, args[3], memory)? as u64
            }
            _ => match self.maps[map].entries.remove(&key) {
                Some(_) => 0,
                None => ENOENT as u64,
            },
        })
    }

    fn read_helper(
        &mut self,
        text: bool,
        [to, size, from, ..]: [u64; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        self.reads += 1;
        let size = size as usize;
        if !text {
            let (bytes, result) = match memory.read(from, size) {
                Ok(bytes) => (bytes, 0),
                Err(_) => (vec![0; size], EFAULT),
            };
            memory.write(to, &bytes)?;
            return Ok(result as u64);
        }
        let mut bytes = Vec::new();
        while bytes.len() + 1 < size {
            match memory.load(from + bytes.len() as u64, 1) {
                Ok(0) => break,
                Ok(byte) => bytes.push(byte as u8),
                Err(_) => {
                    memory.write(to, &vec![0; size])?;
                    return Ok(EFAULT as u64);
                }
            }
        }
        bytes.push(0);
        memory.write(to, &bytes)?;
        Ok(bytes.len() as u64)
    }
}

impl Kernel for World {
    fn helper(
        &mut self,
        helper: Helper,
        args: [u64; 5],
        memory: &mut Memory,
    ) -> Result<u64, Fault> {
        Ok(match helper {
            Helper::MapLookup | Helper::MapLookupPercpu | Helper::MapUpdate | Helper::MapDelete => {
                self.map_helper(helper, args, memory)?
            }
            Helper::ProbeReadKernel | Helper::ProbeReadUser => {
                self.read_helper(false, args, memory)?
            }
            Helper::ProbeReadKernelStr | Helper::ProbeReadUserStr => {
                self.read_helper(true, args, memory)?
            }
            Helper::KtimeGetNs | Helper::KtimeGetBootNs => {
                self.now += 1000;
                self.now
            }
            Helper::GetSmpProcessorId => self.cpu as u64,
            Helper::GetCurrentPidTgid => 0x0000_1000_0000_1001,
            Helper::GetCurrentUidGid => 0x0000_03e9_0000_03e8,
            Helper::GetCurrentComm => {
                // As on 6.1: what is behind the NUL stays as it was.
                let comm = b"iperf3\0";
                let size = comm.len().min(args[1] as usize);
                memory.write(args[0], &comm[..size])?;
                0
            }
            Helper::GetFuncIp => 0xffff_ffff_8100_0000,
            Helper::GetAttachCookie => self.cookie,
            Helper::GetStack => {
                let mut frames = vec![0; args[2] as usize];
                for (frame, address) in frames.chunks_mut(8).zip([0x81_0010u64, 0x81_0020]) {
                    frame.copy_from_slice(&address.to_le_bytes());
                }
                memory.write(args[1], &frames)?;
                16
            }
            Helper::RingbufReserve if self.room == 0 => 0,
            Helper::RingbufReserve => {
                self.room -= 1;
                let record = memory.allocate(args[1] as usize, Fresh::Zero);
                self.records.insert(record, args[1] as usize);
                record
            }
            Helper::RingbufSubmit | Helper::RingbufDiscard => {
                let Some(size) = self.records.remove(&args[0]) else {
                    return Err(Fault("not a record".to_string()));
                };
                if helper == Helper::RingbufSubmit {
                    self.sent.push(memory.read(args[0], size)?);
                }
                memory.free(args[0]);
                0
            }
            other => return Err(Fault(format!("no stand-in for {}", other.name()))),
        })
    }

    /// `bpf_rdonly_cast`, the only one in use: the pointer itself.
    fn kfunc(&mut self, _: u32, args: [u64; 5], _: &mut Memory) -> Result<u64, Fault> {
        Ok(args[0])
    }

    fn map(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Ok(MAPS + 0x100 * u64::from(map.0))
    }

    fn map_value(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        match self.lookup(map.0 as usize, &[0; 4], 0) {
            0 => Err(Fault(format!("{map} has no value"))),
            value => Ok(value),
        }
    }
}

impl World {
    /// A program that ended must have given back every record.
    pub(super) fn at_rest(&self) -> bool {
        self.records.is_empty()
    }
}
