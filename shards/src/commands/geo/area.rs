//! The cells of the world that a search must look at.

use super::shape::Shape;
use crate::base::geohash::{Cell, Place, STEPS_MAX};

/// Half of the earth's circumference in the Mercator projection.
const MERCATOR_MAX_M: f64 = 20_037_726.37;

/// The cell of a place and those around it, in the order in which they are searched.
const OFFSETS: [(i32, i32); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// The cell in which the center of `shape` lies and those of its neighbors that the shape may
/// reach. All of them together cover it.
pub(super) fn cells(shape: &Shape) -> impl Iterator<Item = Cell> {
    let bounds = shape.bounds();
    let is_enough = |cell: Cell| {
        bounds.north <= cell.neighbor(0, 1).area().north
            && cell.neighbor(0, -1).area().south <= bounds.south
            && bounds.east <= cell.neighbor(1, 0).area().east
            && cell.neighbor(-1, 0).area().west <= bounds.west
    };
    let mut cell = Cell::of(shape.center, steps(shape.reach_m(), shape.center));
    if 1 < cell.steps && !is_enough(cell) {
        cell = Cell::of(shape.center, cell.steps - 1);
    }
    let area = cell.area();
    let wanted = move |(columns, rows): &(i32, i32)| {
        // Of fewer cells than these some are their own neighbors.
        cell.steps < 2
            || !(*rows < 0 && area.south < bounds.south
                || 0 < *rows && bounds.north < area.north
                || *columns < 0 && area.west < bounds.west
                || 0 < *columns && bounds.east < area.east)
    };
    let neighbors = OFFSETS.into_iter().enumerate().filter(move |(_, offset)| wanted(offset));
    // Where cells are few, a neighbor may be the one before. That this never holds for the second
    // cell, as Valkey has it, decides which members are found twice.
    let mut last: Option<(usize, Cell)> = None;
    neighbors.filter_map(move |(at, (columns, rows))| {
        let neighbor = cell.neighbor(columns, rows);
        let is_again = last.is_some_and(|(before, last)| before != 0 && last == neighbor);
        if is_again {
            return None;
        }
        last = Some((at, neighbor));
        Some(neighbor)
    })
}

/// Halvings after which nine cells are large enough for a search to this distance.
fn steps(reach_m: f64, center: Place) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let (mut steps, mut reach_m) = (1i32, reach_m);
    while reach_m < MERCATOR_MAX_M {
        reach_m *= 2.0;
        steps += 1;
    }
    // Two fewer, so that the shape is covered in most cases; toward the poles cells are narrow.
    steps -= 2;
    let latitude = center.latitude.abs();
    steps -= i32::from(66.0 < latitude) + i32::from(80.0 < latitude);
    u32::try_from(steps).unwrap_or(1).clamp(1, STEPS_MAX)
}
