//! Logs of shards on their way to replicas, and what a primary sends on its way to shards. No
//! socket and no letter: those who own them call in.

pub mod barrier;
pub mod dispatch;
pub mod following;
pub mod frames;
pub mod incoming;
pub mod kept;
pub mod outgoing;
pub mod served;
pub mod stored;
#[cfg(test)]
mod testing;
