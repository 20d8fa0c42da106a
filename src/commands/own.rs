//! A command of the server: specified like one of the engine, but it runs elsewhere.

use shards::commands::spec::Spec;

use crate::clients::ctx::ClientCommand;
use crate::control::ctx::ControlCommand;
use crate::routing::call::{PubSubStep, Run, Step};

/// A command of the server.
#[derive(Debug)]
pub struct Own {
    /// What the world may know.
    pub spec: Spec,
    /// Where and how it runs.
    pub run: OwnRun,
}

/// Where and how a command of the server runs.
#[derive(Clone, Copy, Debug)]
pub enum OwnRun {
    /// At home, on the client's own state.
    Client(ClientCommand),
    /// On the control thread.
    Control(ControlCommand),
    /// As one of the commands that are made of coordination.
    Transaction(Step),
    /// As one of the commands about channels, at home.
    PubSub(PubSubStep),
    /// Not at all: it is a container without a valid subcommand.
    Container,
}

impl OwnRun {
    /// What routing needs to know of it.
    pub const fn run(self) -> Run {
        match self {
            Self::Client(_) => Run::Client,
            Self::Control(_) => Run::Control,
            Self::Transaction(step) => Run::Transaction(step),
            Self::PubSub(step) => Run::PubSub(step),
            Self::Container => Run::Container,
        }
    }
}
