//! Every error text a client can see, as Valkey words it.

use alloc::string::String;
use alloc::vec::Vec;

/// Why a command failed: written as `-TEXT\r\n`. Add a variant per text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The key holds another type.
    WrongType,
    /// The arguments make no sense.
    Syntax,
    /// Not an integer, or outside of 64 bits.
    NotInteger,
    /// Wrong number of arguments for this (sub)command, given by its name as Valkey shows it.
    WrongArity(String),
    /// Any other fixed text, its code included: `ERR no such key`.
    Text(&'static str),
    /// Any other text that names what came in, its code included.
    Owned(String),
}

impl Error {
    /// Appends `-TEXT\r\n`; control characters in it become spaces.
    pub fn write(&self, out: &mut Vec<u8>) { todo!() }
}
