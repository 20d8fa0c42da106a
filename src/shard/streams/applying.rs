//! What a primary's stream has for this shard is run here, in its order, as batches that belong to
//! no client: they wait for claims as a client's do, and no guard stops them.
//!
//! ```text
//! relay --Apply--> queue --one at a time--> journeys of batches --home again--> Applied --> relay
//! ```
//! A batch whose keys are on several shards comes when those have answered for all before it. It
//! is planned and gathered like an EXEC of a client here.

use std::collections::VecDeque;

use shards::resp::reply;
use shards::shard::Origin;

use crate::batches::batch::{At, Batch, Passport, Source};
use crate::flows::following::Word;
use crate::mail::flows::FlowWord;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::Applied;
use crate::reactor::ring::Token;
use crate::routing::admission::Guards;
use crate::shard::core::Core;

/// Batches of a primary's stream.
#[derive(Debug, Default)]
pub(crate) struct Applying {
    /// Those that wait for the one that is under way.
    queue: VecDeque<Box<Batch>>,
    is_under_way: bool,
}

impl Core {
    /// Runs what the stream has for this shard, behind what it had before.
    pub(crate) fn apply(&mut self, batch: Box<Batch>) {
        self.applying.queue.push_back(batch);
        self.apply_next();
    }

    fn apply_next(&mut self) {
        if self.applying.is_under_way {
            return;
        }
        let Some(mut batch) = self.applying.queue.pop_front() else { return };
        self.applying.is_under_way = true;
        batch.home = self.me();
        batch.token = Token::NONE;
        batch.epoch = Some(self.quiesce.epochs.begin());
        batch.passport = Passport {
            db: batch.passport.db,
            // A primary says what is there, whatever this clock says.
            origin: Origin::Primary,
            no_touch: false,
            exempt: Guards::OF_NODE,
            ..Passport::default()
        };
        if let At::Exec(exec) = std::mem::take(&mut batch.at) {
            let (exec, transaction) = self.plan_exec(exec.multi, Vec::new());
            let exec = Box::new(exec);
            batch.at = match transaction {
                Some(transaction) => At::ExecVisits(exec, Box::new(transaction)),
                None => At::Exec(exec),
            };
        }
        self.prefetch(&batch);
        // Not at once: behind the last one that ended, this would nest.
        self.resumed.push_back(batch);
    }

    fn prefetch(&self, batch: &Batch) {
        let db = batch.passport.db;
        self.ours(batch).for_each(|parsed| self.prefetch_bucket(db, parsed));
        self.ours(batch).for_each(|parsed| self.prefetch_record(db, parsed));
    }

    /// A batch of the stream is done: the relay is told, and the next one begins.
    pub(crate) fn applied(&mut self, batch: Box<Batch>) {
        let applies = batch.applies.expect("the caller looked");
        let error = reply::first_error(&batch.replies);
        let error = error.map(|line| String::from_utf8_lossy(line).into_owned());
        match applies.source {
            Source::Relay => {
                let applied = Applied { number: applies.number, error };
                self.mailbox.tell_relay(ToRelay::Applied(applied));
            }
            Source::Flow { shard, .. } | Source::Barrier { shard } if shard == self.me() => {
                self.hear_of_following(Word::Applied(applies, error));
            }
            Source::Flow { shard, .. } | Source::Barrier { shard } => {
                let word = FlowWord::Following(Word::Applied(applies, error));
                self.mailbox.send(shard, ToShard::Flow(word));
            }
        }
        self.recycle(batch);
        self.applying.is_under_way = false;
        self.apply_next();
    }
}
