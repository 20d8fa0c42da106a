//! `notify-keyspace-events`: which events are published, as letters and as bits.

use super::kinds::{Examples, FileLine, Kind, Mention, Reason};
use super::line::quote;

/// The letters in the order Valkey prints them. `A` stands for those of `ALL`.
const LETTERS: &[(u8, u32)] = &[
    (b'g', 1 << 2),
    (b'$', 1 << 3),
    (b'l', 1 << 4),
    (b's', 1 << 5),
    (b'h', 1 << 6),
    (b'z', 1 << 7),
    (b'x', 1 << 8),
    (b'e', 1 << 9),
    (b't', 1 << 10),
    (b'd', 1 << 13),
    (b'n', NEW),
    (b'K', KEYSPACE),
    (b'E', KEYEVENT),
    (b'm', MISS),
];
const KEYSPACE: u32 = 1;
const KEYEVENT: u32 = 1 << 1;
const MISS: u32 = 1 << 11;
const NEW: u32 = 1 << 14;
const ALL: u32 = 0b10_0111_1111_1100;

/// Which keyspace events are published, and on which channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(u32);

impl NotifyFlags {
    /// The classes of events to collect, as the engine's `effects::Class` counts them; none if no
    /// channel would carry them.
    pub const fn classes(self) -> u32 {
        let channels = self.0 & (KEYSPACE | KEYEVENT);
        if channels == 0 { 0 } else { self.0 & !(KEYSPACE | KEYEVENT) }
    }

    /// `K`: whether events go to `__keyspace@<db>__:<key>`.
    pub const fn keyspace(self) -> bool {
        self.0 & KEYSPACE != 0
    }

    /// `E`: whether events go to `__keyevent@<db>__:<event>`.
    pub const fn keyevent(self) -> bool {
        self.0 & KEYEVENT != 0
    }

    fn letters(self) -> Vec<u8> {
        let all = self.0 & ALL == ALL;
        let mut text = if all { vec![b'A'] } else { Vec::new() };
        for &(letter, bit) in LETTERS {
            if self.0 & bit != 0 && !(all && bit & ALL != 0) {
                text.push(letter);
            }
        }
        text
    }
}

/// Letters of event classes.
#[derive(Debug)]
pub struct Events;

impl Kind for Events {
    type Value = NotifyFlags;

    fn read(&self, words: &[&[u8]], _: &NotifyFlags, _: Mention) -> Result<NotifyFlags, Reason> {
        let mut bits = 0;
        for letter in words.first().copied().unwrap_or_default() {
            let known = LETTERS.iter().find(|(listed, _)| listed == letter);
            bits |= match (letter, known) {
                (b'A', _) => ALL,
                (_, Some((_, bit))) => *bit,
                (_, None) => {
                    let reason = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
                    return Err(reason.into());
                }
            };
        }
        Ok(NotifyFlags(bits))
    }

    fn print(&self, value: &NotifyFlags) -> Vec<u8> {
        // Valkey does not print `n` beside `A`; the file's line below keeps it.
        let hidden = if value.0 & ALL == ALL { NEW } else { 0 };
        NotifyFlags(value.0 & !hidden).letters()
    }

    fn lines(&self, value: &NotifyFlags, default: &NotifyFlags) -> Vec<FileLine> {
        vec![FileLine { words: quote(&value.letters()), needed: value != default }]
    }

    fn limits(&self) -> String {
        "letters of `Ag$lshzxeKEtmdn`".into()
    }

    fn examples(&self) -> Examples {
        let good = ["", "KEA", "KEAmn", "Kn", "Ex", "g$lshzxetd", "mKn", "AA"];
        Examples::of(&good, &["Q", "K E", "k"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::effects::Class;

    /// What Valkey 9.1.2 answers to CONFIG GET after CONFIG SET.
    #[test]
    fn prints_as_valkey_does() {
        let cases = [
            ("KEAn", "AKE"),
            ("KEA", "AKE"),
            ("Kn", "nK"),
            ("KEAm", "AKEm"),
            ("KEg", "gKE"),
            ("AKEnd", "AKE"),
            ("gd", "gd"),
            ("", ""),
            ("g$lshzxetd", "A"),
        ];
        for (set, got) in cases {
            let value =
                Events.read(&[set.as_bytes()], &NotifyFlags::default(), Mention::First).unwrap();
            assert_eq!(Events.print(&value), got.as_bytes(), "{set}");
        }
    }

    #[test]
    fn bits_are_the_engines_classes() {
        let classes = [
            ("g", Class::Generic),
            ("$", Class::String),
            ("l", Class::List),
            ("s", Class::Set),
            ("h", Class::Hash),
            ("z", Class::SortedSet),
            ("x", Class::Expired),
            ("e", Class::Evicted),
            ("t", Class::Stream),
            ("m", Class::KeyMiss),
            ("n", Class::New),
        ];
        let read = |letters: String| {
            Events.read(&[letters.as_bytes()], &NotifyFlags::default(), Mention::First).unwrap()
        };
        for (letter, class) in classes {
            assert_eq!(read(format!("K{letter}")).classes(), class as u32);
            assert_eq!(read(letter.into()).classes(), 0, "no channel, no events");
        }
    }
}
