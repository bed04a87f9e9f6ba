//! What the event loop needs from the running programs.
//!
//! The loader implements [`Live`]; tests implement it with plain vectors. Nothing here knows how programs attach.

use nettrace_compiler::artifact::{MapId, ProgramId, Target};
use nettrace_grammar::Diagnostic;

/// All entries of a map, laid out as the kernel's batch lookup gives them: keys in a row, values in a row.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// Bytes of one key.
    pub key_size: usize,
    /// Bytes of one value; for a per-CPU map of the values of all possible CPUs together.
    pub value_size: usize,
    /// The keys.
    pub keys: Vec<u8>,
    /// The values, in the order of the keys.
    pub values: Vec<u8>,
}

impl Entries {
    /// Keys and values in pairs, in the kernel's order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // Sizes of zero do not occur in the kernel; `max` keeps `chunks_exact` from panicking all the same.
        let keys = self.keys.chunks_exact(self.key_size.max(1));
        keys.zip(self.values.chunks_exact(self.value_size.max(1)))
    }
}

/// Hits that never came to a program's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The program.
    pub program: ProgramId,
    /// Because another program was running on the same CPU.
    pub busy: u64,
    /// Because the kernel was handling another probe.
    pub nested: u64,
}

/// The attached programs and their maps.
pub trait Live {
    /// Reads a whole map.
    fn entries(&mut self, map: MapId) -> Result<Entries, Diagnostic>;
    /// Removes all entries; an array's values become zero.
    fn clear(&mut self, map: MapId) -> Result<(), Diagnostic>;
    /// Sets all values to zero and keeps the keys.
    fn zero(&mut self, map: MapId) -> Result<(), Diagnostic>;
    /// Runs the program of an `interval` target once.
    fn fire(&mut self, program: ProgramId, target: &Target) -> Result<(), Diagnostic>;
    /// Hits that programs have missed so far; programs that missed none may be left out.
    fn missed(&mut self) -> Vec<Missed>;
    /// Stops recording: afterwards no attached program sends events. What is quickly detached is.
    fn silence(&mut self);
    /// Detaches what is still attached, which can take a minute; when told to stop, leaves the rest to be detached in the background.
    fn detach(&mut self, stop: &dyn Fn() -> bool);
    /// Runs the `end` programs, if any.
    fn run_end(&mut self) -> Result<(), Diagnostic>;
}
