//! One log of a primary, as a shard of a replica takes it: frames in; out come batches for shards,
//! parts of transactions over several logs, and words of the primary.
//!
//! ```text
//! socket --frames--> entries --unit-------> dispatch --batches--> shards
//!                           \--part-------> when all before it is applied: offered to the barrier
//!                           \--asks for an acknowledgement--> relay
//! ```
//! While a part is offered nothing behind it is taken. What has come and waits is bounded: a socket
//! whose flow [`Incoming::is_full`] is read no more, and so its primary is held back. Entries stay
//! until they are applied: then this node's copy of the log gets them, in their order.
//!
//! While the snapshot is on its way from which a log goes on, entries are **stored**. When it is
//! the data they come out of the store, and those that come then go through it until it is empty.

use shards::journal::entry::{Malformed, Note, len_of};
use shards::journal::reader::{Entry, What};

use crate::batches::batch::{Batch, BatchNumber};
use crate::flows::dispatch::{Dispatch, Words};
use crate::flows::frames::Frames;
use crate::flows::stored::Stored;
use crate::replication::history::Offset;
use crate::replication::limits::Limits;
use crate::replication::split::gathered::Gathered;

/// Bytes of entries that have come and wait, from which on no more are taken. An entry that is
/// longer is taken in as a whole.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// Bytes in front of what is needed that stay; or as many as are needed, so that what is needed is
/// moved once for each byte that comes.
const SPENT_BYTES_MAX: usize = 256 << 10;

/// A log of a primary.
#[derive(Debug)]
pub struct Incoming {
    flow: u16,
    frames: Frames,
    /// What has come: up to `kept` [`Self::take_applied`] has given it out, from `spent` on it is
    /// not taken yet.
    entries: Vec<u8>,
    kept: usize,
    spent: usize,
    /// What has come behind that, if it is not needed yet.
    store: Stored,
    /// All is stored, and nothing taken: the log is of data that are not there yet.
    stores: bool,
    taken: Place,
    /// The part that is offered. It is taken when its transaction is done.
    offered: Option<Offered>,
    /// The number of the last transaction.
    txid: Option<u64>,
    dispatch: Dispatch<Place>,
    gathered: Gathered,
    /// Nothing more is taken until it is to go on.
    rests: bool,
    /// Nothing more is taken: the attempt to follow is over.
    is_held: bool,
}

/// A part that is offered.
#[derive(Clone, Copy, Debug)]
struct Offered {
    txid: u64,
    len: usize,
    behind: Place,
}

/// A place in a log: what is in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the log.
    pub offset: Offset,
    /// What they weigh, counted from where the flow began.
    pub weight: u64,
}

/// What comes of entries, apart from batches.
#[derive(Debug)]
pub enum Came {
    /// A part of a transaction of several logs. All in front of it is applied.
    Part(Part),
    /// The primary asks for an acknowledgement of all in front of it.
    GetAck,
}

/// A part of a transaction of several logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The transaction's number.
    pub txid: u64,
    /// All logs that have a part of it, ascending.
    pub participants: Vec<u16>,
    /// The database of the first command.
    pub db: u16,
    /// Commands as clients send them; none in a fence.
    pub commands: Vec<u8>,
}

impl Incoming {
    /// This log from an offset on, which is to be stored only if `stores`.
    pub fn new(flow: u16, offset: Offset, dispatch: Dispatch<Place>, stores: bool) -> Self {
        Self {
            flow,
            frames: Frames::new(flow, offset),
            entries: Vec::new(),
            kept: 0,
            spent: 0,
            store: Stored::default(),
            stores,
            taken: Place { offset, weight: 0 },
            offered: None,
            txid: None,
            dispatch,
            gathered: Gathered::default(),
            rests: false,
            is_held: false,
        }
    }

    /// The commands for control that were taken since the last call.
    pub fn take_orders(&mut self) -> Vec<Words> {
        self.dispatch.take_orders()
    }

    /// The log's number.
    pub fn flow(&self) -> u16 {
        self.flow
    }

    /// Takes bytes of its connection.
    ///
    /// # Errors
    /// If they are not what comes next: why.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.is_held {
            return Ok(());
        }
        self.forget_spent();
        let from = self.entries.len();
        let taken = self.frames.take(bytes, &mut self.entries);
        if self.stores || !self.store.is_empty() {
            let pushed = self.store.push(&self.entries[from..]);
            self.entries.truncate(from);
            pushed.map_err(|error| format!("there is no memory to store a log: {error}"))?;
        }
        taken.map_err(|broken| broken.to_string())
    }

    /// Forgets entries in front of what is needed, if they are many.
    fn forget_spent(&mut self) {
        let needed = self.entries.len() - self.kept;
        if needed == 0 || SPENT_BYTES_MAX.max(needed) <= self.kept {
            self.entries.drain(..self.kept);
            self.spent -= self.kept;
            self.kept = 0;
        }
    }

    /// Takes some out of the store. False if it is empty.
    fn unstore(&mut self) -> bool {
        self.forget_spent();
        self.store.pop(&mut self.entries)
    }

    /// Takes entries that need not wait. What comes of them, one thing at a time; `None`: nothing
    /// more for now.
    ///
    /// # Errors
    /// Why the log cannot be applied.
    pub fn advance(&mut self) -> Result<Option<Came>, String> {
        while self.takes() && self.offered.is_none() && !self.dispatch.is_full() {
            let entry = match Entry::decode(&self.entries[self.spent..]) {
                Ok(entry) => entry,
                Err(Malformed::Short) => {
                    self.check_length()?;
                    if self.unstore() {
                        continue;
                    }
                    break;
                }
                Err(malformed) => return Err(malformed.to_string()),
            };
            entry.belongs_to(self.flow).map_err(|malformed| malformed.to_string())?;
            let len = entry.len_bytes();
            let behind = Place {
                offset: self.taken.offset.after(len as u64),
                weight: self.taken.weight + entry.weight(),
            };
            match entry.what {
                What::Unit => {
                    self.gathered.clear();
                    let (db, commands) = (entry.header.db, entry.commands);
                    let added = self.gathered.add(db, commands, 0);
                    added.map_err(|malformed| malformed.to_string())?;
                    self.dispatch.take(&self.gathered.unit(commands), self.taken)?;
                    self.go_to(behind, len);
                }
                What::Note(Note::Ping) => self.go_to(behind, len),
                What::Note(Note::GetAck) => {
                    self.go_to(behind, len);
                    return Ok(Some(Came::GetAck));
                }
                What::Part(_) if !self.dispatch.is_empty() => break,
                What::Part(part) => {
                    let txid = part.txid;
                    if self.txid.is_some_and(|last| txid <= last) {
                        return Err(format!("transaction {txid} comes too late"));
                    }
                    let part = Part {
                        txid,
                        participants: part.participants.iter().collect(),
                        db: entry.header.db,
                        commands: entry.commands.to_vec(),
                    };
                    self.offered = Some(Offered { txid, len, behind });
                    return Ok(Some(Came::Part(part)));
                }
            }
        }
        Ok(None)
    }

    /// Refuses an entry that is longer than a unit of a stream may be.
    fn check_length(&self) -> Result<(), String> {
        let Some(first) = self.entries[self.spent..].first_chunk() else { return Ok(()) };
        let len = len_of(*first);
        let most = Limits::default().unit_bytes_max as u64;
        if len <= most { Ok(()) } else { Err(format!("an entry of {len} bytes")) }
    }

    fn go_to(&mut self, place: Place, len: usize) {
        self.taken = place;
        self.spent += len;
    }

    /// The transaction of the part that was offered is done.
    pub fn released(&mut self) {
        if let Some(Offered { txid, len, behind }) = self.offered.take() {
            self.txid = Some(txid);
            self.go_to(behind, len);
        }
    }

    /// The part that was offered comes back. It is offered again when the flow goes on.
    pub fn returned(&mut self) {
        self.offered = None;
        self.rests = true;
    }

    /// Whether entries are taken at all.
    fn takes(&self) -> bool {
        !self.is_held && !self.rests && !self.stores
    }

    /// The data are there that the log goes on from: takes what is stored, and what comes.
    pub fn apply(&mut self) {
        self.stores = false;
    }

    /// What is stored, which is of no use any more.
    pub fn take_store(&mut self) -> Stored {
        std::mem::take(&mut self.store)
    }

    /// What is stored.
    pub fn store(&self) -> &Stored {
        &self.store
    }

    /// Whether the data are not there yet that the log goes on from.
    pub fn awaits_data(&self) -> bool {
        self.stores
    }

    /// Whether what comes is stored.
    pub fn is_storing(&self) -> bool {
        self.stores || !self.store.is_empty()
    }

    /// Takes nothing more until [`Self::go_on`]. What was taken is still applied.
    pub fn rest(&mut self) {
        self.rests = true;
    }

    /// Takes entries again.
    pub fn go_on(&mut self) {
        self.rests = false;
    }

    /// Takes nothing more, ever. What was taken is still applied.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Whether it takes nothing, and nothing of it is under way or offered.
    pub fn is_settled(&self) -> bool {
        (self.is_held || self.rests) && self.offered.is_none() && self.dispatch.is_empty()
    }

    /// A batch of it was applied.
    pub fn answered(&mut self, number: BatchNumber) {
        self.dispatch.answered(number);
    }

    /// Gives `pass_on` the batches that need not wait, each with its shard.
    pub fn send(&mut self, pass_on: impl FnMut(usize, Box<Batch>)) {
        self.dispatch.send(pass_on);
    }

    /// The place in front of which all is applied.
    pub fn applied(&self) -> Place {
        self.dispatch.applied(self.taken)
    }

    /// What was applied since the last call: whole entries.
    pub fn take_applied(&mut self) -> &[u8] {
        // What is taken and not applied ends where what is taken ends.
        let unapplied = self.taken.offset.0 - self.applied().offset.0;
        let unapplied = usize::try_from(unapplied).expect("it is in memory");
        let from = std::mem::replace(&mut self.kept, self.spent - unapplied);
        &self.entries[from..self.kept]
    }

    /// The place behind what was taken. What is in front of it is applied if the flow is settled.
    pub fn taken(&self) -> Place {
        self.taken
    }

    /// Whether its socket is not to be read for now, if no more may be stored in all or it may.
    ///
    /// A log whose store is empty is read in any case: another may wait for its part of a
    /// transaction, and is not read because of its own store.
    pub fn is_full(&self, no_more: bool) -> bool {
        if !self.store.is_empty() {
            return no_more;
        }
        let waiting = &self.entries[self.spent..];
        let is_whole = !matches!(Entry::decode(waiting), Err(Malformed::Short));
        WAITING_BYTES_MAX <= waiting.len() && is_whole
    }
}
