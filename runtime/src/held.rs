//! Lines that are held back until their group is complete.
//!
//! In: texts with the number of their group. Out: all texts of a group in the order in which they came, when it is released. What is held is
//! bounded: beyond that the oldest group is released early.

use std::collections::HashMap;

/// Bytes of text that are held at most.
const MAX_BYTES: usize = 64 << 20;

/// Groups with lines.
#[derive(Debug, Default)]
pub(crate) struct Held {
    groups: HashMap<u64, Group>,
    bytes: usize,
    /// How many groups there have been.
    begun: u64,
}

#[derive(Debug)]
struct Group {
    /// Its place among all groups.
    begun: u64,
    texts: Vec<Vec<u8>>,
}

impl Held {
    /// Holds a text; returns what must be printed instead because there is too much.
    pub(crate) fn hold(&mut self, group: u64, text: &[u8]) -> Vec<Vec<u8>> {
        let begun = &mut self.begun;
        let entry = self.groups.entry(group).or_insert_with(|| {
            *begun += 1;
            Group {
                begun: *begun,
                texts: Vec::new(),
            }
        });
        entry.texts.push(text.to_vec());
        self.bytes += text.len();
        let oldest = match self.bytes > MAX_BYTES {
            true => self.groups.iter().min_by_key(|(_, group)| group.begun),
            false => None,
        };
        match oldest.map(|(number, _)| *number) {
            Some(number) => self.release(number),
            None => Vec::new(),
        }
    }

    /// The texts of a group, which is forgotten.
    pub(crate) fn release(&mut self, group: u64) -> Vec<Vec<u8>> {
        let texts = self
            .groups
            .remove(&group)
            .map_or_else(Vec::new, |group| group.texts);
        self.bytes -= texts.iter().map(Vec::len).sum::<usize>();
        texts
    }

    /// The texts of all groups, those that began first at the front.
    pub(crate) fn release_all(&mut self) -> Vec<Vec<u8>> {
        self.bytes = 0;
        let mut groups: Vec<Group> = self.groups.drain().map(|(_, group)| group).collect();
        groups.sort_by_key(|group| group.begun);
        groups.into_iter().flat_map(|group| group.texts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: Vec<Vec<u8>>) -> String {
        let texts = texts.iter().map(|t| String::from_utf8_lossy(t));
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_come_out_whole_and_in_order() {
        let mut held = Held::default();
        for (group, text) in [(7, "a1"), (3, "b1"), (7, "a2"), (9, "c1"), (3, "b2")] {
            assert_eq!(held.hold(group, text.as_bytes()), Vec::<Vec<u8>>::new());
        }
        assert_eq!(texts(held.release(3)), "b1 b2");
        assert_eq!(texts(held.release(3)), "", "only once");
        assert_eq!(texts(held.release_all()), "a1 a2 c1");
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn too_much_releases_the_oldest() {
        let mut held = Held::default();
        let much = vec![b'x'; MAX_BYTES / 2];
        assert!(held.hold(5, &much).is_empty());
        assert!(held.hold(4, &much).is_empty());
        let early = held.hold(4, b"y");
        assert_eq!((early.len(), early[0].len()), (1, MAX_BYTES / 2));
        assert_eq!(held.bytes, MAX_BYTES / 2 + 1);
    }
}
