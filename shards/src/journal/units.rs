//! Entries as they are made: what commands leave until a log takes it.

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_u64};
use crate::journal::entry::{HEADER, Header, Kind, Note};
use crate::journal::part::{Payload, Transaction};
use crate::resp::request;

/// Bytes of room that stay when a unit is taken out.
const OPEN_ROOM_MAX: usize = 256 << 10;

/// Entries, one behind the other. A command is one of its own, unless a unit is begun: then it
/// belongs to that.
#[derive(Debug, Default)]
pub struct Units {
    bytes: Vec<u8>,
    /// Bytes of the entries that the log has taken: where the first one here begins in it.
    taken: u64,
    /// The weight of all entries since the history began.
    weight: u64,
    /// The unit that was begun and is not ended.
    open: Option<Open>,
    /// A client, or control, waits until replicas have what is here.
    is_awaited: bool,
}

/// Commands that take effect at once and are in no log yet.
#[derive(Debug, Default)]
pub struct Unit {
    /// The commands, each as a client would send it, with a SELECT where the database changes.
    pub commands: Vec<u8>,
    /// How many they are, without SELECTs.
    pub count: usize,
    /// The database of the first of them.
    pub db: u16,
    /// The database of the last.
    pub last_db: u16,
}

/// A unit to which commands are added.
#[derive(Debug)]
struct Open {
    /// Where it begins.
    start: usize,
    /// How many commands it has.
    commands: usize,
    /// The databases of the first and of the last of them.
    first_db: u16,
    last_db: u16,
}

/// Commands of one database, encoded.
#[derive(Debug, Default)]
pub struct Commands {
    bytes: Vec<u8>,
    count: usize,
}

impl Commands {
    /// Adds one.
    pub fn push<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        request::write(&mut self.bytes, args);
        self.count += 1;
    }

    /// Adds those of `more`, which forgets them.
    pub fn append(&mut self, more: &mut Self) {
        self.bytes.append(&mut more.bytes);
        self.count += core::mem::take(&mut more.count);
    }

    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Unit {
    /// Its commands, for a part of a transaction.
    pub fn payload(&self) -> Payload<'_> {
        let Self { commands, count: _, db, last_db } = self;
        Payload { commands, db: *db, ends_elsewhere: *last_db != 0 }
    }

    /// Adds a command in a database.
    ///
    /// # Panics
    /// As [`Units::push`].
    pub fn push<A: AsRef<[u8]>>(&mut self, db: usize, args: &[A]) {
        let db = narrow(db);
        if self.count == 0 {
            self.db = db;
        } else if self.last_db != db {
            select(&mut self.commands, db);
        }
        self.last_db = db;
        self.count += 1;
        request::write(&mut self.commands, args);
    }

    /// Adds the commands of `more` behind its own.
    pub fn append(&mut self, more: Self) {
        if self.count == 0 {
            *self = more;
            return;
        }
        if self.last_db != more.db {
            select(&mut self.commands, more.db);
        }
        self.commands.extend_from_slice(&more.commands);
        self.count += more.count;
        self.last_db = more.last_db;
    }

    /// Whether it has no commands.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Units {
    /// The entries that are complete.
    pub fn entries(&self) -> &[u8] {
        let end = self.open.as_ref().map_or(self.bytes.len(), |open| open.start);
        &self.bytes[..end]
    }

    /// Where the log ends once it has taken them: its offset.
    pub fn offset(&self) -> u64 {
        self.taken + self.entries().len() as u64
    }

    /// The weight of all entries since the history began: how many bytes they add to the stream of
    /// all logs.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether the log has taken all that is complete.
    #[inline]
    pub fn are_taken(&self) -> bool {
        self.entries().is_empty()
    }

    /// Whether replicas are to have at once what was added since the last call: it has a part of a
    /// fence, or asks for acknowledgements.
    pub fn take_awaited(&mut self) -> bool {
        core::mem::take(&mut self.is_awaited)
    }

    /// Gives the entries that are complete to the log, with the offset of the first one,
    /// and keeps their room up to so many bytes.
    ///
    /// # Panics
    /// If a unit is begun: what takes effect at once is taken as a whole.
    pub fn take(&mut self, room_max: usize, log: impl FnOnce(u64, &[u8])) {
        assert!(self.open.is_none(), "a unit is taken when it has ended");
        log(self.taken, &self.bytes);
        self.taken += self.bytes.len() as u64;
        self.bytes.clear();
        if room_max < self.bytes.capacity() {
            self.bytes = Vec::new();
        }
    }

    /// Forgets everything but its room: a history begins.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.taken, self.weight) = (0, 0);
        (self.open, self.is_awaited) = (None, false);
    }

    /// Whether a unit is begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many commands the unit has so far that is begun; none if none is.
    pub fn open_commands(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.commands)
    }

    /// Begins a unit: the commands up to [`Self::end`] take effect at once.
    ///
    /// # Panics
    /// If one is begun already.
    pub fn begin(&mut self) {
        assert!(self.open.is_none(), "a unit has no units in it");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER]);
        self.open = Some(Open { start, commands: 0, first_db: 0, last_db: 0 });
    }

    /// Ends the unit that was begun. Without commands it leaves nothing.
    ///
    /// # Panics
    /// If none is begun.
    pub fn end(&mut self) {
        let open = self.open.take().expect("a unit is ended that was begun");
        let Open { start, commands, first_db, last_db } = open;
        if commands == 0 {
            return self.bytes.truncate(start);
        }
        let header = Header {
            len: (self.bytes.len() - start) as u64,
            kind: Kind::Unit,
            has_multi: 1 < commands,
            ends_elsewhere: last_db != 0,
            db: first_db,
        };
        self.bytes[start..start + HEADER].copy_from_slice(&header.encode());
        self.weight += header.weight(self.bytes.len() - start - HEADER);
    }

    /// Ends the unit that was begun, and takes it out: it is no entry here. `None` if it has no
    /// commands.
    ///
    /// # Panics
    /// If none is begun.
    pub fn take_open(&mut self) -> Option<Unit> {
        let open = self.open.take().expect("a unit is taken that was begun");
        let Open { start, commands: count, first_db: db, last_db } = open;
        let commands = self.bytes[start + HEADER..].to_vec();
        self.bytes.truncate(start);
        if start == 0 && OPEN_ROOM_MAX < self.bytes.capacity() {
            self.bytes = Vec::new();
        }
        (count != 0).then_some(Unit { commands, count, db, last_db })
    }

    /// Adds an entry with the commands of a unit.
    ///
    /// # Panics
    /// If a unit is begun: entries are not in one another.
    pub fn push_unit(&mut self, unit: &Unit) {
        assert!(self.open.is_none(), "a unit has no units in it");
        let Unit { commands, count, db, last_db } = unit;
        let header = Header {
            len: (HEADER + commands.len()) as u64,
            kind: Kind::Unit,
            has_multi: 1 < *count,
            ends_elsewhere: *last_db != 0,
            db: *db,
        };
        self.bytes.extend_from_slice(&header.encode());
        self.bytes.extend_from_slice(commands);
        self.weight += header.weight(commands.len());
    }

    /// Adds the part that a shard has of a transaction: with the commands of a unit, or with none.
    ///
    /// # Panics
    /// If a unit is begun, and as [`Transaction::push_part`].
    pub fn push_part(&mut self, transaction: Transaction<'_>, shard: u16, unit: Option<&Unit>) {
        assert!(self.open.is_none(), "a unit has no parts in it");
        let payload = unit.map_or_else(Payload::default, Unit::payload);
        self.is_awaited |= unit.is_none();
        self.weight += transaction.push_part(&mut self.bytes, shard, payload);
    }

    /// Adds a word to replicas.
    ///
    /// # Panics
    /// If a unit is begun.
    pub fn push_note(&mut self, note: Note) {
        assert!(self.open.is_none(), "a unit has no notes in it");
        self.bytes.extend_from_slice(&note.encode());
        self.is_awaited |= note == Note::GetAck;
        self.weight += note.command().len() as u64;
    }

    /// Adds a command as it came from a client.
    ///
    /// # Panics
    /// As [`Self::push`].
    #[inline]
    pub fn push_as_it_came(&mut self, db: usize, request: &[u8]) {
        self.add(db, 1, |bytes| bytes.extend_from_slice(request));
    }

    /// Adds a command with these arguments in a database.
    ///
    /// # Panics
    /// If the database's number has more than 16 bits: entries have no place for it.
    pub fn push<A: AsRef<[u8]>>(&mut self, db: usize, args: &[A]) {
        self.add(db, 1, |bytes| request::write(bytes, args));
    }

    /// Adds commands that take effect at once.
    pub fn push_all(&mut self, db: usize, commands: &Commands) {
        if !commands.is_empty() {
            self.add(db, commands.count, |bytes| bytes.extend_from_slice(&commands.bytes));
        }
    }

    #[inline]
    fn add(&mut self, db: usize, commands: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let db = narrow(db);
        let is_alone = self.open.is_none();
        if is_alone {
            self.begin();
        }
        if let Some(open) = &mut self.open {
            if open.commands == 0 {
                open.first_db = db;
            } else if open.last_db != db {
                select(&mut self.bytes, db);
            }
            open.last_db = db;
            open.commands += commands;
        }
        write(&mut self.bytes);
        if is_alone {
            self.end();
        }
    }
}

/// A database as entries have it.
#[inline]
fn narrow(db: usize) -> u16 {
    u16::try_from(db).expect("databases of a log have 16 bits")
}

/// Appends the command that selects a database.
fn select(commands: &mut Vec<u8>, db: u16) {
    let mut digits = [0; DIGITS_MAX];
    request::write(commands, &[b"SELECT", format_u64(&mut digits, db.into())]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::reader::Entries;
    use crate::journal::reader::tests::text_of;

    #[test]
    fn commands_are_units_of_their_own_unless_one_is_begun() {
        let mut units = Units::default();
        units.push(0, &["SET", "a", "1"]);
        units.begin();
        units.push(1, &["SET", "b", "2"]);
        assert_eq!(text_of(units.entries()), ["0: SET a 1"], "what is not ended is not shown");
        units.push(1, &["DEL", "c"]);
        units.push(0, &["DEL", "d"]);
        units.end();
        units.begin();
        units.end();
        let mut commands = Commands::default();
        units.push_all(3, &commands);
        commands.push(&["INCR", "x"]);
        commands.push(&["INCR", "y"]);
        units.push_all(3, &commands);
        commands.clear();
        units.push_all(3, &commands);
        let expected = ["0: SET a 1", "1: SET b 2; DEL c; SELECT 0; DEL d", "3: INCR x; INCR y"];
        check(&units, &expected);
        units.clear();
        check(&units, &[]);
    }

    #[test]
    fn a_unit_that_is_taken_out_is_added_as_an_entry_or_as_a_part() {
        let mut units = Units::default();
        units.begin();
        assert!(units.take_open().is_none());
        units.begin();
        units.push_as_it_came(0, &request::encode(&["DEL", "a"]));
        let mut unit = units.take_open().expect("it has a command");
        check(&units, &[]);
        units.push_unit(&unit);
        unit.push(0, &["DEL", "b"]);
        let mut more = Unit::default();
        more.push(5, &["DEL", "c"]);
        unit.append(more);
        units.push_unit(&unit);
        let transaction = Transaction { txid: 7, participants: &[1, 2] };
        units.push_part(transaction, 1, Some(&unit));
        units.push_part(transaction, 2, None);
        units.push_note(Note::Ping);
        let several = "DEL a; DEL b; SELECT 5; DEL c";
        let whole = alloc::format!("0: {several}");
        let part = alloc::format!("0: 7 of [1, 2]: {several}");
        check(&units, &["0: DEL a", &whole, &part, "0: 7 of [1, 2]: ", "Ping"]);
    }

    #[test]
    fn a_log_takes_entries_once_and_knows_where_it_is() {
        let mut units = Units::default();
        let mut log = Vec::new();
        for round in 0..3 {
            assert!(units.are_taken());
            units.push(round, &["DEL", "a"]);
            assert!(!units.are_taken());
            units.take(1, |offset, entries| {
                assert_eq!(offset, log.len() as u64);
                log.extend_from_slice(entries);
            });
            assert_eq!(units.offset(), log.len() as u64);
        }
        assert_eq!(text_of(&log), ["0: DEL a", "1: DEL a", "2: DEL a"]);
        units.clear();
        assert_eq!((units.offset(), units.weight()), (0, 0));
    }

    #[track_caller]
    fn check(units: &Units, expected: &[&str]) {
        assert_eq!(text_of(units.entries()), expected);
        let entries = Entries::of(units.entries());
        let weight = entries.map(|entry| entry.expect("it is well formed").weight()).sum::<u64>();
        assert_eq!(units.weight(), weight);
    }
}
