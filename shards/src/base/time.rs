//! Points in time as distinct types. Nothing here reads a clock.

/// Milliseconds since 1970-01-01 00:00 UTC. Every expiry time is one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub u64);

impl UnixMs {
    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}
