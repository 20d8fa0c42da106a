//! Which clients CLIENT LIST and CLIENT KILL mean.

use std::mem::discriminant;
use std::net::SocketAddr;

use crate::clients::client::{Client, Figures};
use crate::clients::leaving::Known;
use crate::clients::line;
use crate::reactor::clock::Monotonic;
use crate::routing::node::Node;

/// Clients with all of some traits and none of others.
#[derive(Clone, Debug, Default)]
pub struct ClientFilter {
    /// What a client must have.
    has: Vec<Trait>,
    /// What it must not have.
    lacks: Vec<Trait>,
    /// The client that is left out whatever it has: who asks.
    pub skip: Option<u64>,
}

/// Something true of some clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trait {
    /// Its id is one of these.
    Id(Vec<u64>),
    /// What its connection is for.
    Kind(Kind),
    /// The other end.
    Addr(Vec<u8>),
    /// Our end.
    Laddr(Vec<u8>),
    /// The other end without its port.
    Ip(Vec<u8>),
    /// The name it gave itself.
    Name(Vec<u8>),
    /// The user it is.
    User(Vec<u8>),
    /// It has all of these letters among its flags.
    Flags(Vec<u8>),
    /// The library it says it uses.
    LibName(Vec<u8>),
    /// That library's version.
    LibVer(Vec<u8>),
    /// The selected database.
    Db(usize),
    /// It has all of these letters among its capabilities.
    Capa(Vec<u8>),
    /// Connected for at least this many seconds.
    Age(u64),
    /// Idle for at least this many seconds.
    Idle(u64),
}

/// A connection as filters and the lines of CLIENT LIST see it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What CLIENT ID answers, or did.
    pub id: u64,
    /// Its descriptor's number.
    pub fd: i32,
    /// What it is for.
    pub kind: Kind,
    /// The other end; `None` on a unix socket.
    pub peer: Option<SocketAddr>,
    /// Our end; `None` on a unix socket.
    pub local: Option<SocketAddr>,
    /// CLIENT SETNAME
    pub name: &'a [u8],
    /// One letter for each thing that is special about it, or `N`.
    pub flags: String,
    /// One letter for each thing that it says it is capable of.
    pub capa: &'static str,
    /// The selected database.
    pub db: usize,
    /// CLIENT SETINFO LIB-NAME
    pub lib_name: &'a [u8],
    /// CLIENT SETINFO LIB-VER
    pub lib_ver: &'a [u8],
    /// What it has done.
    pub figures: &'a Figures,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests.
    Normal,
    /// Receives the log of this primary.
    Replica,
    /// Messages of channels.
    PubSub,
    /// Sends the log of this replica's primary.
    Primary,
}

impl ClientFilter {
    /// Clients must have this. Takes the place of an earlier word on the same matter.
    pub fn must_have(&mut self, wanted: Trait) {
        put(&mut self.has, wanted);
    }

    /// Clients must not have this. Takes the place of an earlier word on the same matter.
    pub fn must_lack(&mut self, unwanted: Trait) {
        put(&mut self.lacks, unwanted);
    }

    /// Whether a connection is meant.
    pub fn matches(&self, subject: &Subject<'_>, node: &Node) -> bool {
        self.skip != Some(subject.id)
            && self.has.iter().all(|wanted| wanted.is_of(subject, node))
            && !self.lacks.iter().any(|unwanted| unwanted.is_of(subject, node))
    }
}

impl Trait {
    fn is_of(&self, subject: &Subject<'_>, node: &Node) -> bool {
        let seconds = |since: Monotonic| node.now.millis_since(since) / 1000;
        let letters =
            |wanted: &[u8], has: &str| wanted.iter().all(|letter| has.as_bytes().contains(letter));
        match self {
            Self::Id(ids) => ids.contains(&subject.id),
            Self::Kind(kind) => *kind == subject.kind,
            Self::Addr(addr) => line::address(subject.peer, &node.config).as_bytes() == addr,
            Self::Laddr(addr) => line::address(subject.local, &node.config).as_bytes() == addr,
            Self::Ip(ip) => match subject.peer {
                Some(peer) => peer.ip().to_canonical().to_string().as_bytes() == ip,
                None => node.config.unixsocket.as_os_str().as_encoded_bytes() == ip,
            },
            Self::Name(name) => subject.name == *name,
            Self::User(user) => user == b"default",
            Self::Flags(flags) => letters(flags, &subject.flags),
            Self::LibName(name) => subject.lib_name == *name,
            Self::LibVer(version) => subject.lib_ver == *version,
            Self::Db(db) => subject.db == *db,
            Self::Capa(letters_wanted) => letters(letters_wanted, subject.capa),
            Self::Age(age) => *age <= seconds(subject.figures.connected),
            Self::Idle(idle) => *idle <= seconds(subject.figures.active),
        }
    }
}

impl<'a> Subject<'a> {
    /// A client of a shard.
    pub fn of(client: &'a Client) -> Self {
        let Client { id, fd, peer, local, session, figures, .. } = client;
        let listens = client.subscriptions.is_some();
        Self {
            id: *id,
            fd: *fd,
            kind: if listens { Kind::PubSub } else { Kind::Normal },
            peer: *peer,
            local: *local,
            name: &session.name,
            flags: line::flags(client),
            capa: line::capa(client),
            db: session.db,
            lib_name: &session.lib_name,
            lib_ver: &session.lib_ver,
            figures,
        }
    }

    /// A replica that was a client.
    pub fn of_replica(known: &'a Known) -> Self {
        let flags = if known.peer.is_none() { "SU" } else { "S" };
        Self { kind: Kind::Replica, flags: flags.to_owned(), ..Self::of_primary(known) }
    }

    /// The connection to this node's primary.
    pub fn of_primary(known: &'a Known) -> Self {
        let Known { id, fd, peer, local, name, lib_name, lib_ver, figures } = known;
        Self {
            id: *id,
            fd: *fd,
            kind: Kind::Primary,
            peer: *peer,
            local: *local,
            name,
            flags: "M".to_owned(),
            capa: "",
            db: 0,
            lib_name,
            lib_ver,
            figures,
        }
    }
}

fn put(traits: &mut Vec<Trait>, new: Trait) {
    match traits.iter_mut().find(|old| discriminant(*old) == discriminant(&new)) {
        Some(old) => *old = new,
        None => traits.push(new),
    }
}
