//! The state of one client at its home shard.

use crate::transactions::multi::Multi;
use crate::transactions::multi::Watch;
use std::net::SocketAddr;

use shards::keyspace::waiters::WaitId;
use shards::resp::parser::Parser;
use shards::resp::reply::Protocol;

use crate::batches::batch::Passport;
use crate::clients::tracker::Found;
use crate::clients::tracker::{Caching, Tracker};
use crate::config::output_limits::{OutputLimit, OutputLimits};
use crate::pubsub::kind::Kind;
use crate::pubsub::subscriptions::Subscriptions;
use crate::reactor::clock::Monotonic;
use crate::reactor::ring::Token;

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
    /// Bytes that came in and are not consumed.
    pub query: Vec<u8>,
    /// The request at the start of `query`, as far as it is understood.
    pub parser: Parser,
    /// Replies that are not on their way.
    pub out: Vec<u8>,
    /// Bytes of replies on their way; 0 if the socket is free.
    pub sending: usize,
    /// A batch of it is under way; nothing else of it may run.
    pub away: bool,
    /// That batch waits for keys: the wait.
    pub blocked: Option<WaitId>,
    /// It is in the list of clients with something to send.
    pub dirty: bool,
    /// It is in the list of clients with input to look at.
    pub listed: bool,
    /// Its socket is not read for now.
    pub paused: bool,
    /// It gets what is written and then no more.
    pub closing: bool,
    /// It connected while the process was about to end.
    pub late: bool,
    /// The process is about to end, and waits for it.
    pub finishing: Finishing,
    /// Commands between MULTI and EXEC.
    pub multi: Option<Box<Multi>>,
    /// Watched keys: database, hash, version, owner.
    pub watched: Vec<Watch>,
    /// What it listens to, unless that is nothing.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// Messages that wait for the batch that is under way, to follow its replies.
    pub held: Vec<u8>,
    /// All messages wait so: its subscriptions are not confirmed yet.
    pub holds_pushes: bool,
    /// How it is told of stale copies, if it is.
    pub tracker: Option<Box<Tracker>>,
    /// What it is to be told of stale copies behind the replies of the batch that is under way.
    pub stale: Vec<u8>,
    /// How much of `stale` it has been told already, and will be again.
    pub stale_told: usize,
    /// A client that was looked for, for the request that is next.
    pub(crate) found: Option<Found>,
    /// It is shown every command that runs.
    pub monitors: bool,
    /// Figures for CLIENT LIST.
    pub figures: Figures,
    /// Since when its replies exceed the soft limit.
    pub over_soft_limit: Option<Monotonic>,
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
    /// CLIENT REPLY
    pub reply: ReplyMode,
    /// CLIENT CAPA REDIRECT
    pub capa_redirect: bool,
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
#[derive(Clone, Copy, Debug)]
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
            query: Vec::new(),
            parser: Parser::default(),
            out: Vec::new(),
            sending: 0,
            away: false,
            blocked: None,
            dirty: false,
            listed: false,
            paused: false,
            closing: false,
            late: false,
            finishing: Finishing::No,
            multi: None,
            watched: Vec::new(),
            subscriptions: None,
            held: Vec::new(),
            holds_pushes: false,
            tracker: None,
            stale: Vec::new(),
            stale_told: 0,
            found: None,
            monitors: false,
            figures: Figures {
                connected: now,
                active: now,
                bytes_in: 0,
                bytes_out: 0,
                commands: 0,
                last_command: "NULL",
            },
            over_soft_limit: None,
        }
    }

    /// What commands need that run away from home.
    #[inline]
    pub fn passport(&self) -> Passport {
        let Session { db, protocol, no_touch, .. } = self.session;
        let reads = self.tracker.as_ref().is_some_and(|tracker| tracker.reads());
        Passport { db, protocol, no_touch, local: self.from_here, reads }
    }

    /// Whether its requests are looked at one by one, because what one does decides what becomes
    /// of the next.
    #[inline]
    pub fn one_by_one(&self) -> bool {
        self.multi.is_some()
            || self.session.reply != ReplyMode::On
            || !self.session.authenticated
            || self.only_listens()
            || self.monitors
            || self.tracker.as_ref().is_some_and(|tracker| tracker.caching != Caching::Not)
    }

    /// Whether it may do little more than change its subscriptions: what it is sent could not be
    /// told from replies.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.subscriptions.is_some() && self.session.protocol == Protocol::Resp2
    }

    /// Whether it may have so many bytes of replies waiting; notes when it exceeds its soft limit.
    pub fn within_output_limits(&mut self, limits: &OutputLimits, now: Monotonic) -> bool {
        let limits = self.output_limit(limits);
        let unsent = self.unsent() as u64;
        if limits.hard != 0 && limits.hard < unsent {
            return false;
        }
        if limits.soft != 0 && limits.soft < unsent {
            self.over_soft_limit.get_or_insert(now);
        } else {
            self.over_soft_limit = None;
        }
        true
    }

    /// Bytes of replies it has not been given.
    pub fn unsent(&self) -> usize {
        self.out.len() + self.held.len() + self.stale.len() + self.sending
    }

    /// How many subscriptions of a kind it has.
    pub fn listens_to(&self, kind: Kind) -> usize {
        self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.len(kind))
    }

    /// How much may wait for it.
    pub fn output_limit(&self, limits: &OutputLimits) -> OutputLimit {
        if self.subscriptions.is_some() { limits.pubsub } else { limits.normal }
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
            reply: ReplyMode::On,
            capa_redirect: false,
        }
    }
}
