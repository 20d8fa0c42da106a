//! The log against a model that keeps all bytes.

use super::*;
use shards::base::random::Random;
use shards::journal::entry::{Header, Kind};

const MIB: u64 = 1 << 20;
const SMALL: Limits = Limits { window_bytes: MIB, held_bytes_max: 2 * MIB };

fn no_memory() -> io::Result<Block> {
    Err(io::ErrorKind::OutOfMemory.into())
}

/// An entry of so many bytes, whose contents depend on `salt`.
fn entry(len: usize, salt: u64) -> Vec<u8> {
    let (has_multi, ends_elsewhere) = (salt.is_multiple_of(2), salt.is_multiple_of(3));
    let header = Header { len: len as u64, kind: Kind::Unit, has_multi, ends_elsewhere, db: 0 };
    let mut bytes = header.encode().to_vec();
    let mut random = Random::new(salt);
    bytes.resize_with(len, || random.bits().to_le_bytes()[0]);
    bytes
}

/// Appends entries of 1000 bytes until there are `bytes` more.
fn fill(log: &mut Log, bytes: u64) {
    for number in 0..bytes.div_ceil(1000) {
        assert_eq!(log.append(&entry(1000, number)), Ok(()));
    }
}

fn read_bytes(log: &mut Log, cursor: CursorId, bytes_max: usize) -> Read<Vec<u8>> {
    match log.read(cursor, bytes_max) {
        Read::Bytes(bytes) => Read::Bytes(bytes.to_vec()),
        Read::Nothing => Read::Nothing,
        Read::Fallen => Read::Fallen,
    }
}

#[test]
fn a_cursor_reads_what_is_appended_behind_it() {
    let mut log = Log::new(700, SMALL);
    assert_eq!((log.start(), log.end()), (700, 700));
    assert_eq!(log.open(699), None);
    assert_eq!(log.open(701), None);
    let cursor = log.open(700).unwrap();
    assert_eq!(log.read(cursor, 10), Read::Nothing);
    let (one, two) = (entry(20, 1), entry(30, 2));
    assert_eq!(log.append(&one), Ok(()));
    assert_eq!(log.append(&two), Ok(()));
    assert_eq!((log.start(), log.end()), (700, 750));
    assert_eq!(log.read(cursor, 0), Read::Nothing);
    assert_eq!(log.read(cursor, 15), Read::Bytes(&one[..15]));
    log.advance(cursor, 15);
    assert_eq!(read_bytes(&mut log, cursor, 99), Read::Bytes([&one[15..], &two].concat()));
    log.advance(cursor, 35);
    assert_eq!((log.next(cursor), log.read(cursor, 99)), (750, Read::Nothing));
}

#[test]
fn a_window_is_kept_and_whole_blocks_in_front_of_it_are_freed() {
    let mut log = Log::new(0, SMALL);
    fill(&mut log, 10 * MIB);
    let kept = log.end() - log.start();
    assert!((MIB..MIB + 2 * BLOCK).contains(&kept), "{kept}");
    assert!(log.start().is_multiple_of(BLOCK));
    assert!(log.memory_bytes() < 14 * BLOCK_BYTES, "{}", log.memory_bytes());
    assert!(!log.trim());
}

#[test]
fn a_cursor_that_falls_out_is_told_once() {
    let mut log = Log::new(0, SMALL);
    let cursor = log.open(0).unwrap();
    fill(&mut log, 4 * MIB);
    assert_eq!(log.read(cursor, 10), Read::Fallen);
    assert_eq!(log.read(cursor, 10), Read::Nothing);
    assert_eq!(log.copy_entries(cursor, 10, &mut Vec::new()), Ok(Read::Nothing));
    log.advance(cursor, 10);
    assert_eq!(log.next(cursor), 0);
    log.close(cursor);
    let cursor = log.open(log.end()).unwrap();
    fill(&mut log, 4 * MIB);
    assert_eq!(log.copy_entries(cursor, 10, &mut Vec::new()), Ok(Read::Fallen));
    assert_eq!(log.read(cursor, 10), Read::Nothing);
}

#[test]
fn what_a_cursor_holds_is_kept_up_to_the_limit() {
    let mut log = Log::new(0, SMALL);
    let held = log.open(0).unwrap();
    fill(&mut log, 2 * MIB - 2000);
    assert_eq!(log.start(), 0);
    log.advance(held, MIB / 2);
    fill(&mut log, 2000);
    assert!((MIB / 2 - BLOCK..=MIB / 2).contains(&log.start()), "{}", log.start());
    fill(&mut log, 2 * MIB);
    assert_eq!(log.read(held, 10), Read::Fallen);
    // What has fallen out makes the log keep no more than its window.
    while log.trim() {}
    assert!(log.end() - log.start() < MIB + BLOCK);
}

#[test]
fn what_was_held_is_freed_when_it_is_read_or_given_up() {
    for give_up in [(|log, cursor| log.close(cursor)) as fn(&mut Log, CursorId), |log, cursor| {
        log.advance(cursor, log.end() - log.next(cursor))
    }] {
        let mut log = Log::new(0, Limits { held_bytes_max: 8 * MIB, ..SMALL });
        let cursor = log.open(0).unwrap();
        fill(&mut log, 5 * MIB);
        assert_eq!(log.start(), 0);
        give_up(&mut log, cursor);
        assert_eq!(log.start(), FREED_MAX as u64 * BLOCK, "some are freed at once");
        while log.trim() {}
        assert!(log.end() - log.start() < MIB + BLOCK);
        assert!(log.spare.len() <= SPARE_MAX);
    }
}

#[test]
fn whole_entries_are_copied_until_there_are_enough_bytes() {
    let mut log = Log::new(0, SMALL);
    let cursor = log.open(0).unwrap();
    let entries = [entry(10, 1), entry(25, 2), entry(40, 3)];
    for entry in &entries {
        assert_eq!(log.append(entry), Ok(()));
    }
    for (bytes_min, expected) in [(0, 0), (1, 10), (10, 10), (11, 35), (36, 75), (u64::MAX, 75)] {
        let mut into = b"before".to_vec();
        let read = log.copy_entries(cursor, bytes_min, &mut into).unwrap();
        let expected_read = if expected == 0 { Read::Nothing } else { Read::Bytes(expected) };
        assert_eq!(read, expected_read, "{bytes_min}");
        let end = usize::try_from(expected).unwrap();
        assert_eq!(into, [b"before", &entries.concat()[..end]].concat(), "{bytes_min}");
    }
}

#[test]
fn an_entry_that_is_not_all_there_stays() {
    let whole = entry(30, 1);
    for cut in 0..30 {
        let mut log = Log::new(0, SMALL);
        assert_eq!(log.append(&whole), Ok(()));
        assert_eq!(log.append(&whole[..cut]), Ok(()));
        let cursor = log.open(0).unwrap();
        let mut into = Vec::new();
        assert_eq!(log.copy_entries(cursor, u64::MAX, &mut into), Ok(Read::Bytes(30)));
        log.advance(cursor, 30);
        assert_eq!(log.copy_entries(cursor, u64::MAX, &mut into), Ok(Read::Nothing), "{cut}");
        assert_eq!(log.append(&whole[cut..]), Ok(()));
        assert_eq!(log.copy_entries(cursor, u64::MAX, &mut into), Ok(Read::Bytes(30)));
        assert_eq!(into, [&whole[..], &whole].concat());
    }
}

#[test]
fn an_entry_may_cross_blocks_at_any_byte() {
    for before in BLOCK_BYTES - 40..=BLOCK_BYTES {
        let mut log = Log::new(0, SMALL);
        let bytes = [entry(before, 1), entry(30, 2), entry(30, 3)].concat();
        for part in [&bytes[..before], &bytes[before..before + 30], &bytes[before + 30..]] {
            assert_eq!(log.append(part), Ok(()));
        }
        let cursor = log.open(before as u64).unwrap();
        let mut into = Vec::new();
        assert_eq!(log.copy_entries(cursor, u64::MAX, &mut into), Ok(Read::Bytes(60)));
        assert_eq!(into, bytes[before..]);
    }
}

#[test]
fn what_is_no_entry_is_found_behind_what_is() {
    let mut log = Log::new(0, SMALL);
    let mut bad = entry(30, 1);
    bad[0] = 9;
    assert_eq!(log.append(&[entry(20, 1), bad].concat()), Ok(()));
    let cursor = log.open(0).unwrap();
    let mut into = Vec::new();
    assert_eq!(log.copy_entries(cursor, u64::MAX, &mut into), Ok(Read::Bytes(20)));
    log.advance(cursor, 20);
    assert_eq!(log.copy_entries(cursor, u64::MAX, &mut into), Err(Malformed::Length));
    assert_eq!(into.len(), 20);
}

#[test]
fn a_log_without_memory_loses_its_oldest_block_and_goes_on() {
    let mut log = Log::new(0, SMALL);
    fill(&mut log, MIB / 2);
    let (first, last) = (log.open(0), log.open(log.end()));
    let (first, last) = (first.unwrap(), last.unwrap());
    log.map = no_memory;
    let (blocks, end) = (log.blocks.len(), log.end());
    let long = entry(BLOCK_BYTES, 5);
    assert_eq!(log.append(&long), Err(Shortened));
    assert_eq!((log.start(), log.end(), log.blocks.len()), (BLOCK, end + BLOCK, blocks));
    assert_eq!(log.read(first, 10), Read::Fallen);
    let mut into = Vec::new();
    assert_eq!(log.copy_entries(last, 1, &mut into), Ok(Read::Bytes(BLOCK)));
    assert_eq!(into, long);
}

#[test]
fn a_log_with_no_memory_at_all_still_counts() {
    let mut log = Log::new(5, SMALL);
    log.map = no_memory;
    let cursor = log.open(5).unwrap();
    assert_eq!(log.append(&entry(100, 1)), Err(Shortened));
    assert_eq!((log.start(), log.end()), (105, 105));
    assert_eq!((log.memory_bytes(), log.read(cursor, 1)), (0, Read::Fallen));
    log.map = Block::new;
    let cursor = log.open(105).unwrap();
    let two = entry(50, 2);
    assert_eq!(log.append(&two), Ok(()));
    assert_eq!(log.read(cursor, 99), Read::Bytes(&two[..]));
    assert_eq!((log.start(), log.end()), (105, 155));
}

#[test]
#[should_panic(expected = "until it is closed")]
fn a_closed_cursor_is_not_another_one_in_its_place() {
    let mut log = Log::new(0, SMALL);
    let closed = log.open(0).unwrap();
    log.close(closed);
    let other = log.open(0).unwrap();
    assert_ne!(closed, other);
    log.next(closed);
}

#[test]
#[should_panic(expected = "reads what is there")]
fn a_cursor_does_not_go_behind_the_end() {
    let mut log = Log::new(0, SMALL);
    let cursor = log.open(0).unwrap();
    log.advance(cursor, 1);
}

/// A cursor as the model has it.
struct Reader {
    id: CursorId,
    next: u64,
    told: bool,
}

/// A log and all the bytes it was ever given.
struct Model {
    seed: u64,
    random: Random,
    log: Log,
    origin: u64,
    bytes: Vec<u8>,
    /// The offsets between entries.
    bounds: Vec<u64>,
    limits: Limits,
    readers: Vec<Reader>,
    /// The highest offset that was ever the first one to be kept.
    kept_from: u64,
    /// The log was short of memory, so less may be kept than is promised.
    shortened: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let origin = random.below(3) * 1_000_003;
        Self {
            seed,
            log: Log::new(origin, SMALL),
            random,
            origin,
            bytes: Vec::new(),
            bounds: vec![origin],
            limits: SMALL,
            readers: Vec::new(),
            kept_from: origin,
            shortened: false,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).unwrap()
    }

    fn from(&self, offset: u64) -> &[u8] {
        &self.bytes[usize::try_from(offset - self.origin).unwrap()..]
    }

    fn step(&mut self) {
        match self.below(19) {
            0..8 => self.append(),
            8 => self.open(),
            9 => {
                let index = self.below(self.readers.len() + 1);
                if index < self.readers.len() {
                    self.log.close(self.readers.swap_remove(index).id);
                }
            }
            10 => {
                let window_bytes = self.random.below(3 * MIB);
                let held_bytes_max = self.random.below(4 * MIB);
                self.limits = Limits { window_bytes, held_bytes_max };
                self.log.resize(self.limits);
            }
            11 => {
                while self.log.trim() {}
                let freed = self.promised() < self.log.start() + BLOCK;
                assert!(freed || self.log.blocks.len() < 2, "seed {}", self.seed);
            }
            12 => {
                self.log.map = if self.below(20) == 0 { no_memory } else { Block::new };
            }
            _ => self.read(),
        }
        self.check();
    }

    fn append(&mut self) {
        let count = 1 + self.below(20);
        let mut entries = Vec::new();
        for _ in 0..count {
            let extra = match self.below(60) {
                0 => self.below(3 * BLOCK_BYTES),
                1..10 => self.below(9000),
                _ => self.below(200),
            };
            let salt = self.random.bits();
            entries.extend(entry(HEADER + extra, salt));
            self.bounds.push(self.origin + (self.bytes.len() + entries.len()) as u64);
        }
        self.bytes.extend(&entries);
        if self.log.append(&entries).is_err() {
            self.shortened = true;
        }
    }

    fn open(&mut self) {
        let bound = match self.below(3) {
            0 => self.bounds.len() - 1,
            _ => self.below(self.bounds.len()),
        };
        let next = self.bounds[bound];
        let opened = self.log.open(next);
        assert_eq!(opened.is_some(), self.log.start() <= next, "seed {}", self.seed);
        if let Some(id) = opened {
            self.readers.push(Reader { id, next, told: false });
        }
    }

    fn read(&mut self) {
        let index = self.below(self.readers.len() + 1);
        if index == self.readers.len() {
            return;
        }
        let bytes_max = 1 + self.below(200_000);
        let Reader { id, next, told, .. } = self.readers[index];
        let mut into = Vec::new();
        let at_bound = self.bounds.binary_search(&next);
        let found = match at_bound {
            _ if bytes_max.is_multiple_of(4) => {
                let to = self.log.end().min(next + bytes_max as u64);
                self.log.copy_upto(id, to, &mut into)
            }
            Ok(_) if !bytes_max.is_multiple_of(3) => {
                let found = self.log.copy_entries(id, bytes_max as u64, &mut into).unwrap();
                if let Read::Bytes(len) = found {
                    assert_eq!(len, into.len() as u64);
                    let reached = self.bounds.binary_search(&(next + len));
                    let before = self.bounds[reached.expect("entries are whole") - 1];
                    assert!(before - next < bytes_max as u64, "seed {}", self.seed);
                }
                found
            }
            Ok(_) | Err(_) => match self.log.read(id, bytes_max) {
                Read::Bytes(bytes) => {
                    assert!(bytes.len() <= bytes_max);
                    into.extend(bytes);
                    Read::Bytes(bytes.len() as u64)
                }
                Read::Nothing => Read::Nothing,
                Read::Fallen => Read::Fallen,
            },
        };
        let end = self.log.end();
        let reader = &mut self.readers[index];
        match found {
            Read::Bytes(len) => {
                self.log.advance(id, len);
                reader.next += len;
                assert!(self.from(next).starts_with(&into) && 0 < len, "seed {}", self.seed);
            }
            Read::Nothing => assert!(told || next == end, "seed {}", self.seed),
            Read::Fallen => {
                assert!(!told && next < self.log.start(), "seed {}", self.seed);
                reader.told = true;
            }
        }
    }

    fn check(&mut self) {
        let (seed, start, end) = (self.seed, self.log.start(), self.log.end());
        assert_eq!(end, self.origin + self.bytes.len() as u64, "seed {seed}");
        let held: usize = self.log.blocks.iter().map(|block| block.bytes().len()).sum();
        assert_eq!(end - start, held as u64, "seed {seed}");
        let full = self.log.blocks.iter().rev().skip(1);
        assert!(full.into_iter().all(|block| block.room() == 0), "seed {seed}");
        self.kept_from = self.kept_from.max(self.promised());
        assert!(self.shortened || start <= self.kept_from, "seed {seed}");
    }

    /// The offset from which on everything is to be there, if it was there before.
    fn promised(&self) -> u64 {
        let (start, end) = (self.log.start(), self.log.end());
        let window_bytes = self.limits.window_bytes.max(MIB);
        let held_bytes_max = self.limits.held_bytes_max.max(window_bytes);
        let holds = |reader: &&Reader| start <= reader.next;
        let held = self.readers.iter().filter(holds).map(|reader| reader.next).min();
        let window = end.saturating_sub(window_bytes);
        held.unwrap_or(window).min(window).max(end.saturating_sub(held_bytes_max))
    }
}

#[test]
fn random_appends_reads_and_limits_agree_with_a_model() {
    let only = std::env::var("SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in only.map_or(0..40, |seed| seed..seed + 1) {
        println!("SEED={seed}");
        let mut model = Model::new(seed);
        for _ in 0..600 {
            model.step();
        }
    }
}
