//! The backlog against a model that keeps all bytes.

use shards::base::random::Random;

use super::*;

const KIB: u64 = 1024;
/// Units of a model that are longer may be all that a backlog has.
const LONG: u64 = 20_000;
const SMALL: Limits = Limits { size_bytes: 16 * KIB, held_bytes_max: 0 };

/// A unit of so many bytes, written in two pieces.
fn write(backlog: &mut Backlog, bytes: &[u8]) {
    let (one, other) = bytes.split_at(bytes.len() / 2);
    assert_eq!(backlog.write(one), Ok(()));
    assert_eq!(backlog.write(other), Ok(()));
    backlog.end_unit();
}

fn fill(backlog: &mut Backlog, units: u64, len: usize) {
    for number in 0..units {
        write(backlog, &vec![number.to_le_bytes()[0]; len]);
    }
}

/// Bytes from which a replica may resume.
fn resumable_bytes(backlog: &Backlog) -> u64 {
    backlog.end() - backlog.first()
}

fn read(backlog: &mut Backlog, cursor: CursorId, bytes_max: usize) -> Read<Vec<u8>> {
    match backlog.read(cursor, bytes_max) {
        Read::Bytes(bytes) => Read::Bytes(bytes.to_vec()),
        Read::Nothing => Read::Nothing,
        Read::Fallen => Read::Fallen,
    }
}

#[test]
fn nothing_of_a_unit_is_read_before_its_end() {
    let mut backlog = Backlog::new(700, SMALL);
    assert_eq!((backlog.first(), backlog.end()), (700, 700));
    let cursor = backlog.open(700).unwrap();
    assert_eq!(backlog.write(b"SELECT"), Ok(()));
    assert_eq!(read(&mut backlog, cursor, 99), Read::Nothing);
    assert_eq!((backlog.end(), backlog.open(706)), (700, None));
    assert_eq!(backlog.write(b"SET"), Ok(()));
    backlog.end_unit();
    assert_eq!(backlog.write(b"half"), Ok(()));
    assert_eq!(read(&mut backlog, cursor, 4), Read::Bytes(b"SELE".to_vec()));
    backlog.advance(cursor, 4);
    assert_eq!(read(&mut backlog, cursor, 99), Read::Bytes(b"CTSET".to_vec()));
    backlog.advance(cursor, 5);
    assert_eq!(read(&mut backlog, cursor, 99), Read::Nothing);
    assert_eq!((backlog.next(cursor), resumable_bytes(&backlog)), (709, 9));
    assert_eq!(backlog.first(), 700);
}

#[test]
fn units_are_read_as_far_as_they_are_ended() {
    let mut backlog = Backlog::new(700, SMALL);
    let cursor = backlog.open(700).unwrap();
    assert_eq!(backlog.write(b"PINGSET"), Ok(()));
    assert_eq!((backlog.end(), backlog.written()), (700, 707));
    backlog.end_units(700);
    assert_eq!(read(&mut backlog, cursor, 99), Read::Nothing);
    backlog.end_units(704);
    assert_eq!(read(&mut backlog, cursor, 99), Read::Bytes(b"PING".to_vec()));
    backlog.advance(cursor, 4);
    assert_eq!((backlog.open(707), backlog.end() - backlog.first()), (None, 4));
    assert_eq!(backlog.write(b"DEL"), Ok(()));
    backlog.end_units(707);
    assert_eq!(read(&mut backlog, cursor, 99), Read::Bytes(b"SET".to_vec()));
    backlog.advance(cursor, 3);
    backlog.end_unit();
    assert_eq!(read(&mut backlog, cursor, 99), Read::Bytes(b"DEL".to_vec()));
}

#[test]
fn a_replica_resumes_from_all_that_the_size_asks_for_and_little_more() {
    let mut backlog = Backlog::new(0, SMALL);
    fill(&mut backlog, 1000, 100);
    let histlen = resumable_bytes(&backlog);
    assert!((16 * KIB..16 * KIB + MARK_BYTES + 100).contains(&histlen), "{histlen}");
    assert_eq!(backlog.first() % 100, 0, "it begins with a whole unit");
    assert_eq!(backlog.open(backlog.first() - 1), None);
    assert_eq!(backlog.open(backlog.end() + 1), None);
    for place in [backlog.first(), backlog.first() + 50, backlog.end()] {
        assert!(backlog.open(place).is_some(), "{place}");
    }
}

#[test]
fn it_grows_and_shrinks_while_it_is_used() {
    let mut backlog = Backlog::new(0, SMALL);
    backlog.resize(Limits { size_bytes: 1 << 20, held_bytes_max: 0 });
    fill(&mut backlog, 30_000, 100);
    let histlen = resumable_bytes(&backlog);
    assert!((1 << 20..(1 << 20) + MARK_BYTES + 100).contains(&histlen), "{histlen}");
    backlog.resize(SMALL);
    let histlen = resumable_bytes(&backlog);
    assert!((16 * KIB..16 * KIB + MARK_BYTES + 100).contains(&histlen), "{histlen}");
    backlog.resize(Limits { size_bytes: u64::MAX, held_bytes_max: u64::MAX });
    fill(&mut backlog, 30_000, 100);
    assert!(3_000_000 < resumable_bytes(&backlog));
    assert!(resumable_bytes(&backlog) < backlog.memory_bytes() as u64);
    backlog.resize(SMALL);
    while backlog.trim() {}
    assert!(backlog.memory_bytes() < 2 << 20, "{}", backlog.memory_bytes());
}

#[test]
fn a_unit_longer_than_all_that_may_be_held_leaves_nothing_to_resume_from() {
    let mut backlog = Backlog::new(0, SMALL);
    fill(&mut backlog, 10, 100);
    let slow = backlog.open(500).unwrap();
    write(&mut backlog, &vec![7; 3 << 20]);
    assert_eq!(backlog.first(), backlog.end());
    assert_eq!(read(&mut backlog, slow, 9), Read::Fallen);
    assert_eq!(read(&mut backlog, slow, 9), Read::Nothing);
    backlog.close(slow);
    let up_to_date = backlog.open(backlog.end()).unwrap();
    fill(&mut backlog, 1, 100);
    assert_eq!(resumable_bytes(&backlog), 100);
    assert_eq!(read(&mut backlog, up_to_date, 999), Read::Bytes(vec![0; 100]));
}

#[test]
fn what_a_cursor_holds_can_be_read_when_no_replica_may_resume_there() {
    let limits = Limits { held_bytes_max: 8 << 20, ..SMALL };
    let mut backlog = Backlog::new(0, limits);
    let held = backlog.open(0).unwrap();
    fill(&mut backlog, 50_000, 100);
    assert!(0 < backlog.first());
    assert!(matches!(read(&mut backlog, held, 100), Read::Bytes(_)));
    fill(&mut backlog, 50_000, 100);
    assert_eq!(read(&mut backlog, held, 100), Read::Fallen);
    assert!((16 * KIB..).contains(&resumable_bytes(&backlog)));
}

struct Reader {
    id: CursorId,
    next: u64,
    told: bool,
}

/// A backlog, and all the bytes it was ever given.
struct Model {
    seed: u64,
    random: Random,
    backlog: Backlog,
    start: u64,
    bytes: Vec<u8>,
    /// The places between units.
    bounds: Vec<u64>,
    longest: u64,
    limits: Limits,
    readers: Vec<Reader>,
    /// The first place from which everything must be there.
    promised: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let start = random.below(3) * 1_000_003;
        Self {
            seed,
            backlog: Backlog::new(start, SMALL),
            random,
            start,
            bytes: Vec::new(),
            bounds: vec![start],
            longest: 0,
            limits: SMALL,
            readers: Vec::new(),
            promised: start,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.random.below(limit as u64)).unwrap()
    }

    fn step(&mut self) {
        match self.below(10) {
            0 => {
                let size_bytes = self.random.below(200 * KIB);
                self.limits = Limits { size_bytes, held_bytes_max: self.random.below(4 << 20) };
                self.backlog.resize(self.limits);
            }
            1 => {
                let index = self.below(self.bounds.len());
                let bound = self.bounds[index];
                let is_here = self.backlog.first() <= bound;
                let id = self.backlog.open(bound);
                assert_eq!(id.is_some(), is_here, "SEED={}", self.seed);
                self.readers.extend(id.map(|id| Reader { id, next: bound, told: false }));
            }
            2 if 4 < self.readers.len() => {
                let index = self.below(self.readers.len());
                self.backlog.close(self.readers.swap_remove(index).id);
            }
            3..6 if !self.readers.is_empty() => self.read(),
            _ => self.write(),
        }
        self.check();
    }

    fn write(&mut self) {
        for _ in 0..self.below(200) {
            let len = match self.below(500) {
                0 if self.seed.is_multiple_of(2) => self.below(3 << 20),
                1..20 => self.below(20_000),
                _ => self.below(300),
            };
            let salt = self.random.bits().to_le_bytes()[0];
            let unit: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0] ^ salt).collect();
            write(&mut self.backlog, &unit);
            self.bytes.extend(&unit);
            self.bounds.push(self.start + self.bytes.len() as u64);
            self.longest = self.longest.max(len as u64);
        }
    }

    fn read(&mut self) {
        let index = self.below(self.readers.len());
        let bytes_max = 1 + self.below(100_000);
        let reader = &mut self.readers[index];
        let at = usize::try_from(reader.next - self.start).unwrap();
        match self.backlog.read(reader.id, bytes_max) {
            Read::Bytes(found) => {
                assert!(!found.is_empty() && found.len() <= bytes_max, "SEED={}", self.seed);
                assert!(self.bytes[at..].starts_with(found), "SEED={}", self.seed);
                let len = found.len() as u64;
                self.backlog.advance(reader.id, len);
                reader.next += len;
            }
            Read::Nothing => {
                assert!(reader.told || at == self.bytes.len(), "SEED={}", self.seed);
            }
            Read::Fallen => {
                assert!(!reader.told && reader.next < self.backlog.first(), "SEED={}", self.seed);
                reader.told = true;
            }
        }
    }

    fn check(&mut self) {
        let (seed, first, end) = (self.seed, self.backlog.first(), self.backlog.end());
        assert_eq!(end, self.start + self.bytes.len() as u64, "SEED={seed}");
        assert!(self.bounds.binary_search(&first).is_ok(), "SEED={seed}");
        let most = self.limits.size_bytes + MARK_BYTES + self.longest;
        assert!(end - first <= most, "SEED={seed}: {} {most}", end - first);
        let wanted = self.bound_before(end.saturating_sub(self.limits.size_bytes));
        self.promised = self.promised.max(wanted);
        // What a very long unit pushes out is gone.
        assert!(LONG < self.longest || first <= self.promised, "SEED={seed}");
    }

    /// The last place between units that is not behind this one.
    fn bound_before(&self, place: u64) -> u64 {
        let index = self.bounds.partition_point(|bound| *bound <= place);
        self.bounds[index.saturating_sub(1)]
    }
}

#[test]
fn random_units_readers_and_sizes_agree_with_a_model() {
    let only = std::env::var("SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in only.map_or(0..40, |seed| seed..seed + 1) {
        println!("SEED={seed}");
        let mut model = Model::new(seed);
        for _ in 0..150 {
            model.step();
        }
    }
}
