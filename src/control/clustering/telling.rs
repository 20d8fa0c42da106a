//! CLUSTER SETSLOT goes to the replicas before it is done here: one that takes over knows which
//! slots are on their way.
//!
//! ```text
//! checked --> SETSLOT in the log, a fence behind it --all replicas have it--> checked again, done
//!                                                   --time is up--> -NOREPLICAS
//! ```
//! If it is not done in the end, for whatever reason, those who come to it are told what holds.
//! A command of an EXEC is in the log, too, but replicas are not waited for: a fence would wait for
//! the claims of the EXEC. Who gets a snapshot is not waited for either, and is told behind it
//! which slots are on their way. Nothing is told if there never was a replica, and if one that is
//! there is too old to know what to do with it (before Valkey 8). One that was away meanwhile finds
//! it in the log, writes a line that it is an error there, and goes on.

use shards::base::slot::Slot;
use shards::journal::units::Unit;
use shards::resp::error::Error;
use shards::shard::Shard;

use crate::cluster::machine::event::{SetSlot, Ticket};
use crate::cluster::machine::orders::Order;
use crate::control::clustering::asking::{Counted, Told, Writes};
use crate::control::core::Control;
use crate::control::fences::{NOTES, Purpose};
use crate::control::saving::KeptRequest;
use crate::control::standing::Wish;
use crate::mail::query::Query;
use crate::mail::replica::LogWord;
use crate::mail::to_shard::ToShard;
use crate::reactor::clock::Monotonic;
use crate::replication::greeting::Version;
use crate::replication::history::Fence;
use crate::replication::session::shown::Standing;
use crate::routing::node::Role;

/// The last version of Redis, or Valkey, whose replicas do not take SETSLOT.
const TOO_OLD: Version = Version { major: 7, minor: 2, patch: u8::MAX };

/// A SETSLOT that replicas are told of.
#[derive(Debug)]
pub(super) struct Telling {
    number: u64,
    pub(super) kept: KeptRequest,
    slot: Slot,
    request: SetSlot,
    /// When it is given up; `None`: never.
    until: Option<Monotonic>,
    /// Where replicas have it; `None`: it is not in the log yet.
    fence: Option<Fence>,
}

/// Replicas that are to know of a SETSLOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// Some are online, and waited for.
    Online,
    /// All wait for a snapshot, or have not said yet that they have it; or those that were there
    /// come back, and ask for what they have missed of the log.
    Coming,
}

impl Control {
    /// Has the replicas told of a SETSLOT that may be done, and does it then.
    pub(super) fn tell_of_slot(
        &mut self,
        kept: KeptRequest,
        slot: Slot,
        request: SetSlot,
        timeout_ms: u64,
    ) {
        let Some(audience) = self.audience() else {
            return self.set_told_slot(kept, slot, request);
        };
        if kept.batch.is_exec() || audience == Audience::Coming {
            self.log_set_slot(slot, request);
            return self.set_told_slot(kept, slot, request);
        }
        let until = (timeout_ms != 0).then(|| Monotonic::now().after_millis(timeout_ms)).flatten();
        let Some(clustering) = &mut self.clustering else { return };
        let number = clustering.next_telling;
        clustering.next_telling += 1;
        clustering.tellings.push(Telling { number, kept, slot, request, until, fence: None });
        self.wish(Wish::Fence(Purpose::Slot(number)));
    }

    /// Which replicas are to know of SETSLOT, unless those that there are do nothing with it.
    fn audience(&self) -> Option<Audience> {
        let standings = || self.replicating.view.sessions.iter().map(|session| &session.standing);
        let all_know = |are_online: bool| {
            let mut some = standings().filter(|standing| standing.is_online() == are_online);
            some.all(|standing| standing.version.is_some_and(|version| TOO_OLD < version))
        };
        let are_online = standings().any(Standing::is_online);
        let audience = if are_online { Audience::Online } else { Audience::Coming };
        (self.replicating.keeps_logs() && all_know(are_online)).then_some(audience)
    }

    /// Replicas get a snapshot, in which the slots that are on their way are not.
    pub(crate) fn tell_of_open_slots(&mut self) {
        let Some(clustering) = &self.clustering else { return };
        if self.node.condition.role == Role::Primary && self.audience().is_some() {
            let open = clustering.machine.open_slots();
            open.into_iter().for_each(|(slot, how)| self.log_set_slot(slot, how));
        }
    }

    /// A SETSLOT of this slot is in the log, and is not done: replicas are told what holds. Not if
    /// this node hands over: its heir waits for the end of a log that rests.
    fn take_back(&mut self, slot: Slot) {
        let Some(clustering) = &self.clustering else { return };
        let (machine, nodes) = (&clustering.machine, clustering.machine.nodes());
        if machine.may_set_slots().is_err() || self.audience().is_none() {
            return;
        }
        let owner = nodes.owner(slot).map(|key| nodes.at(key).id);
        let owner = owner.map(|owner| SetSlot::Node { owner, keys: 0 });
        let mut open = machine.open_slots();
        open.retain(|(open, _)| *open == slot);
        let open = open.into_iter().map(|(_, how)| how);
        let holds = owner.into_iter().chain([SetSlot::Stable]).chain(open);
        holds.for_each(|how| self.log_set_slot(slot, how));
    }

    /// The machine has refused it: what held when replicas were told does not any more.
    pub(super) fn slot_is_refused(&mut self, ticket: Ticket) {
        let kept = self.clustering.as_ref().and_then(|clustering| clustering.kept.get(&ticket));
        if let Some(slot) = kept.and_then(|kept| kept.slot) {
            self.take_back(slot);
        }
    }

    /// Gives up those of a client. What it has kept.
    pub(super) fn give_up_tellings(
        &mut self,
        is_its: impl Fn(&KeptRequest) -> bool,
    ) -> Vec<KeptRequest> {
        let mut kept = Vec::new();
        while let Some(telling) = self.take_telling(|telling, _| is_its(&telling.kept)) {
            if telling.fence.is_some() {
                self.take_back(telling.slot);
            }
            kept.push(telling.kept);
        }
        kept
    }

    fn log_set_slot(&mut self, slot: Slot, how: SetSlot) {
        self.mailbox.send(NOTES, ToShard::Log(LogWord::SetSlot(slot, how)));
    }

    /// Logs it; a fence follows. All shards stand still.
    pub(crate) fn log_slot(&self, number: u64, shards: &mut [&mut Shard]) {
        let tellings = self.clustering.iter().flat_map(|clustering| &clustering.tellings);
        for telling in tellings.filter(|telling| telling.number == number) {
            let mut unit = Unit::default();
            unit.push(0, &Order::words(telling.slot, telling.request));
            shards[NOTES].effects.log.push_unit(&unit);
        }
    }

    /// It is in the log, in front of this fence; `None`: this node is a primary no more.
    pub(crate) fn slot_is_logged(&mut self, number: u64, fence: Option<Fence>) {
        let Some(clustering) = &mut self.clustering else { return };
        let mut tellings = clustering.tellings.iter_mut();
        let Some(telling) = tellings.find(|telling| telling.number == number) else { return };
        telling.fence = fence;
        if telling.fence.is_none() {
            // What is done then says so.
            telling.until = None;
            self.go_on_with_slots(|telling, _| telling.number == number);
        }
    }

    /// Goes on with those that all replicas have, and gives up what takes too long.
    pub(super) fn see_to_tellings(&mut self) {
        self.go_on_with_slots(|telling, control| {
            let fence = telling.fence.as_ref();
            fence.is_some_and(|fence| control.replicating.acks.all_cover(fence))
        });
        let now = Monotonic::now();
        while let Some(late) = self.take_telling(|telling, _| {
            telling.until.is_some_and(|until| now.until(until).is_zero())
        }) {
            if late.fence.is_some() {
                self.take_back(late.slot);
            }
            self.answer_kept(late.kept, Err(Error::NoReplicas));
        }
    }

    fn go_on_with_slots(&mut self, is_due: impl Fn(&Telling, &Self) -> bool) {
        while let Some(Telling { kept, slot, request, .. }) = self.take_telling(&is_due) {
            self.set_told_slot(kept, slot, request);
        }
    }

    fn take_telling(&mut self, is_due: impl Fn(&Telling, &Self) -> bool) -> Option<Telling> {
        let tellings = &self.clustering.as_ref()?.tellings;
        let at = tellings.iter().position(|telling| is_due(telling, self))?;
        Some(self.clustering.as_mut()?.tellings.remove(at))
    }

    /// Does it. Keys may have come meanwhile: they are counted anew.
    fn set_told_slot(&mut self, kept: KeptRequest, slot: Slot, request: SetSlot) {
        match request {
            SetSlot::Node { owner, .. } => {
                let counted = Counted::Assign(slot, owner, Told::Yes);
                let query = Query::CountKeysInSlot(slot, None);
                self.count_for_cluster(kept, &query, counted, Writes::GoOn);
            }
            SetSlot::Migrating(_) | SetSlot::Importing(_) | SetSlot::Stable => {
                self.set_slot(kept, slot, request);
            }
        }
    }
}
