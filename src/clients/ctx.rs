//! What a command works with that is about its own client.

use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::clients::client::Client;
use crate::pubsub::interest::Interest;
use crate::routing::call::Call;
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

/// What a command about its own client does.
pub type ClientCommand = fn(&mut ClientCtx<'_>) -> Result<(), Error>;

/// The commands about their own clients, by their numbers in the table of all commands.
#[derive(Debug)]
pub struct ClientCommands(pub Vec<Option<ClientCommand>>);

impl ClientCommands {
    /// What a call does that runs on its client's own state.
    pub fn of(&self, call: &Call) -> ClientCommand {
        self.0[call.id].expect("the table of commands and this list are made of one list")
    }
}
