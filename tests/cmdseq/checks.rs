//! What must hold, by name: each check can be switched off, and a failed one says what it saw.

use std::collections::BTreeSet;
use std::env;

use crate::plan::{Act, FEATURES, Kind, without};

/// A rule that every sequence obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    Alive,
    Frames,
    Replies,
    HalfClose,
    Close,
    Kept,
    Closes,
    Counters,
    Atomic,
    Pause,
    Ghosts,
    Blocked,
    Watched,
    Tracked,
    Channels,
    Held,
    Late,
    Memory,
    Resident,
}

/// The checks, their names in `WITHOUT`, and what each demands.
pub const CHECKS: &[(Check, &str, &str)] = &[
    (Check::Alive, "alive", "the process lives"),
    (Check::Frames, "frames", "what the server sends is well-formed, in the client's protocol"),
    (Check::Replies, "replies", "a connection that stays open gets one reply per request"),
    (Check::HalfClose, "half-close", "what was sent before a half-close is answered"),
    (Check::Close, "close", "what was sent before a close is done"),
    (Check::Kept, "kept", "the server closes no connection without a reason"),
    (Check::Closes, "closes", "the server closes after QUIT, a half-close, a protocol error"),
    (Check::Counters, "counters", "each INCR that was answered counts once"),
    (Check::Atomic, "atomic", "EXEC and MSET are seen as a whole or not at all"),
    (Check::Pause, "pause", "no key changes while CLIENT PAUSE holds writes"),
    (Check::Ghosts, "ghosts", "a connection that was closed is no client any more"),
    (Check::Blocked, "blocked", "no client that is gone waits for a key, or takes an element"),
    (Check::Watched, "watched", "no client that is gone watches a key"),
    (Check::Tracked, "tracked", "no client that is gone has its reads tracked"),
    (Check::Channels, "channels", "no client that is gone is subscribed"),
    (Check::Held, "held", "claims and pauses of clients that are gone hold nothing up"),
    (Check::Late, "late", "nothing is done for a client that is gone once it is none any more"),
    (Check::Memory, "memory", "memory in use comes back"),
    (Check::Resident, "resident", "resident memory stays within its bound"),
];

/// Names of checks and of kinds of requests that are left out until a fault is mended. What stands
/// here hides every other fault of its kind, so it is to be empty.
const KNOWN: &[&str] = &[];

impl Check {
    pub fn name(self) -> &'static str {
        self.row().1
    }

    pub fn demand(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        CHECKS.iter().find(|row| row.0 == self).expect("every check has a row")
    }
}

/// A check that failed, and what was seen.
#[derive(Clone, Debug)]
pub struct Violation {
    pub check: Check,
    pub text: String,
}

/// Which checks are on, and which kinds of requests are left out.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    off: BTreeSet<Check>,
    left_out: Vec<Kind>,
}

impl Rules {
    /// All but what is known, and what `WITHOUT` names, with commas between the names.
    pub fn from_environment() -> Self {
        let mut rules = Self::default();
        let without = env::var("WITHOUT").unwrap_or_default();
        let named = without.split(',').filter(|name| !name.is_empty());
        for name in named.chain(KNOWN.iter().copied()) {
            let check = CHECKS.iter().find(|row| row.1 == name);
            let feature = FEATURES.iter().find(|row| row.0 == name);
            check.inspect(|row| rules.switch_off(row.0));
            rules.left_out.extend(feature.map(|row| row.1));
            let checks = CHECKS.iter().map(|row| row.1);
            let names: Vec<&str> = checks.chain(FEATURES.iter().map(|row| row.0)).collect();
            let known = check.is_some() || feature.is_some();
            assert!(known, "WITHOUT={name}: it knows {}", names.join(", "));
        }
        rules
    }

    /// Leaves out of a sequence what is left out.
    pub fn restrict(&self, acts: &mut [Act]) {
        without(acts, |request| self.left_out.iter().any(|is_left_out| is_left_out(request)));
    }

    pub fn switch_off(&mut self, check: Check) {
        self.off.insert(check);
    }

    pub fn is_on(&self, check: Check) -> bool {
        !self.off.contains(&check)
    }

    /// A violation of this check, unless it is off or `holds`.
    pub fn expect(
        &self,
        check: Check,
        holds: bool,
        text: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if holds || !self.is_on(check) {
            return Ok(());
        }
        Err(Violation { check, text: text() })
    }
}

#[test]
fn every_check_has_a_row_and_a_name_of_its_own() {
    let names = CHECKS.iter().map(|row| row.1).chain(FEATURES.iter().map(|row| row.0));
    assert_eq!(names.collect::<BTreeSet<&str>>().len(), CHECKS.len() + FEATURES.len());
    assert!(CHECKS.iter().all(|row| row.0.name() == row.1 && row.0.demand() == row.2));
}
