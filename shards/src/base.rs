//! What everything else is made of: ids, time, hashing, numbers as text, globs, chance.

pub mod float;
pub mod hash;
pub mod number;
pub mod random;
pub mod slot;
pub mod time;
