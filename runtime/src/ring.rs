//! The ring buffer as a source of records.

use std::borrow::Borrow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::maps::{Map, MapData, RingBuf};
use nettrace_grammar::{Diagnostic, codes};

/// Where records come from: the kernel's ring buffer, or a list in tests.
pub trait Ring {
    /// Hands the next record to `each` and gives its room back; false if there is none.
    fn next_record(&mut self, each: &mut dyn FnMut(&[u8])) -> bool;
    /// Readable when there are records.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

impl<T: Borrow<MapData>> Ring for RingBuf<T> {
    fn next_record(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        match self.next() {
            Some(record) => {
                each(&record);
                true
            }
            None => false,
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

/// Reads the ring buffer map behind a descriptor.
pub fn open(fd: OwnedFd) -> Result<Box<dyn Ring>, Diagnostic> {
    let ring = MapData::from_fd(fd)
        .and_then(Map::from_map_data)
        .and_then(RingBuf::try_from);
    match ring {
        Ok(ring) => Ok(Box::new(ring)),
        Err(error) => {
            let message = format!("cannot read the ring buffer: {error}");
            Err(Diagnostic::host(codes::KERNEL_REFUSED, message))
        }
    }
}
