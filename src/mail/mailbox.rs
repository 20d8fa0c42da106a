//! Mail between threads: one bounded queue per ordered pair, and a bell for whoever sleeps.
//!
//! A sender never waits. Letters are shown to their receiver by [`Mailbox::flush`], once a turn.
//! What does not fit into a queue stays in the sender's own overflow and follows in order, so two
//! threads with full queues cannot block each other. The overflow is bounded in turn: a client has
//! one batch under way at a time, and each batch causes a bounded number of letters.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use crate::reactor::queue::{Receiver, Sender, queue};
use crate::reactor::wake::Wake;

/// Letters a queue holds before the overflow is used.
const QUEUE_LETTERS: usize = 1024;
/// Letters in an overflow from which on those wait who can.
const OVERFLOW_CROWDED: usize = 256;

/// A thread that can get mail: shards first, then the control thread.
pub type Peer = usize;

/// What all threads know of each other.
type Bells = Arc<[Bell]>;

#[derive(Debug)]
#[repr(align(128))]
struct Bell {
    sleeping: AtomicBool,
    wake: Wake,
    /// How many connections the thread has closed: with how many it was given, its load.
    closed: AtomicU64,
    /// How many changes it has made to keys.
    changes: AtomicU64,
}

/// One thread's end of the post.
#[derive(Debug)]
pub struct Mailbox<L> {
    bells: Bells,
    me: Peer,
    inboxes: Vec<Receiver<L>>,
    outboxes: Vec<Sender<L>>,
    overflow: Vec<VecDeque<L>>,
    /// Peers that got a letter since the last flush.
    written: Vec<bool>,
    /// A letter came or went since it was last asked.
    stirred: bool,
}

/// The ends for `peers` threads, in order.
///
/// # Errors
/// The system's, if it has no eventfds left.
pub fn connect<L>(peers: usize) -> io::Result<Vec<Mailbox<L>>> {
    let bell = |_| {
        let (sleeping, closed) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Bell { sleeping, wake: Wake::new()?, closed, changes: AtomicU64::new(0) })
    };
    let bells: Bells = (0..peers).map(bell).collect::<io::Result<Vec<_>>>()?.into();
    // By sender, then by receiver.
    let mut ends: Vec<Vec<_>> =
        (0..peers).map(|_| (0..peers).map(|_| queue(QUEUE_LETTERS)).collect()).collect();
    let mut inboxes: Vec<Vec<Receiver<L>>> = (0..peers).map(|_| Vec::new()).collect();
    let mut outboxes: Vec<Vec<Sender<L>>> = Vec::new();
    for from in ends.drain(..) {
        let (senders, receivers): (Vec<_>, Vec<_>) = from.into_iter().unzip();
        outboxes.push(senders);
        for (to, receiver) in receivers.into_iter().enumerate() {
            inboxes[to].push(receiver);
        }
    }
    let mailbox = |(me, (inboxes, outboxes))| Mailbox {
        bells: Arc::clone(&bells),
        me,
        inboxes,
        outboxes,
        overflow: (0..peers).map(|_| VecDeque::new()).collect(),
        written: vec![false; peers],
        stirred: false,
    };
    Ok(inboxes.into_iter().zip(outboxes).enumerate().map(mailbox).collect())
}

impl<L> Mailbox<L> {
    /// This thread's number.
    pub fn me(&self) -> Peer {
        self.me
    }

    /// How many threads there are.
    pub fn peers(&self) -> usize {
        self.written.len()
    }

    /// The eventfd that wakes this thread.
    pub fn bell(&self) -> &Wake {
        &self.bells[self.me].wake
    }

    /// Sends a letter; it lies here until the next [`Self::flush`].
    #[inline]
    pub fn send(&mut self, to: Peer, letter: L) {
        self.written[to] = true;
        self.stirred = true;
        let overflow = &mut self.overflow[to];
        if !overflow.is_empty() {
            overflow.push_back(letter);
        } else if let Err(letter) = self.outboxes[to].push(letter) {
            overflow.push_back(letter);
        }
    }

    /// Whether some peer has so much mail waiting that more should wait elsewhere.
    pub fn crowded(&self) -> bool {
        self.overflow.iter().any(|letters| OVERFLOW_CROWDED < letters.len())
    }

    /// Shows all letters to their receivers, moves overflow into queues and wakes every peer that
    /// has mail and sleeps. True if letters are left that did not fit.
    pub fn flush(&mut self) -> bool {
        let mut left = false;
        for to in 0..self.written.len() {
            if !self.written[to] {
                continue;
            }
            let queue = &mut self.outboxes[to];
            while let Some(letter) = self.overflow[to].pop_front() {
                if let Err(letter) = queue.push(letter) {
                    self.overflow[to].push_front(letter);
                    break;
                }
            }
            queue.publish();
            self.written[to] = !self.overflow[to].is_empty();
            left |= self.written[to];
            // Pairs with the fence in `sleep`: either the peer sees the letter before it sleeps,
            // or we see that it sleeps.
            fence(Ordering::SeqCst);
            let bell = &self.bells[to];
            if bell.sleeping.load(Ordering::Relaxed) && bell.sleeping.swap(false, Ordering::AcqRel)
            {
                bell.wake.ring();
            }
        }
        left
    }

    /// The next letter, if there is one: peers take turns in the order of their numbers.
    #[inline]
    pub fn receive(&mut self, from: Peer) -> Option<L> {
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

    /// Tells the accepting thread how many connections this one has closed so far.
    pub fn publish_closed(&self, closed: u64) {
        self.bells[self.me].closed.store(closed, Ordering::Relaxed);
    }

    /// How many connections a thread has closed so far.
    pub fn closed(&self, peer: Peer) -> u64 {
        self.bells[peer].closed.load(Ordering::Relaxed)
    }

    /// Tells control how many changes this thread has made to keys so far.
    pub fn publish_changes(&self, changes: u64) {
        self.bells[self.me].changes.store(changes, Ordering::Relaxed);
    }

    /// How many changes a thread has made to keys so far.
    pub fn changes(&self, peer: Peer) -> u64 {
        self.bells[peer].changes.load(Ordering::Relaxed)
    }

    /// Letters waiting for this thread.
    pub fn depth(&self) -> usize {
        self.inboxes.iter().map(Receiver::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_beyond_the_queue() {
        let mut ends = connect::<usize>(2).expect("eventfds");
        let mut right = ends.pop().expect("two ends");
        let mut left = ends.pop().expect("two ends");
        let total = QUEUE_LETTERS * 3;
        (0..total).for_each(|n| left.send(1, n));
        let mut got = Vec::new();
        while got.len() < total {
            left.flush();
            while let Some(n) = right.receive(0) {
                got.push(n);
            }
        }
        assert!(got.iter().copied().eq(0..total));
        assert!(!left.flush());
    }

    #[test]
    fn nobody_sleeps_on_mail() {
        let mut ends = connect::<u8>(2).expect("eventfds");
        let mut right = ends.pop().expect("two ends");
        let mut left = ends.pop().expect("two ends");
        assert!(right.sleep());
        right.awake();
        left.send(1, 7);
        left.flush();
        assert!(!right.sleep());
        assert_eq!(right.receive(0), Some(7));
        assert!(right.sleep());
    }
}
