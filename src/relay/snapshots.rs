//! Connections of replicas that a snapshot goes by, as chunks.
//!
//! ```text
//! PSYNC --> +SNAPSHOT name K bytes history offset --> K connections: KEYLANE SNAPSHOT name k
//!   --> +OK on each
//!   --> all are there: the session waits for a child --> lent to that, which writes to them
//! ```
//! The connection of the session stays here, and carries nothing meanwhile but line feeds.

use std::io;
use std::os::fd::OwnedFd;

use crate::clients::leaving::SnapshotRequest;
use crate::mail::replica::{Further, RelayWord};
use crate::mail::to_control::ToControl;
use crate::persistence::snapshot::threads_beside;
use crate::reactor::allocator::used_memory;
use crate::reactor::sockets;
use crate::relay::core::Relay;
use crate::relay::deciding::refuse;
use crate::relay::flows::{Flows, agree};
use crate::relay::peer::Peer;
use crate::replication::handshake::{CONNECTIONS_MAX, SnapshotOffered};
use crate::replication::history::Scalar;
use crate::replication::moment::Moment;
use crate::replication::replid::ReplId;
use crate::replication::session::{Event, SessionId};
use shards::resp::error::Error;

/// Those of one replica.
#[derive(Debug)]
pub struct Connections {
    sockets: Vec<Option<OwnedFd>>,
    /// When all of them are to be there.
    until: Moment,
}

impl Connections {
    /// Descriptors of them for another process.
    ///
    /// # Errors
    /// The system's, for want of descriptors.
    pub fn lend(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.iter().flatten().map(OwnedFd::try_clone).collect()
    }

    /// Whether one has not come in time.
    pub fn are_late(&self, now: Moment) -> bool {
        self.until <= now && !self.are_complete()
    }

    fn are_complete(&self) -> bool {
        self.sockets.iter().all(Option::is_some)
    }

    /// Ends them, also for a child that has descriptors of them.
    pub fn end(self) {
        self.sockets.iter().flatten().for_each(sockets::shut);
    }
}

impl Relay {
    /// Tells a replica by how many connections its snapshot goes, and notes whether it stores logs
    /// meanwhile. The session waits for a child when they are there.
    pub(super) fn offer_snapshot(
        &mut self,
        session: SessionId,
        at: Option<(ReplId, Scalar)>,
        stores_logs: bool,
    ) {
        let threads = threads_beside(self.mailbox.shards());
        let connections =
            u16::try_from(threads).map_or(CONNECTIONS_MAX, |threads| threads.min(CONNECTIONS_MAX));
        let until = self.now().after(u64::from(self.config.repl_step_timeout) * 1000);
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == session) else { return };
        let mut flows = Flows::waiting();
        let sockets = (0..connections).map(|_| None).collect();
        flows.snapshot = Some(Connections { sockets, until });
        flows.is_storing = stores_logs;
        peer.session.take_chunks();
        let used_memory = Some(used_memory());
        peer.say(&SnapshotOffered { name: flows.name, connections, used_memory, at }.line());
        peer.flows = Some(flows);
    }

    /// A replica opens a connection for its snapshot.
    pub(super) fn snapshot_arrived(&mut self, arrival: Further<SnapshotRequest>) {
        let Further { socket, unread, request } = arrival;
        let SnapshotRequest { name, connection } = request;
        let free = |peer: &mut Peer| {
            let flows = peer.flows.as_mut().filter(|flows| flows.name == name)?;
            let sockets = &mut flows.snapshot.as_mut()?.sockets;
            sockets
                .get_mut(usize::from(connection))
                .is_some_and(|place| place.is_none())
                .then_some(())
        };
        let at = self.peers.iter_mut().position(|peer| free(peer).is_some());
        // A replica says nothing behind its request.
        let Some(at) = at.filter(|_| unread.is_empty()) else {
            return refuse(socket, &Error::Text("ERR no snapshot waits for this connection"));
        };
        let peer = &mut self.peers[at];
        let Some(socket) = agree(socket) else {
            let session = peer.id;
            return self.happens(self.now(), session, Event::Closed);
        };
        let flows = peer.flows.as_mut();
        let Some(connections) = flows.and_then(|flows| flows.snapshot.as_mut()) else { return };
        connections.sockets[usize::from(connection)] = Some(socket);
        if connections.are_complete() {
            let (session, terms) = (peer.id, *peer.session.terms());
            let word = RelayWord::Wait { session, terms, takes_logs: true };
            self.mailbox.tell_control(ToControl::Relay(word));
        }
    }

    /// The transfer of a session is over: its connections are needed no more.
    pub(super) fn forget_connections(&mut self, session: SessionId) {
        let mut peers = self.peers.iter_mut();
        let flows = peers.find(|peer| peer.id == session).and_then(|peer| peer.flows.as_mut());
        flows.into_iter().for_each(|flows| flows.snapshot = None);
    }
}
