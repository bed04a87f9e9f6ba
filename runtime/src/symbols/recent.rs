//! Remembers what recent addresses belong to.
//!
//! The same few functions call each other all day: a stack of 20 frames is 20 searches in a table of 2 MB, most of which were made
//! for the stack before. Each address has one slot; the one that came last holds it.

/// Slots: 64 KiB, more than the distinct return addresses of a busy script.
const SLOTS: usize = 4096;
/// 2^64 divided by the golden ratio: spreads neighbouring addresses over all slots.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Addresses and numbers that were found for them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Empty until the first address. An empty slot holds address 0, which is never remembered.
    slots: Vec<(u64, usize)>,
}

impl Recent {
    /// The number that was remembered for this address.
    pub(super) fn get(&self, address: u64) -> Option<usize> {
        let (held, number) = *self.slots.get(slot(address))?;
        (held == address && address != 0).then_some(number)
    }

    /// Remembers a number.
    pub(super) fn put(&mut self, address: u64, number: usize) {
        self.slots.resize(SLOTS, (0, 0));
        if let Some(held) = self.slots.get_mut(slot(address)) {
            *held = (address, number);
        }
    }

    /// Forgets everything: the numbers mean something else now.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }
}

fn slot(address: u64) -> usize {
    (address.wrapping_mul(SPREAD) >> (u64::BITS - SLOTS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_slot_is_remembered() {
        let mut recent = Recent::default();
        assert_eq!((recent.get(0), recent.get(7)), (None, None));
        let addresses = (1..20_000u64).map(|i| 0xffff_ffff_8100_0000 + 5 * i);
        for (number, address) in addresses.clone().enumerate() {
            recent.put(address, number);
            assert_eq!(recent.get(address), Some(number));
        }
        let found: Vec<_> = addresses
            .enumerate()
            .filter_map(|(number, address)| Some((number, recent.get(address)?)))
            .collect();
        assert!(
            found
                .iter()
                .all(|(number, remembered)| number == remembered)
        );
        assert!(found.len() > SLOTS / 2, "{} slots are used", found.len());
        recent.clear();
        assert_eq!(recent.get(0xffff_ffff_8100_0005), None);
    }
}
