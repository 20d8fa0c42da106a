//! Every event in every state.

use super::rig::Rig;

const STATES: [&str; 14] = [
    "idle",
    "connecting",
    "greeting",
    "asking",
    "header",
    "body",
    "whole",
    "committing",
    "superseded",
    "offered",
    "chunks",
    "brought",
    "following",
    "waiting",
];

const EVENTS: [&str; 19] = [
    "same",
    "other",
    "failover",
    "plainly",
    "unfollow",
    "connected",
    "connect-failed",
    "garbage",
    "closed",
    "full",
    "room",
    "moved",
    "brought",
    "staged",
    "staging-failed",
    "committed",
    "applied",
    "tick",
    "late",
];

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let mut found = String::new();
    for state in STATES {
        for event in EVENTS {
            let mut rig = Rig::at(state);
            let before = rig.status();
            rig.happen(event);
            let (after, said) = (rig.status(), rig.said());
            if before != after || !said.is_empty() {
                found.push_str(&format!("{state}, {event}: {after}; {said}"));
                found.truncate(found.trim_end().len());
                found.push('\n');
            }
        }
    }
    for (found, expected) in found.lines().zip(TABLE.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), TABLE.lines().count(), "\n{found}");
}

/// State, event, the state behind it, and what is asked for. What is not here changes no state and
/// asks for nothing.
const TABLE: &str = "\
idle, same: connecting; connect1:1
idle, other: connecting; connect1:2
idle, failover: connecting; connect1:1
connecting, other: connecting; shut1 connect3:2
connecting, failover: connecting; shut1 connect3:1
connecting, unfollow: idle; shut1
connecting, connected: greeting; send[PING]
connecting, connect-failed: waiting; shut1
connecting, closed: waiting; shut1
connecting, late: waiting; shut1
greeting, other: connecting; shut1 connect3:2
greeting, failover: connecting; shut1 connect3:1
greeting, unfollow: idle; shut1
greeting, garbage: waiting; shut1
greeting, closed: waiting; shut1
greeting, late: waiting; shut1
asking, other: connecting; shut1 connect3:2
asking, failover: connecting; shut1 connect3:1
asking, unfollow: idle; shut1
asking, garbage: waiting; shut1
asking, closed: waiting; shut1
asking, late: waiting; shut1
header, other: connecting; shut1 connect3:2
header, failover: connecting; shut1 connect3:1
header, unfollow: idle; shut1
header, garbage: waiting; shut1
header, closed: waiting; shut1
header, late: waiting; shut1
body, other: connecting; drop1 shut1 connect3:2
body, failover: connecting; drop1 shut1 connect3:1
body, unfollow: idle; drop1 shut1
body, closed: waiting; drop1 shut1
body, staging-failed: waiting; drop1 shut1
body, late: waiting; drop1 shut1
whole, other: connecting; drop1 shut1 connect3:2
whole, failover: connecting; drop1 shut1 connect3:1
whole, unfollow: idle; drop1 shut1
whole, closed: receiving; shut1
whole, staged: committing; commit1:500
whole, staging-failed: waiting; drop1 shut1
whole, late: receiving; send[beat]
committing, other: committing; shut1
committing, unfollow: committing; shut1
committing, closed: committing; shut1
committing, committed: following; send[ack 500] read
committing, late: committing; send[beat]
superseded, committed: connecting; connect3:2
offered, other: connecting; drop1 shut1 connect3:2
offered, failover: connecting; drop1 shut1 connect3:1
offered, unfollow: idle; drop1 shut1
offered, garbage: waiting; drop1 shut1
offered, closed: waiting; drop1 shut1
offered, brought: committing; hold end commit1:500
offered, staging-failed: waiting; drop1 shut1
offered, late: waiting; drop1 shut1
chunks, other: connecting; drop1 shut1 connect3:2
chunks, failover: connecting; drop1 shut1 connect3:1
chunks, unfollow: idle; drop1 shut1
chunks, garbage: waiting; drop1 shut1
chunks, closed: waiting; drop1 shut1
chunks, brought: committing; hold end commit1:500
chunks, staging-failed: waiting; drop1 shut1
chunks, late: waiting; drop1 shut1
brought, other: committing; shut1
brought, unfollow: committing; shut1
brought, closed: committing; shut1
brought, committed: following; send[ack 500] read
brought, late: committing; send[beat]
following, other: connecting; shut1 connect3:2
following, failover: connecting; shut1 connect3:1
following, unfollow: idle; shut1
following, garbage: waiting; shut1
following, closed: waiting; shut1
following, late: waiting; shut1
waiting, same: connecting; connect3:1
waiting, other: connecting; connect3:2
waiting, failover: connecting; connect3:1
waiting, unfollow: idle;
waiting, late: connecting; connect3:1
";
