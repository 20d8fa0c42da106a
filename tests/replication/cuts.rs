//! Links that are ill-treated: the replica goes on where it was, without another full sync, and
//! ends equal; and a snapshot that breaks off is begun again.

use std::time::Duration;

use shards::base::random::Random;

use crate::client::Reply;
use crate::compare::assert_equal;
use crate::load::Load;
use crate::matrix::{ILL_TREATED, Pair};
use crate::processes::{Server, setting};
use crate::proxy::{Proxy, Weather};
use crate::servers::{Kind, counter, describe, follow, until, wait_until_online};
use crate::{SEED, Tally, say, side_by_side};

/// How often a link is cut, and how often half-closed, unless `CUTS` says otherwise.
const CUTS: u64 = 3;
/// Commands between two looks at the link.
const STRIDE: u64 = 400;
/// A link is cut within so many bytes.
const LINK_BYTES: u64 = 60_000;
/// How far a replica is behind at most: much less than what is kept for it.
const BEHIND_BYTES_MAX: u64 = 16_000_000;
/// Snapshots that are cut.
const SNAPSHOTS: u64 = 2;
/// Values that make a snapshot so large that cuts hit its middle, and how large they are.
const VALUES: usize = 2_000;
const VALUE_BYTES: usize = 1_000;

/// Values that no backlog of a small setting keeps, however many shards share it.
const LARGE_VALUES: usize = 40;
const LARGE_BYTES: usize = 500_000;

#[test]
fn a_link_that_breaks_goes_on_where_it_was() {
    play_all("broken links", ill_treat);
}

#[test]
fn a_snapshot_that_breaks_off_begins_again() {
    play_all("broken snapshots", break_snapshots);
}

#[test]
fn a_link_that_was_down_for_too_much_gets_a_full_sync() {
    play_all("links down for long", keep_down);
}

#[test]
fn a_burst_longer_than_the_backlog_breaks_no_link() {
    play_all("bursts", burst);
}

fn play_all(name: &'static str, play: fn(&Pair)) {
    let mut tally = Tally::new(name);
    let mut rows: Vec<&Pair> = ILL_TREATED.iter().collect();
    rows.retain(|pair| tally.takes(&[pair.primary, pair.replica]));
    side_by_side(rows, play);
    tally.tell();
}

/// A primary, a replica that does not follow yet, the proxy between them, and a load.
struct Scene {
    primary: Server,
    replica: Server,
    proxy: Proxy,
    load: Load,
}

impl Scene {
    fn new(kinds: [Kind; 2], options: &[&str]) -> Self {
        let start = |kind: Kind| kind.start(options).expect("the tally found it");
        let [primary, replica] = kinds.map(start);
        let seed = setting("SEED").unwrap_or(SEED);
        let proxy = Proxy::start(&primary.addr, seed).expect("there is a free port");
        let load = Load::for_servers(seed, &kinds, &[&primary, &replica]);
        Self { primary, replica, proxy, load }
    }

    fn write(&mut self) {
        let part = self.load.begin(STRIDE);
        self.load.send(part, &self.primary);
    }

    /// Writes so many values of so many bytes that cannot be made small.
    fn fill(&self, count: usize, bytes: usize) {
        let (mut client, mut random) = (self.primary.client(), Random::new(SEED));
        for number in 0..count {
            let value: Vec<u8> = (0..bytes).map(|_| random.bits().to_le_bytes()[0]).collect();
            let key = format!("large:{number}");
            let reply = client.call(&[&b"SET"[..], key.as_bytes(), &value]);
            assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
        }
    }

    fn full_syncs(&self) -> u64 {
        counter(&self.primary, "stats", "sync_full")
    }

    fn describe(&self) -> String {
        describe([&self.primary, &self.replica])
    }

    fn name(&self) -> String {
        format!("{} -> {}", self.primary.name, self.replica.name)
    }
}

fn ill_treat(pair: &Pair) {
    let mut scene = Scene::new([pair.primary, pair.replica], &[]);
    scene.write();
    follow(&scene.replica, &scene.proxy.address);
    wait_until_online(&scene.primary, &scene.replica);
    let cuts = setting("CUTS").unwrap_or(CUTS);
    for weather in [Weather::Cuts(LINK_BYTES), Weather::HalfCloses(LINK_BYTES)] {
        scene.proxy.set(weather);
        let before = scene.proxy.ended();
        for goal in before + 1..=before + cuts {
            let what = format!("{weather:?}: cut {goal}");
            let mut write = || {
                let offset = |server: &Server| counter(server, "replication", "master_repl_offset");
                if offset(&scene.primary) < offset(&scene.replica) + BEHIND_BYTES_MAX {
                    scene.write();
                }
                goal <= scene.proxy.ended()
            };
            until(&what, &mut write, String::new);
        }
    }
    // So short of what a link takes for the other side's end that none need break.
    for weather in [
        Weather::Freeze,
        Weather::Delay(Duration::from_millis(3)),
        Weather::Throttle(400_000),
        Weather::Clear,
    ] {
        scene.proxy.set(weather);
        scene.write();
    }
    assert_equal(&scene.primary, &scene.replica, &scene.load);
    let (ended, resumed) =
        (scene.proxy.ended(), counter(&scene.primary, "stats", "sync_partial_ok"));
    assert_eq!(scene.full_syncs(), 1, "{}: {}", scene.name(), scene.describe());
    assert!(0 < resumed, "{}: {}", scene.name(), scene.describe());
    say(&format!(
        "{}: {}; {ended} cuts, {resumed} partial syncs and no second full one",
        scene.name(),
        scene.load.summary()
    ));
}

fn break_snapshots(pair: &Pair) {
    let mut scene = Scene::new([pair.primary, pair.replica], &[]);
    scene.fill(VALUES, VALUE_BYTES);
    let snapshot_bytes = (VALUES * VALUE_BYTES) as u64;
    scene.proxy.set(Weather::Cuts(snapshot_bytes));
    follow(&scene.replica, &scene.proxy.address);
    until("snapshots are cut", || SNAPSHOTS <= scene.proxy.ended(), || scene.describe());
    scene.proxy.set(Weather::Clear);
    // The next snapshot is under way meanwhile.
    scene.write();
    wait_until_online(&scene.primary, &scene.replica);
    scene.write();
    assert_equal(&scene.primary, &scene.replica, &scene.load);
    say(&format!(
        "{}: {} cuts, {} full syncs, then equal",
        scene.name(),
        scene.proxy.ended(),
        scene.full_syncs()
    ));
}

fn keep_down(pair: &Pair) {
    let small = ["--repl-backlog-size", "16kb"];
    let mut scene = Scene::new([pair.primary, pair.replica], &small);
    scene.write();
    follow(&scene.replica, &scene.proxy.address);
    wait_until_online(&scene.primary, &scene.replica);
    let before = scene.proxy.ended();
    scene.proxy.set(Weather::Cuts(0));
    until("the link is cut", || before < scene.proxy.ended(), || scene.describe());
    scene.fill(LARGE_VALUES, LARGE_BYTES);
    scene.proxy.set(Weather::Clear);
    wait_until_online(&scene.primary, &scene.replica);
    scene.write();
    assert_equal(&scene.primary, &scene.replica, &scene.load);
    assert_eq!(scene.full_syncs(), 2, "{}: {}", scene.name(), scene.describe());
    say(&format!("{}: a second full sync, as there must be, then equal", scene.name()));
}

fn burst(pair: &Pair) {
    let small = ["--repl-backlog-size", "16kb"];
    let mut scene = Scene::new([pair.primary, pair.replica], &small);
    follow(&scene.replica, &scene.proxy.address);
    wait_until_online(&scene.primary, &scene.replica);
    let limit = ["CONFIG", "SET", "proto-max-bulk-len", "512mb"];
    let raised = scene.primary.client().call(&limit);
    assert!(matches!(raised, Ok(Reply::Simple(_))), "{raised:?}");
    scene.fill(LARGE_VALUES, LARGE_BYTES);
    scene.fill(1, LARGE_VALUES * LARGE_BYTES);
    scene.write();
    assert_equal(&scene.primary, &scene.replica, &scene.load);
    assert_eq!(scene.full_syncs(), 1, "{}: {}", scene.name(), scene.describe());
}
