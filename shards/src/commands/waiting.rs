//! Commands that wait for keys: their timeouts, and how they say that they found nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::base::hash::slot_of_hash;
use crate::base::long_double::LongDouble;
use crate::base::number::parse_i64;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::effects::{Awaited, InVain, Wait};
use crate::keyspace::selected::Key;
use crate::resp::error::Error;

const OUT_OF_RANGE: Error = Error::Text("ERR timeout is out of range");

/// For how long a command waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// 0 is for ever.
    millis: u64,
}

impl Timeout {
    /// From seconds, perhaps with decimals.
    pub fn of_seconds(text: &[u8], now: UnixMs) -> Result<Self, Error> {
        let seconds = LongDouble::parse(text).ok_or(Error::TimeoutNotFloat)?;
        Self::of(seconds.thousandfold_up(), now)
    }

    /// From milliseconds.
    pub fn of_millis(text: &[u8], now: UnixMs) -> Result<Self, Error> {
        Self::of(parse_i64(text).ok_or(Error::TimeoutNotInteger)?, now)
    }

    /// The end must be a time that Valkey could write down.
    fn of(millis: i64, now: UnixMs) -> Result<Self, Error> {
        let millis = u64::try_from(millis).map_err(|_| Error::TimeoutNegative)?;
        if i64::MAX.unsigned_abs().saturating_sub(now.0) < millis {
            return Err(OUT_OF_RANGE);
        }
        Ok(Self { millis })
    }
}

impl Ctx<'_> {
    /// Whether the command is to look at this key: when it has its turn, after it has waited, it
    /// looks at those of its keys alone that live here.
    pub fn sees(&self, key: Key<'_>) -> bool {
        let slot = slot_of_hash(key.hash).number();
        !self.db.effects.sees_own_slots || self.db.keyspace.slots.contains(&slot)
    }

    /// Says that there is nothing yet in any of these keys, and that the command waits for it. It
    /// answers all the same: that is the reply where no command may wait.
    pub fn wait<'k>(
        &mut self,
        timeout: Timeout,
        keys: impl IntoIterator<Item = (Key<'k>, Awaited)>,
    ) {
        self.wait_rewritten(timeout, keys, Vec::new());
    }

    /// The same for a command some of whose arguments mean something else from now on: their
    /// places, and what they become.
    pub fn wait_rewritten<'k>(
        &mut self,
        timeout: Timeout,
        keys: impl IntoIterator<Item = (Key<'k>, Awaited)>,
        rewritten: Vec<(usize, Vec<u8>)>,
    ) {
        let effects = &mut *self.db.effects;
        if effects.denies_waiting {
            return;
        }
        let timeout_millis = timeout.millis;
        let in_vain = InVain::Null;
        let mut wait = Box::new(Wait { timeout_millis, keys: Vec::new(), rewritten, in_vain });
        for (key, awaited) in keys {
            // A key that is named twice is waited for once.
            if wait.keys.iter().all(|known| known.0 != key.hash) {
                wait.keys.push((key.hash, awaited));
            }
        }
        effects.wait = Some(wait);
    }

    /// Says that the command waits for replicas, and at most until its time is up; or counts them
    /// if nothing may wait.
    pub fn wait_for_replicas(&mut self, timeout: Timeout, in_vain: InVain) {
        let effects = &mut *self.db.effects;
        if effects.denies_waiting {
            effects.counts = Some(in_vain);
            return;
        }
        let (timeout_millis, keys, rewritten) = (timeout.millis, Vec::new(), Vec::new());
        effects.wait = Some(Box::new(Wait { timeout_millis, keys, rewritten, in_vain }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Valkey says, as observed.
    #[test]
    fn timeouts_are_judged_as_valkey_judges_them() {
        let now = UnixMs(1_795_248_615_009);
        for (text, expected) in [
            (&b"0"[..], Ok(0)),
            (b"1.5", Ok(1500)),
            (b"0x1", Ok(1000)),
            (b"1e-5", Ok(1)),
            (b"-0.0001", Ok(0)),
            (b"-1", Err(Error::TimeoutNegative)),
            (b"-inf", Err(Error::TimeoutNegative)),
            (b"abc", Err(Error::TimeoutNotFloat)),
            (b"nan", Err(Error::TimeoutNotFloat)),
            (b"", Err(Error::TimeoutNotFloat)),
            (b" 1", Err(Error::TimeoutNotFloat)),
            (b"inf", Err(OUT_OF_RANGE)),
            (b"1e400", Err(OUT_OF_RANGE)),
            (b"9223372036854775", Err(OUT_OF_RANGE)),
        ] {
            let millis = Timeout::of_seconds(text, now).map(|timeout| timeout.millis);
            assert_eq!(millis, expected, "{}", text.escape_ascii());
        }
        for (text, expected) in [
            (&b"10"[..], Ok(10)),
            (b"-1", Err(Error::TimeoutNegative)),
            (b"1.5", Err(Error::TimeoutNotInteger)),
            (b"9223372036854775807", Err(OUT_OF_RANGE)),
        ] {
            let millis = Timeout::of_millis(text, now).map(|timeout| timeout.millis);
            assert_eq!(millis, expected, "{}", text.escape_ascii());
        }
    }
}
