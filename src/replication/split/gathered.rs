//! Commands that stand in a log, as units of a stream are made of them.

use shards::journal::entry::Malformed;
use shards::journal::reader::each_place;
use shards::resp::parser::Range;

use super::{Kind, Place, Unit};
use crate::replication::history::Scalar;

/// Where the commands of entries stand that take effect at once. Kept for its room.
#[derive(Debug, Default)]
pub struct Gathered {
    places: Vec<Place>,
    ranges: Vec<Range>,
}

impl Gathered {
    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.places.clear();
        self.ranges.clear();
    }

    /// Adds the commands from `start` on in `buffer`, the first of which is in this database.
    ///
    /// # Errors
    /// If they are none.
    pub fn add(&mut self, db: u16, buffer: &[u8], start: usize) -> Result<(), Malformed> {
        let places = &mut self.places;
        each_place(db, &buffer[start..], &mut self.ranges, |db, place, ranges| {
            let (start, end) = (start + place.start, start + place.end);
            places.push(Place { start, end, db, ranges_end: ranges.len() });
        })
    }

    /// The unit of all of them, which stand in `buffer`. It has no place in a stream.
    pub fn unit<'a>(&'a self, buffer: &'a [u8]) -> Unit<'a> {
        Unit {
            kind: Kind::Commands,
            db: self.places.first().map_or(0, |place| place.db),
            offset: Scalar(0),
            raw: buffer,
            buffer,
            places: &self.places,
            ranges: &self.ranges,
        }
    }
}

#[cfg(test)]
mod tests {
    use shards::resp::request;

    use super::*;

    #[test]
    fn commands_of_several_entries_make_one_unit() {
        let mut buffer = Vec::new();
        let mut gathered = Gathered::default();
        for (db, commands) in [
            (2, &[&["SET", "a", "1"][..], &["SELECT", "0"], &["DEL", "b"]][..]),
            (1, &[&["INCR", "c"]]),
        ] {
            let start = buffer.len();
            commands.iter().for_each(|args| buffer.extend(request::encode(args)));
            gathered.add(db, &buffer, start).expect("they are commands");
        }
        let unit = gathered.unit(&buffer);
        let text = |args: Vec<&[u8]>| String::from_utf8(args.join(&b' ')).expect("it is text");
        let commands: Vec<(u16, String)> =
            unit.commands().map(|command| (command.db, text(command.args().collect()))).collect();
        let expected = [(2, "SET a 1"), (0, "DEL b"), (1, "INCR c")];
        assert_eq!(commands, expected.map(|(db, text)| (db, text.to_owned())));
        assert_eq!(unit.db, 2);
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for bad in ["PING\r\n", "*1\r\n$4\r\nPI", "*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n", "\r\n"] {
            assert!(Gathered::default().add(0, bad.as_bytes(), 0).is_err(), "{bad:?}");
        }
    }
}
