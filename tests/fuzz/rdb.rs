//! Whatever a dump or a file holds, and however it comes in pieces, it is refused or makes values
//! that are what they were when they are written and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::base::hash::HashSeed;
use shards::encodings::entry::Entry;
use shards::rdb::error::{Error, Problem};
use shards::rdb::file::{Event, File};
use shards::rdb::kind::{Dialect, Kind, Version};
use shards::rdb::reader::{Reader, Source};
use shards::rdb::value::{self, Rules};
use shards::rdb::writer::{Compression, Writer};
use shards::types::limits::{HashLimits, Limits, ListLimits, SetLimits, SortedSetLimits};
use shards::types::object::Object;

const SMALL: Limits = Limits {
    hash: HashLimits { listpack_entries: 3, listpack_value: 8 },
    list: ListLimits { listpack_size: 3, compress_depth: 0 },
    set: SetLimits { intset_entries: 3, listpack_entries: 3, listpack_value: 8 },
    sorted_set: SortedSetLimits { listpack_entries: 3, listpack_value: 8 },
    ..Limits::DEFAULT
};

/// Gives out what it has in pieces.
struct Pieces<'a>(std::slice::Chunks<'a, u8>, &'a [u8]);

impl<'a> Pieces<'a> {
    fn of(bytes: &'a [u8], size: usize) -> Self {
        let mut chunks = bytes.chunks(size);
        let first = chunks.next().unwrap_or_default();
        Self(chunks, first)
    }
}

impl Source for Pieces<'_> {
    fn piece(&self) -> &[u8] {
        self.1
    }

    fn advance(&mut self) {
        self.1 = self.0.next().unwrap_or_default();
    }
}

// The first byte picks what it is; the second, the size of pieces.
fuzz_target!(|data: &[u8]| {
    let [what, size, input @ ..] = data else { return };
    let limits = if what & 1 == 0 { SMALL } else { Limits::DEFAULT };
    let rules = Rules { limits, seed: HashSeed(1) };
    let size = usize::from(*size).max(1);
    if what & 2 == 0 {
        let whole = read_file(Reader::new(input), &rules);
        assert_eq!(whole, read_file(Reader::new(Pieces::of(input, size)), &rules));
        return;
    }
    let dialect = if what & 4 == 0 { Dialect::Valkey } else { Dialect::Redis };
    let Some((code, input)) = input.split_first() else { return };
    let Some(kind) = Kind::of(*code, dialect) else { return };
    let whole = read_value(Reader::new(input), kind, &rules);
    let in_pieces = read_value(Reader::new(Pieces::of(input, size)), kind, &rules);
    assert_eq!(whole, in_pieces);
    let (Ok((bytes, read)), Ok(_)) = (whole, in_pieces) else { return };
    let mut skipped = Reader::new(input);
    value::skip(&mut skipped, kind).expect("what can be read can be skipped");
    assert_eq!(skipped.offset(), read);
    // A large encoding may become a small one, once.
    let settled = read_again(&bytes, &rules);
    assert_eq!(settled.len(), read_again(&settled, &rules).len());
});

/// What a value that was written comes to when it is read and written again.
fn read_again(bytes: &[u8], rules: &Rules) -> Vec<u8> {
    let kind = Kind::of(bytes[0], Dialect::Valkey).expect("it was written");
    let (again, read) = read_value(Reader::new(&bytes[1..]), kind, rules).expect("it is good");
    assert_eq!(read, bytes.len() as u64 - 1);
    again
}

/// What the value comes to when it is written again, and how long it was.
fn read_value<S: Source>(
    mut reader: Reader<S>,
    kind: Kind,
    rules: &Rules,
) -> Result<(Vec<u8>, u64), Error> {
    let entry = value::read(&mut reader, kind, rules)?.into_entry(b"key");
    Ok((written(&entry), reader.offset()))
}

fn written(entry: &Entry<Object>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, Version::V80, Compression::Off);
    writer.kind(value::kind(&entry.value(), Version::V80).expect("it has all kinds"));
    value::write(&mut writer, &entry.value());
    out
}

/// All events with the lengths of values, and how it ended.
fn read_file<S: Source>(reader: Reader<S>, rules: &Rules) -> (Vec<(Event, usize)>, Option<Error>) {
    let mut events = Vec::new();
    let mut file = match File::open(reader) {
        Ok(file) => file,
        Err(error) => return (events, Some(error)),
    };
    loop {
        let event = match file.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        };
        let mut length = 0;
        if let Event::Key(key) = &event
            && key.name.first() != Some(&b's')
        {
            match file.value(rules) {
                Ok(value) => length = written(&value.into_entry(&key.name)).len(),
                Err(Error { problem: Problem::Empty, .. }) => {}
                Err(error) => return (events, Some(error)),
            }
        }
        events.push((event, length));
    }
}
