//! Rules that everything passes, each at its one door: what clients may send, hold and be given.

mod client_memory;
