//! The machine that both interpreters run on: memory in regions, and what stands in for the kernel.
//!
//! In: loads and stores of running code, calls of helpers. Out: values, or a [`Fault`] where the kernel's verifier or processor
//! would object: access outside of any region, or of stack bytes that nobody has written. For tests only; nothing of it runs in
//! the product.

use crate::artifact::MapId;
use crate::ir::{FuncId, Helper};

/// Why a program cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Whether a region's bytes may be read before they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// They are 0.
    Zero,
    /// Reading them is a fault, as for stack.
    Undefined,
}

/// Memory that programs can address: regions with gaps between them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    regions: Vec<Region>,
}

#[derive(Clone, Debug)]
struct Region {
    base: u64,
    bytes: Vec<u8>,
    written: Vec<bool>,
    freed: bool,
}

/// Distance between the starts of regions; none is larger.
const SPACING: u64 = 1 << 24;
/// The first region starts here: looks like a kernel address and is no small number.
const START: u64 = 0xffff_8880_0000_0000;

impl Memory {
    /// No memory at all.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// A new region of `size` bytes; returns its address, a multiple of 8.
    pub fn allocate(&mut self, size: usize, fresh: Fresh) -> u64 {
        let base = START + SPACING * self.regions.len() as u64;
        let size = size.min(SPACING as usize / 2);
        self.regions.push(Region {
            base,
            bytes: vec![0; size],
            written: vec![fresh == Fresh::Zero; size],
            freed: false,
        });
        base
    }

    /// Ends a region's life: any further access is a fault.
    pub fn free(&mut self, base: u64) {
        if let Some(region) = self.regions.iter_mut().find(|region| region.base == base) {
            region.freed = true;
        }
    }

    fn region(&mut self, addr: u64, size: usize) -> Result<(&mut Region, usize), Fault> {
        let index = addr.wrapping_sub(START) / SPACING;
        let found = self.regions.get_mut(index as usize);
        let fault = || Fault(format!("no {size} bytes at {addr:#x}"));
        let region = found.filter(|region| !region.freed).ok_or_else(fault)?;
        let start = addr.wrapping_sub(region.base) as usize;
        match start.checked_add(size) {
            Some(end) if end <= region.bytes.len() => Ok((region, start)),
            _ => Err(fault()),
        }
    }

    /// Copies bytes out.
    pub fn read(&mut self, addr: u64, size: usize) -> Result<Vec<u8>, Fault> {
        let (region, start) = self.region(addr, size)?;
        let range = start..start + size;
        if region.written[range.clone()].iter().any(|written| !written) {
            return Err(Fault(format!(
                "{size} bytes at {addr:#x} were never written"
            )));
        }
        Ok(region.bytes[range].to_vec())
    }

    /// Copies bytes in.
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Fault> {
        let (region, start) = self.region(addr, bytes.len())?;
        region.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        region.written[start..start + bytes.len()].fill(true);
        Ok(())
    }

    /// Reads a little-endian number of up to 8 bytes.
    pub fn load(&mut self, addr: u64, bytes: u32) -> Result<u64, Fault> {
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(self.read(addr, bytes as usize)?) {
            *to = from;
        }
        Ok(u64::from_le_bytes(value))
    }

    /// Writes the low bytes of a number, little-endian.
    pub fn store(&mut self, addr: u64, bytes: u32, value: u64) -> Result<(), Fault> {
        let all = value.to_le_bytes();
        self.write(addr, &all[..(bytes as usize).min(all.len())])
    }
}

/// What stands in for the kernel.
pub trait Kernel {
    /// Calls a helper. Unused arguments are 0. `bpf_loop` does not come here.
    fn helper(&mut self, helper: Helper, args: [u64; 5], memory: &mut Memory)
    -> Result<u64, Fault>;
    /// Calls a kernel function by its BTF id.
    fn kfunc(&mut self, id: u32, args: [u64; 5], memory: &mut Memory) -> Result<u64, Fault>;
    /// The address that stands for a map.
    fn map(&mut self, map: MapId, memory: &mut Memory) -> Result<u64, Fault>;
    /// The address of the only value of an array map.
    fn map_value(&mut self, map: MapId, memory: &mut Memory) -> Result<u64, Fault>;
}

/// The number that stands for a callback.
pub fn func_address(func: FuncId) -> u64 {
    FUNCS + u64::from(func.0)
}

/// The callback that a number stands for.
pub fn func_at(address: u64) -> Option<FuncId> {
    let number = address.checked_sub(FUNCS)?;
    u32::try_from(number).ok().map(FuncId)
}

const FUNCS: u64 = 0xffff_ffff_a000_0000;

/// How many instructions a program may run.
pub const FUEL: u64 = 1 << 22;
/// How deep functions may call each other.
pub const DEPTH: usize = 8;

/// Up to five arguments, the rest 0.
pub(crate) fn five(args: &[u64]) -> [u64; 5] {
    let mut all = [0; 5];
    for (to, from) in all.iter_mut().zip(args) {
        *to = *from;
    }
    all
}
