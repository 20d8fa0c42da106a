//! The vocabulary in which a command is described: all that COMMAND, ACLs, routing and the
//! README's table know of it. The words are Valkey's (`COMMAND INFO`, `COMMAND DOCS`).

use crate::commands::ctx::Ctx;
use crate::resp::error::Error;

/// Everything the world may know of a command.
#[derive(Debug)]
pub struct Spec {
    /// Lower case; a subcommand is written with its container: `client|id`.
    pub name: &'static str,
    /// The group in `COMMAND DOCS`.
    pub group: Group,
    /// The Valkey or Redis version that introduced it.
    pub since: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Big-O and what N stands for.
    pub complexity: &'static str,
    /// Arguments after the name, in the notation of Valkey's documentation:
    /// `key value [NX | XX] [EX seconds | PX milliseconds]`. `COMMAND DOCS` derives its tree from
    /// it.
    pub syntax: &'static str,
    /// How many arguments, the name included.
    pub arity: Arity,
    /// Flags of `COMMAND INFO`.
    pub flags: Flags,
    /// ACL categories that do not follow from flags and group (see `categories()` in `table.rs`).
    pub categories: &'static [&'static str],
    /// Tips of `COMMAND INFO`: `nondeterministic_output`, `request_policy:all_shards` ...
    pub tips: &'static [&'static str],
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// What it does when its keys live on more than one shard.
    pub spread: Spread,
    /// Subcommands that are defined beside it: some if it is a container, none if it is not.
    pub subcommands: &'static [&'static Spec],
}

impl Spec {
    /// Whether what stands in the places of keys are names of keys. Shard channels and cursors are
    /// none: they only say where a request belongs.
    pub fn names_keys(&self) -> bool {
        self.keys.iter().any(|keys| !keys.flags.contains(&"not_key"))
    }

    /// Whether a request may name several keys, or where its key is depends on its arguments.
    pub const fn may_have_several_keys(&self) -> bool {
        !matches!(
            self.keys,
            [] | [KeySpec { begin: Begin::Index(_), find: Find::Range { last: 0, .. }, .. }]
        )
    }

    /// A specification with nothing said yet; constants are written as
    /// `Spec { .., ..Spec::EMPTY }`.
    pub const EMPTY: Self = Self {
        name: "",
        group: Group::Generic,
        since: "1.0.0",
        summary: "",
        complexity: "O(1)",
        syntax: "",
        arity: Arity::Exactly(1),
        flags: Flags::NONE,
        categories: &[],
        tips: &[],
        keys: &[],
        spread: Spread::Gather,
        subcommands: &[],
    };
}

/// A command that works on a keyspace: its specification and its handler.
#[derive(Debug)]
pub struct Command {
    /// What the world may know.
    pub spec: Spec,
    /// Runs it. An error is written as its only reply.
    pub run: fn(&mut Ctx<'_>) -> Result<(), Error>,
}

/// The number of arguments, the command's name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Just this many.
    Exactly(i64),
    /// This many or more.
    AtLeast(i64),
}

impl Arity {
    /// Whether a request of `count` arguments is well formed.
    #[inline]
    pub const fn accepts(self, count: usize) -> bool {
        match self {
            Self::Exactly(n) => count as i64 == n,
            Self::AtLeast(n) => n <= count as i64,
        }
    }

    /// As `COMMAND INFO` gives it: negative for "at least".
    pub const fn number(self) -> i64 {
        match self {
            Self::Exactly(n) => n,
            Self::AtLeast(n) => -n,
        }
    }
}

/// The groups of `COMMAND DOCS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Keys of any type.
    Generic,
    /// Strings.
    String,
    /// Bit operations on strings.
    Bitmap,
    /// Hashes.
    Hash,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// HyperLogLogs, which are strings.
    HyperLogLog,
    /// Places on earth, in sorted sets.
    Geo,
    /// Channels and those who listen to them.
    PubSub,
    /// MULTI, EXEC, WATCH ...
    Transactions,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// Servers that share out the slots.
    Cluster,
    /// Scripts and functions.
    Scripting,
}

impl Group {
    /// As `COMMAND DOCS` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::HyperLogLog => "hyperloglog",
            Self::Geo => "geo",
            Self::PubSub => "pubsub",
            Self::Transactions => "transactions",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Cluster => "cluster",
            Self::Scripting => "scripting",
        }
    }

    /// The ACL category of all its commands; `None` if they have none in common.
    pub const fn category(self) -> Option<&'static str> {
        match self {
            // Those of pub/sub have a flag that says so, but for the container.
            Self::Generic | Self::Server | Self::PubSub | Self::Cluster => None,
            Self::Transactions => Some("transaction"),
            Self::SortedSet => Some("sortedset"),
            Self::String
            | Self::Bitmap
            | Self::Hash
            | Self::List
            | Self::Set
            | Self::Stream
            | Self::HyperLogLog
            | Self::Geo
            | Self::Connection
            | Self::Scripting => Some(self.name()),
        }
    }
}

/// One flag of `COMMAND INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Flag {
    /// May change keys.
    Write = 1,
    /// Only reads keys.
    ReadOnly = 1 << 1,
    /// Refused when memory is short.
    DenyOom = 1 << 2,
    /// Administers the server.
    Admin = 1 << 3,
    /// Part of pub/sub.
    PubSub = 1 << 4,
    /// Not for scripts.
    NoScript = 1 << 5,
    /// May block the client.
    Blocking = 1 << 6,
    /// Allowed while a dataset loads.
    Loading = 1 << 7,
    /// Allowed on a replica with stale data.
    Stale = 1 << 8,
    /// Not shown to MONITOR.
    SkipMonitor = 1 << 9,
    /// Not put into the slow log.
    SkipCommandLog = 1 << 10,
    /// Constant or logarithmic time.
    Fast = 1 << 11,
    /// Allowed before authentication.
    NoAuth = 1 << 12,
    /// May make a replication stream of its own.
    MayReplicate = 1 << 13,
    /// Not allowed between MULTI and EXEC.
    NoMulti = 1 << 14,
    /// Its keys cannot be told from its arguments alone.
    MovableKeys = 1 << 15,
    /// Works on every database or on none.
    NoAsyncLoading = 1 << 16,
    /// Touches all keys, not those of its arguments.
    AllDbs = 1 << 17,
    /// Does not count as activity of a client whose slot is asked for.
    Asking = 1 << 18,
    /// Its keys need not be named.
    NoMandatoryKeys = 1 << 19,
    /// Refused unless the debug setting allows it.
    Protected = 1 << 20,
    /// Allowed while a script is busy.
    AllowBusy = 1 << 21,
}

/// What `COMMAND INFO` calls the flags that it shows.
const FLAG_NAMES: &[(Flag, &str)] = &[
    (Flag::Write, "write"),
    (Flag::ReadOnly, "readonly"),
    (Flag::DenyOom, "denyoom"),
    (Flag::Admin, "admin"),
    (Flag::PubSub, "pubsub"),
    (Flag::NoScript, "noscript"),
    (Flag::Blocking, "blocking"),
    (Flag::Loading, "loading"),
    (Flag::Stale, "stale"),
    (Flag::SkipMonitor, "skip_monitor"),
    (Flag::SkipCommandLog, "skip_commandlog"),
    (Flag::Asking, "asking"),
    (Flag::Fast, "fast"),
    (Flag::NoAuth, "no_auth"),
    (Flag::NoMandatoryKeys, "no_mandatory_keys"),
    (Flag::NoAsyncLoading, "no_async_loading"),
    (Flag::NoMulti, "no_multi"),
    (Flag::MovableKeys, "movablekeys"),
    (Flag::AllowBusy, "allow_busy"),
];

/// A set of [`Flag`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// The set of these flags.
    pub const fn of(flags: &[Flag]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < flags.len() {
            bits |= flags[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    /// Whether the set has `flag`.
    #[inline]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & flag as u32 != 0
    }

    /// The flags as `COMMAND INFO` shows them, in its order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAG_NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

/// Where keys stand among the arguments, as `COMMAND INFO` tells it.
#[derive(Debug)]
pub struct KeySpec {
    /// Where to begin.
    pub begin: Begin,
    /// How to go on from there.
    pub find: Find,
    /// `RO`, `RW`, `OW`, `RM`, `ACCESS`, `UPDATE`, `INSERT`, `DELETE`, `not_key` ...: COMMAND shows
    /// those of more than two letters in lower case.
    pub flags: &'static [&'static str],
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this argument.
    Index(usize),
    /// At this argument, as COMMAND says; but only in requests of which this is true.
    IndexIf(usize, fn(&[&[u8]]) -> bool),
    /// After this keyword, looked for from this argument on (from the end if negative).
    Keyword(&'static str, i64),
    /// After this keyword, as COMMAND says; but as an option may come several times, and its name
    /// be an argument of another one, this tells where exactly, be the request valid or not.
    Option(&'static str, i64, fn(&[&[u8]]) -> Option<usize>),
    /// COMMAND cannot say it; how to go on says more.
    Unknown,
}

/// How keys follow from where the search began.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// From the beginning to `last` (relative; negative counts from the last argument), every
    /// `step`-th; `limit` of 2 stops at half of the arguments, and so on.
    Range {
        /// Last key, relative to the beginning; -1 is the last argument.
        last: i64,
        /// Distance between keys.
        step: usize,
        /// 0 or 1: no limit; n: only the first 1/n of what remains.
        limit: usize,
    },
    /// The argument at `at` (relative) counts the keys, which follow from `first`.
    Number {
        /// Where the count is.
        at: usize,
        /// Where the first key is.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
    /// COMMAND cannot say it: this tells the place of a key among the arguments of the request.
    Place(fn(&[&[u8]]) -> Option<usize>),
    /// COMMAND cannot say it: this tells whether the request asks for keys that do not stand among
    /// its arguments and can be any. All shards are at hand then.
    Anywhere(fn(&[&[u8]]) -> bool),
}

impl KeySpec {
    /// One key as first argument.
    pub const fn first(flags: &'static [&'static str]) -> Self {
        Self::nth(1, flags)
    }

    /// One key as `n`-th argument.
    pub const fn nth(n: usize, flags: &'static [&'static str]) -> Self {
        Self { begin: Begin::Index(n), find: Find::Range { last: 0, step: 1, limit: 0 }, flags }
    }

    /// Keys from argument `n` to the last one, every `step`-th.
    pub const fn from(n: usize, step: usize, flags: &'static [&'static str]) -> Self {
        Self { begin: Begin::Index(n), find: Find::Range { last: -1, step, limit: 0 }, flags }
    }
}

/// How a command deals with several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Its entries are brought together and it runs once. Right for every command.
    Gather,
    /// It runs on each shard with the arguments whose keys live there (its only key spec is a
    /// range), and the replies are merged.
    Split(Merge),
    /// It runs on every shard as a whole (no keys are named), and the replies are merged.
    Everywhere(Merge),
    /// It runs on the shard that owns the slot in its cursor, argument 1 (`SCAN`).
    Cursor,
    /// It needs no keyspace and runs wherever it is met (`ECHO`).
    Anywhere,
    /// Its entries are brought together at home, be they of one shard or of several, and stay
    /// there while another server takes them (`MIGRATE`).
    HandOver,
}

/// How replies of several shards become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Integers are added.
    Sum,
    /// Each answers one element per key; they go to their keys' places.
    ByKey,
    /// Arrays are joined.
    Concat,
    /// All say the same: the first is taken.
    Same,
    /// An element is picked from all, each weighted by how many keys stand behind it: every shard
    /// answers `[key or null, number of keys]`.
    Pick,
    /// Each answers `[database, digest, database, digest ...]` of its part of the dataset;
    /// `server::debug_digest::combined` makes one of them.
    Digest,
}
