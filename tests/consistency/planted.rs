//! Whether the checker finds faults that were planted, and nothing where there is none.
//!
//! Histories as text: `client called..returned: command; command -> reply; reply`. A time that
//! never comes is `?`. Members of an array stand between brackets.

use shards::base::random::Random;

use crate::checker::{Failure, check};
use crate::client::Reply;
use crate::history::{Event, Words, merged};
use crate::model::State;
use crate::workload::{Kind, Plan, Wishes};

fn judged(lines: &str) -> Result<(), Failure> {
    let events = lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(event);
    check(&merged(vec![events.collect()]))
}

fn passes(lines: &str) {
    judged(lines).unwrap_or_else(|failure| panic!("{lines} was refused: {failure:?}"));
}

fn is_caught(lines: &str) {
    assert!(matches!(judged(lines), Err(Failure::Inexplicable(_))), "{lines} was explained");
}

fn event(line: &str) -> Event {
    let (head, body) = line.split_once(": ").expect("client times: what");
    let (client, times) = head.split_once(' ').expect("client times");
    let (called, returned) = times.split_once("..").expect("from..to");
    let (unit, replies) = body.split_once(" -> ").expect("commands -> replies");
    let unit: Vec<Words> =
        unit.split("; ").map(|c| c.split(' ').map(str::to_string).collect()).collect();
    let replies =
        if returned == "?" { Vec::new() } else { replies.split("; ").map(reply).collect() };
    let client = client.parse().expect("clients are numbers");
    let called = called.parse().expect("times are numbers");
    let returned = returned.parse().ok();
    Event { client, db: 0, called, returned, guard: Vec::new(), unit, replies }
}

fn reply(text: &str) -> Reply {
    match text.as_bytes() {
        [b'+', rest @ ..] => Reply::Simple(rest.to_vec()),
        [b':', ..] => Reply::Integer(text[1..].parse().expect("a number")),
        [b'[', .., b']'] => {
            Reply::Group('*', text[1..text.len() - 1].split(' ').map(reply).collect())
        }
        b"nil" => Reply::NullBulk,
        bulk => Reply::Bulk(bulk.to_vec()),
    }
}

#[test]
fn a_read_sees_what_was_written_before_it_and_nothing_older() {
    passes("0 1..2: SET x 1 -> +OK\n 1 3..4: GET x -> 1");
    passes("0 1..5: SET x 1 -> +OK\n 1 2..3: GET x -> nil\n 1 4..6: GET x -> 1");
    is_caught("0 1..2: SET x 1 -> +OK\n 1 3..4: GET x -> nil");
    is_caught("0 1..2: SET x 1 -> +OK\n 0 3..4: SET x 2 -> +OK\n 1 5..6: GET x -> 1");
    // Seen once, it stays seen: although the write has not returned.
    is_caught("0 1..9: SET x 1 -> +OK\n 1 2..3: GET x -> 1\n 2 4..5: GET x -> nil");
    is_caught("0 1..2: SET x 1 -> +OK\n 1 3..4: GET x -> 7");
}

#[test]
fn what_is_never_answered_may_take_effect_late_and_in_its_clients_order() {
    // The second behind a write of another, the first in front of it.
    let never = "6 1..?: SET x 10 -> ?\n 6 1..?: INCR x -> ?\n";
    passes(&format!("{never} 7 2..4: SET x 5 -> +OK\n 8 5..6: GET x -> 6"));
    passes(&format!("{never} 7 2..4: SET x 5 -> +OK\n 8 5..6: GET x -> 11"));
    is_caught(&format!("{never} 7 2..4: SET x 5 -> +OK\n 8 5..6: GET x -> 7"));
}

#[test]
fn no_update_is_lost() {
    passes("0 1..5: INCR x -> :1\n 1 2..6: INCR x -> :2\n 0 7..8: GET x -> 2");
    is_caught("0 1..5: INCR x -> :1\n 1 2..6: INCR x -> :1");
    is_caught("0 1..5: INCR x -> :1\n 1 2..6: INCR x -> :2\n 0 7..8: GET x -> 1");
    is_caught("0 1..2: APPEND x a -> :1\n 1 3..4: APPEND x b -> :2\n 0 5..6: GET x -> ba");
    is_caught("0 1..2: SET x 1 -> +OK\n 1 3..6: GETSET x 2 -> 1\n 2 4..5: GETSET x 3 -> 1");
}

#[test]
fn no_transaction_is_seen_by_halves() {
    passes(
        "0 1..5: MSET x 1 y 1 -> +OK\n 1 2..3: MGET x y -> [nil nil]\n 2 2..6: MGET y x -> [1 1]",
    );
    is_caught("0 1..5: MSET x 1 y 1 -> +OK\n 1 2..3: MGET x y -> [1 nil]");
    is_caught("0 1..5: MSET x 1 y 1 -> +OK\n 1 2..3: GET x -> 1\n 1 4..5: GET y -> nil");
    is_caught("0 1..5: SET x 1; SET y 1 -> +OK; +OK\n 1 2..3: GET x; GET y -> nil; 1");
    is_caught("0 0..1: SET x 1 -> +OK\n 0 2..5: RENAME x y -> +OK\n 1 3..4: EXISTS x y -> :2");
    is_caught("0 0..1: SET x 1 -> +OK\n 0 2..5: RENAME x y -> +OK\n 1 3..4: MGET x y -> [nil nil]");
    is_caught("0 1..2: MSET x 1 y 1 -> +OK\n 0 3..6: DEL x y -> :2\n 1 4..5: EXISTS x y -> :1");
}

#[test]
fn snapshots_of_independent_writes_can_be_put_in_order() {
    let writes = "0 1..9: SET x 1 -> +OK\n 1 1..9: SET y 1 -> +OK\n";
    passes(&format!("{writes} 2 2..8: MGET x y -> [1 nil]\n 3 2..8: MGET x y -> [1 1]"));
    is_caught(&format!("{writes} 2 2..8: MGET x y -> [1 nil]\n 3 2..8: MGET x y -> [nil 1]"));
}

#[test]
fn a_pipeline_takes_effect_in_its_order() {
    let pipeline = "0 1..9: SET x 1 -> +OK\n 0 1..9: SET y 1 -> +OK\n";
    passes(&format!("{pipeline} 1 2..3: GET y -> nil\n 1 2..3: GET x -> 1"));
    is_caught(&format!("{pipeline} 1 2..3: GET y -> 1\n 1 4..5: GET x -> nil"));
    is_caught(&format!("{pipeline} 1 2..3: GET y -> 1\n 1 2..3: GET x -> nil"));
}

#[test]
fn what_nobody_waited_for_may_happen_late_or_never() {
    let lost = "0 1..?: SET x 1 -> ?\n";
    passes(&format!("{lost} 1 2..3: GET x -> nil"));
    passes(&format!("{lost} 1 2..3: GET x -> nil\n 1 4..5: GET x -> 1"));
    is_caught(&format!("{lost} 1 2..3: GET x -> 1\n 1 4..5: GET x -> nil"));
    // What came behind it in the same pipeline cannot have overtaken it.
    is_caught("0 1..?: SET x 1 -> ?\n 0 1..?: SET y 1 -> ?\n 1 2..3: MGET x y -> [nil 1]");
}

#[test]
fn a_watched_key_was_unchanged() {
    let guarded = |value: &str| {
        let mut guarded = event("0 5..6: SET y 1 -> +OK");
        guarded.guard.push(("x".into(), reply(value)));
        check(&[event("1 1..2: SET x 2 -> +OK"), guarded])
    };
    assert!(guarded("2").is_ok());
    assert!(guarded("nil").is_err());
}

/// A history as a faultless server gives it: each event takes effect at a random moment between
/// its call and its return.
fn faultless(seed: u64, kind: Kind) -> Vec<Event> {
    const CLIENTS: usize = 5;
    let mut random = Random::new(seed);
    let plan = Plan { kind, seed, clients: CLIENTS, acts: 0 };
    let mut wishes: Vec<Wishes> = (0..CLIENTS).map(|client| Wishes::new(plan, client)).collect();
    let mut free_at = [0; CLIENTS];
    let mut state = State::default();
    let mut events = Vec::new();
    for step in 1..=200_u64 {
        let now = step * 100;
        let client = usize::try_from(random.below(5)).expect("below 5");
        let called = free_at[client].max(now.saturating_sub(random.below(300))) + 1;
        if now <= called {
            continue;
        }
        let returned = now + 1 + random.below(300);
        free_at[client] = returned;
        let db = if kind == Kind::Databases { 1 + client % 2 } else { 0 };
        let unit: Vec<Words> = wishes[client].commands(2);
        let run = |words: &Words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            state.run(db, &words)
        };
        let replies = unit.iter().map(run).collect();
        let returned = Some(returned);
        events.push(Event { client, db, called, returned, guard: Vec::new(), unit, replies });
    }
    merged(vec![events])
}

#[test]
fn faultless_histories_pass() {
    for seed in 0..40 {
        for kind in [Kind::Registers, Kind::Keys, Kind::Databases] {
            let verdict = check(&faultless(seed, kind));
            verdict.unwrap_or_else(|failure| panic!("seed {seed}, {kind:?}: {failure:?}"));
        }
    }
}

/// Takes a value that some read saw, and lets a later one see it again although it is gone.
#[test]
fn a_stale_value_in_a_long_history_is_caught() {
    let mut caught = 0;
    for seed in 0..40 {
        let mut events = faultless(seed, Kind::Registers);
        let get = |event: &Event| event.unit.len() == 1 && event.unit[0][0] == "GET";
        let Some(early) = events.iter().position(get) else { continue };
        let (key, seen) = (events[early].unit[0][1].clone(), events[early].replies[0].clone());
        let same = |event: &Event| get(event) && event.unit[0][1] == key;
        let Some(late) = events.iter().rposition(same) else { continue };
        if late == early || events[late].replies[0] == seen || seen == Reply::NullBulk {
            continue;
        }
        events[late].replies[0] = seen;
        assert!(check(&events).is_err(), "seed {seed}: event {late} sees what {early} saw");
        caught += 1;
    }
    assert!(5 < caught, "{caught} histories had such reads");
}

/// Leaves out half of an MSET that another event saw.
#[test]
fn half_an_mset_in_a_long_history_is_caught() {
    let mut caught = 0;
    for seed in 0..60 {
        let mut events = faultless(seed, Kind::Keys);
        let is_mset = |event: &Event| event.unit.len() == 1 && event.unit[0][0] == "MSET";
        let seen_in = |value: &str, event: &Event| {
            event.replies.iter().any(|reply| match reply {
                Reply::Group(_, members) => members.contains(&Reply::Bulk(value.into())),
                other => *other == Reply::Bulk(value.into()),
            })
        };
        let Some(torn) = events.iter().position(|event| {
            is_mset(event) && events.iter().any(|other| seen_in(&event.unit[0][2], other))
        }) else {
            continue;
        };
        // The value is a new one, so nothing else explains that it was seen.
        events[torn].unit[0].drain(1..3);
        assert!(check(&events).is_err(), "seed {seed}: event {torn} is half an MSET");
        caught += 1;
    }
    assert!(5 < caught, "{caught} histories had such writes");
}
