//! Values on their way to and from snapshots.

use std::hint::black_box;

use shards::base::crc64::crc64;
use shards::base::hash::HashSeed;
use shards::encodings::entry::Entry;
use shards::rdb::kind::{Kind, Version};
use shards::rdb::reader::Reader;
use shards::rdb::value::{self, Rules};
use shards::rdb::writer::{Compression, Writer};
use shards::types::hash::{FieldExpiry, Hash, Rules as HashRules};
use shards::types::limits::Limits;
use shards::types::object::Object;

use crate::key;
use crate::runner::Runner;

/// Values in one pass.
const VALUES: u64 = 10_000;
/// Bytes of which the checksum is made in one pass.
const BYTES: usize = 1 << 16;
const RULES: Rules = Rules { limits: Limits::DEFAULT, seed: HashSeed(1) };

/// Measures writing and reading; one operation is one value, or one byte.
pub fn run(runner: &mut Runner) {
    let bytes = vec![b'x'; BYTES];
    runner.measure("rdb: checksum of a byte", BYTES as u64, || {
        black_box(crc64(0, black_box(&bytes)));
    });
    let json: Vec<u8> = (0..BYTES as u64 / 16).flat_map(key).collect();
    for (name, compression) in [("kept", Compression::Off), ("compressed", Compression::Lzf)] {
        let mut out = Vec::new();
        runner.measure(&format!("rdb: writing a byte, {name}"), BYTES as u64, || {
            out.clear();
            Writer::new(&mut out, Version::V11, compression).blob(black_box(&json));
        });
        let mut text = Vec::new();
        if out.is_empty() {
            continue; // The runner does not want it.
        }
        runner.measure(&format!("rdb: reading a byte, {name}"), BYTES as u64, || {
            Reader::new(&*out).text(&mut text).expect("it was just written");
        });
    }
    let subjects = [
        ("a string of 64 bytes", Entry::string(b"key", &[b'x'; 64])),
        ("a hash of 10 fields", hash(10)),
        ("a hash of 1000 fields", hash(1000)),
    ];
    for (name, entry) in subjects {
        let values = runner.size(VALUES);
        let kind = value::kind(&entry.value(), Version::V11).expect("nothing expires");
        let mut out = Vec::new();
        runner.measure(&format!("rdb: writing {name}"), values, || {
            out.clear();
            let mut writer = Writer::new(&mut out, Version::V11, Compression::Off);
            for _ in 0..values {
                value::write(&mut writer, &entry.value());
            }
        });
        if !out.is_empty() {
            let pass = || read_all(&out, kind, values);
            runner.measure(&format!("rdb: reading {name}"), values, pass);
        }
    }
}

fn read_all(bytes: &[u8], kind: Kind, values: u64) {
    let mut reader = Reader::new(bytes);
    for _ in 0..values {
        let value = value::read(&mut reader, kind, &RULES).expect("it was just written");
        black_box(value.into_entry(b"key:000000000001"));
    }
}

fn hash(fields: u64) -> Entry<Object> {
    let now = shards::base::time::UnixMs(0);
    let rules = HashRules { limits: RULES.limits.hash, seed: RULES.seed, due_by: now };
    let mut hash = Hash::default();
    for number in 0..fields {
        let name = format!("field{number}");
        hash.set(name.as_bytes(), &key(number), FieldExpiry::Clear, &rules);
    }
    Entry::object(b"key", Object::Hash(hash))
}
