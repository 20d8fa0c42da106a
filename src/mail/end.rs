//! What control says to shards about the end of the process.

use crate::shutdown::stage::Stage;

/// What control says to shards about the end.
#[derive(Clone, Debug)]
pub enum EndWord {
    /// This stage of this attempt to end begins.
    Begin(u64, Stage),
    /// No more connections are accepted.
    CloseListeners,
    /// There is no end.
    Resume,
}
