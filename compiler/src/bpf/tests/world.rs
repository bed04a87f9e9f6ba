//! A kernel for tests: a few maps, a clock, and a log of everything a program tells it.

use std::collections::BTreeMap;

use super::program::VALUE_SIZE;
use crate::artifact::MapId;
use crate::index::Id;
use crate::ir::Helper;
use crate::ir::machine::{Fault, Fresh, Kernel, Memory};

/// What the outside of a program sees of it.
#[derive(Debug, Default)]
pub(super) struct World {
    /// In order: records, calls of kernel functions.
    pub(super) log: Vec<String>,
    values: BTreeMap<MapId, u64>,
    records: BTreeMap<u64, usize>,
    reserved: u64,
}

impl World {
    /// The bytes of all single map values that were asked for.
    pub(super) fn maps(&self, memory: &mut Memory) -> Vec<(MapId, Vec<u8>)> {
        let read = |(&map, &at): (&MapId, &u64)| (map, memory.read(at, VALUE_SIZE).unwrap());
        self.values.iter().map(read).collect()
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
            // Unused readings are left out, so they must not show in later ones.
            Helper::KtimeGetNs => 0x0123_4567_89ab_cdef,
            Helper::GetCurrentPidTgid => 0x1234_0000_5678,
            Helper::RingbufOutput => {
                let bytes = memory.read(args[1], args[2] as usize)?;
                self.log.push(format!("output {bytes:?}"));
                0
            }
            Helper::RingbufReserve => {
                self.reserved += 1;
                // Now and then the ring is full.
                if self.reserved.is_multiple_of(3) {
                    self.log.push("full".to_string());
                    return Ok(0);
                }
                let record = memory.allocate(args[1] as usize, Fresh::Undefined);
                self.records.insert(record, args[1] as usize);
                record
            }
            Helper::RingbufSubmit => {
                let Some(size) = self.records.remove(&args[0]) else {
                    return Err(Fault("not a record".to_string()));
                };
                let bytes = memory.read(args[0], size)?;
                self.log.push(format!("submit {bytes:?}"));
                memory.free(args[0]);
                0
            }
            other => return Err(Fault(format!("no stand-in for {}", other.name()))),
        })
    }

    fn kfunc(&mut self, id: u32, args: [u64; 5], _: &mut Memory) -> Result<u64, Fault> {
        // Bytecode does not tell how many arguments there are; these tests pass two.
        self.log.push(format!("kfunc {id} {:?}", &args[..2]));
        Ok(args[0].rotate_left(id))
    }

    fn map(&mut self, map: MapId, _: &mut Memory) -> Result<u64, Fault> {
        Ok(0xffff_8881_0000_0000 + 0x100 * map.index() as u64)
    }

    fn map_value(&mut self, map: MapId, memory: &mut Memory) -> Result<u64, Fault> {
        let fresh = || memory.allocate(VALUE_SIZE, Fresh::Zero);
        Ok(*self.values.entry(map).or_insert_with(fresh))
    }
}
