//! What a node of a cluster asks for, and the queue that keeps the order of it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use shards::resp::error::Error;

use super::event::{LinkId, Ticket};
use super::requests::CANNOT_SAVE;
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
    /// Ask a replica to take over, by a client's connection.
    AskToTakeOver(Heir),
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

/// A replica that is to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heir {
    /// Its id.
    pub id: NodeId,
    /// Where it is.
    pub ip: IpAddr,
    /// Where it listens for clients.
    pub port: u16,
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

/// Bytes of what may be lost (frames, messages, lines of the log) that wait for a save: what comes
/// beyond them is lost. A disk that hangs holds no memory without bound, whatever other nodes send.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Actions in their order. What stands behind a durable save is handed out when it is saved.
///
/// A save and a copy for the shards are made of what the machine knows when they are handed out. So
/// one that waits stands for all that are asked for later.
#[derive(Debug, Default)]
pub struct Actions {
    /// What waits, and how many bytes of it may be lost.
    queue: VecDeque<(Action, usize)>,
    /// The sum of these.
    bytes: usize,
    /// How many of each kind wait that stands for later ones.
    copies: usize,
    durable_saves: usize,
    lazy_saves: usize,
    /// Durable saves that the one under way stands for; 0 if none is.
    saving: usize,
    /// Durable saves that the next one stands for besides itself.
    joined: usize,
    /// Clients' messages that were lost.
    dropped: u64,
}

impl Actions {
    /// Appends an action.
    pub fn push(&mut self, action: Action) {
        let bytes = losable(&action);
        if self.saving != 0 {
            if self.has_waiting(&action) {
                self.joined += usize::from(matches!(action, Action::Save(Durability::Durable)));
                return;
            }
            if WAITING_BYTES_MAX < self.bytes + bytes && bytes != 0 {
                self.dropped += u64::from(is_message(&action));
                return;
            }
        }
        self.bytes += bytes;
        if let Some(count) = self.count_of(&action) {
            *count += 1;
        }
        self.queue.push_back((action, bytes));
    }

    /// Whether one that waits stands for this one.
    fn has_waiting(&self, action: &Action) -> bool {
        match action {
            Action::Own => self.copies != 0,
            Action::Save(Durability::Lazy) => self.durable_saves + self.lazy_saves != 0,
            Action::Save(Durability::Durable) => self.durable_saves != 0,
            _ => false,
        }
    }

    /// How many wait that are like this one, if that is counted.
    fn count_of(&mut self, action: &Action) -> Option<&mut usize> {
        match action {
            Action::Own => Some(&mut self.copies),
            Action::Save(Durability::Lazy) => Some(&mut self.lazy_saves),
            Action::Save(Durability::Durable) => Some(&mut self.durable_saves),
            _ => None,
        }
    }

    /// Takes out what stands at this place.
    fn take(&mut self, place: usize) -> Option<Action> {
        let (action, bytes) = self.queue.remove(place)?;
        self.bytes -= bytes;
        if let Some(count) = self.count_of(&action) {
            *count -= 1;
        }
        Some(action)
    }

    /// The next thing to do; `None` if there is none, or it waits for a save.
    pub fn next_action(&mut self) -> Option<Action> {
        if self.saving != 0 {
            return self.next_copy();
        }
        let action = self.take(0)?;
        if is_durable_save(&action) {
            self.saving = 1 + std::mem::take(&mut self.joined);
        }
        Some(action)
    }

    /// A copy for the shards waits for no disk: a node that may not write any more must not write
    /// while a disk hangs. It waits for what changes the node's role or keys.
    fn next_copy(&mut self) -> Option<Action> {
        if self.copies == 0 {
            return None;
        }
        let is_passed = |action: &Action| match action {
            Action::Log(..)
            | Action::Connect(..)
            | Action::Close(_)
            | Action::Send(..)
            | Action::Deliver(_)
            | Action::Save(_)
            | Action::AskToTakeOver(_)
            | Action::Reply(..) => true,
            Action::Own
            | Action::Follow(_)
            | Action::Promote
            | Action::Flush
            | Action::DeleteKeys(_)
            | Action::Pause(_)
            | Action::Unpause => false,
        };
        let first = self.queue.iter().position(|(action, _)| !is_passed(action))?;
        let is_copy = matches!(self.queue[first].0, Action::Own);
        if is_copy { self.take(first) } else { None }
    }

    /// The save is done: what stands behind it may go on. How many saves it stands for.
    pub fn saved(&mut self) -> usize {
        assert!(self.saving != 0, "a save was handed out");
        std::mem::take(&mut self.saving)
    }

    /// The save has failed: what stands behind it goes on, but for frames, up to the next save.
    /// Frames would tell what a restart forgets; clients get an error. How many saves it stands
    /// for.
    pub fn save_failed(&mut self) -> usize {
        let saves = self.saved();
        let is_save = |(action, _): &(Action, usize)| is_durable_save(action);
        let end = self.queue.iter().position(is_save).unwrap_or(self.queue.len());
        let mut rest = self.queue.split_off(end);
        self.queue.retain_mut(|(action, _)| {
            if let Action::Reply(_, reply @ Ok(_)) = action {
                *reply = Err(CANNOT_SAVE);
            }
            !matches!(action, Action::Send(..))
        });
        self.queue.append(&mut rest);
        self.bytes = self.queue.iter().map(|(_, bytes)| bytes).sum();
        saves
    }

    /// Clients' messages that were lost, for too much waited for a save.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

const fn is_durable_save(action: &Action) -> bool {
    matches!(action, Action::Save(Durability::Durable))
}

fn is_message(action: &Action) -> bool {
    match action {
        Action::Send(_, packet) => packet.message_len().is_some(),
        Action::Deliver(_) => true,
        _ => false,
    }
}

/// About how many bytes of an action may be lost; 0 if it must be done.
fn losable(action: &Action) -> usize {
    /// What an action takes itself.
    const OVERHEAD: usize = 128;
    match action {
        Action::Log(_, text) => OVERHEAD + text.len(),
        Action::Send(_, packet) => OVERHEAD + packet.weight(),
        Action::Deliver(message) => OVERHEAD + message.weight(),
        Action::Connect(..)
        | Action::Close(_)
        | Action::Save(_)
        | Action::Own
        | Action::Follow(_)
        | Action::Promote
        | Action::Flush
        | Action::AskToTakeOver(_)
        | Action::DeleteKeys(_)
        | Action::Pause(_)
        | Action::Unpause
        | Action::Reply(..) => 0,
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

    fn held() -> Actions {
        let mut actions = Actions::default();
        actions.push(Action::Save(Durability::Durable));
        assert_eq!(all(&mut actions).len(), 1);
        actions
    }

    #[test]
    fn a_save_that_hangs_holds_no_memory_without_bound() {
        let mut actions = held();
        let message = vec![0; 1 << 20];
        let publish = Publish { channel: Vec::new(), message };
        let message = Message::Publish(publish.clone());
        let packet = Arc::new(Packet::Light(Message::Publish(publish)));
        for _ in 0..100 {
            actions.push(Action::Send(LinkId::Outbound(1), Arc::clone(&packet)));
            actions.push(Action::Deliver(message.clone()));
            actions.push(log(&"x".repeat(1 << 20)));
            actions.push(Action::Save(Durability::Durable));
            actions.push(Action::Save(Durability::Lazy));
            actions.push(Action::Reply(Ticket(1), Ok(Answer::Ok)));
        }
        assert!(actions.bytes <= WAITING_BYTES_MAX, "{}", actions.bytes);
        assert_eq!(actions.dropped() + 2 * 63 / 3, 200, "lines of the log are not counted");
        assert_eq!(actions.queue.len(), 63 + 1 + 100, "a reply is never lost");
        assert_eq!(actions.saved(), 1);
        all(&mut actions);
        assert_eq!(actions.saved(), 100, "one save stands for all that were asked for");
        assert_eq!(all(&mut actions).len(), 160);
        assert_eq!((actions.bytes, actions.queue.len()), (0, 0));
    }

    #[test]
    fn what_is_lost_with_a_failed_save_makes_room() {
        let mut actions = held();
        (0..3).for_each(|_| actions.push(Action::Send(LinkId::Outbound(1), Arc::new(light()))));
        actions.push(log("a"));
        assert_eq!(actions.save_failed(), 1);
        assert_eq!(all(&mut actions).len(), 1);
        assert_eq!(actions.bytes, 0);
    }

    #[test]
    fn a_copy_for_the_shards_waits_for_no_disk_but_for_a_change_of_role() {
        for (label, first, is_early) in [
            ("a line", log("a"), true),
            ("another save", Action::Save(Durability::Durable), true),
            ("a new role", Action::Promote, false),
        ] {
            let mut actions = held();
            actions.push(first);
            (0..2).for_each(|_| actions.push(Action::Own));
            assert_eq!(all(&mut actions), if is_early { vec!["Own"] } else { vec![] }, "{label}");
            actions.saved();
            all(&mut actions);
            assert_eq!(actions.queue.len(), 0, "{label}: one copy stands for both");
        }
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
                Action::Reply(Ticket(1), Ok(Answer::Ok)),
                Action::Save(Durability::Durable),
                send(),
            ];
            steps.into_iter().for_each(|action| actions.push(action));
            assert_eq!(all(&mut actions).len(), 3);
            assert!(actions.next_action().is_none());
            assert_eq!(if fails { actions.save_failed() } else { actions.saved() }, 1);
            let rest = all(&mut actions);
            assert_eq!(rest.len(), if fails { 2 } else { 3 });
            assert_eq!(rest.iter().any(|action| action.contains("Ok(Ok)")), !fails, "{rest:?}");
            actions.saved();
            assert_eq!(all(&mut actions).len(), 1, "the second save did not fail");
        }
    }
}
