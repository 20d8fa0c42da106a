//! Whether what follows a primary comes to hold what the primary holds: servers of every kind on
//! both ends, random commands of all types, connections that are ill-treated, Sentinels.
//!
//! `COMMANDS=1000000` writes more than the usual few thousand. Seeds are printed: `SEED=..` draws
//! the same commands again, `ONLY=valkey-9.1,redis-8.0` plays only the rows with these servers in
//! this order, `LANES=1` one row after the other.

#[path = "../client/mod.rs"]
mod client;
#[path = "../servers/mod.rs"]
mod processes;
#[allow(dead_code, reason = "replies are not compared here: only what is written matters")]
#[path = "../differential"]
mod differential {
    pub mod families;
    pub mod plan;
    pub mod shapes;
    pub mod words;
}

mod compare;
mod chains;
mod chunked;
mod counting;
mod cuts;
mod failover;
mod guards;
mod kept;
mod load;
mod matrix;
mod pairs;
mod planted;
mod promises;
mod proxy;
mod refusals;
mod resume;
mod roles;
mod room;
mod sentinel;
mod servers;
mod silence;
mod silent;
mod slow;
mod tools;
mod traffic;

use std::collections::BTreeSet;
use std::env;
use std::io::Write as _;
use std::sync::Mutex;
use std::thread;

use differential::{families, plan, shapes, words};
use servers::Kind;

/// The seed unless another is given: a change is judged by what it changes, not by luck.
pub const SEED: u64 = 2026;

/// Counts rows that are played and those that are not, so that none is missing unseen.
#[derive(Debug)]
pub struct Tally {
    name: &'static str,
    played: usize,
    /// Servers that are not at hand, and for how many rows.
    missing: BTreeSet<String>,
    left: usize,
}

impl Tally {
    /// Nothing was played yet of what this names.
    pub fn new(name: &'static str) -> Self {
        Self { name, played: 0, missing: BTreeSet::new(), left: 0 }
    }

    /// Whether a row is to be played, with these servers in this order.
    pub fn takes(&mut self, kinds: &[Kind]) -> bool {
        let names: Vec<String> = kinds.iter().map(|kind| kind.name()).collect();
        if env::var("ONLY").is_ok_and(|only| only != names.join(",")) {
            return false;
        }
        let missing = kinds.iter().filter(|kind| kind.program().is_none());
        let missing: Vec<String> = missing.map(|kind| kind.name()).collect();
        if missing.is_empty() {
            self.played += 1;
            return true;
        }
        self.left += 1;
        self.missing.extend(missing);
        false
    }

    /// Says in a line what was not played, and why.
    pub fn tell(self) {
        let Self { name, played, missing, left } = self;
        let missing = match left {
            0 => String::new(),
            _ => {
                let names: Vec<String> = missing.into_iter().collect();
                format!("; {left} NOT PLAYED for want of {}", names.join(", "))
            }
        };
        say(&format!("{name}: {played} rows played{missing}"));
        let some = 0 < played + left || env::var_os("ONLY").is_some();
        assert!(some, "{name}: there is no row");
    }
}

/// Plays rows, some at a time: most of what they do is to wait for what servers do each second.
pub fn side_by_side<T: Send>(rows: Vec<T>, play: impl Fn(T) + Sync) {
    const LANES: u64 = 4;
    let rows = Mutex::new(rows.into_iter());
    let next = || rows.lock().expect("no holder panics").next();
    thread::scope(|scope| {
        for _ in 0..processes::setting("LANES").unwrap_or(LANES) {
            scope.spawn(|| {
                while let Some(row) = next() {
                    play(row);
                }
            });
        }
    });
}

/// Writes a line that is seen even when the test passes.
pub fn say(line: &str) {
    writeln!(std::io::stderr(), "replication: {line}").expect("the terminal takes a line");
}
