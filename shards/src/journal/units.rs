//! Entries as they are made: what commands leave until a log takes it.

use alloc::vec::Vec;

use crate::base::number::{DIGITS_MAX, format_u64};
use crate::journal::entry::{HEADER, Header, Kind};
use crate::resp::request;

/// Entries, one behind the other. A command is one of its own, unless a unit is begun: then it
/// belongs to that.
#[derive(Debug, Default)]
pub struct Units {
    bytes: Vec<u8>,
    /// The weight of the entries that are complete.
    weight: u64,
    /// The unit that was begun and is not ended.
    open: Option<Open>,
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

impl Units {
    /// The entries that are complete.
    pub fn entries(&self) -> &[u8] {
        let end = self.open.as_ref().map_or(self.bytes.len(), |open| open.start);
        &self.bytes[..end]
    }

    /// Their weight: how many bytes they add to the stream of all logs.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.weight = 0;
        self.open = None;
    }

    /// Whether a unit is begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
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
        self.weight += header.weight();
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
            is_several: 1 < *count,
            ends_elsewhere: *last_db != 0,
            db: *db,
        };
        self.bytes.extend_from_slice(&header.encode());
        self.bytes.extend_from_slice(commands);
        self.weight += header.weight();
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
        let db = u16::try_from(db).expect("databases of a log have 16 bits");
        let is_alone = self.open.is_none();
        if is_alone {
            self.begin();
        }
        if let Some(open) = &mut self.open {
            if open.commands == 0 {
                open.first_db = db;
            } else if open.last_db != db {
                let mut digits = [0; DIGITS_MAX];
                let name = format_u64(&mut digits, db.into());
                request::write(&mut self.bytes, &[b"SELECT", name]);
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

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(text_of(units.entries()), expected);
        units.clear();
        assert!(units.entries().is_empty());
    }
}
