//! Elements of a listpack with room before and behind them: a node of a long list.
//!
//! ```text
//! room | elements (see `element.rs`) | room
//! ```
//! Header and end of the listpack are left out; a caller that writes a run out puts them around it.
//! Elements come and go at both ends without moving the others, and in the middle the shorter
//! side moves.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::{fmt, iter};

use super::element::{END, Encoded, start_before, step, whole_bytes};
use super::{EMPTY_BYTES, Element, HEADER_BYTES, Iter, Listpack, UNKNOWN, Wanted};
use crate::encodings::allocation::size_class;

/// Elements with room on both sides.
#[derive(Clone, Default)]
pub struct Run {
    memory: Box<[u8]>,
    start: u32,
    end: u32,
    count: u32,
}

/// One of the two sides of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Front,
    Back,
}

impl Run {
    /// The elements of a listpack.
    pub fn of(listpack: &Listpack) -> Self {
        let bytes = &listpack.as_bytes()[HEADER_BYTES..listpack.bytes_len() - 1];
        Self::copy_of(bytes, listpack.len())
    }

    /// A listpack of its elements.
    pub fn to_listpack(&self) -> Listpack {
        let mut listpack = Listpack::new();
        listpack.splice(HEADER_BYTES, 0, [self.bytes()]);
        listpack.set_count(self.len());
        listpack
    }

    /// Appends a listpack of its elements to `out`.
    pub fn write_listpack(&self, out: &mut Vec<u8>) {
        let count = u16::try_from(self.count).unwrap_or(UNKNOWN);
        out.extend_from_slice(&offset_u32(self.listpack_bytes()).to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(self.bytes());
        out.push(END);
    }

    /// Elements in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether it has no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its elements as they lie in a listpack between header and end.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start as usize..self.end as usize]
    }

    /// Bytes of a listpack of its elements.
    #[inline]
    pub fn listpack_bytes(&self) -> usize {
        self.bytes_len() + EMPTY_BYTES
    }

    /// Bytes of its allocation.
    pub fn memory(&self) -> usize {
        self.memory.len()
    }

    /// Its elements, from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        let bytes = self.bytes();
        Iter { bytes, at: 0, end: bytes.len() }
    }

    /// Its elements from this number on.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        Iter { at: self.offset(index), ..self.iter() }
    }

    /// Its elements in runs of up to `bytes_max` bytes, or of one element.
    pub fn parts(&self, bytes_max: usize) -> impl Iterator<Item = Self> {
        let mut rest = self.bytes();
        iter::from_fn(move || {
            let (mut bytes, mut count) = (0, 0);
            while bytes < rest.len() {
                let next = bytes + whole_bytes(&rest[bytes..]);
                if bytes_max < next && 0 < count {
                    break;
                }
                (bytes, count) = (next, count + 1);
            }
            let part = rest.split_off(..bytes)?;
            (!part.is_empty()).then(|| Self::copy_of(part, count))
        })
    }

    /// Adds an element before the first. While there is room for a run of `bytes_max`, it is
    /// taken in advance.
    #[inline]
    pub fn push_front(&mut self, element: Element<'_>, bytes_max: usize) {
        self.splice(0, 0, &Encoded::of(element).parts(), bytes_max);
        self.count += 1;
    }

    /// Adds an element behind the last, as [`Self::push_front`] does.
    #[inline]
    pub fn push_back(&mut self, element: Element<'_>, bytes_max: usize) {
        self.splice(self.bytes_len(), 0, &Encoded::of(element).parts(), bytes_max);
        self.count += 1;
    }

    /// Puts an element before the one of this number, or behind all.
    pub fn insert(&mut self, index: usize, element: Element<'_>) {
        let at = self.offset(index);
        self.splice(at, 0, &Encoded::of(element).parts(), 0);
        self.count += 1;
    }

    /// Puts an element in the place of the one of this number.
    pub fn replace(&mut self, index: usize, element: Element<'_>) {
        let at = self.offset(index);
        let old = whole_bytes(&self.bytes()[at..]);
        self.splice(at, old, &Encoded::of(element).parts(), 0);
    }

    /// Removes up to `count` elements from the front.
    #[inline]
    pub fn remove_front(&mut self, count: usize) {
        let count = count.min(self.len());
        let at = match count {
            1 => whole_bytes(self.bytes()),
            _ => self.offset(count),
        };
        self.splice(0, at, &[], 0);
        self.lose(count);
    }

    /// Removes up to `count` elements from the back.
    #[inline]
    pub fn remove_back(&mut self, count: usize) {
        let (count, len) = (count.min(self.len()), self.bytes_len());
        let at = match count {
            1 => start_before(self.bytes(), len),
            _ => self.offset(self.len() - count),
        };
        self.splice(at, len - at, &[], 0);
        self.lose(count);
    }

    /// Removes the elements that are wanted, but not the first `skipped` of them and no more than
    /// `most`; says how many. All are moved in one pass.
    pub fn remove_wanted(&mut self, wanted: &Wanted<'_>, skipped: usize, most: usize) -> usize {
        let (start, end) = (self.start as usize, self.end as usize);
        let (mut from, mut to, mut kept_from) = (start, start, start);
        let (mut seen, mut removed) = (0, 0);
        while from < end && removed < most {
            let (element, bytes) = step(&self.memory[from..end]);
            let next = from + bytes;
            if wanted.is(element) {
                seen += 1;
                if skipped < seen {
                    self.memory.copy_within(kept_from..from, to);
                    to += from - kept_from;
                    kept_from = next;
                    removed += 1;
                }
            }
            from = next;
        }
        if 0 < removed {
            self.memory.copy_within(kept_from..end, to);
            self.end = offset_u32(to + end - kept_from);
            self.lose(removed);
            self.give_back();
        }
        removed
    }

    /// Removes the elements from number `index` on and returns them.
    pub fn split_off(&mut self, index: usize) -> Self {
        let at = self.offset(index);
        let tail = Self::copy_of(&self.bytes()[at..], self.len() - index);
        self.splice(at, self.bytes_len() - at, &[], 0);
        self.lose(tail.len());
        tail
    }

    /// Adds the elements of another run behind its own.
    pub fn append(&mut self, other: &Self) {
        self.splice(self.bytes_len(), 0, &[other.bytes()], 0);
        self.count += other.count;
    }

    /// Gives back room that is not needed as long as nothing is added.
    pub fn trim(&mut self) {
        let capacity = size_class(self.bytes_len());
        if capacity < self.memory.len() {
            self.move_to(capacity, 0);
        }
    }

    fn copy_of(bytes: &[u8], count: usize) -> Self {
        let mut memory = vec![0; size_class(bytes.len())].into_boxed_slice();
        memory[..bytes.len()].copy_from_slice(bytes);
        Self { memory, start: 0, end: offset_u32(bytes.len()), count: offset_u32(count) }
    }

    #[inline]
    fn bytes_len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Where the element of this number begins, or the end of all.
    fn offset(&self, index: usize) -> usize {
        let (bytes, len) = (self.bytes(), self.len());
        if len / 2 < index {
            (index..len).fold(bytes.len(), |at, _| start_before(bytes, at))
        } else {
            (0..index).fold(0, |at, _| at + whole_bytes(&bytes[at..]))
        }
    }

    fn lose(&mut self, count: usize) {
        self.count -= offset_u32(count);
    }

    /// Puts `parts` in the place of `removed` bytes at `at` of the elements; the count is up to
    /// the caller.
    #[inline]
    fn splice(&mut self, at: usize, removed: usize, parts: &[&[u8]], bytes_max: usize) {
        let added = parts.iter().map(|part| part.len()).sum::<usize>();
        let behind = self.bytes_len() - at - removed;
        let side = if at < behind { Side::Front } else { Side::Back };
        if removed < added {
            self.make_room(side, added - removed, bytes_max);
        }
        // The place begins before or ends behind where it did, whatever side moves.
        let place = self.start as usize + at;
        let place = match side {
            Side::Front => {
                let start = self.start as usize;
                let new_start = start + removed - added;
                self.memory.copy_within(start..place, new_start);
                self.start = offset_u32(new_start);
                new_start + at
            }
            Side::Back => {
                let end = self.end as usize;
                if added != removed {
                    self.memory.copy_within(place + removed..end, place + added);
                }
                self.end = offset_u32(end + added - removed);
                place
            }
        };
        let mut rest = &mut self.memory[place..place + added];
        for part in parts {
            let (head, tail) = rest.split_at_mut(part.len());
            head.copy_from_slice(part);
            rest = tail;
        }
        if added < removed {
            self.give_back();
        }
    }

    /// Sees to it that `more` bytes of room are on this side.
    #[inline]
    fn make_room(&mut self, side: Side, more: usize, bytes_max: usize) {
        let room = match side {
            Side::Front => self.start as usize,
            Side::Back => self.memory.len() - self.end as usize,
        };
        if room < more {
            self.find_room(side, more, bytes_max);
        }
    }

    #[cold]
    fn find_room(&mut self, side: Side, more: usize, bytes_max: usize) {
        let (len, capacity) = (self.bytes_len(), self.memory.len());
        let needed = len + more;
        if needed + capacity / 8 <= capacity {
            // The room is on the other side: each gets a half of what is left.
            let left = capacity - needed;
            let front = match side {
                Side::Front => more + left / 2,
                Side::Back => left / 2,
            };
            let old = self.start as usize..self.end as usize;
            self.memory.copy_within(old, front);
            (self.start, self.end) = (offset_u32(front), offset_u32(front + len));
            return;
        }
        // A run that is pushed to at one end and popped from at the other wants more room than its
        // elements ever take, or it would be moved too often.
        let grown = (2 * capacity).min(bytes_max + bytes_max / 4).max(needed);
        let capacity = size_class(grown);
        let front = match side {
            Side::Front => capacity - len,
            Side::Back => 0,
        };
        self.move_to(capacity, front);
    }

    /// Takes less memory if most of it is not used.
    #[inline]
    fn give_back(&mut self) {
        if self.bytes_len() < self.memory.len() / 4 {
            self.move_to_less();
        }
    }

    #[cold]
    fn move_to_less(&mut self) {
        let len = self.bytes_len();
        let capacity = size_class(2 * len);
        if capacity < self.memory.len() {
            self.move_to(capacity, (capacity - len) / 2);
        }
    }

    /// Moves the elements into an allocation of `capacity` bytes, behind `front` bytes of room.
    fn move_to(&mut self, capacity: usize, front: usize) {
        let mut memory = vec![0; capacity].into_boxed_slice();
        let bytes = self.bytes();
        memory[front..front + bytes.len()].copy_from_slice(bytes);
        (self.start, self.end) = (offset_u32(front), offset_u32(front + bytes.len()));
        self.memory = memory;
    }
}

#[inline]
fn offset_u32(offset: usize) -> u32 {
    u32::try_from(offset).expect("a run is below 4 GiB")
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// Bytes that a run may take in advance.
    const ROOM: usize = 256;

    fn of(elements: &[&[u8]]) -> Run {
        let mut run = Run::default();
        elements.iter().for_each(|it| run.push_back(Element::of(it), ROOM));
        run
    }

    fn elements(run: &Run) -> Vec<Vec<u8>> {
        run.iter().map(Element::to_vec).collect()
    }

    #[test]
    fn a_run_is_a_listpack_without_header_and_end() {
        let run = of(&[b"1", b"text", &[b'x'; 200], b"70000"]);
        let listpack = run.to_listpack();
        assert_eq!(listpack.as_bytes()[6..listpack.bytes_len() - 1], *run.bytes());
        assert_eq!((listpack.bytes_len(), listpack.len()), (run.listpack_bytes(), 4));
        assert_eq!(elements(&Run::of(&listpack)), elements(&run));
    }

    #[test]
    fn wanted_elements_go_in_one_pass() {
        // skipped, most, what stays of `abacab`
        for (skipped, most, left) in [
            (0, 9, "bcb"),
            (1, 9, "abcb"),
            (0, 1, "bacab"),
            (1, 1, "abcab"),
            (3, 9, "abacab"),
            (0, 0, "abacab"),
        ] {
            let mut run = of(&[b"a", b"b", b"a", b"c", b"a", b"b"]);
            let removed = run.remove_wanted(&Wanted::of(b"a"), skipped, most);
            assert_eq!((elements(&run).concat(), removed), (left.into(), 6 - left.len()));
            assert_eq!(run.len(), left.len());
        }
    }

    #[test]
    fn parts_hold_all_elements_and_no_more_bytes_than_they_may() {
        let run = of(&[b"1", b"text", &[b'x'; 200], b"70000", b"", b"2"]);
        for bytes_max in 1..300 {
            let parts: Vec<Run> = run.parts(bytes_max).collect();
            let all: Vec<_> = parts.iter().flat_map(elements).collect();
            assert_eq!(all, elements(&run));
            assert!(parts.iter().all(|part| part.bytes().len() <= bytes_max || part.len() == 1));
        }
        assert_eq!(Run::default().parts(10).count(), 0);
    }

    #[test]
    fn what_is_used_as_a_queue_takes_no_more_and_no_less_than_it_needs() {
        let mut run = Run::default();
        for number in 0..100_000i64 {
            run.push_back(Element::Int(number % 100), ROOM);
            if 100 < run.len() {
                run.remove_front(1);
            }
            assert!(run.memory() <= 2 * ROOM, "{}", run.memory());
        }
        run.remove_back(95);
        assert!(run.memory() <= 64, "{}", run.memory());
        run.trim();
        assert_eq!((run.memory(), run.bytes().len()), (16, 10));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Back(Vec<u8>),
        Front(Vec<u8>),
        Insert(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        CutFront(usize),
        CutBack(usize),
        Split(usize),
        Append(usize),
        Trim,
    }

    fn step() -> impl Strategy<Value = Step> {
        let index = || 0usize..30;
        let string = || {
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..5),
                prop::collection::vec(any::<u8>(), 0..200),
                any::<i16>().prop_map(|n| alloc::format!("{n}").into_bytes()),
            ]
        };
        prop_oneof![
            5 => string().prop_map(Step::Back),
            5 => string().prop_map(Step::Front),
            2 => (index(), string()).prop_map(|(at, it)| Step::Insert(at, it)),
            2 => (index(), string()).prop_map(|(at, it)| Step::Replace(at, it)),
            3 => (0usize..4).prop_map(Step::CutFront),
            3 => (0usize..4).prop_map(Step::CutBack),
            1 => index().prop_map(Step::Split),
            1 => index().prop_map(Step::Append),
            1 => Just(Step::Trim),
        ]
    }

    fn apply(run: &mut Run, model: &mut Vec<Vec<u8>>, step: Step) {
        match step {
            Step::Back(bytes) => {
                run.push_back(Element::of(&bytes), ROOM);
                model.push(bytes);
            }
            Step::Front(bytes) => {
                run.push_front(Element::of(&bytes), ROOM);
                model.insert(0, bytes);
            }
            Step::Insert(at, bytes) => {
                let at = at.min(model.len());
                run.insert(at, Element::of(&bytes));
                model.insert(at, bytes);
            }
            Step::Replace(at, bytes) if at < model.len() => {
                run.replace(at, Element::of(&bytes));
                model[at] = bytes;
            }
            Step::CutFront(count) => {
                run.remove_front(count);
                model.drain(..count.min(model.len()));
            }
            Step::CutBack(count) => {
                run.remove_back(count);
                model.truncate(model.len().saturating_sub(count));
            }
            Step::Split(at) => {
                let at = at.min(model.len());
                assert_eq!(elements(&run.split_off(at)), model.split_off(at));
            }
            Step::Append(at) => {
                let tail = run.clone().split_off(at.min(model.len()));
                run.append(&tail);
                model.extend(elements(&tail));
            }
            Step::Trim => run.trim(),
            Step::Replace(..) => {}
        }
    }

    proptest! {
        #[test]
        fn is_a_list(steps in prop::collection::vec(step(), 0..60)) {
            let (mut run, mut model) = (Run::default(), Vec::new());
            for step in steps {
                apply(&mut run, &mut model, step);
                prop_assert_eq!(elements(&run), model.clone());
                prop_assert_eq!((run.len(), run.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(run.memory(), size_class(run.memory()));
            }
            for at in 0..=model.len() {
                prop_assert!(run.iter_from(at).map(Element::to_vec).eq(model[at..].to_vec()));
            }
            prop_assert!(Listpack::from_bytes(run.to_listpack().as_bytes()).is_some());
        }
    }
}
