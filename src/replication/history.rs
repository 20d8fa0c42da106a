//! Histories: what offsets are offsets of.
//!
//! A history is a line of development with a name and a shape: so many logs, each of some slots.
//! An offset of a log counts its bytes. A vector has an offset for each log. A scalar is one number
//! for a vector: the base of the history and what the entries in front of the vector weigh.

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;

use shards::base::number::parse_u64;
use shards::base::slot::{SLOTS, Slot};

/// Logs that a history may have, which is how many shards a node may have.
pub const LOGS_MAX: usize = 1024;
/// The highest offset or scalar that is read from a peer or a file: Valkey's have 63 bits. What is
/// added to it never overflows.
pub const OFFSET_MAX: u64 = 1 << 62;
/// Fences kept of a history.
pub const FENCES_MAX: usize = 128;

/// The name of a history or of a stream: 40 hex digits, as in Valkey.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplId([u8; 20]);

/// A place in a log: bytes in front of it, from the beginning of the history on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// A place in a stream, or what a vector adds up to: `master_repl_offset`, which is the number of
/// bytes in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(pub u64);

/// An offset for each log of a history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vector(Vec<Offset>);

/// How many logs a history has, and whose slots are whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    logs: u16,
    /// They cover all slots in ascending order; of neighbours the logs differ.
    ranges: Vec<(RangeInclusive<u16>, u16)>,
}

/// A line of development.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Its name.
    pub id: ReplId,
    /// Its logs.
    pub shape: Shape,
    /// The scalar of its beginning.
    pub base: Scalar,
}

/// The history that went on as the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Its name.
    pub id: ReplId,
    /// Its logs.
    pub shape: Shape,
    /// Up to here the node has it: the cut.
    pub until: Vector,
}

/// A point in all logs of a history at which nothing is half done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// What the vector adds up to.
    pub scalar: Scalar,
    /// Behind the fence's part in each log.
    pub vector: Vector,
}

/// A fence is not behind the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disordered;

/// Fences of one history, in their order, at most [`FENCES_MAX`].
#[derive(Clone, Debug, Default)]
pub struct Fences {
    kept: VecDeque<Fence>,
}

impl ReplId {
    /// The name made of these random bytes.
    pub const fn of_random(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The name that 40 hex digits of either case say. `None`: they say none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let (pairs, rest) = text.as_chunks::<2>();
        if pairs.len() != 20 || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Offset {
    /// The place so many bytes later.
    pub const fn after(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl Scalar {
    /// The place so many bytes later.
    pub const fn after(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Vector {
    /// The beginning of a history with so many logs.
    pub fn start(logs: u16) -> Self {
        Self(vec![Offset::default(); logs.into()])
    }

    /// These offsets, one for each log.
    pub fn new(offsets: Vec<Offset>) -> Self {
        Self(offsets)
    }

    /// The vector that numbers with commas between them say, as [`fmt::Display`] writes it. `None`:
    /// they say none, there are more than [`LOGS_MAX`], or one is above [`OFFSET_MAX`].
    pub fn parse(text: &[u8]) -> Option<Self> {
        let number = |text| parse_u64(text).filter(|number| *number <= OFFSET_MAX).map(Offset);
        let numbers = text.split(|byte| *byte == b',').take(LOGS_MAX + 1);
        let offsets: Vec<Offset> = numbers.map(number).collect::<Option<_>>()?;
        (offsets.len() <= LOGS_MAX).then_some(Self(offsets))
    }

    /// The offsets, by log.
    pub fn offsets(&self) -> &[Offset] {
        &self.0
    }

    /// The offsets, by log.
    pub fn offsets_mut(&mut self) -> &mut [Offset] {
        &mut self.0
    }

    /// Whether no log is further here than there. Vectors of another length are of another history.
    pub fn is_within(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs.all(|(ours, theirs)| ours <= theirs)
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (log, offset) in self.0.iter().enumerate() {
            let comma = if log == 0 { "" } else { "," };
            write!(f, "{comma}{offset}")?;
        }
        Ok(())
    }
}

impl Shape {
    /// The shape of so many logs, with the log of each slot, in the order of slots. `None`: there
    /// are not as many owners as slots, one of them is no log, or there are too many logs.
    pub fn of_owners(logs: u16, owners: impl IntoIterator<Item = u16>) -> Option<Self> {
        let mut ranges: Vec<(RangeInclusive<u16>, u16)> = Vec::new();
        let mut slots = 0..SLOTS;
        for owner in owners {
            let slot = slots.next()?;
            match ranges.last_mut() {
                Some((range, log)) if *log == owner => *range = *range.start()..=slot,
                Some(_) | None => ranges.push((slot..=slot, owner)),
            }
        }
        Self::checked(logs, ranges, slots.next())
    }

    /// The shape of so many logs, each range of slots with its log. `None`: the ranges do not
    /// follow each other, do not cover all slots, or name what is no log.
    pub fn of_ranges(
        logs: u16,
        ranges: impl IntoIterator<Item = (RangeInclusive<u16>, u16)>,
    ) -> Option<Self> {
        let mut joined: Vec<(RangeInclusive<u16>, u16)> = Vec::new();
        let mut next = Some(0);
        for (range, log) in ranges {
            let (first, last) = (*range.start(), *range.end());
            if next != Some(first) || last < first || SLOTS <= last {
                return None;
            }
            next = Some(last + 1).filter(|next| *next < SLOTS);
            match joined.last_mut() {
                Some((before, same)) if *same == log => *before = *before.start()..=last,
                Some(_) | None => joined.push((range, log)),
            }
        }
        Self::checked(logs, joined, next)
    }

    fn checked(
        logs: u16,
        ranges: Vec<(RangeInclusive<u16>, u16)>,
        uncovered: Option<u16>,
    ) -> Option<Self> {
        let are_logs = ranges.iter().all(|(_, log)| *log < logs);
        let is_good = are_logs && uncovered.is_none() && usize::from(logs) <= LOGS_MAX;
        is_good.then_some(Self { logs, ranges })
    }

    /// How many logs there are.
    pub fn logs(&self) -> u16 {
        self.logs
    }

    /// All slots in ascending order, with the log of each range.
    pub fn ranges(&self) -> &[(RangeInclusive<u16>, u16)] {
        &self.ranges
    }

    /// The log of a slot.
    pub fn log_of(&self, slot: Slot) -> u16 {
        let index = self.ranges.partition_point(|(range, _)| *range.end() < slot.number());
        self.ranges[index].1
    }
}

impl History {
    /// The scalar of a vector up to which the logs weigh this much, each from its beginning.
    pub fn scalar(&self, weights: impl IntoIterator<Item = u64>) -> Scalar {
        weights.into_iter().fold(self.base, Scalar::after)
    }
}

impl Fences {
    /// Adds a fence behind all others.
    ///
    /// When there are too many, the one goes behind and before which the others are closest,
    /// measured by its distance to the end: so some are left of any time, and more of later ones.
    /// A cut is mostly close to the end.
    ///
    /// # Errors
    /// If it is not behind them: what told it is broken. Nothing is added.
    pub fn push(&mut self, fence: Fence) -> Result<(), Disordered> {
        let follows =
            |last: &Fence| last.scalar <= fence.scalar && last.vector.is_within(&fence.vector);
        if !self.kept.back().is_none_or(follows) {
            return Err(Disordered);
        }
        self.kept.push_back(fence);
        if FENCES_MAX < self.kept.len() {
            self.drop_one();
        }
        Ok(())
    }

    fn drop_one(&mut self) {
        let at = |index: usize| u128::from(self.kept[index].scalar.0);
        let last = self.kept.len() - 1;
        let gap_and_age =
            |index: &usize| (at(index + 1) - at(index - 1), at(last) - at(*index) + 1);
        let spare = (1..last).min_by(|one, other| {
            let ((gap, age), (other_gap, other_age)) = (gap_and_age(one), gap_and_age(other));
            (gap * other_age).cmp(&(other_gap * age))
        });
        if let Some(spare) = spare {
            self.kept.remove(spare);
        }
    }

    /// The last fence at which no log is further than at this vector. `None`: no such fence is
    /// kept.
    pub fn last_within(&self, vector: &Vector) -> Option<&Fence> {
        self.kept.iter().rev().find(|fence| fence.vector.is_within(vector))
    }

    /// The last fence.
    pub fn last(&self) -> Option<&Fence> {
        self.kept.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_forty_hex_digits() {
        let text = "0123456789abcdef0123456789abcdef01234567";
        let id = ReplId::parse(text.as_bytes()).expect("it is a name");
        assert_eq!(id.to_string(), text);
        assert_eq!(ReplId::parse(text.to_uppercase().as_bytes()), Some(id));
        for bad in ["", "?", &text[1..], &format!("{text}0"), &text.replace('7', "g")] {
            assert_eq!(ReplId::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn vectors_are_numbers_with_commas() {
        for good in ["0", "1,0,18", "4611686018427387904"] {
            let vector = Vector::parse(good.as_bytes()).expect("it is a vector");
            assert_eq!(vector.to_string(), good);
        }
        let long = ["1"; LOGS_MAX + 1].join(",");
        for bad in ["", ",", "1,", "-1", "1 2", "x", "4611686018427387905", &long] {
            assert_eq!(Vector::parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(Vector::parse(&long.as_bytes()[2..]).is_some());
    }

    #[test]
    fn a_vector_is_within_one_of_the_same_history_that_is_nowhere_behind() {
        let vector = |text: &str| Vector::parse(text.as_bytes()).expect("it is a vector");
        for (one, other, expected) in [
            ("1,2", "1,2", true),
            ("1,2", "1,3", true),
            ("2,2", "1,3", false),
            ("1", "1,2", false),
            ("1,2", "1", false),
        ] {
            assert_eq!(vector(one).is_within(&vector(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn shapes_cover_all_slots_once() {
        let halves = Shape::of_ranges(2, [(0..=8191, 0), (8192..=16383, 1)]).expect("it covers");
        let owners = (0..SLOTS).map(|slot| slot / 8192);
        assert_eq!(Shape::of_owners(2, owners.clone()), Some(halves.clone()));
        let split = [(0..=100, 0), (101..=8191, 0), (8192..=16383, 1)];
        assert_eq!(Shape::of_ranges(2, split), Some(halves.clone()), "neighbours are joined");
        for (slot, log) in [(0, 0), (8191, 0), (8192, 1), (16383, 1)] {
            assert_eq!(halves.log_of(Slot::new(slot).expect("it is one")), log);
        }
        assert_eq!(Shape::of_owners(1, owners.clone()), None, "1 is no log");
        assert_eq!(Shape::of_owners(2, owners.clone().skip(1)), None);
        assert_eq!(Shape::of_owners(2, owners.clone().chain([1])), None);
        assert_eq!(Shape::of_owners(1025, owners), None);
        let bad: [&[(RangeInclusive<u16>, u16)]; 6] = [
            &[],
            &[(0..=16382, 0)],
            &[(0..=16384, 0)],
            &[(0..=16383, 0), (0..=16383, 1)],
            &[(0..=10, 0), (12..=16383, 0)],
            &[(0..=10, 0), (11..=16383, 2)],
        ];
        for ranges in bad {
            assert_eq!(Shape::of_ranges(2, ranges.iter().cloned()), None, "{ranges:?}");
        }
    }

    #[test]
    fn of_many_fences_some_are_kept_of_any_time() {
        let fence = |number: u64| Fence {
            scalar: Scalar(number * 10),
            vector: Vector::new(vec![Offset(number), Offset(number * 2)]),
        };
        let mut fences = Fences::default();
        assert_eq!(fences.last_within(&fence(9).vector), None);
        for number in 1..=10_000 {
            assert_eq!(fences.push(fence(number)), Ok(()));
            assert_eq!(fences.last(), Some(&fence(number)));
            assert!(fences.kept.len() <= FENCES_MAX);
        }
        assert_eq!(fences.push(fence(9_999)), Err(Disordered));
        for at in [1, 10, 5_000, 9_000, 9_900, 9_990, 10_000] {
            let vector = Vector::new(vec![Offset(at), Offset(at * 2 + 1)]);
            let found = fences.last_within(&vector).expect("some are kept of any time").scalar;
            let (distance, age) = (at * 10 - found.0, (10_000 - at) * 10);
            assert!(distance <= age / 4, "{at}: {distance}");
        }
    }

    #[test]
    fn a_scalar_is_the_base_and_what_all_logs_weigh() {
        let shape = Shape::of_owners(1, (0..SLOTS).map(|_| 0)).expect("it covers");
        let history = History { id: ReplId::of_random([7; 20]), shape, base: Scalar(100) };
        assert_eq!(history.scalar([1, 20, 300]), Scalar(421));
    }
}
