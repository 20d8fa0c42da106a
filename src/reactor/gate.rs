//! A gate where threads stop, each lending what is its own, while one other thread looks at all of
//! it or makes a copy of the process.
//!
//! ```text
//! gate(n) --> n places, one for each thread: stop ----------------> the thread goes on
//!         \                                  \  lent            /  opened
//!          -> the gate, for one thread: hold --> waits for all --> works --> opens
//! ```
//! A place is used up by stopping at it and the gate by holding it, so nothing is lent twice.

use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The gate, for the thread that holds it. It opens when this is dropped, whatever happened
/// meanwhile.
#[derive(Debug)]
pub struct Gate<T>(Arc<Shared<T>>);

/// The place of one thread at a gate, for one stop:
///
/// ```compile_fail,E0382
/// let (_gate, mut places) = keylane::reactor::gate::gate::<u8>(1);
/// let place = places.remove(0);
/// place.stop(&mut 1);
/// place.stop(&mut 2);
/// ```
#[derive(Debug)]
pub struct Place<T> {
    number: usize,
    gate: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// Another thread has stopped.
    stopped: Condvar,
    /// The threads may go on.
    opened: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// What each thread lends, once it has stopped.
    lent: Box<[Option<Lent<T>>]>,
    is_open: bool,
}

/// A reference on its way from the thread that lends it.
#[derive(Debug)]
struct Lent<T>(NonNull<T>);

// SAFETY: it stands for a `&mut T`, which may go to another thread if a `T` may.
unsafe impl<T: Send> Send for Lent<T> {}

/// A gate and a place at it for each of so many threads.
pub fn gate<T: Send>(threads: usize) -> (Gate<T>, Vec<Place<T>>) {
    let state = State { lent: (0..threads).map(|_| None).collect(), is_open: false };
    let (stopped, opened) = Default::default();
    let shared = Arc::new(Shared { state: Mutex::new(state), stopped, opened });
    let place = |number| Place { number, gate: Arc::clone(&shared) };
    let places = (0..threads).map(place).collect();
    (Gate(shared), places)
}

impl<T> Shared<T> {
    /// No thread panics while it has the lock: each only counts or waits.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Place<T> {
    /// Stops this thread until the gate opens; meanwhile `own` is lent. Nothing is allocated.
    pub fn stop(self, own: &mut T) {
        let mut state = self.gate.state();
        state.lent[self.number] = Some(Lent(NonNull::from(own)));
        self.gate.stopped.notify_one();
        while !state.is_open {
            state = self.gate.opened.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T: Send> Gate<T> {
    /// Waits until all threads have stopped, does `work` with what they lend, in the order of
    /// their numbers, and lets them go on. The lock is free meanwhile, also in a copy of the
    /// process that `work` makes.
    pub fn hold<R>(self, work: impl FnOnce(&mut [&mut T]) -> R) -> R {
        let mut state = self.0.state();
        while !state.lent.iter().all(Option::is_some) {
            state = self.0.stopped.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let lent = state.lent.iter_mut().filter_map(Option::take);
        // SAFETY: its thread lent a mutable reference and waits in `stop` until the gate opens,
        // which is when `self` is dropped, after `work`; and it was taken out, so it is handed out
        // only here.
        let mut lent: Vec<&mut T> = lent.map(|mut own| unsafe { own.0.as_mut() }).collect();
        drop(state);
        work(&mut lent)
    }
}

impl<T> Drop for Gate<T> {
    fn drop(&mut self) {
        self.0.state().is_open = true;
        self.0.opened.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    #[test]
    fn what_is_lent_is_seen_and_changed_while_its_threads_stand() {
        for _ in 0..100 {
            let (gate, places) = gate(3);
            thread::scope(|scope| {
                let go = |(thread, place): (usize, Place<usize>)| {
                    scope.spawn(move || {
                        let mut own = thread;
                        place.stop(&mut own);
                        own
                    })
                };
                let threads: Vec<_> = places.into_iter().enumerate().map(go).collect();
                let seen = gate.hold(|lent| {
                    lent.iter_mut().map(|own| std::mem::replace(*own, 10 + **own)).sum::<usize>()
                });
                assert_eq!(seen, 3);
                let after = threads.into_iter().map(|thread| thread.join().unwrap());
                assert_eq!(after.collect::<Vec<_>>(), [10, 11, 12]);
            });
        }
    }

    #[test]
    fn threads_go_on_if_the_work_panics_or_is_never_done() {
        for is_held in [true, false] {
            let (gate, places) = gate(2);
            thread::scope(|scope| {
                for place in places {
                    scope.spawn(move || place.stop(&mut 1));
                }
                if is_held {
                    let work = AssertUnwindSafe(|| gate.hold(|_: &mut [&mut i32]| panic!("on")));
                    assert!(catch_unwind(work).is_err());
                } else {
                    drop(gate);
                }
            });
        }
    }
}
