//! A full sync, and what it lacked if it failed.

use crate::replication::history::Scalar;
use crate::replication::moment::Moment;

/// A full sync that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sync {
    pub(super) began: Moment,
    /// Where the stream begins behind the snapshot.
    pub(super) cut: Scalar,
    /// Up to where the replica was sent what comes behind that, if it takes some meanwhile.
    pub(super) sent: Scalar,
    pub(super) written: u64,
    pub(super) expected: u64,
    /// When the replica acknowledged the snapshot.
    pub(super) acked: Option<Moment>,
}

/// How much memory a full sync would have needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Milliseconds that the sync had taken.
    pub took_ms: u64,
    /// Bytes of log that came in each second of it.
    pub rate: u64,
    /// Bytes of log that `client-output-buffer-limit replica` should allow.
    pub needs: u64,
}

impl Sync {
    pub(super) const fn new(now: Moment, cut: Scalar) -> Self {
        Self { began: now, cut, sent: cut, written: 0, expected: 0, acked: None }
    }

    /// From when on it is a success: when the replica has stayed for as long as it took. Who falls
    /// behind before that asks for the next one as often as for this one.
    pub(super) fn success_due(self) -> Option<Moment> {
        self.acked.map(|acked| acked.after(acked.since(self.began)))
    }

    /// What would have been enough, if the log had come up to `log_end` when it ended.
    pub(super) fn shortage(self, now: Moment, log_end: Scalar) -> Shortage {
        let came = u128::from(bytes(self.cut, log_end));
        let took_ms = now.since(self.began);
        let (written, expected) = (u128::from(self.written), u128::from(self.expected));
        // What has come so far belongs to the part of the snapshot that was written.
        let is_part = 0 < written && written < expected;
        let whole = if is_part { came * expected / written } else { came };
        // Loading may take the replica as long again.
        let needs = u64::try_from(whole.saturating_mul(2)).unwrap_or(u64::MAX);
        let rate = u64::try_from(came * 1000 / u128::from(took_ms.max(1))).unwrap_or(u64::MAX);
        Shortage { took_ms, rate, needs }
    }
}

/// Bytes of the stream between two places.
pub(super) fn bytes(from: Scalar, to: Scalar) -> u64 {
    to.0.saturating_sub(from.0)
}
