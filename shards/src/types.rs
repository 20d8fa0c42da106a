//! What a key can hold.

pub mod object;
