//! A primary that is reset beside a client that writes: either it has keys, and is not reset, or
//! nothing was acknowledged.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::client::{Client, Reply};
use crate::nodes::{ask, start};
use crate::servers::{Kind, until};

/// Resets that come before the first write; others are refused.
const RESETS: usize = 3;
/// Most are refused.
const ROUNDS_MAX: usize = 100;
const HAS_KEYS: &str = "ERR CLUSTER RESET can't be called with master nodes containing keys";

#[test]
fn a_reset_drops_nothing_that_was_acknowledged() {
    let node = start(Kind::Keylane(2), &[]);
    let mut done = 0;
    for round in 0..ROUNDS_MAX {
        if done == RESETS {
            break;
        }
        let answer = ask(&node, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        assert!(answer == "OK" || answer.contains("already busy"), "{answer}");
        until("it serves", || ask(&node, &["SET", "key", "value"]) == "OK", || node.output());
        assert_eq!(ask(&node, &["FLUSHALL"]), "OK");
        let (begin, is_over) = (Barrier::new(2), AtomicBool::new(false));
        let mut resetter = node.client();
        let (acknowledged, reset) = thread::scope(|scope| {
            let writer = scope.spawn(|| write(node.client(), &begin, &is_over));
            if round % 2 == 0 {
                begin.wait();
            }
            resetter.send(&["CLUSTER", "RESET", "SOFT"]).expect("it is sent");
            if round % 2 == 1 {
                begin.wait();
            }
            let reset = resetter.receive().expect("it is answered");
            is_over.store(true, Ordering::Relaxed);
            (writer.join().expect("it writes"), reset)
        });
        match reset {
            Reply::Simple(_) => {
                assert_eq!(acknowledged, 0, "round {round}: they are gone");
                done += 1;
            }
            refused => {
                assert_eq!(refused, Reply::Error(HAS_KEYS.into()));
                assert_eq!(ask(&node, &["DBSIZE"]), acknowledged.to_string(), "round {round}");
            }
        }
    }
    assert_eq!(done, RESETS, "none comes before the first write");
}

/// Writes a key after the other until one is refused. How many were not.
fn write(mut client: Client, begin: &Barrier, is_over: &AtomicBool) -> u64 {
    begin.wait();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let key = format!("key:{count}");
        match client.call(&["SET", &key, "value"]).expect("it is answered") {
            Reply::Simple(_) => count += 1,
            Reply::Error(_) => break,
            other => panic!("{other:?}"),
        }
    }
    count
}
