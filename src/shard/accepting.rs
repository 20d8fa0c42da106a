//! New connections: whether they are served, and by which shard.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::clients::client::Client;
use crate::config::table::Config;
use crate::mail::connection::Connection;
use crate::mail::to_shard::ToShard;
use crate::reactor::ring::DataRing;
use crate::reactor::sockets;
use crate::shard::core::{Core, SocketRequest};
use crate::shutdown::stage::Stage;

/// What a client from another machine is told in protected mode.
const PROTECTED: &[u8] = b"-DENIED Running in protected mode because protected mode is enabled \
and no password is set for the default user. In this mode connections are only accepted from the \
loopback interface. To connect from other machines, either set a password ('requirepass', or \
'CONFIG SET requirepass' from this machine), or disable protected mode ('protected-mode no') if \
no other machine can reach this port.\r\n";

/// What the shard that accepts has accepted.
pub struct Accepting {
    /// Listeners that could not accept, for want of descriptors as a rule: tried again at a tick.
    failed: Vec<u16>,
    /// Connections accepted so far; also the last client's id.
    accepted: u64,
    /// Connections given to each shard so far.
    assigned: Vec<u64>,
}

impl Accepting {
    /// Nothing is accepted yet.
    pub fn new(shards: usize) -> Self {
        Self { failed: Vec::new(), accepted: 0, assigned: vec![0; shards] }
    }

    /// Takes a connection in: the shard with the fewest gets it.
    pub fn accept(&mut self, core: &mut Core, fd: OwnedFd) {
        self.accepted += 1;
        let connection = Box::new(Connection {
            id: self.accepted,
            peer: sockets::peer(&fd),
            local: sockets::local(&fd),
            fd,
        });
        let open = |shard: usize| self.assigned[shard] - core.mailbox.board(shard).closed.get();
        let shards = 0..self.assigned.len();
        let clients: u64 = shards.clone().map(open).sum();
        if let Some(refusal) = refusal(&core.node.config, &connection, clients) {
            core.counters.clients_refused += 1;
            sockets::send_now(&connection.fd, refusal);
            return;
        }
        if connection.peer.is_some() {
            sockets::prepare_tcp(&connection.fd, core.node.config.tcp_keepalive);
        }
        let to = shards.min_by_key(|&shard| open(shard)).expect("there is a shard");
        self.assigned[to] += 1;
        if to == core.me() {
            core.socket_requests.push(SocketRequest::Add(connection));
        } else {
            core.mailbox.send(to, ToShard::Connection(connection));
        }
    }

    /// A listener could not accept.
    pub fn failed(&mut self, listener: u16) {
        self.failed.push(listener);
    }

    /// Tries again to accept where that failed.
    pub fn try_again(&mut self, ring: &mut DataRing) {
        self.failed.drain(..).for_each(|listener| ring.accept_again(listener));
    }
}

impl Core {
    /// Serves a connection from now on.
    pub(crate) fn connect(&mut self, ring: &mut DataRing, connection: Connection) {
        let Connection { fd, id, peer, local } = connection;
        let number = fd.as_raw_fd();
        let token = ring.add(fd);
        let mut client = Client::new(id, token, number, self.node.now);
        (client.peer, client.local) = (peer, local);
        client.from_here = peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback());
        client.session.authenticated = self.node.config.requirepass.is_empty();
        client.late = self.end_stage().is_some_and(|stage| Stage::Intake <= stage);
        self.add_client(Box::new(client));
    }
}

/// Why a connection is not served, as it is told.
fn refusal(config: &Config, connection: &Connection, clients: u64) -> Option<&'static [u8]> {
    if u64::from(config.maxclients) <= clients {
        return Some(b"-ERR max number of clients reached\r\n");
    }
    let outside = connection.peer.is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
    if config.protected_mode && config.requirepass.is_empty() && outside {
        return Some(PROTECTED);
    }
    None
}
