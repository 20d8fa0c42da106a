//! Requests that wait for keys.

pub mod waits;
