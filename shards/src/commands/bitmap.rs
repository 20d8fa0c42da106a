//! The list of bitmap commands.

mod bitcount;
mod bitfield;
mod bitop;
mod bitpos;
mod bits;
mod field;
mod getbit;
mod offset;
mod range;
mod setbit;

use crate::commands::spec::Command;

/// Every bitmap command.
pub const COMMANDS: &[Command] = &[
    bitcount::BITCOUNT,
    bitfield::BITFIELD,
    bitfield::BITFIELD_RO,
    bitop::BITOP,
    bitpos::BITPOS,
    getbit::GETBIT,
    setbit::SETBIT,
];
