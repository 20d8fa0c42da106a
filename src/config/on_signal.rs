//! `shutdown-on-sigterm` and `shutdown-on-sigint`: with which options of SHUTDOWN a signal ends
//! the server.

use super::kinds::{Examples, Kind, Mention, Reason};

/// The words in the order Valkey prints them.
const WORDS: [&str; 6] = ["save", "nosave", "now", "force", "safe", "failover"];
const SAVE: u8 = 1;
const NOSAVE: u8 = 1 << 1;
const NOW: u8 = 1 << 2;
const FORCE: u8 = 1 << 3;
const SAFE: u8 = 1 << 4;
const FAILOVER: u8 = 1 << 5;

/// Options of SHUTDOWN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnSignal(u8);

impl OnSignal {
    /// Whether to save although the configuration asks for no snapshots.
    pub const fn save(self) -> bool {
        self.0 & SAVE != 0
    }

    /// Whether not to save.
    pub const fn nosave(self) -> bool {
        self.0 & NOSAVE != 0
    }

    /// Whether not to wait for replicas.
    pub const fn now(self) -> bool {
        self.0 & NOW != 0
    }

    /// Whether to end although saving fails.
    pub const fn force(self) -> bool {
        self.0 & FORCE != 0
    }

    /// Whether not to end a primary that a cluster counts on.
    pub const fn safe(self) -> bool {
        self.0 & SAFE != 0
    }

    /// Whether a replica is to take over.
    pub const fn failover(self) -> bool {
        self.0 & FAILOVER != 0
    }
}

/// Options of SHUTDOWN, or `default` for none.
#[derive(Debug)]
pub struct ShutdownOptions;

impl Kind for ShutdownOptions {
    type Value = OnSignal;
    const MANY: bool = true;

    fn read(&self, words: &[&[u8]], _: &OnSignal, _: Mention) -> Result<OnSignal, Reason> {
        let words = words.iter().flat_map(|word| word.split(|byte| *byte == b' '));
        let mut bits = 0;
        for word in words {
            let is = |listed: &str| word.eq_ignore_ascii_case(listed.as_bytes());
            match WORDS.iter().position(|listed| is(listed)) {
                Some(place) => bits |= 1 << place,
                None if is("default") => {}
                None => {
                    let words = WORDS.join(", ");
                    return Err(format!(
                        "argument(s) must be one of the following: default, {words}"
                    ));
                }
            }
        }
        if bits & (SAVE | NOSAVE) == SAVE | NOSAVE {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        Ok(OnSignal(bits))
    }

    fn print(&self, value: &OnSignal) -> Vec<u8> {
        let has = |place: &usize| value.0 & 1 << place != 0;
        let words: Vec<&str> = (0..WORDS.len()).filter(has).map(|place| WORDS[place]).collect();
        if words.is_empty() { b"default".to_vec() } else { words.join(" ").into_bytes() }
    }

    fn limits(&self) -> String {
        "words of `default`, `save`, `nosave`, `now`, `force`, `safe`, `failover`".into()
    }

    fn examples(&self) -> Examples {
        let good = ["default", "save", "NOSAVE now", "force save now safe failover"];
        Examples::of(&good, &["\"\"", "save nosave", "x"])
    }
}
