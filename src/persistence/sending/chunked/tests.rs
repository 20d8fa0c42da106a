//! Chunks over real sockets, from this process and from copies of it.

use std::collections::BTreeMap;
use std::io::Read;
#[expect(clippy::disallowed_types, reason = "these are the other ends")]
use std::net::TcpStream;
use std::thread;

use shards::rdb::reader::Reader;
use shards::rdb::record::Record;
use shards::shard::Shard;

use super::super::tests::{connection, ended, filled, plan, run, start};
use super::*;
use crate::persistence::chunks::taking::{Came, Taking};
use crate::persistence::sending::{Asked, Form, Lost, Scope};
use crate::persistence::syncing::End;
use crate::persistence::walking::Origin;

/// What a replica has got: names of keys with the bytes of their records, and what else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Got {
    keys: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
    functions: Vec<Vec<u8>>,
    heads: Vec<Origin>,
    ended: usize,
}

impl Got {
    fn take(&mut self, came: Came) {
        match came {
            Came::Head(origin) => {
                self.heads.push(origin);
            }
            Came::Function(code) => self.functions.push(code),
            Came::End(_) => self.ended += 1,
            Came::Keys(keys) => {
                let mut reader = Reader::new(keys.bytes.as_slice());
                let mut at = 0;
                let mut count = 0;
                while let Some(record) = Record::next(&mut reader).unwrap() {
                    record.pass(&mut reader).unwrap();
                    let slot = Slot::of(&record.key).number();
                    assert!((keys.slots.0..=keys.slots.1).contains(&slot));
                    let end = usize::try_from(reader.offset()).unwrap();
                    let before = self
                        .keys
                        .insert((keys.db, record.key.into_owned()), keys.bytes[at..end].into());
                    assert_eq!(before, None, "a key comes once");
                    (at, count) = (end, count + 1);
                }
                assert_eq!(count, keys.keys);
            }
        }
    }
}

/// A replica with so many connections, and their other ends.
#[expect(clippy::disallowed_types, reason = "these are the other ends")]
fn replica(id: u64, connections: usize) -> (Target, Vec<TcpStream>) {
    let pairs = (0..connections).map(|_| connection(id, Asked::Psync));
    let (targets, fars): (Vec<_>, Vec<_>) = pairs.unzip();
    let sockets = targets.into_iter().flat_map(|target| target.sockets).collect();
    (Target { id, sockets, asked: Asked::Psync }, fars)
}

/// What comes by these connections, one read after the other: none may hold another up.
#[expect(clippy::disallowed_types, reason = "these are the other ends")]
fn read_all(fars: Vec<TcpStream>) -> Got {
    let read = |mut far: TcpStream| {
        let mut bytes = Vec::new();
        // What came before an error counts.
        let _ = far.read_to_end(&mut bytes);
        let mut came = Vec::new();
        Taking::new().take(&bytes, &mut came).unwrap();
        came
    };
    let mut got = Got::default();
    thread::scope(|scope| {
        let readers: Vec<_> = fars.into_iter().map(|far| scope.spawn(|| read(far))).collect();
        let came = readers.into_iter().flat_map(|reader| reader.join().unwrap());
        came.for_each(|came| got.take(came));
    });
    got
}

fn chunked() -> SyncPlan {
    plan(Versions::Only(Version::V80), Form::Chunked, Scope::All)
}

/// What so many replicas get by so many connections each.
fn transfer(all: &mut [Shard], replicas: usize, connections: usize) -> Vec<Got> {
    let pairs = (0..replicas as u64).map(|id| replica(id, connections));
    let (targets, fars): (Vec<_>, Vec<_>) = pairs.unzip();
    let mut lent: Vec<&mut Shard> = all.iter_mut().collect();
    thread::scope(|scope| {
        let readers: Vec<_> = fars.into_iter().map(|fars| scope.spawn(|| read_all(fars))).collect();
        let sent = chunked().send(&mut lent, &targets, |_| {}, |_, why| panic!("{why}"));
        drop(targets);
        let got: Vec<Got> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert_eq!(sent.unwrap().keys, got[0].keys.len() as u64);
        got
    })
}

#[test]
fn all_replicas_get_everything_once_by_however_many_connections() {
    let one = transfer(&mut filled(), 1, 1).remove(0);
    assert_eq!(one.keys.len(), 28);
    assert!(one.keys.values().any(|record| 3 * PAYLOAD_BYTES_MAX < record.len()));
    assert_eq!(one.functions, [b"#!lua name=l\n"]);
    assert_eq!(one.heads.len(), 1);
    for connections in [2, 3] {
        for got in transfer(&mut filled(), 2, connections) {
            assert_eq!(got, Got { ended: connections, ..one.clone() }, "{connections}");
        }
    }
}

#[test]
fn keys_of_all_lengths_come_whole() {
    let mut all = filled();
    for number in 0..3000usize {
        let length = match number {
            // Around what a chunk holds, and around where one is full.
            0..20 => PAYLOAD_BYTES_MAX - 40 + 4 * number,
            20..40 => ENOUGH_BYTES - 40 + 4 * number,
            _ => number % 700,
        };
        run(
            &mut all[number % 2],
            number % 4,
            &[b"set", number.to_string().as_bytes(), &vec![b'v'; length]],
        );
    }
    assert_eq!(transfer(&mut all, 1, 2)[0].keys.len(), 3028);
}

#[test]
fn a_replica_one_of_whose_connections_takes_nothing_is_dropped_once() {
    let mut all = filled();
    // More than sockets hold.
    for number in 0..40 {
        run(
            &mut all[number % 2],
            0,
            &[b"set", number.to_string().as_bytes(), &vec![b'v'; 1 << 20]],
        );
    }
    let (stuck, mut kept) = replica(1, 2);
    let (other, fars) = replica(2, 2);
    let plan = SyncPlan { patience_millis: 300, ..chunked() };
    let (idle, read) = (kept.pop(), kept.pop());
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(fars));
        let half = scope.spawn(|| read_all(read.into_iter().collect()));
        let mut child = start(plan, vec![stuck, other], &mut all);
        let outcome = ended(&mut child);
        assert_eq!(outcome.end, End::Sent);
        let results: Vec<_> = outcome.targets.iter().map(|(_, result)| *result).collect();
        assert_eq!(results, [Err(Lost::Stalled), Ok(())]);
        drop((outcome, child));
        let got = reader.join().unwrap();
        assert_eq!((got.keys.len(), got.ended), (68, 2));
        assert!(half.join().unwrap().ended <= 1);
    });
    drop(idle);
}
