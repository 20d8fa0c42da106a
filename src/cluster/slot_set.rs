//! Sets of slots: the bitmap that frames carry, and the ranges that texts show.

use std::fmt::{Debug, Formatter, Result};

use shards::base::slot::{SLOTS, Slot};

/// Bytes of a set in a frame: bit `slot & 7` of byte `slot / 8` says that the slot is in it.
pub const SLOT_SET_LEN: usize = SLOTS as usize / 8;

const WORDS: usize = SLOTS as usize / 64;

/// A set of slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

/// Slots without a gap between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first one.
    pub first: Slot,
    /// The last one, which may be the first one, too.
    pub last: Slot,
}

impl SlotSet {
    /// The set of all slots.
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// The set that a frame carries.
    pub fn of_bytes(bytes: &[u8; SLOT_SET_LEN]) -> Self {
        let mut set = Self::default();
        let (words, _) = bytes.as_chunks::<8>();
        for (word, bytes) in set.0.iter_mut().zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        set
    }

    /// Appends the set as frames carry it.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    /// Whether `slot` is in it.
    pub fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.0[word] & bit != 0
    }

    /// Adds `slot`.
    pub fn insert(&mut self, slot: Slot) {
        let (word, bit) = place(slot);
        self.0[word] |= bit;
    }

    /// Takes `slot` out.
    pub fn remove(&mut self, slot: Slot) {
        let (word, bit) = place(slot);
        self.0[word] &= !bit;
    }

    /// Whether no slot is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many slots are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The first slot that is in `other`, too; `None` if there is none.
    pub fn first_common(&self, other: &Self) -> Option<Slot> {
        let mut words = self.0.iter().zip(other.0.iter()).zip(0u16..);
        words.find_map(|((one, other), index)| {
            let both = one & other;
            let bit = u16::try_from(both.trailing_zeros()).ok().filter(|_| both != 0)?;
            Slot::new(index * 64 + bit)
        })
    }

    /// Its slots that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.iter_mut().zip(other.0.iter()).for_each(|(one, other)| *one &= !other);
        set
    }

    /// Its slots, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().zip(0u16..).flat_map(|(word, index)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = u16::try_from(rest.trailing_zeros()).ok()?;
                rest &= rest.wrapping_sub(1);
                Slot::new(index * 64 + bit)
            })
            .take(word.count_ones() as usize)
        })
    }

    /// Its slots as ranges, in ascending order.
    pub fn ranges(&self) -> Vec<SlotRange> {
        let mut ranges: Vec<SlotRange> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some(range) if range.last.number() + 1 == slot.number() => range.last = slot,
                _ => ranges.push(SlotRange { first: slot, last: slot }),
            }
        }
        ranges
    }
}

impl Debug for SlotSet {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ranges = self.ranges().into_iter();
        f.debug_set().entries(ranges.map(|r| (r.first.number(), r.last.number()))).finish()
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::default();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

/// All slots, in ascending order.
pub fn all_slots() -> impl Iterator<Item = Slot> {
    (0..SLOTS).filter_map(Slot::new)
}

fn place(slot: Slot) -> (usize, u64) {
    (usize::from(slot.number() / 64), 1 << (slot.number() % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shards::base::random::Random;

    use super::*;

    fn slot(number: u16) -> Slot {
        Slot::new(number).expect("a number of a slot")
    }

    #[test]
    fn a_set_is_what_a_model_says() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let (mut set, mut model) = (SlotSet::default(), BTreeSet::new());
            for _ in 0..600 {
                let number = u16::try_from(random.below(16384)).expect("a slot");
                if random.below(4) == 0 {
                    set.remove(slot(number));
                    model.remove(&number);
                } else {
                    set.insert(slot(number));
                    model.insert(number);
                }
                assert_eq!(set.contains(slot(number)), model.contains(&number), "seed {seed}");
            }
            let numbers: Vec<u16> = set.iter().map(Slot::number).collect();
            assert_eq!(numbers, model.iter().copied().collect::<Vec<_>>(), "seed {seed}");
            assert_eq!(set.len(), model.len());
            let mut bytes = Vec::new();
            set.write(&mut bytes);
            let bytes: &[u8; SLOT_SET_LEN] = bytes.as_slice().try_into().expect("2048 bytes");
            assert_eq!(SlotSet::of_bytes(bytes), set, "seed {seed}");
            let of_ranges = set
                .ranges()
                .into_iter()
                .flat_map(|range| (range.first.number()..=range.last.number()).map(slot));
            assert_eq!(of_ranges.collect::<SlotSet>(), set, "seed {seed}");
            let other: SlotSet = (0..300)
                .filter_map(|_| u16::try_from(random.below(16384)).ok().and_then(Slot::new))
                .collect();
            let common = set.iter().find(|slot| other.contains(*slot));
            assert_eq!(set.first_common(&other), common, "seed {seed}");
            let rest = set.iter().filter(|slot| !other.contains(*slot));
            assert_eq!(set.without(&other), rest.collect(), "seed {seed}");
        }
    }

    #[test]
    fn a_frame_has_the_bit_of_a_slot_in_its_byte() {
        let mut bytes = Vec::new();
        [0, 9, 16383].map(slot).into_iter().collect::<SlotSet>().write(&mut bytes);
        assert_eq!((bytes[0], bytes[1], bytes[2047]), (1, 2, 0x80));
        assert_eq!(SlotSet::all().len(), 16384);
        assert!(SlotSet::default().is_empty());
        assert_eq!(SlotSet::all().ranges().len(), 1);
    }
}
