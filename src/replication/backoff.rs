//! When a replica whose full syncs fail may have the next one.
//!
//! Each failure doubles the wait: 1, 2, 4 ... 60 s. Three failures in a row for want of memory for
//! the log say that the next would fail, too: the replica is refused until the limits allow what
//! the last one would have needed, or until some time has passed and writes may be fewer.
//!
//! Who listens nowhere is a tool, which its user may start again at once: it is not remembered.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use shards::resp::error::Error;

use crate::replication::address::Address;
use crate::replication::moment::Moment;
use crate::replication::session::Outcome;
use crate::replication::session::sync::Shortage;

/// The first wait.
const WAIT_MS_MIN: u64 = 1000;
/// The longest.
const WAIT_MS_MAX: u64 = 60_000;
/// Failures in a row for want of memory that make more of them pointless.
const SHORTAGES_MAX: u32 = 3;
/// After so long a failure is forgotten: a replica is refused no longer than that.
const FORGOTTEN_MS: u64 = 600_000;
/// Replicas that are remembered; the one whose failure is the oldest is forgotten.
const REPLICAS_MAX: usize = 1024;

/// Replicas whose last full sync failed.
#[derive(Debug, Default)]
pub struct Backoff {
    by: BTreeMap<Address, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    last: Moment,
    /// Milliseconds from the last failure to the next try.
    wait_ms: u64,
    /// Failures in a row for want of memory, and what the last of them needed.
    shortages: u32,
    shortage: Option<Shortage>,
}

/// Why a full sync does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The last one failed just now: so many milliseconds must pass.
    TooEarly(u64),
    /// It would need more memory for the log than it may have.
    Short(Shortage),
}

impl Backoff {
    /// Notes how a full sync of the replica at `address` came to its end.
    pub fn note(&mut self, now: Moment, address: &Address, outcome: Outcome) {
        if address.port == 0 {
            return;
        }
        let shortage = match outcome {
            Outcome::Succeeded => {
                self.by.remove(address);
                return;
            }
            Outcome::Failed => None,
            Outcome::Short(shortage) => Some(shortage),
        };
        let before = self.by.get(address).filter(|failures| failures.is_fresh(now));
        let wait_ms = before
            .map_or(WAIT_MS_MIN, |failures| failures.wait_ms.saturating_mul(2).min(WAIT_MS_MAX));
        let in_row = before.map_or(0, |failures| failures.shortages);
        let shortages = if shortage.is_some() { in_row.saturating_add(1) } else { 0 };
        if !self.by.contains_key(address) && REPLICAS_MAX <= self.by.len() {
            self.forget_oldest();
        }
        self.by.insert(address.clone(), Failures { last: now, wait_ms, shortages, shortage });
    }

    /// Whether the replica at `address` may have a full sync now, when `log_bytes_max` of log may
    /// wait for it: [`Limits::log_bytes_max`](crate::replication::session::Limits::log_bytes_max).
    ///
    /// # Errors
    /// If not, with the reason.
    pub fn check(&self, now: Moment, address: &Address, log_bytes_max: u64) -> Result<(), Refusal> {
        let Some(failures) = self.by.get(address) else { return Ok(()) };
        if let Some(shortage) = failures.refused(now, log_bytes_max) {
            return Err(Refusal::Short(shortage));
        }
        let left_ms = failures.wait_ms.saturating_sub(now.since(failures.last));
        if left_ms == 0 { Ok(()) } else { Err(Refusal::TooEarly(left_ms)) }
    }

    /// Replicas that are refused for want of memory, and what their last sync would have needed.
    pub fn refused(
        &self,
        now: Moment,
        log_bytes_max: u64,
    ) -> impl Iterator<Item = (&Address, Shortage)> {
        self.by.iter().filter_map(move |(address, failures)| {
            Some((address, failures.refused(now, log_bytes_max)?))
        })
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by.iter().min_by_key(|(_, failures)| failures.last);
        if let Some(address) = oldest.map(|(address, _)| address.clone()) {
            self.by.remove(&address);
        }
    }
}

impl Failures {
    fn is_fresh(&self, now: Moment) -> bool {
        now.since(self.last) < FORGOTTEN_MS
    }

    fn refused(&self, now: Moment, log_bytes_max: u64) -> Option<Shortage> {
        let is_row = SHORTAGES_MAX <= self.shortages && self.is_fresh(now);
        self.shortage.filter(|shortage| is_row && log_bytes_max < shortage.needs)
    }
}

impl Refusal {
    /// What the replica is answered. Its log shows the text; a stock replica then asks by SYNC,
    /// which is refused likewise, and connects again.
    pub fn error(&self) -> Error {
        Error::Owned(format!("ERR {self}"))
    }
}

/// Why, and what an operator may do about it, with the figures.
impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooEarly(left_ms) => write!(
                f,
                "The last full sync of this replica failed. The next may begin in {left_ms} ms."
            ),
            Self::Short(shortage) => write!(f, "Full sync refused: {}", shortage.advice()),
        }
    }
}

impl Shortage {
    /// What an operator may do about it, with the figures.
    pub fn advice(&self) -> String {
        let Self { took_ms, rate, needs } = self;
        format!(
            "{rate} bytes of changes came in each second of the {took_ms} ms that the last one \
             took. client-output-buffer-limit replica, hard and soft, of {needs} bytes would do."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTAGE: Shortage = Shortage { took_ms: 2000, rate: 750, needs: 6000 };
    const SHORT: Outcome = Outcome::Short(SHORTAGE);

    fn address(port: u16) -> Address {
        Address { host: "h".to_string(), port }
    }

    /// Outcomes a minute apart, and what a try is answered just behind the last of them.
    #[track_caller]
    fn check(outcomes: &[Outcome], expected: Result<(), Refusal>) -> (Backoff, Moment) {
        let (mut backoff, mut now) = (Backoff::default(), Moment(0));
        for outcome in outcomes {
            now = now.after(60_000);
            backoff.note(now, &address(1), *outcome);
        }
        assert_eq!(backoff.check(now, &address(1), 5999), expected, "{outcomes:?}");
        assert_eq!(backoff.check(now, &address(2), 5999), Ok(()));
        (backoff, now)
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_minute() {
        for (failures, seconds) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let outcomes = vec![Outcome::Failed; failures + 1];
            let (backoff, now) = check(&outcomes, Err(Refusal::TooEarly(seconds * 1000)));
            let almost = now.after(seconds * 1000 - 1);
            let refusal = Err(Refusal::TooEarly(1));
            assert_eq!(backoff.check(almost, &address(1), 0), refusal);
            assert_eq!(backoff.check(almost.after(1), &address(1), 0), Ok(()));
        }
    }

    #[test]
    fn a_success_forgets_failures() {
        check(&[Outcome::Failed, Outcome::Failed, Outcome::Succeeded], Ok(()));
        check(&[SHORT, SHORT, SHORT, Outcome::Succeeded], Ok(()));
        let once = Err(Refusal::TooEarly(1000));
        check(&[Outcome::Failed, Outcome::Succeeded, Outcome::Failed], once);
    }

    #[test]
    fn an_old_failure_is_forgotten() {
        let (mut backoff, now) = check(&[Outcome::Failed; 3], Err(Refusal::TooEarly(4000)));
        let later = now.after(FORGOTTEN_MS);
        backoff.note(later, &address(1), Outcome::Failed);
        assert_eq!(backoff.check(later, &address(1), 0), Err(Refusal::TooEarly(1000)));
    }

    #[test]
    fn three_shortages_in_a_row_refuse() {
        check(&[SHORT, SHORT], Err(Refusal::TooEarly(2000)));
        check(&[SHORT, SHORT, Outcome::Failed, SHORT], Err(Refusal::TooEarly(8000)));
        let (backoff, now) = check(&[SHORT; 3], Err(Refusal::Short(SHORTAGE)));
        let later = now.after(60_000);
        assert_eq!(backoff.check(later, &address(1), 5999), Err(Refusal::Short(SHORTAGE)));
        assert_eq!(backoff.check(later, &address(1), 6000), Ok(()), "the limit was raised");
        assert_eq!(backoff.check(now.after(FORGOTTEN_MS), &address(1), 0), Ok(()));
        let refused: Vec<_> = backoff.refused(later, 5999).collect();
        assert_eq!(refused, [(&address(1), SHORTAGE)]);
        assert_eq!(backoff.refused(later, 6000).count(), 0);
    }

    #[test]
    fn replicas_that_are_remembered_are_bounded() {
        let mut backoff = Backoff::default();
        for number in 0..2000_u16 {
            backoff.note(Moment(number.into()), &address(number), Outcome::Failed);
        }
        assert_eq!(backoff.by.len(), REPLICAS_MAX);
        assert!(backoff.by.contains_key(&address(1999)) && !backoff.by.contains_key(&address(0)));
    }

    #[test]
    fn refusals_say_what_would_help() {
        for (refusal, expected) in [
            (
                Refusal::TooEarly(1500),
                "-ERR The last full sync of this replica failed. The next may begin in 1500 ms.",
            ),
            (
                Refusal::Short(SHORTAGE),
                "-ERR Full sync refused: 750 bytes of changes came in each second of the 2000 ms \
                 that the last one took. client-output-buffer-limit replica, hard and soft, of \
                 6000 bytes would do.",
            ),
        ] {
            let mut out = Vec::new();
            refusal.error().write(&mut out);
            assert_eq!(String::from_utf8_lossy(&out).trim_end(), expected);
        }
    }
}
