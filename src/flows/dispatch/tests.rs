//! Units that go to shards, and what waits for what.

use shards::resp::request;

use super::*;
use crate::flows::testing::routing;
use crate::replication::history::Scalar;
use crate::replication::split::Split;

const SHARDS: u16 = 3;
const DATABASES: usize = 4;

/// A dispatch, and the stream in front of it.
struct Rig {
    dispatch: Dispatch<Scalar>,
    split: Split,
    /// Batches that shards have and have not answered.
    sent: Vec<(usize, BatchNumber)>,
}

impl Rig {
    fn new() -> Self {
        let routing = routing(SHARDS, 5);
        Self {
            dispatch: Dispatch::new(Source::Relay, routing, DATABASES),
            split: Split::new(Scalar(0), 0, u64::MAX, usize::MAX),
            sent: Vec::new(),
        }
    }

    /// A key of a shard.
    fn key(&self, shard: u16) -> String {
        let Routing { slots, seed, .. } = &self.dispatch.routing;
        let keys = (0..).map(|number| format!("k{number}"));
        let mut keys = keys.filter(|key| slots.owner(seed.key_hash(key.as_bytes())) == shard);
        keys.next().unwrap()
    }

    /// Takes commands of the stream; a word `@1` stands for a key of shard 1.
    fn take(&mut self, commands: &[&str]) -> Result<(), String> {
        for command in commands {
            let words = command.split(' ').map(|word| match word.strip_prefix('@') {
                Some(shard) => self.key(shard.parse().unwrap()),
                None => word.to_owned(),
            });
            let words: Vec<String> = words.collect();
            self.split.push(&request::encode(&words));
            while self.split.advance().unwrap() {
                let unit = self.split.unit().unwrap();
                self.dispatch.take(&unit, unit.offset)?;
            }
        }
        Ok(())
    }

    /// Sends what need not wait: a line for each batch, with its shard, database and commands.
    fn send(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        self.dispatch.send(|shard, batch| sent.push((shard, batch)));
        sent.sort_by_key(|(shard, _)| *shard);
        let mut lines = Vec::new();
        for (shard, batch) in sent {
            self.sent.push((shard, batch.applies.unwrap().number));
            lines.push(format!("{shard}/{}: {}", batch.passport.db, names(&batch)));
        }
        lines
    }

    /// A shard answers the batch that it was sent first.
    fn answer(&mut self, shard: usize) {
        let at = self.sent.iter().position(|(at, _)| *at == shard).unwrap();
        self.dispatch.answered(self.sent.remove(at).1);
    }

    fn applied(&self) -> u64 {
        self.dispatch.applied(self.split.received()).0
    }
}

fn names(batch: &Batch) -> String {
    let name = |parsed: &Parsed| parsed.call.unwrap().spec.name;
    let words: Vec<&str> = match &batch.at {
        At::Exec(exec) => exec.multi.commands().map(name).collect(),
        _ => batch.requests.iter().map(name).collect(),
    };
    let is_exec = matches!(batch.at, At::Exec(_));
    if is_exec { format!("exec({})", words.join(" ")) } else { words.join(" ") }
}

#[test]
fn commands_of_one_shard_travel_together_unless_their_databases_differ() {
    let mut rig = Rig::new();
    rig.take(&["SET @0 1", "INCR @1", "DEL @0", "SELECT 2", "SET @0 1", "BLPOP @0 1"]).unwrap();
    assert_eq!(rig.send(), ["0/0: set del", "0/2: set", "0/2: exec(blpop)", "1/0: incr"]);
}

#[test]
fn a_transaction_keeps_its_databases() {
    let mut rig = Rig::new();
    rig.take(&["SELECT 1", "MULTI", "SET @2 1", "SELECT 3", "SET @2 1", "EXEC"]).unwrap();
    assert_eq!(rig.send(), ["2/1: exec(set select set)"]);
}

#[test]
fn a_unit_of_several_shards_waits_for_what_is_before_it_and_other_shards_go_on() {
    let mut rig = Rig::new();
    rig.take(&["SET @0 1", "MSET @0 1 @1 2", "SET @1 3", "SET @2 4"]).unwrap();
    assert_eq!(rig.send(), ["0/0: set", "2/0: set"]);
    rig.answer(2);
    assert_eq!(rig.send(), [""; 0]);
    rig.answer(0);
    assert_eq!(rig.send(), ["0/0: mset set"]);
    rig.take(&["SET @0 5", "SET @1 6"]).unwrap();
    assert_eq!(rig.send(), [""; 0], "what follows waits for it");
    rig.answer(0);
    assert_eq!(rig.send(), ["0/0: set", "1/0: set"]);
}

#[test]
fn units_join_a_gate_that_waits_and_is_the_last_of_their_lanes() {
    let mut rig = Rig::new();
    rig.take(&["SET @0 1"]).unwrap();
    rig.send();
    rig.take(&["SINTERSTORE @0 @1", "SELECT 2", "MSET @1 1 @0 1"]).unwrap();
    rig.take(&["SET @1 1", "SET @2 1"]).unwrap();
    // A lane that the gate does not stand in, or something behind it, needs another one.
    rig.take(&["MSET @1 1 @2 1"]).unwrap();
    assert_eq!(rig.send(), ["2/2: set"]);
    rig.answer(0);
    assert_eq!(rig.send(), ["0/0: exec(sinterstore select mset set)"]);
    rig.take(&["SET @0 2"]).unwrap();
    rig.answer(2);
    assert_eq!(rig.send(), [""; 0]);
    rig.answer(0);
    assert_eq!(rig.send(), ["0/2: set", "1/2: mset"]);
}

#[test]
fn commands_that_fall_apart_travel_together_unless_their_databases_differ() {
    let mut rig = Rig::new();
    rig.take(&["SET @0 1"]).unwrap();
    rig.send();
    rig.take(&["MSET @0 1 @1 1", "DEL @0 @1", "SELECT 1", "DEL @0 @1", "RENAME @0 @1"]).unwrap();
    rig.answer(0);
    assert_eq!(rig.send(), ["0/0: mset del"]);
    rig.answer(0);
    assert_eq!(rig.send(), ["0/1: del"]);
    rig.answer(0);
    assert_eq!(rig.send(), ["0/1: exec(rename)"]);
}

#[test]
fn what_is_in_front_of_the_first_unanswered_unit_is_applied() {
    let mut rig = Rig::new();
    rig.take(&["PING"]).unwrap();
    let (first, all) = (rig.applied(), |rig: &Rig| rig.split.received().0);
    assert_eq!(first, all(&rig));
    rig.take(&["SET @0 1"]).unwrap();
    let second = all(&rig);
    rig.take(&["SET @1 1"]).unwrap();
    rig.send();
    assert_eq!(rig.applied(), first);
    rig.answer(1);
    assert_eq!(rig.applied(), first, "the one before it is under way");
    rig.answer(0);
    assert_eq!(rig.applied(), all(&rig));
    assert!(second < all(&rig) && rig.dispatch.is_empty());
}

#[test]
fn everything_waits_for_a_command_on_all_keys() {
    let mut rig = Rig::new();
    rig.take(&["SET @2 1", "FLUSHALL"]).unwrap();
    assert_eq!(rig.send(), ["2/0: set"]);
    rig.answer(2);
    assert_eq!(rig.send(), ["0/0: exec(flushall)"]);
}

#[test]
fn what_cannot_be_applied_is_refused_whole() {
    for (commands, why) in [
        (&["NOSUCH a"][..], "unknown command 'NOSUCH'"),
        (&["SET a"], "wrong number of arguments for 'SET'"),
        (&["SELECT 4", "SET a 1"], "there is no database 4 (raise `databases`?)"),
        (&["MULTI", "SET a 1", "NOSUCH", "EXEC"], "unknown command 'NOSUCH'"),
    ] {
        let mut rig = Rig::new();
        assert_eq!(rig.take(commands), Err(why.to_owned()));
        assert!(rig.dispatch.is_empty() && rig.send().is_empty());
    }
}

#[test]
fn units_wait_outside_when_too_much_is_under_way() {
    let mut rig = Rig::new();
    let value = "x".repeat(BYTES_MAX / 2);
    rig.take(&[&format!("SET @0 {value}")]).unwrap();
    assert!(!rig.dispatch.is_full());
    rig.take(&[&format!("SET @1 {value}")]).unwrap();
    assert!(rig.dispatch.is_full());
    rig.send();
    rig.answer(0);
    assert!(!rig.dispatch.is_full());
}

/// Batches answered in any order: each shard gets its commands in the order of the stream.
#[test]
fn each_shard_gets_its_commands_in_the_order_of_the_stream() {
    let seed = 11;
    let mut random = shards::base::random::Random::new(seed);
    let mut rig = Rig::new();
    let mut taken = 0;
    let mut last = [0_u64; SHARDS as usize];
    while taken < 2000 || !rig.dispatch.is_empty() {
        if taken < 2000 {
            let (one, two) = (random.below(SHARDS.into()), random.below(SHARDS.into()));
            let command = match random.below(8) {
                0 => "FLUSHALL".to_owned(),
                1 => format!("MSET @{one} 1 @{two} 1"),
                _ => format!("SET @{one} 1"),
            };
            rig.take(&[&command]).unwrap();
            taken += 1;
        }
        let before = rig.sent.len();
        rig.send();
        for (shard, number) in &rig.sent[before..] {
            assert!(last[*shard] <= number.0, "seed {seed}: shard {shard} after {taken}");
            last[*shard] = number.0;
        }
        if !rig.sent.is_empty() && random.below(3) != 0 {
            let at = usize::try_from(random.below(rig.sent.len() as u64)).unwrap();
            let shard = rig.sent[at].0;
            rig.answer(shard);
        }
    }
    assert_eq!(rig.applied(), rig.split.received().0);
}

#[test]
fn what_a_primary_says_of_open_slots_is_applied_at_once() {
    let mut rig = Rig::new();
    rig.take(&["CLUSTER SETSLOT 1 STABLE", "cluster setslot 1 NODE x TIMEOUT 1"]).unwrap();
    let orders = rig.dispatch.take_orders();
    assert_eq!(
        orders[0],
        ["CLUSTER", "SETSLOT", "1", "STABLE"].map(|word| word.as_bytes().to_vec())
    );
    assert_eq!((orders.len(), rig.dispatch.take_orders().len()), (2, 0));
    assert!(rig.dispatch.is_empty() && rig.send().is_empty());
    assert_eq!(rig.applied(), rig.split.received().0);
    rig.take(&["MULTI", "SET @0 1", "CLUSTER SETSLOT 1 STABLE", "EXEC"]).unwrap();
    assert_eq!(rig.send(), ["0/0: set"]);
    assert!(rig.take(&["CLUSTER RESET"]).is_err());
}
