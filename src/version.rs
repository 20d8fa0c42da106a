//! Which versions this server is: its own, and those that clients expect of what it stands in for.

/// The Valkey version whose commands and replies this server has.
pub const VALKEY_VERSION: &str = "9.1.2";
/// The Redis version that clients are told who look for one, as Valkey tells them.
pub const REDIS_VERSION: &str = "7.2.4";
/// What a client is told that it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandsFor {
    /// As a word.
    pub server: &'static str,
    /// As a name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl StandsFor {
    /// A Valkey.
    pub const VALKEY: Self = Self { server: "valkey", name: "Valkey", version: VALKEY_VERSION };
    /// The Redis that this Valkey is compatible with: `extended-redis-compatibility`.
    pub const REDIS: Self = Self { server: "redis", name: "Redis", version: REDIS_VERSION };

    /// What this server stands in for.
    pub const fn of(extended_redis_compatibility: bool) -> Self {
        if extended_redis_compatibility { Self::REDIS } else { Self::VALKEY }
    }
}

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
