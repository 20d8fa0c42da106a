//! What a command works with that runs on the control thread.

use shards::resp::reply::Replies;

/// A control command's world.
#[derive(Debug)]
pub struct ControlCtx<'a> {
    /// The request: the command's name first.
    pub args: &'a [&'a [u8]],
    /// Where replies are written.
    pub replies: Replies<'a>,
}
