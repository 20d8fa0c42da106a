//! Settings that are lists: addresses, processors, percentiles, save points, renamed commands.

use super::kinds::{Examples, FileLine, Kind, Mention, Reason};
use super::line::quote;
use shards::base::number::parse_i64;
use std::ops::RangeInclusive;
use std::str::from_utf8;

/// Addresses that a server may listen on at once; Valkey has the same limit.
const ADDRESSES_MAX: usize = 16;
/// One more than the highest processor number: what the kernel's fixed-size set can hold.
const CPUS_MAX: usize = 1024;
/// Save points in one list.
const SAVE_POINTS_MAX: usize = 64;

/// Addresses to listen on.
#[derive(Debug)]
pub struct Addresses;

impl Kind for Addresses {
    type Value = Vec<String>;
    const MANY: bool = true;

    fn read(&self, words: &[&[u8]], _: &Vec<String>, _: Mention) -> Result<Vec<String>, Reason> {
        if ADDRESSES_MAX < words.len() {
            return Err("Too many bind addresses specified.".into());
        }
        if words == [b""] {
            return Ok(Vec::new());
        }
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
        let address = |word: &&[u8]| {
            let text = from_utf8(word).ok().filter(|_| !word.is_empty() && word.iter().all(plain));
            text.map(str::to_owned).ok_or_else(|| Reason::from("Invalid bind address."))
        };
        words.iter().map(address).collect()
    }

    fn print(&self, value: &Vec<String>) -> Vec<u8> {
        value.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<String>, default: &Vec<String>) -> Vec<FileLine> {
        vec![FileLine { words: or_empty_quotes(self.print(value)), needed: value != default }]
    }

    fn limits(&self) -> String {
        format!("up to {ADDRESSES_MAX} addresses; `-` before one that may be missing, `*` for all")
    }

    fn examples(&self) -> Examples {
        let many = "127.0.0.1 ".repeat(ADDRESSES_MAX + 1);
        Examples::of(&["* -::*", "\"\"", "127.0.0.1 ::1", "-::1"], &[&many, "a \"b c\"", "a \"\""])
    }
}

/// Processors, as in `0-3,8`; none for all that the process may use.
#[derive(Debug)]
pub struct CpuList;

impl Kind for CpuList {
    type Value = Vec<usize>;

    fn read(&self, words: &[&[u8]], _: &Vec<usize>, _: Mention) -> Result<Vec<usize>, Reason> {
        let text = words.first().and_then(|word| from_utf8(word).ok());
        let text = text.ok_or("argument must be a list of processors, like 0-3,8")?;
        let mut cpus = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let range = cpu_range(part).ok_or_else(|| {
                format!("argument must be a list of processors below {CPUS_MAX}, like 0-3,8")
            })?;
            for cpu in range {
                if cpus.contains(&cpu) {
                    return Err(format!("processor {cpu} is listed twice"));
                }
                cpus.push(cpu);
            }
        }
        Ok(cpus)
    }

    fn print(&self, value: &Vec<usize>) -> Vec<u8> {
        let runs = value.chunk_by(|cpu, next| cpu + 1 == *next);
        let texts: Vec<_> = runs
            .map(|run| match run {
                [first, .., last] => format!("{first}-{last}"),
                [cpu] => cpu.to_string(),
                [] => String::new(),
            })
            .collect();
        texts.join(",").into_bytes()
    }

    fn lines(&self, value: &Vec<usize>, default: &Vec<usize>) -> Vec<FileLine> {
        vec![FileLine { words: or_empty_quotes(self.print(value)), needed: value != default }]
    }

    fn limits(&self) -> String {
        "processors, like `0-3,8`".into()
    }

    fn examples(&self) -> Examples {
        let good = ["", "0", "0-3,8", "8,0-3", "1023", "3,2,1"];
        Examples::of(&good, &[",", "1,", "a", "-1", "3-1", "1024", "0,0", "0-1-2", "+1", "1 2"])
    }
}

fn cpu_range(part: &str) -> Option<RangeInclusive<usize>> {
    let number = |text: &str| {
        let number = usize::try_from(parse_i64(text.as_bytes())?).ok()?;
        (number < CPUS_MAX).then_some(number)
    };
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// Percentiles, each from 0 to 100, with at most six decimals.
#[derive(Debug)]
pub struct Percentiles;

impl Kind for Percentiles {
    type Value = Vec<f64>;
    const MANY: bool = true;

    fn read(&self, words: &[&[u8]], _: &Vec<f64>, _: Mention) -> Result<Vec<f64>, Reason> {
        if words == [b""] {
            return Ok(Vec::new());
        }
        words.iter().map(|word| percentile(word)).collect()
    }

    fn print(&self, value: &Vec<f64>) -> Vec<u8> {
        let texts: Vec<_> = value
            .iter()
            .map(|percentile| {
                let text = format!("{percentile:.6}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            })
            .collect();
        texts.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<f64>, default: &Vec<f64>) -> Vec<FileLine> {
        vec![FileLine { words: or_empty_quotes(self.print(value)), needed: value != default }]
    }

    fn limits(&self) -> String {
        "numbers from 0 to 100".into()
    }

    fn examples(&self) -> Examples {
        let good = ["\"\"", "0 100", "50 99 99.9", "99.12345678", "1e1"];
        Examples::of(&good, &["-0.1", "100.1", "x", "nan", "inf", "1 \"\""])
    }
}

fn percentile(word: &[u8]) -> Result<f64, Reason> {
    let number = from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
    let number = number
        .filter(|number| !number.is_nan())
        .ok_or("Invalid latency-tracking-info-percentiles parameters")?;
    if !(0.0..=100.0).contains(&number) {
        let reason = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        return Err(reason.into());
    }
    // Six decimals are printed; more would be forgotten by CONFIG REWRITE.
    Ok(format!("{number:.6}").parse().expect("a printed number reads back"))
}

/// When to save: after so many seconds, if so many changes were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last save.
    pub seconds: u64,
    /// Changes since then.
    pub changes: u32,
}

/// A list of [`SavePoint`]s. Lines of a file add up, and the first replaces the default.
#[derive(Debug)]
pub struct SavePoints;

impl Kind for SavePoints {
    type Value = Vec<SavePoint>;
    const MANY: bool = true;

    fn read(
        &self,
        words: &[&[u8]],
        old: &Vec<SavePoint>,
        mention: Mention,
    ) -> Result<Vec<SavePoint>, Reason> {
        if words.is_empty() || words == [b""] {
            return Ok(Vec::new());
        }
        let mut points = match mention {
            Mention::First => Vec::new(),
            Mention::Again => old.clone(),
        };
        for pair in words.chunks(2) {
            points.push(save_point(pair).ok_or("Invalid save parameters")?);
        }
        if points.len() <= SAVE_POINTS_MAX {
            Ok(points)
        } else {
            Err("Invalid save parameters".into())
        }
    }

    fn print(&self, value: &Vec<SavePoint>) -> Vec<u8> {
        let text = |point: &SavePoint| format!("{} {}", point.seconds, point.changes);
        let texts: Vec<_> = value.iter().map(text).collect();
        texts.join(" ").into_bytes()
    }

    fn lines(&self, value: &Vec<SavePoint>, default: &Vec<SavePoint>) -> Vec<FileLine> {
        vec![FileLine { words: or_empty_quotes(self.print(value)), needed: value != default }]
    }

    fn limits(&self) -> String {
        "pairs of seconds and changes; `\"\"` for never".into()
    }

    fn examples(&self) -> Examples {
        let many = "1 1 ".repeat(SAVE_POINTS_MAX + 1);
        let good = ["\"\"", "900 1", "3600 1 300 100", "1 0", "1 2147483647"];
        Examples::of(&good, &["1", "0 1", "1 -1", "1 x", "1 2 3", "1 2147483648", &many])
    }
}

fn save_point(pair: &[&[u8]]) -> Option<SavePoint> {
    let [seconds, changes] = pair else { return None };
    let seconds = u64::try_from(parse_i64(seconds)?).ok().filter(|&seconds| 0 < seconds)?;
    let changes = u32::try_from(i32::try_from(parse_i64(changes)?).ok()?).ok()?;
    Some(SavePoint { seconds, changes })
}

/// A command that is called otherwise, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The command's name, in lower case.
    pub command: Vec<u8>,
    /// Its new name; empty if no client may call it.
    pub to: Vec<u8>,
}

/// A list of [`Rename`]s, one per line.
#[derive(Debug)]
pub struct Renames;

impl Kind for Renames {
    type Value = Vec<Rename>;
    const MANY: bool = true;
    const FILE_ONLY: bool = true;

    fn read(
        &self,
        words: &[&[u8]],
        old: &Vec<Rename>,
        mention: Mention,
    ) -> Result<Vec<Rename>, Reason> {
        let [command, to] = words else {
            return Err("Bad directive or wrong number of arguments".into());
        };
        if command.is_empty() {
            return Err("No such command in rename-command".into());
        }
        let mut renames = match mention {
            Mention::First => Vec::new(),
            Mention::Again => old.clone(),
        };
        renames.push(Rename { command: command.to_ascii_lowercase(), to: to.to_vec() });
        Ok(renames)
    }

    fn print(&self, value: &Vec<Rename>) -> Vec<u8> {
        let lines: Vec<_> = self.lines(value, &Vec::new()).into_iter().map(|l| l.words).collect();
        lines.join(&b' ')
    }

    fn lines(&self, value: &Vec<Rename>, _: &Vec<Rename>) -> Vec<FileLine> {
        let line = |rename: &Rename| FileLine {
            words: [quote(&rename.command), quote(&rename.to)].join(&b' '),
            needed: true,
        };
        value.iter().map(line).collect()
    }

    fn limits(&self) -> String {
        "a command and its new name, `\"\"` to take it away; may be repeated".into()
    }

    fn examples(&self) -> Examples {
        Examples::of(&["FLUSHALL \"\"", "config \"a b\""], &["", "flushall", "a b c", "\"\" a"])
    }
}

/// An empty list must still say something, or the line would be refused.
fn or_empty_quotes(words: Vec<u8>) -> Vec<u8> {
    if words.is_empty() { b"\"\"".to_vec() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn save_lines_add_up_and_empty_forgets() {
        let first = SavePoints.read(&[b"900", b"1"], &Vec::new(), Mention::First).unwrap();
        let both = SavePoints.read(&[b"60", b"2"], &first, Mention::Again).unwrap();
        assert_eq!(SavePoints.print(&both), b"900 1 60 2");
        assert_eq!(SavePoints.read(&[b""], &both, Mention::Again), Ok(Vec::new()));
        let replaced = SavePoints.read(&[b"5", b"5"], &both, Mention::First).unwrap();
        assert_eq!(SavePoints.print(&replaced), b"5 5");
    }

    #[test]
    fn processors_keep_their_order_and_print_as_ranges() {
        for (text, printed) in [("0,1,2,3,8", "0-3,8"), ("8,0-1", "8,0-1"), ("3,2", "3,2")] {
            let cpus = CpuList.read(&[text.as_bytes()], &Vec::new(), Mention::First).unwrap();
            assert_eq!(CpuList.print(&cpus), printed.as_bytes());
        }
    }

    #[test]
    fn percentiles_print_without_trailing_zeros() {
        let words: [&[u8]; 4] = [b"50", b"99.90", b"99.12345678", b"0"];
        let value = Percentiles.read(&words, &Vec::new(), Mention::First).unwrap();
        assert_eq!(Percentiles.print(&value), b"50 99.9 99.123457 0");
    }
}
