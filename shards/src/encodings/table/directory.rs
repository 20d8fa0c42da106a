//! Directories: from the top bits of a hash to its segment.
//!
//! A cell is a tagged pointer to a segment, to a directory over the next bits, or to nothing in
//! an empty table. A directory is an array of cells; a segment of depth d stands in every cell
//! that agrees with its d bits. A directory doubles until it has as many bits as it may, then
//! its cells get directories of their own: 16384 slots make the first one 14 bits wide, so keys
//! of one slot deepen the path to that slot only.

use core::ptr;

use super::memory::{LINE_BYTES, Memory};
use super::segment::Segment;

/// Bits of the first directory: one cell per slot.
const ROOT_BITS_MAX: u32 = 14;
/// Bits of any other directory.
const NESTED_BITS_MAX: u32 = 10;
/// Bits of a new directory: its cells fill one cache line.
const BITS_MIN: u32 = 3;

/// A tagged pointer, aligned to 64. Bit 0: it is a directory. Bits 1 to 5: the directory's bits,
/// or the segment's shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell(*mut u8);

const IS_DIRECTORY: usize = 1;
const TAG: usize = LINE_BYTES - 1;

/// What a cell points to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Segment(Segment),
    /// Its cells and how many bits choose one.
    Directory(*mut Cell, u32),
}

impl Cell {
    /// The root of an empty table.
    pub(super) const EMPTY: Self = Self(ptr::null_mut());

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0.is_null()
    }

    #[inline]
    pub(super) fn of_segment(segment: Segment) -> Self {
        Self(segment.base.cast::<u8>().map_addr(|base| base | usize::from(segment.shift) << 1))
    }

    fn of_directory(cells: *mut Self, bits: u32) -> Self {
        let tag = (bits as usize) << 1 | IS_DIRECTORY;
        Self(cells.cast::<u8>().map_addr(|cells| cells | tag))
    }

    /// Where it points; it is not empty.
    #[inline]
    pub(super) fn target(self) -> Target {
        let address = self.0.map_addr(|address| address & !TAG);
        let number = (self.0.addr() & TAG) >> 1;
        if self.0.addr() & IS_DIRECTORY == 0 {
            Target::Segment(Segment { base: address.cast(), shift: number as u8 })
        } else {
            Target::Directory(address.cast(), number as u32)
        }
    }
}

/// The segment of `hash` in the table with this root.
///
/// # Safety
/// `root` is the root of a live table that is not empty.
#[inline]
pub(super) unsafe fn locate(root: Cell, hash: u64) -> Segment {
    let (mut cell, mut rest) = (root, hash);
    loop {
        match cell.target() {
            Target::Segment(segment) => return segment,
            Target::Directory(cells, bits) => {
                // SAFETY: a directory of n bits has 2^n cells; n is at least 1, so the shift is
                // 64 - n.
                cell = unsafe { *cells.add(rest.wrapping_shr(bits.wrapping_neg()) as usize) };
                rest = rest.wrapping_shl(bits);
            }
        }
    }
}

/// The directory that holds a segment; the root cell itself counts as one of no bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    /// The cell that points to this directory, or the root.
    owner: *mut Cell,
    cells: *mut Cell,
    bits: u32,
    /// Bits of the hash that led here.
    skip: u32,
}

impl Directory {
    /// The directory that holds the segment of `hash`.
    ///
    /// # Safety
    /// `root` belongs to a live table that is not empty and that the caller may change, now and
    /// through the result, until a directory is replaced.
    pub(super) unsafe fn of(root: *mut Cell, hash: u64) -> Self {
        let mut directory = Self { owner: root, cells: root, bits: 0, skip: 0 };
        loop {
            // SAFETY: the caller's promise; `index` is within the directory.
            let next = unsafe { directory.cells.add(directory.index(hash)) };
            // SAFETY: as above.
            match unsafe { *next }.target() {
                Target::Segment(_) => return directory,
                Target::Directory(cells, bits) => {
                    let skip = directory.skip + directory.bits;
                    directory = Self { owner: next, cells, bits, skip };
                }
            }
        }
    }

    /// As [`Self::of`], after making directories fine enough to tell `depth` bits apart.
    ///
    /// # Safety
    /// As for `of`.
    pub(super) unsafe fn fine(root: *mut Cell, hash: u64, depth: u32, memory: &mut Memory) -> Self {
        loop {
            // SAFETY: the caller's promise.
            let directory = unsafe { Self::of(root, hash) };
            let reached = directory.skip + directory.bits;
            if depth <= reached {
                return directory;
            }
            let bits_max = if directory.skip == 0 { ROOT_BITS_MAX } else { NESTED_BITS_MAX };
            // SAFETY: the caller's promise; the view is not used after either call.
            unsafe {
                if 0 < directory.bits && directory.bits < bits_max {
                    directory.double(memory);
                } else {
                    directory.nest(hash, memory);
                }
            }
        }
    }

    /// Points all cells that agree with `depth` bits of `hash` to `segment`.
    ///
    /// # Safety
    /// The directory is live, may be changed, and `depth` is not beyond its bits.
    pub(super) unsafe fn set(self, hash: u64, depth: u32, segment: Segment) {
        let (start, cells) = self.range(hash, depth);
        for index in start..start + cells {
            // SAFETY: the range lies within the directory.
            unsafe { *self.cells.add(index) = Cell::of_segment(segment) };
        }
    }

    /// The segment that differs from that of `hash` and `depth` in the last of its bits only, if
    /// there is one: its other half may be split further, even into another directory.
    ///
    /// # Safety
    /// The directory is live and holds a segment of `hash` and `depth`.
    pub(super) unsafe fn buddy(self, hash: u64, depth: u32) -> Option<Segment> {
        if depth <= self.skip {
            return None; // Only the root has nothing to merge with: other directories collapse.
        }
        let (start, cells) = self.range(hash, depth);
        // SAFETY: the other half of the pair lies within the directory too.
        match unsafe { *self.cells.add(start ^ cells) }.target() {
            Target::Directory(..) => None,
            Target::Segment(buddy) => {
                // SAFETY: a cell of a live directory points to a live segment.
                (unsafe { buddy.header() }.depth == depth).then_some(buddy)
            }
        }
    }

    /// Gives memory back after `hash` got a segment of `depth` here by a merge.
    ///
    /// # Safety
    /// The directory is live, may be changed, and is not used afterwards.
    pub(super) unsafe fn shrink(mut self, depth: u32, memory: &mut Memory) {
        // SAFETY: the caller's promise. `owner` points to this directory and takes its only
        // segment over; a halved directory replaces this one there.
        unsafe {
            if self.bits == 0 {
                return;
            }
            if depth == self.skip {
                *self.owner = *self.cells;
                memory.free(self.cells.cast(), lines(self.bits));
                return;
            }
            while BITS_MIN < self.bits && self.is_twice_as_fine_as_needed() {
                let half = Self::allocate(self.bits - 1, memory);
                for index in 0..1 << (self.bits - 1) {
                    *half.add(index) = *self.cells.add(2 * index);
                }
                self.replace(half, self.bits - 1, memory);
                (self.cells, self.bits) = (half, self.bits - 1);
            }
        }
    }

    /// Calls `each` for every segment below `cell`, then frees the directories.
    ///
    /// # Safety
    /// The cell is the root of a live table that nobody uses any more, or lies below it.
    pub(super) unsafe fn free_all(
        cell: Cell,
        skip: u32,
        memory: &mut Memory,
        each: &mut dyn FnMut(&mut Memory, Segment),
    ) {
        match cell.target() {
            Target::Segment(segment) => each(memory, segment),
            // Recursion ends after four directories: they have 14, 10, 10 and 10 bits.
            Target::Directory(cells, bits) => {
                let mut index = 0;
                while index < 1 << bits {
                    // SAFETY: the index is within the directory. The depth of a segment is read
                    // before it is freed.
                    unsafe {
                        let cell = *cells.add(index);
                        index += match cell.target() {
                            Target::Directory(..) => 1,
                            Target::Segment(it) => 1 << (skip + bits - it.header().depth),
                        };
                        Self::free_all(cell, skip + bits, memory, each);
                    }
                }
                // SAFETY: it was allocated with this size, and nobody uses it any more.
                unsafe { memory.free(cells.cast(), lines(bits)) };
            }
        }
    }

    /// The number of the cell of `hash`.
    fn index(self, hash: u64) -> usize {
        if self.bits == 0 { 0 } else { (hash << self.skip >> (64 - self.bits)) as usize }
    }

    /// The first cell that agrees with `depth` bits of `hash`, and how many do.
    fn range(self, hash: u64, depth: u32) -> (usize, usize) {
        assert!(self.skip <= depth, "shallower segments lie in an outer directory");
        let cells = 1usize << (self.skip + self.bits - depth);
        (self.index(hash) & !(cells - 1), cells)
    }

    /// Gives every cell a twin.
    ///
    /// # Safety
    /// The directory is live, may be changed, and is not used afterwards.
    unsafe fn double(self, memory: &mut Memory) {
        let cells = Self::allocate(self.bits + 1, memory);
        // SAFETY: the new directory has twice the cells.
        unsafe {
            for index in 0..1 << self.bits {
                *cells.add(2 * index) = *self.cells.add(index);
                *cells.add(2 * index + 1) = *self.cells.add(index);
            }
            self.replace(cells, self.bits + 1, memory);
        }
    }

    /// Puts a directory between the cell of `hash` and its segment.
    ///
    /// # Safety
    /// The directory is live and may be changed.
    unsafe fn nest(self, hash: u64, memory: &mut Memory) {
        let cells = Self::allocate(BITS_MIN, memory);
        // SAFETY: the index is within the directory, the new one has 2^BITS_MIN cells.
        unsafe {
            let cell = self.cells.add(self.index(hash));
            for index in 0..1 << BITS_MIN {
                *cells.add(index) = *cell;
            }
            *cell = Cell::of_directory(cells, BITS_MIN);
        }
    }

    /// Whether all cells come in equal pairs. Mostly the first pair already tells.
    ///
    /// # Safety
    /// The directory is live.
    unsafe fn is_twice_as_fine_as_needed(self) -> bool {
        // SAFETY: both indices are within the directory.
        (0..1 << (self.bits - 1))
            .all(|pair| unsafe { *self.cells.add(2 * pair) == *self.cells.add(2 * pair + 1) })
    }

    /// Lets `cells` take this directory's place.
    ///
    /// # Safety
    /// This directory is live and not used afterwards; `cells` has `bits` bits.
    unsafe fn replace(self, cells: *mut Cell, bits: u32, memory: &mut Memory) {
        // SAFETY: the caller's promise; it was allocated with this size.
        unsafe {
            *self.owner = Cell::of_directory(cells, bits);
            memory.free(self.cells.cast(), lines(self.bits));
        }
    }

    fn allocate(bits: u32, memory: &mut Memory) -> *mut Cell {
        memory.allocate(lines(bits)).cast()
    }
}

fn lines(bits: u32) -> usize {
    (size_of::<Cell>() << bits).div_ceil(LINE_BYTES)
}
