//! Clusters of machines under faults that are drawn from a seed: what must hold holds always, and
//! all is well when the faults are over.

mod checks;
mod world;

use shards::base::random::Random;

use super::event::{Command, Failover, SetSlot};
use super::settings::Settings;
use crate::cluster::frame::header::Flags;
use crate::cluster::nodes::node::Role;
use crate::cluster::slot_set::{SlotSet, all_slots};
use world::{World, id, ip, shard};

const NT: u64 = 1000;
/// When faults begin and end, and how long all is quiet behind them.
const FAULTS_FROM: u64 = 6_000;
const FAULTS_UNTIL: u64 = 26_000;
const QUIET_MS: u64 = 4 * NT + 10_000;
/// Primaries, and replicas of each.
const SHARDS: usize = 3;
const NODES: usize = 6;
const FAULTS_MAX: u64 = 8;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(usize),
    Restart(usize),
    Stop(usize),
    Continue(usize),
    /// Nothing gets from these nodes (a bit each) to the others, nor back.
    Split(u64),
    /// Nothing gets from these nodes to the others.
    Mute(u64),
    Heal,
    CutLinks(usize),
    DiskFails(usize),
    DiskWorks(usize),
    Failover(usize, Failover),
    /// A slot is moved by hand.
    Move(usize, usize),
}

fn settings() -> Settings {
    Settings { node_timeout_ms: NT, repl_ping_ms: 1000, ..Settings::default() }
}

/// The file of a node of three shards with a replica each.
fn conf(me: usize) -> String {
    let ranges = ["0-5460", "5461-10922", "10923-16383"];
    let line = |node: usize| {
        let (myself, shard) = (if node == me { "myself," } else { "" }, node % SHARDS);
        let role = match node {
            node if node < SHARDS => format!("{myself}master - 0 0 {} connected", node + 1),
            _ => format!("{myself}slave {} 0 0 0 connected", id(shard)),
        };
        let slots = if node < SHARDS { ranges[node] } else { "" };
        format!("{} {}:6379@16379,,shard-id={} {role} {slots}\n", id(node), ip(node), id(shard))
    };
    (0..NODES).map(line).collect::<String>() + "vars currentEpoch 3 lastVoteEpoch 0\n"
}

/// The faults of a seed, with their times.
fn draw(seed: u64) -> Vec<(u64, Fault)> {
    let mut random = Random::new(seed ^ 0xFA17);
    let mut faults = Vec::new();
    for _ in 0..random.below(FAULTS_MAX + 1) {
        let mut below = |limit: u64| usize::try_from(random.below(limit)).expect("it is small");
        let at = FAULTS_FROM + below(FAULTS_UNTIL - FAULTS_FROM - 4000) as u64;
        let until = at + 100 + below(3800) as u64;
        let node = below(NODES as u64);
        let some = 1 + below((1 << NODES) - 2) as u64;
        let pair = |one, other| vec![(at, one), (until, other)];
        faults.extend(match below(10) {
            0 | 1 => pair(Fault::Kill(node), Fault::Restart(node)),
            2 => pair(Fault::Stop(node), Fault::Continue(node)),
            3 => pair(Fault::Split(some), Fault::Heal),
            4 => pair(Fault::Mute(some), Fault::Heal),
            5 => vec![(at, Fault::CutLinks(node))],
            6 => pair(Fault::DiskFails(node), Fault::DiskWorks(node)),
            7 => vec![(at, Fault::Failover(node, Failover::Plain))],
            8 => vec![(at, Fault::Failover(node, Failover::Force))],
            _ => vec![(at, Fault::Move(below(16384), below(SHARDS as u64)))],
        });
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

impl World {
    fn apply(&mut self, fault: Fault) {
        let is_in = |set: u64, node: usize| set >> node & 1 == 1;
        match fault {
            Fault::Kill(node) => self.kill(node),
            Fault::Restart(node) => self.start(node),
            Fault::Stop(node) => self.nodes[node].is_stopped = true,
            Fault::Continue(node) => self.go_on(node),
            Fault::Split(set) | Fault::Mute(set) => {
                for one in 0..NODES {
                    for other in 0..NODES {
                        let from = is_in(set, one) && !is_in(set, other);
                        let to = is_in(set, other) && !is_in(set, one);
                        if from || (to && matches!(fault, Fault::Split(_))) {
                            self.blocked.insert((one, other));
                        }
                    }
                }
            }
            Fault::Heal => self.blocked.clear(),
            Fault::CutLinks(node) => self.cut_links(node),
            Fault::DiskFails(node) => self.nodes[node].disk_fails = true,
            Fault::DiskWorks(node) => self.nodes[node].disk_fails = false,
            Fault::Failover(node, how) => {
                // Then the primary is not asked, and goes on until it hears of it.
                self.checks.took_over |= how != Failover::Plain;
                self.ask(node, Command::Failover(how));
            }
            Fault::Move(number, target) => self.move_slot(number, target),
        }
    }

    /// What valkey-cli does to move a slot, if both nodes answer and agree whose it is.
    fn move_slot(&mut self, number: usize, target: usize) {
        let Some(slot) = all_slots().nth(number) else { return };
        let owner = |node: usize| {
            let one = &self.nodes[node];
            let nodes = one.machine.as_ref().filter(|_| !one.is_stopped)?.nodes();
            Some(nodes.at(nodes.owner(slot)?).id)
        };
        let Some(theirs) = owner(target) else { return };
        let source = (0..NODES).find(|node| id(*node) == theirs && owner(*node) == Some(theirs));
        let Some(source) = source.filter(|source| *source != target) else { return };
        let set = |request| Command::SetSlot(slot, request);
        let give = SetSlot::Node { owner: id(target), keys: 0 };
        // Each step is taken if the one before it was not refused.
        let steps = [
            (target, SetSlot::Importing(id(source))),
            (source, SetSlot::Migrating(id(target))),
            (target, give),
            (source, give),
        ];
        let is_done = |world: &Self, node: usize, request: SetSlot| {
            let machine = world.nodes[node].machine.as_ref();
            machine.is_some_and(|machine| match request {
                SetSlot::Importing(_) => machine.nodes().importing.contains_key(&slot),
                SetSlot::Migrating(_) => machine.nodes().migrating.contains_key(&slot),
                SetSlot::Stable | SetSlot::Node { .. } => {
                    machine.nodes().owner(slot) == machine.nodes().find(id(target))
                }
            })
        };
        for (node, request) in steps {
            self.ask(node, set(request));
            if !is_done(self, node, request) {
                break;
            }
        }
        // What is left open if one of them could not.
        self.ask(target, set(SetSlot::Stable));
        self.ask(source, set(SetSlot::Stable));
    }

    fn run_with(&mut self, faults: &[(u64, Fault)], until: u64) {
        for (number, (at, _)) in faults.iter().enumerate() {
            self.fault_at(*at, number);
        }
        while let Some(fault) = self.run(until) {
            let (at, fault) = faults[fault];
            self.checks.lines.push(format!("{at} - {fault:?}"));
            self.apply(fault);
        }
    }

    /// What a node says of all nodes, without what differs from node to node.
    fn view(&self, node: usize) -> Vec<String> {
        let machine = self.nodes[node].machine.as_ref().expect("it is alive");
        let nodes = machine.nodes();
        let mut lines: Vec<String> = nodes
            .iter()
            .map(|(_, node)| {
                let of = match node.role {
                    Role::Replica(Some(primary)) => nodes.at(primary).id.to_string(),
                    Role::Replica(None) => "?".to_string(),
                    Role::Primary | Role::Unknown => "-".to_string(),
                };
                let health = node.all_flags().only(Flags::PFAIL.with(Flags::FAIL));
                let (id, ip, shard) = (node.id, node.ip, node.shard);
                let epoch = if node.is_primary() { node.config_epoch.0 } else { 0 };
                let slots = node.slot_set();
                format!("{id} {ip:?} {shard:?} {of} {health:?} {epoch} {slots:?}")
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    /// What must hold when nothing has gone wrong for long enough.
    fn expect_peace(&self) {
        let first = self.view(0);
        for node in 1..self.nodes.len() {
            assert_eq!(self.view(node), first, "L1: {node} and 0 do not agree");
        }
        let machine = self.nodes[0].machine.as_ref().expect("it is alive");
        let nodes = machine.nodes();
        for slot in all_slots() {
            let owner = nodes.owner(slot).map(|owner| nodes.at(owner));
            let owner = owner.unwrap_or_else(|| panic!("L2: {slot:?} has no owner"));
            assert!(owner.is_primary() && owner.is_fit(), "L2: {slot:?}");
        }
        let mut epochs = Vec::new();
        for (key, node) in nodes.iter() {
            if let Role::Replica(primary) = node.role {
                let primary = primary.map(|primary| nodes.at(primary));
                assert!(primary.is_some_and(|primary| primary.is_primary()), "S6: {key:?}");
            } else {
                epochs.push(node.config_epoch);
            }
        }
        let count = epochs.len();
        epochs.sort_unstable();
        epochs.dedup();
        assert_eq!(epochs.len(), count, "S3: two primaries have one epoch");
        for (number, node) in self.nodes.iter().enumerate() {
            let machine = node.machine.as_ref().expect("it is alive");
            assert!(machine.state().is_ok() && !machine.state().is_fenced(), "L3: {number}");
            let nodes = machine.nodes();
            assert!(nodes.migrating.is_empty() && nodes.importing.is_empty(), "L4: {number}");
        }
    }
}

/// A run; whatever is wrong is shown with the seed and all that was logged.
fn run(seed: u64, faults: &[(u64, Fault)]) -> World {
    let files: Vec<String> = (0..NODES).map(conf).collect();
    let mut world = World::new(seed, &files, &settings());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.run_with(faults, FAULTS_UNTIL);
        world.run(FAULTS_UNTIL + QUIET_MS);
        world.expect_peace();
    }));
    if let Err(panic) = result {
        let lines = world.checks.lines.join("\n");
        println!("seed {seed}, faults {faults:#?}\n{lines}\nseed {seed}");
        std::panic::resume_unwind(panic);
    }
    world
}

/// Seeds that are run: `SEED` one of them, `SEEDS` as many.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(50),
    }
}

#[test]
fn whatever_goes_wrong_all_is_well_when_it_is_over() {
    for seed in seeds() {
        run(seed, &draw(seed));
    }
}

#[test]
fn without_faults_nothing_changes() {
    for seed in 0..5 {
        let world = run(seed, &[]);
        assert!(world.checks.winners.is_empty(), "L8: seed {seed}");
        let lines = &world.checks.lines;
        assert!(!lines.iter().any(|line| line.contains("failing")), "L8: {lines:#?}");
    }
}

#[test]
fn a_dead_primary_is_replaced_at_once() {
    for seed in 0..20 {
        let world = run(seed, &[(10_000, Fault::Kill(0)), (14_000, Fault::Restart(0))]);
        let won = world.checks.lines.iter().find(|line| line.contains("election won"));
        let at: u64 = won
            .and_then(|line| line.split(' ').next())
            .and_then(|at| at.parse().ok())
            .expect("a replica is elected");
        assert!(at <= 10_300, "F13: seed {seed}: {} ms", at - 10_000);
        assert_eq!(world.checks.winners.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_stopped_primary_is_replaced_after_the_node_timeout_and_writes_nothing_more() {
    for seed in 0..10 {
        let world = run(seed, &[(10_000, Fault::Stop(0)), (16_000, Fault::Continue(0))]);
        let won = world.checks.lines.iter().find(|line| line.contains("election won"));
        let at: u64 = won
            .and_then(|line| line.split(' ').next())
            .and_then(|at| at.parse().ok())
            .expect("a replica is elected");
        let took = at - 10_000;
        assert!(NT < took && took <= 2 * NT + 500, "seed {seed}: {took} ms");
    }
}

#[test]
fn six_strangers_become_a_cluster() {
    for seed in 0..5 {
        let files = vec![String::new(); NODES];
        let mut world = World::new(seed, &files, &settings());
        for node in 1..NODES {
            let meet = Command::Meet { ip: ip(node), port: 6379, bus_port: 16_379 };
            world.ask(0, meet);
        }
        let range = |from: usize, to: usize| all_slots().skip(from).take(to - from).collect();
        let ranges: [SlotSet; SHARDS] =
            [range(0, 5461), range(5461, 10_923), range(10_923, 16_384)];
        for (node, slots) in ranges.into_iter().enumerate() {
            world.ask(node, Command::AddSlots(slots));
        }
        world.run(5000);
        for node in SHARDS..NODES {
            let primary = id(node % SHARDS);
            world.ask(node, Command::Replicate { primary, is_empty: true });
        }
        world.run(5000 + QUIET_MS);
        world.expect_peace();
        let machine = world.nodes[5].machine.as_ref().expect("it is alive");
        assert_eq!(machine.nodes().me().shard, Some(shard(2)), "seed {seed}");
    }
}
