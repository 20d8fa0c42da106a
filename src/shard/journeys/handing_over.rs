//! Commands whose keys another server is to take: they wait for its receipt. Their claims go on, so
//! nothing happens to the keys; the shard does all else meanwhile.

use hashbrown::HashMap;
use shards::base::hash::slot_of_hash;
use shards::base::slot::Slot;
use shards::effects::handover::{Consignment, Receipt};

use crate::batches::batch::{At, Batch};
use crate::migration::couriers::Couriers;
use crate::reactor::wake::Wake;
use crate::routing::call::Run;
use crate::routing::request::with_args;
use crate::shard::core::Core;
use crate::shutdown::stage::Stage;
use crate::stats::notable::Serving;
use crate::transactions::transaction::Loan;

/// What other servers take of the keys of a shard's clients.
#[derive(Debug)]
pub struct Handovers {
    /// By whom.
    pub couriers: Couriers,
    /// Batches that wait for a receipt, by its number.
    waiting: HashMap<u64, Box<Batch>>,
    next: u64,
}

impl Handovers {
    /// Nothing yet. This bell rings when there is a receipt.
    pub fn new(bell: Wake) -> Self {
        Self { couriers: Couriers::new(bell), waiting: HashMap::new(), next: 0 }
    }
}

impl Core {
    /// Has a consignment handed over, whose batch waits for the receipt. It has all entries that
    /// it needs along.
    pub(crate) fn hand_over(&mut self, batch: Box<Batch>, consignment: Consignment) {
        let handovers = &mut self.handovers;
        let number = handovers.next;
        handovers.next += 1;
        handovers.waiting.insert(number, batch);
        handovers.couriers.send(number, consignment, self.node.now);
    }

    /// Whatever waits until nothing is under way does not wait for other servers: an end, a
    /// failover, another role. Keys that no other server has taken by then stay.
    pub(crate) fn open_or_close_handovers(&mut self) {
        let is_ending = self.end_stage().is_some_and(Stage::needs_rest);
        let is_open = self.is_primary() && !is_ending && !self.quiesce.is_for_failover();
        self.handovers.couriers.set_open(is_open);
    }

    /// How many keys are on their way, all or those that a slot has in all databases or in one.
    pub(crate) fn keys_on_their_way(&self, slot: Option<Slot>, db: Option<usize>) -> u64 {
        let transactions = self.handovers.waiting.values().filter_map(|batch| match &batch.at {
            At::Visits(transaction) | At::ExecVisits(_, transaction) => Some(transaction),
            _ => None,
        });
        let loans = transactions.flat_map(|transaction| &transaction.loans);
        let is_meant = |loan: &&Loan| {
            slot.is_none_or(|slot| slot_of_hash(loan.hash) == slot)
                && db.is_none_or(|db| loan.db == db)
        };
        loans.filter(is_meant).count() as u64
    }

    /// Lets batches go on for which there are receipts. While none waits, nothing is asked.
    #[inline]
    pub(crate) fn take_receipts(&mut self) {
        while !self.handovers.waiting.is_empty()
            && let Some((number, receipt)) = self.handovers.couriers.receive()
        {
            self.settle_handover(number, receipt);
        }
    }

    fn settle_handover(&mut self, number: u64, receipt: Box<Receipt>) {
        let batch = self.handovers.waiting.remove(&number);
        let mut batch = batch.expect("each consignment has one receipt");
        self.run_for(Serving::of_batch(&batch), batch.client, batch.passport.reads);
        self.resumes = true;
        self.visitors.effects.receipt = Some(receipt);
        match std::mem::take(&mut batch.at) {
            At::Visits(mut transaction) => {
                self.receive_visitors(&mut transaction);
                let Batch { input, ranges, requests, next, replies, passport, .. } = &mut *batch;
                let parsed = &requests[*next];
                let call = parsed.call.expect("only known commands make transactions");
                let Run::Engine(command) = call.run else { unreachable!("others have no keys") };
                with_args(input, ranges, parsed, |args| {
                    let request = Self::engine_request(args, passport, parsed.first_key);
                    self.run_on_visitors(call, command, request, replies);
                });
                self.end_gathered(*transaction, Vec::new(), None);
                batch.next += 1;
            }
            At::ExecVisits(mut exec, mut transaction) => {
                self.receive_visitors(&mut transaction);
                self.visitors.effects.denies_waiting = true;
                exec.multi.with(exec.next, |parsed, args| {
                    let call = parsed.call.expect("only known commands are queued");
                    self.exec_command(&mut batch, &mut transaction, call, parsed, args);
                });
                self.visitors.effects.denies_waiting = false;
                exec.next += 1;
                self.lend_visitors(&mut transaction);
                batch.at = At::ExecVisits(exec, transaction);
            }
            At::Request | At::Round | At::Scan(_) | At::Exec(_) | At::TurnedBack(_) => {
                unreachable!("entries were gathered")
            }
        }
        self.resumes = false;
        self.advance(batch);
    }
}
