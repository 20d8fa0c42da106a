//! What a shard of a replica does with logs of its primary, as a machine.
//!
//! ```text
//! bytes --> Incoming --batches--> shards --Applied--> Incoming goes on
//!               \--part--> barrier of the first log's shard --whole--> batch --> all of them go on
//! ```
//! Log `i` of the primary is applied by shard `i` modulo the number of shards here, and kept there.
//! What this shard and others have to tell each other are [`Word`]s.
//!
//! Logs may come while the snapshot does from which they go on: then they are stored until
//! [`Word::Apply`]. All shards together store so much at most; what is more stays at the primary.

use std::collections::{BTreeMap, VecDeque};

use crate::batches::batch::{Applies, Batch, BatchNumber, Source};
use crate::flows::barrier::{Barrier, Epoch, Fate, Offer};
use crate::flows::dispatch::{Dispatch, Routing, Words};
use crate::flows::incoming::{Came, Incoming, Part, Place};
use crate::flows::kept::Kept;
use crate::replication::history::Offset;
use crate::replication::link::events::Generation;
use crate::replication::replid::ReplId;
use crate::replication::split::gathered::Gathered;

/// What a shard is told of logs that it, or another shard, applies.
#[derive(Debug)]
pub enum Word {
    /// The data are there that the logs of this attempt go on from: apply what is stored of them,
    /// and what comes.
    Apply(Generation),
    /// Begin nothing more of this attempt, ever, and [`News::Held`] when nothing is under way.
    Hold(Generation),
    /// Begin nothing more of this epoch, and [`News::Rests`] when nothing is under way.
    Rest(Epoch),
    /// Go on: this epoch begins.
    GoOn(Epoch),
    /// A part of a transaction of several logs.
    Offer(Box<Offer<Part>>),
    /// The transaction is done that this log has offered a part of.
    Released(u16),
    /// The part that this log has offered is of no use any more.
    Returned(u16),
    /// A batch of what this shard has taken apart was applied, with this error.
    Applied(Applies, Option<String>),
}

/// What the relay is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A log cannot go on: why.
    Broken(Generation, Broken),
    /// The primary asks for an acknowledgement of what is applied.
    GetAck(Generation),
    /// Nothing of this attempt is under way here; where the logs are that this shard applies.
    Held(Generation, Vec<(u16, Place)>),
    /// The same, of an epoch of an attempt that is to go on.
    Rests(Epoch, Vec<(u16, Place)>),
}

/// Why a log of the primary cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Its connection has ended.
    Closed,
    /// What came is not what comes next. What was applied before is right.
    Stream(String),
    /// It holds what cannot be applied: data and log part there.
    Unappliable(String),
}

/// What is to be done.
#[derive(Debug)]
pub enum Action {
    /// Have this shard apply a batch.
    Apply(usize, Box<Batch>),
    /// Tell this shard.
    Tell(usize, Word),
    /// Tell control what the primary says, which concerns no key.
    Order(Words),
    /// Tell the relay.
    TellRelay(News),
    /// Read no more of this log for now.
    Pause(u16),
    /// Read of it again.
    Resume(u16),
    /// Close the connection of this log.
    Close(u16),
    /// Show all threads what that weighs which is applied of this shard's logs, before anything
    /// behind it is done.
    Show(u64),
    /// Show all threads how many bytes are stored here.
    ShowStored(u64),
    /// Tell the operator that no more is stored while the snapshot is on its way.
    StoreIsFull,
    /// Tell the operator that less of a log is kept than was promised, for want of memory.
    Short,
}

/// The machine of one shard.
#[derive(Debug)]
pub struct Following {
    me: usize,
    routing: Routing,
    databases: usize,
    epoch: Epoch,
    /// The history whose logs come.
    history: Option<ReplId>,
    incoming: Vec<Incoming>,
    /// What is applied of them, and what was of others.
    kept: Kept,
    /// The last attempt whose logs are applied, and not stored.
    applies: Generation,
    /// Bytes that all shards may store together, and that others do.
    store_max: u64,
    stored_elsewhere: u64,
    /// Bytes that are stored here, as all threads know it.
    shown_stored: u64,
    /// The operator was told that no more is stored.
    told_full: bool,
    /// Logs that are not read at present.
    paused: Vec<u16>,
    /// Logs that may go on.
    ready: VecDeque<u16>,
    barrier: Barrier<Part>,
    /// Where transactions of several logs are taken apart.
    whole: Dispatch<()>,
    /// Logs that go on when a batch is applied, each with a part of the same transaction.
    running: BTreeMap<BatchNumber, Vec<u16>>,
    /// What the relay waits for, until nothing is under way.
    awaited: Option<Awaited>,
    shown: u64,
}

/// What the relay waits for.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// The end of an attempt.
    Hold(Generation),
    /// The end of an epoch.
    Rest(Epoch),
}

impl Following {
    /// Of this shard, which applies no log yet.
    pub fn new(me: usize, routing: Routing, databases: usize) -> Self {
        let whole = Dispatch::new(Source::Barrier { shard: me }, routing.clone(), databases);
        Self {
            me,
            routing,
            databases,
            epoch: Epoch::default(),
            history: None,
            incoming: Vec::new(),
            kept: Kept::default(),
            applies: Generation::default(),
            store_max: u64::MAX,
            stored_elsewhere: 0,
            shown_stored: 0,
            told_full: false,
            paused: Vec::new(),
            ready: VecDeque::new(),
            barrier: Barrier::default(),
            whole,
            running: BTreeMap::new(),
            awaited: None,
            shown: 0,
        }
    }

    /// Applies a log of this history from an offset on, up to which it is kept; or stores it until
    /// [`Word::Apply`]. False if that attempt to follow is over.
    pub fn begin(
        &mut self,
        (generation, stores): (Generation, bool),
        history: ReplId,
        flow: u16,
        offset: Offset,
    ) -> bool {
        if self.barrier.holds(Epoch::last(generation)) {
            return false;
        }
        self.epoch = self.epoch.max(Epoch::first(generation));
        self.history = Some(history);
        let source = Source::Flow { shard: self.me, flow };
        let dispatch = Dispatch::new(source, self.routing.clone(), self.databases);
        let stores = stores && self.applies < generation;
        let mut incoming = Incoming::new(flow, offset, dispatch, stores);
        if self.barrier.holds(self.epoch) {
            // All others rest already, and have said where they are.
            incoming.rest();
        }
        self.incoming.push(incoming);
        true
    }

    /// The logs that are kept here.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The logs that are kept here.
    pub fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Whether some of what comes is stored, so that [`Self::note_store`] is asked for.
    #[inline]
    pub fn is_storing(&self) -> bool {
        self.incoming.iter().any(Incoming::is_storing)
    }

    /// Notes how many bytes all shards may store together, and how many others do.
    pub fn note_store(&mut self, bytes_max: u64, elsewhere: u64) {
        (self.store_max, self.stored_elsewhere) = (bytes_max, elsewhere);
    }

    /// Reads logs again that were not read since too much is stored, if more may be.
    pub fn look_at_store(&mut self, actions: &mut Vec<Action>) {
        self.ready.extend(&self.paused);
        self.go_on(actions);
    }

    /// Bytes of memory that logs take which are kept or stored.
    pub fn memory_bytes(&self) -> usize {
        let stores = self.incoming.iter().map(|incoming| incoming.store().memory_bytes());
        self.kept.memory_bytes() + stores.sum::<usize>()
    }

    /// Bytes that are stored here.
    fn stored(&self) -> u64 {
        self.incoming.iter().map(|incoming| incoming.store().bytes()).sum()
    }

    /// Takes bytes of a log's connection.
    pub fn receive(&mut self, flow: u16, bytes: &[u8], actions: &mut Vec<Action>) {
        let Some(incoming) = self.get(flow) else { return };
        match incoming.receive(bytes) {
            Ok(()) => self.ready.push_back(flow),
            Err(why) => self.break_off(flow, Broken::Stream(why), actions),
        }
        self.go_on(actions);
    }

    /// A log's connection has ended.
    pub fn closed(&mut self, flow: u16, actions: &mut Vec<Action>) {
        self.break_off(flow, Broken::Closed, actions);
        self.go_on(actions);
    }

    /// The relay, or a shard, says something.
    pub fn hear(&mut self, word: Word, actions: &mut Vec<Action>) {
        match word {
            Word::Apply(generation) => self.apply(generation),
            Word::Hold(generation) => self.hold(generation, actions),
            Word::Rest(epoch) => self.rest(epoch, actions),
            Word::GoOn(epoch) => self.go_on_in(epoch),
            Word::Offer(offer) => self.offered(*offer, actions),
            Word::Released(flow) => self.release(flow),
            Word::Returned(flow) => self.take_back(flow),
            Word::Applied(applies, error) => self.applied(applies, error, actions),
        }
        self.go_on(actions);
    }

    fn get(&mut self, flow: u16) -> Option<&mut Incoming> {
        self.incoming.iter_mut().find(|incoming| incoming.flow() == flow)
    }

    /// The shard that applies a log.
    fn shard_of(&self, flow: u16) -> usize {
        usize::from(flow) % usize::from(self.routing.slots.shards())
    }

    /// A log cannot go on: nothing more of it is taken.
    fn break_off(&mut self, flow: u16, why: Broken, actions: &mut Vec<Action>) {
        let Some(incoming) = self.get(flow) else { return };
        incoming.hold();
        actions.push(Action::TellRelay(News::Broken(self.epoch.generation, why)));
    }

    /// Takes of all logs what need not wait any more.
    fn go_on(&mut self, actions: &mut Vec<Action>) {
        while let Some(flow) = self.ready.pop_front() {
            self.advance(flow, actions);
        }
        self.show(actions);
        self.answer_held(actions);
        self.show_stored(actions);
    }

    /// Shows how much is stored.
    fn show_stored(&mut self, actions: &mut Vec<Action>) {
        let stored = self.stored();
        if std::mem::replace(&mut self.shown_stored, stored) != stored {
            actions.push(Action::ShowStored(stored));
        }
    }

    fn advance(&mut self, flow: u16, actions: &mut Vec<Action>) {
        loop {
            let Some(incoming) = self.get(flow) else { return };
            let came = incoming.advance();
            actions.extend(incoming.take_orders().into_iter().map(Action::Order));
            match came {
                Ok(Some(Came::Part(part))) => self.offer(flow, part, actions),
                Ok(Some(Came::GetAck)) => {
                    self.show(actions);
                    let generation = self.epoch.generation;
                    actions.push(Action::TellRelay(News::GetAck(generation)));
                }
                Ok(None) => break,
                Err(why) => return self.break_off(flow, Broken::Unappliable(why), actions),
            }
        }
        let Some(incoming) = self.get(flow) else { return };
        incoming.send(|shard, batch| actions.push(Action::Apply(shard, batch)));
        let no_more = self.store_max <= self.stored() + self.stored_elsewhere;
        let Some(incoming) = self.get(flow) else { return };
        let (is_full, awaits_data) = (incoming.is_full(no_more), incoming.awaits_data());
        let was_full = self.paused.contains(&flow);
        if is_full && !was_full {
            self.paused.push(flow);
            actions.push(Action::Pause(flow));
            if awaits_data && !std::mem::replace(&mut self.told_full, true) {
                actions.push(Action::StoreIsFull);
            }
        } else if was_full && !is_full {
            self.paused.retain(|paused| *paused != flow);
            actions.push(Action::Resume(flow));
        }
    }

    /// Keeps what was applied, and shows it.
    fn show(&mut self, actions: &mut Vec<Action>) {
        let Some(history) = self.history else { return };
        let mut weight = 0;
        for incoming in &mut self.incoming {
            let flow = incoming.flow();
            let applied = incoming.take_applied();
            if !applied.is_empty() && self.kept.append(history, flow, applied).is_err() {
                actions.push(Action::Short);
            }
            weight += incoming.applied().weight;
        }
        if std::mem::replace(&mut self.shown, weight) != weight {
            actions.push(Action::Show(weight));
        }
    }

    /// Takes a part to where its transaction comes together: the shard of its first log.
    fn offer(&mut self, flow: u16, part: Part, actions: &mut Vec<Action>) {
        // Who gets it may go on at once: what is in front of it is to be seen as applied.
        self.show(actions);
        let participants = part.participants.clone();
        let shard = self.shard_of(participants.first().copied().unwrap_or(flow));
        let (epoch, txid) = (self.epoch, part.txid);
        let offer = Offer { epoch, txid, participants, flow, part };
        if shard == self.me {
            self.offered(offer, actions);
        } else {
            actions.push(Action::Tell(shard, Word::Offer(Box::new(offer))));
        }
    }

    /// A part comes to where its transaction comes together.
    fn offered(&mut self, offer: Offer<Part>, actions: &mut Vec<Action>) {
        let (generation, flow) = (offer.epoch.generation, offer.flow);
        match self.barrier.offer(offer) {
            Ok(Fate::Waits) => {}
            Ok(Fate::Returned) => self.give_back(flow, actions),
            Ok(Fate::Whole { participants, parts }) => {
                if let Err(why) = self.run(&participants, &parts, actions) {
                    participants.iter().for_each(|flow| self.give_back(*flow, actions));
                    let news = News::Broken(generation, Broken::Unappliable(why));
                    actions.push(Action::TellRelay(news));
                }
            }
            Err(_) => {
                self.give_back(flow, actions);
                let why = "parts of a transaction contradict each other".to_owned();
                let news = News::Broken(generation, Broken::Stream(why));
                actions.push(Action::TellRelay(news));
            }
        }
    }

    /// Runs a transaction of several logs as one.
    fn run(
        &mut self,
        participants: &[u16],
        parts: &[Part],
        actions: &mut Vec<Action>,
    ) -> Result<(), String> {
        let (mut gathered, mut buffer) = (Gathered::default(), Vec::new());
        for Part { db, commands, .. } in parts {
            let start = buffer.len();
            buffer.extend_from_slice(commands);
            let added = gathered.add(*db, &buffer, start);
            added.map_err(|malformed| malformed.to_string())?;
        }
        match self.whole.take(&gathered.unit(&buffer), ())? {
            Some(number) => self.running.entry(number).or_default().extend(participants),
            // A fence: all is done that is in front of it.
            None => self.go_on_behind(participants, actions),
        }
        self.whole.send(|shard, batch| actions.push(Action::Apply(shard, batch)));
        Ok(())
    }

    /// A transaction is done: the logs that have parts of it go on.
    fn go_on_behind(&mut self, participants: &[u16], actions: &mut Vec<Action>) {
        for flow in participants {
            match self.shard_of(*flow) {
                shard if shard == self.me => self.release(*flow),
                shard => actions.push(Action::Tell(shard, Word::Released(*flow))),
            }
        }
    }

    fn release(&mut self, flow: u16) {
        self.get(flow).into_iter().for_each(Incoming::released);
        self.ready.push_back(flow);
    }

    /// A part goes back to its log.
    fn give_back(&mut self, flow: u16, actions: &mut Vec<Action>) {
        match self.shard_of(flow) {
            shard if shard == self.me => self.take_back(flow),
            shard => actions.push(Action::Tell(shard, Word::Returned(flow))),
        }
    }

    fn take_back(&mut self, flow: u16) {
        self.get(flow).into_iter().for_each(Incoming::returned);
    }

    /// A batch of what this shard has taken apart was applied.
    fn applied(&mut self, applies: Applies, error: Option<String>, actions: &mut Vec<Action>) {
        let Applies { source, number } = applies;
        match source {
            // The relay is told of those.
            Source::Relay => {}
            Source::Flow { flow, .. } => {
                self.get(flow).into_iter().for_each(|incoming| incoming.answered(number));
                self.ready.push_back(flow);
            }
            Source::Barrier { .. } => {
                self.whole.answered(number);
                let participants = self.running.remove(&number).unwrap_or_default();
                self.go_on_behind(&participants, actions);
                self.whole.send(|shard, batch| actions.push(Action::Apply(shard, batch)));
            }
        }
        if let Some(error) = error {
            // It did not fail at the primary.
            let news = News::Broken(self.epoch.generation, Broken::Unappliable(error));
            actions.push(Action::TellRelay(news));
        }
    }

    /// Applies what was stored, and what comes.
    fn apply(&mut self, generation: Generation) {
        self.applies = self.applies.max(generation);
        for incoming in &mut self.incoming {
            incoming.apply();
            self.ready.push_back(incoming.flow());
        }
    }

    /// Begins nothing more of what a primary has sent.
    fn hold(&mut self, generation: Generation, actions: &mut Vec<Action>) {
        self.told_full = false;
        for incoming in &mut self.incoming {
            incoming.hold();
            self.kept.drop_stored(incoming.take_store());
            actions.push(Action::Close(incoming.flow()));
        }
        self.hold_barrier(Epoch::last(generation), actions);
        self.awaited = Some(Awaited::Hold(generation));
    }

    /// Begins nothing more until it is to go on.
    fn rest(&mut self, epoch: Epoch, actions: &mut Vec<Action>) {
        self.incoming.iter_mut().for_each(Incoming::rest);
        self.hold_barrier(epoch, actions);
        self.awaited = Some(Awaited::Rest(epoch));
    }

    fn hold_barrier(&mut self, epoch: Epoch, actions: &mut Vec<Action>) {
        for flow in self.barrier.hold(epoch) {
            self.give_back(flow, actions);
        }
    }

    /// Goes on with what rests.
    fn go_on_in(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
        for incoming in &mut self.incoming {
            incoming.go_on();
            self.ready.push_back(incoming.flow());
        }
    }

    /// Says where the logs are, if that was asked and nothing of them is under way.
    fn answer_held(&mut self, actions: &mut Vec<Action>) {
        let Some(awaited) = self.awaited else { return };
        if !self.running.is_empty() || !self.incoming.iter().all(Incoming::is_settled) {
            return;
        }
        let place = |incoming: &Incoming| (incoming.flow(), incoming.taken());
        let places = self.incoming.iter().map(place).collect();
        self.awaited = None;
        let news = match awaited {
            Awaited::Rest(epoch) => News::Rests(epoch, places),
            Awaited::Hold(generation) => {
                self.incoming.clear();
                self.paused.clear();
                self.show(actions);
                News::Held(generation, places)
            }
        };
        actions.push(Action::TellRelay(news));
    }
}

#[cfg(test)]
mod tests;
