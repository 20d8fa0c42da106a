//! What one shard thread counts. Plain numbers: gathered by mail, never shared.

/// Counters of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCounters {
    /// Times it ran.
    pub calls: u64,
    /// Ticks it took in all.
    pub ticks: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and failed.
    pub failed: u64,
}

/// Everything a shard thread counts.
#[derive(Clone, Debug)]
pub struct Counters {
    /// By the command's number.
    pub calls: Vec<CallCounters>,
    /// Connections taken over.
    pub clients_opened: u64,
    /// Connections closed.
    pub clients_closed: u64,
    /// Connections refused.
    pub clients_refused: u64,
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
    /// Batches passed on to other shards.
    pub hops: u64,
}

impl Counters {
    /// Counters for commands numbered below `ids`.
    pub fn new(ids: usize) -> Self {
        Self {
            calls: vec![CallCounters::default(); ids],
            clients_opened: 0,
            clients_closed: 0,
            clients_refused: 0,
            bytes_in: 0,
            bytes_out: 0,
            hops: 0,
        }
    }

    /// A command ran for `ticks`.
    #[inline]
    pub fn ran(&mut self, id: usize, ticks: u64, failed: bool) {
        let counters = &mut self.calls[id];
        counters.calls += 1;
        counters.ticks += ticks;
        counters.failed += u64::from(failed);
    }

    /// A command was refused.
    pub fn rejected(&mut self, id: usize) {
        self.calls[id].rejected += 1;
    }
}
