//! Which clients CLIENT LIST and CLIENT KILL mean.

use std::mem::discriminant;

use crate::clients::client::Client;
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

    /// Whether a client is meant.
    pub fn matches(&self, client: &Client, node: &Node) -> bool {
        self.skip != Some(client.id)
            && self.has.iter().all(|wanted| wanted.is_of(client, node))
            && !self.lacks.iter().any(|unwanted| unwanted.is_of(client, node))
    }
}

impl Trait {
    fn is_of(&self, client: &Client, node: &Node) -> bool {
        let seconds = |since: Monotonic| node.now.millis_since(since) / 1000;
        let session = &client.session;
        let letters =
            |wanted: &[u8], has: &str| wanted.iter().all(|letter| has.as_bytes().contains(letter));
        match self {
            Self::Id(ids) => ids.contains(&client.id),
            // No client replicates yet.
            Self::Kind(kind) => {
                let listens = client.subscriptions.is_some();
                *kind == if listens { Kind::PubSub } else { Kind::Normal }
            }
            Self::Addr(addr) => line::address(client.peer, &node.config).as_bytes() == addr,
            Self::Laddr(addr) => line::address(client.local, &node.config).as_bytes() == addr,
            Self::Ip(ip) => match client.peer {
                Some(peer) => peer.ip().to_canonical().to_string().as_bytes() == ip,
                None => node.config.unixsocket.as_os_str().as_encoded_bytes() == ip,
            },
            Self::Name(name) => session.name == *name,
            Self::User(user) => user == b"default",
            Self::Flags(flags) => letters(flags, &line::flags(client)),
            Self::LibName(name) => session.lib_name == *name,
            Self::LibVer(version) => session.lib_ver == *version,
            Self::Db(db) => session.db == *db,
            Self::Capa(letters_wanted) => letters(letters_wanted, line::capa(client)),
            Self::Age(age) => *age <= seconds(client.figures.connected),
            Self::Idle(idle) => *idle <= seconds(client.figures.active),
        }
    }
}

fn put(traits: &mut Vec<Trait>, new: Trait) {
    match traits.iter_mut().find(|old| discriminant(*old) == discriminant(&new)) {
        Some(old) => *old = new,
        None => traits.push(new),
    }
}
