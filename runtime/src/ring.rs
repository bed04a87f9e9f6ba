//! The ring buffer as a source of records.
//!
//! In: the descriptor of a map of type `BPF_MAP_TYPE_RINGBUF`. Out: its records, in the order in which their room was reserved. The
//! data is mapped once, not twice one behind the other as libraries do to have every record in one piece: the process would be
//! charged for both, which is more than all its other memory. A record that goes over the end is put together instead.
//!
//! Source: `kernel/bpf/ringbuf.c` (6.12) and its description in the kernel's `Documentation/bpf/ringbuf.rst`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use crate::control::page_size;

/// Where records come from: the kernel's ring buffer, or a list in tests.
pub trait Ring {
    /// Hands the next record to `each` and gives its room back; false if there is none.
    fn next_record(&mut self, each: &mut dyn FnMut(&[u8])) -> bool;
    /// Readable when there are records.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// Bytes in front of each record: its length with two flags, and a number that only the kernel needs.
const HEADER: u64 = 8;
/// In the length: reserved, not yet written.
const BUSY: u32 = 1 << 31;
/// In the length: given up by the program.
const DISCARDED: u32 = 1 << 30;

/// The reader's side of a ring buffer of the kernel.
#[derive(Debug)]
pub struct KernelRing {
    fd: OwnedFd,
    /// The page that tells the kernel how far the reader is.
    consumer: MmapRaw,
    /// The page that tells how far the kernel is, and the data behind it.
    producer: MmapRaw,
    page: usize,
    /// Bytes of data, a power of two.
    size: u64,
    /// Counts bytes from the beginning of time, like the kernel's two.
    position: u64,
    produced: u64,
    /// A record that went over the end.
    joined: Vec<u8>,
}

impl KernelRing {
    /// The ring of a map with `size` bytes of data, a power of two and at least a page.
    ///
    /// # Errors
    /// When it cannot be mapped.
    pub fn new(fd: OwnedFd, size: u32) -> io::Result<KernelRing> {
        let page = page_size();
        let size = size as usize;
        if !size.is_power_of_two() || size < page {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let consumer = MmapOptions::new().len(page).map_raw(fd.as_raw_fd())?;
        let producer = MmapOptions::new()
            .offset(page as u64)
            .len(page + size)
            .map_raw_read_only(fd.as_raw_fd())?;
        let mut ring = KernelRing {
            fd,
            consumer,
            producer,
            page,
            size: size as u64,
            position: 0,
            produced: 0,
            joined: Vec::new(),
        };
        ring.position = ring.consumed().load(Ordering::SeqCst);
        ring.produced = ring.position;
        Ok(ring)
    }

    fn consumed(&self) -> &AtomicU64 {
        // SAFETY: the mapping is a page, begins on one, and lives as long as `self`; all zeros and any other bytes are a number. The
        // kernel reads it as an atomic number, too.
        unsafe { AtomicU64::from_ptr(self.consumer.as_mut_ptr().cast()) }
    }

    fn newest(&self) -> &AtomicU64 {
        // SAFETY: as above, and it is only loaded: the mapping is read-only.
        unsafe { AtomicU64::from_ptr(self.producer.as_mut_ptr().cast()) }
    }

    /// The length and flags of the record at a position, which is a multiple of 8.
    fn length(&self, position: u64) -> &AtomicU32 {
        let at = (position & (self.size - 1)) as usize;
        // SAFETY: `at` is a multiple of 8 below `size`, so four bytes at it are inside of the data, and aligned. It is only loaded.
        unsafe { AtomicU32::from_ptr(self.producer.as_mut_ptr().add(self.page + at).cast()) }
    }

    /// So many bytes behind a position, which do not go over the end.
    fn bytes(&self, position: u64, len: usize) -> &[u8] {
        let at = (position & (self.size - 1)) as usize;
        let len = len.min(self.size as usize - at);
        // SAFETY: inside of the data. The kernel does not write to a record that is neither busy nor given back.
        unsafe { std::slice::from_raw_parts(self.producer.as_ptr().add(self.page + at), len) }
    }
}

impl Ring for KernelRing {
    fn next_record(&mut self, each: &mut dyn FnMut(&[u8])) -> bool {
        loop {
            if self.position == self.produced {
                // All that is read was given back before this load: who commits later wakes the reader.
                self.produced = self.newest().load(Ordering::SeqCst);
                if self.position == self.produced {
                    return false;
                }
            }
            let length = self.length(self.position).load(Ordering::Acquire);
            if length & BUSY != 0 {
                return false;
            }
            let wanted = length & DISCARDED == 0;
            let len = u64::from(length & !DISCARDED);
            if wanted {
                let start = self.position + HEADER;
                let mut joined = std::mem::take(&mut self.joined);
                let first = self.bytes(start, len as usize);
                if first.len() as u64 == len {
                    each(first);
                } else {
                    joined.clear();
                    joined.extend_from_slice(first);
                    let rest = len as usize - first.len();
                    joined.extend_from_slice(self.bytes(start + first.len() as u64, rest));
                    each(&joined);
                }
                self.joined = joined;
            }
            self.position += (HEADER + len).next_multiple_of(8);
            self.consumed().store(self.position, Ordering::SeqCst);
            if wanted {
                return true;
            }
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A file laid out as the kernel's ring, and what the kernel would do to it.
    struct Kernel {
        file: File,
        size: u64,
        produced: u64,
    }

    impl Kernel {
        fn new() -> (Kernel, KernelRing) {
            let file = tempfile::tempfile().expect("a file");
            let page = page_size() as u64;
            let size = page;
            file.set_len(2 * page + size).expect("room");
            let fd = file.try_clone().expect("a descriptor").into();
            let ring = KernelRing::new(fd, size as u32).expect("a ring");
            let kernel = Kernel {
                file,
                size,
                produced: 0,
            };
            (kernel, ring)
        }

        fn put(&self, at: u64, bytes: &[u8]) {
            let page = page_size() as u64;
            for (at, byte) in (at..).zip(bytes) {
                let at = 2 * page + at % self.size;
                self.file.write_all_at(&[*byte], at).expect("written");
            }
        }

        fn flags(&self, at: u64, len: usize, flags: u32) {
            self.put(at, &(len as u32 | flags).to_le_bytes());
        }

        /// Reserves room for a record and says where.
        fn reserve(&mut self, record: &[u8]) -> u64 {
            let at = self.produced;
            self.flags(at, record.len(), BUSY);
            self.put(at + HEADER, record);
            self.produced += (HEADER + record.len() as u64).next_multiple_of(8);
            let page = page_size() as u64;
            let produced = self.produced.to_le_bytes();
            self.file.write_all_at(&produced, page).expect("written");
            at
        }

        fn submit(&mut self, record: &[u8]) {
            let at = self.reserve(record);
            self.flags(at, record.len(), 0);
        }
    }

    fn next(ring: &mut KernelRing) -> Option<Vec<u8>> {
        let mut seen = None;
        let some = ring.next_record(&mut |record| seen = Some(record.to_vec()));
        assert_eq!(some, seen.is_some());
        seen
    }

    #[test]
    fn records_come_in_order_and_their_room_is_given_back() {
        let (mut kernel, mut ring) = Kernel::new();
        assert_eq!(next(&mut ring), None);
        kernel.submit(b"first");
        kernel.submit(b"the second");
        assert_eq!(next(&mut ring).as_deref(), Some(&b"first"[..]));
        assert_eq!(ring.consumed().load(Ordering::SeqCst), 16);
        assert_eq!(next(&mut ring).as_deref(), Some(&b"the second"[..]));
        assert_eq!(next(&mut ring), None);
    }

    #[test]
    fn a_record_that_is_being_written_holds_up_those_behind_it() {
        let (mut kernel, mut ring) = Kernel::new();
        let busy = kernel.reserve(b"slow");
        kernel.submit(b"fast");
        assert_eq!(next(&mut ring), None);
        kernel.flags(busy, 4, 0);
        assert_eq!(next(&mut ring).as_deref(), Some(&b"slow"[..]));
        assert_eq!(next(&mut ring).as_deref(), Some(&b"fast"[..]));
    }

    #[test]
    fn a_record_that_was_given_up_is_passed_over() {
        let (mut kernel, mut ring) = Kernel::new();
        let given_up = kernel.reserve(b"nothing");
        kernel.flags(given_up, 7, DISCARDED);
        assert_eq!(next(&mut ring), None);
        kernel.submit(b"something");
        assert_eq!(next(&mut ring).as_deref(), Some(&b"something"[..]));
    }

    /// Records of many lengths, several times around: each arrives whole.
    #[test]
    fn records_go_over_the_end() {
        let (mut kernel, mut ring) = Kernel::new();
        for n in 0..200usize {
            let record: Vec<u8> = (0..n * 7 % 900).map(|i| (i + n) as u8).collect();
            kernel.submit(&record);
            assert_eq!(next(&mut ring), Some(record));
        }
        assert!(kernel.produced > 10 * kernel.size);
    }

    #[test]
    fn a_size_that_no_ring_has_is_refused() {
        let (kernel, _) = Kernel::new();
        for size in [0, 100, page_size() as u32 + 8] {
            let fd = kernel.file.try_clone().expect("a descriptor").into();
            assert!(KernelRing::new(fd, size).is_err(), "{size}");
        }
    }
}
