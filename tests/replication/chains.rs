//! Chains: a replica of a replica has the primary's stream, under its name and at its offsets. It
//! goes on where it was when links break, when the node between is killed, and when that becomes a
//! primary.

use std::thread;

use crate::client::Reply;
use crate::compare::assert_equal;
use crate::load::Load;
use crate::processes::{Server, setting};
use crate::proxy::{Proxy, Weather};
use crate::roles::text;
use crate::servers::Kind::{self, Keylane, Native, Redis70, Valkey91};
use crate::servers::{
    counter, describe, follow, info, is_native, until, wait_until_offsets_meet, wait_until_online,
};
use crate::{SEED, Tally, say, side_by_side};

/// Commands of each part of a load.
const COMMANDS: u64 = 1_500;
/// How often links are cut, unless `CUTS` says otherwise, and within how many bytes.
const CUTS: u64 = 6;
const LINK_BYTES: u64 = 60_000;

/// Primary, replica, and the replica's replica. The first row shows what Valkey does.
const BROKEN: &[[Kind; 3]] = &[
    [Valkey91, Valkey91, Valkey91],
    [Valkey91, Keylane(3), Valkey91],
    [Keylane(2), Valkey91, Keylane(3)],
    [Redis70, Keylane(2), Redis70],
    [Keylane(3), Keylane(2), Valkey91],
    [Keylane(1), Keylane(2), Keylane(3)],
    [Native(2), Native(3), Native(1)],
    [Native(3), Native(2), Native(3)],
    [Native(3), Native(2), Valkey91],
    [Native(2), Native(3), Keylane(2)],
    [Keylane(2), Native(3), Native(2)],
    [Native(2), Valkey91, Native(3)],
];

/// The same, of which the second is promoted.
const PROMOTED: &[[Kind; 3]] = &[
    [Valkey91, Valkey91, Valkey91],
    [Valkey91, Keylane(3), Valkey91],
    [Valkey91, Keylane(2), Keylane(1)],
    [Keylane(2), Keylane(3), Valkey91],
    [Keylane(2), Valkey91, Keylane(3)],
    [Keylane(1), Keylane(2), Keylane(3)],
    [Redis70, Keylane(2), Valkey91],
    [Native(2), Native(3), Native(1)],
    [Native(3), Native(2), Native(2)],
    [Native(3), Native(2), Valkey91],
    [Keylane(2), Native(3), Native(2)],
];

#[test]
fn a_chain_whose_links_break_goes_on_where_it_was() {
    play_all("broken chains", BROKEN, break_links);
}

#[test]
fn a_chain_whose_middle_is_killed_ends_equal() {
    play_all("chains without a middle", BROKEN, kill_the_middle);
}

#[test]
fn all_replicas_go_on_with_the_one_that_is_promoted() {
    play_all("promotions", PROMOTED, promote);
}

#[test]
fn a_chain_goes_with_its_middle_to_another_primary() {
    let mut rows = BROKEN.to_vec();
    // The sibling has another stream than the primary if it takes logs.
    rows.retain(|[first, middle, _]| !matches!(first, Native(_)) || matches!(middle, Native(_)));
    play_all("chains that move", &rows, move_middle);
}

#[test]
fn replicas_go_on_with_a_primary_that_followed_none_for_a_moment() {
    play_all("primaries that come back", PROMOTED, come_back);
}

fn play_all(name: &'static str, rows: &[[Kind; 3]], play: fn([Kind; 3])) {
    let mut tally = Tally::new(name);
    let mut rows = rows.to_vec();
    rows.retain(|kinds| tally.takes(kinds));
    side_by_side(rows, play);
    tally.tell();
}

/// Waits until all of a chain are at the same place of the same stream. Where logs come in and a
/// stream goes out, that is another one: which writes are in front of a place is the same.
pub fn assert_one_stream(servers: &[Server]) {
    let places = || -> Vec<[String; 2]> {
        let mut takes_logs = false;
        let mut id = String::new();
        let place = |server: &Server| {
            let mut fields = info(server, "replication");
            let took_logs = takes_logs;
            takes_logs = fields.contains_key("master_link_logs");
            let own = fields.remove("master_replid").expect("it is there");
            let is_other = took_logs && !takes_logs;
            let is_first = id.is_empty() || is_other;
            let seen = if is_first { own.clone() } else { std::mem::take(&mut id) };
            let offset = fields.remove("master_repl_offset").expect("it is there");
            let same = seen == own;
            id = own;
            [same.to_string(), offset]
        };
        servers.iter().map(place).collect()
    };
    let is_one = || {
        let places = places();
        places.iter().all(|place| *place == ["true".to_owned(), places[0][1].clone()])
    };
    until("all are at one place of one stream", is_one, || describe(servers));
}

/// A primary, a replica, and the replica's replica, with a proxy in front of each replica's
/// primary, and a load.
struct Scene {
    servers: Vec<Server>,
    proxies: Vec<Proxy>,
    load: Load,
}

impl Scene {
    fn new(kinds: [Kind; 3], options: &[&str]) -> Self {
        let start = |kind: &Kind| kind.start(options).expect("the tally found it");
        let servers: Vec<Server> = kinds.iter().map(start).collect();
        let seed = setting("SEED").unwrap_or(SEED);
        let proxy = |server: &Server| Proxy::start(&server.addr, seed).expect("a free port");
        let proxies: Vec<Proxy> = servers[..2].iter().map(proxy).collect();
        let load = Load::for_servers(seed, &kinds, &servers.iter().collect::<Vec<_>>());
        let mut scene = Self { servers, proxies, load };
        scene.write();
        for at in 1..3 {
            follow(&scene.servers[at], &scene.proxies[at - 1].address);
            wait_until_online(&scene.servers[at - 1], &scene.servers[at]);
        }
        scene
    }

    fn write(&mut self) {
        let part = self.load.begin(COMMANDS);
        self.load.send(part, &self.servers[0]);
    }

    fn full_syncs(&self) -> Vec<u64> {
        self.servers.iter().map(|server| counter(server, "stats", "sync_full")).collect()
    }

    fn assert_equal(&self) {
        for replica in &self.servers[1..] {
            assert_equal(&self.servers[0], replica, &self.load);
        }
        assert_one_stream(&self.servers);
    }

    fn name(&self) -> String {
        let names: Vec<&str> = self.servers.iter().map(|server| server.name.as_str()).collect();
        names.join(" -> ")
    }
}

fn break_links(kinds: [Kind; 3]) {
    let mut scene = Scene::new(kinds, &[]);
    let cuts = setting("CUTS").unwrap_or(CUTS);
    // Where each log has a connection, the first that is cut takes the others with it: a long entry
    // would hardly ever get through.
    let link_bytes = if let Native(_) = kinds[0] { 3 * LINK_BYTES } else { LINK_BYTES };
    for weather in [Weather::Cuts(link_bytes), Weather::HalfCloses(link_bytes)] {
        let goals: Vec<u64> = scene.proxies.iter().map(|proxy| proxy.ended() + cuts / 2).collect();
        scene.proxies.iter().for_each(|proxy| proxy.set(weather));
        let Scene { servers, proxies, load } = &mut scene;
        let offset = |server: &Server| counter(server, "replication", "master_repl_offset");
        let mut write = || {
            let is_behind = offset(&servers[2]) + link_bytes <= offset(&servers[0]);
            if !(is_native(&servers[0]) && is_behind) {
                let part = load.begin(COMMANDS);
                load.send(part, &servers[0]);
            }
            proxies.iter().zip(&goals).all(|(proxy, goal)| *goal <= proxy.ended())
        };
        until(&format!("{weather:?}"), &mut write, || describe(&*servers));
    }
    scene.proxies.iter().for_each(|proxy| proxy.set(Weather::Clear));
    scene.write();
    scene.assert_equal();
    assert_eq!(scene.full_syncs(), [1, 1, 0], "{}\n{}", scene.name(), describe(&scene.servers));
    let cuts: Vec<u64> = scene.proxies.iter().map(Proxy::ended).collect();
    say(&format!("{}: {cuts:?} cuts, and no second full sync", scene.name()));
}

impl Scene {
    /// A key whose time comes would have the primary write what not all have when they part.
    fn stop_expiry(&self) {
        let stopped = self.servers[0].client().call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        assert_eq!(text(stopped), "OK");
    }
}

fn kill_the_middle(kinds: [Kind; 3]) {
    let mut scene = Scene::new(kinds, &[]);
    let part = scene.load.begin(4 * COMMANDS);
    let Scene { servers, proxies, load } = &mut scene;
    let [primary, middle, _] = servers.as_mut_slice() else { panic!("there are three") };
    thread::scope(|scope| {
        let load = &*load;
        scope.spawn(|| load.send(part, primary));
        let before = counter(primary, "replication", "master_repl_offset");
        let is_written = || before + 20_000 < counter(primary, "replication", "master_repl_offset");
        until("the load has begun", is_written, || primary.output());
        middle.kill();
        middle.start_again();
        follow(middle, &proxies[0].address);
    });
    wait_until_online(&scene.servers[0], &scene.servers[1]);
    wait_until_online(&scene.servers[1], &scene.servers[2]);
    scene.write();
    scene.assert_equal();
    say(&format!("{}: the middle was killed, and all are equal", scene.name()));
}

/// First to a replica of the same primary, where the stream is the same; then to a primary that
/// has other keys.
fn move_middle(kinds: [Kind; 3]) {
    // A PING that only the middle has would part it from the sibling; silence ends no link.
    let no_pings = ["--repl-ping-replica-period", "3600", "--repl-timeout", "7200"];
    let mut scene = Scene::new(kinds, &no_pings);
    let start = |kind: Kind| kind.start(&no_pings).expect("the tally found it");
    let (sibling, other) = (start(kinds[0]), start(kinds[0]));
    follow(&sibling, &scene.servers[0].addr);
    wait_until_online(&scene.servers[0], &sibling);
    scene.write();
    scene.stop_expiry();
    // A replica that has more than the one that it asks gets everything again.
    wait_until_offsets_meet(&scene.servers[0], &sibling);
    let middle = &scene.servers[1];
    follow(middle, &sibling.addr);
    wait_until_online(&sibling, middle);
    scene.write();
    scene.assert_equal();
    // How many asked for all is not looked at: a replica that lost its primary may ask the one that
    // has taken that port.
    let resumed = counter(&sibling, "stats", "sync_partial_ok");
    assert_eq!(resumed, 1, "{}{}", sibling.output(), describe(&scene.servers));
    assert_eq!(counter(&scene.servers[1], "stats", "sync_full"), 1, "{}", scene.name());

    let part = scene.load.begin(COMMANDS);
    scene.load.send(part, &other);
    let [_, middle, last] = scene.servers.as_slice() else { panic!("there are three") };
    follow(middle, &other.addr);
    wait_until_online(&other, middle);
    wait_until_online(middle, last);
    let part = scene.load.begin(COMMANDS);
    scene.load.send(part, &other);
    for replica in [middle, last] {
        assert_equal(&other, replica, &scene.load);
    }
    scene.servers[0] = other;
    assert_one_stream(&scene.servers);
    say(&format!("{}: the middle went to two others, and the last with it", scene.name()));
}

/// No server listens where the primary looks for one.
fn come_back(kinds: [Kind; 3]) {
    let mut scene = Scene::new(kinds, &["--repl-ping-replica-period", "3600"]);
    scene.assert_equal();
    let before = scene.full_syncs();
    let mut client = scene.servers[0].client();
    for words in [["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]] {
        assert_eq!(text(client.call(&words)), "OK");
    }
    scene.write();
    scene.assert_equal();
    assert_eq!(scene.full_syncs(), before, "{}\n{}", scene.name(), describe(&scene.servers));
    say(&format!("{}: the first was a replica for a moment, and all go on", scene.name()));
}

/// The primary has a second replica, which follows the promoted one afterwards, as the primary
/// does.
fn promote(kinds: [Kind; 3]) {
    // A PING that only some have would part them; silence ends no link.
    let no_pings = ["--repl-ping-replica-period", "3600", "--repl-timeout", "7200"];
    let mut scene = Scene::new(kinds, &no_pings);
    let sibling = kinds[2].start(&no_pings).expect("the tally found it");
    follow(&sibling, &scene.servers[0].addr);
    wait_until_online(&scene.servers[0], &sibling);
    // So that the stream is in another database than at first.
    let mut client = scene.servers[0].client();
    assert_eq!(text(client.call(&["SELECT", "3"])), "OK");
    assert_eq!(text(client.call(&["SET", "in-3", "1"])), "OK");
    scene.write();
    assert_eq!(text(client.call(&["SET", "in-3", "2"])), "OK");
    scene.assert_equal();
    scene.stop_expiry();
    // All have what the primary asks for behind the last write, too.
    for replica in [&scene.servers[1], &scene.servers[2], &sibling] {
        wait_until_offsets_meet(&scene.servers[0], replica);
    }

    let place = |server: &Server, names: [&str; 2]| {
        let mut fields = info(server, "replication");
        names.map(|name| fields.remove(name).expect("it is there"))
    };
    let [id, offset] = place(&scene.servers[1], ["master_replid", "master_repl_offset"]);
    let before = scene.full_syncs();
    let promoted = &scene.servers[1];
    let mut client = promoted.client();
    assert_eq!(text(client.call(&["REPLICAOF", "NO", "ONE"])), "OK");
    assert_eq!(text(client.call(&["SET", "promoted", "1"])), "OK");
    let former = place(promoted, ["master_replid2", "second_repl_offset"]);
    let next = offset.parse::<u64>().expect("a number") + 1;
    assert_eq!(former, [id, next.to_string()], "{}", promoted.name);
    // The sibling first: it may ask again when the former primary has another stream, and know the
    // new one by then.
    for replica in [&sibling, &scene.servers[0]] {
        follow(replica, &promoted.addr);
        wait_until_online(promoted, replica);
    }
    wait_until_online(promoted, &scene.servers[2]);
    let replies = ["4", "0"].map(|db| {
        assert_eq!(text(client.call(&["SELECT", db])), "OK");
        text(client.call(&["SET", "promoted", "2"]))
    });
    assert_eq!(replies, ["OK", "OK"]);
    for replica in [&scene.servers[0], &scene.servers[2], &sibling] {
        assert_equal(promoted, replica, &scene.load);
    }
    assert_one_stream(&scene.servers);
    // The promoted one took logs, and made another stream of them than the sibling had.
    let is_other = is_native(promoted) && is_native(&scene.servers[0]) && !is_native(&sibling);
    let expected = vec![before[0], before[1] + u64::from(is_other), before[2]];
    assert_eq!(scene.full_syncs(), expected, "{}\n{}", scene.name(), describe(&scene.servers));
    let reply = sibling.client().call(&["GET", "promoted"]);
    assert!(matches!(&reply, Ok(Reply::Bulk(value)) if value == b"2"), "{reply:?}");
    say(&format!("{}: the second was promoted, and all three others go on", scene.name()));
}
