//! What control asks shards, and what they answer.

/// A question to a shard.
#[derive(Clone, Debug)]
pub enum Query {
    /// Its figures.
    Figures,
}

/// A shard's answer.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
}

/// A command for the command logs.
#[derive(Debug)]
pub struct SlowEntry {
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
}
