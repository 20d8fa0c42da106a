//! What a command leaves for the floors above: dirty count, log entries, events, touched keys.
//!
//! A handler never logs, replicates, notifies or wakes a client: it says here what happened,
//! and the shard that runs it acts.

pub mod handover;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::effects::handover::{Consignment, Receipt};
use crate::journal::units::{Commands, Units};

/// A class of keyspace events, one letter of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Class {
    /// `g`: commands of no type, like DEL and EXPIRE.
    Generic = 1 << 2,
    /// `$`: strings.
    String = 1 << 3,
    /// `l`: lists.
    List = 1 << 4,
    /// `s`: sets.
    Set = 1 << 5,
    /// `h`: hashes.
    Hash = 1 << 6,
    /// `z`: sorted sets.
    SortedSet = 1 << 7,
    /// `x`: a key expired.
    Expired = 1 << 8,
    /// `e`: a key was evicted.
    Evicted = 1 << 9,
    /// `t`: streams.
    Stream = 1 << 10,
    /// `m`: a key that was looked for is missing. Not part of `A`.
    KeyMiss = 1 << 11,
    /// `n`: a key that was not there was made. Not part of `A`.
    New = 1 << 14,
}

/// Something that happened to a key, to be published if the settings ask for its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which letter of `notify-keyspace-events` it belongs to.
    pub class: Class,
    /// The event's name as Valkey publishes it: `set`, `del`, `expired` ...
    pub name: &'static str,
    /// The database.
    pub db: usize,
    /// The key.
    pub key: Vec<u8>,
}

/// Something that concerns clients which keep copies of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A client has read a key and may keep what it got.
    Read {
        /// The client.
        reader: Reader,
        /// The key.
        key: Vec<u8>,
    },
    /// A key has changed.
    Changed {
        /// The id of the client that changed it; 0 if it changed by itself.
        by: u64,
        /// The key.
        key: Vec<u8>,
    },
    /// A database was emptied.
    Emptied,
}

/// A client as another shard knows it: the engine only passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    /// The shard that has its connection.
    pub home: u16,
    /// What that shard knows it by.
    pub client: u64,
}

/// What the command that is running wants in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logged {
    /// The command as it came, if it changed anything.
    #[default]
    AsItCame,
    /// The command as it came, even if it has changed nothing here: elsewhere it may.
    Anyway,
    /// What is in `instead`, so that a replica needs neither a clock nor chance.
    Instead,
    /// Nothing.
    Nothing,
}

/// What a command waits for that found nothing: the client is not answered, and the command is run
/// again when one of its keys may have what is awaited.
#[derive(Debug, PartialEq, Eq)]
pub struct Wait {
    /// For how many milliseconds; 0 is for ever.
    pub timeout_millis: u64,
    /// The hashes of the keys, and what is awaited of each.
    pub keys: Vec<(u64, Awaited)>,
    /// Arguments that mean something else from now on: their places, and what they become.
    pub rewritten: Vec<(usize, Vec<u8>)>,
    /// What it answers if its time is up first.
    pub in_vain: InVain,
}

/// What a command answers that has waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InVain {
    /// No array.
    Null,
    /// How many replicas have what the client wrote. It waits for so many.
    Replicas(u64),
    /// Whether this server and how many replicas have it on their disks. It waits for so many
    /// replicas.
    Disks(u64),
}

/// What is awaited of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A list.
    List,
    /// A sorted set.
    SortedSet,
    /// A stream with an entry behind this ID.
    Entry((u64, u64)),
    /// A stream with an entry that this group has not delivered; or no group of this name.
    Group(Vec<u8>),
}

impl Awaited {
    /// Whether the command that gets it takes it away.
    pub const fn is_taken(&self) -> bool {
        match self {
            Self::List | Self::SortedSet => true,
            Self::Entry(_) | Self::Group(_) => false,
        }
    }

    /// Whether the wait ends, too, when the key goes or becomes something else.
    pub const fn ends_without_key(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::List | Self::SortedSet | Self::Entry(_) => false,
        }
    }
}

/// How a SCAN goes on that came to the end of its shard's slots before its COUNT was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanRest {
    /// Its cursor: where the next shard's slots begin.
    pub cursor: u64,
    /// What is left of COUNT.
    pub count: u64,
}

/// Something that happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The database.
    pub db: usize,
    /// The key's hash.
    pub hash: u64,
    /// What happened.
    pub change: Change,
}

/// What can happen to a key, as those see it who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was made, removed, or given another value or expiry.
    Changed,
    /// It was removed because its time had come.
    Expired,
    /// It came, with a database that changed places, and its time had come already.
    CameExpired,
}

/// What one command, or one slice of background work, did.
#[derive(Debug, Default)]
pub struct Effects {
    /// How many changes: what `rdb_changes_since_last_save` counts.
    pub dirty: u64,
    /// What goes to the log for the command that is running.
    pub logged: Logged,
    /// What is logged in its place, if so.
    pub instead: Commands,
    /// What is logged behind that, in the same unit.
    pub behind: Commands,
    /// Whether the server keeps a log; if not, nothing is collected for one.
    pub keeps_log: bool,
    /// Whether keys may have their changes in logs of several shards, so that each command that is
    /// logged is to concern one key.
    pub by_key: bool,
    /// The command that ran has changed keys, is to be logged by key, and is not logged yet.
    pub falls_apart: bool,
    /// Which event classes to collect, a union of [`Class`] bits; 0 when notifications are off.
    pub classes: u32,
    /// Events to publish, in order.
    pub events: Vec<Event>,
    /// What the shard's log has not taken yet.
    pub log: Units,
    /// The number of the next transaction over several shards, on the shard that orders them.
    pub txid: u64,
    /// Whether clients may keep copies of keys, so that `notes` are wanted.
    pub keeps_notes: bool,
    /// The id of the client for whom commands run.
    pub author: u64,
    /// What concerns those who keep copies of keys, in order.
    pub notes: Vec<Note>,
    /// Whether `touched` is wanted: the keyspace is on loan and its watchers are elsewhere.
    pub keeps_touched: bool,
    /// What happened to keys, when `keeps_touched`.
    pub touched: Vec<Touched>,
    /// The SCAN that ran last can go on in the shard of the next slots.
    pub scan_rest: Option<ScanRest>,
    /// The command that ran found nothing and waits. What it answered is for those who do not.
    pub wait: Option<Box<Wait>>,
    /// Whether commands answer at once in any case, as within MULTI.
    pub denies_waiting: bool,
    /// The command that ran would wait for replicas, but answers at once. What it answered stands
    /// for their number.
    pub counts: Option<InVain>,
    /// Whether the command that runs has waited, and is to look only at keys of its shard's slots.
    pub sees_own_slots: bool,
    /// What the command that ran hands over to another server. It is not answered yet: it runs
    /// again when there is a receipt.
    pub consignment: Option<Box<Consignment>>,
    /// What has become of what the command that runs has handed over. `None`: it runs for the
    /// first time.
    pub receipt: Option<Box<Receipt>>,
}

impl Effects {
    /// Collects an event if its class is wanted.
    #[inline]
    pub fn event(&mut self, class: Class, name: &'static str, db: usize, key: &[u8]) {
        if self.classes & class as u32 != 0 {
            self.events.push(Event { class, name, db, key: key.to_vec() });
        }
    }

    /// Logs `args` in place of the command that is running.
    pub fn log_instead(&mut self, args: &[&[u8]]) {
        if self.keeps_log {
            self.begin_instead().push(args);
        }
    }

    /// The same with several commands, which `commands` forgets.
    pub fn log_all_instead(&mut self, commands: &mut Commands) {
        if self.keeps_log {
            self.begin_instead().append(commands);
        }
    }

    /// Where commands go that are logged in place of the one that is running.
    fn begin_instead(&mut self) -> &mut Commands {
        if core::mem::replace(&mut self.logged, Logged::Instead) != Logged::Instead {
            self.instead.clear();
        }
        &mut self.instead
    }

    /// Logs, before anything of the command that is running, that a key went by itself: it
    /// expired or was evicted. Replicas do neither on their own.
    pub fn log_deleted(&mut self, db: usize, key: &[u8]) {
        if self.keeps_log {
            self.log.push(db, &[b"DEL", key]);
        }
    }

    /// Logs, before anything of the command that is running, that fields of a hash expired.
    pub fn log_fields_deleted(&mut self, db: usize, key: &[u8], fields: &[&[u8]]) {
        if self.keeps_log {
            let args = [b"HDEL", key].into_iter().chain(fields.iter().copied());
            self.log.push(db, &args.collect::<Vec<_>>());
        }
    }

    /// Logs this behind what is logged for the command that is running.
    pub fn log_behind(&mut self, args: &[&[u8]]) {
        if self.keeps_log {
            self.behind.push(args);
        }
    }

    /// Logs the command that is running even if it has changed nothing.
    pub fn log_anyway(&mut self) {
        if self.keeps_log {
            self.logged = Logged::Anyway;
        }
    }

    /// Logs nothing for the command that is running.
    pub fn log_nothing(&mut self) {
        if self.keeps_log {
            self.logged = Logged::Nothing;
        }
    }

    /// What the log has not taken, as text.
    #[cfg(test)]
    pub fn log_text(&self) -> Vec<alloc::string::String> {
        crate::journal::reader::tests::text_of(self.log.entries())
    }
}
