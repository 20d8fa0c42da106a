//! What commands ask of the cluster. The machine answers; for some it is told how many keys there
//! are, which all shards are asked for before.

use shards::base::slot::Slot;
use shards::resp::error::Error;

use crate::cluster::ids::{NodeId, ShardId};
use crate::cluster::machine::event::{Command, Event, SetSlot, Ticket};
use crate::control::clustering::external;
use crate::control::core::Control;
use crate::control::saving::KeptRequest;
use crate::mail::query::{Answer, Query};
use crate::mail::to_shard::ToShard;
use crate::reactor::ring::Token;
use crate::reactor::system;
use crate::routing::node::Role;
use crate::routing::slots::Peer;

/// What a command asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// This.
    Plain(Command),
    /// This, when it is known how many keys there are.
    Counted(Counted),
    /// This, of a topology from outside.
    External(external::Request),
    /// CLUSTER SETSLOT but for NODE, and how many milliseconds replicas have to take it.
    SetSlot(Slot, SetSlot, u64),
}

/// Whether replicas know of a SETSLOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// They do.
    Yes,
    /// They are to, within so many milliseconds; 0 for any time.
    No(u64),
}

/// What depends on how many keys there are.
#[derive(Clone, Copy, Debug)]
pub enum Counted {
    /// CLUSTER REPLICATE
    Replicate(NodeId),
    /// CLUSTER FLUSHSLOTS
    FlushSlots,
    /// CLUSTER SETSLOT NODE, of the keys of the slot.
    Assign(Slot, NodeId, Told),
    /// CLUSTER RESET
    Reset(Reset),
}

/// What clients write while keys are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// What they like: it is only a first look.
    GoOn,
    /// Nothing, whatever becomes of the request.
    Rest,
    /// Nothing: it is held back for the request. What was acknowledged is counted.
    AreHeld,
}

/// A request that waits until no write is under way.
#[derive(Debug)]
pub(super) struct Resting {
    /// The order to hold writes back.
    order: u64,
    kept: KeptRequest,
    counted: Counted,
}

/// A request that the machine answers.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) request: KeptRequest,
    /// The slot, if it is a SETSLOT.
    pub(super) slot: Option<Slot>,
}

/// Which CLUSTER RESET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The node keeps its id.
    Soft,
    /// The node gets another id, and its epochs begin anew.
    Hard,
}

impl Control {
    /// Keeps a request until the machine has answered it.
    pub(crate) fn ask_cluster(&mut self, kept: KeptRequest, request: Request) {
        match request {
            Request::Plain(command) => self.put_to_cluster(kept, command),
            Request::External(request) => self.ask_external(kept, request),
            Request::SetSlot(slot, request, timeout_ms) => {
                self.tell_of_slot(kept, slot, request, timeout_ms);
            }
            Request::Counted(counted) => {
                let query = match counted {
                    Counted::Replicate(_) | Counted::FlushSlots | Counted::Reset(_) => {
                        Query::CountKeys
                    }
                    Counted::Assign(slot, ..) => Query::CountKeysInSlot(slot, None),
                };
                self.count_for_cluster(kept, &query, counted, Writes::GoOn);
            }
        }
    }

    /// The shards have counted.
    pub(crate) fn counted_for_cluster(
        &mut self,
        kept: KeptRequest,
        (counted, writes): (Counted, Writes),
        answers: Vec<Answer>,
    ) {
        let keys = answers.into_iter().map(|answer| match answer {
            Answer::Count(keys) => keys,
            _ => unreachable!("numbers were asked for"),
        });
        let keys: u64 = keys.sum();
        if let Counted::Assign(slot, owner, Told::No(timeout_ms)) = counted {
            let keys = usize::try_from(keys).unwrap_or(usize::MAX);
            let Some(clustering) = &self.clustering else { return };
            return match clustering.machine.assignee(slot, owner, keys) {
                Ok(_) => {
                    self.tell_of_slot(kept, slot, SetSlot::Node { owner, keys }, timeout_ms);
                }
                Err(error) => self.answer_kept(kept, Err(error)),
            };
        }
        let is_primary = self.node.condition.role == Role::Primary;
        match (counted, command(counted, keys, is_primary)) {
            (_, Err(error)) => self.answer_kept(kept, Err(error)),
            (Counted::Reset(_), Ok(_)) if writes == Writes::GoOn => {
                self.reset_cluster(kept, counted);
            }
            // Where a primary has keys that is refused, and no write waits for it.
            (Counted::Replicate(_), Ok(_)) if writes == Writes::GoOn && is_primary && keys == 0 => {
                self.count_at_rest(kept, counted);
            }
            (_, Ok(command)) => self.put_to_cluster(kept, command),
        }
        // Shards are told before what this node does not own any more.
        if let (Writes::AreHeld, Some(clustering)) = (writes, &mut self.clustering) {
            clustering.holds_to_count -= 1;
            self.release_writes();
        }
    }

    /// Counts all keys for a request while no client writes. A replica takes no writes, and a
    /// failover that is under way holds them back by itself.
    pub(super) fn count_at_rest(&mut self, kept: KeptRequest, counted: Counted) {
        if self.node.condition.role == Role::Replica || self.hold.is_some() {
            return self.count_for_cluster(kept, &Query::CountKeys, counted, Writes::Rest);
        }
        let order = self.hold_for_failover();
        if let Some(clustering) = &mut self.clustering {
            clustering.holds_to_count += 1;
            clustering.resting.push(Resting { order, kept, counted });
        }
    }

    /// No write is under way any more that this order holds back.
    pub(crate) fn cluster_rests(&mut self, order: u64) {
        let Some(clustering) = &mut self.clustering else { return };
        let rest = clustering.resting.extract_if(.., |resting| resting.order == order);
        let rest: Vec<Resting> = rest.collect();
        for Resting { kept, counted, .. } in rest {
            self.count_for_cluster(kept, &Query::CountKeys, counted, Writes::AreHeld);
        }
    }

    /// A client is gone, or is to go: what it waits for here for as long as it likes is given up.
    pub(crate) fn give_up(&mut self, home: Peer, token: Token) {
        let is_its = |kept: &KeptRequest| (kept.batch.home, kept.batch.token) == (home, token);
        let mut kept = self.give_up_tellings(is_its);
        let Some(clustering) = &mut self.clustering else { return };
        if let Some(external) = &mut clustering.external {
            let waits = external.waits.extract_if(.., |wait| is_its(&wait.kept));
            kept.extend(waits.map(|wait| wait.kept));
        }
        for KeptRequest { mut batch, .. } in kept {
            batch.next = batch.requests.len();
            self.mailbox.send(home, ToShard::Batch(batch));
        }
    }

    pub(super) fn set_slot(&mut self, kept: KeptRequest, slot: Slot, request: SetSlot) {
        self.put_to_cluster(kept, Command::SetSlot(slot, request));
    }

    pub(super) fn put_to_cluster(&mut self, kept: KeptRequest, command: Command) {
        let Some(clustering) = &mut self.clustering else { return };
        if let (Command::ResetSoft(_) | Command::ResetHard(..), Some(external)) =
            (&command, &mut clustering.external)
        {
            let goal = external.reset();
            clustering.reconciling.aim(goal);
        }
        let ticket = Ticket(clustering.next_ticket);
        clustering.next_ticket += 1;
        let slot = match command {
            Command::SetSlot(slot, _) => Some(slot),
            _ => None,
        };
        clustering.kept.insert(ticket, Kept { request: kept, slot });
        self.cluster_hears(Event::Asked(ticket, command));
    }
}

fn command(counted: Counted, keys: u64, is_primary: bool) -> Result<Command, Error> {
    let shard = || ShardId::of_random(system::random());
    Ok(match counted {
        Counted::Replicate(primary) => Command::Replicate { primary, is_empty: keys == 0 },
        Counted::FlushSlots if keys != 0 => {
            return Err(Error::Text("ERR DB must be empty to perform CLUSTER FLUSHSLOTS."));
        }
        Counted::FlushSlots => Command::FlushSlots,
        Counted::Assign(slot, owner, _) => {
            let keys = usize::try_from(keys).unwrap_or(usize::MAX);
            Command::SetSlot(slot, SetSlot::Node { owner, keys })
        }
        Counted::Reset(_) if keys != 0 && is_primary => {
            return Err(Error::Text(
                "ERR CLUSTER RESET can't be called with master nodes containing keys",
            ));
        }
        Counted::Reset(Reset::Soft) => Command::ResetSoft(shard()),
        Counted::Reset(Reset::Hard) => {
            Command::ResetHard(shard(), NodeId::of_random(system::random()))
        }
    })
}
