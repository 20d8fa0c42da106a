//! Histories: what offsets are offsets of.
//!
//! A history is a line of development with a name and a log for each shard. An offset of a log
//! counts its bytes. A vector has an offset for each log. A scalar is one number for a vector: the
//! base of the history and what the entries in front of the vector weigh.

use std::fmt;

use shards::base::number::parse_u64;

use crate::replication::replid::ReplId;

/// Logs that a history may have, which is how many shards a node may have.
pub const LOGS_MAX: usize = 1024;
/// The highest offset or scalar that is read from a peer or a file: Valkey's have 63 bits. What is
/// added to it never overflows.
pub const OFFSET_MAX: u64 = 1 << 62;

/// A place in a log: bytes in front of it, from the beginning of the history on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

/// A place in a stream, or what a vector adds up to: `master_repl_offset`, which is the number of
/// bytes in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(pub u64);

/// An offset for each log of a history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vector(Vec<Offset>);

/// A point in all logs of a history at which nothing is half done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// What the vector adds up to.
    pub scalar: Scalar,
    /// Behind the fence's part in each log.
    pub vector: Vector,
}

/// Which logs of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// What this node writes.
    Own,
    /// Those of the history of this name, whatever node has written them.
    Kept(ReplId),
}

/// A log of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId {
    /// Which logs it is one of.
    pub whose: Whose,
    /// Its number among them.
    pub number: u16,
}

impl Offset {
    /// The place so many bytes later.
    pub const fn after(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl Scalar {
    /// The place so many bytes before, or the first one.
    pub const fn before(self, bytes: u64) -> Self {
        Self(self.0.saturating_sub(bytes))
    }

    /// The place so many bytes later.
    pub const fn after(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Vector {
    /// The beginning of a history with so many logs.
    pub fn start(logs: u16) -> Self {
        Self(vec![Offset::default(); logs.into()])
    }

    /// These offsets, one for each log.
    pub fn new(offsets: Vec<Offset>) -> Self {
        Self(offsets)
    }

    /// The vector that numbers with commas between them say, as [`fmt::Display`] writes it. `None`:
    /// they say none, there are more than [`LOGS_MAX`], or one is above [`OFFSET_MAX`].
    pub fn parse(text: &[u8]) -> Option<Self> {
        let number = |text| parse_u64(text).filter(|number| *number <= OFFSET_MAX).map(Offset);
        let numbers = text.split(|byte| *byte == b',').take(LOGS_MAX + 1);
        let offsets: Vec<Offset> = numbers.map(number).collect::<Option<_>>()?;
        (offsets.len() <= LOGS_MAX).then_some(Self(offsets))
    }

    /// The offsets, by log.
    pub fn offsets(&self) -> &[Offset] {
        &self.0
    }

    /// The offsets, by log.
    pub fn offsets_mut(&mut self) -> &mut [Offset] {
        &mut self.0
    }

    /// Whether no log is further here than there. Vectors of another length are of another history.
    pub fn is_within(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs.all(|(ours, theirs)| ours <= theirs)
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (log, offset) in self.0.iter().enumerate() {
            let comma = if log == 0 { "" } else { "," };
            write!(f, "{comma}{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_numbers_with_commas() {
        for good in ["0", "1,0,18", "4611686018427387904"] {
            let vector = Vector::parse(good.as_bytes()).expect("it is a vector");
            assert_eq!(vector.to_string(), good);
        }
        let long = ["1"; LOGS_MAX + 1].join(",");
        for bad in ["", ",", "1,", "-1", "1 2", "x", "4611686018427387905", &long] {
            assert_eq!(Vector::parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(Vector::parse(&long.as_bytes()[2..]).is_some());
    }

    #[test]
    fn a_vector_is_within_one_of_the_same_history_that_is_nowhere_behind() {
        let vector = |numbers: &[u64]| Vector::new(numbers.iter().copied().map(Offset).collect());
        let cases: [(&[u64], &[u64], bool); 5] = [
            (&[1, 2], &[1, 2], true),
            (&[1, 2], &[1, 3], true),
            (&[2, 2], &[1, 3], false),
            (&[1], &[1, 2], false),
            (&[1, 2], &[1], false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(vector(one).is_within(&vector(other)), expected, "{one:?} {other:?}");
        }
    }
}
