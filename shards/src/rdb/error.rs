//! Why bytes were refused.

use alloc::string::String;
use core::fmt;

/// Bytes that make no sense, or that are too much, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// How many bytes were taken when it was found.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There should be more.
    Truncated,
    /// There is more than there should be.
    Trailing,
    /// There is no memory for what should be there.
    Memory,
    /// It begins neither as Redis's files do nor as Valkey's.
    Header,
    /// This version cannot be read.
    Version(u32),
    /// The checksum is another one.
    Checksum,
    /// A length that is none, or out of bounds.
    Length,
    /// A value of this kind, of which nothing is known.
    Kind(u8),
    /// A value or data of a module.
    Module(String),
    /// Functions as only a release candidate wrote them.
    OldFunctions,
    /// Compressed bytes that do not come to what was said.
    Compression,
    /// A score that is no number.
    Score,
    /// An expiry time that is none.
    Expiry,
    /// Bytes that are not this: `listpack`, `intset`, `ziplist`, `zipmap`, `stream` ...
    Encoding(&'static str),
    /// Something of this sort comes up twice: `field`, `member`, `consumer` ...
    Duplicate(&'static str),
    /// A collection without elements. All of it was taken, so that one may go on behind it.
    Empty,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends too early"),
            Self::Trailing => f.write_str("there are bytes behind the value"),
            Self::Memory => f.write_str("there is not enough memory for it"),
            Self::Header => f.write_str("it is no RDB file"),
            Self::Version(version) => write!(f, "RDB version {version} is not known"),
            Self::Checksum => f.write_str("the checksum is wrong"),
            Self::Length => f.write_str("a length is none or out of bounds"),
            Self::Kind(kind) => write!(f, "a value of the unknown kind {kind}"),
            Self::Module(name) => write!(f, "a value of the module type {name}"),
            Self::OldFunctions => f.write_str("functions of a release candidate of Redis 7"),
            Self::Compression => f.write_str("a compressed string is damaged"),
            Self::Score => f.write_str("a score is no number"),
            Self::Expiry => f.write_str("an expiry time is out of bounds"),
            Self::Encoding(name) => write!(f, "a {name} is damaged"),
            Self::Duplicate(name) => write!(f, "a {name} comes up twice"),
            Self::Empty => f.write_str("a collection without elements"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: {}", self.offset, self.problem)
    }
}

impl core::error::Error for Error {}
