//! What a seed chooses for all of a run: how many nodes, how large, with which limits.

use std::sync::LazyLock;

use keylane::config::output_limits::OutputLimit;
use keylane::flows::dispatch::Routing;
use keylane::journal::backlog;
use keylane::replication::address::Address;
use keylane::replication::handshake::Hello;
use keylane::replication::limits::{Limits, Span};
use keylane::replication::session;
use keylane::routing::call::{Listed, Run, Table};
use keylane::routing::slots::SlotMap;
use shards::base::hash::HashSeed;
use shards::base::random::Random;
use shards::base::slot::Slot;
use shards::commands::spec::{Arity, Spec};
use shards::commands::table::GROUPS;

use crate::keyspace::{KEYS, name_of};

static EXEC: Spec = Spec { name: "exec", ..Spec::EMPTY };
static SELECT: Spec = Spec { name: "select", arity: Arity::Exactly(2), ..Spec::EMPTY };
static KEYLANE: Spec = Spec { name: "keylane", arity: Arity::AtLeast(2), ..Spec::EMPTY };

/// A port of the first node; the others follow.
const PORT: u16 = 7000;

/// Slots by shards of a node.
static MAPS: LazyLock<[SlotMap; 3]> = LazyLock::new(|| [1, 2, 3].map(SlotMap::even));

/// What a seed chooses once.
#[derive(Clone, Debug)]
pub struct Setup {
    /// By node: shards, and whether it takes logs each by a connection of its own.
    pub nodes: Vec<(u16, bool)>,
    pub table: &'static Table,
    /// Bytes of a backlog, and of the window of each log.
    pub backlog_bytes: u64,
    /// Bytes that may wait for a replica.
    pub output_bytes: u64,
    /// Bytes of logs that a replica may store.
    pub store_bytes: u64,
    /// Replicas remove what they have before all of a primary comes.
    pub empties: bool,
    /// `repl-timeout` in milliseconds.
    pub timeout_ms: u64,
    /// Milliseconds for which a replica waits for others.
    pub sync_delay_ms: u64,
    /// Milliseconds for which logs stay that no replica reads.
    pub ttl_ms: u64,
    /// Bytes that a shard may show before what it has shown is merged.
    pub credit: u64,
    /// Clients do something each so many microseconds.
    pub pace: u64,
    /// Something breaks each so many microseconds.
    pub trouble: u64,
    /// How long clients write and things break.
    pub lasts: u64,
}

impl Setup {
    pub fn new(random: &mut Random, table: &'static Table) -> Self {
        let count = [2, 3, 3, 4, 5][pick(random, 5)];
        let is_native = random.below(4);
        let shape = 1 + random.below(3);
        let node = |random: &mut Random| {
            let other = random.below(3) == 0;
            let shards = if other { 1 + random.below(3) } else { shape };
            let native = match is_native {
                0 => false,
                1 => true,
                _ => random.below(2) == 0,
            };
            (u16::try_from(shards).expect("it is small"), native)
        };
        let nodes = (0..count).map(|_| node(random)).collect();
        let backlog_bytes = [2_000, 10_000, 1 << 20][pick(random, 3)];
        // Seeds that were kept choose all else as they did before there was this.
        let empties = random.clone().below(3) == 0;
        Self {
            nodes,
            table,
            empties,
            backlog_bytes,
            output_bytes: backlog_bytes.max([6_000, 60_000, 1 << 20][pick(random, 3)]),
            timeout_ms: [8_000, 15_000][pick(random, 2)],
            sync_delay_ms: [0, 300][pick(random, 2)],
            ttl_ms: [6_000, 3_600_000][pick(random, 2)],
            credit: [300, 2_000, 1 << 20][pick(random, 3)],
            pace: [3_000, 15_000, 60_000][pick(random, 3)],
            trouble: [300_000, 1_000_000, 3_000_000][pick(random, 3)],
            lasts: [2_000_000, 6_000_000, 12_000_000][pick(random, 3)],
            store_bytes: [300, 3_000, 1 << 20][pick(random, 3)],
        }
    }

    /// What is kept is enough for everything that may happen.
    pub fn is_roomy(&mut self) {
        (self.backlog_bytes, self.output_bytes, self.ttl_ms) = (4 << 20, 4 << 20, 3_600_000);
    }

    /// All but the table of commands.
    pub fn shown(&self) -> String {
        let Self { nodes, backlog_bytes, output_bytes, timeout_ms, ttl_ms, .. } = self;
        let Self { sync_delay_ms, credit, pace, trouble, lasts, store_bytes, empties, .. } = self;
        format!(
            "{nodes:?} backlog {backlog_bytes} output {output_bytes} timeout {timeout_ms} ttl \
             {ttl_ms} store {store_bytes} empties {empties} delay {sync_delay_ms} credit {credit} \
             pace {pace} trouble {trouble} lasts {lasts}"
        )
    }

    pub fn address(node: usize) -> Address {
        let port = PORT + u16::try_from(node).expect("nodes are few");
        Address { host: format!("n{node}"), port }
    }

    /// The node of an address.
    pub fn node_at(address: &Address) -> usize {
        usize::from(address.port - PORT)
    }

    pub fn routing(&self, node: usize) -> Routing {
        let slots = MAPS[usize::from(self.nodes[node].0) - 1].clone();
        Routing { table: self.table, slots, seed: HashSeed(7) }
    }

    pub fn hello(&self, node: usize) -> Hello {
        Hello {
            listening_port: Self::address(node).port,
            version: "9.1.0".to_owned(),
            flows: self.nodes[node].1,
            ..Hello::default()
        }
    }

    /// Of the link to a primary.
    pub fn link_limits(&self) -> Limits {
        Limits {
            first_byte_ms: self.timeout_ms,
            idle_ms: self.timeout_ms,
            progress_bytes: 20,
            sync_retry_ms: Span { first: 1_000, most: 20_000 },
            ..Limits::default()
        }
    }

    /// Of the session of a replica.
    pub fn session_limits(&self) -> session::Limits {
        session::Limits {
            silence_ms: self.timeout_ms,
            progress_ms: 10_000,
            output: OutputLimit { hard: self.output_bytes, soft: 0, soft_seconds: 0 },
            backlog_bytes: self.backlog_bytes,
        }
    }

    pub fn backlog_limits(&self) -> backlog::Limits {
        backlog::Limits { size_bytes: self.backlog_bytes, held_bytes_max: 8 << 20 }
    }
}

/// The shard of each key among so many.
pub fn owners(slots: &SlotMap) -> [u16; KEYS] {
    std::array::from_fn(|key| slots.owner_of(Slot::of(name_of(key).as_bytes())))
}

/// All commands that a stream may have.
pub fn table() -> &'static Table {
    let engine = GROUPS.iter().flat_map(|group| group.iter());
    let listed = engine.map(|command| Listed {
        spec: &command.spec,
        run: Run::Engine(command),
        subcommands: Vec::new(),
    });
    let own = [&EXEC, &SELECT, &KEYLANE];
    let own = own.map(|spec| Listed { spec, run: Run::Client, subcommands: Vec::new() });
    let table = Table::new(listed.chain(own).collect(), &[]).expect("no name stands twice");
    Box::leak(Box::new(table))
}

fn pick(random: &mut Random, count: u64) -> usize {
    usize::try_from(random.below(count)).expect("it is small")
}
