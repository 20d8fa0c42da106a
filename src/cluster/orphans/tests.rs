//! Who goes to a primary without replicas, and when.

use super::*;
use crate::cluster::machine::bench::Bench;
use crate::cluster::machine::event::Event;
use crate::cluster::moment::Moment;
use crate::cluster::nodes::node::Health;

/// The bench is one of three replicas of `b`; `a` has none.
const SHARDS: &str = "m replica b, a primary 4 0-5460, b primary 5 5461-10922, \
                      c primary 6 10923-16383, n replica b, o replica b, p replica c";

fn orphan(bench: &mut Bench) {
    bench.node_mut('a').flags = bench.node('a').flags.with(Flags::MIGRATE_TO);
    bench.handle(Event::Tick);
    bench.machine.look_at_orphans();
}

/// Lets time pass while all nodes answer; true if the bench went to `a`.
fn goes(bench: &mut Bench, millis: u64) -> bool {
    let mut went = false;
    for _ in 0..millis / 100 {
        bench.pass(100);
        went |= bench.did("follow a Full");
        bench.answer_all();
    }
    went
}

#[test]
fn one_replica_of_the_richest_shard_goes_to_an_orphan() {
    let mut bench = Bench::of(SHARDS);
    orphan(&mut bench);
    assert!(!goes(&mut bench, 5000), "not before 5 s");
    assert!(goes(&mut bench, 300), "then it goes");
    assert_eq!(bench.node('m').role, Role::Replica(Some(bench.key('a'))));
}

#[test]
fn what_keeps_a_replica_where_it_is() {
    type Change = fn(&mut Bench);
    let cases: &[(&str, Change)] = &[
        ("nothing", |_| {}),
        ("it is switched off", |bench| bench.machine.settings.allows_migration = false),
        ("the barrier", |bench| bench.machine.settings.migration_barrier = 3),
        ("others of its shard are FAIL", |bench| {
            bench.node_mut('n').health = Health::Failed(Moment(0));
            bench.node_mut('o').health = Health::Failed(Moment(0));
        }),
        ("the orphan never had a replica", |bench| {
            bench.node_mut('a').flags = bench.node('a').flags.without(Flags::MIGRATE_TO);
        }),
        ("the orphan has a replica by now", |bench| {
            let primary = bench.key('a');
            let key = bench.key('o');
            bench.machine.nodes.set_replica(key, Some(primary));
        }),
        ("the cluster is down", |bench| {
            bench.node_mut('c').health = Health::Failed(bench.now().at);
            bench.machine.todo.state = true;
        }),
    ];
    for (label, change) in cases {
        let mut bench = Bench::of(SHARDS);
        orphan(&mut bench);
        let mut went = false;
        for _ in 0..60 {
            // What nodes answer would take some of the changes back.
            change(&mut bench);
            bench.pass(100);
            went |= bench.did("follow a Full");
            bench.answer_all();
        }
        assert_eq!(went, *label == "nothing", "{label}");
    }
    let mut bench = Bench::of(&SHARDS.replace("n replica b", "k replica b"));
    orphan(&mut bench);
    assert!(!goes(&mut bench, 6000), "another one has the smaller id");
    let mut bench = Bench::of(&format!("{SHARDS}, q replica c, r replica c, t replica c"));
    orphan(&mut bench);
    assert!(!goes(&mut bench, 6000), "another shard has more replicas");
}
