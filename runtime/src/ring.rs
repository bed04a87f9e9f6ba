//! The ring buffer as a source of records.

use std::borrow::Borrow;
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{MapData, RingBuf};

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
