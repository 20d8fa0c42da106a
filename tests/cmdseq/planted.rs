//! Faults that a proxy plants are found, each by the check that is there for it.

use std::time::Duration;

use crate::arena::{Arena, Subject};
use crate::checks::{Check, Rules};
use crate::plan::{Act, Request};
use crate::proxy::{Fault, start};

/// How long a reply may take here: it will not come.
const PATIENCE: Duration = Duration::from_secs(1);

fn send(slot: usize, requests: &[Request]) -> Act {
    Act::Send { slot, requests: requests.to_vec(), cut: None }
}

fn plain(line: &str) -> Request {
    Request::Plain(line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
}

/// What is found when a sequence is played through a proxy.
fn found(fault: Fault, acts: &[Act]) -> Option<Check> {
    let mut arena = Arena::new(Subject::Shards(2));
    let proxy = start(arena.address(), fault).expect("there is a free port");
    let played = arena.play(acts, &Rules::default(), PATIENCE, Some(&proxy));
    played.err().map(|violation| violation.check)
}

/// Without the fault nothing is found, with it this check fails.
#[track_caller]
fn check(fault: Fault, check: Check, acts: &[Act]) {
    assert_eq!((found(Fault::None, acts), found(fault, acts)), (None, Some(check)), "{fault:?}");
}

#[test]
fn a_reply_that_is_missing_is_found() {
    let fault = Fault::Reply("+PONG\r\n", "");
    check(fault, Check::Replies, &[send(0, &[plain("SET k0 v"), plain("PING"), plain("GET k0")])]);
}

#[test]
fn a_reply_too_many_is_found() {
    let fault = Fault::Reply("+PONG\r\n", "+PONG\r\n+PONG\r\n");
    check(fault, Check::Replies, &[send(0, &[plain("PING")]), Act::WaitMs(20)]);
}

#[test]
fn a_reply_that_is_none_is_found() {
    check(Fault::Reply("+PONG", "?PONG"), Check::Frames, &[send(0, &[plain("PING")])]);
    check(Fault::Reply("+PONG", "#t\r\n_"), Check::Frames, &[send(0, &[plain("PING")])]);
}

#[test]
fn a_request_that_is_done_twice_is_found() {
    let incr = "*2\r\n$4\r\nINCR\r\n$8\r\nown0:100\r\n";
    let fault = Fault::Request("*1\r\n$4\r\nPING\r\n", incr);
    let acts = [send(0, &[Request::Count(0), plain("PING"), Request::Count(0)])];
    check(fault, Check::Counters, &acts);
    // Also if it is the last.
    let acts = [send(0, &[Request::Count(0), plain("PING")])];
    check(fault, Check::Counters, &acts);
}

#[test]
fn half_a_transaction_is_found() {
    let fault = Fault::Request("right:100", "wrong:100");
    check(fault, Check::Atomic, &[send(0, &[Request::Pair]), send(0, &[Request::Pair])]);
    let fault = Fault::Request("alike:3\r\n$1\r\n7", "alike:3\r\n$1\r\n8");
    let acts = [send(0, &[Request::SetAlike(7)]), send(1, &[Request::GetAlike])];
    check(fault, Check::Atomic, &acts);
}

#[test]
fn a_client_that_stays_is_found() {
    check(Fault::KeepsOpen, Check::Ghosts, &[send(0, &[plain("PING")]), Act::Close(0)]);
}

#[test]
fn a_connection_that_is_cut_is_found() {
    let quit = Fault::Request("*1\r\n$4\r\nPING\r\n", "*1\r\n$4\r\nQUIT\r\n");
    check(quit, Check::Kept, &[send(0, &[plain("PING")]), Act::WaitMs(100)]);
}

#[test]
fn a_connection_that_is_not_closed_is_found() {
    let fault = Fault::Request("*1\r\n$4\r\nQUIT\r\n", "*1\r\n$4\r\nPING\r\n");
    check(fault, Check::Closes, &[send(0, &[Request::Quit])]);
}

#[test]
fn half_closes_that_are_not_answered_are_found() {
    let waits = Request::Pausing(vec![b"CLIENT".to_vec(), b"PAUSE".to_vec(), b"1".to_vec()]);
    let fault = Fault::CutsHalfClosed("PING");
    let acts = [send(0, &[plain("PING"), Request::Count(0), Request::Pair]), Act::HalfClose(0)];
    assert_eq!(found(fault, &acts), Some(Check::HalfClose));
    // Those that CLIENT PAUSE holds may be cut.
    let acts = [send(1, &[waits]), acts[0].clone(), acts[1].clone()];
    assert_eq!(found(fault, &acts), None);
}
