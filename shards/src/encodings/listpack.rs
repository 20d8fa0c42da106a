//! A list of strings and numbers in one allocation, in Valkey's layout: a dump is a copy.
//!
//! ```text
//! 0   bytes of the whole, u32 LE
//! 4   number of elements, u16 LE; 65535 if they must be counted
//! 6   elements (see `listpack/element.rs`)
//!     FF
//! ```

mod buffer;
mod element;
mod iter;
pub mod run;

use core::fmt;

use crate::base::number::parse_i64;
use crate::encodings::allocation::Thin;
use crate::encodings::block::{Block, Packed};

use element::{
    END, Encoded, checked_bytes, decode, encode, encoded_bytes, start_before, whole_bytes,
};
pub use element::{Element, Wanted};
pub use iter::Iter;

/// Bytes beyond which nothing is added to a listpack.
pub const BYTES_MAX: usize = 1 << 30;
/// Bytes of a listpack that is taken from elsewhere: enough for what is not counted before it is
/// added, as servers have it, and so few that longer scores and marks still fit in 32 bits.
pub const READ_BYTES_MAX: usize = 2 * BYTES_MAX;

const COUNT_AT: usize = 4;
const HEADER_BYTES: usize = 6;
const EMPTY_BYTES: usize = HEADER_BYTES + 1;
/// The number of elements that means: count them.
const UNKNOWN: u16 = u16::MAX;

/// A listpack that owns its memory: a handle of six bytes.
#[derive(Clone)]
pub struct Listpack(Block<Packed, Thin>);

/// Where an element lies; good until the listpack changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u32);

impl Position {
    #[inline]
    fn of(offset: usize) -> Self {
        Self(u32::try_from(offset).expect("a listpack is below 4 GiB"))
    }

    #[inline]
    fn offset(self) -> usize {
        self.0 as usize
    }
}

impl Listpack {
    /// One without elements.
    pub fn new() -> Self {
        Self::copy_of(&[7, 0, 0, 0, 0, 0, END])
    }

    /// A copy of bytes that another program made, if they are a listpack in every detail.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let total = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        if total != bytes.len() || !(EMPTY_BYTES..=READ_BYTES_MAX).contains(&total) {
            return None;
        }
        let (mut at, mut count) = (HEADER_BYTES, 0usize);
        while bytes[at] != END {
            // The last byte is not an element's: the end must have room behind it.
            at += checked_bytes(&bytes[at..total - 1])?;
            count += 1;
        }
        let said = u16::from_le_bytes([bytes[4], bytes[5]]);
        let agrees = said == UNKNOWN || usize::from(said) == count;
        (at == total - 1 && agrees).then(|| Self::copy_of(bytes))
    }

    /// Bytes of its allocation.
    pub fn memory(&self) -> usize {
        self.0.memory()
    }

    /// Elements in it. Counting takes time only if they are 65535 or more.
    #[inline]
    pub fn len(&self) -> usize {
        match self.count() {
            UNKNOWN => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes_len() == EMPTY_BYTES
    }

    /// Whether elements of `extra` bytes in all may still be added.
    pub fn fits(&self, extra: usize) -> bool {
        extra.checked_add(self.bytes_len()).is_some_and(|bytes| bytes <= BYTES_MAX)
    }

    /// The first element.
    #[inline]
    pub fn first(&self) -> Option<Position> {
        self.at(HEADER_BYTES)
    }

    /// The last element.
    #[inline]
    pub fn last(&self) -> Option<Position> {
        let bytes = self.as_bytes();
        (!self.is_empty()).then(|| Position::of(start_before(bytes, bytes.len() - 1)))
    }

    /// The element behind this one.
    #[inline]
    pub fn next(&self, position: Position) -> Option<Position> {
        self.at(position.offset() + whole_bytes(&self.as_bytes()[position.offset()..]))
    }

    /// The element before this one.
    #[inline]
    pub fn prev(&self, position: Position) -> Option<Position> {
        let end = position.offset();
        (HEADER_BYTES < end).then(|| Position::of(start_before(self.as_bytes(), end)))
    }

    /// The element of number `index`; negative numbers count from the end, -1 is the last.
    pub fn seek(&self, index: isize) -> Option<Position> {
        let len = self.len();
        let back =
            if index < 0 { index.unsigned_abs() } else { len.checked_sub(index.unsigned_abs())? };
        if back == 0 || len < back {
            return None;
        }
        if back <= len / 2 {
            let last = self.last();
            (1..back).try_fold(last?, |position, _| self.prev(position))
        } else {
            let first = self.first();
            (0..len - back).try_fold(first?, |position, _| self.next(position))
        }
    }

    /// The element at a position.
    #[inline]
    pub fn get(&self, position: Position) -> Element<'_> {
        decode(&self.as_bytes()[position.offset()..])
    }

    /// All elements, from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        let bytes = self.as_bytes();
        Iter { bytes, at: HEADER_BYTES, end: bytes.len() - 1 }
    }

    /// The elements from this one on.
    #[inline]
    pub fn iter_from(&self, position: Position) -> Iter<'_> {
        Iter { at: position.offset(), ..self.iter() }
    }

    /// Looks for `wanted` at `from` and then at each element that follows `skip` others.
    pub fn find(&self, wanted: &[u8], from: Position, skip: usize) -> Option<Position> {
        let (bytes, number) = (self.as_bytes(), parse_i64(wanted));
        let mut at = from.offset();
        while bytes[at] != END {
            let found = match decode(&bytes[at..]) {
                Element::Int(int) => number == Some(int),
                Element::Bytes(string) => string == wanted,
            };
            if found {
                return Some(Position::of(at));
            }
            for _ in 0..=skip {
                if bytes[at] == END {
                    return None;
                }
                at += whole_bytes(&bytes[at..]);
            }
        }
        None
    }

    /// Adds an element behind the last.
    #[inline]
    pub fn push_back<'e>(&mut self, element: impl Into<Element<'e>>) {
        let end = self.bytes_len() - 1;
        self.put(end, element.into());
    }

    /// Adds elements behind the last: at once, where [`Self::push_back`] would move the end and
    /// count for each.
    #[inline]
    pub fn push_all<'e>(&mut self, elements: impl Iterator<Item = Element<'e>> + Clone) {
        let sizes = elements.clone().map(encoded_bytes);
        let (count, bytes) = sizes.fold((0, 0), |(count, bytes), it| (count + 1, bytes + it));
        let before = self.count();
        let added = self.grow(bytes);
        elements.fold(0, |at, element| at + encode(element, &mut added[at..]));
        if before != UNKNOWN {
            self.set_count(usize::from(before) + count);
        }
    }

    /// Adds an element before the first.
    #[inline]
    pub fn push_front<'e>(&mut self, element: impl Into<Element<'e>>) {
        self.put(HEADER_BYTES, element.into());
    }

    /// Adds an element before the one at `position`; says where it lies.
    pub fn insert_before<'e>(
        &mut self,
        position: Position,
        element: impl Into<Element<'e>>,
    ) -> Position {
        self.put(position.offset(), element.into());
        position
    }

    /// Adds an element behind the one at `position`; says where it lies.
    pub fn insert_after<'e>(
        &mut self,
        position: Position,
        element: impl Into<Element<'e>>,
    ) -> Position {
        let at = position.offset();
        let behind = at + whole_bytes(&self.as_bytes()[at..]);
        self.put(behind, element.into());
        Position::of(behind)
    }

    /// Puts another element in the place of the one at `position`, where it lies then.
    pub fn replace<'e>(&mut self, position: Position, element: impl Into<Element<'e>>) {
        let at = position.offset();
        let old = whole_bytes(&self.as_bytes()[at..]);
        self.splice(at, old, Encoded::of(element.into()).parts());
    }

    /// Removes up to `count` elements from `position` on; says where the one behind them lies now.
    pub fn remove(&mut self, position: Position, count: usize) -> Option<Position> {
        let (bytes, start) = (self.as_bytes(), position.offset());
        let (mut at, mut removed) = (start, 0);
        while removed < count && bytes[at] != END {
            at += whole_bytes(&bytes[at..]);
            removed += 1;
        }
        let left = self.count_without(removed);
        self.splice(start, at - start, []);
        self.set_count(left);
        self.at(start)
    }

    /// Removes the elements from `position` on and returns them.
    pub fn split_off(&mut self, position: Position) -> Self {
        let (mut tail, at, end) = (Self::new(), position.offset(), self.bytes_len() - 1);
        tail.splice(HEADER_BYTES, 0, [&self.as_bytes()[at..end]]);
        let moved = tail.iter().count();
        tail.set_count(moved);
        let left = self.count_without(moved);
        self.splice(at, end - at, []);
        self.set_count(left);
        tail
    }

    /// Adds all elements of another listpack behind the last; `fits` said that they do.
    pub fn append(&mut self, other: &Self) {
        let (end, count) = (self.bytes_len() - 1, self.len() + other.len());
        self.splice(end, 0, [&other.as_bytes()[HEADER_BYTES..other.bytes_len() - 1]]);
        self.set_count(count);
    }

    /// The element at `offset`, unless the end is there.
    #[inline]
    fn at(&self, offset: usize) -> Option<Position> {
        (self.as_bytes()[offset] != END).then(|| Position::of(offset))
    }

    fn put(&mut self, at: usize, element: Element<'_>) {
        let count = self.count();
        self.splice(at, 0, Encoded::of(element).parts());
        if count != UNKNOWN {
            self.set_count(usize::from(count) + 1);
        }
    }

    /// How many elements are left when `removed` of them go.
    fn count_without(&self, removed: usize) -> usize {
        self.len() - removed
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn of(elements: &[&[u8]]) -> Listpack {
        let mut listpack = Listpack::new();
        elements.iter().for_each(|element| listpack.push_back(*element));
        listpack
    }

    fn elements(listpack: &Listpack) -> Vec<Vec<u8>> {
        listpack.iter().map(Element::to_vec).collect()
    }

    /// A listpack that a Valkey 9.1.2 made of the same elements.
    #[test]
    fn bytes_are_those_of_valkey() {
        let ours = of(&[
            b"0",
            b"127",
            b"-1",
            b"128",
            b"4095",
            b"-4096",
            b"4096",
            b"-32768",
            b"32767",
            b"32768",
            b"-8388608",
            b"8388608",
            b"2147483648",
            b"-9223372036854775808",
            b"hello",
            b"",
            b"01",
        ]);
        let theirs = b"\x54\0\0\0\x11\0\0\x01\x7f\x01\xdf\xff\x02\xc0\x80\x02\xcf\xff\x02\xd0\0\
            \x02\xf1\0\x10\x03\xf1\0\x80\x03\xf1\xff\x7f\x03\xf2\0\x80\0\x04\xf2\0\0\x80\x04\xf3\
            \0\0\x80\0\x05\xf4\0\0\0\x80\0\0\0\0\x09\xf4\0\0\0\0\0\0\0\x80\x09\x85hello\x06\x80\
            \x01\x8201\x03\xff";
        assert_eq!(ours.as_bytes(), theirs);
        assert_eq!(elements(&Listpack::from_bytes(theirs).unwrap()), elements(&ours));
    }

    #[test]
    fn elements_added_at_once_are_as_one_by_one() {
        let lengths = [0, 1, 63, 64, 126, 127, 4095, 4096, 16_380];
        let strings: Vec<_> = lengths.iter().map(|length| vec![b'x'; *length]).collect();
        let numbers = (0..64).flat_map(|shift| [1i64 << shift, -(1i64 << shift.min(62)) - 1]);
        let numbers = numbers.flat_map(|it| [it, it.saturating_sub(1)]).map(Element::Int);
        let all = numbers.chain(strings.iter().map(Element::from));
        let (mut at_once, mut one_by_one) = (of(&[b"a"]), of(&[b"a"]));
        at_once.push_all(all.clone());
        all.for_each(|element| one_by_one.push_back(element));
        assert_eq!(at_once.as_bytes(), one_by_one.as_bytes());
    }

    #[test]
    fn longer_strings_have_longer_heads_and_tails() {
        // length of the string, head, tail: of a Valkey 9.1.2
        let cases: [(usize, &[u8], &[u8]); 7] = [
            (63, b"\xbf", b"\x40"),
            (64, b"\xe0\x40", b"\x42"),
            (4095, b"\xef\xff", b"\x20\x81"),
            (4096, b"\xf0\0\x10\0\0", b"\x20\x85"),
            (16_379, b"\xf0\xfb\x3f\0\0", b"\x01\x80\x80"),
            (16_380, b"\xf0\xfc\x3f\0\0", b"\x01\x80\x81"),
            (16_381, b"\xf0\xfd\x3f\0\0", b"\x01\x80\x82"),
        ];
        for (length, head, tail) in cases {
            let mut listpack = of(&[&vec![b'x'; length]]);
            let bytes = &listpack.as_bytes()[HEADER_BYTES..];
            assert!(bytes.starts_with(head) && bytes[head.len() + length..].starts_with(tail));
            assert_eq!(bytes.len(), head.len() + length + tail.len() + 1, "{length}");
            listpack.push_back(b"end");
            let last = listpack.last().unwrap();
            assert_eq!(listpack.prev(last), listpack.first());
            assert!(Listpack::from_bytes(listpack.as_bytes()).is_some());
        }
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let good = of(&[b"1", b"text", &[b'x'; 200], b"70000"]);
        let good = good.as_bytes();
        assert!(Listpack::from_bytes(good).is_some());
        for length in 0..good.len() {
            assert!(Listpack::from_bytes(&good[..length]).is_none(), "{length}");
            let mut cut = good[..length].to_vec();
            if let Some(total) = cut.first_chunk_mut() {
                *total = u32::try_from(length).unwrap().to_le_bytes();
            }
            assert!(Listpack::from_bytes(&cut).is_none(), "{length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.to_vec();
                bad[at] ^= 1 << bit;
                // Whatever is taken for good can be read.
                if let Some(read) = Listpack::from_bytes(&bad) {
                    assert_eq!(read.iter().count(), read.iter().rev().count());
                }
            }
        }
        let uncounted = [&good[..4], &[0xFF, 0xFF], &good[6..]].concat();
        assert_eq!(Listpack::from_bytes(&uncounted).unwrap().len(), 4);
    }

    #[test]
    fn more_elements_than_the_header_can_count_are_counted_one_by_one() {
        let mut listpack = Listpack::new();
        (0..65_540).for_each(|number: i64| listpack.push_back(number));
        assert_eq!((listpack.count(), listpack.len()), (UNKNOWN, 65_540));
        assert_eq!(listpack.seek(65_539), listpack.last());
        listpack.remove(listpack.seek(10).unwrap(), 6);
        assert_eq!((listpack.count(), listpack.len()), (65_534, 65_534));
    }

    #[test]
    fn a_number_is_found_in_any_form() {
        // No server writes `5` like this, but a dump may hold it so: as a string, and in 16 bits.
        let bytes = b"\x0f\0\0\0\x02\0\x815\x02\xf1\x05\0\x03\xff";
        let bytes = [&[14], &bytes[1..]].concat();
        let listpack = Listpack::from_bytes(&bytes).unwrap();
        let first = listpack.first().unwrap();
        assert_eq!(listpack.find(b"5", first, 0), Some(first));
        assert_eq!(listpack.find(b"5", listpack.next(first).unwrap(), 0), listpack.last());
        assert!(listpack.iter().all(|element| element == *b"5".as_slice()));
    }

    #[test]
    fn what_does_not_fit_is_known_before() {
        let listpack = of(&[b"x"]);
        assert!(listpack.fits(BYTES_MAX - 10));
        assert!(!listpack.fits(BYTES_MAX - 9) && !listpack.fits(usize::MAX));
    }

    fn string() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..8),
            1 => prop::collection::vec(any::<u8>(), 0..300),
            1 => (4080usize..4110).prop_map(|length| vec![b'x'; length]),
            2 => any::<i64>().prop_map(|n| alloc::format!("{n}").into_bytes()),
            2 => any::<i16>().prop_map(|n| alloc::format!("{n}").into_bytes()),
        ]
    }

    #[derive(Clone, Debug)]
    enum Step {
        Back(Vec<u8>),
        Front(Vec<u8>),
        Before(usize, Vec<u8>),
        After(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        Split(usize),
        Double,
    }

    fn step() -> impl Strategy<Value = Step> {
        let index = || 0usize..40;
        prop_oneof![
            3 => string().prop_map(Step::Back),
            3 => string().prop_map(Step::Front),
            2 => (index(), string()).prop_map(|(at, it)| Step::Before(at, it)),
            2 => (index(), string()).prop_map(|(at, it)| Step::After(at, it)),
            2 => (index(), string()).prop_map(|(at, it)| Step::Replace(at, it)),
            3 => (index(), 0usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
            1 => index().prop_map(Step::Split),
            1 => Just(Step::Double),
        ]
    }

    /// Does a step to both; whether there was such an element.
    fn apply(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, step: &Step) -> Option<()> {
        let seek = |listpack: &Listpack, at: usize| listpack.seek(at.cast_signed());
        match step {
            Step::Back(bytes) => {
                listpack.push_back(bytes);
                model.push(bytes.clone());
            }
            Step::Front(bytes) => {
                listpack.push_front(bytes);
                model.insert(0, bytes.clone());
            }
            Step::Before(at, bytes) => {
                let new = listpack.insert_before(seek(listpack, *at)?, bytes);
                assert_eq!(Some(new), seek(listpack, *at));
                model.insert(*at, bytes.clone());
            }
            Step::After(at, bytes) => {
                let new = listpack.insert_after(seek(listpack, *at)?, bytes);
                assert_eq!(Some(new), seek(listpack, at + 1));
                model.insert(at + 1, bytes.clone());
            }
            Step::Replace(at, bytes) => {
                listpack.replace(seek(listpack, *at)?, bytes);
                model[*at].clone_from(bytes);
            }
            Step::Remove(at, count) => {
                let next = listpack.remove(seek(listpack, *at)?, *count);
                assert_eq!(next, seek(listpack, *at));
                model.drain(*at..model.len().min(at + count));
            }
            Step::Split(at) => {
                let tail = listpack.split_off(seek(listpack, *at)?);
                assert_eq!(elements(&tail), model.split_off(*at));
                assert!(Listpack::from_bytes(tail.as_bytes()).is_some());
            }
            Step::Double => {
                let other = listpack.clone();
                listpack.append(&other);
                model.extend_from_within(..);
            }
        }
        Some(())
    }

    proptest! {
        #[test]
        fn is_a_list(steps in prop::collection::vec(step(), 0..40)) {
            let (mut listpack, mut model) = (Listpack::new(), Vec::new());
            for step in steps.iter().filter(|step| !matches!(step, Step::Double)) {
                apply(&mut listpack, &mut model, step);
            }
            apply(&mut listpack, &mut model, &Step::Double);
            apply(&mut listpack, &mut model, &Step::Remove(1, 2));
            prop_assert_eq!(elements(&listpack), model.clone());
            prop_assert_eq!(listpack.len(), model.len());
            prop_assert_eq!(listpack.is_empty(), model.is_empty());
            prop_assert!(Listpack::from_bytes(listpack.as_bytes()).is_some());
            let backwards: Vec<_> = listpack.iter().rev().map(Element::to_vec).collect();
            prop_assert!(backwards.iter().eq(model.iter().rev()));
            let mut position = listpack.first();
            for (at, bytes) in model.iter().enumerate() {
                let here = position.unwrap();
                prop_assert_eq!(listpack.seek(at.cast_signed()), position);
                prop_assert_eq!(listpack.seek((at as isize) - model.len() as isize), position);
                prop_assert_eq!(listpack.get(here).len(), bytes.len());
                let found = model.iter().step_by(2).position(|it| it == bytes);
                let expected = found.and_then(|at| listpack.seek(at.cast_signed() * 2));
                prop_assert_eq!(listpack.find(bytes, listpack.first().unwrap(), 1), expected);
                let rest = listpack.iter_from(here).map(Element::to_vec);
                prop_assert!(rest.eq(model[at..].to_vec()));
                position = listpack.next(here);
            }
            prop_assert_eq!(position, None);
            prop_assert_eq!(listpack.seek(model.len().cast_signed()), None);
            prop_assert_eq!(listpack.seek(-1 - model.len().cast_signed()), None);
        }

        #[test]
        fn any_bytes_may_be_offered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let total = u32::try_from(bytes.len() + 7).unwrap().to_le_bytes();
            let bytes = [&total[..], &[0xFF, 0xFF], &bytes, &[END]].concat();
            if let Some(listpack) = Listpack::from_bytes(&bytes) {
                prop_assert_eq!(listpack.iter().count(), listpack.iter().rev().count());
            }
        }
    }
}
