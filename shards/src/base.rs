//! What everything else is made of: ids, time, hashing, numbers as text, globs, chance.

pub mod crc64;
pub mod float;
pub mod geohash;
pub mod glob;
mod grisu;
pub mod hash;
pub mod long_double;
mod natural;
pub mod number;
pub mod partial_sort;
pub mod random;
pub mod sha1;
pub mod slot;
pub mod spelling;
pub mod time;
pub mod trigonometry;
