//! Every row of the table, what time does, and a world of nodes that are told, cut off, crash and
//! come back: in the end both ends of each link agree.

mod world;

use super::*;
use world::World;

fn primary(port: u16) -> Primary {
    Primary { host: "h".to_owned(), port }
}

fn lost() -> crate::cluster::ids::NodeId {
    crate::cluster::ids::NodeId::of_random([7; 20])
}

fn goals() -> [(&'static str, Goal); 5] {
    [
        ("unset", Goal::Unset),
        ("lead", Goal::Lead),
        ("leave", Goal::Leave),
        ("follow", Goal::Follow(primary(1))),
        ("lost", Goal::Lost(lost())),
    ]
}

fn standings() -> [(&'static str, Standing); 6] {
    let down = || Link::Down(Some("refused".to_owned()));
    [
        ("leads", Standing::Leads),
        ("ends", Standing::Ends),
        ("left", Standing::Left),
        ("up", Standing::Follows(primary(1), Link::Up)),
        ("down", Standing::Follows(primary(1), down())),
        ("other", Standing::Follows(primary(2), Link::Up)),
    ]
}

/// What a machine with this goal does about this standing, and its state then.
fn row(goal: &Goal, standing: &Standing) -> String {
    let (mut machine, mut actions) = (Reconciler::default(), Vec::new());
    machine.handle(Moment(0), Event::Goal(goal.clone()), &mut actions);
    let observed = Observed { standing: standing.clone(), strangers: Vec::new() };
    machine.handle(Moment(0), Event::Observed(observed), &mut actions);
    let actions: Vec<String> = actions.iter().map(|action| format!("{action:?}")).collect();
    let does = actions.join(" ").split([' ', '(']).next().unwrap_or_default().to_owned();
    format!("{} {}", if does.is_empty() { "-" } else { &does }, machine.state().name())
}

#[test]
fn every_goal_meets_every_standing_by_the_table() {
    const ROWS: &[(&str, &str, &str)] = &[
        ("unset", "leads up down other", "- in_sync"),
        ("unset", "ends", "- pending"),
        ("unset", "left", "Promote pending"),
        ("lead", "leads", "- in_sync"),
        ("lead", "ends", "- pending"),
        ("lead", "left", "Promote pending"),
        ("lead", "up down other", "Unfollow pending"),
        ("leave", "leads left", "- in_sync"),
        ("leave", "ends", "- pending"),
        ("leave", "up down other", "Unfollow pending"),
        ("follow", "leads ends left other", "Follow pending"),
        ("follow", "up", "- in_sync"),
        ("follow", "down", "- failed"),
        ("lost", "leads ends left up down other", "- failed"),
    ];
    for (name, goal) in goals() {
        for (of, standing) in standings() {
            let is_met = |row: &&(&str, &str, &str)| {
                row.0 == name && row.1.split(' ').any(|word| word == of)
            };
            let rows: Vec<_> = ROWS.iter().filter(is_met).collect();
            let [(_, _, expected)] = rows.as_slice() else { panic!("{name}, {of}: {rows:?}") };
            assert_eq!(row(&goal, &standing), *expected, "{name}, {of}");
        }
    }
}

/// A machine that is to follow, and what it does about `standing` at each of these moments.
fn tries(moments: &[u64], standing: &Standing) -> Vec<u64> {
    let (mut machine, mut actions) = (Reconciler::default(), Vec::new());
    machine.handle(Moment(0), Event::Goal(Goal::Follow(primary(1))), &mut actions);
    let acts = |at: &&u64| {
        let mut actions = Vec::new();
        let observed = Observed { standing: standing.clone(), strangers: Vec::new() };
        machine.handle(Moment(**at), Event::Observed(observed), &mut actions);
        !actions.is_empty()
    };
    moments.iter().filter(acts).copied().collect()
}

#[test]
fn what_has_no_effect_is_tried_again_ever_more_rarely() {
    let moments: Vec<u64> = (0..6000).collect();
    let expected = [0, 100, 300, 700, 1500, 2500, 3500, 4500, 5500];
    assert_eq!(tries(&moments, &Standing::Left), expected);
    assert_eq!(tries(&moments, &Standing::Follows(primary(1), Link::Up)), [0; 0]);
}

#[test]
fn a_kick_or_another_goal_waits_for_no_retry() {
    let observed = || Event::Observed(Observed { standing: Standing::Left, strangers: vec![7] });
    for (label, event, count) in [
        ("nothing", None, 0),
        ("a kick", Some(Event::Kick), 2),
        ("the same goal", Some(Event::Goal(Goal::Lead)), 0),
        ("another goal", Some(Event::Goal(Goal::Follow(primary(2)))), 2),
    ] {
        let (mut machine, mut actions) = (Reconciler::default(), Vec::new());
        machine.handle(Moment(0), Event::Goal(Goal::Lead), &mut actions);
        machine.handle(Moment(0), observed(), &mut actions);
        assert_eq!(actions, [Action::Promote, Action::Cut(vec![7])], "{label}");
        assert_eq!(machine.deadline(), Some(Moment(100)), "{label}");
        actions.clear();
        if let Some(event) = event {
            machine.handle(Moment(10), event, &mut actions);
        }
        machine.handle(Moment(10), observed(), &mut actions);
        assert_eq!(actions.len(), count, "{label}: {actions:?}");
    }
}

#[test]
fn what_is_shown_tells_since_when_and_why() {
    let (mut machine, mut actions) = (Reconciler::default(), Vec::new());
    machine.handle(Moment(0), Event::Goal(Goal::Follow(primary(1))), &mut actions);
    let mut look = |machine: &mut Reconciler, at: u64, standing: Standing, strangers: Vec<u64>| {
        let observed = Event::Observed(Observed { standing, strangers });
        machine.handle(Moment(at), observed, &mut actions);
        let error = machine.last_error().unwrap_or_default().to_owned();
        (machine.state().name(), error, machine.pending_ms(Moment(at)))
    };
    let follows = |link| Standing::Follows(primary(1), link);
    let refused = || Link::Down(Some("refused".to_owned()));
    let shown = |state, error: &str, millis| (state, error.to_owned(), millis);
    let none = Vec::new;
    let seen = look(&mut machine, 5, Standing::Leads, none());
    assert_eq!(seen, shown("pending", "", 0));
    let seen = look(&mut machine, 9, follows(Link::Down(None)), none());
    assert_eq!(seen, shown("pending", "", 4));
    let seen = look(&mut machine, 20, follows(refused()), none());
    assert_eq!(seen, shown("failed", "refused", 15));
    let seen = look(&mut machine, 30, follows(Link::Down(None)), none());
    assert_eq!(seen, shown("failed", "refused", 25), "the next attempt has not succeeded yet");
    let seen = look(&mut machine, 40, follows(Link::Up), none());
    assert_eq!(seen, shown("in_sync", "", 0));
    let seen = look(&mut machine, 50, follows(Link::Up), vec![1]);
    assert_eq!(seen, shown("pending", "", 0), "a stranger is attached");
    let seen = look(&mut machine, 60, follows(Link::Up), none());
    assert_eq!(seen, shown("in_sync", "", 0));
}

#[test]
fn both_ends_agree_at_last_whatever_has_happened() {
    for seed in 0..300 {
        World::new(seed, 2 + seed % 9).play();
    }
}

#[test]
fn of_54_nodes_half_may_be_out_of_reach_at_first() {
    for seed in 0..10 {
        World::new(seed, 54).play();
    }
}
