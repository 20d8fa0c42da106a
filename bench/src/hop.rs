//! Letters between threads: what one costs, and how long one takes there and back.

use std::hint::{black_box, spin_loop};
use std::thread;
use std::time::Duration;

use keylane::batches::batch::Batch;
use keylane::mail::mailbox::{Mailbox, connect};
use keylane::mail::to_shard::ToShard;

use crate::runner::Runner;

/// A letter as most are: a batch, here without requests. Its field `next` is its number.
type Letter = ToShard;

/// Letters in one pass.
const LETTERS: u64 = 16 * 1024;
/// Trips of one letter in one pass.
const TRIPS: u64 = 2_000;
/// Looks into an empty mailbox before its thread gives its core away: the two may share one.
const LOOKS: u32 = 1_000;
/// Ends the thread that answers.
const STOP: usize = usize::MAX;

/// The names of the measurements, in their order.
const NAMES: [&str; 4] = [
    "hop: send and receive, shown one by one",
    "hop: send and receive, shown in batches of 16",
    "hop: there and back, both awake",
    "hop: there and back, both woken",
];

/// Measures mailboxes; one operation is one letter, or one trip there and back.
pub fn run(runner: &mut Runner) {
    let [one_by_one, by_16, awake, woken] = NAMES;
    let letters = runner.size(LETTERS);
    for (name, batch) in [(one_by_one, 1), (by_16, 16)] {
        let [mut near, mut far] = pair();
        runner.measure(name, letters, || send_in_batches(&mut near, &mut far, letters, batch));
    }
    let trips = runner.size(TRIPS);
    for (name, next) in [(awake, next_awake as Next), (woken, next_woken as Next)] {
        if !runner.wants(name) {
            continue;
        }
        let [mut near, mut far] = pair();
        thread::scope(|scope| {
            scope.spawn(move || answer(&mut far, next));
            let mut there = Some(letter(0));
            runner.measure(name, trips, || {
                for _ in 0..trips {
                    near.send(1, there.take().expect("the letter came back"));
                    near.flush();
                    there = Some(next(&mut near, 1));
                }
            });
            near.send(1, letter(STOP));
            near.flush();
        });
    }
}

/// Waits for the next letter from a peer.
type Next = fn(&mut Mailbox<ToShard>, usize) -> Letter;

fn pair() -> [Mailbox<ToShard>; 2] {
    let ends = connect(2).expect("eventfds can be had").shards;
    ends.try_into().expect("as many ends as shards")
}

/// A batch of this number.
fn letter(number: usize) -> Letter {
    let mut batch = Box::new(Batch::default());
    batch.next = number;
    ToShard::Batch(batch)
}

/// Both ends in one thread: what the letters cost when their cache lines need not travel.
fn send_in_batches(
    near: &mut Mailbox<ToShard>,
    far: &mut Mailbox<ToShard>,
    letters: u64,
    batch: u64,
) {
    let (mut sent, mut spare) = (0, Vec::new());
    while sent < letters {
        for _ in sent..letters.min(sent + batch) {
            near.send(1, spare.pop().unwrap_or_else(|| letter(0)));
        }
        near.flush();
        while let Some(letter) = far.receive(0) {
            spare.push(black_box(letter));
            sent += 1;
        }
    }
}

fn answer(far: &mut Mailbox<ToShard>, next: Next) {
    loop {
        let letter = next(far, 0);
        if matches!(&letter, ToShard::Batch(batch) if batch.next == STOP) {
            return;
        }
        far.send(0, letter);
        far.flush();
    }
}

fn next_awake(mailbox: &mut Mailbox<ToShard>, from: usize) -> Letter {
    loop {
        for _ in 0..LOOKS {
            if let Some(letter) = mailbox.receive(from) {
                return letter;
            }
            spin_loop();
        }
        thread::yield_now();
    }
}

fn next_woken(mailbox: &mut Mailbox<ToShard>, from: usize) -> Letter {
    loop {
        if let Some(letter) = mailbox.receive(from) {
            return letter;
        }
        if mailbox.sleep() {
            mailbox
                .bell()
                .wait(None, Duration::from_secs(60))
                .expect("an eventfd can be waited for");
        }
        mailbox.awake();
    }
}
