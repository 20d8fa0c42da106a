//! A bounded queue from one thread to one other.
//!
//! ```text
//!          taken (receiver writes)          published (sender writes)
//!              v                                v
//!   | free ... | letters the receiver may take | written, not yet shown | free ...
//! ```
//! Both counters only grow; a slot is a counter modulo the capacity. Each side keeps its own copy
//! of the other's counter and looks at the real one only when the copy says "full" or "empty":
//! the cache lines of the counters travel once per batch of letters, not once per letter.

use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

struct Shared<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    // Each in a cache line of its own: both sides write all the time.
    taken: CachePadded<AtomicUsize>,
    published: CachePadded<AtomicUsize>,
}

// SAFETY: a slot is accessed by one side at a time: by the sender while it is free, by the
// receiver once it is published. The counters, written with Release and read with Acquire, hand
// it over.
unsafe impl<T: Send> Sync for Shared<T> {}

/// The end that puts letters in.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    written: usize,
    published: usize,
    /// What the receiver had taken when last looked at.
    taken: usize,
}

/// The end that takes letters out.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    taken: usize,
    /// What the sender had published when last looked at.
    published: usize,
}

/// Both ends of a queue of `capacity` letters, a power of two.
pub fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity.is_power_of_two(), "slots are found by masking");
    let slots = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let (taken, published) = Default::default();
    let shared = Arc::new(Shared { slots, taken, published });
    let sender = Sender { shared: Arc::clone(&shared), written: 0, published: 0, taken: 0 };
    (sender, Receiver { shared, taken: 0, published: 0 })
}

impl<T> Shared<T> {
    fn slot(&self, counter: usize) -> *mut MaybeUninit<T> {
        self.slots[counter & (self.slots.len() - 1)].get()
    }
}

impl<T> Sender<T> {
    /// Puts a letter in; the receiver sees it after the next [`Self::publish`].
    ///
    /// # Errors
    /// The letter comes back if the queue is full.
    #[inline]
    pub fn push(&mut self, letter: T) -> Result<(), T> {
        let capacity = self.shared.slots.len();
        if self.written.wrapping_sub(self.taken) == capacity {
            self.taken = self.shared.taken.load(Ordering::Acquire);
            if self.written.wrapping_sub(self.taken) == capacity {
                return Err(letter);
            }
        }
        // SAFETY: the slot is free: the receiver took what was in it, or nothing ever was, and it
        // does not look at it again before it is published.
        unsafe { (*self.shared.slot(self.written)).write(letter) };
        self.written = self.written.wrapping_add(1);
        Ok(())
    }

    /// Shows the receiver all that was put in.
    #[inline]
    pub fn publish(&mut self) {
        if self.published != self.written {
            self.published = self.written;
            self.shared.published.store(self.written, Ordering::Release);
        }
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest letter out.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.taken == self.published && self.look() {
            return None;
        }
        // SAFETY: the slot is published and was not taken: it holds a letter, which moves out.
        let letter = unsafe { (*self.shared.slot(self.taken)).assume_init_read() };
        self.taken = self.taken.wrapping_add(1);
        if self.taken == self.published {
            // Slots are given back when all that was seen is taken: one write for many letters.
            self.shared.taken.store(self.taken, Ordering::Release);
        }
        Some(letter)
    }

    /// Whether nothing is published that was not taken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Letters that are published and not taken.
    #[inline]
    pub fn len(&self) -> usize {
        self.shared.published.load(Ordering::Acquire).wrapping_sub(self.taken)
    }

    /// Looks at the sender's counter anew; true if there is nothing.
    #[inline]
    fn look(&mut self) -> bool {
        self.published = self.shared.published.load(Ordering::Acquire);
        self.taken == self.published
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Neither end is left. What was written but never published has no owner but the slot,
        // and the sender published it when it was dropped.
        let (mut at, end) = (*self.taken.get_mut(), *self.published.get_mut());
        while at != end {
            // SAFETY: letters between the counters are in their slots, and both ends are gone.
            unsafe { (*self.slot(at)).assume_init_drop() };
            at = at.wrapping_add(1);
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.publish();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.taken.store(self.taken, Ordering::Release);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("written", &self.written).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("taken", &self.taken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_seen_once_they_are_published() {
        let (mut sender, mut receiver) = queue(4);
        sender.push(1).expect("room");
        assert_eq!((receiver.pop(), receiver.len()), (None, 0));
        sender.publish();
        sender.push(2).expect("room");
        assert_eq!(receiver.len(), 1);
        assert_eq!((receiver.pop(), receiver.pop()), (Some(1), None));
        sender.publish();
        assert_eq!(receiver.pop(), Some(2));
    }

    #[test]
    fn a_full_queue_gives_the_letter_back() {
        let (mut sender, mut receiver) = queue(2);
        assert_eq!((sender.push(1), sender.push(2), sender.push(3)), (Ok(()), Ok(()), Err(3)));
        sender.publish();
        assert_eq!(receiver.pop(), Some(1));
        assert_eq!(sender.push(3), Err(3), "slots come back when all that was seen is taken");
        assert_eq!(receiver.pop(), Some(2));
        assert_eq!(sender.push(3), Ok(()));
    }

    #[test]
    fn letters_that_were_not_taken_are_dropped_once() {
        let letter = Arc::new(());
        let (mut sender, mut receiver) = queue(8);
        for _ in 0..5 {
            sender.push(Arc::clone(&letter)).expect("room");
        }
        sender.publish();
        sender.push(Arc::clone(&letter)).expect("room");
        drop(receiver.pop());
        assert_eq!(Arc::strong_count(&letter), 6);
        drop(receiver);
        drop(sender);
        assert_eq!(Arc::strong_count(&letter), 1);
    }

    #[test]
    fn everything_comes_through_in_order_between_threads() {
        const LETTERS: usize = 200_000;
        let (mut sender, mut receiver) = queue(64);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..LETTERS {
                    let mut letter = Box::new(number);
                    while let Err(back) = sender.push(letter) {
                        letter = back;
                        sender.publish();
                        std::thread::yield_now();
                    }
                    if number % 7 == 0 {
                        sender.publish();
                    }
                }
            });
            for number in 0..LETTERS {
                let letter = loop {
                    match receiver.pop() {
                        Some(letter) => break letter,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!(*letter, number);
            }
            assert!(receiver.pop().is_none());
        });
    }
}
