//! Sets of slots: the bitmap that frames carry, and the ranges that texts show.

use std::fmt::{Debug, Formatter, Result};
use std::sync::Arc;

use shards::base::slot::{SLOTS, Slot};

/// Bytes of a set in a frame: bit `slot & 7` of byte `slot / 8` says that the slot is in it.
pub const SLOT_SET_LEN: usize = SLOTS as usize / 8;

const WORD_SLOTS: u16 = 64;
const WORDS: usize = SLOTS as usize / WORD_SLOTS as usize;

/// A set of slots. A copy costs nothing until one of both changes: frames, of which most say what
/// is known already, carry the set of their sender.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Arc<SlotWords>);

#[derive(Clone, PartialEq, Eq)]
struct SlotWords {
    words: [u64; WORDS],
    /// A bit for each word that is not 0: two sets mostly have few words in common.
    used: [u64; WORDS / 64],
}

impl Default for SlotSet {
    fn default() -> Self {
        Self(Arc::new(SlotWords { words: [0; WORDS], used: [0; WORDS / 64] }))
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

impl SlotRange {
    /// The places of its slots among all.
    pub fn indices(self) -> std::ops::RangeInclusive<usize> {
        usize::from(self.first.number())..=usize::from(self.last.number())
    }
}

impl SlotSet {
    /// The set of all slots.
    pub fn all() -> Self {
        Self::of_words([u64::MAX; WORDS])
    }

    /// The set that a frame carries.
    pub fn of_bytes(bytes: &[u8; SLOT_SET_LEN]) -> Self {
        let (parts, _) = bytes.as_chunks::<8>();
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(parts) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self::of_words(words)
    }

    fn of_words(words: [u64; WORDS]) -> Self {
        let mut used = [0; WORDS / 64];
        for (used, words) in used.iter_mut().zip(words.as_chunks::<64>().0) {
            let bits = words.iter().enumerate();
            *used = bits.fold(0, |bits, (place, word)| bits | u64::from(*word != 0) << place);
        }
        Self(Arc::new(SlotWords { words, used }))
    }

    /// Appends the set as frames carry it.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.0.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
    }

    /// Whether `slot` is in it.
    pub fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.0.words[word] & bit != 0
    }

    /// Adds `slot`.
    pub fn insert(&mut self, slot: Slot) {
        let (word, bit) = place(slot);
        let set = Arc::make_mut(&mut self.0);
        set.words[word] |= bit;
        set.used[word / 64] |= 1 << (word % 64);
    }

    /// Adds all slots of a range.
    pub fn insert_range(&mut self, range: SlotRange) {
        let ((first, low), (last, high)) = (place(range.first), place(range.last));
        let set = Arc::make_mut(&mut self.0);
        for word in first..=last {
            // The bits from that of the first slot on, and up to that of the last one.
            let above = if word == first { !(low - 1) } else { u64::MAX };
            let below = if word == last { high | (high - 1) } else { u64::MAX };
            let bits = above & below;
            set.words[word] |= bits;
            set.used[word / 64] |= u64::from(bits != 0) << (word % 64);
        }
    }

    /// Takes `slot` out.
    pub fn remove(&mut self, slot: Slot) {
        if !self.contains(slot) {
            return;
        }
        let (word, bit) = place(slot);
        let set = Arc::make_mut(&mut self.0);
        set.words[word] &= !bit;
        if set.words[word] == 0 {
            set.used[word / 64] &= !(1 << (word % 64));
        }
    }

    /// Whether no slot is in it.
    pub fn is_empty(&self) -> bool {
        self.0.used == [0; WORDS / 64]
    }

    /// How many slots are in it.
    pub fn len(&self) -> usize {
        self.0.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The first slot that is in `other`, too; `None` if there is none.
    pub fn first_common(&self, other: &Self) -> Option<Slot> {
        let both = self.0.used.iter().zip(&other.0.used).map(|(one, other)| one & other);
        both.zip(0..).find_map(|(mut both, part)| {
            while both != 0 {
                let word = part * 64 + both.trailing_zeros() as usize;
                let common = self.0.words[word] & other.0.words[word];
                if common != 0 {
                    return at(word, common.trailing_zeros());
                }
                both &= both - 1;
            }
            None
        })
    }

    /// Its slots that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        if self.first_common(other).is_none() {
            return self.clone();
        }
        self.combined(other, |one, other| one & !other)
    }

    /// Its slots that are in `other`, too.
    pub fn common(&self, other: &Self) -> Self {
        if self.first_common(other).is_none() {
            return Self::default();
        }
        self.combined(other, |one, other| one & other)
    }

    /// Its slots and those of `other`.
    pub fn with(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => self.clone(),
            (true, _) => other.clone(),
            (false, false) => self.combined(other, |one, other| one | other),
        }
    }

    fn combined(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0.words;
        words.iter_mut().zip(&other.0.words).for_each(|(one, other)| *one = of(*one, *other));
        Self::of_words(words)
    }

    /// Its slots, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.words.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let slot = at(index, rest.trailing_zeros()).filter(|_| rest != 0)?;
                rest &= rest - 1;
                Some(slot)
            })
        })
    }

    /// Its slots as ranges, in ascending order.
    pub fn ranges(&self) -> Vec<SlotRange> {
        let mut ranges = Vec::new();
        let mut from = self.run_end(0, false);
        while let Some(first) = Slot::new(from) {
            let end = self.run_end(from, true);
            if let Some(last) = Slot::new(end - 1) {
                ranges.push(SlotRange { first, last });
            }
            from = self.run_end(end, false);
        }
        ranges
    }

    /// Where those slots end, from `from` on, that are all in the set or all not: [`SLOTS`] if no
    /// other follows.
    fn run_end(&self, from: u16, are_in: bool) -> u16 {
        let (mut number, mut shift) = (from / WORD_SLOTS, from % WORD_SLOTS);
        while let Some(word) = self.0.words.get(usize::from(number)) {
            let others = (if are_in { !word } else { *word }) >> shift << shift;
            if others != 0 {
                let bit = u16::try_from(others.trailing_zeros()).unwrap_or(WORD_SLOTS);
                return number * WORD_SLOTS + bit;
            }
            (number, shift) = (number + 1, 0);
        }
        SLOTS
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
        let mut words = [0; WORDS];
        slots.into_iter().map(place).for_each(|(word, bit)| words[word] |= bit);
        Self::of_words(words)
    }
}

/// All slots, in ascending order.
pub fn all_slots() -> impl Iterator<Item = Slot> {
    (0..SLOTS).filter_map(Slot::new)
}

fn place(slot: Slot) -> (usize, u64) {
    (usize::from(slot.number() / WORD_SLOTS), 1 << (slot.number() % WORD_SLOTS))
}

/// The slot of a bit of a word; `None` if there is no such bit.
fn at(word: usize, bit: u32) -> Option<Slot> {
    let word = u16::try_from(word).ok()?;
    let bit = u16::try_from(bit).ok().filter(|bit| *bit < WORD_SLOTS)?;
    Slot::new(word * WORD_SLOTS + bit)
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
            let mut of_ranges = SlotSet::default();
            set.ranges().into_iter().for_each(|range| of_ranges.insert_range(range));
            assert_eq!(of_ranges, set, "seed {seed}");
            let number = |_| u16::try_from(random.below(16384)).expect("a slot");
            let [one, other] = [(), ()].map(number);
            let (first, last) = (slot(one.min(other)), slot(one.max(other)));
            let mut range = SlotSet::default();
            range.insert_range(SlotRange { first, last });
            let numbers = first.number()..=last.number();
            assert_eq!(range, numbers.map(slot).collect(), "seed {seed}");
            assert_eq!(range.ranges(), [SlotRange { first, last }], "seed {seed}");
            let other: SlotSet = (0..300)
                .filter_map(|_| u16::try_from(random.below(16384)).ok().and_then(Slot::new))
                .collect();
            let common = set.iter().find(|slot| other.contains(*slot));
            assert_eq!(set.first_common(&other), common, "seed {seed}");
            let rest = set.iter().filter(|slot| !other.contains(*slot));
            assert_eq!(set.without(&other), rest.collect(), "seed {seed}");
            let both = set.iter().filter(|slot| other.contains(*slot));
            assert_eq!(set.common(&other), both.collect(), "seed {seed}");
            assert_eq!(set.with(&other), set.iter().chain(other.iter()).collect(), "seed {seed}");
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
