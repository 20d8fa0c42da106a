//! What a node of a cluster asks for, and the queue that keeps the order of it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use shards::resp::error::Error;

use super::event::{LinkId, Ticket};
use crate::cluster::frame::{Message, Packet};
use crate::cluster::ids::NodeId;
use crate::cluster::slot_set::SlotSet;
use crate::config::choices::LogLevel;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write this line into the log.
    Log(LogLevel, String),
    /// Connect, and say how that went.
    Connect(LinkId, IpAddr, u16),
    /// Close a link; no event tells of its end.
    Close(LinkId),
    /// Send this by a link, unless it has ended.
    Send(LinkId, Arc<Packet>),
    /// Give this to subscribers of this node.
    Deliver(Message),
    /// Write nodes.conf.
    Save(Durability),
    /// Give the shards a new copy of who owns what.
    Own,
    /// Replicate this node.
    Follow(Follow),
    /// Become a primary, with the history that there is.
    Promote,
    /// Drop all keys, and the snapshot on the disk.
    Flush,
    /// Delete the keys of these slots: another node owns them.
    DeleteKeys(SlotSet),
    /// Let writes wait for a manual failover, for so many milliseconds at most; say when they rest
    /// and the offset stands still.
    Pause(u64),
    /// End that pause.
    Unpause,
    /// Answer a client.
    Reply(Ticket, Result<Answer, Error>),
}

/// Whether a file is to be on the disk before what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is: actions behind it wait for `Saved`.
    Durable,
    /// It may be lost with the machine.
    Lazy,
}

/// Whom a node is to replicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Its id.
    pub primary: NodeId,
    /// Where it is.
    pub ip: IpAddr,
    /// Where it listens for clients.
    pub port: u16,
    /// How.
    pub sync: Sync,
}

/// How a new primary is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It is asked for what this node lacks: it is of this node's shard.
    Partial,
    /// It is asked for everything.
    Full,
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `+OK`
    Ok,
    /// A simple string.
    Text(String),
}

/// Actions in their order. What stands behind a durable save is handed out when it is saved.
#[derive(Debug, Default)]
pub struct Actions {
    queue: VecDeque<Action>,
    saving: bool,
}

impl Actions {
    /// Appends an action.
    pub fn push(&mut self, action: Action) {
        self.queue.push_back(action);
    }

    /// The next thing to do; `None` if there is none, or it waits for a save.
    pub fn next_action(&mut self) -> Option<Action> {
        if self.saving {
            return None;
        }
        let action = self.queue.pop_front()?;
        self.saving = matches!(action, Action::Save(Durability::Durable));
        Some(action)
    }

    /// The save is done: what stands behind it may go on.
    pub fn saved(&mut self) {
        assert!(self.saving, "a save was handed out");
        self.saving = false;
    }

    /// The save has failed: what stands behind it goes on, but for frames, up to the next save.
    /// Frames would tell what a restart forgets.
    pub fn save_failed(&mut self) {
        self.saved();
        let is_save = |action: &Action| matches!(action, Action::Save(Durability::Durable));
        let mut rest =
            self.queue.split_off(self.queue.iter().position(is_save).unwrap_or(self.queue.len()));
        self.queue.retain(|action| !matches!(action, Action::Send(..)));
        self.queue.append(&mut rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::frame::Message;
    use crate::cluster::frame::bodies::Publish;

    fn light() -> Packet {
        let publish = Publish { channel: Vec::new(), message: Vec::new() };
        Packet::Light(Message::Publish(publish))
    }

    fn log(text: &str) -> Action {
        Action::Log(LogLevel::Notice, text.to_string())
    }

    fn all(actions: &mut Actions) -> Vec<String> {
        std::iter::from_fn(|| actions.next_action()).map(|action| format!("{action:?}")).collect()
    }

    #[test]
    fn what_stands_behind_a_durable_save_waits_for_it() {
        let send = || Action::Send(LinkId::Outbound(1), Arc::new(light()));
        for fails in [false, true] {
            let mut actions = Actions::default();
            let steps = [
                log("a"),
                Action::Save(Durability::Lazy),
                Action::Save(Durability::Durable),
                send(),
                log("b"),
                Action::Save(Durability::Durable),
                send(),
            ];
            steps.into_iter().for_each(|action| actions.push(action));
            assert_eq!(all(&mut actions).len(), 3);
            assert!(actions.next_action().is_none());
            if fails {
                actions.save_failed()
            } else {
                actions.saved()
            }
            assert_eq!(all(&mut actions).len(), if fails { 2 } else { 3 });
            actions.saved();
            assert_eq!(all(&mut actions).len(), 1, "the second save did not fail");
        }
    }
}
