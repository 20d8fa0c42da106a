//! Every event in every state, and what logs and INFO say.

use shards::base::random::Random;

use super::*;
use crate::replication::history::{Offset, Scalar, Vector};

fn address(port: u16) -> Address {
    Address { host: "10.0.0.2".to_string(), port }
}

fn fence() -> Fence {
    Fence { scalar: Scalar(100), vector: Vector::new(vec![Offset(60), Offset(70)]) }
}

fn stock(port: u16, scalar: u64) -> Event {
    Event::Acked(address(port), Position::Stock(Scalar(scalar)))
}

fn native(port: u16, offsets: [u64; 2]) -> Event {
    let vector = Vector::new(offsets.into_iter().map(Offset).collect());
    Event::Acked(address(port), Position::Native(vector))
}

fn replicas() -> Vec<Candidate> {
    let replica = |port, is_online| Candidate { address: address(port), is_online };
    vec![replica(1, true), replica(2, true), replica(3, false)]
}

/// What `FAILOVER line` asks for.
fn request(line: &str) -> Request {
    let words: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
    match request::Command::parse(&words) {
        Ok(request::Command::Start(request)) => request,
        other => panic!("{line}: {other:?}"),
    }
}

fn begun(line: &str) -> Failover {
    let mut failover = Failover::default();
    let facts = Facts { is_replica: false, replicas: &replicas() };
    let result = failover.start(Moment(0), &request(line), facts, &mut Vec::new());
    assert_eq!(result, Ok(()), "{line}");
    failover
}

/// Actions in words, logs left out.
fn words(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::Pause => Some("pause".to_string()),
        Action::Unpause => Some("unpause".to_string()),
        Action::Demote(target) => Some(format!("demote:{}", target.port)),
        Action::Follow(target) => Some(format!("follow:{}", target.port)),
        Action::Restore => Some("restore".to_string()),
        Action::Log(..) => None,
    };
    actions.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

/// One that has come to this state.
fn one_in(state: &str) -> Failover {
    let (line, events) = match state {
        "none" => return Failover::default(),
        "any" => ("TIMEOUT 500", vec![]),
        "to" => ("TO 10.0.0.2 2 TIMEOUT 500", vec![]),
        "force" => ("TO 10.0.0.2 2 FORCE TIMEOUT 500", vec![]),
        "fenced" => ("TIMEOUT 500", vec![Event::Fenced(fence())]),
        "acked" => ("TIMEOUT 500", vec![stock(1, 100)]),
        "demoted" => ("TIMEOUT 500", vec![Event::Fenced(fence()), stock(1, 100)]),
        "asked" => {
            ("TIMEOUT 500", vec![Event::Fenced(fence()), stock(1, 100), Event::Link(News::Asked)])
        }
        other => panic!("{other} is no state"),
    };
    let mut failover = begun(line);
    for event in events {
        failover.handle(Moment(0), event, &mut Vec::new());
    }
    failover
}

/// What each event leads to in each state; `.` is nothing. `short` and `stock` are acks of the
/// replica 1 that lack a byte of the fence, and have it; so are `half` and `native` of one that
/// counts by logs; `other` is an ack of the replica 2 that has it.
const PAIRS: &str = "
state   | tick | 500ms    | 10s              | fenced   | short | stock
none    | .    | .        | .                | .        | .     | .
any     | .    | unpause  | unpause          | .        | .     | .
to      | .    | unpause  | unpause          | .        | .     | .
force   | .    | demote:2 | demote:2         | .        | .     | .
fenced  | .    | unpause  | unpause          | .        | .     | demote:1
acked   | .    | unpause  | unpause          | demote:1 | .     | .
demoted | .    | .        | restore          | .        | .     | .
asked   | .    | .        | follow:1 unpause | .        | .     | .

state   | half | native   | other    | gone | ending  | abort
none    | .    | .        | .        | .    | .       | ERR
any     | .    | .        | .        | .    | unpause | unpause
to      | .    | .        | .        | .    | unpause | unpause
force   | .    | .        | .        | .    | unpause | unpause
fenced  | .    | demote:1 | demote:2 | .    | unpause | unpause
acked   | .    | .        | .        | .    | unpause | unpause
demoted | .    | .        | .        | .    | unpause | restore
asked   | .    | .        | .        | .    | unpause | restore

state   | sent | accepted | primary          | refused
none    | .    | .        | .                | .
any     | .    | .        | .                | .
to      | .    | .        | .                | .
force   | .    | .        | .                | .
fenced  | .    | .        | .                | .
acked   | .    | .        | .                | .
demoted | .    | unpause  | follow:1 unpause | restore
asked   | .    | unpause  | follow:1 unpause | restore
";

fn event(column: &str) -> (u64, Event) {
    match column {
        "tick" => (1, Event::Tick),
        "500ms" => (500, Event::Tick),
        "10s" => (10_000, Event::Tick),
        "fenced" => (1, Event::Fenced(fence())),
        "short" => (1, stock(1, 99)),
        "stock" => (1, stock(1, 100)),
        "half" => (1, native(1, [1000, 69])),
        "native" => (1, native(1, [60, 70])),
        "other" => (1, stock(2, 101)),
        "gone" => (1, Event::Gone(address(1))),
        "ending" => (1, Event::Ending),
        "sent" => (1, Event::Link(News::Asked)),
        "accepted" => (1, Event::Link(News::Accepted)),
        "primary" => (1, Event::Link(News::IsPrimary)),
        "refused" => (1, Event::Link(News::Refused)),
        other => panic!("{other} is no column"),
    }
}

/// The state by INFO's word that an action leads to.
fn state_after(words: &str, before: &'static str) -> &'static str {
    match words {
        "unpause" | "restore" | "follow:1 unpause" => "no-failover",
        "" => before,
        demotes => {
            assert!(demotes.starts_with("demote:"), "{demotes}");
            "failover-in-progress"
        }
    }
}

#[test]
fn every_event_has_its_answer_in_every_state() {
    let mut seen = 0;
    for table in PAIRS.trim().split("\n\n") {
        let mut lines = table.lines().map(|line| line.split('|').map(str::trim));
        let head: Vec<&str> = lines.next().expect("it has a head").collect();
        for row in lines {
            let row: Vec<&str> = row.collect();
            for (column, expected) in head.iter().zip(&row).skip(1) {
                let mut failover = one_in(row[0]);
                let before = failover.state_name();
                let mut actions = Vec::new();
                let given = if *column == "abort" {
                    failover.abort(&mut actions).map_or("ERR".to_string(), |()| words(&actions))
                } else {
                    let (at, event) = event(column);
                    failover.handle(Moment(at), event, &mut actions);
                    words(&actions)
                };
                let expected = if *expected == "." { "" } else { expected };
                assert_eq!(given, expected, "{} {column}", row[0]);
                let after = match given.as_str() {
                    "ERR" => "no-failover",
                    given => state_after(given, before),
                };
                assert_eq!(failover.state_name(), after, "{} {column}", row[0]);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8 * 16);
}

#[test]
fn what_cannot_be_begun_is_refused_as_valkey_refuses_it() {
    const FORCE: &str = "ERR FAILOVER with force option requires both a timeout and target HOST \
         and IP.";
    const UNKNOWN: &str = "ERR FAILOVER target HOST and PORT is not a replica.";
    let all = replicas();
    for (line, is_replica, known, expected) in [
        ("", true, &all[..], "ERR FAILOVER is not valid when server is a replica."),
        ("", false, &[], "ERR FAILOVER requires connected replicas."),
        ("FORCE", false, &[], "ERR FAILOVER requires connected replicas."),
        ("FORCE", false, &all, FORCE),
        ("FORCE TIMEOUT 5", false, &all, FORCE),
        ("TO 10.0.0.2 1 FORCE", false, &all, FORCE),
        ("TO 10.0.0.2 9", false, &all, UNKNOWN),
        ("TO localhost 1", false, &all, UNKNOWN),
        ("TO 10.0.0.2 65537", false, &all, UNKNOWN),
        ("TO 10.0.0.2 3", false, &all, "ERR FAILOVER target replica is not online."),
        (
            "TO 10.0.0.2 3 FORCE TIMEOUT 5",
            false,
            &all,
            "ERR FAILOVER target replica is not online.",
        ),
    ] {
        let mut failover = Failover::default();
        let mut actions = Vec::new();
        let facts = Facts { is_replica, replicas: known };
        let result = failover.start(Moment(0), &request(line), facts, &mut actions);
        assert_eq!(result, Err(Error::Text(expected)), "{line}");
        assert!(actions.is_empty() && !failover.is_under_way(), "{line}");
    }
    for state in ["any", "asked"] {
        let facts = Facts { is_replica: true, replicas: &[] };
        let result = one_in(state).start(Moment(0), &request(""), facts, &mut Vec::new());
        assert_eq!(result, Err(Error::Text("ERR FAILOVER already in progress.")));
    }
    let result = Failover::default().abort(&mut Vec::new());
    assert_eq!(result, Err(Error::Text("ERR No failover in progress.")));
}

/// Goes through a failover; returns what the log says.
fn log(line: &str, events: &[(u64, Event)]) -> Vec<String> {
    let mut failover = Failover::default();
    let mut actions = Vec::new();
    let facts = Facts { is_replica: false, replicas: &replicas() };
    failover.start(Moment(0), &request(line), facts, &mut actions).expect("it begins");
    for (at, event) in events {
        failover.handle(Moment(*at), event.clone(), &mut actions);
    }
    let lines = actions.into_iter().filter_map(|action| match action {
        Action::Log(_, line) => Some(line),
        Action::Pause
        | Action::Unpause
        | Action::Demote(_)
        | Action::Follow(_)
        | Action::Restore => None,
    });
    lines.collect()
}

#[test]
fn logs_say_what_valkey_says() {
    let synced = [(1, Event::Fenced(fence())), (2, stock(1, 100))];
    let any = "FAILOVER requested to any replica.";
    let target = "Failover target 10.0.0.2:1 is synced, failing over.";
    for (line, events, expected) in [
        ("", synced.to_vec(), [any, target]),
        (
            "TIMEOUT 400",
            vec![(400, Event::Tick)],
            [any, "FAILOVER to any replica aborted: Replica never caught up before timeout"],
        ),
        (
            "TO 10.0.0.2 2 FORCE TIMEOUT 300",
            vec![(300, Event::Tick)],
            [
                "FAILOVER requested to 10.0.0.2:2.",
                "FAILOVER to 10.0.0.2:2 time out exceeded, failing over.",
            ],
        ),
    ] {
        assert_eq!(log(line, &events), expected, "{line}");
    }
    let refused = [&synced[..], &[(3, Event::Link(News::Refused))]].concat();
    let last = "FAILOVER to 10.0.0.2:1 aborted: Failover target rejected psync request";
    assert_eq!(log("", &refused), [any, target, last]);
    let lost = [&synced[..], &[(3, Event::Link(News::Asked)), (10_002, Event::Tick)]].concat();
    let last = "FAILOVER to 10.0.0.2:1 ends: it was asked and does not answer. This node stays \
         its replica.";
    assert_eq!(log("", &lost), [any, target, last]);
}

#[test]
fn writes_are_not_paused_for_ever() {
    let failover = begun("");
    assert_eq!(failover.deadline(), Some(Moment(WAIT_MS_MAX)));
    assert_eq!(begun("TIMEOUT 9223372036854775807").deadline(), Some(Moment(i64::MAX as u64)));
    assert_eq!(one_in("asked").deadline(), Some(Moment(HANDOVER_MS_MAX)));
    assert_eq!(Failover::default().deadline(), None);
}

#[test]
fn a_refusal_says_whether_the_target_is_a_primary() {
    for (error, expected) in [
        ("-ERR PSYNC FAILOVER can't be sent to a master.", News::IsPrimary),
        ("-ERR PSYNC FAILOVER replid must match my replid.", News::Refused),
        ("-LOADING Valkey is loading the dataset in memory", News::Refused),
        ("", News::Refused),
    ] {
        assert_eq!(News::of_refusal(error), expected, "{error}");
    }
}

#[test]
fn a_replica_without_a_port_is_no_target() {
    let mut actions = Vec::new();
    one_in("fenced").handle(Moment(1), stock(0, 100), &mut actions);
    assert!(actions.is_empty());
}

/// Whatever happens: pauses end, and a node that was demoted is told how it ends.
#[test]
fn chance_leaves_no_pause_behind() {
    const COLUMNS: [&str; 15] = [
        "tick", "500ms", "10s", "fenced", "short", "stock", "half", "native", "other", "gone",
        "ending", "sent", "accepted", "primary", "refused",
    ];
    let seed = 6;
    let mut random = Random::new(seed);
    for round in 0..20_000 {
        let mut failover = begun("");
        let (mut now, mut given) = (0, String::new());
        for _ in 0..random.below(12) {
            let pick = usize::try_from(random.below(COLUMNS.len() as u64)).expect("it is small");
            let (after, event) = event(COLUMNS[pick]);
            now += after;
            let mut actions = Vec::new();
            failover.handle(Moment(now), event, &mut actions);
            given = format!("{given} {}", words(&actions));
        }
        let given: Vec<&str> = given.split_whitespace().collect();
        let state = failover.state_name();
        let fits = match given[..] {
            [] => state == "waiting-for-sync",
            ["unpause"] => state == "no-failover",
            [demotes] => demotes.starts_with("demote:") && state == "failover-in-progress",
            // The role is restored with the end of the pause; the other node is the primary else.
            [_, "restore" | "unpause"] => state == "no-failover",
            [demotes, follows, "unpause"] => {
                let target = demotes.strip_prefix("demote:").expect("it was demoted");
                follows == format!("follow:{target}") && state == "no-failover"
            }
            _ => false,
        };
        assert!(fits, "seed {seed} round {round}: {given:?} {state}");
        assert!(failover.deadline().is_none_or(|deadline| Moment(now) < deadline), "round {round}");
    }
}

#[test]
fn a_replica_that_is_gone_is_no_target() {
    let mut failover = one_in("acked");
    let mut actions = Vec::new();
    failover.handle(Moment(1), Event::Gone(address(1)), &mut actions);
    failover.handle(Moment(2), Event::Fenced(fence()), &mut actions);
    assert!(actions.is_empty());
    // It may come back, or another may.
    failover.handle(Moment(3), native(2, [60, 70]), &mut actions);
    assert_eq!(words(&actions), "demote:2");
}

#[test]
fn a_target_that_is_not_reached_is_given_up_as_soon_as_it_is_asked_for() {
    for (is_asked, expected) in [(false, "restore"), (true, "")] {
        let mut failover = Failover::default();
        let request = Request { reach_ms: Some(1500), ..request("TO 10.0.0.2 1 TIMEOUT 500") };
        let facts = Facts { is_replica: false, replicas: &replicas() };
        failover.start(Moment(0), &request, facts, &mut Vec::new()).expect("it begins");
        let mut events = vec![Event::Fenced(fence()), stock(1, 100)];
        events.extend(is_asked.then_some(Event::Link(News::Asked)));
        for event in events {
            failover.handle(Moment(0), event, &mut Vec::new());
        }
        let mut actions = Vec::new();
        failover.handle(Moment(1499), Event::Tick, &mut actions);
        assert_eq!(words(&actions), "");
        failover.handle(Moment(1500), Event::Tick, &mut actions);
        assert_eq!(words(&actions), expected, "asked: {is_asked}");
    }
}
