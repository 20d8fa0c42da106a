//! Which versions this server is: its own, and those that clients expect of what it stands in for.

/// The Valkey version whose commands and replies this server has.
pub const VALKEY_VERSION: &str = "9.1.2";
/// The Redis version that clients are told who look for one, as Valkey tells them.
pub const REDIS_VERSION: &str = "7.2.4";
/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
