//! How long more memory was in use than `maxmemory` allows.
//!
//! Control notes it some times a second and when it asks the shards: it may miss a shorter excess.

use crate::reactor::clock::Monotonic;

/// Time in which too much memory was in use.
#[derive(Debug, Default)]
pub struct Exceeded {
    since: Option<Monotonic>,
    before_millis: u64,
}

impl Exceeded {
    /// Notes whether too much is in use.
    pub fn note(&mut self, is_over: bool, now: Monotonic) {
        match (is_over, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(_)) => {
                self.before_millis = self.total_millis(now);
                self.since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Milliseconds for which it is so now; 0 if it is not.
    pub fn current_millis(&self, now: Monotonic) -> u64 {
        self.since.map_or(0, |since| now.millis_since(since))
    }

    /// Milliseconds for which it was so in all.
    pub fn total_millis(&self, now: Monotonic) -> u64 {
        self.before_millis + self.current_millis(now)
    }

    /// Begins to count anew.
    pub fn reset(&mut self, now: Monotonic) {
        *self = Self { since: self.since.map(|_| now), before_millis: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_beyond_the_limit_is_counted() {
        let start = Monotonic::now();
        let at = |millis: u64| start.after_millis(millis).expect("soon");
        let mut exceeded = Exceeded::default();
        exceeded.note(false, at(5));
        exceeded.note(true, at(10));
        exceeded.note(true, at(15));
        assert_eq!((exceeded.current_millis(at(30)), exceeded.total_millis(at(30))), (20, 20));
        exceeded.note(false, at(40));
        exceeded.note(true, at(100));
        assert_eq!((exceeded.current_millis(at(101)), exceeded.total_millis(at(101))), (1, 31));
        exceeded.reset(at(110));
        assert_eq!((exceeded.current_millis(at(112)), exceeded.total_millis(at(112))), (2, 2));
    }
}
