//! The state of one client at its home shard.

use std::net::SocketAddr;

use shards::keyspace::waiters::WaitId;
use shards::resp::parser::Parser;
use shards::resp::reply::Protocol;
use shards::shard::Origin;

use crate::batches::batch::Passport;
use crate::clients::leaving::Errand;
use crate::clients::memory::UnderWay;
use crate::clients::query::Query;
use crate::clients::totals::Counted;
use crate::clients::tracker::Found;
use crate::clients::tracker::{Caching, Tracker};
use crate::cluster::redirect::Asker;
use crate::config::table::Config;
use crate::pubsub::kind::Kind;
use crate::pubsub::subscriptions::Subscriptions;
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;
use crate::replication::greeting::Greeting;
use crate::routing::admission::Guards;
use crate::routing::redirection::network_of;
use crate::transactions::multi::{Multi, Watch};

/// What a client's connection asked for and is.
#[derive(Debug)]
pub struct Client {
    /// Never given twice in a process: what CLIENT ID answers.
    pub id: u64,
    /// Its socket.
    pub token: Token,
    /// Its descriptor's number, for CLIENT LIST.
    pub fd: i32,
    /// The other end; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Our end; `None` on a unix socket.
    pub local: Option<SocketAddr>,
    /// Whether it is connected from this machine.
    pub from_here: bool,
    /// What it set for itself.
    pub session: Session,
    /// What its requests are at.
    pub state: State,
    /// What the batch holds that is under way, if one is.
    pub under_way: UnderWay,
    /// How long its connection lasts.
    pub life: Life,
    /// Why its requests are looked at more closely: [`Self::renew`] says so anew.
    pub guards: Guards,
    /// Bytes that came in and are not used up.
    pub query: Query,
    /// The request at the start of `query`, as far as it is understood.
    pub parser: Parser,
    /// Bytes that this request has at least; 0 if it may be complete.
    pub awaited: usize,
    /// Whether its socket is read.
    pub is_read: bool,
    /// Replies that are not on their way.
    pub out: Vec<u8>,
    /// Bytes of replies on their way; 0 if the socket is free.
    pub sending: usize,
    /// Bytes of the buffer that they are in.
    pub sending_room: usize,
    /// It is in the list of clients to look after at the end of the turn.
    pub dirty: bool,
    /// It is in the list of clients with input to look at.
    pub listed: bool,
    /// It connected while the process was about to end.
    pub late: bool,
    /// The process is about to end, and waits for it.
    pub finishing: Finishing,
    /// Commands between MULTI and EXEC.
    pub multi: Option<Box<Multi>>,
    /// What it has done with transactions.
    pub transactions: Transactions,
    /// Watched keys: database, hash, version, owner.
    pub watched: Vec<Watch>,
    /// What it listens to, unless that is nothing.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// What it is sent unasked and has not been given yet.
    pub pushes: Pushes,
    /// How it is told of stale copies, if it is.
    pub tracker: Option<Box<Tracker>>,
    /// A client that was looked for, for the request that is next.
    pub found: Option<Found>,
    /// It is shown every command that runs.
    pub monitors: bool,
    /// What it has told by REPLCONF, if it has.
    pub greeting: Option<Box<Greeting>>,
    /// What it asks for by PSYNC or SYNC, if its life is [`Life::Leaving`].
    pub asked: Option<Box<Errand>>,
    /// For how much it is counted in its shard's sums.
    pub counted: Counted,
    /// Figures for CLIENT LIST.
    pub figures: Figures,
    /// Since when its replies wait for those of its batch, if they do.
    pub held_since: Option<Monotonic>,
    /// A reply was broken off, because it is longer than the hard limit lets it be: the client is
    /// cut, whatever it has been sent meanwhile.
    pub is_broken_off: bool,
    /// Since when its replies exceed the soft limit.
    pub over_soft_limit: Option<Monotonic>,
}

/// What a client's requests are at. A client has one batch under way at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No batch is under way: its input may be looked at.
    Home,
    /// A batch is under way, and nothing else of the client runs.
    Away,
    /// Its batch waits for keys.
    Blocked(WaitId),
    /// Its batch is held back here by a pause, under this number.
    Held(u64),
    /// Its batch is kept by control until something has happened.
    Kept,
}

/// What a client has done with transactions, beside those that it queues now. CLIENT LIST shows it
/// as Valkey does, which keeps a place for commands once a client has needed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transactions {
    /// Neither MULTI nor WATCH.
    Never,
    /// MULTI or WATCH.
    Begun,
    /// An EXEC of so many commands is under way.
    Exec(usize),
}

/// How long a client's connection lasts. It never comes to an earlier one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// Until one side ends it.
    Open,
    /// Until what lies in its socket is read, done and answered: its peer sends no more.
    HungUp,
    /// Until what it sent is done and answered: it sends no more.
    InputEnded,
    /// Until it has what is written for it: then its socket leaves the shard with its connection
    /// open, for the stream that it has asked for. Nothing more of it is done here.
    Leaving,
    /// Until what it sent is done: it takes no replies any more.
    Lost,
    /// Until it has what is written for it: nothing more of it is done.
    Closing,
    /// Until its batch is home: it takes no replies, and nothing more of it is done.
    Gone,
}

/// What a client is sent unasked, as long as it must not overtake a reply.
#[derive(Debug, Default)]
pub struct Pushes {
    /// Messages that follow the replies of the batch that is under way.
    pub held: Vec<u8>,
    /// All messages wait so: its subscriptions are not confirmed yet.
    pub wait: bool,
    /// What it is to be told of stale copies behind the replies of the batch that is under way.
    pub stale: Vec<u8>,
    /// How much of `stale` it has been told already, and will be again.
    pub stale_told: usize,
}

/// What a client set for itself.
#[derive(Debug)]
pub struct Session {
    /// The selected database.
    pub db: usize,
    /// The protocol of replies.
    pub protocol: Protocol,
    /// Whether it may do more than authenticate.
    pub authenticated: bool,
    /// CLIENT SETNAME
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER
    pub lib_ver: Vec<u8>,
    /// CLIENT NO-EVICT
    pub no_evict: bool,
    /// CLIENT NO-TOUCH
    pub no_touch: bool,
    /// CLIENT IMPORT-SOURCE
    pub import_source: bool,
    /// CLIENT REPLY
    pub reply: ReplyMode,
    /// CLIENT CAPA REDIRECT
    pub capa_redirect: bool,
    /// READONLY
    pub reads_replicas: bool,
    /// ASKING
    pub asking: Asking,
}

/// Whether ASKING stands before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// It does not.
    Not,
    /// It does, before the next command.
    Next,
    /// It does, before the command (or transaction) that is at work or was the last one.
    Now,
}

/// What of a client the end of the process waits for. Meanwhile its socket is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finishing {
    /// Nothing.
    No,
    /// All that it has sent so far.
    Accepted,
    /// What has begun.
    UnderWay,
}

/// CLIENT REPLY: which replies a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    On,
    /// None.
    Off,
    /// None for the next request.
    Skip,
}

/// Figures that CLIENT LIST shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// When it connected.
    pub connected: Monotonic,
    /// When it last sent something.
    pub active: Monotonic,
    /// Bytes it sent.
    pub bytes_in: u64,
    /// Bytes it was sent.
    pub bytes_out: u64,
    /// Commands it ran.
    pub commands: u64,
    /// The name of its last command.
    pub last_command: &'static str,
}

impl Client {
    /// A client that has just connected.
    pub fn new(id: u64, token: Token, fd: i32, now: Monotonic) -> Self {
        Self {
            id,
            token,
            fd,
            peer: None,
            local: None,
            from_here: true,
            session: Session::default(),
            state: State::Home,
            under_way: UnderWay::default(),
            life: Life::Open,
            guards: Guards::ALWAYS,
            query: Query::default(),
            parser: Parser::default(),
            awaited: 0,
            is_read: true,
            out: Vec::new(),
            sending: 0,
            sending_room: 0,
            dirty: false,
            listed: false,
            late: false,
            finishing: Finishing::No,
            multi: None,
            transactions: Transactions::Never,
            watched: Vec::new(),
            subscriptions: None,
            pushes: Pushes::default(),
            tracker: None,
            found: None,
            monitors: false,
            greeting: None,
            asked: None,
            counted: Counted::default(),
            figures: Figures {
                connected: now,
                active: now,
                bytes_in: 0,
                bytes_out: 0,
                commands: 0,
                last_command: "NULL",
            },
            held_since: None,
            is_broken_off: false,
            over_soft_limit: None,
        }
    }

    /// Says anew why its requests are looked at more closely, given the node's reasons. Called
    /// whenever its session or the node's state has changed.
    #[inline]
    pub fn renew(&mut self, of_node: Guards) {
        let caching = self.tracker.as_ref().is_some_and(|it| it.caching != Caching::Not);
        let own = [
            Guards::ALWAYS,
            Guards::UNAUTHENTICATED.when(!self.session.authenticated),
            Guards::MULTI.when(self.multi.is_some()),
            Guards::LISTENS.when(self.only_listens()),
            Guards::MONITORS.when(self.monitors),
            Guards::LATE.when(self.late),
            Guards::MUTED.when(self.session.reply != ReplyMode::On),
            Guards::CACHING.when(caching),
            Guards::ASKING.when(self.session.asking != Asking::Not),
        ];
        let own = own.into_iter().fold(Guards::NONE, Guards::and);
        self.guards = own.and(of_node.without(self.exempt_from()));
    }

    /// The node's reasons that do not concern it: what it had sent before the process was to end
    /// is done first.
    pub fn exempt_from(&self) -> Guards {
        Guards::PAUSED.when(self.finishing == Finishing::Accepted)
    }

    /// What commands need that run for it.
    #[inline]
    pub fn passport(&self, config: &Config) -> Passport {
        let Session { db, protocol, no_touch, import_source, .. } = self.session;
        let reads = self.tracker.as_ref().is_some_and(|tracker| tracker.reads());
        let imports = import_source && config.import_mode;
        let (reply_pause, reply_max) = self.reply_limits(config);
        Passport {
            db,
            protocol,
            no_touch,
            origin: if imports { Origin::Importer } else { Origin::Client },
            local: self.from_here,
            reads,
            exempt: self.exempt_from(),
            asker: self.asker(),
            network: network_of(self.peer),
            reply_pause,
            reply_max,
        }
    }

    /// What decides where its requests run, in a cluster.
    #[inline]
    pub fn asker(&self) -> Asker {
        let Session { reads_replicas, asking, .. } = self.session;
        Asker { reads_replicas, asks: asking == Asking::Now }
    }

    /// Notes that a request of it is looked at for the first time: ASKING is over after one
    /// command, or one transaction.
    pub fn note_asking(&mut self) {
        let asking = &mut self.session.asking;
        *asking = match *asking {
            Asking::Next => Asking::Now,
            Asking::Now if self.multi.is_some() => Asking::Now,
            Asking::Now | Asking::Not => Asking::Not,
        };
    }

    /// Whether it may do little more than change its subscriptions: what it is sent could not be
    /// told from replies.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.subscriptions.is_some() && self.session.protocol == Protocol::Resp2
    }

    /// Whether its request waits: for a key, for the end of a pause, or for what control keeps it
    /// for.
    pub fn waits(&self) -> bool {
        matches!(self.state, State::Blocked(_) | State::Held(_) | State::Kept)
    }

    /// Whether a batch of its requests has left home, or waits.
    pub fn is_under_way(&self) -> bool {
        self.state != State::Home
    }

    /// Notes that no EXEC of it is under way any more.
    #[inline]
    pub fn end_exec(&mut self) {
        if let Transactions::Exec(_) = self.transactions {
            self.transactions = Transactions::Begun;
        }
    }

    /// How many subscriptions of a kind it has.
    pub fn listens_to(&self, kind: Kind) -> usize {
        self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.len(kind))
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            db: 0,
            protocol: Protocol::Resp2,
            authenticated: true,
            name: Vec::new(),
            lib_name: Vec::new(),
            lib_ver: Vec::new(),
            no_evict: false,
            no_touch: false,
            import_source: false,
            reply: ReplyMode::On,
            capa_redirect: false,
            reads_replicas: false,
            asking: Asking::Not,
        }
    }
}
