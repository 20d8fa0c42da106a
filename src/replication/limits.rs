//! What a link may take and hold: each limit is its own, since each names another fault.

/// Milliseconds and bytes after which a link is given up, and how soon it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Milliseconds to connect: `repl-connect-timeout`.
    pub connect_ms: u64,
    /// Milliseconds until the reply to each step of the handshake: `repl-step-timeout`.
    pub step_ms: u64,
    /// Milliseconds from PSYNC until the first byte of a snapshot: `repl-timeout`.
    pub first_byte_ms: u64,
    /// Milliseconds without any byte in that time. A primary that prepares a snapshot sends a line
    /// feed each second.
    pub silence_ms: u64,
    /// Milliseconds in which a snapshot must get on: `repl-progress-timeout`.
    pub progress_ms: u64,
    /// Bytes of a snapshot that must come in that time.
    pub progress_bytes: u64,
    /// Milliseconds without a whole command of the stream, or as many bytes as are progress of a
    /// snapshot: `repl-timeout`. Stock primaries send a
    /// PING every `repl-ping-replica-period`, ten seconds by default.
    pub idle_ms: u64,
    /// The same if each log has a connection of its own: `repl-idle-timeout`. Such a primary sends
    /// a PING each second.
    pub beat_ms: u64,
    /// Milliseconds between acknowledgements.
    pub ack_ms: u64,
    /// Milliseconds until the next attempt after the first failure, and at most. The wait doubles.
    pub retry_ms: Span,
    /// The same while the primary says that this node is not its replica, which passes only when
    /// one of both is told another topology.
    pub refused_retry_ms: Span,
    /// The same after a full sync that failed: each costs the primary a snapshot.
    pub sync_retry_ms: Span,
    /// Bytes of one unit of the stream: a transaction is held until its EXEC is there.
    pub unit_bytes_max: usize,
    /// Bytes of one argument. A primary may send more than its clients may.
    pub bulk_bytes_max: u64,
}

/// From the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// After one failure.
    pub first: u64,
    /// After many.
    pub most: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_ms: 3_000,
            step_ms: 5_000,
            first_byte_ms: 60_000,
            silence_ms: 5_000,
            progress_ms: 5_000,
            progress_bytes: 64 << 10,
            idle_ms: 60_000,
            beat_ms: 5_000,
            ack_ms: 1_000,
            retry_ms: Span { first: 100, most: 1_000 },
            refused_retry_ms: Span { first: 100, most: 10_000 },
            sync_retry_ms: Span { first: 1_000, most: 60_000 },
            unit_bytes_max: 1 << 30,
            bulk_bytes_max: u32::MAX as u64,
        }
    }
}

impl Span {
    /// What follows so many failures, each after the other.
    pub fn after(self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(u64::BITS - 1);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most() {
        let span = Span { first: 1_000, most: 60_000 };
        let waits: Vec<u64> = (0..9).map(|failures| span.after(failures)).collect();
        assert_eq!(waits, [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(span.after(u32::MAX), 60_000);
    }
}
