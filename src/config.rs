//! The configuration: text in, text out. Nothing here opens a file, reads a clock or a socket.
//!
//! [`table`] is the only source: `Config`, its defaults, the configuration file, options of the
//! command line, CONFIG GET, SET and REWRITE, the sample file and the README's table follow from
//! its entries. [`valkey`] lists what Valkey knows and Keylane does not act on.

pub mod choices;
pub mod kinds;
pub mod line;
pub mod client_memory;
pub mod lists;
pub mod notify;
pub mod on_signal;
pub mod output_limits;
pub mod primary;
pub mod announced;
pub mod setting;
pub mod table;
pub mod valkey;
pub mod parse;
pub mod live;
pub mod rewrite;
pub mod sample;
