//! T-R, row by row and in all combinations.

use super::*;
use crate::cluster::machine::bench::{Bench, slot};
use crate::cluster::moment::Moment;
use crate::cluster::nodes::node::Health;

/// What a node is, and what of each kind of slot is to be found where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Primary,
    Replica,
}

const UNSERVED: &str = "CLUSTERDOWN Hash slot not served";
const DOWN: &str = "CLUSTERDOWN The cluster is down";
const READS_ONLY: &str = "CLUSTERDOWN The cluster is down and only accepts read commands";
const TRY_AGAIN: &str = "TRYAGAIN Multiple keys request during rehashing of slot";

/// Where the slot of a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Here,
    Migrating,
    Importing,
    Elsewhere,
    Nowhere,
}

/// A copy for each kind of node; slot 1 is on its way away, 6000 on its way here.
fn ownership(node: Node) -> Ownership {
    let text = "a primary 4 0-5460, b primary 5 5461-16382";
    let mut bench = match node {
        Node::Primary => Bench::of(text),
        Node::Replica => Bench::of(&format!("r replica a, {text}")),
    };
    let other = bench.key('b');
    bench.machine.nodes.migrating.insert(slot(1), other);
    bench.machine.nodes.importing.insert(slot(6000), other);
    let mut ownership = bench.machine.ownership(1);
    ownership.is_ok = true;
    ownership
}

fn number(at: At) -> u16 {
    match at {
        At::Here => 0,
        At::Migrating => 1,
        At::Importing => 6000,
        At::Elsewhere => 7000,
        At::Nowhere => 16383,
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    node: Node,
    at: At,
    kind: Kind,
    writes: bool,
    several: bool,
    reads_replicas: bool,
    asks: bool,
    missing: Missing,
    is_ok: bool,
    reads_when_down: bool,
    pubsub_when_down: bool,
    has_bus: bool,
}

const CASE: Case = Case {
    node: Node::Primary,
    at: At::Here,
    kind: Kind::Plain,
    writes: false,
    several: false,
    reads_replicas: false,
    asks: false,
    missing: Missing::None,
    is_ok: true,
    reads_when_down: false,
    pubsub_when_down: true,
    has_bus: true,
};

impl Case {
    fn decided(self, copies: &[Ownership; 2]) -> String {
        let mut ownership = copies[usize::from(self.node == Node::Replica)].clone();
        ownership.is_ok = self.is_ok;
        ownership.allows_reads_when_down = self.reads_when_down;
        ownership.allows_pubsub_when_down = self.pubsub_when_down;
        ownership.has_bus = self.has_bus;
        let request = Request {
            keys: Keys::In(slot(number(self.at))),
            kind: self.kind,
            writes: self.writes,
            has_several_keys: self.several,
        };
        let asker = Asker { reads_replicas: self.reads_replicas, asks: self.asks };
        let outcome = decide(&request, asker, &ownership, || self.missing);
        let text = text(outcome, &ownership);
        text.unwrap_or_else(|| "run".to_string())
    }

    /// The rows of the table from 4 on, each by its own condition.
    fn rows(self) -> [(u8, bool, &'static str); 13] {
        let is_primary = self.node == Node::Primary;
        let mine = self.at == At::Here || self.at == At::Migrating;
        let migrates = self.at == At::Migrating && (is_primary || self.reads_replicas);
        let imports = self.at == At::Importing && (is_primary || self.reads_replicas);
        let open = migrates || imports;
        let pubsub = self.kind == Kind::PubSub;
        let down = !self.is_ok;
        let counted = if pubsub { Missing::None } else { self.missing };
        let some = counted == Missing::Some;
        let any = some || counted == Missing::All;
        let is_owner = is_primary && mine;
        let asked = imports && self.asks;
        let reads = if pubsub { self.has_bus } else { self.reads_replicas } && !self.writes;
        [
            (4, self.at == At::Nowhere, UNSERVED),
            (5, open && self.kind == Kind::BetweenDatabases, TRY_AGAIN),
            (6, down && pubsub && !self.pubsub_when_down, DOWN),
            (7, down && !pubsub && !self.reads_when_down, DOWN),
            (8, down && !pubsub && self.writes, READS_ONLY),
            (9, open && self.kind == Kind::Migrate && is_primary, "run"),
            (10, migrates && some, TRY_AGAIN),
            (11, migrates && counted == Missing::All, "ASK 1 10.0.0.98:7000"),
            (12, asked && self.several && any, TRY_AGAIN),
            (13, asked, "run"),
            (14, !is_primary && mine && reads, "run"),
            (15, !is_owner, "MOVED"),
            (16, true, "run"),
        ]
    }
}

fn copies() -> [Ownership; 2] {
    [ownership(Node::Primary), ownership(Node::Replica)]
}

/// The error of an outcome, without `-` and line end; `None` if the command runs.
fn text(outcome: Outcome, ownership: &Ownership) -> Option<String> {
    let error = outcome.error(ownership, Network::V4, Security::Plain)?;
    let mut line = Vec::new();
    error.write(&mut line);
    Some(String::from_utf8_lossy(&line[1..line.len() - 2]).into_owned())
}

#[test]
fn every_combination_meets_the_first_row_that_holds() {
    let copies = copies();
    let kinds = [Kind::Plain, Kind::PubSub, Kind::Migrate, Kind::BetweenDatabases];
    let places = [At::Here, At::Migrating, At::Importing, At::Elsewhere, At::Nowhere];
    let mut met = Vec::new();
    for bits in 0..512_u32 {
        let bit = |index: u32| bits >> index & 1 == 1;
        for kind in kinds {
            for at in places {
                for missing in [Missing::None, Missing::Some, Missing::All] {
                    let case = Case {
                        node: if bit(0) { Node::Primary } else { Node::Replica },
                        at,
                        kind,
                        writes: bit(1),
                        several: bit(2),
                        reads_replicas: bit(3),
                        asks: bit(4),
                        missing,
                        is_ok: bit(5),
                        reads_when_down: bit(6),
                        pubsub_when_down: bit(7),
                        has_bus: bit(8),
                    };
                    let first = case.rows().into_iter().find(|(_, holds, _)| *holds);
                    let (row, _, expected) = first.expect("the last row holds always");
                    let decided = case.decided(&copies);
                    let is_right = match expected {
                        "MOVED" => decided.starts_with("MOVED "),
                        expected => decided == expected,
                    };
                    assert!(is_right, "T-R {row}: {case:?}: {decided}");
                    met.push(row);
                }
            }
        }
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, (4..=16).collect::<Vec<u8>>());
}

const MIGRATING: Case = Case { at: At::Migrating, ..CASE };
const IMPORTING: Case = Case { at: At::Importing, asks: true, ..CASE };
const REPLICA: Case = Case { node: Node::Replica, ..CASE };
const BETWEEN: Case = Case { kind: Kind::BetweenDatabases, ..MIGRATING };
const FAILS: Case = Case { is_ok: false, ..CASE };
const CHANNEL: Case = Case { kind: Kind::PubSub, ..CASE };
/// A cluster that is down and lets clients read.
const READS: Case = Case { reads_when_down: true, ..FAILS };

/// The rows from 4 on.
const CASES: &[(&str, Case, &str)] = &[
    ("T-R 4", Case { at: At::Nowhere, ..CASE }, UNSERVED),
    ("T-R 5", BETWEEN, TRY_AGAIN),
    ("T-R 5: a replica", Case { node: Node::Replica, ..BETWEEN }, "MOVED 1 10.0.0.97:7000"),
    ("T-R 6", Case { is_ok: false, pubsub_when_down: false, ..CHANNEL }, DOWN),
    ("T-R 6: allowed", Case { is_ok: false, ..CHANNEL }, "run"),
    ("T-R 7", FAILS, DOWN),
    ("T-R 8", Case { writes: true, ..READS }, READS_ONLY),
    ("T-R 8: a read", READS, "run"),
    ("T-R 9", Case { kind: Kind::Migrate, missing: Missing::All, ..MIGRATING }, "run"),
    ("T-R 10", Case { missing: Missing::Some, ..MIGRATING }, TRY_AGAIN),
    ("T-R 11", Case { missing: Missing::All, ..MIGRATING }, "ASK 1 10.0.0.98:7000"),
    ("T-R 11: channels", Case { missing: Missing::All, kind: Kind::PubSub, ..MIGRATING }, "run"),
    ("T-R 11: at home", Case { missing: Missing::Unknown, ..MIGRATING }, "run"),
    ("T-R 12", Case { missing: Missing::All, several: true, ..IMPORTING }, TRY_AGAIN),
    ("T-R 13", Case { missing: Missing::All, ..IMPORTING }, "run"),
    ("T-R 13: not asked", Case { asks: false, ..IMPORTING }, "MOVED 6000 10.0.0.98:7000"),
    ("T-R 14", Case { reads_replicas: true, ..REPLICA }, "run"),
    (
        "T-R 14: a write",
        Case { reads_replicas: true, writes: true, ..REPLICA },
        "MOVED 0 10.0.0.97:7000",
    ),
    ("T-R 14: SPUBLISH", Case { kind: Kind::PubSub, ..REPLICA }, "run"),
    (
        "T-R 14: SPUBLISH without a bus",
        Case { kind: Kind::PubSub, has_bus: false, reads_replicas: true, ..REPLICA },
        "MOVED 0 10.0.0.97:7000",
    ),
    ("T-R 15", Case { at: At::Elsewhere, ..CASE }, "MOVED 7000 10.0.0.98:7000"),
    ("T-R 15: a replica", REPLICA, "MOVED 0 10.0.0.97:7000"),
    ("T-R 16", CASE, "run"),
];

#[test]
fn each_row_has_its_case() {
    let copies = copies();
    for (label, case, expected) in CASES {
        assert_eq!(case.decided(&copies), *expected, "{label}");
    }
    let request = |keys| Request { keys, kind: Kind::Plain, writes: true, has_several_keys: true };
    let none = || Missing::None;
    let [primary, _] = &copies;
    let decided = decide(&request(Keys::None), Asker::default(), primary, none);
    assert_eq!(decided, Outcome::Run, "T-R 1, 3");
    let decided = decide(&request(Keys::Apart), Asker::default(), primary, none);
    let text = text(decided, primary);
    let expected = "CROSSSLOT Keys in request don't hash to the same slot";
    assert_eq!(text.as_deref(), Some(expected), "T-R 2");
}

#[test]
fn missing_keys_are_counted_only_where_keys_are_on_their_way() {
    let [primary, _] = &copies();
    for (at, asks, counts) in [
        (At::Here, true, false),
        (At::Elsewhere, true, false),
        (At::Migrating, false, true),
        (At::Importing, true, true),
        (At::Importing, false, false),
    ] {
        let request = Request {
            keys: Keys::In(slot(number(at))),
            kind: Kind::Plain,
            writes: false,
            has_several_keys: false,
        };
        let asker = Asker { reads_replicas: false, asks };
        let mut counted = false;
        decide(&request, asker, primary, || {
            counted = true;
            Missing::None
        });
        assert_eq!(counted, counts, "{at:?}");
    }
}

#[test]
fn a_fenced_primary_refuses_writes_alone() {
    let mut bench =
        Bench::of("m primary 3 0-5460, a primary 4 5461-10922, b primary 5 10923-16383");
    bench.pass(10_000);
    bench.node_mut('a').health = Health::Failed(Moment(0));
    let mut ownership = bench.machine.ownership(1);
    ownership.is_ok = true;
    assert!(ownership.is_fenced, "7.4");
    for (number, writes, expected) in [(0, true, Outcome::Fenced), (0, false, Outcome::Run)] {
        let keys = Keys::In(slot(number));
        let request = Request { keys, kind: Kind::Plain, writes, has_several_keys: false };
        let decided = decide(&request, Asker::default(), &ownership, || Missing::None);
        assert_eq!(decided, expected, "7.4");
        let error = text(decided, &ownership);
        assert_eq!(error.as_deref(), writes.then_some("CLUSTERDOWN The cluster is down"));
    }
}

#[test]
fn a_command_that_waits_is_redirected_when_its_slot_is_no_longer_here() {
    let copies = copies();
    let check = |node: Node, at: At, reads: bool, writes: bool, is_ok: bool, expected: &str| {
        let mut ownership = copies[usize::from(node == Node::Replica)].clone();
        ownership.is_ok = is_ok;
        ownership.allows_reads_when_down = true;
        let asker = Asker { reads_replicas: reads, asks: false };
        let outcome = decide_waiting(slot(number(at)), writes, asker, &ownership);
        let text = text(outcome, &ownership);
        let text = text.unwrap_or_else(|| "waits".to_string());
        assert_eq!(text, expected, "{node:?} {at:?} {reads} {writes} {is_ok}");
    };
    let (primary, replica) = (Node::Primary, Node::Replica);
    check(primary, At::Here, false, true, true, "waits");
    check(primary, At::Migrating, false, true, true, "waits");
    check(primary, At::Importing, false, true, true, "waits");
    check(primary, At::Elsewhere, false, true, true, "MOVED 7000 10.0.0.98:7000");
    check(primary, At::Nowhere, false, true, true, UNSERVED);
    check(primary, At::Here, false, false, false, DOWN);
    check(primary, At::Nowhere, false, false, false, DOWN);
    check(replica, At::Here, false, false, true, "MOVED 0 10.0.0.97:7000");
    check(replica, At::Here, true, true, true, "MOVED 0 10.0.0.97:7000");
    check(replica, At::Here, true, false, true, "waits");
    check(replica, At::Migrating, true, false, true, "waits");
}
