//! Every event in every state, and lives of replicas.

use shards::base::random::Random;
use shards::rdb::kind::Version;

use super::*;
use crate::replication::greeting::{Filter, Framing, RdbForm};

const LIMITS: Limits = Limits {
    silence_ms: 60_000,
    progress_ms: 5000,
    output: OutputLimit { hard: 1000, soft: 100, soft_seconds: 10 },
    backlog_bytes: 500,
};
const CUT: Scalar = Scalar(7000);

const BEGAN: Event<'_> = Event::SyncBegan { cut: CUT };

const fn progress(written: u64, expected: u64) -> Event<'static> {
    Event::Progress(Progress { written, expected })
}

fn terms(sequel: Sequel) -> Terms {
    let asked = match sequel {
        Sequel::StreamUnacked => Asked::Sync,
        Sequel::End | Sequel::AwaitAck | Sequel::Stream => Asked::Psync,
    };
    let rdb = RdbForm::Exactly(Version::V80);
    let (filter, version) = (Filter::All, None);
    Terms { asked, rdb, framing: Framing::Eof, filter, sequel, version }
}

fn new(sequel: Sequel) -> Session {
    let address = Address { host: "10.0.0.2".to_string(), port: 6380 };
    Session::new(Moment(0), address, terms(sequel), LIMITS)
}

/// The events that lead to a state, all at the moment 0.
fn way_to(state: &str) -> (Sequel, Vec<Event<'static>>) {
    let begun = [Event::Lent, BEGAN];
    let written = Event::ChildEnded(Ok(()));
    let with = |more: &[Event<'static>]| [&begun[..], more].concat();
    match state {
        "waiting" => (Sequel::AwaitAck, vec![]),
        "lent" => (Sequel::AwaitAck, vec![Event::Lent]),
        "receiving" => (Sequel::AwaitAck, with(&[])),
        "tool" => (Sequel::End, with(&[])),
        "loading" => (Sequel::AwaitAck, with(&[written])),
        "online" => (Sequel::AwaitAck, with(&[written, Event::Received(b"REPLCONF ACK 7000\r\n")])),
        "unproved" => (Sequel::Stream, with(&[written])),
        "unacked" => (Sequel::StreamUnacked, with(&[written])),
        "resumed" => (Sequel::AwaitAck, vec![Event::Resumed(CUT)]),
        "ended" => (Sequel::AwaitAck, vec![Event::Closed]),
        other => panic!("{other} is no state"),
    }
}

fn one_in(state: &str) -> Session {
    let (sequel, way) = way_to(state);
    let mut session = new(sequel);
    for event in way {
        session.handle(Moment(0), event, &mut Vec::new());
    }
    session
}

/// The name of the state it is in.
fn name(session: &Session) -> &'static str {
    match session.state {
        State::Waiting { .. } => "waiting",
        State::Lent { .. } => "lent",
        State::Receiving { .. } => "receiving",
        State::Loading { .. } => "loading",
        State::Online(Online { unproved: Some(Sync { acked: None, .. }), .. }) => "unproved",
        State::Online(Online { unproved: Some(_), .. }) => "fresh",
        State::Online(Online { unproved: None, .. }) => "online",
        State::Ended => "ended",
    }
}

/// An event by its column, and when it happens.
fn event(column: &str) -> (u64, Event<'static>) {
    match column {
        "tick" => (1, Event::Tick),
        "5s" => (5000, Event::Tick),
        "61s" => (60_001, Event::Tick),
        "lent" => (1, Event::Lent),
        "began" => (1, BEGAN),
        "moved" => (1, progress(1 << 20, 0)),
        "written" => (1, Event::ChildEnded(Ok(()))),
        "failed" => (1, Event::ChildEnded(Err("no memory".to_string()))),
        "flushed" => (1, Event::Flushed),
        "resumed" => (1, Event::Resumed(CUT)),
        "ack" => (1, Event::Received(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n7000\r\n")),
        "line" => (1, Event::Received(b"\n")),
        "ping" => (1, Event::Received(b"PING\r\n")),
        "quit" => (1, Event::Received(b"QUIT\r\n")),
        "ill" => (1, Event::Received(b"*x\r\n")),
        "far" => (1, Event::Backlog(CUT.after(1001))),
        "sent" => (1, Event::Sent(CUT)),
        "fell" => (1, Event::FellOut),
        "closed" => (1, Event::Closed),
        "cut" => (1, Event::Cut(Cut::Killed)),
        other => panic!("{other} is no column"),
    }
}

/// Where each event leads from each state: `.` for the same; else the reason of an end, or the
/// next state.
const PAIRS: &str = "
state     tick 5s      61s     lent began     moved written   failed      flushed resumed
waiting   .    .       .       lent receiving .     .         sync_failed .       online
lent      .    .       .       .    receiving .     .         sync_failed flushed .
receiving .    stalled stalled .    .         .     loading   sync_failed flushed .
tool      .    stalled stalled .    .         .     file_sent sync_failed flushed .
loading   .    .       silent  .    .         .     .         .           .       .
online    .    .       silent  .    .         .     .         .           .       .
unproved  .    .       silent  .    .         .     .         .           .       .
unacked   .    .       .       .    .         .     .         .           .       .
resumed   .    .       silent  .    .         .     .         .           .       .
ended     .    .       .       .    .         .     .         .           .       .

state     ack    line ping       quit ill      far         sent fell     closed cut
waiting   .      .    unexpected quit protocol .           .    .        closed cut
lent      .      .    unexpected quit protocol .           .    .        closed cut
receiving .      .    unexpected quit protocol output_hard .    fell_out closed cut
tool      .      .    unexpected quit protocol output_hard .    fell_out closed cut
loading   fresh  .    unexpected quit protocol output_hard .    fell_out closed cut
online    .      .    unexpected quit protocol output_hard .    fell_out closed cut
unproved  fresh  .    unexpected quit protocol output_hard .    fell_out closed cut
unacked   .      .    unexpected quit protocol output_hard .    fell_out closed cut
resumed   .      .    unexpected quit protocol output_hard .    fell_out closed cut
ended     .      .    .          .    .        .           .    .        .      .
";

#[test]
fn every_event_has_its_answer_in_every_state() {
    let mut seen = 0;
    for table in PAIRS.trim().split("\n\n") {
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let head = lines.next().expect("it has a head");
        for row in lines {
            assert_eq!(row.len(), head.len(), "{row:?}");
            for (column, expected) in head.iter().zip(&row).skip(1) {
                let mut session = one_in(row[0]);
                let before = name(&session);
                let (at, event) = event(column);
                let mut actions = Vec::new();
                session.handle(Moment(at), event, &mut actions);
                let ends: Vec<&Ended> = actions.iter().filter_map(closing).collect();
                let after = match ends[..] {
                    [] => name(&session),
                    [ended] => Ended::NAMES[ended.index()],
                    _ => panic!("{} {column}: it ends twice", row[0]),
                };
                let expected = if *expected == "." { before } else { expected };
                assert_eq!(after, expected, "{} {column}", row[0]);
                assert_eq!(ends.is_empty(), before == name(&session) || name(&session) != "ended");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 10 * 20);
}

fn closing(action: &Action) -> Option<&Ended> {
    match action {
        Action::Close(ended) => Some(ended),
        Action::Send(_)
        | Action::Stream(_)
        | Action::Acked(_)
        | Action::SyncOver(_)
        | Action::Log(..) => None,
    }
}

/// Actions in words, without logs.
fn words(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::Send(bytes) => Some(format!("send({})", bytes.escape_ascii())),
        Action::Stream(from) => Some(format!("stream({from})")),
        Action::Acked(Ack { applied, durable: None }) => Some(format!("acked({applied})")),
        Action::Acked(Ack { applied, durable: Some(durable) }) => {
            Some(format!("acked({applied},{durable})"))
        }
        Action::SyncOver(Outcome::Succeeded) => Some("succeeded".to_string()),
        Action::SyncOver(Outcome::Failed) => Some("failed".to_string()),
        Action::SyncOver(Outcome::Short(Shortage { took_ms, rate, needs })) => {
            Some(format!("short({took_ms},{rate},{needs})"))
        }
        Action::Log(..) => None,
        Action::Close(ended) => Some(format!("close({})", Ended::NAMES[ended.index()])),
    };
    actions.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

/// Goes through events, each with its moment and what it leads to.
#[track_caller]
fn check(mut session: Session, steps: &[(u64, Event<'_>, &str)]) -> Session {
    for (at, event, expected) in steps {
        let mut actions = Vec::new();
        session.handle(Moment(*at), event.clone(), &mut actions);
        assert_eq!(words(&actions), *expected, "{event:?} at {at}");
    }
    session
}

const DONE: Event<'_> = Event::ChildEnded(Ok(()));

fn acks(text: &str) -> Event<'_> {
    Event::Received(text.as_bytes())
}

#[test]
fn a_replica_gets_lines_then_its_snapshot_then_the_stream() {
    let session = check(
        new(Sequel::AwaitAck),
        &[
            (999, Event::Tick, ""),
            (1000, Event::Tick, "send(\\n)"),
            (1500, Event::Tick, ""),
            (2100, Event::Tick, "send(\\n)"),
            (2200, Event::Lent, ""),
            (9000, Event::Tick, ""),
            (9000, BEGAN, ""),
            (9001, DONE, ""),
            (50_000, Event::Received(b"\n"), ""),
            (100_000, Event::Tick, ""),
            (100_001, acks("REPLCONF ACK 7000\r\n"), "stream(7000) acked(7000)"),
            (100_002, Event::Backlog(Scalar(7050)), ""),
            (100_003, Event::Sent(Scalar(7050)), ""),
            (101_000, acks("REPLCONF ACK 7030 FACK 7010\r\n"), "acked(7030,7010)"),
            (102_000, acks("REPLCONF ACK 7020\r\n"), "acked(7030)"),
            // It cannot have what it was not sent.
            (103_000, acks("REPLCONF ACK 7051\r\n"), ""),
            (104_000, acks("REPLCONF ACK 7050 FACK 7051\r\n"), "acked(7050)"),
        ],
    );
    let line = "slave3:ip=10.0.0.2,port=6380,state=online,offset=7050,lag=2,type=replica";
    assert_eq!(session.info_line(3, Moment(106_999)).as_deref(), Some(line));
    let role = ["10.0.0.2", "6380", "7050"].map(str::to_string);
    assert_eq!(session.role_entry(), Some(role));
    assert_eq!(session.deadline(), Some(Moment(164_001)));
}

#[test]
fn the_form_decides_when_the_stream_begins() {
    let begun = [(0, Event::Lent, ""), (0, BEGAN, "")];
    let with = |more: &[(u64, Event<'static>, &'static str)]| [&begun[..], more].concat();
    check(new(Sequel::Stream), &with(&[(5, DONE, "stream(7000)")]));
    check(new(Sequel::StreamUnacked), &with(&[(5, DONE, "succeeded stream(7000)")]));
    check(new(Sequel::End), &with(&[(5, DONE, "close(file_sent)")]));
    // A replica may be quicker than the news that the child has ended, or has begun.
    let early = || Event::Received(b"REPLCONF ACK 7000\r\n");
    let steps = with(&[(4, early(), ""), (5, DONE, "stream(7000) acked(7000)")]);
    check(new(Sequel::AwaitAck), &steps);
    let done = (5, DONE, "stream(7000) acked(7000)");
    let steps = [(0, Event::Lent, ""), (4, early(), ""), (4, BEGAN, ""), done];
    check(new(Sequel::AwaitAck), &steps);
    // What one says that waits is of another stream.
    let steps = [(0, early(), ""), (1, Event::Lent, ""), (2, BEGAN, ""), (5, DONE, "")];
    check(new(Sequel::AwaitAck), &steps);
}

#[test]
fn an_offset_before_the_snapshot_proves_nothing() {
    let shy = Event::Received(b"REPLCONF ACK 6999\r\n");
    check(
        one_in("receiving"),
        &[
            (1, shy.clone(), ""),
            (2, DONE, ""),
            (3, shy.clone(), "stream(7000)"),
            (4, shy, "acked(6999)"),
            (5, Event::Closed, "failed close(closed)"),
        ],
    );
}

#[test]
fn a_replica_that_resumes_needs_no_snapshot() {
    let steps = [(5, Event::Resumed(Scalar(12)), "stream(12) acked(12)")];
    check(new(Sequel::AwaitAck), &steps);
}

#[test]
fn a_replica_without_acks_is_never_silent() {
    let session = check(one_in("unacked"), &[(10_000_000, Event::Tick, "")]);
    assert_eq!(session.deadline(), None);
}

#[test]
fn who_waits_is_told_that_no_snapshot_comes() {
    let failed = Event::ChildEnded(Err("fork: no memory".to_string()));
    let error = "failed send(-ERR BGSAVE failed, replication can\\'t continue\\r\\n) \
                 close(sync_failed)";
    check(one_in("waiting"), &[(1, failed.clone(), error)]);
    check(one_in("lent"), &[(1, failed.clone(), error)]);
    // Here the child may have written something: a text would stand within the snapshot.
    check(one_in("receiving"), &[(1, failed.clone(), "failed close(sync_failed)")]);
    check(one_in("tool"), &[(1, failed, "close(sync_failed)")]);
}

#[test]
fn a_flush_is_no_failure() {
    check(one_in("receiving"), &[(1, Event::Flushed, "close(flushed)")]);
}

#[test]
fn a_snapshot_must_get_on() {
    check(
        one_in("receiving"),
        &[
            (4000, progress(64 << 10, 0), ""),
            (5000, Event::Tick, ""),
            (9000, progress((128 << 10) - 1, 0), ""),
            (9999, Event::Tick, ""),
            (10_000, Event::Tick, "failed close(stalled)"),
        ],
    );
}

#[test]
fn a_hard_limit_ends_a_replica_at_once() {
    // Half of the snapshot is written after 2 s, so twice as much would come, and loading may
    // take as long again.
    check(
        new(Sequel::AwaitAck),
        &[
            (0, BEGAN, ""),
            (0, Event::Backlog(CUT.after(1000)), ""),
            (1000, progress(1 << 20, 2 << 20), ""),
            (2000, Event::Backlog(CUT.after(1500)), "short(2000,750,6000) close(output_hard)"),
        ],
    );
    let far = Event::Backlog(CUT.after(1500));
    check(one_in("loading"), &[(1000, far.clone(), "short(1000,1500,3000) close(output_hard)")]);
    check(one_in("unproved"), &[(500, far.clone(), "short(500,3000,3000) close(output_hard)")]);
    check(one_in("online"), &[(500, far, "close(output_hard)")]);
}

#[test]
fn what_a_replica_takes_while_its_snapshot_comes_does_not_wait_for_it() {
    check(
        new(Sequel::AwaitAck),
        &[
            (0, BEGAN, ""),
            (100, Event::Sent(CUT.after(900)), ""),
            (200, Event::Backlog(CUT.after(1800)), ""),
            (300, Event::Sent(CUT.after(1800)), ""),
            (400, Event::ChildEnded(Ok(())), ""),
            (500, Event::Backlog(CUT.after(2500)), ""),
            (600, Event::Sent(CUT.after(2500)), ""),
            (700, acks("REPLCONF ACK 7000\r\n"), "stream(9500) acked(7000)"),
            (1400, Event::Tick, "succeeded"),
            (1500, Event::Backlog(CUT.after(3600)), "close(output_hard)"),
        ],
    );
}

#[test]
fn a_sync_is_a_success_if_the_replica_stays_for_as_long_as_it_took() {
    let begun = [(0, BEGAN, ""), (1000, DONE, "")];
    let ack = "REPLCONF ACK 7000\r\n";
    let steps = [&begun[..], &[(2000, acks(ack), "stream(7000) acked(7000)")]].concat();
    let fresh = || check(new(Sequel::AwaitAck), &steps);
    assert_eq!(fresh().deadline(), Some(Moment(4000)));
    let far = Event::Backlog(CUT.after(1500));
    let short = "short(3999,375,3000) close(output_hard)";
    check(fresh(), &[(3999, far.clone(), short)]);
    check(fresh(), &[(3999, acks(ack), "acked(7000)"), (4000, Event::Tick, "succeeded")]);
    check(fresh(), &[(4000, Event::Tick, "succeeded"), (4001, far, "close(output_hard)")]);
    // Whatever else ends it, the snapshot was not for nothing.
    check(fresh(), &[(3000, Event::Closed, "succeeded close(closed)")]);
    check(fresh(), &[(3000, Event::Cut(Cut::History), "succeeded close(cut)")]);
}

#[test]
fn a_soft_limit_ends_a_replica_that_stays_above_it() {
    check(
        one_in("online"),
        &[
            (1000, Event::Backlog(CUT.after(101)), ""),
            (9000, Event::Sent(CUT.after(1)), ""),
            (9000, Event::Backlog(CUT.after(102)), ""),
            (19_000, Event::Tick, ""),
            (19_001, Event::Tick, "close(output_soft)"),
        ],
    );
    let session = check(one_in("online"), &[(1000, Event::Backlog(CUT.after(101)), "")]);
    assert_eq!(session.deadline(), Some(Moment(11_001)));
}

#[test]
fn limits_may_change_and_be_none() {
    let mut session = one_in("online");
    session.set_limits(Limits { backlog_bytes: 2000, ..LIMITS });
    let session = check(session, &[(1, Event::Backlog(CUT.after(2000)), "")]);
    check(session, &[(2, Event::Backlog(CUT.after(2001)), "close(output_hard)")]);
    let mut session = one_in("online");
    let none = Limits { output: OutputLimit::default(), ..LIMITS };
    session.set_limits(none);
    check(session, &[(1, Event::Backlog(Scalar(u64::MAX)), ""), (59_000, Event::Tick, "")]);
    assert_eq!(none.log_bytes_max(), u64::MAX);
    assert_eq!(LIMITS.log_bytes_max(), 100);
    let hard = OutputLimit { soft: 0, ..LIMITS.output };
    assert_eq!(Limits { output: hard, ..LIMITS }.log_bytes_max(), 1000);
    assert_eq!(Limits { output: hard, backlog_bytes: 2000, ..LIMITS }.log_bytes_max(), 2000);
}

#[test]
fn states_have_the_words_of_valkey() {
    for (state, word) in [
        ("waiting", Some("wait_bgsave")),
        ("lent", Some("wait_bgsave")),
        ("receiving", Some("send_bulk")),
        ("loading", Some("send_bulk")),
        ("online", Some("online")),
        ("unacked", Some("online")),
        ("ended", None),
    ] {
        let session = one_in(state);
        assert_eq!(session.state_name(), word, "{state}");
        let line = session.info_line(0, Moment(0));
        let expected = word.map(|word| {
            let offset = if state == "online" { CUT } else { Scalar(0) };
            format!("slave0:ip=10.0.0.2,port=6380,state={word},offset={offset},lag=0,type=replica")
        });
        assert_eq!(line, expected, "{state}");
        assert_eq!(session.role_entry().is_some(), word == Some("online"), "{state}");
    }
}

#[test]
fn logs_have_lines_that_operators_know() {
    for (state, at, event, expected) in [
        ("online", 1, Event::Closed, "Connection with replica 10.0.0.2:6380 lost."),
        (
            "online",
            60_001,
            Event::Tick,
            "Disconnecting timedout replica (streaming sync): 10.0.0.2:6380",
        ),
        (
            "loading",
            60_001,
            Event::Tick,
            "Disconnecting timedout replica (full sync): 10.0.0.2:6380",
        ),
        (
            "online",
            1,
            Event::Received(b"PING\r\n"),
            "Replica 10.0.0.2:6380 is disconnected: it sent PING, whose reply has no place",
        ),
        (
            "unproved",
            1,
            Event::Received(b"REPLCONF ACK 7000\r\n"),
            "Synchronization with replica 10.0.0.2:6380 succeeded",
        ),
        (
            "online",
            1,
            Event::Received(b"REPLCONF ACK 7001\r\n"),
            "Replica 10.0.0.2:6380 acknowledges offset 7001, but was sent 7000",
        ),
    ] {
        let mut actions = Vec::new();
        one_in(state).handle(Moment(at), event, &mut actions);
        let lines = actions.iter().filter_map(|action| match action {
            Action::Log(_, line) => Some(line.as_str()),
            Action::Send(_)
            | Action::Stream(_)
            | Action::Acked(_)
            | Action::SyncOver(_)
            | Action::Close(_) => None,
        });
        assert_eq!(lines.collect::<Vec<_>>(), [expected], "{state}");
    }
}

/// Whatever happens, in whatever order: it ends at most once, is quiet then, writes nothing while
/// the child has the socket, and never claims more than was sent.
#[test]
fn chance_breaks_no_promise() {
    const COLUMNS: [&str; 17] = [
        "tick", "5s", "lent", "began", "moved", "written", "flushed", "resumed", "ack", "line",
        "far", "sent", "fell", "closed", "cut", "ill", "failed",
    ];
    let seed = 88;
    let mut random = Random::new(seed);
    let mut pick = |limit: usize| usize::try_from(random.below(limit as u64)).expect("it is small");
    for round in 0..20_000 {
        let sequels = [Sequel::End, Sequel::AwaitAck, Sequel::Stream, Sequel::StreamUnacked];
        let mut session = new(sequels[pick(4)]);
        let (mut now, mut closed, mut streams) = (0, 0, 0);
        for _ in 0..12 {
            let (after, event) = event(COLUMNS[pick(COLUMNS.len())]);
            now += after;
            let (before, was) = (name(&session), closed);
            let mut actions = Vec::new();
            session.handle(Moment(now), event, &mut actions);
            assert!(was == 0 || actions.is_empty(), "seed {seed} round {round}: it is not quiet");
            closed += actions.iter().filter_map(closing).count();
            streams += actions.iter().filter(|a| matches!(a, Action::Stream(_))).count();
            let sends = actions.iter().any(|action| matches!(action, Action::Send(_)));
            let quiet = matches!(before, "receiving" | "loading" | "online" | "unproved" | "fresh");
            assert!(!(quiet && sends), "seed {seed} round {round}: {before} {actions:?}");
            if let State::Online(online) = session.state {
                assert!(online.acked <= Some(online.sent), "seed {seed} round {round}");
            }
            if let Some(deadline) = session.deadline() {
                assert!(Moment(now) < deadline, "seed {seed} round {round}: {}", name(&session));
            }
        }
        assert!(closed <= 1 && streams <= 1, "seed {seed} round {round}");
    }
}
