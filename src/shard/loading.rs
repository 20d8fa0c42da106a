//! A shard's part in reading a snapshot: it makes values of what it is sent.

use shards::keyspace::db::{Entry, Keyspace};
use shards::keyspace::evict::{self, Usage};
use shards::keyspace::staging::NotStaged;
use shards::rdb::error::{Error as RdbError, Problem};
use shards::rdb::file::Attributes;
use shards::rdb::reader::Reader;
use shards::rdb::record::Record;
use shards::rdb::value::{self, Rules};

use crate::mail::disk::{DiskWord, Doubles, LoadNumber, LoadReport};
use crate::mail::to_control::ToControl;
use crate::mail::to_relay::ToRelay;
use crate::mail::upstream::{SnapshotWord, Staged};
use crate::persistence::chunks::taking::Keys;
use crate::persistence::loader::{Chunk, Loaded};
use crate::shard::core::Core;

/// What became of a key.
enum Arrival {
    /// It is here.
    Taken,
    /// It is a hash whose fields were all due: it stays outside.
    FieldsDue,
}

impl Core {
    /// What control has to say about snapshots.
    pub(crate) fn hear_of_disk(&mut self, word: DiskWord) {
        match word {
            DiskWord::Stand(place) => place.stop(&mut self.shard),
            DiskWord::Load(load, chunk, doubles) => {
                let report = self.load(load, &chunk, doubles);
                self.mailbox.tell_control(ToControl::Loaded(Box::new(report)));
            }
        }
    }

    fn load(&mut self, load: LoadNumber, chunk: &Chunk, doubles: Doubles) -> LoadReport {
        let mut report = LoadReport { load, ..LoadReport::default() };
        for key in chunk.keys() {
            if !self.keeps_due() && !self.shard.keyspace.admits(key.expire) {
                report.expired += 1;
                continue;
            }
            match self.load_key(key, doubles) {
                Ok(Arrival::Taken) => report.keys += 1,
                Ok(Arrival::FieldsDue) => report.all_fields_expired += 1,
                Err(RdbError { problem: Problem::Empty, .. }) => report.empty += 1,
                Err(error) => {
                    report.error = Some(error);
                    break;
                }
            }
        }
        report
    }

    /// Whether what is due comes in, whatever the role: replicas that go on have it, and are to
    /// hear that it goes.
    fn keeps_due(&self) -> bool {
        self.shard.effects.keeps_log
    }

    /// What the relay has to say about a primary's snapshot.
    pub(crate) fn hear_of_snapshot(&mut self, word: SnapshotWord) {
        match word {
            SnapshotWord::Begin => self.shard.stage(),
            SnapshotWord::Drop => self.shard.unstage(),
            SnapshotWord::Chunk(generation, chunk) => {
                let mut staged = Staged { generation, keys: 0, error: None };
                for key in chunk.keys() {
                    match self.stage_key(key) {
                        Ok(()) => staged.keys += 1,
                        // The primary has no such key, whatever its snapshot says.
                        Err(RdbError { problem: Problem::Empty, .. }) => {}
                        Err(error) => {
                            staged.error = Some(error);
                            break;
                        }
                    }
                }
                self.mailbox.tell_relay(ToRelay::Staged(staged));
            }
            SnapshotWord::Keys(generation, keys) => {
                let mut staged = Staged { generation, keys: 0, error: None };
                staged.error = self.stage_keys(&keys, &mut staged.keys).err();
                self.mailbox.tell_relay(ToRelay::Staged(staged));
            }
        }
    }

    /// Takes in what of these keys is this shard's.
    fn stage_keys(&mut self, chunk: &Keys, staged: &mut u64) -> Result<(), RdbError> {
        let (me, db) = (self.shard_number(), usize::from(chunk.db));
        let keyspace = &self.shard.keyspace;
        let rules = Rules { limits: keyspace.settings.limits, seed: keyspace.seed };
        // A snapshot that was dropped meanwhile has no place, and is not missed.
        let Some(staging) = &mut self.shard.staging else { return Ok(()) };
        let mut reader = Reader::new(chunk.bytes.as_slice());
        while let Some(record) = Record::next(&mut reader)? {
            let hash = keyspace.seed.key_hash(&record.key);
            if self.node.slots.owner(hash) != me {
                record.pass(&mut reader)?;
                continue;
            }
            let mut entry = record.entry(&mut reader, &rules)?;
            let Attributes { idle_seconds, frequency, .. } = record.attributes;
            let usage = idle_seconds.map(Usage::Idle).or(frequency.map(Usage::Frequency));
            entry.set_access(access(keyspace, usage));
            let staging = staging.insert(db, hash, entry);
            staging.map_err(|why| reader.error(problem(why)))?;
            *staged += 1;
        }
        Ok(())
    }

    fn stage_key(&mut self, key: Loaded<'_>) -> Result<(), RdbError> {
        let entry = self.read_entry(key)?;
        // A snapshot that was dropped meanwhile has no place, and is not missed.
        let Some(staging) = &mut self.shard.staging else { return Ok(()) };
        let hash = self.shard.keyspace.seed.key_hash(key.name);
        let staged = staging.insert(key.db, hash, entry);
        staged.map_err(|why| RdbError { offset: key.offset, problem: problem(why) })
    }

    /// A key's entry, with its time and its usage.
    fn read_entry(&self, key: Loaded<'_>) -> Result<Entry, RdbError> {
        let keyspace = &self.shard.keyspace;
        let rules = Rules { limits: keyspace.settings.limits, seed: keyspace.seed };
        let read = value::read(&mut Reader::new(key.value), key.kind, &rules);
        let in_file = |error: RdbError| RdbError { offset: error.offset + key.offset, ..error };
        let mut entry = read.map_err(in_file)?.into_entry(key.name);
        entry.set_expire(key.expire);
        entry.set_access(access(keyspace, key.usage));
        Ok(entry)
    }

    fn load_key(&mut self, key: Loaded<'_>, doubles: Doubles) -> Result<Arrival, RdbError> {
        let mut entry = self.read_entry(key)?;
        let keeps_due = self.keeps_due();
        let keyspace = &mut self.shard.keyspace;
        if !keeps_due && !keyspace.shed_due_fields(&mut entry) {
            return Ok(Arrival::FieldsDue);
        }
        let hash = keyspace.seed.key_hash(key.name);
        let db = &mut keyspace.dbs[key.db];
        if db.find(hash, key.name).is_some() {
            match doubles {
                Doubles::Refused => {
                    let problem = Problem::Duplicate("key");
                    return Err(RdbError { offset: key.offset, problem });
                }
                Doubles::Replaced => drop(db.remove(hash, key.name)),
            }
        }
        db.insert(hash, entry);
        Ok(Arrival::Taken)
    }
}

/// When a key was used that comes in, or how often.
fn access(keyspace: &Keyspace, usage: Option<Usage>) -> u32 {
    match usage {
        Some(usage) => evict::imported(&keyspace.settings, keyspace.now, usage),
        None => evict::fresh(&keyspace.settings, keyspace.now),
    }
}

/// Why the snapshot that has such a key is wrong.
fn problem(why: NotStaged) -> Problem {
    match why {
        NotStaged::Database => Problem::Encoding("number of a database"),
        NotStaged::Duplicate => Problem::Duplicate("key"),
    }
}
