//! Kinds of settings: how words become a value and a value becomes text. Here the trait and the
//! kinds of one word; those of several are in `lists`, `notify` and `output_limits`.

use super::line::quote;
use shards::base::number::parse_i64;
use std::ffi::OsStr;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Why a value is refused, in Valkey's words where it has some.
pub type Reason = String;

/// How one setting reads and prints. An implementor holds the bounds.
pub trait Kind {
    /// What the field holds.
    type Value: PartialEq;
    /// Whether a file's line may hold several words.
    const MANY: bool = false;
    /// Whether the value must not show in logs.
    const SECRET: bool = false;
    /// Whether only the file and options may say it, and CONFIG GET keeps silent.
    const FILE_ONLY: bool = false;
    /// Whether CONFIG GET shows it to its exact name only: it is for tests.
    const HIDDEN: bool = false;

    /// The value of `words`; one word unless `MANY`. `old` is what it replaces or adds to.
    fn read(
        &self,
        words: &[&[u8]],
        old: &Self::Value,
        mention: Mention,
    ) -> Result<Self::Value, Reason>;

    /// The text that CONFIG GET gives.
    fn print(&self, value: &Self::Value) -> Vec<u8>;

    /// The lines of a file that say `value`, without the setting's name.
    fn lines(&self, value: &Self::Value, default: &Self::Value) -> Vec<FileLine> {
        vec![FileLine { words: self.print(value), needed: value != default }]
    }

    /// What is allowed, for the sample file and the README.
    fn limits(&self) -> String;

    /// Words on both sides of every limit; the table's tests run over them.
    fn examples(&self) -> Examples;
}

/// Whether a file spoke of a setting before. Valkey lets `save` lines add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention {
    /// The first time, or CONFIG SET: what was there is replaced.
    First,
    /// Again in the same load.
    Again,
}

/// One line that a configuration file needs for a setting, without its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLine {
    /// The words, quoted where they must be.
    pub words: Vec<u8>,
    /// Whether the value differs from the default, so that the file must have the line.
    pub needed: bool,
}

/// Words for one setting, as they stand in a line.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// Accepted.
    pub good: Vec<String>,
    /// Refused.
    pub bad: Vec<String>,
}

impl Examples {
    /// From lists of words.
    pub fn of(good: &[&str], bad: &[&str]) -> Self {
        let owned = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        Self { good: owned(good), bad: owned(bad) }
    }
}

/// `yes` or `no`.
#[derive(Debug)]
pub struct YesNo;

impl Kind for YesNo {
    type Value = bool;

    fn read(&self, words: &[&[u8]], _: &bool, _: Mention) -> Result<bool, Reason> {
        match words {
            [word] if word.eq_ignore_ascii_case(b"yes") => Ok(true),
            [word] if word.eq_ignore_ascii_case(b"no") => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn print(&self, value: &bool) -> Vec<u8> {
        if *value { b"yes".to_vec() } else { b"no".to_vec() }
    }

    fn limits(&self) -> String {
        "`yes`, `no`".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&["yes", "no", "YES"], &["", "on", "1", "true"])
    }
}

/// A number that is of use to tests only.
#[derive(Debug)]
pub struct ForTests<T>(pub Integer<T>);

impl<T: Copy + PartialOrd + Display + TryFrom<i64>> Kind for ForTests<T> {
    type Value = T;
    const HIDDEN: bool = true;

    fn read(&self, words: &[&[u8]], old: &T, mention: Mention) -> Result<T, Reason> {
        self.0.read(words, old, mention)
    }

    fn print(&self, value: &T) -> Vec<u8> {
        self.0.print(value)
    }

    fn limits(&self) -> String {
        self.0.limits()
    }

    fn examples(&self) -> Examples {
        self.0.examples()
    }
}

/// A whole number within bounds.
#[derive(Debug)]
pub struct Integer<T>(pub RangeInclusive<T>);

impl<T: Copy + PartialOrd + Display + TryFrom<i64>> Kind for Integer<T> {
    type Value = T;

    fn read(&self, words: &[&[u8]], _: &T, _: Mention) -> Result<T, Reason> {
        let number = words
            .first()
            .and_then(|word| parse_i64(word))
            .ok_or("argument couldn't be parsed into an integer")?;
        T::try_from(number)
            .ok()
            .filter(|number| self.0.contains(number))
            .ok_or_else(|| outside(self.0.start(), self.0.end()))
    }

    fn print(&self, value: &T) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn limits(&self) -> String {
        between(&self.0.start().to_string(), &self.0.end().to_string())
    }

    fn examples(&self) -> Examples {
        let (low, high) = (self.0.start().to_string(), self.0.end().to_string());
        let beside = |number: &str, step: i128| {
            (number.parse::<i128>().expect("a bound prints as a number") + step).to_string()
        };
        let bad = ["", "x", "1x", "+1", "01", " 1", "1.0"].map(str::to_owned).into_iter();
        let bad = bad.chain([beside(&low, -1), beside(&high, 1)]).collect();
        Examples { good: vec![low, high], bad }
    }
}

/// A number that Valkey takes within wide bounds and then pulls into narrow ones.
#[derive(Debug)]
pub struct Clamped {
    /// What is taken.
    pub taken: RangeInclusive<u32>,
    /// What is kept.
    pub kept: RangeInclusive<u32>,
}

impl Kind for Clamped {
    type Value = u32;

    fn read(&self, words: &[&[u8]], old: &u32, mention: Mention) -> Result<u32, Reason> {
        let number = Integer(self.taken.clone()).read(words, old, mention)?;
        Ok(number.clamp(*self.kept.start(), *self.kept.end()))
    }

    fn print(&self, value: &u32) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn limits(&self) -> String {
        between(&self.kept.start().to_string(), &self.kept.end().to_string())
    }

    fn examples(&self) -> Examples {
        Integer(self.taken.clone()).examples()
    }
}

/// Bytes, with Valkey's units: `k`, `m`, `g` are powers of 1000; `kb`, `mb`, `gb` of 1024.
#[derive(Debug)]
pub struct Memory(pub RangeInclusive<u64>);

impl Kind for Memory {
    type Value = u64;

    fn read(&self, words: &[&[u8]], _: &u64, _: Mention) -> Result<u64, Reason> {
        let bytes =
            words.first().and_then(|word| memory(word)).ok_or("argument must be a memory value")?;
        if self.0.contains(&bytes) { Ok(bytes) } else { Err(outside(self.0.start(), self.0.end())) }
    }

    fn print(&self, value: &u64) -> Vec<u8> {
        value.to_string().into_bytes()
    }

    fn lines(&self, value: &u64, default: &u64) -> Vec<FileLine> {
        vec![FileLine { words: memory_text(*value).into_bytes(), needed: value != default }]
    }

    fn limits(&self) -> String {
        format!("bytes: {}", between(&memory_text(*self.0.start()), &memory_text(*self.0.end())))
    }

    fn examples(&self) -> Examples {
        let (low, high) = (*self.0.start(), *self.0.end());
        let mut bad: Vec<_> =
            ["", "kb", "x", "-1", "1.5mb", "1 mb", "1tb"].map(str::to_owned).into();
        bad.extend(low.checked_sub(1).map(|bytes| bytes.to_string()));
        bad.push((u128::from(high) + 1).to_string());
        let good = [low.to_string(), high.to_string(), "3m".into(), "7MB".into(), "2g".into()];
        Examples { good: good.into(), bad }
    }
}

/// Permissions of a file, in octal.
#[derive(Debug)]
pub struct Octal(pub RangeInclusive<u32>);

impl Kind for Octal {
    type Value = u32;

    fn read(&self, words: &[&[u8]], _: &u32, _: Mention) -> Result<u32, Reason> {
        let number = words
            .first()
            .filter(|word| word.iter().all(u8::is_ascii_digit))
            .and_then(|word| std::str::from_utf8(word).ok())
            .and_then(|word| u32::from_str_radix(word, 8).ok())
            .ok_or("argument couldn't be parsed as an octal number")?;
        if self.0.contains(&number) {
            return Ok(number);
        }
        let (low, high) = (self.0.start(), self.0.end());
        Err(format!("argument must be between {low:o} and {high:o} inclusive"))
    }

    fn print(&self, value: &u32) -> Vec<u8> {
        format!("{value:o}").into_bytes()
    }

    fn limits(&self) -> String {
        format!("octal: {:o} to {:o}", self.0.start(), self.0.end())
    }

    fn examples(&self) -> Examples {
        let (low, high) = (format!("{:o}", self.0.start()), format!("{:o}", self.0.end()));
        let above = format!("{:o}", self.0.end() + 1);
        Examples::of(&[&low, &high, "0"], &["", "8", "-1", "x", &above])
    }
}

/// One of a few words. Several words may mean one value; the first of them is printed.
#[derive(Debug)]
pub struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn read(&self, words: &[&[u8]], _: &T, _: Mention) -> Result<T, Reason> {
        let found = match words {
            [word] => self.0.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())),
            _ => None,
        };
        found.map(|&(_, value)| value).ok_or_else(|| {
            let names: Vec<_> = self.0.iter().map(|&(name, _)| name).collect();
            format!("argument(s) must be one of the following: {}", names.join(", "))
        })
    }

    fn print(&self, value: &T) -> Vec<u8> {
        let (name, _) = self
            .0
            .iter()
            .find(|(_, listed)| listed == value)
            .expect("every value of the type has a word");
        name.as_bytes().to_vec()
    }

    fn limits(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("`{name}`")).collect();
        names.join(", ")
    }

    fn examples(&self) -> Examples {
        let names: Vec<_> = self.0.iter().map(|&(name, _)| name).collect();
        Examples::of(&names, &["", "nosuch"])
    }
}

/// A path; empty for none.
#[derive(Debug)]
pub struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn read(&self, words: &[&[u8]], _: &PathBuf, _: Mention) -> Result<PathBuf, Reason> {
        let word = words.first().copied().unwrap_or_default();
        if word.contains(&0) {
            return Err("a path has no zero byte".into());
        }
        Ok(PathBuf::from(OsStr::from_bytes(word)))
    }

    fn print(&self, value: &PathBuf) -> Vec<u8> {
        value.as_os_str().as_bytes().to_vec()
    }

    fn lines(&self, value: &PathBuf, default: &PathBuf) -> Vec<FileLine> {
        vec![FileLine { words: quote(value.as_os_str().as_bytes()), needed: value != default }]
    }

    fn limits(&self) -> String {
        "a path".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&["", "/tmp/a b", "x'y\"z"], &["a\0b"])
    }
}

/// The name of a file, without its folder.
#[derive(Debug)]
pub struct FileName;

impl Kind for FileName {
    type Value = PathBuf;

    fn read(&self, words: &[&[u8]], old: &PathBuf, mention: Mention) -> Result<PathBuf, Reason> {
        let is_name = |word: &&[u8]| !word.is_empty() && !word.contains(&b'/');
        if !words.iter().all(is_name) {
            return Err("dbfilename can't be a path, just a filename".into());
        }
        FilePath.read(words, old, mention)
    }

    fn print(&self, value: &PathBuf) -> Vec<u8> {
        FilePath.print(value)
    }

    fn lines(&self, value: &PathBuf, default: &PathBuf) -> Vec<FileLine> {
        FilePath.lines(value, default)
    }

    fn limits(&self) -> String {
        "the name of a file".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&["dump.rdb", "a b"], &["", "a/b", "/", "a\0b"])
    }
}

/// A word that people read: a name, on one line.
#[derive(Debug)]
pub struct Name;

impl Kind for Name {
    type Value = String;

    fn read(&self, words: &[&[u8]], _: &String, _: Mention) -> Result<String, Reason> {
        let text = str::from_utf8(words.first().copied().unwrap_or_default());
        let text = text.ok().filter(|text| !text.contains(char::is_control));
        text.map(str::to_owned).ok_or_else(|| "a name is text on one line".into())
    }

    fn print(&self, value: &String) -> Vec<u8> {
        value.clone().into_bytes()
    }

    fn lines(&self, value: &String, default: &String) -> Vec<FileLine> {
        vec![FileLine { words: quote(value.as_bytes()), needed: value != default }]
    }

    fn limits(&self) -> String {
        "a name".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&["valkey", "a b", ""], &["a\nb"])
    }
}

/// A path that must not be empty: the text is the reason.
#[derive(Debug)]
pub struct NamedPath(pub &'static str);

impl Kind for NamedPath {
    type Value = PathBuf;

    fn read(&self, words: &[&[u8]], old: &PathBuf, mention: Mention) -> Result<PathBuf, Reason> {
        if words == [b""] {
            return Err(self.0.into());
        }
        FilePath.read(words, old, mention)
    }

    fn print(&self, value: &PathBuf) -> Vec<u8> {
        FilePath.print(value)
    }

    fn lines(&self, value: &PathBuf, default: &PathBuf) -> Vec<FileLine> {
        FilePath.lines(value, default)
    }

    fn limits(&self) -> String {
        "a path".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&[".", "/tmp/a b", "x'y\"z"], &["", "a\0b"])
    }
}

/// A password; empty for none.
#[derive(Debug)]
pub struct Password;

impl Kind for Password {
    type Value = Vec<u8>;
    const SECRET: bool = true;

    fn read(&self, words: &[&[u8]], _: &Vec<u8>, _: Mention) -> Result<Vec<u8>, Reason> {
        Ok(words.first().copied().unwrap_or_default().to_vec())
    }

    fn print(&self, value: &Vec<u8>) -> Vec<u8> {
        value.clone()
    }

    fn lines(&self, value: &Vec<u8>, default: &Vec<u8>) -> Vec<FileLine> {
        vec![FileLine { words: quote(value), needed: value != default }]
    }

    fn limits(&self) -> String {
        "a text".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&["", "foobared", "a b\n\"c\"é"], &[])
    }
}

/// A number of bytes with its unit.
pub fn memory(word: &[u8]) -> Option<u64> {
    let unit_at = word.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(word.len());
    let (digits, unit) = word.split_at(unit_at);
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    number.checked_mul(factor)
}

/// A number of bytes in the largest unit that divides it, as CONFIG REWRITE writes it.
pub fn memory_text(bytes: u64) -> String {
    let units = [(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")];
    for (factor, unit) in units {
        if bytes != 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

fn outside(low: &impl Display, high: &impl Display) -> Reason {
    format!("argument must be between {low} and {high} inclusive")
}

/// Bounds in words; the largest numbers are no bound worth reading.
fn between(low: &str, high: &str) -> String {
    let boundless = ["2147483647", "4294967295", "9223372036854775807", "18446744073709551615"];
    if boundless.contains(&high) { format!("{low} or more") } else { format!("{low} to {high}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_valkeys_units() {
        let cases: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("1b", Some(1)),
            ("1k", Some(1000)),
            ("1kb", Some(1024)),
            ("2M", Some(2_000_000)),
            ("2mB", Some(2 << 20)),
            ("3g", Some(3_000_000_000)),
            ("3GB", Some(3 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("17179869184gb", None),
            ("", None),
            ("mb", None),
            ("-1", None),
            ("1 kb", None),
            ("1tb", None),
        ];
        for &(word, bytes) in cases {
            assert_eq!(memory(word.as_bytes()), bytes, "{word}");
        }
    }

    #[test]
    fn memory_is_written_in_the_largest_unit() {
        for bytes in [0, 1, 1000, 1024, 1 << 20, 3 << 30, u64::MAX, (1 << 30) + (1 << 10)] {
            assert_eq!(memory(memory_text(bytes).as_bytes()), Some(bytes));
        }
        assert_eq!(memory_text(64 << 20), "64mb");
    }
}
