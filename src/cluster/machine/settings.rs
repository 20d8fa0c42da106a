//! What the configuration says of a node of a cluster, and what periods follow from it.

use std::net::IpAddr;

use crate::cluster::frame::header::Ports;
use crate::cluster::health::BOOT_MS;
use crate::cluster::health::turning::STALL_MS_MIN;
use crate::cluster::nodes::node::Names;
use crate::cluster::report::endpoint::Endpoint;

/// Milliseconds between two rounds of everything that is done now and then.
pub const CRON_MS: u64 = 100;
/// Milliseconds without any PING of ours after which a random node is sent one.
pub const RANDOM_PING_MS: u64 = 1000;
/// Milliseconds from the beginning of an election to the next one, at least.
const RETRY_MS_MIN: u64 = 4000;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `cluster-node-timeout`
    pub node_timeout_ms: u64,
    /// `cluster-ping-interval`; 0: half of the node timeout.
    pub ping_interval_ms: u64,
    /// `cluster-message-gossip-perc`
    pub gossip_percent: u64,
    /// `cluster-announce-ip`
    pub announced_ip: Option<IpAddr>,
    /// Where this node listens, as it announces it.
    pub ports: Ports,
    /// What else it announces.
    pub names: Names,
    /// `cluster-preferred-endpoint-type`
    pub endpoint: Endpoint,
    /// `cluster-allow-reads-when-down`
    pub allows_reads_when_down: bool,
    /// `cluster-allow-pubsubshard-when-down`
    pub allows_pubsub_when_down: bool,
    /// `cluster-require-full-coverage`
    pub requires_full_coverage: bool,
    /// `cluster-replica-validity-factor`; 0: data of any age is good enough.
    pub validity_factor: u64,
    /// `repl-ping-replica-period`, in milliseconds.
    pub repl_ping_ms: u64,
    /// `cluster-replica-no-failover`
    pub never_fails_over: bool,
    /// `cluster-migration-barrier`
    pub migration_barrier: usize,
    /// `cluster-allow-replica-migration`
    pub allows_migration: bool,
    /// `cluster-manual-failover-timeout`
    pub manual_failover_ms: u64,
    /// `cluster-blacklist-ttl`
    pub forget_s: u64,
    /// `cluster-fast-detection`
    pub detects_fast: bool,
    /// `cluster-refused-confirm`
    pub refused_confirm_ms: u64,
    /// `cluster-write-lease`; `None`: half of the node timeout; 0: no fence.
    pub write_lease_ms: Option<u64>,
    /// `cluster-topology external`: there is no gossip and no election.
    pub is_external: bool,
    /// `cluster-shard-stall`; `None`: twice the node timeout; 0: a node never falls silent.
    pub shard_stall_ms: Option<u64>,
    /// `cluster-empty-restart yield`
    pub yields_when_empty: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_timeout_ms: 15_000,
            ping_interval_ms: 0,
            gossip_percent: 10,
            announced_ip: None,
            ports: Ports { client: 6379, other: 0, bus: 16_379 },
            names: Names::default(),
            endpoint: Endpoint::Ip,
            allows_reads_when_down: false,
            allows_pubsub_when_down: true,
            requires_full_coverage: true,
            validity_factor: 10,
            repl_ping_ms: 10_000,
            never_fails_over: false,
            migration_barrier: 1,
            allows_migration: true,
            manual_failover_ms: 5000,
            forget_s: 60,
            detects_fast: true,
            refused_confirm_ms: 200,
            write_lease_ms: None,
            is_external: false,
            shard_stall_ms: None,
            yields_when_empty: true,
        }
    }
}

impl Settings {
    /// How long a node may be silent until it is sent a PING.
    pub const fn ping_ms(&self) -> u64 {
        if self.ping_interval_ms == 0 { self.node_timeout_ms / 2 } else { self.ping_interval_ms }
    }

    /// How long a handshake may last.
    pub const fn handshake_ms(&self) -> u64 {
        if self.node_timeout_ms < 1000 { 1000 } else { self.node_timeout_ms }
    }

    /// How long a report of a failure counts, and how long a failure lasts at least whose slots
    /// no node takes.
    pub const fn report_ms(&self) -> u64 {
        self.node_timeout_ms.saturating_mul(2)
    }

    /// The fixed part of the delay of an election; the random part is below it.
    pub const fn election_delay_ms(&self) -> u64 {
        let delay = self.node_timeout_ms / 30;
        if delay < 500 { delay } else { 500 }
    }

    /// How long an election may take: a voter gives its vote to another replica when the first one
    /// could write by it no longer, so votes that came before that must not decide behind it.
    pub fn election_ms(&self) -> u64 {
        match self.lease_ms() {
            0 => self.election_retry_ms() / 2,
            lease => lease,
        }
    }

    /// How long after the beginning of an election the next one may begin.
    pub fn election_retry_ms(&self) -> u64 {
        self.node_timeout_ms.saturating_mul(4).max(RETRY_MS_MIN)
    }

    /// How long a primary that was in the minority stays in state fail.
    pub fn rejoin_ms(&self) -> u64 {
        self.node_timeout_ms.clamp(500, 5000)
    }

    /// How long a primary may go on writing without having heard a majority; 0: for ever, as where
    /// none is elected.
    pub fn lease_ms(&self) -> u64 {
        if self.is_external {
            return 0;
        }
        self.write_lease_ms.unwrap_or(self.node_timeout_ms / 2)
    }

    /// How long a primary that has started without data waits for a replica that takes over: long
    /// enough that each may try again when voters that have just started did not vote.
    pub fn yield_ms(&self) -> u64 {
        self.node_timeout_ms.max(self.manual_failover_ms).saturating_mul(2)
    }

    /// How long a replica keeps its data, and asks to be elected, when its primary has less: long
    /// enough that voters vote which have just started, as that primary has.
    pub fn keep_ms(&self) -> u64 {
        self.node_timeout_ms.max(2 * BOOT_MS)
    }

    /// Whether a primary that has started without data is to ask its replicas to take over.
    pub const fn yields(&self) -> bool {
        self.yields_when_empty && !self.is_external
    }

    /// How long a shard of a primary may do without a turn; 0: for ever, as where no replica would
    /// take over.
    pub fn stall_ms(&self) -> u64 {
        match self.shard_stall_ms {
            _ if self.is_external => 0,
            Some(0) => 0,
            Some(millis) => millis.max(STALL_MS_MIN),
            None => self.node_timeout_ms.saturating_mul(2).max(STALL_MS_MIN),
        }
    }
}
