//! What a command works with that is about its own client.

use shards::resp::reply::Replies;

use crate::clients::client::Client;
use crate::pubsub::interest::Interest;
use crate::routing::node::Node;

/// A client command's world.
#[derive(Debug)]
pub struct ClientCtx<'a> {
    /// The request: the command's name first.
    pub args: &'a [&'a [u8]],
    /// The client.
    pub client: &'a mut Client,
    /// Where replies are written.
    pub replies: Replies<'a>,
    /// Who listens to what, on all shards.
    pub interest: &'a Interest,
    /// This thread's copy of what all of the process shares.
    pub node: &'a Node,
}
