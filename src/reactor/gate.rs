//! A gate where threads stop, each lending what is its own, while one other thread looks at all of
//! it or makes a copy of the process.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// One end of a gate for a number of threads. It is used once.
#[derive(Debug)]
pub struct Gate<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    /// What each thread lends.
    lent: Box<[AtomicPtr<T>]>,
    /// How many have stopped.
    stopped: AtomicU32,
    /// 1 once they may go on.
    open: AtomicU32,
}

impl<T> Clone for Gate<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Opens the gate when it is dropped, whatever happened meanwhile.
struct Opening<'g, T>(&'g Inner<T>);

impl<T> Drop for Opening<'_, T> {
    fn drop(&mut self) {
        self.0.open.store(1, Ordering::Release);
        wake(&self.0.open);
    }
}

impl<T: Send> Gate<T> {
    /// A gate for so many threads.
    pub fn new(threads: usize) -> Self {
        let lent = (0..threads).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        Self(Arc::new(Inner { lent, stopped: AtomicU32::new(0), open: AtomicU32::new(0) }))
    }

    /// Stops this thread until the gate opens; meanwhile `own` is lent. Nothing is allocated.
    ///
    /// # Panics
    /// If a thread of this number stops twice.
    pub fn stop(&self, thread: usize, own: &mut T) {
        let inner = &*self.0;
        let before = inner.lent[thread].swap(own, Ordering::Release);
        assert!(before.is_null(), "each thread stops once");
        inner.stopped.fetch_add(1, Ordering::AcqRel);
        wake(&inner.stopped);
        while inner.open.load(Ordering::Acquire) == 0 {
            wait(&inner.open, 0);
        }
    }

    /// Waits until all threads have stopped, does `work` with what they lend, in the order of
    /// their numbers, and lets them go on.
    pub fn hold<R>(self, work: impl FnOnce(&mut [&mut T]) -> R) -> R {
        let inner = &*self.0;
        let opening = Opening(inner);
        let all = u32::try_from(inner.lent.len()).expect("threads are few");
        loop {
            let stopped = inner.stopped.load(Ordering::Acquire);
            if stopped == all {
                break;
            }
            wait(&inner.stopped, stopped);
        }
        let lent = inner.lent.iter().map(|own| {
            // SAFETY: its thread lent a mutable reference and waits in `stop` until the gate
            // opens, which is when `opening` goes, after `work`; and it is handed out only here.
            unsafe { &mut *own.load(Ordering::Acquire) }
        });
        let done = work(&mut lent.collect::<Vec<_>>());
        drop(opening);
        done
    }
}

/// Sleeps while `word` is `value`, or for no reason at all.
fn wait(word: &AtomicU32, value: u32) {
    let (operation, none) = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, 0usize);
    // SAFETY: the word outlives the call; there is no timeout.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, none) };
}

/// Wakes all who sleep on `word`.
fn wake(word: &AtomicU32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, i32::MAX) };
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_lent_is_seen_and_changed_while_its_threads_stand() {
        for _ in 0..100 {
            let gate = Gate::new(3);
            thread::scope(|scope| {
                let go = |thread: usize| {
                    let gate = gate.clone();
                    move || {
                        let mut own = thread;
                        gate.stop(thread, &mut own);
                        own
                    }
                };
                let threads: Vec<_> = (0..3).map(|number| scope.spawn(go(number))).collect();
                let seen = gate.clone().hold(|lent| {
                    lent.iter_mut().map(|own| std::mem::replace(*own, 10 + **own)).sum::<usize>()
                });
                assert_eq!(seen, 3);
                let after = threads.into_iter().map(|thread| thread.join().unwrap());
                assert_eq!(after.collect::<Vec<_>>(), [10, 11, 12]);
            });
        }
    }
}
