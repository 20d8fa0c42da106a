//! What everything else is made of: ids, time, hashing, numbers as text, globs, chance.

pub mod hash;
pub mod random;
pub mod slot;
pub mod time;
