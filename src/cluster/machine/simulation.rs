//! Clusters of machines under faults that are drawn from a seed: what must hold holds always, and
//! all is well when the faults are over. What is planted on purpose is found.
//!
//! A seed is small, so that many are played: its faults follow one another closely, and it ends
//! as soon as all is well and stays so; one of some goes on for as long as that may take. So it
//! costs a third of one with 20 seconds for faults and 14 behind them, and what is planted is found
//! at about the same cost.
//!
//! `SEED=n` runs one seed, `SEEDS=n` so many instead of [`SEEDS`], from `FROM=n` on. `HUNT=n` looks
//! through so many seeds for what is planted, and says which one shows it first.

mod checks;
mod faults;
mod moving;
mod planted;
mod replicating;
mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe};

use super::event::{Command, Failover};
use super::settings::Settings;
use crate::cluster::frame::header::Flags;
use crate::cluster::ids::{Epoch, NodeId, ShardId};
use crate::cluster::nodes::node::{Node, Role};
use crate::cluster::slot_set::{SlotSet, all_slots};
use faults::{Fault, draw, draw_moves};
use planted::Planted;
use world::{World, id, ip, shard};

const NT: u64 = 1000;
/// When faults begin: all nodes serve.
const FAULTS_FROM: u64 = 3_500;
/// How long after the last fault all is well at the latest.
const QUIET_MS: u64 = 4 * NT + 10_000;
/// Milliseconds between two looks whether all is well, and for how long it must have been so.
const LOOK_MS: u64 = 500;
const CALM_MS: u64 = 1_000;
/// Every so many seeds, a run goes on up to the end of that time whatever it looks like.
const LONG_EACH: u64 = 16;
const SHARDS: usize = 3;
/// Primaries, and a replica of each.
const NODES: usize = 6;
/// Every so many seeds, primaries have two replicas each.
const MORE_REPLICAS_EACH: u64 = 4;
/// Every so many seeds, some connections are slow.
const UNEVEN_EACH: u64 = 8;
/// Every so many seeds, and so many behind each of those, tools take their time to move slots.
const MOVES_EACH: u64 = 9;
const MOVES_AT: u64 = 8;
/// Seeds that are run, unless `SEEDS` says how many.
const SEEDS: u64 = 2_000;
/// Seeds that showed something, and what.
const KEPT: [(u64, &str); 42] = [
    (10_001_031, "stopped with its replica, a primary wrote again while all held it for FAIL"),
    (10_001_203, "so did one whose open PINGs were answered when a partition was over"),
    (10_004_602, "as the first"),
    (10_016_102, "a primary's last frame left behind a file that it follows another one"),
    (10_019_973, "two shards elected in one epoch, each by voters of a partition"),
    (10_020_024, "elected and without a disk, a primary wrote, and another one was elected"),
    (10_020_170, "a slot was moved to a primary whose replica did not hear of it, and lost"),
    (10_023_437, "slots of a primary that was replaced by one known as such went to an old claim"),
    (10_502_664, "a slot was moved to a primary that was replaced, and lost"),
    (10_559_972, "votes counted that came when the data had become too old for an election"),
    (20_005_377, "answers that took 0.2 s came too late for the fence, again and again"),
    (20_035_318, "a slot was moved to a primary that could not save its claim, and died"),
    (21_002_161, "a replica that keeps its data asked again in an epoch that was not saved"),
    (21_519_716, "two replicas of one primary were elected within 4 ms, in two epochs"),
    (21_533_992, "as that one"),
    (32_000_616, "one of two elected was so by a vote that had come before a partition"),
    (32_024_256, "a primary did not hear of its successor, whose epoch it knew already"),
    (40_013_716, "a slot was lost: a node of the past said that a known claim had it, too"),
    (40_025_378, "one was elected in an epoch that its primary had taken itself for a slot"),
    (40_018_531, "a primary that all held for FAIL wrote when it got a replica, which was elected"),
    (21_559_585, "what others told of a voter's PONGs kept a fenced primary from asking it"),
    (52_163_014, "a slot's new owner died before it told of it, and who took over lacked the slot"),
    (
        53_219_920,
        "a voter elected beside a primary that its own vote had replaced behind a partition",
    ),
    (
        54_046_986,
        "a replica's word of its primary's slots gave them to the replica, by an old epoch",
    ),
    (
        62_001_278,
        "a source got the target's epoch, took a newer one, and the target deleted the keys",
    ),
    (62_037_305, "as that one, of a slot that the source had given away by then"),
    (
        70_075_346,
        "a replica was killed while a slot was given to its primary, and showed it as open",
    ),
    (
        73_035_269,
        "a replica that was told of a slot took over with it, and the source took it back",
    ),
    (62_067_113, "an older claim of a target came by its slow link, and its keys were deleted"),
    (80_157_599, "a slot came to a primary that could not save, and its heir had not heard of it"),
    (80_196_615, "a slot went to a successor, as one knew who had missed that it was given before"),
    (83_386_195, "elected, a replica could save that only when its votes bound no more"),
    (
        85_011_484,
        "a primary that its own vote had replaced, and that had not heard of it, voted again",
    ),
    (90_562_002, "a replica was killed before it was told that a slot was closed"),
    (91_059_508, "a primary voted for its own replica, of which it did not know yet"),
    (94_553_441, "a replica that was told anew forgot a slot that its primary had been given"),
    (96_049_763, "stopped and replaced, a primary took a newer epoch by a SETSLOT that had waited"),
    (
        98_013_050,
        "elected in the epoch that its fenced primary had, one wrote, and so did that one",
    ),
    (98_162_752, "cut off and replaced, a primary voted beside its successor: two won one epoch"),
    (
        98_228_942,
        "a replica did not know the new owner of a slot that was imported, and deleted its keys",
    ),
    (98_385_605, "as the one with its heir's epoch, its own id the greater one"),
    (98_398_057, "a replaced primary took its heir for dead by a message from before, and won"),
];
/// Seeds within which a planted fault must be found.
const FOUND_WITHIN: u64 = 10_000;

fn settings() -> Settings {
    Settings { node_timeout_ms: NT, repl_ping_ms: 1000, ..Settings::default() }
}

/// The file of one of so many nodes: primaries at first, then replicas of each.
fn conf(me: usize, nodes: usize) -> String {
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
    (0..nodes).map(line).collect::<String>() + "vars currentEpoch 3 lastVoteEpoch 0\n"
}

impl World {
    fn apply(&mut self, fault: Fault) {
        let is_in = |set: u64, node: usize| set >> node & 1 == 1;
        if !fault.is_silence() {
            self.disturbed_at = self.at;
        }
        self.may_lose_keys |= fault.loses_writes();
        match fault {
            Fault::Kill(node) => self.kill(node),
            Fault::Restart(node) => self.start(node),
            Fault::RestartEmpty(node) => self.start_empty(node, false),
            Fault::RestartStock(node) => self.start_empty(node, true),
            Fault::Stop(node) => self.nodes[node].is_stopped = true,
            Fault::Continue(node) => self.go_on(node),
            Fault::Split(set) | Fault::Mute(set) => {
                for one in 0..self.nodes.len() {
                    for other in 0..self.nodes.len() {
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

    fn run_with(&mut self, faults: &[(u64, Fault)], until: u64) {
        for (number, (at, _)) in faults.iter().enumerate() {
            self.fault_at(*at, number);
        }
        self.go_on_with(faults, until);
    }

    /// Goes on with faults that were planned.
    fn go_on_with(&mut self, faults: &[(u64, Fault)], until: u64) {
        while let Some(fault) = self.run(until) {
            let (at, fault) = faults[fault];
            self.checks.lines.push(format!("{at} - {fault:?}"));
            self.apply(fault);
        }
    }

    /// Lets time pass until all is well, and has been so for a while.
    fn run_until_calm(&mut self) {
        let (end, mut since) = (self.at + QUIET_MS, None);
        while self.at < end {
            self.run(self.at + LOOK_MS);
            since = since.or(Some(self.at)).filter(|_| self.peace().is_ok());
            if since.is_some_and(|since| since + CALM_MS <= self.at) {
                return;
            }
        }
    }

    /// What a node says of all nodes, without what differs from node to node.
    fn view(&self, node: usize) -> Vec<View> {
        let machine = self.nodes[node].machine.as_ref().expect("it is alive");
        let nodes = machine.nodes();
        let view = |node: &Node| View {
            id: node.id,
            ip: node.ip,
            shard: node.shard,
            primary: match node.role {
                Role::Replica(primary) => Some(primary.map(|primary| nodes.at(primary).id)),
                Role::Primary | Role::Unknown => None,
            },
            health: node.all_flags().only(Flags::PFAIL.with(Flags::FAIL)),
            epoch: if node.is_primary() { node.config_epoch } else { Epoch(0) },
            slots: node.slot_set().clone(),
        };
        let mut views: Vec<View> = nodes.iter().map(|(_, node)| view(node)).collect();
        views.sort_unstable_by_key(|view| view.id);
        views
    }

    /// What must hold when nothing has gone wrong for long enough.
    fn peace(&self) -> Result<(), String> {
        let must =
            |holds: bool, what: &dyn Fn() -> String| if holds { Ok(()) } else { Err(what()) };
        for (number, node) in self.nodes.iter().enumerate() {
            let machine = node.machine.as_ref().expect("it is alive");
            let is_well = machine.state().is_ok() && !machine.state().is_fenced();
            must(is_well, &|| format!("L3: {number}"))?;
            let nodes = machine.nodes();
            let is_open = !nodes.migrating.is_empty() || !nodes.importing.is_empty();
            must(!is_open, &|| format!("L4: {number}"))?;
        }
        let machine = self.nodes[0].machine.as_ref().expect("it is alive");
        let nodes = machine.nodes();
        let unowned = SlotSet::all().without(nodes.owned());
        must(unowned.is_empty(), &|| format!("L2: {unowned:?} have no owner"))?;
        let mut epochs = BTreeSet::new();
        for (key, node) in nodes.iter() {
            let serves = node.is_primary() && node.is_fit();
            must(serves || node.slot_count() == 0, &|| format!("L2: {key:?}"))?;
            if let Role::Replica(primary) = node.role {
                let primary = primary.map(|primary| nodes.at(primary));
                must(primary.is_some_and(Node::is_primary), &|| format!("S6: {key:?}"))?;
            } else {
                let is_new = epochs.insert(node.config_epoch);
                must(is_new, &|| "S3: two primaries have one epoch".to_string())?;
            }
        }
        let first = self.view(0);
        for node in 1..self.nodes.len() {
            let other = self.view(node);
            must(other == first, &|| {
                format!("L1: {node} and 0 do not agree: {other:?} {first:?}")
            })?;
        }
        must(nodes.agree(), &|| "S7: at 0".to_string())
    }

    fn expect_peace(&self) {
        self.peace().unwrap_or_else(|why| panic!("{why}"));
    }
}

/// What one node holds of another one.
#[derive(Debug, PartialEq)]
struct View {
    id: NodeId,
    ip: Option<IpAddr>,
    shard: Option<ShardId>,
    /// Of a replica: its primary, if that is known.
    primary: Option<Option<NodeId>>,
    health: Flags,
    epoch: Epoch,
    slots: SlotSet,
}

/// What a run is like, besides its faults.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// It goes on for all of the time in which all has to become well, and not until it is.
    is_long: bool,
    /// Some connections are slow.
    is_uneven: bool,
    /// Moves of slots take their time.
    moves_take_time: bool,
    /// What is wrong with every node.
    planted: Option<Planted>,
}

/// A run of so many nodes.
fn world(seed: u64, nodes: usize, faults: &[(u64, Fault)], kind: Kind) -> World {
    let files: Vec<String> = (0..nodes).map(|node| conf(node, nodes)).collect();
    let mut world = World::new(seed, &files, &settings(), kind);
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let until = faults.iter().map(|(at, _)| *at).max().unwrap_or(FAULTS_FROM);
        world.run_with(faults, until);
        if kind.is_long {
            world.run(until + QUIET_MS);
        } else {
            world.run_until_calm();
        }
        world.expect_peace();
    }));
    if let Err(panic) = result {
        if kind.planted.is_none() {
            let lines = world.checks.lines.join("\n");
            println!("seed {seed}, faults {faults:#?}\n{lines}\nseed {seed}");
        }
        panic::resume_unwind(panic);
    }
    world
}

/// A run of six nodes; whatever is wrong is shown with the seed and all that was logged.
fn run(seed: u64, faults: &[(u64, Fault)]) -> World {
    world(seed, NODES, faults, Kind { is_long: true, ..Kind::default() })
}

/// A run in which everything is drawn from the seed.
fn run_drawn(seed: u64, planted: Option<Planted>) {
    let is_wide = seed.is_multiple_of(MORE_REPLICAS_EACH);
    let nodes = if is_wide { NODES + SHARDS } else { NODES };
    let is_long = (seed / MORE_REPLICAS_EACH).is_multiple_of(LONG_EACH);
    let is_uneven = seed % UNEVEN_EACH == 1;
    let moves_take_time = seed % MOVES_EACH == MOVES_AT;
    let faults = if moves_take_time { draw_moves(seed, nodes) } else { draw(seed, nodes) };
    world(seed, nodes, &faults, Kind { is_long, is_uneven, moves_take_time, planted });
}

/// Why a run fails in which something is planted, if it does.
fn failure(seed: u64, planted: Planted) -> Option<String> {
    let result = panic::catch_unwind(|| run_drawn(seed, Some(planted)));
    let why = result.err()?;
    let text = why.downcast_ref::<String>().cloned();
    text.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number of seeds"))
}

#[test]
fn whatever_goes_wrong_all_is_well_when_it_is_over() {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let from = number("FROM").unwrap_or(0);
            from..from + number("SEEDS").unwrap_or(SEEDS)
        }
    };
    seeds.for_each(|seed| run_drawn(seed, None));
}

#[test]
fn what_was_found_once_does_not_happen_again() {
    for (seed, what) in KEPT {
        println!("seed {seed}: {what}");
        run_drawn(seed, None);
    }
}

/// What is planted, a seed that shows it, and the checks that find it.
const PLANTED: [(Planted, u64, &[&str]); 5] = [
    (Planted::VoteWithoutFsync, 1, &["S5: "]),
    (Planted::TwoVotes, 16, &["S1: "]),
    (Planted::StaleFrame, 113, &["S8: "]),
    (Planted::NoFence, 1, &["7.4: "]),
    (Planted::NoRank, 712, &["T-E: "]),
];

#[test]
fn each_planted_fault_is_found() {
    panic::set_hook(Box::new(|_| {}));
    let is_hunt = number("HUNT").is_some();
    let mut missed = Vec::new();
    for (planted, kept, checks) in PLANTED {
        // The machine may have changed, and another seed show it.
        let kept = Some(kept).filter(|_| !is_hunt);
        let seeds = kept.into_iter().chain(0..number("HUNT").unwrap_or(FOUND_WITHIN));
        let is_meant = |why: &String| checks.iter().any(|check| why.contains(check));
        let shows = |seed| Some((seed, failure(seed, planted).filter(is_meant)?));
        let found = seeds.into_iter().find_map(shows);
        println!("{planted:?}: {found:?}");
        if found.is_none() {
            missed.push(planted);
        }
    }
    drop(panic::take_hook());
    assert!(missed.is_empty(), "not found, or by another check: {missed:?}");
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
fn a_primary_that_comes_back_empty_is_replaced_by_a_replica_with_its_data() {
    let cases = [
        (Fault::RestartEmpty(0), "started without data"),
        (Fault::RestartStock(0), "with less data than this replica"),
    ];
    for (restart, said) in cases {
        for seed in 0..10 {
            // Too soon for an election.
            let world = run(seed, &[(10_000, Fault::Kill(0)), (10_100, restart)]);
            let label = format!("R3: {said}: seed {seed}");
            let machine = world.nodes[3].machine.as_ref().expect("it is alive");
            assert!(machine.nodes().me().is_voting(), "{label}");
            let written = (10_000 - 1000) / world::REPLICATION_MS * 10;
            assert!(written / 2 < world.nodes[0].offset, "{label}: it has the data again");
            assert!(world.checks.lines.iter().any(|line| line.contains(said)), "{label}");
        }
    }
}

#[test]
fn six_strangers_become_a_cluster() {
    for seed in 0..5 {
        let files = vec![String::new(); NODES];
        let mut world = World::new(seed, &files, &settings(), Kind::default());
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

/// Nodes that are reset stay alone, whatever was wrong with the others meanwhile, until they are
/// met; then they are of the cluster again.
#[test]
fn a_node_that_is_reset_stays_out_until_it_is_met() {
    const RESET_AT: u64 = 10_000;
    for seed in 0..20 {
        let node = 5;
        let is_hard = seed % 2 == 0;
        let files: Vec<String> = (0..NODES).map(|node| conf(node, NODES)).collect();
        let mut world = World::new(seed, &files, &settings(), Kind::default());
        // One node sees nothing of it until it is over; another one comes back later.
        let from = RESET_AT - 200 * (seed % 4);
        let faults = [
            (from, Fault::Stop(1)),
            (from, Fault::Kill(4)),
            (RESET_AT + NT * 3 / 2, Fault::Continue(1)),
            (RESET_AT + 3 * NT, Fault::Restart(4)),
            (RESET_AT + 5 * NT, Fault::CutLinks(0)),
            (RESET_AT + 6 * NT, Fault::Kill(node)),
            (RESET_AT + 7 * NT, Fault::Restart(node)),
        ];
        world.run_with(&faults, RESET_AT);
        let own = shard(9);
        world.checks.reset(node);
        world.ask(
            node,
            match is_hard {
                true => Command::ResetHard(own, id(9)),
                false => Command::ResetSoft(own),
            },
        );
        for round in 1..30 {
            world.go_on_with(&faults, RESET_AT + round * NT);
            let Some(machine) = &world.nodes[node].machine else { continue };
            assert_eq!(machine.nodes().len(), 1, "seed {seed}, hard {is_hard}, {round}");
            for other in (0..NODES).filter(|other| *other != node) {
                let Some(machine) = &world.nodes[other].machine else { continue };
                let is_known = machine.nodes().find(id(9)).is_some();
                assert!(!is_known, "seed {seed}, hard {is_hard}, {round}: {other}");
            }
        }
        let meet = Command::Meet { ip: ip(node), port: 6379, bus_port: 16_379 };
        world.ask(0, meet);
        world.run(world.at + 10 * NT);
        let now = if is_hard { 9 } else { node };
        for other in 0..NODES {
            let machine = world.nodes[other].machine.as_ref().expect("it is alive");
            let found = machine.nodes().find(id(now)).map(|key| machine.nodes().at(key).is_fit());
            assert_eq!(found, Some(true), "seed {seed}, hard {is_hard}: {other}");
        }
    }
}
