//! Connections of replicas that a snapshot goes by. This stands for `relay::snapshots`.

use keylane::replication::moment::Moment;
use keylane::replication::replid::ReplId;
use keylane::replication::session::SessionId;
use shards::resp::error::Error;

use crate::agenda::Env;
use crate::network::ConnId;
use crate::node::Node;
use crate::node::letters::{Letter, SnapshotArrival};
use crate::node::peers::{Flows, Peer};

/// Those of one replica.
#[derive(Debug)]
pub struct Connections {
    pub conns: Vec<Option<ConnId>>,
    /// When all of them are to be there.
    until: Moment,
}

impl Connections {
    pub fn are_complete(&self) -> bool {
        self.conns.iter().all(Option::is_some)
    }

    /// Whether one has not come in time.
    pub fn are_late(&self, now: Moment) -> bool {
        self.until <= now && !self.are_complete()
    }
}

impl Node {
    /// Tells a replica by how many connections its snapshot goes.
    pub fn offer_snapshot(&mut self, env: &mut Env, name: ReplId, stores_logs: bool) {
        let connections = 1 + env.below(3);
        let until = env.moment().after(env.setup.link_limits().step_ms);
        let peer = self.relay.peers.last_mut().expect("it was added");
        let mut flows = Flows::waiting(name);
        flows.snapshot = Some(Connections { conns: vec![None; connections], until });
        flows.is_storing = stores_logs;
        peer.session.take_chunks();
        peer.out.extend(format!("+SNAPSHOT {name} {connections}\r\n").into_bytes());
        peer.flows = Some(flows);
    }

    /// A replica opens a connection for its snapshot.
    pub fn snapshot_arrived(&mut self, env: &mut Env, arrival: SnapshotArrival) {
        let SnapshotArrival { conn, unread, name, connection } = arrival;
        let is_free = |peer: &&mut Peer| {
            let flows = peer.flows.as_ref().filter(|flows| flows.name == name);
            let snapshot = flows.and_then(|flows| flows.snapshot.as_ref());
            let place = snapshot.and_then(|snapshot| snapshot.conns.get(usize::from(connection)));
            place.is_some_and(Option::is_none)
        };
        let peer = self.relay.peers.iter_mut().find(is_free).filter(|_| unread.is_empty());
        let snapshot = peer.and_then(|peer| {
            let snapshot = peer.flows.as_mut()?.snapshot.as_mut()?;
            Some((peer.id, *peer.session.terms(), snapshot))
        });
        let Some((session, terms, snapshot)) = snapshot else {
            let error = Error::Text("ERR no snapshot waits for this connection");
            return self.refuse(env, conn, &error);
        };
        snapshot.conns[usize::from(connection)] = Some(conn);
        let is_complete = snapshot.are_complete();
        env.write(conn, self.run.node, b"+OK\r\n");
        if is_complete {
            self.tell_control(env, Letter::AwaitsSnapshot(session, terms));
        }
    }

    /// The transfer of a session is over: its connections are needed no more.
    pub fn forget_connections(&mut self, env: &mut Env, session: SessionId) {
        let mut peers = self.relay.peers.iter_mut();
        let flows = peers.find(|peer| peer.id == session).and_then(|peer| peer.flows.as_mut());
        let ended = flows.and_then(|flows| flows.snapshot.take());
        self.end_connections(env, ended);
    }

    /// Ends connections that a snapshot goes by.
    pub fn end_connections(&mut self, env: &mut Env, ended: Option<Connections>) {
        for conn in ended.into_iter().flat_map(|snapshot| snapshot.conns).flatten() {
            self.close(env, conn);
        }
    }
}
