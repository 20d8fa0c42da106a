//! A primary's snapshot that comes as chunks, by several connections: taken apart here, staged by
//! shards.
//!
//! ```text
//! connection k --chunks--> sum is right --by its slots--> shards, which take the keys they own
//!                               `--end: so many keys          `--staged: so many keys
//! ```
//! Connections are opened at once, for a primary does not wait for them long. They are read when
//! there is room for the keys.
//!
//! Nothing here looks into keys. That none was lost shows at the end, when shards have staged as
//! many as the ends of all connections say.

use std::mem;

use shards::base::slot::Slot;

use crate::mail::board::Traffic;
use crate::mail::mailbox::Mailbox;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::mail::upstream::{Brought, SnapshotWord, Staged};
use crate::persistence::chunks::Broken;
use crate::persistence::chunks::taking::{Came, Keys, Taking};
use crate::persistence::walking::{Origin, OriginOf};
use crate::reactor::streams::Tried;
use crate::reactor::wake::Awaited;
use crate::relay::dial::Dial;
use crate::relay::intake::{Behind, tell_all};
use crate::relay::opening::Opening;
use crate::replication::address::Address;
use crate::replication::handshake::Credentials;
use crate::replication::history::{OFFSET_MAX, Scalar, Vector};
use crate::replication::link::events::Generation;
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;
use crate::routing::slots::SlotMap;

/// Chunks that a shard may have before it, on the average.
const CHUNKS_PER_SHARD: usize = 8;
/// Bytes that are read in one turn.
const TURN_BYTES: usize = 2 << 20;

/// A snapshot that is being taken in.
#[derive(Debug)]
pub struct Inchunks {
    /// The attempt that it belongs to.
    pub generation: Generation,
    slots: SlotMap,
    /// When the primary is to have agreed on all connections.
    until: Moment,
    opening: Vec<Opening>,
    /// Connections that it has agreed on and that are not read yet, and what has come by them.
    agreed: Vec<(Dial, Vec<u8>)>,
    connections: Vec<(Dial, Taking)>,
    /// There is room for the keys.
    takes_in: bool,
    head: Option<Origin>,
    functions: Vec<Vec<u8>>,
    /// Chunks that shards were sent and have not reported on.
    outstanding: usize,
    /// Keys that have come, and those of them that are staged.
    keys: u64,
    staged: u64,
    /// What a shard could not take in.
    failed: Option<String>,
}

/// What a primary offers.
#[derive(Debug)]
pub struct Offer<'a> {
    /// The primary.
    pub primary: &'a Address,
    /// What it wants to be told first.
    pub credentials: Option<&'a Credentials>,
    /// By what connections name the snapshot.
    pub name: ReplId,
    /// How many they are.
    pub connections: u16,
}

/// How far it is.
#[derive(Debug)]
pub enum Went {
    /// So many bytes have come. True if there may be more to do at once.
    On(u64, bool),
    /// All of it is staged.
    Through {
        /// What it has brought besides.
        brought: Box<Brought>,
        /// The stream that goes on behind it, and where.
        at: (ReplId, Scalar),
        /// What is there.
        behind: Behind,
    },
}

/// Why it came to nothing.
#[derive(Debug)]
pub enum Failed {
    /// A connection was lost, or did not come about.
    Lost(String),
    /// What has come is wrong.
    Wrong(String),
}

impl Inchunks {
    /// Begins to connect, for an attempt, until that moment. Nothing is read before
    /// [`Self::take_in`].
    ///
    /// # Errors
    /// Why there is no way to the primary.
    pub fn begin(
        generation: Generation,
        offer: &Offer<'_>,
        slots: SlotMap,
        until: Moment,
    ) -> Result<Self, String> {
        let Offer { primary, credentials, name, connections } = offer;
        let open = |number: u16| {
            let text = number.to_string();
            let words = [b"KEYLANE", &b"SNAPSHOT"[..], name.as_bytes(), text.as_bytes()];
            Opening::begin(generation, primary, *credentials, number, &words)
        };
        let opening = (0..*connections).map(open).collect::<Result<_, _>>()?;
        Ok(Self {
            generation,
            slots,
            until,
            opening,
            agreed: Vec::new(),
            connections: Vec::new(),
            takes_in: false,
            head: None,
            functions: Vec::new(),
            outstanding: 0,
            keys: 0,
            staged: 0,
            failed: None,
        })
    }

    /// There is room: takes in what comes from now on.
    pub fn take_in(&mut self, mailbox: &mut Mailbox<ToRelay>) {
        self.takes_in = true;
        tell_all(mailbox, || SnapshotWord::Begin);
    }

    /// Goes on to connect, and takes in what has come.
    ///
    /// # Errors
    /// Why it comes to nothing.
    pub fn go_on(
        &mut self,
        now: Moment,
        traffic: &mut Traffic,
        mailbox: &mut Mailbox<ToRelay>,
    ) -> Result<Went, Failed> {
        self.go_on_connecting(now, traffic)?;
        if !self.takes_in {
            return Ok(Went::On(0, false));
        }
        let mut moved = self.begin_to_read(mailbox)?;
        let mut left = TURN_BYTES;
        let mut connections = mem::take(&mut self.connections);
        let read: Result<(), Failed> = connections.iter_mut().try_for_each(|(dial, taking)| {
            while 0 < left && !self.is_full(mailbox) {
                let Some(bytes) = read(dial, taking, traffic)? else { break };
                moved += bytes as u64;
                left = left.saturating_sub(bytes);
                let came = taking.put(bytes)?;
                came.into_iter().try_for_each(|came| self.take(came, mailbox))?;
            }
            Ok(())
        });
        self.connections = connections;
        read?;
        if let Some(why) = self.failed.take() {
            return Err(Failed::Wrong(why));
        }
        let has_ended = |(_, taking): &(Dial, Taking)| taking.has_ended();
        let is_whole = self.opening.is_empty() && self.connections.iter().all(has_ended);
        if !is_whole || 0 < self.outstanding || 0 < moved {
            // What has moved is told before it is said that all has come.
            return Ok(Went::On(moved, left == 0 || (is_whole && 0 < moved)));
        }
        self.check()
    }

    fn go_on_connecting(&mut self, now: Moment, traffic: &mut Traffic) -> Result<(), Failed> {
        if self.until < now && !self.opening.is_empty() {
            return Err(Failed::Lost("a connection for the snapshot was not answered".to_owned()));
        }
        for mut opening in mem::take(&mut self.opening) {
            match opening.go_on(traffic).map_err(Failed::Lost)? {
                Some(unread) => self.agreed.push((opening.into_parts().1, unread)),
                None => self.opening.push(opening),
            }
        }
        Ok(())
    }

    /// Takes what has come by connections that were not read before: how many bytes.
    fn begin_to_read(&mut self, mailbox: &mut Mailbox<ToRelay>) -> Result<u64, Failed> {
        let mut moved = 0;
        for (dial, unread) in mem::take(&mut self.agreed) {
            let (mut taking, mut came) = (Taking::new(), Vec::new());
            taking.take(&unread, &mut came)?;
            moved += unread.len() as u64;
            came.into_iter().try_for_each(|came| self.take(came, mailbox))?;
            self.connections.push((dial, taking));
        }
        Ok(moved)
    }

    fn take(&mut self, came: Came, mailbox: &mut Mailbox<ToRelay>) -> Result<(), Failed> {
        match came {
            Came::Head(head) => {
                if self.head.replace(head).is_some() {
                    return Err(Failed::Wrong("it has two heads".to_owned()));
                }
            }
            Came::Function(code) => self.functions.push(code),
            Came::Keys(keys) => self.hand_out(keys, mailbox),
            Came::End(keys) => self.keys += keys,
        }
        Ok(())
    }

    /// Gives keys to the shards that may own some of them: to one, unless several own their slots.
    fn hand_out(&mut self, keys: Keys, mailbox: &mut Mailbox<ToRelay>) {
        let (first, last) = keys.slots;
        let slots = (first..=last).filter_map(Slot::new);
        let mut owners: Vec<u16> = slots.map(|slot| self.slots.owner_of(slot)).collect();
        owners.sort_unstable();
        owners.dedup();
        let mut keys = Box::new(keys);
        let mut owners = owners.into_iter().map(usize::from).peekable();
        while let Some(owner) = owners.next() {
            let is_last = owners.peek().is_none();
            let own = if is_last { mem::take(&mut keys) } else { keys.clone() };
            self.outstanding += 1;
            let word = SnapshotWord::Keys(self.generation, own);
            mailbox.send(owner, ToShard::Snapshot(word));
        }
    }

    /// Looks whether nothing is missing, when all that has come is staged.
    fn check(&mut self) -> Result<Went, Failed> {
        let Self { keys, staged, .. } = *self;
        let wrong = |why: &str| Failed::Wrong(why.to_owned());
        if keys != staged {
            return Err(Failed::Wrong(format!("it says {keys} keys, and has brought {staged}")));
        }
        let head = self.head.take().ok_or_else(|| wrong("it has no head"))?;
        let Origin { replid, offset, of } = head;
        let behind = match of {
            OriginOf::Stream(db) => Some(Behind { db, vector: None }),
            OriginOf::Logs(text) => {
                Vector::parse(text.as_bytes()).map(|vector| Behind { db: 0, vector: Some(vector) })
            }
        };
        let replid = ReplId::parse(replid.as_bytes());
        let (replid, offset) = replid
            .zip(Some(offset).filter(|offset| *offset <= OFFSET_MAX))
            .ok_or_else(|| wrong("its head names no place"))?;
        let behind = behind.ok_or_else(|| wrong("its head names no place"))?;
        let functions = mem::take(&mut self.functions);
        let brought = Box::new(Brought { functions, keys, is_native: true });
        Ok(Went::Through { brought, at: (replid, Scalar(offset)), behind })
    }

    /// Whether no more bytes are to be taken for now.
    pub fn is_full(&self, mailbox: &Mailbox<ToRelay>) -> bool {
        CHUNKS_PER_SHARD * mailbox.shards() <= self.outstanding
    }

    /// Notes what a shard made of a chunk.
    pub fn staged(&mut self, staged: Staged) {
        let Staged { generation, keys, error } = staged;
        if generation != self.generation {
            return;
        }
        self.outstanding -= 1;
        self.staged += keys;
        if let Some(error) = error {
            self.failed.get_or_insert_with(|| format!("a chunk is wrong {error}"));
        }
    }

    /// Shuts all connections, whatever they are at.
    pub fn end(self) {
        self.opening.into_iter().for_each(Opening::end);
        self.agreed.into_iter().for_each(|(dial, _)| dial.end());
        self.connections.into_iter().for_each(|(dial, _)| dial.end());
    }

    /// What is waited for; bytes only if they are wanted.
    pub fn awaited(&self, reads: bool) -> impl Iterator<Item = Awaited<'_>> {
        let connections = self.connections.iter();
        let connections = connections.filter(move |(_, taking)| reads && !taking.has_ended());
        let connections = connections.flat_map(|(dial, _)| dial.awaited(true));
        self.opening.iter().flat_map(Opening::awaited).chain(connections)
    }
}

/// Reads what has come, at least a byte; `None` if nothing has.
fn read(
    dial: &mut Dial,
    taking: &mut Taking,
    traffic: &mut Traffic,
) -> Result<Option<usize>, Failed> {
    if taking.has_ended() {
        return Ok(None);
    }
    match dial.read(taking.room(), traffic) {
        Tried::Moved(bytes) => Ok(Some(bytes)),
        Tried::Later => Ok(None),
        Tried::Over => Err(Failed::Lost("a connection of the snapshot has ended".to_owned())),
    }
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Wrong(broken.to_string())
    }
}
