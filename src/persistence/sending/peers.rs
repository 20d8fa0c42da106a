//! The sockets of all replicas that share a transfer, as one: each gets the same bytes.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Asked, Lost, Progress, Target};
use crate::persistence::snapshot::Written;
use crate::reactor::clock::Monotonic;
use crate::reactor::sockets;

/// A replica takes so many bytes, or all there are, in each time of patience; else it is dropped.
const PROGRESS_BYTES: usize = 64 << 10;

/// What all threads of a transfer have to tell of it.
pub(super) struct Told<'w>(Mutex<Telling<'w>>);

/// Who is told: see [`super::SyncPlan::send`].
pub(super) struct Watch<'w> {
    pub(super) progress: &'w mut (dyn FnMut(Progress) + Send),
    pub(super) lost: &'w mut (dyn FnMut(usize, Lost) + Send),
}

struct Telling<'w> {
    /// What those replicas have taken of each thread that are left.
    sent: Vec<Written>,
    /// Bytes that all replicas together have taken of all threads.
    bytes_of_all: u64,
    is_lost: Vec<bool>,
    watch: Watch<'w>,
}

/// Replicas that are left, as one thread sends to them, by one connection of each.
pub(super) struct Peers<'t, 'w> {
    thread: usize,
    peers: Vec<Peer<'t>>,
    patience_millis: u64,
    told: &'t Told<'w>,
    /// What those have taken that are left; of keys, what was put.
    pub(super) sent: Written,
}

/// A replica that is left.
struct Peer<'t> {
    place: usize,
    target: &'t Target,
    socket: &'t OwnedFd,
    /// Bytes of the present piece that it took.
    taken: usize,
    /// Bytes that it took since then.
    moved: usize,
    since: Monotonic,
}

impl<'w> Told<'w> {
    /// Of so many threads and replicas.
    pub(super) fn new(threads: usize, replicas: usize, watch: Watch<'w>) -> Self {
        let (sent, is_lost) = (vec![Written::default(); threads], vec![false; replicas]);
        Self(Mutex::new(Telling { sent, bytes_of_all: 0, is_lost, watch }))
    }

    /// A thread that panicked has told of it.
    fn lock(&self) -> MutexGuard<'_, Telling<'w>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread has sent so much to each replica that is left, and so many bytes to all of them
    /// together since it last said so.
    fn note(&self, thread: usize, sent: Written, bytes_of_all: u64) {
        let mut telling = self.lock();
        telling.sent[thread] = sent;
        telling.bytes_of_all += bytes_of_all;
        let bytes_of_all = telling.bytes_of_all;
        let (written, left) = (telling.written(), telling.left());
        (telling.watch.progress)(Progress { written, left, bytes_of_all });
    }

    /// What all threads together have sent to those replicas that are left; `None` if none is.
    pub(super) fn written(&self) -> Option<Written> {
        let telling = self.lock();
        (telling.left() != 0).then(|| telling.written())
    }

    /// A replica is lost to a thread, and so to all.
    fn lose(&self, peer: &Peer<'_>, why: Lost) {
        let mut telling = self.lock();
        if !std::mem::replace(&mut telling.is_lost[peer.place], true) {
            (telling.watch.lost)(peer.place, why);
        }
    }
}

impl Telling<'_> {
    fn written(&self) -> Written {
        let sum = |of: fn(&Written) -> u64| self.sent.iter().map(of).sum();
        Written { keys: sum(|sent| sent.keys), bytes: sum(|sent| sent.bytes) }
    }

    fn left(&self) -> usize {
        self.is_lost.iter().filter(|is_lost| !**is_lost).count()
    }
}

impl Peer<'_> {
    /// Sends what the connection takes, and adds that to the bytes of all.
    fn advance(
        &mut self,
        bytes: &[u8],
        patience_millis: u64,
        bytes_of_all: &mut u64,
    ) -> Result<(), Lost> {
        while self.taken < bytes.len() {
            match sockets::send_some(self.socket, &bytes[self.taken..]) {
                Ok(0) => break,
                Ok(len) => {
                    self.taken += len;
                    self.moved += len;
                    *bytes_of_all += len as u64;
                }
                Err(error) => return Err(Lost::Failed(error.raw_os_error().unwrap_or(0))),
            }
        }
        let now = Monotonic::now();
        if self.taken == bytes.len() || PROGRESS_BYTES <= self.moved {
            (self.moved, self.since) = (0, now);
        } else if patience_millis <= now.millis_since(self.since) {
            return Err(Lost::Stalled);
        }
        Ok(())
    }
}

impl<'t, 'w> Peers<'t, 'w> {
    /// As this thread of a transfer sends to them.
    pub(super) fn new(
        thread: usize,
        targets: &'t [Target],
        patience_millis: u64,
        told: &'t Told<'w>,
    ) -> Self {
        let since = Monotonic::now();
        let peer = |(place, target): (usize, &'t Target)| {
            let socket = &target.sockets[thread];
            Peer { place, target, socket, taken: 0, moved: 0, since }
        };
        let peers = targets.iter().enumerate().map(peer).collect();
        Self { thread, peers, patience_millis, told, sent: Written::default() }
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Tells those that have asked by PSYNC.
    pub(super) fn tell_psync(&mut self, line: &[u8]) {
        self.send_to(line, |target| target.asked == Asked::Psync);
    }

    /// Sends to all, and waits until those that are left have taken it.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.send_to(bytes, |_| true);
        self.sent.bytes += bytes.len() as u64;
    }

    fn send_to(&mut self, bytes: &[u8], is_meant: impl Fn(&Target) -> bool) {
        let now = Monotonic::now();
        for peer in &mut self.peers {
            let taken = if is_meant(peer.target) { 0 } else { bytes.len() };
            (peer.taken, peer.moved, peer.since) = (taken, 0, now);
        }
        let (patience, told) = (self.patience_millis, self.told);
        loop {
            let mut of_all = 0;
            self.peers.retain_mut(|peer| match peer.advance(bytes, patience, &mut of_all) {
                Ok(()) => true,
                Err(why) => {
                    // This first: other threads find the connections shut, and do not say why.
                    told.lose(peer, why);
                    // Nothing else may be sent behind a piece that is cut off.
                    peer.target.shut();
                    false
                }
            });
            let taken = self.peers.iter().map(|peer| peer.taken).min().unwrap_or(0);
            let Written { keys, bytes: before } = self.sent;
            told.note(self.thread, Written { keys, bytes: before + taken as u64 }, of_all);
            let waiting = || self.peers.iter().filter(|peer| peer.taken < bytes.len());
            let now = Monotonic::now();
            let left = |peer: &Peer<'_>| patience.saturating_sub(now.millis_since(peer.since));
            let Some(millis) = waiting().map(left).min() else { return };
            // One more, so that the time is over when the wait is.
            sockets::wait_for_room(waiting().map(|peer| peer.socket), millis + 1);
        }
    }
}
