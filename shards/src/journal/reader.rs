//! Entries as they are read.

use alloc::vec::Vec;

use crate::base::number::parse_u64;
use crate::journal::entry::{HEADER, Header, Malformed};
use crate::resp::parser::{Limits, Parser, Range, Step};

/// Entries, one after the other. It ends at the first that is malformed.
#[derive(Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

/// An entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its header.
    pub header: Header,
    /// Its commands, as a client would send them.
    pub commands: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Those in `bytes`.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = core::mem::take(&mut self.rest);
        Some(Header::decode(rest).map(|header| {
            let len = usize::try_from(header.len).expect("so many bytes are there");
            let (entry, behind) = rest.split_at(len);
            self.rest = behind;
            Entry { header, commands: &entry[HEADER..] }
        }))
    }
}

/// Goes through an entry's commands, with the database of each.
///
/// # Errors
/// If a command is none, or SELECT names no database. Those before it were gone through.
pub fn each_command(
    entry: &Entry<'_>,
    mut with: impl FnMut(usize, &[&[u8]]),
) -> Result<(), Malformed> {
    const LIMITS: Limits = Limits { bulk_bytes_max: u32::MAX as u64, authenticated: true };
    let (mut rest, mut db) = (entry.commands, usize::from(entry.header.db));
    let mut ranges: Vec<Range> = Vec::new();
    while !rest.is_empty() {
        ranges.clear();
        let step = Parser::default().step(rest, &mut ranges, &LIMITS);
        let Ok(Step::Request { consumed }) = step else { return Err(Malformed::Command) };
        let args: Vec<&[u8]> = ranges.iter().map(|range| range.of(rest)).collect();
        match args[..] {
            [b"SELECT", name] => {
                let number = parse_u64(name).and_then(|number| u16::try_from(number).ok());
                db = usize::from(number.ok_or(Malformed::Command)?);
            }
            _ => with(db, &args),
        }
        rest = &rest[consumed..];
    }
    Ok(())
}

#[cfg(test)]
#[expect(missing_docs, reason = "tests of others use it")]
pub mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    use crate::journal::units::Units;

    /// Entries as text: the database of the first command, and the commands.
    pub fn text_of(bytes: &[u8]) -> Vec<String> {
        let words = |args: &[&[u8]]| {
            let words = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned());
            words.collect::<Vec<_>>().join(" ")
        };
        let one = |entry: Result<Entry<'_>, Malformed>| {
            let entry = entry.expect("it is well formed");
            let mut commands = Vec::new();
            let mut last = usize::from(entry.header.db);
            each_command(&entry, |db, args| {
                if core::mem::replace(&mut last, db) != db {
                    commands.push(format!("SELECT {db}"));
                }
                commands.push(words(args));
            })
            .expect("its commands are well formed");
            format!("{}: {}", entry.header.db, commands.join("; "))
        };
        Entries::of(bytes).map(one).collect()
    }

    #[test]
    fn what_is_no_entry_ends_it() {
        let mut units = Units::default();
        units.push(0, &["SET", "a", "1"]);
        units.push(0, &["DEL", "a"]);
        let bytes = units.entries();
        let first = Entries::of(bytes).next().expect("there is one").expect("it is well formed");
        let first_len = usize::try_from(first.header.len).expect("it is short");
        for cut in 0..bytes.len() {
            let mut entries = Entries::of(&bytes[..cut]);
            let whole = usize::from(first_len <= cut);
            assert_eq!(entries.by_ref().take_while(Result::is_ok).count(), whole, "{cut}");
            assert!(entries.next().is_none(), "{cut}");
        }
    }

    #[test]
    fn commands_that_are_none_are_refused() {
        for bad in [&b"*1\r\n"[..], b"PING\r\n", b"*0\r\n", b"*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n"] {
            let header = Header { len: 10, is_several: false, ends_elsewhere: false, db: 0 };
            let entry = Entry { header, commands: bad };
            let result = each_command(&entry, |_, _| {});
            assert_eq!(result, Err(Malformed::Command), "{}", bad.escape_ascii());
        }
    }
}
