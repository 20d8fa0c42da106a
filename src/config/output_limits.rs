//! `client-output-buffer-limit`: how much may wait for a client, by class of client.

use super::kinds::{Examples, FileLine, Kind, Mention, Reason, memory, memory_text};
use shards::base::number::parse_i64;

/// The limits of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Clients that listen to channels.
    pub pubsub: OutputLimit,
}

/// How many bytes may wait for one client. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Beyond this the client is cut at once.
    pub hard: u64,
    /// Beyond this for `soft_seconds` on end, too.
    pub soft: u64,
    /// Seconds that a client may stay above `soft`.
    pub soft_seconds: u32,
}

impl OutputLimit {
    /// The most bytes that may wait for a moment: `u64::MAX` if there is no hard limit.
    pub const fn hard_max(self) -> u64 {
        or_all(self.hard)
    }

    /// The most bytes that may wait for long: `u64::MAX` if there is no soft limit.
    pub const fn soft_max(self) -> u64 {
        or_all(self.soft)
    }
}

/// A limit of which 0 says that there is none.
const fn or_all(bytes: u64) -> u64 {
    if bytes == 0 { u64::MAX } else { bytes }
}

impl OutputLimits {
    /// Valkey's defaults.
    pub const DEFAULT: Self = Self {
        normal: OutputLimit { hard: 0, soft: 0, soft_seconds: 0 },
        replica: OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 },
        pubsub: OutputLimit { hard: 32 << 20, soft: 8 << 20, soft_seconds: 60 },
    };

    /// The limit of a class by its name.
    fn class(&mut self, name: &[u8]) -> Option<&mut OutputLimit> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Some(&mut self.normal),
            b"replica" | b"slave" => Some(&mut self.replica),
            b"pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }

    /// Every class under the name that files give it.
    const fn classes(&self) -> [(&'static str, OutputLimit); 3] {
        [("normal", self.normal), ("replica", self.replica), ("pubsub", self.pubsub)]
    }
}

/// Classes with a hard limit, a soft limit and seconds; classes not named keep theirs.
#[derive(Debug)]
pub struct ClassLimits;

impl Kind for ClassLimits {
    type Value = OutputLimits;
    const MANY: bool = true;

    fn read(
        &self,
        words: &[&[u8]],
        old: &OutputLimits,
        _: Mention,
    ) -> Result<OutputLimits, Reason> {
        let mut limits = *old;
        for quadruple in words.chunks(4) {
            let [class, hard, soft, seconds] = quadruple else {
                return Err("Wrong number of arguments in buffer limit configuration.".into());
            };
            let limit = limits
                .class(class)
                .ok_or("Invalid client class specified in buffer limit configuration.")?;
            *limit = output_limit(hard, soft, seconds).ok_or(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )?;
        }
        Ok(limits)
    }

    fn print(&self, value: &OutputLimits) -> Vec<u8> {
        let texts = value.classes().map(|(class, limit)| {
            // CONFIG GET still calls replicas so, for old tools.
            let class = if class == "replica" { "slave" } else { class };
            format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
        });
        texts.join(" ").into_bytes()
    }

    fn lines(&self, value: &OutputLimits, default: &OutputLimits) -> Vec<FileLine> {
        let pairs = value.classes().into_iter().zip(default.classes());
        pairs
            .map(|((class, limit), (_, default))| {
                let (hard, soft) = (memory_text(limit.hard), memory_text(limit.soft));
                let words = format!("{class} {hard} {soft} {}", limit.soft_seconds).into_bytes();
                FileLine { words, needed: limit != default }
            })
            .collect()
    }

    fn limits(&self) -> String {
        "class (`normal`, `replica`, `pubsub`), hard bytes, soft bytes, soft seconds".into()
    }

    fn examples(&self) -> Examples {
        let good = ["normal 0 0 0", "slave 1gb 3 9 PUBSUB 1k 2kb 2147483647", "replica 1 2 3"];
        let bad = ["", "normal 0 0", "primary 1 1 1", "normal x 0 0", "normal 0 0 -1", "pubsub"];
        Examples::of(&good, &bad)
    }
}

fn output_limit(hard: &[u8], soft: &[u8], seconds: &[u8]) -> Option<OutputLimit> {
    let soft_seconds = u32::try_from(i32::try_from(parse_i64(seconds)?).ok()?).ok()?;
    Some(OutputLimit { hard: memory(hard)?, soft: memory(soft)?, soft_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_class_leaves_the_others_alone() {
        let words: Vec<&[u8]> = "normal 1 1 1 nosuch 1 1 1".split(' ').map(str::as_bytes).collect();
        assert!(ClassLimits.read(&words, &OutputLimits::DEFAULT, Mention::First).is_err());
    }

    #[test]
    fn classes_not_named_keep_their_limits() {
        let words: Vec<&[u8]> = "Slave 1mb 2 3".split(' ').map(str::as_bytes).collect();
        let limits = ClassLimits.read(&words, &OutputLimits::DEFAULT, Mention::First).unwrap();
        assert_eq!(limits.replica, OutputLimit { hard: 1 << 20, soft: 2, soft_seconds: 3 });
        assert_eq!(limits.pubsub, OutputLimits::DEFAULT.pubsub);
    }
}
