//! Bitmaps.

use super::{Family, Line, Role, exact};

pub const BITMAP: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    exact("BITCOUNT key [index index|index index (BYTE|BIT)|index@8.0]"),
    exact(
        "BITFIELD key (GET field-type field-offset|SET field-type field-offset int|\
         INCRBY field-type field-offset int|OVERFLOW (WRAP|SAT|FAIL))...",
    ),
    exact("BITFIELD_RO key (GET field-type field-offset)..."),
    exact("BITOP (AND|OR|XOR) key key..."),
    exact("BITOP NOT key key"),
    exact("BITPOS key bit [index|index index|index index (BYTE|BIT)]"),
    exact("GETBIT key bit-offset"),
    exact("SETBIT key bit-offset bit"),
    exact("SETBIT key bit-offset bit"),
    exact("SET key value"),
];
