//! Where requests run in a cluster, as clients see it.

use shards::base::slot::Slot;

use super::{Rig, Seat, ownership};
use crate::cluster::machine::bench::{Bench, id};
use crate::cluster::machine::event::{Command, SetSlot};
use crate::cluster::machine::settings::Settings;
use crate::cluster::ownership::Ownership;

/// This node has the first half of the slots: `b` 3300 and `c` 7365, not `a` 15495 and `d` 11298.
const HALF: &str = "m primary 3 0-8191, a primary 4 8192-16383";
/// The same without a slot: such a cluster is down.
const UNCOVERED: &str = "m primary 3 0-8191, a primary 4 8192-16382";
const MOVED: &str = "-MOVED 15495 10.0.0.97:7000";
const CROSSSLOT: &str = "-CROSSSLOT Keys in request don't hash to the same slot";
const UNSERVED: &str = "-CLUSTERDOWN Hash slot not served";
const DOWN: &str = "-CLUSTERDOWN The cluster is down";
const TRY_AGAIN: &str = "-TRYAGAIN Multiple keys request during rehashing of slot";

/// The slot of `b` on its way to the other node, and that of `a` on its way here.
fn open() -> Ownership {
    let mut bench = Bench::of(HALF);
    bench.ask(Command::SetSlot(Slot::of(b"b"), SetSlot::Migrating(id('a'))));
    bench.ask(Command::SetSlot(Slot::of(b"a"), SetSlot::Importing(id('a'))));
    let mut ownership = bench.machine.ownership(1);
    ownership.is_ok = true;
    ownership
}

/// Runs conversations of one client on one shard and on three, wherever its home is.
fn check(ownership: &Ownership, talks: &[&[(&str, &str)]]) {
    for (shards, home) in [(1, 0), (3, 0), (3, 1), (3, 2)] {
        for talk in talks {
            let mut rig = Rig::new(shards, ownership.clone());
            let seat = rig.client(home);
            for (line, expected) in *talk {
                assert_eq!(rig.call(seat, &[line]), *expected, "{line}, {shards} shards, {home}");
            }
            // The same in one pipeline.
            let mut rig = Rig::new(shards, ownership.clone());
            let seat = rig.client(home);
            let lines: Vec<&str> = talk.iter().map(|(line, _)| *line).collect();
            let replies: Vec<&str> = talk.iter().map(|(_, reply)| *reply).collect();
            assert_eq!(rig.call(seat, &lines), replies.join(" "), "{lines:?}, {shards}, {home}");
        }
    }
}

#[test]
fn commands_run_where_their_slot_is() {
    check(
        &ownership(HALF),
        &[
            &[("GET a", MOVED), ("GET b", "$-1"), ("SET c 1", "+OK"), ("GET c", "$1 1")],
            &[("SET a 1", MOVED), ("DEL a", MOVED), ("PING", "+PONG"), ("OBJECT FREQ a", MOVED)],
            &[("MGET a b", CROSSSLOT), ("MSET b 1 c 2", CROSSSLOT), ("DEL b c", CROSSSLOT)],
            &[("MGET a {a}b", MOVED), ("MSET b 1 {b}c 2", "+OK"), ("MGET {b}c b", "*2 $1 2 $1 1")],
            &[("RENAME b c", CROSSSLOT), ("SINTERSTORE b {b}c {b}d", ":0")],
            // Arity comes before, memory and roles come behind.
            &[("GET a b", "-ERR wrong number of arguments for 'get' command"), ("GET a", MOVED)],
            &[
                ("DEBUG OBJECT a", "-ERR no such key"),
                ("DBSIZE", ":0"),
                ("KEYS *", "*0"),
                ("FLUSHDB", "+OK"),
                ("SELECT 4", SELECT),
            ],
            &[
                ("SELECT 3", "+OK"),
                ("SET b 1", "+OK"),
                ("MOVE b 2", ":1"),
                ("COPY b {b}c DB 1", ":0"),
            ],
            &[("SWAPDB 0 1", "-ERR SWAPDB is not allowed in cluster mode"), ("SORT b BY x*", SORT)],
            &[
                ("RPUSH b 2 1", ":2"),
                ("SORT b BY {b}*", "*2 $1 1 $1 2"),
                ("SORT b BY nosort", "*2 $1 2 $1 1"),
            ],
        ],
    );
}

const SELECT: &str = "-ERR DB index is out of range";
const SORT: &str = "-ERR BY option of SORT denied in Cluster mode when keys formed by the pattern \
                    may be in different slots.";

#[test]
fn slots_without_owner_and_clusters_that_are_down_are_refused() {
    let unbound = ownership("m primary 3 0-8191, a primary 4 8192-15000");
    check(&unbound, &[&[("GET a", UNSERVED), ("GET b", "$-1"), ("SSUBSCRIBE a", UNSERVED)]]);
    let down = |settings| Bench::with(UNCOVERED, settings).machine.ownership(1);
    check(
        &down(Settings::default()),
        &[
            &[("GET a", DOWN), ("GET b", DOWN), ("SET b 1", DOWN), ("PING", "+PONG")],
            &[("MGET a b", CROSSSLOT), ("DBSIZE", ":0"), ("SPUBLISH b m", ":0")],
            &[("MULTI", "+OK"), ("GET b", DOWN), ("EXEC", ABORTED)],
        ],
    );
    let settings = Settings {
        allows_reads_when_down: true,
        allows_pubsub_when_down: false,
        ..Settings::default()
    };
    let writes = "-CLUSTERDOWN The cluster is down and only accepts read commands";
    check(
        &down(settings),
        &[
            &[("GET a", MOVED), ("GET b", "$-1"), ("SET b 1", writes), ("SPUBLISH b m", DOWN)],
            &[("MULTI", "+OK"), ("GET b", "+QUEUED"), ("EXEC", "*1 $-1")],
        ],
    );
}

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";

#[test]
fn transactions_are_of_one_slot() {
    check(
        &ownership(HALF),
        &[
            &[
                ("MULTI", "+OK"),
                ("SET b 1", "+QUEUED"),
                ("GET b", "+QUEUED"),
                ("EXEC", "*2 +OK $1 1"),
            ],
            &[
                ("MULTI", "+OK"),
                ("SET b 1", "+QUEUED"),
                ("SET c 1", "+QUEUED"),
                ("EXEC", CROSSSLOT),
            ],
            &[("MULTI", "+OK"), ("GET a", MOVED), ("SET b 1", "+QUEUED"), ("EXEC", ABORTED)],
            &[("MULTI", "+OK"), ("MGET b c", CROSSSLOT), ("EXEC", ABORTED), ("GET b", "$-1")],
            &[
                ("MULTI", "+OK"),
                ("PING", "+QUEUED"),
                ("DBSIZE", "+QUEUED"),
                ("EXEC", "*2 +PONG :0"),
            ],
            &[
                ("MULTI", "+OK"),
                ("SET b 1", "+QUEUED"),
                ("FLUSHDB", "+QUEUED"),
                ("EXEC", "*2 +OK +OK"),
            ],
            // What is watched may be of several slots, and is looked at first.
            &[
                ("WATCH a", MOVED),
                ("WATCH b c", CROSSSLOT),
                ("WATCH b", "+OK"),
                ("WATCH c", "+OK"),
                ("MULTI", "+OK"),
                ("SET b 1", "+QUEUED"),
                ("EXEC", "*1 +OK"),
            ],
            &[
                ("WATCH b", "+OK"),
                ("SET b 1", "+OK"),
                ("MULTI", "+OK"),
                ("SET b 2", "+QUEUED"),
                ("SET c 2", "+QUEUED"),
                ("EXEC", "*-1"),
                ("GET b", "$1 1"),
            ],
            &[
                ("WATCH b", "+OK"),
                ("MULTI", "+OK"),
                ("SET b 2", "+QUEUED"),
                ("SET c 2", "+QUEUED"),
                ("EXEC", CROSSSLOT),
                ("SET b 3", "+OK"),
                ("MULTI", "+OK"),
                ("EXEC", "*0"),
            ],
        ],
    );
}

#[test]
fn keys_on_their_way_are_looked_for() {
    let ask = "-ASK 3300 10.0.0.97:7000";
    check(
        &open(),
        &[
            &[("GET b", ask), ("SET b 1", ask), ("MGET b {b}c", ask), ("WATCH b", ask)],
            &[("MULTI", "+OK"), ("SET b 1", "+QUEUED"), ("EXEC", ask), ("PING", "+PONG")],
            &[("GET a", MOVED), ("ASKING", "+OK"), ("GET a", "$-1"), ("GET a", MOVED)],
            &[
                ("ASKING", "+OK"),
                ("SET a 1", "+OK"),
                ("ASKING", "+OK"),
                ("PING", "+PONG"),
                ("GET a", MOVED),
            ],
            &[
                ("ASKING", "+OK"),
                ("MGET a {a}b", TRY_AGAIN),
                ("ASKING", "+OK"),
                ("MSET a 1 {a}b 2", TRY_AGAIN),
            ],
            &[
                ("ASKING", "+OK"),
                ("MULTI", "+OK"),
                ("SET a 1", "+QUEUED"),
                ("GET a", "+QUEUED"),
                ("EXEC", "*2 +OK $1 1"),
                ("GET a", MOVED),
            ],
            &[("MULTI", "+OK"), ("ASKING", "+QUEUED"), ("EXEC", "*1 +OK"), ("GET a", MOVED)],
            &[("ASKING", "+OK"), ("RESET", "+RESET"), ("GET a", MOVED)],
            &[("SSUBSCRIBE b", "*3 $10 ssubscribe $1 b :1"), ("GET b", LISTENS)],
        ],
    );
    for shards in [1, 3] {
        let mut rig = Rig::new(shards, ownership(HALF));
        let seat = rig.client(usize::from(shards) - 1);
        rig.call(seat, &["SET b 1", "SET {b}e 1", "PEXPIREAT {b}e 1000001"]);
        rig.tell_all(&open());
        for (line, expected) in [
            ("GET b", "$1 1"),
            ("GET {b}c", ask),
            ("MGET b {b}c", TRY_AGAIN),
            ("MGET b {b}e", "*2 $1 1 $1 1"),
            ("MOVE b 1", TRY_AGAIN),
            ("COPY b {b}c DB 1", TRY_AGAIN),
            ("COPY b {b}c DB 0", TRY_AGAIN),
            ("MULTI", "+OK"),
            ("SELECT 1", "+QUEUED"),
            ("GET b", "+QUEUED"),
            ("EXEC", ask),
            ("SELECT 1", "+OK"),
            ("GET b", ask),
        ] {
            assert_eq!(rig.call(seat, &[line]), expected, "{line}, {shards} shards");
        }
    }
}

const LISTENS: &str = "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / \
                       QUIT / RESET are allowed in this context";

#[test]
fn replicas_are_read_by_clients_that_say_so() {
    let replica = ownership("r replica m, m primary 3 0-8191, a primary 4 8192-16383");
    let moved = "-MOVED 3300 10.0.0.109:7000";
    check(
        &replica,
        &[
            &[
                ("GET b", moved),
                ("READONLY", "+OK"),
                ("GET b", "$-1"),
                ("GET a", MOVED),
                ("SET b 1", moved),
            ],
            &[
                ("READONLY", "+OK"),
                ("MULTI", "+OK"),
                ("GET b", "+QUEUED"),
                ("EXEC", "*1 $-1"),
                ("WATCH b", "+OK"),
            ],
            &[("READONLY", "+OK"), ("READWRITE", "+OK"), ("GET b", moved), ("SPUBLISH b m", ":0")],
            &[("READONLY", "+OK"), ("RESET", "+RESET"), ("GET b", moved)],
            &[("READONLY", "+OK"), ("MGET b {b}c", "*2 $-1 $-1"), ("MSET b 1 {b}c 1", moved)],
        ],
    );
}

/// The shard that has the slot of `b`, and another one that is the home of clients.
const OWNER: usize = 0;
const HOME: usize = 2;

fn three() -> (Rig, Seat) {
    let mut rig = Rig::new(3, ownership(HALF));
    assert_eq!(rig.cores[0].node.slots.owner_of(Slot::of(b"b")), 0);
    let seat = rig.client(HOME);
    (rig, seat)
}

/// The slot of `b` is at the other node, and nothing else.
const WITHOUT_ONE: &str = "m primary 3 0-3299 3301-8191, a primary 4 3300 8192-16383";
/// The slot of `b` is at the other node, with others.
const WITHOUT: &str = "m primary 3 0-3000, a primary 4 3001-16383";
const GONE: &str = "-MOVED 3300 10.0.0.97:7000";

#[test]
fn the_shard_of_the_slot_has_the_last_word() {
    for (lines, expected) in [
        (&["GET b"][..], GONE.to_string()),
        (&["SET b 2"], GONE.to_string()),
        (&["MSET b 2 {b}c 2"], GONE.to_string()),
        // A round over all shards.
        (
            &["GET b", "GET c", "GET b", "GET {c}x", "GET b", "GET c"],
            format!("{GONE} $-1 {GONE} $-1 {GONE} $-1"),
        ),
        (
            &["SET b 2", "SET c 2", "SET b 2", "SET {c} 2", "SET b 2"],
            format!("{GONE} +OK {GONE} +OK {GONE}"),
        ),
        (&["MULTI", "SET b 2", "GET b", "EXEC"], format!("+OK +QUEUED +QUEUED {GONE}")),
        (&["MULTI", "SET b 2", "SELECT 0", "EXEC"], format!("+OK +QUEUED +QUEUED {GONE}")),
        (&["WATCH b", "MULTI", "SET b 2", "EXEC"], format!("{GONE} +OK +QUEUED {GONE}")),
        (&["WATCH c", "MULTI", "SET b 2", "EXEC"], format!("+OK +OK +QUEUED {GONE}")),
        (&["BLPOP b 0"], GONE.to_string()),
    ] {
        let (mut rig, seat) = three();
        // The home does not know it yet.
        rig.tell(&[OWNER], &ownership(WITHOUT));
        rig.turn(OWNER);
        assert_eq!(rig.call(seat, lines), expected, "{lines:?}");
    }
}

#[test]
fn a_slot_is_gone_when_all_that_was_under_way_is_done() {
    let (mut rig, seat) = three();
    let queued = rig.call(seat, &["MULTI", "SET b 1", "FLUSHDB", "SET b 2"]);
    assert_eq!(queued, "+OK +QUEUED +QUEUED +QUEUED");
    // A turn takes one request at least, and more if there is time.
    rig.send(seat, &["EXEC"]);
    rig.turn(HOME);
    rig.turn(OWNER);
    rig.tell(&[0, 1, 2], &ownership(WITHOUT));
    rig.turn(OWNER);
    rig.turn(HOME);
    assert!(rig.answers < 3, "the databases are still on loan");
    rig.settle();
    assert_eq!(rig.answers, 3);
    assert_eq!(rig.replies(seat), "*3 +OK +OK +OK");
    assert_eq!(rig.call(seat, &["GET b"]), GONE);
}

#[test]
fn clients_that_wait_go_where_their_slot_goes() {
    for home in [OWNER, HOME] {
        let (mut rig, _) = three();
        let (stays, goes) = (rig.client(home), rig.client(home));
        rig.call(stays, &["BLPOP c 0"]);
        rig.call(goes, &["BLMOVE b {b}c LEFT LEFT 0", "PING"]);
        rig.tell_all(&ownership(WITHOUT_ONE));
        assert_eq!(rig.replies(goes), format!("{GONE} +PONG"));
        // Those of a cluster that is down all go, and stay connected.
        rig.tell_all(&Bench::of(UNCOVERED).machine.ownership(1));
        assert_eq!(rig.replies(stays), DOWN);
        assert_eq!(rig.call(stays, &["PING"]), "+PONG");
    }
}

#[test]
fn shard_channels_leave_with_their_slots() {
    let (mut rig, seat) = three();
    let other = rig.client(1);
    let subscribed = "*3 $10 ssubscribe $1 b :1 *3 $10 ssubscribe $1 c :2";
    assert_eq!(rig.call(seat, &["SSUBSCRIBE b", "SSUBSCRIBE c"]), subscribed);
    assert_eq!(rig.call(other, &["SPUBLISH b m"]), ":1");
    assert_eq!(rig.replies(seat), "*3 $8 smessage $1 b $1 m");
    rig.tell_all(&ownership(WITHOUT_ONE));
    assert_eq!(rig.replies(seat), "*3 $12 sunsubscribe $1 b :1");
    assert_eq!(rig.call(other, &["SPUBLISH b m", "SPUBLISH c m"]), format!("{GONE} :1"));
    assert_eq!(rig.replies(seat), "*3 $8 smessage $1 c $1 m");
    rig.tell_all(&ownership("m primary 3 0-3299, a primary 4 3300-16383"));
    assert_eq!(rig.replies(seat), "*3 $12 sunsubscribe $1 c :0");
    assert_eq!(rig.call(seat, &["GET {06S}"]), "$-1", "it listens to nothing any more");
}
