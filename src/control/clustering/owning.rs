//! The copy of who owns what, on its way to the shards. Replies that tell of it wait until every
//! shard has seen it: with `+OK` for a slot that is given away no command runs on it any more. Keys
//! of lost slots wait for that, too: what a transaction has of them on loan has come back then.

use std::collections::VecDeque;
use std::sync::Arc;

use shards::resp::error::Error;

use crate::cluster::machine::action::Answer;
use crate::cluster::machine::event::Ticket;
use crate::cluster::slot_set::SlotSet;
use crate::control::core::Control;
use crate::mail::query::Query;

/// The last copy, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Owning {
    version: u64,
    /// The order with the last copy, unless all shards have seen it.
    order: Option<u64>,
    /// What is done behind which order.
    behind: VecDeque<(u64, Behind)>,
}

#[derive(Debug)]
enum Behind {
    /// A request is answered.
    Reply(Ticket, Result<Answer, Error>),
    /// Keys of these slots are deleted.
    Delete(SlotSet),
}

impl Control {
    /// Gives the shards a new copy.
    pub(super) fn own_in_cluster(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        clustering.owning.version += 1;
        let ownership = Arc::new(clustering.machine.ownership(clustering.owning.version));
        let order = self.order_ownership(ownership);
        if let Some(clustering) = &mut self.clustering {
            clustering.owning.order = Some(order);
        }
    }

    /// Answers a client, when the shards have seen what was decided before. What is under way may
    /// wait for what an EXEC has claimed, so that waits for no shard.
    pub(super) fn reply_for_cluster(&mut self, ticket: Ticket, reply: Result<Answer, Error>) {
        let Some(clustering) = &mut self.clustering else { return };
        let is_exec = clustering.kept.get(&ticket).is_some_and(|kept| kept.batch.is_exec());
        if let Some(clearing) = clustering.clearing.as_mut().filter(|_| !is_exec) {
            return clearing.keep(ticket, reply);
        }
        let behind = Behind::Reply(ticket, reply);
        match clustering.owning.order.filter(|_| !is_exec) {
            Some(order) => clustering.owning.behind.push_back((order, behind)),
            None => self.do_behind(behind),
        }
    }

    /// Has keys of lost slots deleted, when nothing runs on these any more.
    pub(super) fn delete_in_cluster(&mut self, slots: SlotSet) {
        let Some(clustering) = &mut self.clustering else { return };
        match clustering.owning.order {
            Some(order) => clustering.owning.behind.push_back((order, Behind::Delete(slots))),
            None => self.do_behind(Behind::Delete(slots)),
        }
    }

    fn do_behind(&mut self, behind: Behind) {
        let Some(clustering) = &mut self.clustering else { return };
        match behind {
            Behind::Reply(ticket, reply) => {
                if let Some(kept) = clustering.kept.remove(&ticket) {
                    self.answer_for_cluster(kept, reply);
                }
            }
            Behind::Delete(slots) => self.order(&Query::DeleteSlots(slots)),
        }
    }

    /// All shards have seen the copy of this order, and what was under way before is done.
    pub(crate) fn cluster_is_owned(&mut self, order: u64) {
        if let Some(clustering) = &mut self.clustering {
            clustering.owning.order.take_if(|last| *last == order);
        }
        while let Some(clustering) = &mut self.clustering
            && let Some((_, behind)) =
                clustering.owning.behind.pop_front_if(|behind| behind.0 <= order)
        {
            self.do_behind(behind);
        }
    }
}
