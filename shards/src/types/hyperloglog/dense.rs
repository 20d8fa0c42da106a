//! Dense registers: six bits each, the first in the lowest bits of the first byte.

use super::REGISTERS;

/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;

const BITS: usize = 6;
const HIGHEST: u8 = (1 << BITS) - 1;
/// Four registers are three bytes.
const GROUP: usize = 4;
const GROUP_BYTES: usize = GROUP * BITS / 8;

#[inline]
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    let high = registers.get(at + 1).copied().unwrap_or(0);
    let [low, _] = (u16::from_le_bytes([registers[at], high]) >> shift).to_le_bytes();
    low & HIGHEST
}

#[inline]
pub(super) fn set(registers: &mut [u8], index: usize, value: u8) {
    let (at, shift) = (index * BITS / 8, index * BITS % 8);
    let [low_mask, high_mask] = (u16::from(HIGHEST) << shift).to_le_bytes();
    let [low, high] = (u16::from(value & HIGHEST) << shift).to_le_bytes();
    registers[at] = registers[at] & !low_mask | low;
    if high_mask != 0 {
        registers[at + 1] = registers[at + 1] & !high_mask | high;
    }
}

/// Shows all registers to `see`, each with its index.
pub(super) fn for_each(registers: &[u8], mut see: impl FnMut(usize, u8)) {
    let (groups, _) = registers.as_chunks::<GROUP_BYTES>();
    for (number, [first, second, third]) in groups.iter().enumerate() {
        let start = number * GROUP;
        see(start, first & HIGHEST);
        see(start + 1, (first >> 6 | second << 2) & HIGHEST);
        see(start + 2, (second >> 4 | third << 4) & HIGHEST);
        see(start + 3, third >> 2);
    }
}
