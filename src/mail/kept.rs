//! Control keeps a client's batch for a while.

use crate::batches::epochs::Epoch;
use crate::reactor::ring::Token;

/// What the client's home is told: its batch rests until it comes back.
#[derive(Debug)]
pub struct Kept {
    /// The client.
    pub token: Token,
    /// When the batch set out.
    pub epoch: Epoch,
    /// What the client was answered before.
    pub replies: Vec<u8>,
}
