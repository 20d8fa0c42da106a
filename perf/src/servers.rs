//! What is measured: servers as processes behind sockets, those who speak with them, and what the
//! kernel knows of them.

pub mod benchmark;
pub mod client;
pub mod launch;
pub mod peer;
pub mod process;
pub mod scatter;
pub mod scrape;
pub mod server;
