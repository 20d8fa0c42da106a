//! What a shard's changes leave behind, kept for those who read it: replicas that resume, flows,
//! the relay, an append-only file.
//!
//! Whole entries (`shards::journal::entry`) come in; bytes go out, by cursors,
//! each at its own pace. An offset is the number of bytes in front of a place, from the beginning
//! of the history on. Nothing here knows what a reader is, and no writer ever waits for one: a
//! reader that is too slow falls out.
//!
//! The stream that all logs are merged into is kept likewise.

pub mod cursors;
pub mod log;
pub mod backlog;
