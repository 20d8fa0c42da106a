//! What a command works with that runs on the control thread.

use shards::resp::error::Error;
use shards::resp::reply::Replies;

use crate::cluster::report::endpoint::Network;
use crate::control::clustering::asking::Request;
use crate::control::core::Control;
use crate::control::disk::DiskWork;
use crate::control::ending::Options;
use crate::control::standing::Reload;
use crate::mail::query::{Answer, Query};
use crate::routing::call::Call;

/// A control command's world.
#[derive(Debug)]
pub struct ControlCtx<'a> {
    /// The request: the command's name first.
    pub args: &'a [&'a [u8]],
    /// The id of the client that asks.
    pub client: u64,
    /// By which kind of address it reaches the server.
    pub network: Network,
    /// The database that it has selected.
    pub db: usize,
    /// Whether it is connected from this machine: by a unix socket or the loopback interface.
    pub local: bool,
    /// Whether it is one of the commands of an EXEC.
    pub in_exec: bool,
    /// Where replies are written.
    pub replies: Replies<'a>,
    /// Node-wide state, and the way to the shards.
    pub control: &'a mut Control,
}

/// What became of a control command.
#[derive(Debug)]
pub enum Outcome {
    /// It is answered.
    Done,
    /// Every shard is asked; with their answers, in the order of their numbers, the command goes
    /// on with this function.
    Ask(Query, Then),
    /// It is answered when this has happened.
    Wait(Awaited),
}

/// What a command may wait for.
#[derive(Debug)]
pub enum Awaited {
    /// The beginning of a snapshot by a child.
    Background,
    /// A snapshot.
    Save,
    /// The end of the child that writes a snapshot.
    Cancelled,
    /// DEBUG RELOAD.
    Reload(Reload),
    /// That the node follows no primary any more, and has applied all that came of one.
    Promotion,
    /// Work on a disk.
    Disk(DiskWork),
    /// The end of the process, or that there is none.
    End(Options),
    /// What the cluster answers.
    Cluster(Request),
}

/// How a command goes on that has asked the shards.
pub type Then = fn(&mut ControlCtx<'_>, Vec<Answer>) -> Result<(), Error>;

/// What a command of control does.
pub type ControlCommand = fn(&mut ControlCtx<'_>) -> Result<Outcome, Error>;

/// The commands of control, by their numbers in the table of all commands.
#[derive(Debug)]
pub struct ControlCommands(pub Vec<Option<ControlCommand>>);

impl ControlCommands {
    /// What a call does that runs on the control thread.
    pub fn of(&self, call: &Call) -> ControlCommand {
        self.0[call.id].expect("the table of commands and this list are made of one list")
    }
}
