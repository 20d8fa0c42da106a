//! All connections of the bus, and the sockets at which others connect.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use crate::bus::buffers::{Came, room_to_keep};
use crate::bus::link::Link;
use crate::cluster::frame::{Beat, Body, Kind, Packet};
use crate::cluster::ids::NodeId;
use crate::cluster::machine::event::{Event, Failure, LinkId};
use crate::cluster::report::info::{Bytes, Way};
use crate::cluster::report::links::Buffer;
use crate::reactor::clock::Monotonic;
use crate::reactor::sockets;
use crate::reactor::streams::{Listener, Stream};
use crate::reactor::wake::{self, Awaited};

/// Connections that are accepted at one socket in one turn.
const ACCEPTS_MAX: usize = 100;
/// Connections of others at one time: far more than a cluster has nodes.
const INBOUND_MAX: usize = 4096;
/// After accepting failed, the next try waits this long.
const RETRY_MS: u64 = 100;
/// Bytes that are read at once.
const ROOM_BYTES: usize = 64 << 10;
/// Bytes that wait at one link from which on clients' messages are dropped: as many as replicas may
/// let wait (`client-output-buffer-limit`).
const MESSAGES_BYTES_MAX: usize = 256 << 20;

/// The connections.
#[derive(Debug)]
pub struct Links {
    listeners: Vec<Listener>,
    links: BTreeMap<LinkId, Link>,
    /// Which nodes have replied by links that this node has made: these are known.
    replied: BTreeMap<LinkId, NodeId>,
    /// How many of them others have made.
    inbound: usize,
    next_inbound: u64,
    /// Until when nothing is accepted, because it failed.
    retry_at: Option<Monotonic>,
    /// What has happened and was not fetched.
    events: VecDeque<Event>,
    bytes: Bytes,
    /// Messages that were not sent, for want of room.
    dropped: u64,
    limits: Limits,
    /// Room for what is read.
    room: Vec<u8>,
    /// Room for what is sent.
    frame: Vec<u8>,
}

/// What links are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Milliseconds for which what was sent may stay unacknowledged.
    pub silence_ms: u32,
    /// Bytes that may wait to be sent by one link; 0: any number.
    pub waiting_bytes: u64,
}

/// What can be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// Another node has connected to the socket at this place.
    Accept(usize),
    /// Bytes have come by a link.
    Read(LinkId),
    /// A link has room for bytes, or is connected.
    Write(LinkId),
}

impl Links {
    /// No connection yet; others connect to these sockets.
    ///
    /// # Errors
    /// The system's, if a socket cannot be made to not block.
    pub fn new(sockets: Vec<OwnedFd>, limits: Limits) -> io::Result<Self> {
        let listeners = sockets.into_iter().map(Listener::new).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            listeners,
            links: BTreeMap::new(),
            replied: BTreeMap::new(),
            inbound: 0,
            next_inbound: 0,
            retry_at: None,
            events: VecDeque::new(),
            bytes: Bytes::default(),
            dropped: 0,
            limits,
            room: vec![0; ROOM_BYTES],
            frame: Vec::new(),
        })
    }

    /// Other limits hold from now on: for bytes at once, for silence on links that are made from
    /// now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Does what can be done now. The system is asked once what that is, of all sockets.
    pub fn turn(&mut self, now: Monotonic) {
        self.retry_at = self.retry_at.filter(|at| now < *at);
        let (mut asked, mut polled) = (Vec::new(), Vec::new());
        for (index, listener) in self.listeners.iter().enumerate().filter(|_| self.accepts()) {
            asked.push(Ready::Accept(index));
            polled.push(Awaited::Readable(listener.as_fd()));
        }
        for (id, link) in &self.links {
            for awaited in link.awaited() {
                asked.push(match awaited {
                    Awaited::Readable(_) => Ready::Read(*id),
                    Awaited::Writable(_) => Ready::Write(*id),
                });
                polled.push(awaited);
            }
        }
        // If the system does not say what is ready, everything is tried.
        let answers = wake::ready(polled).unwrap_or_else(|_| vec![true; asked.len()]);
        let ready = asked.into_iter().zip(answers).filter(|(_, is_ready)| *is_ready);
        ready.for_each(|(ready, _)| self.go_on(ready, now));
    }

    /// The next thing that has happened.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be waited for.
    pub fn awaited(&self) -> impl Iterator<Item = Awaited<'_>> {
        let listeners = self.listeners.iter().filter(|_| self.accepts());
        let listeners = listeners.map(|listener| Awaited::Readable(listener.as_fd()));
        listeners.chain(self.links.values().flat_map(Link::awaited))
    }

    /// Begins a link.
    pub fn connect(&mut self, id: LinkId, ip: IpAddr, port: u16) {
        match Link::connect(SocketAddr::new(ip, port), self.limits.silence_ms) {
            Ok(link) => {
                self.links.insert(id, link);
            }
            Err(_) => self.events.push_back(Event::ConnectFailed(id, Failure::Other)),
        }
    }

    /// Closes a link. What has happened to it and was not fetched is dropped.
    pub fn close(&mut self, id: LinkId) {
        self.drop_link(id);
        self.events.retain(|event| link_of(event) != Some(id));
    }

    /// Sends a packet by a link, unless it has ended. A client's message is dropped if too much
    /// waits.
    pub fn send(&mut self, id: LinkId, packet: Arc<Packet>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let bytes = match packet.message_len() {
            Some(_) if MESSAGES_BYTES_MAX <= link.waiting() => {
                self.dropped += 1;
                return;
            }
            Some(bytes) => {
                link.put_message(Arc::clone(&packet), bytes, &mut self.frame);
                bytes
            }
            None => {
                self.frame.clear();
                packet.encode(&mut self.frame);
                link.put(&self.frame);
                self.frame.len()
            }
        };
        count(&mut self.bytes, &packet, |way| &mut way.sent, bytes);
        self.give_back_room();
        self.look_at_limit(id);
    }

    /// Says so if more waits at a link than is allowed, though what there is room for is sent.
    fn look_at_limit(&mut self, id: LinkId) {
        let limit = usize::try_from(self.limits.waiting_bytes).unwrap_or(usize::MAX);
        let waiting = |links: &Self| links.links.get(&id).map_or(0, Link::waiting);
        if limit == 0 || waiting(self) <= limit {
            return;
        }
        self.write(id);
        let waiting = waiting(self);
        if limit < waiting {
            self.events.push_back(Event::Overflowing(id, waiting));
        }
    }

    /// A long frame leaves no long buffer.
    fn give_back_room(&mut self) {
        if let Some(room) = room_to_keep(0, self.frame.capacity()) {
            self.frame.clear();
            self.frame.shrink_to(room);
        }
    }

    /// Sends what there is room for.
    pub fn flush(&mut self) {
        let full = |(id, link): (&LinkId, &Link)| (0 < link.waiting()).then_some(*id);
        let waiting: Vec<LinkId> = self.links.iter().filter_map(full).collect();
        waiting.into_iter().for_each(|id| self.write(id));
    }

    /// What waits at a link.
    pub fn buffer(&self, id: LinkId) -> Buffer {
        let link = self.links.get(&id);
        link.map_or(Buffer::default(), |link| Buffer {
            allocated: link.allocated(),
            used: link.waiting(),
        })
    }

    /// Bytes that went both ways.
    pub const fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Counts bytes from zero again.
    pub fn reset_bytes(&mut self) {
        self.bytes = Bytes::default();
    }

    /// Messages that were not sent, for want of room.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether others may connect now.
    fn accepts(&self) -> bool {
        self.retry_at.is_none() && self.inbound < INBOUND_MAX
    }

    fn accept(&mut self, index: usize, now: Monotonic) {
        for _ in 0..ACCEPTS_MAX {
            if INBOUND_MAX <= self.inbound {
                return;
            }
            match self.listeners[index].accept() {
                Ok(Some(stream)) => self.take(stream),
                Ok(None) => return,
                Err(_) => {
                    // For want of descriptors as a rule: the log says so of clients, too.
                    self.retry_at = now.after_millis(RETRY_MS);
                    return;
                }
            }
        }
    }

    fn take(&mut self, stream: Stream) {
        let (Some(peer), Some(local)) = (sockets::peer(&stream), sockets::local(&stream)) else {
            // It has ended meanwhile.
            return;
        };
        self.next_inbound += 1;
        self.inbound += 1;
        let link = LinkId::Inbound(self.next_inbound);
        self.links.insert(link, Link::accepted(stream, self.limits.silence_ms));
        let (peer, local) = (peer.ip(), local.ip());
        self.events.push_back(Event::Accepted { link, peer, local });
    }

    fn go_on(&mut self, ready: Ready, now: Monotonic) {
        match ready {
            Ready::Accept(index) => self.accept(index, now),
            Ready::Read(id) => self.read(id),
            Ready::Write(id) if self.links.get(&id).is_some_and(Link::is_connected) => {
                self.write(id);
            }
            Ready::Write(id) => self.go_on_to_connect(id),
        }
    }

    fn go_on_to_connect(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.go_on() {
            Ok(false) => {}
            Ok(true) => self.events.push_back(Event::Connected(id)),
            Err(failure) => {
                self.drop_link(id);
                self.events.push_back(Event::ConnectFailed(id, failure));
            }
        }
    }

    fn read(&mut self, id: LinkId) {
        let Self { links, room, replied, .. } = self;
        let Some(link) = links.get_mut(&id) else { return };
        let mut came = Vec::new();
        let is_known = |sender| replied.values().any(|known| *known == sender);
        let result = link.read(room, is_known, &mut came);
        for came in came {
            self.events.push_back(match came {
                Came::Packet(packet, bytes) => {
                    if let Some(node) = replier(id, &packet) {
                        self.replied.insert(id, node);
                    }
                    count(&mut self.bytes, &packet, |way| &mut way.received, bytes);
                    Event::Received(id, packet)
                }
                Came::Broken(broken) => Event::Unreadable(id, broken),
            });
        }
        if let Err(end) = result {
            self.drop_link(id);
            self.events.push_back(Event::Ended(id, end));
        }
    }

    fn write(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let result = link.write(&mut self.frame);
        self.give_back_room();
        if let Err(end) = result {
            self.drop_link(id);
            self.events.push_back(Event::Ended(id, end));
        }
    }

    fn drop_link(&mut self, id: LinkId) {
        self.replied.remove(&id);
        let was_there = self.links.remove(&id).is_some();
        if was_there && matches!(id, LinkId::Inbound(_)) {
            self.inbound -= 1;
        }
    }
}

/// The link that an event is about.
const fn link_of(event: &Event) -> Option<LinkId> {
    match event {
        Event::Accepted { link, .. }
        | Event::Connected(link)
        | Event::ConnectFailed(link, _)
        | Event::Received(link, _)
        | Event::Unreadable(link, _)
        | Event::Ended(link, _)
        | Event::Overflowing(link, _) => Some(*link),
        Event::Heard(_)
        | Event::Publish(_)
        | Event::Ordered(_)
        | Event::Tick
        | Event::Asked(..)
        | Event::Saved
        | Event::SaveFailed
        | Event::Replicated(_)
        | Event::Refused
        | Event::Turned(_)
        | Event::Quiesced
        | Event::Rests(_)
        | Event::HeirAgreed(_)
        | Event::Loaded(_)
        | Event::Copied
        | Event::Settings(_) => None,
    }
}

/// The node that replies by a link of this one; `None` if this is no reply.
fn replier(link: LinkId, packet: &Packet) -> Option<NodeId> {
    match (link, packet) {
        (LinkId::Outbound(_), Packet::Full(frame)) => {
            let is_reply = matches!(frame.body, Body::Heartbeat(Beat::Pong, _));
            is_reply.then_some(frame.header.sender)
        }
        (LinkId::Outbound(_), Packet::Light(_)) | (LinkId::Inbound(_), _) => None,
    }
}

fn count(bytes: &mut Bytes, packet: &Packet, way: fn(&mut Way) -> &mut u64, count: usize) {
    *way(&mut bytes.total) += count as u64;
    if let Some(Kind::Publish | Kind::PublishShard) = packet.kind() {
        *way(&mut bytes.pubsub) += count as u64;
    }
}

#[cfg(test)]
mod tests;
