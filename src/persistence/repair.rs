//! What a snapshot leaves behind in the page tables, put right bit by bit: without it each fork
//! would take longer than the one before.

use std::time::Duration;

use crate::reactor::clock::Monotonic;
use crate::reactor::huge_pages::Sweep;

/// How long it works at a time.
const STEP_MICROS: u64 = 200;
/// It works for one part in so many of the time.
const SHARE: u64 = 20;

/// A repair that is under way.
#[derive(Debug)]
pub struct Repair {
    sweep: Sweep,
    /// When it last worked, and for how many microseconds it rests since.
    worked: Monotonic,
    rest_micros: u64,
}

impl Repair {
    /// Begins, if there is anything to repair that the system tells of.
    pub fn new(now: Monotonic) -> Option<Self> {
        Some(Self { sweep: Sweep::new().ok()?, worked: now, rest_micros: 0 })
    }

    /// How long it rests yet.
    pub fn patience(&self, now: Monotonic) -> Duration {
        Duration::from_micros(self.rest_micros.saturating_sub(now.micros_since(self.worked)))
    }

    /// Goes on, if it is time to. False if all is done.
    pub fn go_on(&mut self) -> bool {
        let began = Monotonic::now();
        if !self.patience(began).is_zero() {
            return true;
        }
        while self.sweep.step() {
            let now = Monotonic::now();
            let took = now.micros_since(began);
            if STEP_MICROS <= took {
                (self.worked, self.rest_micros) = (now, took.saturating_mul(SHARE - 1));
                return true;
            }
        }
        false
    }
}
