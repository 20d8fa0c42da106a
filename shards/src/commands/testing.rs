//! A keyspace for tests of commands: runs a line, and tells what came of it.

pub mod calls;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::hash::HashSeed;
use crate::base::random::Random;
use crate::base::time::UnixMs;
use crate::commands::ctx::Ctx;
use crate::commands::server;
use crate::commands::spec::Command;
use crate::commands::table::{CONTAINERS, GROUPS};
use crate::effects::{Effects, Logged, ScanRest};
use crate::journal::reader::tests::text_of;
use crate::journal::units::Units;
use crate::keyspace::db::Keyspace;
use crate::keyspace::selected::Selected;
use crate::resp::reply::{Protocol, Replies};

/// A keyspace of two databases at a time that stands still: 1,000,000 ms after the epoch at first.
pub struct Harness {
    /// The keys, with clock and settings.
    pub keyspace: Keyspace,
    effects: Effects,
}

impl Harness {
    /// Empty; collects all events, and what would be logged.
    pub fn new() -> Self {
        let mut keyspace = Keyspace::new(2, HashSeed(1), Random::new(1));
        keyspace.now = UnixMs(1_000_000);
        let effects = Effects { keeps_log: true, classes: u32::MAX, ..Effects::default() };
        Self { keyspace, effects }
    }

    /// One in which these lines have run.
    pub fn with(lines: &[&str]) -> Self {
        let mut harness = Self::new();
        for line in lines {
            let reply = harness.run(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        harness
    }

    /// Runs a command of words that are separated by single spaces, and returns its reply with
    /// escapes for what is no printable ASCII.
    pub fn run(&mut self, line: &str) -> String {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        format!("{}", self.call(&args).escape_ascii())
    }

    /// Runs a command of any arguments, and returns its reply.
    pub fn call(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let words: Vec<_> = args.iter().take(2).map(|arg| String::from_utf8_lossy(arg)).collect();
        let command = find(&words.join(" "));
        assert!(command.spec.arity.accepts(args.len()), "{words:?}");
        let mut out = Vec::new();
        let mut ctx = Ctx {
            args,
            db: Selected {
                keyspace: &mut self.keyspace,
                index: 0,
                effects: &mut self.effects,
                no_touch: false,
            },
            replies: Replies::new(&mut out, Protocol::Resp2),
            first_key: 0,
            first_key_hash: 0,
        };
        if let Err(error) = (command.run)(&mut ctx) {
            out.clear();
            error.write(&mut out);
        }
        out
    }

    /// How the last SCAN goes on in another shard.
    pub fn scan_rest(&mut self) -> Option<ScanRest> {
        self.effects.scan_rest.take()
    }

    /// What the last command wants in the log instead of itself: one text for each command.
    pub fn logged(&self) -> Vec<String> {
        let mut units = Units::default();
        if self.effects.logged == Logged::Instead {
            units.push_all(0, &self.effects.instead);
        }
        let text = text_of(units.entries()).concat();
        text.trim_start_matches("0: ").split("; ").map(ToOwned::to_owned).collect()
    }

    /// Runs a command and says whether those who watch a key would hear of it.
    pub fn touches(&mut self, line: &str) -> bool {
        self.effects.keeps_touched = true;
        self.effects.touched.clear();
        self.run(line);
        !self.effects.touched.is_empty()
    }

    /// Runs a command and compares what it leaves behind: how many changes, the events as
    /// `name:key`, and what goes to the log, commands separated by `; `.
    pub fn check(&mut self, line: &str, changes: u64, events: &str, log: &str) {
        self.effects.events.clear();
        self.effects.log.clear();
        self.effects.logged = Logged::AsItCame;
        let before = self.effects.dirty;
        self.run(line);
        assert_eq!(self.effects.dirty - before, changes, "changes of {line}");

        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let shown: Vec<String> =
            self.effects.events.iter().map(|e| format!("{}:{}", e.name, text(&e.key))).collect();
        assert_eq!(shown.join(" "), events, "events of {line}");

        match self.effects.logged {
            Logged::Anyway => self.effects.log.push(0, &line.split(' ').collect::<Vec<_>>()),
            Logged::AsItCame if changes != 0 => {
                self.effects.log.push(0, &line.split(' ').collect::<Vec<_>>());
            }
            Logged::Instead => self.effects.log.push_all(0, &self.effects.instead),
            Logged::AsItCame | Logged::Nothing => {}
        }
        let logged = text_of(self.effects.log.entries());
        let logged: Vec<&str> = logged.iter().map(|entry| &entry["0: ".len()..]).collect();
        assert_eq!(logged.join("; "), log, "log of {line}");
    }
}

/// Subcommands of the engine in containers that are the server's.
const PARTS: [&[Command]; 3] =
    [server::CLUSTER_SUBCOMMANDS, server::DEBUG_SUBCOMMANDS, server::MEMORY_SUBCOMMANDS];

/// The command, or subcommand, that a line calls.
pub fn find(line: &str) -> &'static Command {
    let mut words = line.split(' ').map(str::to_lowercase);
    let name = words.next().unwrap();
    let subcommand = format!("{name}|{}", words.next().unwrap_or_default());
    let contained = CONTAINERS.iter().map(|(_, subcommands)| *subcommands).chain(PARTS);
    let mut all = GROUPS.iter().copied().chain(contained).flatten();
    all.find(|command| command.spec.name == name || command.spec.name == subcommand).unwrap()
}

/// One of several by chance.
pub fn one_of<T: Copy>(all: &[T], chance: &mut Random) -> T {
    let at = chance.below(all.len() as u64);
    all[usize::try_from(at).expect("it is below a usize")]
}

#[cfg(test)]
mod tests {
    use super::calls::{CALLS, FIXTURE};
    use super::*;

    #[test]
    fn there_is_a_call_of_every_command() {
        let contained = CONTAINERS.iter().map(|(_, subcommands)| *subcommands).chain(PARTS);
        let all = GROUPS.iter().copied().chain(contained).flatten();
        for name in all.map(|command| command.spec.name) {
            let mut lines = CALLS.iter().copied().flatten();
            assert!(lines.any(|line| find(line).spec.name == name), "{name} has none");
        }
    }

    #[test]
    fn only_what_cannot_be_done_is_an_error() {
        for line in CALLS.iter().copied().flatten() {
            let mut harness = Harness::with(FIXTURE);
            let reply = harness.run(line);
            let fails =
                ["RESTORE", "OBJECT FREQ", "CLUSTER"].iter().any(|name| line.starts_with(name));
            assert_eq!(reply.starts_with('-'), fails, "{line}: {reply}");
        }
    }
}
