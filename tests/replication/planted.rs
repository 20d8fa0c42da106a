//! Whether a difference that is planted at a replica is found, and nothing else.

use crate::client::{Client, Reply};
use crate::compare::{assert_equal, digest, first_difference, keys};
use crate::load::Load;
use crate::matrix::{PAIRS, Pair};
use crate::processes::Server;
use crate::servers::{Kind, follow, until, wait_until_online};
use crate::{SEED, say};

/// What the primary writes, what is then changed at the replica, and where that shows. Commands
/// are parted by semicolons; what one of the servers does not know is left out.
const PLANTED: &[(&str, &str, &str)] = &[
    ("SET planted v", "SET planted w", "GET"),
    ("SET planted v", "DEL planted", "EXISTS"),
    ("SET planted v", "EXPIRE planted 1000", "PEXPIRETIME"),
    ("SET planted v PXAT 4000000000000", "PEXPIREAT planted 4000000000001", "PEXPIRETIME"),
    ("SET planted v", "DEL planted; RPUSH planted v", "TYPE"),
    ("RPUSH planted a b c", "LMOVE planted planted LEFT RIGHT", "LRANGE"),
    ("SADD planted a b c", "SREM planted b; SADD planted d", "SMEMBERS"),
    ("ZADD planted 1 a 2 b", "ZADD planted 1.0000000000000002 a", "ZRANGE"),
    ("HSET planted f v g w", "HSET planted g v", "HGETALL"),
    (
        "HSET planted f v; HPEXPIREAT planted 4000000000000 FIELDS 1 f",
        "HPEXPIREAT planted 4000000000001 FIELDS 1 f",
        "HPEXPIRETIME",
    ),
    ("XADD planted 1-1 f v", "XSETID planted 1-2", "XINFO STREAM"),
    ("XADD planted 1-1 f v; XGROUP CREATE planted g 0", "XGROUP SETID planted g 1", "XINFO STREAM"),
    (
        "XADD planted 1-1 f v; XGROUP CREATE planted g 0; XREADGROUP GROUP g c STREAMS planted >",
        "XCLAIM planted g c 0 1-1 RETRYCOUNT 5 TIME 1",
        "XINFO STREAM",
    ),
];

/// Commands that are there besides.
const COMMANDS: u64 = 2_000;
/// The database that is changed.
const DB: usize = 3;

#[test]
fn a_key_that_is_changed_at_the_replica_is_found() {
    let played = |pair: &&Pair| {
        let both = [pair.primary, pair.replica];
        // One that is always here and one that holds all there is.
        [Kind::Valkey91, Kind::Redis70].contains(&pair.primary)
            && pair.primary == pair.replica
            && both.iter().all(|kind| kind.program().is_some())
    };
    for pair in PAIRS.iter().filter(played) {
        let [primary, replica] = [pair.primary, pair.replica]
            .map(|kind| kind.start(&["--replica-read-only", "no"]).expect("it is here"));
        let mut load =
            Load::for_servers(SEED, &[pair.primary, pair.replica], &[&primary, &replica]);
        let part = load.begin(COMMANDS);
        load.send(part, &primary);
        follow(&replica, &primary.addr);
        wait_until_online(&primary, &replica);
        let [mut above, mut below] = [&primary, &replica].map(selected);
        let mut found = 0;
        for (written, changed, aspect) in PLANTED {
            let known = plant(&mut above, written);
            assert_equal(&primary, &replica, &load);
            if known {
                plant(&mut below, changed);
                // Another key may expire between the looks at the one and at the other.
                let is_found = || {
                    first_difference(&primary, &replica).is_some_and(|found| {
                        (found.db, found.key.as_slice(), found.aspect) == (DB, b"planted", *aspect)
                    })
                };
                until(changed, is_found, || format!("{:?}", first_difference(&primary, &replica)));
                found += 1;
            }
            plant(&mut below, "DEL planted");
            plant(&mut above, "DEL planted");
        }
        let equal = digest(&primary) == digest(&replica);
        assert!(equal, "what was planted is gone");
        say(&format!("{}: {found} planted differences are found", primary.name));
    }
}

#[test]
fn a_server_equals_itself() {
    let kinds = [Kind::Valkey91, Kind::Redis70, Kind::Keylane(3)];
    for kind in kinds.into_iter().filter(|kind| kind.program().is_some()) {
        let server = kind.start(&[]).expect("it is here");
        let mut load = Load::for_servers(SEED, &[kind], &[&server]);
        let part = load.begin(COMMANDS);
        load.send(part, &server);
        // Keys may expire between two looks.
        let equal = || first_difference(&server, &server).is_none();
        until("a server equals itself", equal, || server.output());
        let keys = keys(&server);
        assert!(0 < keys, "{}", server.name);
        say(&format!("{}: {}; {keys} keys equal themselves", server.name, load.summary()));
    }
}

fn selected(server: &Server) -> Client {
    let mut client = server.client();
    let reply = client.call(&["SELECT", &DB.to_string()]);
    assert!(matches!(reply, Ok(Reply::Simple(_))), "{reply:?}");
    client
}

/// Sends these commands; whether the server knows them.
fn plant(client: &mut Client, commands: &str) -> bool {
    commands.split("; ").all(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = client.call(&words).expect("the server answers");
        let text = reply.head();
        let unknown = text.contains("unknown command");
        assert!(unknown || !text.starts_with('-'), "{line}: {text}");
        !unknown
    })
}
