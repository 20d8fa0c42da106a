//! Every event in every state, and what WAIT promises when a primary dies.

mod promise;

use shards::base::random::Random;

use super::*;
use crate::replication::history::Offset;

fn vector(offsets: [u64; 2]) -> Vector {
    Vector::new(offsets.into_iter().map(Offset).collect())
}

/// The fence of a scalar, at half of it in each of two logs.
fn fence(scalar: u64) -> Fence {
    Fence { scalar: Scalar(scalar), vector: vector([scalar / 2, scalar / 2]) }
}

fn stock(scalar: u64) -> Position {
    Position::Stock(Scalar(scalar))
}

fn native(offsets: [u64; 2]) -> Position {
    Position::Native(vector(offsets))
}

fn acked(replica: u64, applied: Position) -> Event {
    Event::Acked(ReplicaId(replica), applied, None)
}

fn durable(replica: u64, applied: u64, durable: u64) -> Event {
    Event::Acked(ReplicaId(replica), stock(applied), Some(stock(durable)))
}

fn wait(id: u64, replicas: u64, until: u64) -> Event {
    let until = (until != 0).then_some(Moment(until));
    Event::Wait(WaitId(id), Needs::Applied(replicas), Patience::Until(until))
}

fn waitaof(id: u64, local: u64, replicas: u64, until: u64) -> Event {
    let until = (until != 0).then_some(Moment(until));
    Event::Wait(WaitId(id), Needs::Durable { local, replicas }, Patience::Until(until))
}

fn written(ticket: u64, scalar: u64) -> Event {
    Event::FenceWritten(Ticket(ticket), fence(scalar))
}

/// Actions in words: `ask 1`, `7 has 2`, `7 has 1+2`, `7 unblocked`.
fn words(actions: &[Action]) -> String {
    let word = |action: &Action| match action {
        Action::AskFence(Ticket(ticket)) => format!("ask {ticket}"),
        Action::Answer(WaitId(id), Count::Applied(count)) => format!("{id} has {count}"),
        Action::Answer(WaitId(id), Count::Durable { local, replicas }) => {
            format!("{id} has {local}+{replicas}")
        }
    };
    actions.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Goes through events, each with its moment and what it leads to. Replicas 1 and 2 are online.
#[track_caller]
fn check(steps: &[(u64, Event, &str)]) -> Acks {
    let mut acks = Acks::default();
    for replica in [1, 2] {
        acks.handle(Moment(0), Event::Joined(ReplicaId(replica)), &mut Vec::new());
    }
    for (at, event, expected) in steps {
        let mut actions = Vec::new();
        acks.handle(Moment(*at), event.clone(), &mut actions);
        assert_eq!(words(&actions), *expected, "{event:?} at {at}");
    }
    acks
}

/// The events that lead to a state, in which 7 waits for one replica until 50.
fn way_to(state: &str) -> Vec<(u64, Event, &'static str)> {
    let first = (1, wait(6, 9, 0), "ask 1");
    match state {
        "idle" => vec![],
        "asked" => vec![(1, wait(7, 1, 50), "ask 1")],
        "queued" => vec![first, (1, wait(7, 1, 50), "")],
        "fenced" => vec![(1, wait(7, 1, 50), "ask 1"), (1, written(1, 100), "")],
        other => panic!("{other} is no state"),
    }
}

/// What each event leads to in each state; `.` is nothing.
const PAIRS: &str = "
state  | tick | late    | wait  | written | other | acked
idle   | .    | .       | ask 1 | .       | .     | .
asked  | .    | 7 has 0 | .     | .       | .     | .
queued | .    | 7 has 0 | .     | ask 2   | .     | .
fenced | .    | 7 has 0 | ask 2 | .       | .     | 7 has 1

state  | early | gone | left | new
idle   | .     | .    | .    | .
asked  | .     | .    | .    | ask 2
queued | .     | .    | .    | ask 2
fenced | .     | .    | .    | ask 2
";

#[test]
fn every_event_has_its_answer_in_every_state() {
    let mut seen = 0;
    for table in PAIRS.trim().split("\n\n") {
        let cells = |line: &'static str| line.split('|').map(str::trim).collect::<Vec<_>>();
        let mut lines = table.lines().map(cells);
        let head = lines.next().expect("it has a head");
        for row in lines {
            for (column, expected) in head.iter().zip(&row).skip(1) {
                let mut steps = way_to(row[0]);
                let (at, event) = event(column);
                steps.push((at, event, if *expected == "." { "" } else { expected }));
                check(&steps);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4 * 10);
}

/// An event by its column, and when it happens.
fn event(column: &str) -> (u64, Event) {
    match column {
        "tick" => (49, Event::Tick),
        "late" => (50, Event::Tick),
        "wait" => (2, wait(8, 1, 0)),
        "written" => (2, written(1, 100)),
        "other" => (2, written(9, 100)),
        "acked" => (2, acked(1, stock(100))),
        "early" => (2, acked(1, stock(99))),
        "gone" => (2, Event::Gone(ReplicaId(1))),
        "left" => (2, Event::ClientGone(WaitId(7))),
        "new" => (2, Event::NewHistory),
        other => panic!("{other} is no column"),
    }
}

#[test]
fn one_fence_serves_all_that_came_before_it_was_asked_for() {
    check(&[
        (1, wait(1, 1, 0), "ask 1"),
        (2, wait(2, 1, 0), ""),
        (3, wait(3, 2, 0), ""),
        (4, written(1, 100), "ask 2"),
        (5, acked(1, stock(100)), "1 has 1"),
        // The others came while the first fence was under way: it may not have their writes.
        (6, written(2, 200), ""),
        (7, acked(1, stock(199)), ""),
        (8, acked(1, stock(200)), "2 has 1"),
        (9, acked(2, native([100, 99])), ""),
        (10, acked(2, native([100, 100])), "3 has 2"),
    ]);
}

#[test]
fn an_ack_may_come_before_the_news_that_the_fence_is_written() {
    check(&[
        (1, wait(1, 1, 0), "ask 1"),
        (2, acked(2, stock(150)), ""),
        (3, written(1, 100), "1 has 1"),
    ]);
}

#[test]
fn a_native_replica_counts_by_all_of_its_logs() {
    let acks = check(&[
        (1, wait(1, 1, 0), "ask 1"),
        (2, written(1, 100), ""),
        (3, acked(1, native([1000, 49])), ""),
        (4, acked(2, Position::Native(Vector::new(vec![Offset(1000)]))), ""),
        (5, acked(1, native([50, 50])), "1 has 1"),
    ]);
    assert!(!acks.all_cover(&fence(100)), "the second has but one log");
}

#[test]
fn a_replica_that_is_gone_counts_no_more() {
    check(&[
        (1, wait(1, 2, 90), "ask 1"),
        (2, written(1, 100), ""),
        (3, acked(1, stock(100)), ""),
        (4, Event::Gone(ReplicaId(1)), ""),
        (5, acked(2, stock(100)), ""),
        (5, acked(1, stock(100)), ""),
        (90, Event::Tick, "1 has 1"),
    ]);
}

#[test]
fn durable_offsets_are_kept_apart() {
    check(&[
        (1, wait(1, 2, 0), "ask 1"),
        (2, waitaof(2, 1, 1, 0), ""),
        (3, written(1, 100), "ask 2"),
        (4, written(2, 100), ""),
        (5, durable(1, 100, 99), ""),
        (6, Event::LocalDurable(native([50, 50])), ""),
        (7, acked(2, stock(100)), "1 has 2"),
        (8, durable(1, 100, 100), "2 has 1+1"),
    ]);
    check(&[
        (1, waitaof(1, 1, 1, 9), "ask 1"),
        (2, written(1, 100), ""),
        (3, durable(1, 100, 100), ""),
        (9, Event::Tick, "1 has 0+1"),
    ]);
}

#[test]
fn at_once_is_with_what_is_known() {
    let at_once = |needs| Event::Wait(WaitId(3), needs, Patience::AtOnce(fence(100)));
    check(&[
        (1, durable(1, 100, 40), ""),
        (1, acked(2, native([50, 49])), ""),
        (2, at_once(Needs::Applied(5)), "3 has 1"),
        (2, at_once(Needs::Durable { local: 0, replicas: 0 }), "3 has 0+0"),
        (3, Event::LocalDurable(native([60, 60])), ""),
        (3, at_once(Needs::Durable { local: 1, replicas: 0 }), "3 has 1+0"),
    ]);
}

#[test]
fn a_client_that_left_is_not_answered() {
    let acks = check(&[
        (1, wait(1, 1, 50), "ask 1"),
        (2, wait(2, 1, 60), ""),
        (3, Event::ClientGone(WaitId(1)), ""),
        (3, Event::ClientGone(WaitId(2)), ""),
        (4, written(1, 100), ""),
        (5, acked(1, stock(100)), ""),
        (70, Event::Tick, ""),
    ]);
    assert!(acks.fences.is_empty() && acks.waits.is_empty() && acks.deadline().is_none());
}

#[test]
fn a_new_history_asks_for_a_new_fence() {
    check(&[
        (1, wait(1, 1, 0), "ask 1"),
        (2, written(1, 100), ""),
        (3, wait(2, 1, 0), "ask 2"),
        (4, Event::NewHistory, "ask 3"),
        (5, written(2, 10), ""),
        (6, acked(1, stock(100)), ""),
        (7, written(3, 120), ""),
        (8, acked(1, stock(120)), "1 has 1, 2 has 1"),
    ]);
}

#[test]
fn a_deadline_in_the_past_is_answered_at_once() {
    check(&[(9, wait(1, 1, 9), "ask 1, 1 has 0"), (10, written(1, 100), "")]);
}

#[test]
fn good_replicas_were_heard_of_lately() {
    let acks = check(&[
        (10_000, acked(1, stock(1)), ""),
        (12_000, acked(2, stock(1)), ""),
        (12_000, acked(9, stock(1)), ""),
    ]);
    for (now, seconds, expected) in
        [(12_000, 1, 1), (12_000, 2, 2), (12_999, 0, 1), (13_000, 0, 0), (13_000, 10, 2)]
    {
        assert_eq!(acks.good(Moment(now), seconds), expected, "{now} {seconds}");
    }
}

/// Whatever happens: a client is answered once at most, and nothing is left of it then.
#[test]
fn chance_answers_each_client_once() {
    let seed = 31;
    let mut random = Random::new(seed);
    for round in 0..3000 {
        let mut acks = Acks::default();
        let (mut answered, mut asked) = (BTreeSet::new(), Vec::new());
        for id in 0..60 {
            let (now, scalar) = (Moment(id * 10), id * 10 + random.below(20));
            let some = random.below(4);
            let event = match random.below(12) {
                0 => Event::Joined(ReplicaId(some)),
                1 => Event::Gone(ReplicaId(some)),
                2 | 3 => wait(id, some, id * 10 * random.below(2) + random.below(90)),
                4 => waitaof(id, some % 2, some, 0),
                5 | 6 => match asked.pop() {
                    Some(ticket) => Event::FenceWritten(ticket, fence(id * 10)),
                    None => Event::Tick,
                },
                7 => Event::LocalDurable(stock(scalar)),
                8 => Event::ClientGone(WaitId(random.below(id + 1))),
                9 if some == 0 => Event::NewHistory,
                9 => durable(some, scalar, scalar / 2),
                _ => acked(some, stock(scalar)),
            };
            let mut actions = Vec::new();
            acks.handle(now, event.clone(), &mut actions);
            for action in actions {
                match action {
                    Action::AskFence(ticket) => asked.push(ticket),
                    Action::Answer(id, _) => {
                        assert!(answered.insert(id), "seed {seed} round {round}: {event:?}");
                        assert!(!acks.waits.contains_key(&id), "seed {seed} round {round}");
                    }
                }
            }
            let fenced = acks.fences.values().flat_map(|group| &group.waits);
            assert!(fenced.into_iter().all(|id| acks.waits.contains_key(id)), "round {round}");
            assert!(acks.fences.values().all(|group| !group.waits.is_empty()), "round {round}");
            assert!(acks.deadlines.len() <= acks.waits.len(), "seed {seed} round {round}");
        }
    }
}
