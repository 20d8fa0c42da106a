//! Letters between threads: what they say, and the boxes they go by.

pub mod letter;
pub mod mailbox;
pub mod query;
