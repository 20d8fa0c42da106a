//! From the top bits of a hash to its segment: directories; and a list of all segments, for those
//! who pick one by chance.
//!
//! A cell is a tagged pointer to a segment or to a directory over the next bits. A directory is an
//! array of cells; a segment of depth d stands in every cell that agrees with its d bits. A
//! directory doubles until it has as many bits as it may, then its cells get directories of their
//! own: 16384 slots make the first one 14 bits wide, so keys of one slot deepen the path to that
//! slot only.
//!
//! All `unsafe` here rests on this: every cell of a tree leads to a directory, which no other cell
//! leads to, or to a segment, and both live as long as the cell does. Cells are made and changed in
//! this file only. A segment is freed when no cell and no place in the list has it any more.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::num::NonZero;
use core::{ptr, slice};

use super::bucket::{At, Bucket};
use super::line::LINE_BYTES;
use super::list::List;
use super::resize::DEPTH_MAX;
use super::segment::{HOMES, Segment};

/// Bits of the first directory: one cell per slot.
const ROOT_BITS_MAX: u32 = 14;
/// Bits of any other directory.
const NESTED_BITS_MAX: u32 = 10;
/// Bits of a new directory: its cells fill one cache line.
const BITS_MIN: u32 = 3;

/// A tagged pointer, aligned to 64. Bit 0: it is a directory. Bits 1 to 5: the directory's bits,
/// or the segment's shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell(NonZero<usize>);

const IS_DIRECTORY: usize = 1;
const TAG: usize = LINE_BYTES - 1;

/// As many cells of a directory as fill a cache line.
#[repr(align(64))]
#[expect(dead_code, reason = "cells are read where they lie, not line by line")]
struct Cells([Cell; 1 << BITS_MIN]);

impl Cell {
    fn of(pointer: *mut u8, tag: usize) -> Self {
        let address = NonZero::new(pointer.expose_provenance());
        Self(address.expect("an allocation is somewhere") | tag)
    }

    fn of_segment<R>(segment: Box<Segment<R>>) -> Self {
        let shift = segment.shift() as usize;
        Self::of(Box::into_raw(segment).cast(), shift << 1)
    }

    /// A directory of these cells, of which there are two to the power of `bits`.
    fn of_directory(bits: u32, mut cell: impl FnMut(usize) -> Self) -> Self {
        let lines = (0..1 << (bits - BITS_MIN))
            .map(|line| Cells(core::array::from_fn(|index| cell((line << BITS_MIN) + index))));
        let lines: Box<[Cells]> = lines.collect();
        Self::of(Box::into_raw(lines).cast(), (bits as usize) << 1 | IS_DIRECTORY)
    }

    #[inline]
    fn pointer(self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(self.0.get() & !TAG)
    }

    #[inline]
    fn is_directory(self) -> bool {
        self.0.get() & IS_DIRECTORY != 0
    }

    /// How many bits choose a cell of the directory, or the segment's shift.
    #[inline]
    fn number(self) -> u32 {
        ((self.0.get() & TAG) >> 1) as u32
    }

    /// How many bits choose a cell of the directory; a segment counts as one of no bits.
    fn bits(self) -> u32 {
        if self.is_directory() { self.number() } else { 0 }
    }

    #[inline]
    fn segment<R>(self) -> *mut Segment<R> {
        let len = (HOMES >> self.number()) as usize;
        ptr::slice_from_raw_parts_mut(self.pointer().cast::<Bucket<R>>(), len) as *mut Segment<R>
    }

    /// The home bucket of `hash` in the segment.
    #[inline]
    fn home<R>(self, hash: u64) -> *mut Bucket<R> {
        let home = (hash % HOMES).wrapping_shr(self.number()) as usize;
        self.pointer().cast::<Bucket<R>>().wrapping_add(home)
    }

    /// The cells of the directory; a segment is its own.
    fn cells(&self) -> &[Self] {
        match self.bits() {
            0 => slice::from_ref(self),
            // SAFETY: a directory of n bits has 2^n cells, and lives as long as this cell.
            bits => unsafe { slice::from_raw_parts(self.pointer().cast(), 1 << bits) },
        }
    }

    /// The same, to change them.
    fn cells_mut(&mut self) -> &mut [Self] {
        match self.bits() {
            0 => slice::from_mut(self),
            // SAFETY: as for `cells`; no other cell leads to them, and this one is borrowed
            // mutably.
            bits => unsafe { slice::from_raw_parts_mut(self.pointer().cast(), 1 << bits) },
        }
    }

    /// Lets another cell take this one's place, and frees the directory that was there, though not
    /// those to which it leads.
    fn replace_directory(&mut self, with: Self, bytes: &mut usize) {
        let (cells, bits) = (self.pointer().cast::<Cells>(), self.bits());
        *self = with;
        if 0 < bits {
            *bytes -= directory_bytes(bits);
            let cells = ptr::slice_from_raw_parts_mut(cells, 1 << (bits - BITS_MIN));
            // SAFETY: it was made by `of_directory` of so many bits, and no cell leads to it now.
            drop(unsafe { Box::from_raw(cells) });
        }
    }
}

fn directory_bytes(bits: u32) -> usize {
    size_of::<Cell>() << bits
}

/// Directories and the segments below them.
pub(super) struct Tree<R> {
    root: Option<Cell>,
    /// All segments, if the root is a directory.
    list: List,
    /// Bytes of segments, of their buckets' children and of directories.
    pub(super) bytes: usize,
    marker: PhantomData<R>,
}

impl<R> Tree<R> {
    /// One without segments.
    pub(super) const fn new() -> Self {
        Self { root: None, list: List::new(), bytes: 0, marker: PhantomData }
    }

    /// Bytes of all allocations but the records'.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.list.memory()
    }

    /// How many segments there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self.root {
            None => 0,
            Some(root) if root.is_directory() => self.list.len(),
            Some(_) => 1,
        }
    }

    /// Whether there are no segments.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The home bucket of `hash` in a tree that is not empty.
    #[inline]
    pub(super) fn home(&self, hash: u64) -> &Bucket<R> {
        let root = self.root.expect("the tree is not empty");
        // SAFETY: the segment lives while the tree is borrowed.
        unsafe { &*locate(root, hash).home(hash) }
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn home_mut(&mut self, hash: u64) -> &mut Bucket<R> {
        let root = self.root.expect("the tree is not empty");
        // SAFETY: as for `home`, and the tree is borrowed mutably.
        unsafe { &mut *locate(root, hash).home(hash) }
    }

    /// The segment of `hash`; `None` if there is none.
    #[inline]
    pub(super) fn segment(&self, hash: u64) -> Option<&Segment<R>> {
        Some(self.at(locate(self.root?, hash)))
    }

    /// The same, to change it, and where its children are counted.
    #[inline]
    pub(super) fn segment_mut(&mut self, hash: u64) -> Option<(&mut Segment<R>, &mut usize)> {
        Some(self.at_mut(locate(self.root?, hash)))
    }

    /// The segment of number `place`, in no order.
    #[inline]
    pub(super) fn nth(&self, place: usize) -> Option<&Segment<R>> {
        Some(self.at(self.nth_cell(place)?))
    }

    /// The same, to change it, and where its children are counted.
    pub(super) fn nth_mut(&mut self, place: usize) -> Option<(&mut Segment<R>, &mut usize)> {
        Some(self.at_mut(self.nth_cell(place)?))
    }

    /// Gives a tree without segments its first one.
    pub(super) fn start(&mut self, segment: Box<Segment<R>>) {
        assert!(self.root.is_none(), "a tree starts once");
        self.bytes += segment.bytes();
        self.root = Some(Cell::of_segment(segment));
    }

    /// Lets another segment, of the same depth, take the place of that of `hash`; frees that.
    pub(super) fn exchange(&mut self, hash: u64, segment: Box<Segment<R>>) {
        let root = self.root.expect("a tree with a segment has a root");
        let old = locate(root, hash);
        let at = self.at(old).header().at;
        let new = self.put(segment, at);
        self.list.set(at.place(), new);
        self.file(hash, at.depth(), new);
        self.free(old);
    }

    /// Files the segment of `hash` under one bit more of it, and `other` under the opposite.
    pub(super) fn divide(&mut self, hash: u64, other: Box<Segment<R>>) {
        let root = self.root.expect("a tree with a segment has a root");
        let own = locate(root, hash);
        let at = self.at(own).header().at;
        let depth = at.depth() + 1;
        assert!(depth <= DEPTH_MAX, "no directory is finer");
        let place = if root.is_directory() { at.place() } else { 0 };
        let other = self.put(other, At::new(depth, self.len()));
        if !root.is_directory() {
            self.list.push(own);
        }
        self.list.push(other);
        self.at_mut(own).0.header_mut().at = At::new(depth, place);
        self.refine(hash, depth);
        self.file(hash, depth, own);
        self.file(hash ^ 1 << (64 - depth), depth, other);
    }

    /// The segment that differs from that of `hash` in the last of its bits only, if there is one:
    /// its other half may be split further, even into another directory.
    pub(super) fn buddy(&mut self, hash: u64) -> Option<&Segment<R>> {
        let depth = self.segment(hash)?.depth();
        let directory = Directory::of(self.root.as_mut()?, hash);
        if depth <= directory.skip {
            return None; // Only the root has nothing to merge with: other directories collapse.
        }
        let buddy = directory.owner.cells()[directory.index(hash ^ 1 << (64 - depth))];
        let buddy = if buddy.is_directory() { return None } else { self.at(buddy) };
        (buddy.depth() == depth).then_some(buddy)
    }

    /// Lets one segment take the place of that of `hash` and of its buddy; frees both.
    pub(super) fn unite(&mut self, hash: u64, segment: Box<Segment<R>>) {
        let root = self.root.expect("a tree with a segment has a root");
        let at = self.at(locate(root, hash)).header().at;
        let depth = at.depth();
        let both = [hash, hash ^ 1 << (64 - depth)].map(|hash| locate(root, hash));
        assert!(both[0] != both[1] && self.at(both[1]).depth() == depth, "it has a buddy");
        let new = self.put(segment, At::new(depth - 1, at.place()));
        self.list.set(at.place(), new);
        self.leave(self.at(both[1]).header().at.place());
        self.file(hash, depth - 1, new);
        both.into_iter().for_each(|old| self.free(old));
        let root = self.root.as_mut().expect("it was there just now");
        Directory::of(root, hash).shrink(depth - 1, &mut self.bytes);
        if !root.is_directory() {
            self.list = List::new();
        }
    }

    /// Frees everything.
    pub(super) fn clear(&mut self) {
        let Some(root) = self.root.take() else { return };
        let list = core::mem::replace(&mut self.list, List::new());
        if root.is_directory() {
            list.cells().for_each(|segment| self.free(segment));
            free_directories(root, &mut self.bytes);
        } else {
            self.free(root);
        }
        self.bytes = 0;
    }

    /// Points all cells that agree with `depth` bits of `hash` to a segment.
    fn file(&mut self, hash: u64, depth: u32, segment: Cell) {
        let root = self.root.as_mut().expect("a tree with a segment has a root");
        let directory = Directory::of(root, hash);
        assert!(directory.skip <= depth, "shallower segments lie in an outer directory");
        let cells = 1usize << (directory.reached() - depth);
        let start = directory.index(hash) & !(cells - 1);
        directory.owner.cells_mut()[start..start + cells].fill(segment);
    }

    /// Makes directories fine enough to tell `depth` bits of `hash` apart.
    fn refine(&mut self, hash: u64, depth: u32) {
        loop {
            let root = self.root.as_mut().expect("a tree with a segment has a root");
            let directory = Directory::of(root, hash);
            if depth <= directory.reached() {
                return;
            }
            directory.refine(hash, &mut self.bytes);
        }
    }

    /// Takes a segment out of the list; the last one takes its place there.
    fn leave(&mut self, place: usize) {
        if let Some(moved) = self.list.swap_remove(place) {
            let header = self.at_mut(moved).0.header_mut();
            header.at = At::new(header.at.depth(), place);
        }
    }

    #[inline]
    fn nth_cell(&self, place: usize) -> Option<Cell> {
        let root = self.root?;
        if root.is_directory() { self.list.get(place) } else { (place == 0).then_some(root) }
    }

    /// A cell for a new segment.
    fn put(&mut self, mut segment: Box<Segment<R>>, at: At) -> Cell {
        segment.header_mut().at = at;
        self.bytes += segment.bytes();
        Cell::of_segment(segment)
    }

    /// The segment to which a cell of this tree leads.
    #[inline]
    fn at(&self, cell: Cell) -> &Segment<R> {
        // SAFETY: the segment lives while the tree is borrowed.
        unsafe { &*cell.segment() }
    }

    /// The same, to change it, and where its children are counted.
    #[inline]
    fn at_mut(&mut self, cell: Cell) -> (&mut Segment<R>, &mut usize) {
        // SAFETY: as for `at`, and the tree is borrowed mutably.
        (unsafe { &mut *cell.segment() }, &mut self.bytes)
    }

    /// Frees a segment that no other cell leads to any more.
    fn free(&mut self, cell: Cell) {
        // SAFETY: it was made of a box, and this was the last cell that leads to it.
        let segment = unsafe { Box::from_raw(cell.segment::<R>()) };
        self.bytes -= segment.bytes();
    }
}

impl<R> Drop for Tree<R> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The cell that leads to the segment of `hash`.
#[inline]
fn locate(root: Cell, hash: u64) -> Cell {
    let (mut cell, mut rest) = (root, hash);
    loop {
        let (pointer, bits) = (cell.pointer(), cell.number());
        if !cell.is_directory() {
            return cell;
        }
        let index = rest.wrapping_shr(bits.wrapping_neg()) as usize;
        // SAFETY: a directory of n bits has 2^n cells; n is at least 1, so the shift is 64 - n.
        cell = unsafe { *pointer.cast::<Cell>().add(index) };
        rest = rest.wrapping_shl(bits);
    }
}

/// Frees the directories from `root` on. Recursion ends after four: they have 14, 10, 10 and 10
/// bits.
fn free_directories(mut root: Cell, bytes: &mut usize) {
    let nested = root.cells().iter().filter(|cell| cell.is_directory());
    nested.for_each(|cell| free_directories(*cell, bytes));
    let gone = root;
    root.replace_directory(gone, bytes);
}

/// The directory that holds a segment; a root that is a segment counts as one of no bits.
struct Directory<'a> {
    /// The cell that leads to it.
    owner: &'a mut Cell,
    bits: u32,
    /// Bits of the hash that led here.
    skip: u32,
}

impl<'a> Directory<'a> {
    /// The directory that holds the segment of `hash`.
    fn of(root: &'a mut Cell, hash: u64) -> Self {
        let mut directory = Self { bits: root.bits(), owner: root, skip: 0 };
        loop {
            let index = directory.index(hash);
            let next = directory.owner.cells()[index];
            if !next.is_directory() {
                return directory;
            }
            let skip = directory.reached();
            let owner = &mut directory.owner.cells_mut()[index];
            directory = Self { bits: next.bits(), owner, skip };
        }
    }

    /// Bits of the hash that lead to one of its cells.
    fn reached(&self) -> u32 {
        self.skip + self.bits
    }

    /// The number of the cell of `hash`.
    fn index(&self, hash: u64) -> usize {
        if self.bits == 0 { 0 } else { (hash << self.skip >> (64 - self.bits)) as usize }
    }

    /// Gives every cell a twin, or puts a directory between the cell of `hash` and its segment.
    fn refine(self, hash: u64, bytes: &mut usize) {
        let bits_max = if self.skip == 0 { ROOT_BITS_MAX } else { NESTED_BITS_MAX };
        if 0 < self.bits && self.bits < bits_max {
            let cells = self.owner.cells();
            let twice = Cell::of_directory(self.bits + 1, |index| cells[index / 2]);
            *bytes += directory_bytes(self.bits + 1);
            self.owner.replace_directory(twice, bytes);
        } else {
            let index = self.index(hash);
            let cell = &mut self.owner.cells_mut()[index];
            *cell = Cell::of_directory(BITS_MIN, |_| *cell);
            *bytes += directory_bytes(BITS_MIN);
        }
    }

    /// Gives memory back after a segment here got to be of `depth` by a merge.
    fn shrink(mut self, depth: u32, bytes: &mut usize) {
        if self.bits == 0 {
            return;
        }
        if depth == self.skip {
            let only = self.owner.cells()[0];
            return self.owner.replace_directory(only, bytes);
        }
        // Mostly the first pair already tells.
        while BITS_MIN < self.bits && self.owner.cells().as_chunks().0.iter().all(|[a, b]| a == b) {
            let cells = self.owner.cells();
            let half = Cell::of_directory(self.bits - 1, |index| cells[2 * index]);
            self.bits -= 1;
            *bytes += directory_bytes(self.bits);
            self.owner.replace_directory(half, bytes);
        }
    }
}
