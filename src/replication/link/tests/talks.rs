//! Talks with primaries: whole ones at every cut, and what is asked the next time.

use super::rig::{GREETED, ID, MARK, OTHER_ID, Rig, id, primary};
use crate::replication::handshake::Hello;
use crate::replication::history::{Fence, Scalar, Vector};
use crate::replication::limits::Limits;
use crate::replication::link::events::{By, Event, News, Point, Position};
use crate::replication::link::report::Status;
use crate::replication::payload::Form;
use crate::replication::split::tests::RECORDED;

/// What it answers up to PSYNC.
const STOCK: &str = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: keylane\r\n";

/// What Valkey 9.1.2 sent to a replica in front of the stream: a snapshot, abridged.
fn recorded() -> Vec<u8> {
    let mut bytes =
        format!("{STOCK}\n+FULLRESYNC {OTHER_ID} 500\r\n\n$EOF:{MARK}\r\n").into_bytes();
    bytes.extend_from_slice(b"VALKEY080\xfa\nvalkey-ver\x059.1.2\xfa\nredis-bits\xc0@\xff\xab\x9b");
    bytes.extend_from_slice(MARK.as_bytes());
    bytes
}

/// All that is asked for while a primary says `input` in pieces that end at `ends`; the snapshot is
/// taken in and made the data as soon as that is asked for.
fn talk(input: &[u8], ends: impl IntoIterator<Item = usize>) -> (String, Vec<u8>, Vec<String>) {
    let mut rig = Rig::new();
    rig.follow(1);
    rig.news(News::Connected);
    let mut start = 0;
    for end in ends {
        rig.bytes(&input[start..end]);
        start = end;
        if rig.words.iter().any(|word| word == "end") && rig.status() == "receiving" {
            rig.news(News::Staged);
            rig.news(News::Committed { db: 0, vector: None });
        }
    }
    (rig.said(), rig.snapshot, rig.lines)
}

#[test]
fn a_recorded_talk_is_the_same_wherever_it_is_cut() {
    // The stream begins to come with the snapshot's end: earlier than stock primaries send it.
    let input = [recorded(), RECORDED.to_vec()].concat();
    let (words, snapshot, lines) = talk(&input, [input.len()]);
    assert_eq!(
        words,
        "connect1:1 send[PING] send[greeting] send[psync 101] stage1:Mark hold end commit1:500 \
         send[ack 500] read unit[] unit[] unit[0>SET k v] unit[0>SET a 1, 3>SET b 2] unit[] \
         unit[5>INCR n] getack send[ack 751]"
    );
    assert!(snapshot.starts_with(b"VALKEY080") && snapshot.ends_with(b"\xff\xab\x9b"));
    assert_eq!(
        lines,
        [
            "Connecting to PRIMARY 10.0.0.1:1",
            "PRIMARY <-> REPLICA sync started",
            "Non blocking connect for SYNC fired the event.",
            "Primary replied to PING, replication can continue...",
            &format!("Trying a partial resynchronization (request {ID}:101)."),
            &format!("Full resync from primary: {OTHER_ID}:500"),
            "PRIMARY <-> REPLICA sync: receiving streamed RDB from primary with EOF to parser",
            "PRIMARY <-> REPLICA sync: Swapping active DB with loaded DB",
            "PRIMARY <-> REPLICA sync: Finished with success",
        ]
    );
    let expected = (words, snapshot, lines);
    for cut in 0..=input.len() {
        assert_eq!(talk(&input, [cut, input.len()]), expected, "cut at {cut}");
    }
    assert_eq!(talk(&input, 0..=input.len()), expected, "byte by byte");
}

#[test]
fn a_snapshot_may_come_by_other_connections() {
    let mut rig = Rig::new();
    rig.follow(1);
    rig.news(News::Connected);
    rig.bytes(format!("{GREETED}\n+SNAPSHOT {OTHER_ID} 3\r\n\n"));
    assert_eq!(rig.said(), "connect1:1 send[PING] send[greeting] send[psync 101] open1:3");
    rig.news(News::Moved(100));
    rig.bytes("\n");
    rig.news(News::Moved(11));
    assert_eq!((rig.link.observed().snapshot_bytes, rig.status()), (111, "receiving"));
    rig.news(News::Brought(id(OTHER_ID), Scalar(500)));
    assert_eq!((rig.said(), rig.status()), ("hold end commit1:500".to_owned(), "committing"));
    rig.news(News::Committed { db: 3, vector: None });
    assert_eq!(rig.said(), "send[ack 500] read");
    // What was said while the snapshot came is no part of the stream.
    rig.bytes("\n");
    rig.bytes("\n\n*1\r\n$4\r\n");
    rig.bytes("PING\r\n\n");
    assert_eq!((rig.said(), rig.link.observed().read), ("unit[] unit[]".to_owned(), Scalar(515)));
    assert_eq!(rig.link.position().map(|position| position.db), Some(3));
    let told = rig.lines.join("\n");
    assert!(told.contains("by connections of their own: 3"), "{told}");
    assert!(told.contains(&format!("Full resync from primary: {OTHER_ID}:500")), "{told}");
}

#[test]
fn logs_may_be_offered_while_a_snapshot_comes_and_then_or_never() {
    let line = format!("+LOGS {ID} {OTHER_ID} 500 7,0\r\n");
    let mut rig = Rig::at("chunks");
    rig.bytes(&line);
    assert_eq!((rig.said(), rig.status()), ("store1:7,0".to_owned(), "receiving"));
    rig.bytes("+LOGS x\r\n");
    assert_eq!((rig.said(), rig.status()), ("drop1 shut1".to_owned(), "waiting"));
    // A line that is not all there when all keys are: it stands in front of the stream.
    for cut in 0..=line.len() {
        let (before, behind) = line.split_at(cut);
        let mut rig = Rig::at("chunks");
        rig.bytes(before);
        rig.said();
        rig.news(News::Brought(id(OTHER_ID), Scalar(500)));
        rig.news(News::Committed { db: 0, vector: None });
        assert_eq!(rig.said(), "hold end commit1:500 send[ack 500] read");
        rig.bytes(behind);
        rig.bytes("*1\r\n$4\r\nPING\r\n");
        assert_eq!(rig.status(), "following", "cut at {cut}");
        assert_eq!(rig.link.observed().read, Scalar(514), "cut at {cut}");
    }
}

#[test]
fn a_primary_that_says_why_no_snapshot_comes_is_heard() {
    let mut rig = Rig::at("chunks");
    rig.bytes("\n-ERR BGSAVE failed, replication can't continue\r\n");
    assert_eq!((rig.said(), rig.status()), ("drop1 shut1".to_owned(), "waiting"));
    assert!(rig.lines.concat().contains("BGSAVE failed"), "{:?}", rig.lines);
}

/// What a link does that has data up to offset 100 of [`ID`], is to keep it or not, and is offered
/// a snapshot, as a stock primary does.
fn offered(keeps: bool, id: &str, offset: u64) -> (String, &'static str, Rig) {
    answered(keeps, &format!("{STOCK}+FULLRESYNC {id} {offset}\r\n"))
}

/// What it does when all of this came.
fn answered(keeps: bool, came: &str) -> (String, &'static str, Rig) {
    let mut rig = Rig::new();
    rig.follow(1);
    rig.handle(Event::Keep(keeps));
    rig.news(News::Connected);
    rig.said();
    rig.bytes(came);
    let said = rig.said();
    let said = said.split_once("send[psync 101]").map_or("", |(_, rest)| rest.trim_start());
    (said.to_owned(), rig.status(), rig)
}

#[test]
fn a_snapshot_of_a_younger_history_is_refused_while_the_data_are_to_be_kept() {
    for (label, keeps, id, offset, refuses) in [
        ("it is behind", true, OTHER_ID, 99, true),
        ("it has nothing", true, OTHER_ID, 0, true),
        ("it has as much", true, OTHER_ID, 100, false),
        ("it is the same history", true, ID, 99, false),
        ("nothing is to be kept", false, OTHER_ID, 0, false),
    ] {
        let (said, status, rig) = offered(keeps, id, offset);
        let expected = if refuses { ("refused shut1", "waiting") } else { ("", "receiving") };
        assert_eq!((said.as_str(), status), expected, "{label}");
        let has_line = rig.lines.iter().any(|line| line.starts_with("# The primary has less than"));
        assert_eq!(has_line, refuses, "{label}: {:?}", rig.lines);
        let native = format!("{GREETED}+SNAPSHOT {OTHER_ID} 3 7 {id} {offset}\r\n");
        let (said, status, _) = answered(keeps, &native);
        let taken = ("open1:3", "receiving");
        let expected = if refuses { ("refused shut1", "waiting") } else { taken };
        assert_eq!((said.as_str(), status), expected, "a Keylane, {label}");
    }
    // One that does not say where it is.
    let (said, ..) = answered(true, &format!("{GREETED}+SNAPSHOT {OTHER_ID} 3 7\r\n"));
    assert_eq!(said, "open1:3");
}

#[test]
fn a_refused_snapshot_is_asked_for_again_at_one_pace_and_taken_when_nothing_is_kept() {
    let (_, _, mut rig) = offered(true, OTHER_ID, 1);
    let wait = Limits::default().sync_retry_ms.first;
    for attempt in 0..5 {
        rig.tick_after(wait - 1);
        assert_eq!(rig.status(), "waiting", "{attempt}");
        rig.tick_after(1);
        if attempt == 4 {
            rig.handle(Event::Keep(false));
        }
        rig.news(News::Connected);
        rig.bytes(format!("{STOCK}+FULLRESYNC {OTHER_ID} 1\r\n"));
    }
    assert_eq!(rig.status(), "receiving");
    // Another primary may have whatever it has.
    let (_, _, mut rig) = offered(true, OTHER_ID, 1);
    rig.follow(2);
    rig.news(News::Connected);
    rig.bytes(format!("{STOCK}+FULLRESYNC {OTHER_ID} 1\r\n"));
    assert_eq!(rig.status(), "receiving");
}

/// A link that follows at offset 100 of [`ID`], in database 2.
fn following() -> Rig {
    Rig::at("following")
}

/// Lets the next attempt begin, and returns what it asks for.
fn next_attempt(rig: &mut Rig) -> String {
    rig.said();
    let deadline = rig.link.deadline().expect("an attempt is waited for");
    rig.tick_after(deadline.since(rig.now));
    rig.news(News::Connected);
    rig.bytes(GREETED);
    rig.said().rsplit_once("send").map(|(_, word)| word.to_string()).unwrap_or_default()
}

#[test]
fn a_reconnect_asks_behind_the_last_whole_unit() {
    // 27 bytes of SET, and half of a transaction.
    let mut rig = following();
    rig.bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*1\r\n$5\r\nMULTI\r\n");
    rig.bytes(b"*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n");
    assert_eq!(rig.said(), "unit[2>SET k v]");
    let position = Position { id: id(ID), offset: Scalar(127), db: 2 };
    assert_eq!(rig.link.position(), Some(position));
    assert_eq!(rig.link.observed().read, Scalar(165));
    rig.happen("closed");
    assert_eq!(rig.link.position(), Some(position));
    assert_eq!(next_attempt(&mut rig), "[psync 128]");
    // The stream goes on where it broke off, in the database that was selected there.
    rig.bytes(format!("+CONTINUE {OTHER_ID}\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"));
    assert_eq!(rig.said(), "renamed send[ack 127] unit[2>DEL k]");
    assert_eq!(
        rig.link.position(),
        Some(Position { id: id(OTHER_ID), offset: Scalar(147), db: 2 })
    );
}

#[test]
fn units_that_were_not_taken_are_asked_for_again() {
    let mut rig = following();
    rig.applies = false;
    rig.bytes(b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n");
    let mut actions = Vec::new();
    let end = rig.link.next_unit(rig.now, &mut actions).map(|unit| unit.end());
    assert_eq!(end, Some(Scalar(120)));
    rig.happen("closed");
    assert_eq!(next_attempt(&mut rig), "[psync 121]");
}

#[test]
fn what_is_no_part_of_the_stream_moves_no_place() {
    let mut rig = following();
    rig.applies = false;
    rig.bytes(b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*2\r\n$4\r\nNEWS\r\n$1\r\nb\r\n");
    let mut actions = Vec::new();
    rig.link.next_unit(rig.now, &mut actions).expect("a part of it");
    let place = rig.link.next_unit(rig.now, &mut actions).expect("an announcement").offset;
    rig.link.leave_out(place);
    assert_eq!(rig.link.position().map(|position| position.offset), Some(Scalar(120)));
    rig.happen("closed");
    assert_eq!(next_attempt(&mut rig), "[psync 121]");
}

#[test]
fn a_malformed_stream_is_not_asked_for_again() {
    let mut rig = following();
    rig.bytes(b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\nGET a\r\n");
    assert_eq!(rig.said(), "unit[2>DEL a] shut1");
    let line = "# Protocol error in the stream of the primary: an inline command";
    assert_eq!(rig.lines, [line]);
    assert_eq!(next_attempt(&mut rig), "[psync -1]");
}

#[test]
fn a_snapshot_that_came_as_a_whole_needs_no_primary() {
    for steps in [&["closed", "staged"][..], &["staged", "closed"]] {
        let mut rig = Rig::at("whole");
        steps.iter().for_each(|step| rig.happen(step));
        let said = rig.said();
        assert!(said == "shut1 commit1:500" || said == "commit1:500 shut1", "{said}");
        assert_eq!(rig.link.deadline(), None, "a shut socket gets no beats");
        rig.happen("committed");
        assert_eq!((rig.status(), rig.said()), ("waiting", String::new()));
        assert_eq!(next_attempt(&mut rig), "[psync 501]");
    }
}

#[test]
fn old_data_are_resumed_when_a_snapshot_breaks_off() {
    let mut rig = Rig::at("body");
    rig.happen("closed");
    assert_eq!(rig.said(), "drop1 shut1");
    assert_eq!(next_attempt(&mut rig), "[psync 101]");
}

#[test]
fn a_change_during_a_commit_takes_effect_behind_it() {
    let mut rig = Rig::at("committing");
    rig.happen("unfollow");
    rig.bytes(b"*1\r\n$4\r\nPING\r\n");
    rig.happen("committed");
    assert_eq!((rig.status(), rig.said()), ("idle", "shut1".to_string()));
    assert_eq!(
        rig.link.position(),
        Some(Position { id: id(OTHER_ID), offset: Scalar(500), db: 3 })
    );
    let mut rig = Rig::at("superseded");
    rig.happen("committed");
    assert_eq!(rig.said(), "connect3:2");
}

#[test]
fn a_primary_that_floods_is_shut_and_its_snapshot_kept() {
    let mut rig = Rig::at("whole");
    let flood = vec![b'x'; 3 << 20];
    rig.bytes(&flood);
    assert_eq!(rig.said(), "");
    rig.bytes(&flood);
    assert_eq!((rig.status(), rig.said()), ("receiving", "shut1".to_string()));
    rig.bytes(&flood);
    rig.happen("staged");
    rig.happen("committed");
    assert_eq!((rig.status(), rig.said()), ("waiting", "commit1:500".to_string()));
}

#[test]
fn a_primary_without_psync_is_synced_again_each_time() {
    for (header, end, acks) in [
        ("$4\r\ndata".to_string(), "*1", "read"),
        (format!("$EOF:{MARK}\r\ndata{MARK}"), "*1", "send[ack 0] read"),
    ] {
        let mut rig = Rig::at("asking");
        rig.bytes("-ERR unknown command 'PSYNC'\r\n");
        assert_eq!(rig.said(), "send[SYNC]");
        rig.bytes(header);
        rig.said();
        rig.happen("staged");
        rig.happen("committed");
        assert_eq!(rig.said(), format!("commit1:0 {acks}"));
        rig.bytes(end);
        rig.tick_after(2_000);
        assert_eq!(rig.said(), "", "nothing is acknowledged");
        assert_eq!(rig.link.position(), None);
        rig.happen("closed");
        assert_eq!(next_attempt(&mut rig), "[psync -1]");
    }
}

#[test]
fn getack_is_answered_at_once_and_when_all_is_applied() {
    let mut rig = following();
    rig.applies = false;
    let getack = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
    rig.bytes([b"*2\r\n$3\r\nDEL\r\n$1\r\na\r\n", &getack[..]].concat());
    assert_eq!(given_out(&mut rig), (vec![Scalar(120), Scalar(157)], 1));
    for applied in [119, 120, 156] {
        rig.handle(Event::Applied(Scalar(applied)));
        assert_eq!(rig.said(), "", "{applied}");
    }
    rig.handle(Event::Applied(Scalar(157)));
    assert_eq!(rig.said(), "send[ack 157]", "GETACK itself, too");
    // Nothing is under way in front of it.
    rig.bytes(getack);
    assert_eq!(given_out(&mut rig), (vec![Scalar(194)], 0));
    rig.handle(Event::Applied(Scalar(194)));
    assert_eq!(rig.said(), "send[ack 194]");
}

/// Where the units end that the link has, and how many actions they come with.
fn given_out(rig: &mut Rig) -> (Vec<Scalar>, usize) {
    let (mut ends, mut actions) = (Vec::new(), Vec::new());
    while let Some(unit) = rig.link.next_unit(rig.now, &mut actions) {
        ends.push(unit.end());
    }
    (ends, actions.len())
}

#[test]
fn a_failover_is_asked_for_until_it_is_answered() {
    let start = || {
        let mut rig = Rig::at("following");
        rig.happen("failover");
        rig.happen("connect-failed");
        assert_eq!(next_attempt(&mut rig), "[psync 101 FAILOVER] Asked");
        rig
    };
    let mut rig = start();
    rig.bytes(format!("+CONTINUE {OTHER_ID}\r\n"));
    assert_eq!(rig.said(), "Accepted renamed send[ack 100]");
    rig.happen("closed");
    assert_eq!(next_attempt(&mut rig), "[psync 101]");

    for (refusal, word) in [
        ("-ERR PSYNC FAILOVER replid must match my replid.", "Refused"),
        ("-ERR PSYNC FAILOVER can't be sent to a master.", "IsPrimary"),
        ("-LOADING x", "Refused"),
        ("+OK", "Refused"),
    ] {
        for (event, asked) in [("tick", "[psync 101 FAILOVER] Asked"), ("plainly", "[psync 101]")] {
            let mut rig = start();
            rig.bytes(format!("{refusal}\r\n"));
            assert_eq!((rig.status(), rig.said()), ("waiting", format!("shut5 {word}")));
            rig.happen(event);
            assert_eq!(next_attempt(&mut rig), asked, "{refusal}");
        }
    }
}

#[test]
fn news_of_a_former_attempt_mean_nothing() {
    let mut rig = Rig::at("connecting");
    let former = rig.link.observed().generation;
    rig.happen("other");
    rig.said();
    for news in [
        News::Connected,
        News::ConnectFailed(String::new()),
        News::Bytes(b"+PONG\r\n"),
        News::Closed(String::new()),
        News::Staged,
        News::Committed { db: 0, vector: None },
    ] {
        rig.handle(Event::Of(former, news));
    }
    assert_eq!((rig.status(), rig.said()), ("connecting", String::new()));
}

#[test]
fn what_info_shows_follows_the_link() {
    let mut rig = Rig::at("body");
    let observed = rig.link.observed();
    let status = Status::Receiving(Some(Form::Length(10)));
    assert_eq!((observed.snapshot_bytes, observed.status), (4, status));
    assert!(observed.status.is_sync() && !observed.status.is_up());
    assert_eq!((observed.attempts, observed.last_failure), (1, None));
    assert_eq!(observed.down_since, Some(rig.now));
    rig.tick_after(400);
    rig.happen("closed");
    let observed = rig.link.observed();
    assert_eq!((observed.status.name(), observed.since), ("waiting", rig.now));
    assert_eq!(
        observed.last_failure.map(ToString::to_string).as_deref(),
        Some("Connection with primary lost.")
    );
    assert_eq!(observed.down_since.map(|since| rig.now.since(since)), Some(400));
    next_attempt(&mut rig);
    assert_eq!(rig.link.observed().attempts, 2);
    rig.bytes(format!("+CONTINUE {ID}\r\n"));
    let observed = rig.link.observed();
    assert!(observed.status.is_up());
    assert_eq!((observed.attempts, observed.down_since), (0, None));
    assert_eq!((observed.read, observed.applied), (Scalar(100), Scalar(100)));
}

/// A link whose data are at a place of logs, up to the answer to PSYNC.
fn in_logs() -> Rig {
    let mut rig = Rig::new();
    let hello = Hello { flows: true, listening_port: 7777, ..Hello::default() };
    rig.link.configure(hello, Limits::default());
    let position = Position { id: id(ID), offset: Scalar(100), db: 0 };
    let vector = Vector::parse(b"5,7");
    let point = Some(Point { position, vector });
    rig.handle(Event::Follow { primary: primary(1), by: By::Replicaof, point, fence: None });
    rig.news(News::Connected);
    rig
}

#[test]
fn a_place_in_logs_keeps_its_name_until_logs_begin() {
    let mut rig = in_logs();
    rig.bytes("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    assert!(rig.said().contains("psync 101"), "it asks for what follows");
    rig.bytes(format!("+CONTINUE {OTHER_ID}\r\n"));
    let name = |rig: &Rig| rig.link.position().map(|position| position.id);
    assert_eq!(name(&rig), Some(id(ID)), "of the next one it has no place yet");
    rig.news(News::Closed(String::new()));
    let point = rig.link.point().expect("it has a place");
    assert_eq!((point.position.id, point.vector), (id(ID), Vector::parse(b"5,7")));

    let mut rig = in_logs();
    rig.bytes("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    rig.bytes(format!("+CONTINUE {OTHER_ID}\r\n"));
    let vector = Vector::parse(b"1,2,3").expect("it is a vector");
    rig.handle(Event::FlowsBegan(Fence { scalar: Scalar(100), vector: vector.clone() }));
    let point = rig.link.point().expect("it has a place");
    assert_eq!((point.position.id, point.vector), (id(OTHER_ID), Some(vector)));
}

#[test]
fn a_place_in_logs_is_none_in_the_stream_of_who_has_no_logs() {
    let mut rig = in_logs();
    rig.bytes("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: keylane\r\n");
    assert!(rig.said().contains("psync -1"), "it asks for everything");

    // `repl-native no` since then.
    let mut rig = in_logs();
    rig.link.configure(Hello::default(), Limits::default());
    rig.news(News::Closed(String::new()));
    rig.tick_after(100);
    rig.news(News::Connected);
    rig.bytes(GREETED);
    assert!(rig.said().contains("psync -1"), "it asks for everything");
}
