//! What a key can hold.

pub mod limits;
pub mod hash;
pub mod list;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod hyperloglog;
pub mod object;
