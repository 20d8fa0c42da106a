//! Mail between threads: one bounded queue per ordered pair, and a bell for a thread that sleeps.
//!
//! A sender never waits. Letters are shown to their receiver by [`Mailbox::flush`], once a turn.
//! What does not fit into a queue stays in the sender's own overflow and follows in order, so two
//! threads with full queues cannot block each other. The overflow is bounded in turn: a client has
//! one batch under way at a time, and each batch causes a bounded number of letters.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crate::batches::batch::Batch;
use crate::mail::board::Board;
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::to_shard::ToShard;
use crate::reactor::queue::{Receiver, Sender, queue};
use crate::reactor::wake::Wake;
use crate::routing::slots::Peer;

/// Letters a queue holds before the overflow is used.
const QUEUE_LETTERS: usize = 1024;
/// Letters in an overflow from which on those wait who can.
const OVERFLOW_CROWDED: usize = 256;

/// What all threads know of each other.
type Bells = Arc<[Bell]>;

#[derive(Debug)]
#[repr(align(128))]
struct Bell {
    sleeping: AtomicBool,
    wake: Wake,
    board: Board,
}

/// Letters on their way to one thread.
#[derive(Debug)]
struct Outbox<L> {
    queue: Sender<L>,
    /// What the queue cannot take, in order.
    overflow: VecDeque<L>,
    /// A letter came since the last flush, or is left of it.
    written: bool,
    /// The receiver is woken even if it has not said that it sleeps.
    hurries: bool,
}

impl<L> Outbox<L> {
    fn new(queue: Sender<L>) -> Self {
        Self { queue, overflow: VecDeque::new(), written: false, hurries: false }
    }

    #[inline]
    fn put(&mut self, letter: L) {
        self.written = true;
        if !self.overflow.is_empty() {
            self.overflow.push_back(letter);
        } else if let Err(letter) = self.queue.push(letter) {
            self.overflow.push_back(letter);
        }
    }

    /// Shows the letters to their receiver, and wakes it if it sleeps. True if letters are left.
    fn flush(&mut self, receiver: &Bell) -> bool {
        while let Some(letter) = self.overflow.pop_front() {
            if let Err(letter) = self.queue.push(letter) {
                self.overflow.push_front(letter);
                break;
            }
        }
        self.queue.publish();
        self.written = !self.overflow.is_empty();
        // Pairs with the fence in `sleep`: either the peer sees the letter before it sleeps, or
        // the sender sees that it sleeps.
        fence(Ordering::SeqCst);
        let is_asleep = receiver.sleeping.load(Ordering::Relaxed)
            && receiver.sleeping.swap(false, Ordering::AcqRel);
        if std::mem::take(&mut self.hurries) || is_asleep {
            receiver.wake.ring();
        }
        self.written
    }
}

/// One thread's end of the post: it receives letters of type `R`.
#[derive(Debug)]
pub struct Mailbox<R> {
    bells: Bells,
    me: Peer,
    inboxes: Vec<Receiver<R>>,
    to_shards: Vec<Outbox<ToShard>>,
    to_control: Outbox<ToControl>,
    to_relay: Outbox<ToRelay>,
    /// A letter came or went since it was last asked.
    stirred: bool,
}

/// All ends of the post.
#[derive(Debug)]
pub struct Ends {
    /// The shards', in their order.
    pub shards: Vec<Mailbox<ToShard>>,
    /// Control's.
    pub control: Mailbox<ToControl>,
    /// The relay's.
    pub relay: Mailbox<ToRelay>,
}

/// The ends for so many shards, control and the relay.
///
/// # Errors
/// The system's, if it has no eventfds left.
pub fn connect(shards: usize) -> io::Result<Ends> {
    let threads = shards + 2;
    let bell = |_| {
        let (sleeping, board) = (AtomicBool::new(false), Board::default());
        Ok(Bell { sleeping, wake: Wake::new()?, board })
    };
    let bells: Bells = (0..threads).map(bell).collect::<io::Result<Vec<_>>>()?.into();
    let mut to_shards: Vec<Vec<Outbox<ToShard>>> = (0..threads).map(|_| Vec::new()).collect();
    let mut inboxes: Vec<Vec<Receiver<ToShard>>> = Vec::new();
    for _ in 0..shards {
        let (senders, receivers) = ends(threads);
        to_shards.iter_mut().zip(senders).for_each(|(outboxes, sender)| outboxes.push(sender));
        inboxes.push(receivers);
    }
    let (to_control, control_inboxes) = ends(threads);
    let (to_relay, relay_inboxes) = ends(threads);
    let mut outboxes = to_shards.into_iter().zip(to_control).zip(to_relay).enumerate();
    let mut next = || {
        let (me, ((to_shards, to_control), to_relay)) = outboxes.next().expect("one per thread");
        Outboxes { bells: Arc::clone(&bells), me, to_shards, to_control, to_relay }
    };
    let shards = inboxes.into_iter().map(|inboxes| next().with(inboxes)).collect();
    Ok(Ends { shards, control: next().with(control_inboxes), relay: next().with(relay_inboxes) })
}

/// What a thread sends by.
struct Outboxes {
    bells: Bells,
    me: Peer,
    to_shards: Vec<Outbox<ToShard>>,
    to_control: Outbox<ToControl>,
    to_relay: Outbox<ToRelay>,
}

impl Outboxes {
    fn with<R>(self, inboxes: Vec<Receiver<R>>) -> Mailbox<R> {
        let Self { bells, me, to_shards, to_control, to_relay } = self;
        Mailbox { bells, me, inboxes, to_shards, to_control, to_relay, stirred: false }
    }
}

/// Queues from so many threads to one.
fn ends<L>(senders: usize) -> (Vec<Outbox<L>>, Vec<Receiver<L>>) {
    let queues = (0..senders).map(|_| queue(QUEUE_LETTERS));
    queues.map(|(sender, receiver)| (Outbox::new(sender), receiver)).unzip()
}

impl<R> Mailbox<R> {
    /// This thread's number.
    #[inline]
    pub fn me(&self) -> Peer {
        self.me
    }

    /// The shard that has the log of this number: of this node's own, or of those that it keeps of
    /// another, which may be more or fewer than its shards.
    pub fn shard_of(&self, log: u16) -> Peer {
        usize::from(log) % self.shards()
    }

    /// How many shards there are.
    #[inline]
    pub fn shards(&self) -> usize {
        self.to_shards.len()
    }

    /// The control thread's number: the one behind the shards'.
    #[inline]
    pub fn control(&self) -> Peer {
        self.to_shards.len()
    }

    /// The relay's number: the one behind control's.
    #[inline]
    pub fn relay(&self) -> Peer {
        self.to_shards.len() + 1
    }

    /// All threads, this one too.
    #[inline]
    pub fn peers(&self) -> std::ops::RangeInclusive<Peer> {
        0..=self.relay()
    }

    /// The eventfd that wakes this thread.
    pub fn bell(&self) -> &Wake {
        &self.bells[self.me].wake
    }

    /// Sends a letter to a shard; it lies here until the next [`Self::flush`].
    #[inline]
    pub fn send(&mut self, shard: Peer, letter: ToShard) {
        self.stirred = true;
        self.to_shards[shard].put(letter);
    }

    /// Sends a letter to control; it lies here until the next [`Self::flush`].
    #[inline]
    pub fn tell_control(&mut self, letter: ToControl) {
        self.stirred = true;
        self.to_control.put(letter);
    }

    /// Sends a letter to the relay; it lies here until the next [`Self::flush`].
    #[inline]
    pub fn tell_relay(&mut self, letter: ToRelay) {
        self.stirred = true;
        self.to_relay.put(letter);
    }

    /// Ends the relay's nap, if it has one, at the next flush: a client or a replica
    /// waits for what is sent.
    pub fn hurry_relay(&mut self) {
        self.to_relay.hurries = true;
    }

    /// Sends a batch to a thread, shard or control.
    #[inline]
    pub fn pass_on(&mut self, to: Peer, batch: Box<Batch>) {
        if to == self.control() {
            self.tell_control(ToControl::Batch(batch));
        } else {
            self.send(to, ToShard::Batch(batch));
        }
    }

    /// Whether some shard has so much mail waiting that more should wait elsewhere.
    pub fn crowded(&self) -> bool {
        self.to_shards.iter().any(|outbox| OVERFLOW_CROWDED < outbox.overflow.len())
    }

    /// Shows all letters to their receivers, moves overflow into queues and wakes every peer that
    /// has mail and sleeps. True if letters are left that did not fit.
    ///
    /// The relay's are shown first: what a shard has logged is there before anything that others
    /// do because of it.
    pub fn flush(&mut self) -> bool {
        let Self { bells, to_shards, to_control, to_relay, .. } = self;
        let mut left = false;
        if to_relay.written {
            left |= to_relay.flush(&bells[to_shards.len() + 1]);
        }
        for (outbox, bell) in to_shards.iter_mut().zip(&**bells) {
            if outbox.written {
                left |= outbox.flush(bell);
            }
        }
        if to_control.written {
            left |= to_control.flush(&bells[to_shards.len()]);
        }
        left
    }

    /// Shows its letters to the relay alone: before replies are sent.
    #[inline]
    pub fn show_relay(&mut self) {
        if self.to_relay.written {
            self.to_relay.flush(&self.bells[self.to_shards.len() + 1]);
        }
    }

    /// The next letter of a peer, if there is one.
    #[inline]
    pub fn receive(&mut self, from: Peer) -> Option<R> {
        let letter = self.inboxes[from].pop();
        self.stirred |= letter.is_some();
        letter
    }

    /// Whether a letter came or went since the last call.
    #[inline]
    pub fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.stirred)
    }

    /// Whether no letter waits for this thread.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.inboxes.iter().all(Receiver::is_empty)
    }

    /// Says that this thread is about to sleep. False if mail came meanwhile: then it must not.
    pub fn sleep(&mut self) -> bool {
        let bell = &self.bells[self.me];
        bell.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return true;
        }
        bell.sleeping.store(false, Ordering::Relaxed);
        false
    }

    /// Says that this thread is awake, whatever woke it.
    #[inline]
    pub fn awake(&self) {
        self.bells[self.me].sleeping.store(false, Ordering::Relaxed);
    }

    /// What a thread shows of itself.
    #[inline]
    pub fn board(&self, peer: Peer) -> &Board {
        &self.bells[peer].board
    }

    /// The weight of all that shards have applied of a primary's logs since these were begun.
    pub fn followed(&self) -> u64 {
        (0..self.shards()).map(|shard| self.board(shard).followed.get()).sum()
    }

    /// The weight of all that shards have logged themselves since their logs were begun.
    pub fn logged(&self) -> u64 {
        (0..self.shards()).map(|shard| self.board(shard).logged.get()).sum()
    }

    /// What this thread shows of itself.
    #[inline]
    pub fn own_board(&self) -> &Board {
        &self.bells[self.me].board
    }

    /// Letters waiting for this thread.
    pub fn depth(&self) -> usize {
        self.inboxes.iter().map(Receiver::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter that carries a number.
    fn letter(number: usize) -> ToShard {
        ToShard::Unwatch(vec![(number, 0)])
    }

    fn number(letter: ToShard) -> usize {
        match letter {
            ToShard::Unwatch(keys) => keys[0].0,
            other => panic!("nobody sent {other:?}"),
        }
    }

    #[test]
    fn keeps_order_beyond_the_queue() {
        let mut ends = connect(2).expect("eventfds").shards;
        let mut right = ends.pop().expect("two ends");
        let mut left = ends.pop().expect("two ends");
        let total = QUEUE_LETTERS * 3;
        (0..total).for_each(|n| left.send(1, letter(n)));
        let mut got = Vec::new();
        while got.len() < total {
            left.flush();
            got.extend(std::iter::from_fn(|| right.receive(0)).map(number));
        }
        assert!(got.iter().copied().eq(0..total));
        assert!(!left.flush());
    }

    #[test]
    fn no_thread_sleeps_on_mail() {
        let Ends { shards: mut ends, mut control, .. } = connect(2).expect("eventfds");
        let mut right = ends.pop().expect("two ends");
        assert!(right.sleep());
        right.awake();
        control.send(1, letter(7));
        control.flush();
        assert!(!right.sleep());
        assert_eq!(right.receive(control.me()).map(number), Some(7));
        assert!(right.sleep());
    }

    #[test]
    fn a_batch_goes_to_shards_and_to_control() {
        let Ends { shards: mut ends, mut control, .. } = connect(1).expect("eventfds");
        let mut shard = ends.pop().expect("one end");
        shard.pass_on(shard.control(), Box::default());
        shard.pass_on(0, Box::default());
        shard.flush();
        assert!(matches!(control.receive(0), Some(ToControl::Batch(_))));
        assert!(matches!(shard.receive(0), Some(ToShard::Batch(_))));
    }
}
