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
    /// The slots that shards serve by it, or whose keys come to them.
    served: SlotSet,
    /// The order with it, unless all shards have seen it.
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

impl Owning {
    /// A copy is made by which shards serve these slots, or take keys of them. Which slots are to
    /// be emptied before it is sent: what they still have is of a time before, and what comes
    /// behind the copy stays.
    fn begin_copy(&mut self, served: SlotSet) -> (u64, SlotSet) {
        let mut regained = SlotSet::default();
        for (_, behind) in &mut self.behind {
            if let Behind::Delete(slots) = behind {
                let left = slots.without(&served);
                slots.without(&left).iter().for_each(|slot| regained.insert(slot));
                *slots = left;
            }
        }
        (self.version, self.served) = (self.version + 1, served);
        (self.version, regained)
    }

    /// Which of these lost slots are to be emptied. Shards that serve a slot have taken writes for
    /// it since it was lost, or never knew that it was.
    fn still_lost(&self, slots: &SlotSet) -> SlotSet {
        slots.without(&self.served)
    }
}

impl Control {
    /// Gives the shards a new copy.
    pub(super) fn own_in_cluster(&mut self) {
        let Some(clustering) = &mut self.clustering else { return };
        let served = clustering.machine.nodes().slots_with_keys();
        let (version, regained) = clustering.owning.begin_copy(served);
        let ownership = Arc::new(clustering.machine.ownership(version));
        if !regained.is_empty() {
            self.order(&Query::DeleteSlots(regained));
        }
        let order = self.order_ownership(ownership);
        if let Some(clustering) = &mut self.clustering {
            clustering.owning.order = Some(order);
        }
    }

    /// Answers a client, when the shards have seen what was decided before. What is under way may
    /// wait for what an EXEC has claimed, so that waits for no shard.
    pub(super) fn reply_for_cluster(&mut self, ticket: Ticket, reply: Result<Answer, Error>) {
        if reply.is_err() {
            self.slot_is_refused(ticket);
        }
        let Some(clustering) = &mut self.clustering else { return };
        let is_exec = clustering.kept.get(&ticket).is_some_and(|kept| kept.request.batch.is_exec());
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
        let delete = Behind::Delete(clustering.owning.still_lost(&slots));
        match clustering.owning.order {
            Some(order) => clustering.owning.behind.push_back((order, delete)),
            None => self.do_behind(delete),
        }
    }

    fn do_behind(&mut self, behind: Behind) {
        let Some(clustering) = &mut self.clustering else { return };
        match behind {
            Behind::Reply(ticket, reply) => {
                if let Some(kept) = clustering.kept.remove(&ticket) {
                    self.answer_for_cluster(kept.request, reply);
                }
            }
            Behind::Delete(slots) if slots.is_empty() => {}
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

#[cfg(test)]
mod tests {
    use shards::base::slot::Slot;

    use super::*;

    fn slots(numbers: &[u16]) -> SlotSet {
        numbers.iter().filter_map(|number| Slot::new(*number)).collect()
    }

    /// What waits to be emptied.
    fn waiting(owning: &Owning) -> Vec<SlotSet> {
        let slots = |(_, behind): &(u64, Behind)| match behind {
            Behind::Delete(slots) => Some(slots.clone()),
            Behind::Reply(..) => None,
        };
        owning.behind.iter().filter_map(slots).collect()
    }

    #[test]
    fn a_slot_that_shards_serve_is_not_emptied() {
        // It was lost and came back while a disk hung: shards have one copy for both.
        let mut owning = Owning::default();
        assert_eq!(owning.begin_copy(slots(&[1, 2])), (1, slots(&[])));
        assert_eq!(owning.still_lost(&slots(&[2, 3])), slots(&[3]));
    }

    #[test]
    fn keys_that_come_are_kept() {
        // A replica has taken over while keys of slot 2 were on their way to its primary.
        let mut owning = Owning::default();
        owning.begin_copy(slots(&[1, 2]));
        assert_eq!(owning.still_lost(&slots(&[2, 3])), slots(&[3]));
    }

    #[test]
    fn a_slot_that_comes_back_is_emptied_before_shards_serve_it() {
        let mut owning = Owning::default();
        owning.begin_copy(slots(&[1, 2, 3]));
        owning.begin_copy(slots(&[1]));
        let lost = owning.still_lost(&slots(&[2, 3]));
        assert_eq!(lost, slots(&[2, 3]));
        owning.behind.push_back((7, Behind::Delete(lost)));
        // It waits for shards when slot 2 comes back.
        assert_eq!(owning.begin_copy(slots(&[1, 2])), (3, slots(&[2])));
        assert_eq!(waiting(&owning), [slots(&[3])]);
        assert_eq!(owning.begin_copy(slots(&[1, 2])), (4, slots(&[])), "once");
    }
}
