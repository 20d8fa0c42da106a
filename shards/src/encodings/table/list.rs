//! A list that grows without moving what is in it, but for a block: of all segments of a table.

use alloc::vec::Vec;

use super::tree::Cell;

/// Cells in a block: 8 KB.
const BLOCK: usize = 1024;

/// Cells, each found by its place.
#[derive(Debug)]
pub(super) struct List {
    /// All but the last are full, and the last is not empty.
    blocks: Vec<Vec<Cell>>,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new() }
    }

    /// Bytes of its allocations.
    pub(super) fn memory(&self) -> usize {
        let cells = self.blocks.iter().map(Vec::capacity).sum::<usize>();
        self.blocks.capacity() * size_of::<Vec<Cell>>() + cells * size_of::<Cell>()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<Cell> {
        self.blocks.get(place / BLOCK)?.get(place % BLOCK).copied()
    }

    /// Puts another cell in the place of one that is there; in none if the list is not kept.
    pub(super) fn set(&mut self, place: usize, cell: Cell) {
        if let Some(block) = self.blocks.get_mut(place / BLOCK) {
            block[place % BLOCK] = cell;
        }
    }

    /// Adds a cell, behind the last.
    pub(super) fn push(&mut self, cell: Cell) {
        match self.blocks.last_mut().filter(|last| last.len() < BLOCK) {
            Some(last) => last.push(cell),
            None => self.blocks.push(alloc::vec![cell]),
        }
    }

    /// Removes a cell; returns the one that was last if that is in its place now.
    pub(super) fn swap_remove(&mut self, place: usize) -> Option<Cell> {
        let last = self.blocks.last_mut()?;
        let moved = last.pop()?;
        if last.is_empty() {
            self.blocks.pop();
        }
        if self.len() <= place {
            return None;
        }
        self.set(place, moved);
        Some(moved)
    }

    /// All cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = Cell> {
        self.blocks.iter().flatten().copied()
    }
}
