//! What is played: families of commands, each a list of lines in a file of its own.
//!
//! A new command is a new line; what its shape may say stands in `shapes.rs`. A line whose command
//! one of the servers does not know is left out.

mod bitmap;
mod generic;
mod geo;
mod hash;
mod hyperloglog;
mod lexical;
mod list;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
mod transactions;

/// Every family.
pub const FAMILIES: &[Family] = &[
    string::STRING,
    bitmap::BITMAP,
    hash::HASH,
    list::LIST,
    set::SET,
    sorted_set::SORTED_SET,
    lexical::LEXICAL,
    stream::STREAM,
    hyperloglog::HYPERLOGLOG,
    geo::GEO,
    generic::GENERIC,
    transactions::TRANSACTIONS,
    server::SERVER,
];

/// Commands that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub role: Role,
    pub lines: &'static [Line],
}

/// How a family takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its commands make values of a type: some such families share the keys of a round.
    Values,
    /// It takes part in every round, with so many of a hundred commands.
    Always(usize),
}

/// A command's shape and how its replies are compared.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub shape: &'static str,
    pub policy: Policy,
    pub care: Care,
}

/// What must not be done to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Nothing harms.
    None,
    /// It only comes if the peer is to say the same of odd things too.
    Wild,
    /// It is not made wrong: chance, or the clock, would decide what it does.
    Steady,
    /// Likewise; and it rarely comes outside of a transaction, since it waits there, a tenth of a
    /// second on Valkey however little it asks for.
    Blocking,
}

/// When two replies are alike. Errors must always be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They are equal.
    Exact,
    /// They have the same members in any order.
    Unordered,
    /// They have the same pairs in any order; RESP2 has them one after the other.
    Pairs,
    /// The same cursor, and the same members behind it in any order.
    Scan,
    /// Likewise pairs.
    ScanPairs,
    /// Numbers of 0 and more may differ by so much: time goes on between one server and another.
    Near(i64),
    /// They are of the same kind and size: what is in them differs, and this is why.
    Alike(&'static str),
}

const fn line(shape: &'static str, policy: Policy) -> Line {
    Line { shape, policy, care: Care::None }
}

const fn steady(line: Line) -> Line {
    Line { care: Care::Steady, ..line }
}

const fn wild(line: Line) -> Line {
    Line { care: Care::Wild, ..line }
}

const fn blocking(line: Line) -> Line {
    Line { care: Care::Blocking, ..line }
}

const fn exact(shape: &'static str) -> Line {
    line(shape, Policy::Exact)
}

const fn unordered(shape: &'static str) -> Line {
    line(shape, Policy::Unordered)
}

const fn pairs(shape: &'static str) -> Line {
    line(shape, Policy::Pairs)
}

const fn scan(shape: &'static str) -> Line {
    line(shape, Policy::Scan)
}

const fn scan_pairs(shape: &'static str) -> Line {
    line(shape, Policy::ScanPairs)
}

const fn near(shape: &'static str, tolerance: i64) -> Line {
    line(shape, Policy::Near(tolerance))
}

const fn alike(shape: &'static str, reason: &'static str) -> Line {
    line(shape, Policy::Alike(reason))
}

/// How far clocks may go on, in seconds.
pub const SECONDS: i64 = 60;
/// The same in milliseconds.
pub const MILLISECONDS: i64 = 1000 * SECONDS;

/// Commands that have subcommands.
const CONTAINERS: &[&str] = &["OBJECT", "XGROUP", "XINFO"];

impl Line {
    /// The command's name, as COMMAND INFO takes it: with the subcommand, if it has any.
    pub fn command(&self) -> String {
        let mut words = self.shape.split(' ').map(|word| word.split('@').next().unwrap_or(word));
        let name = words.next().expect("a shape begins with a name");
        let container = CONTAINERS.contains(&name);
        match words.next().filter(|_| container) {
            Some(subcommand) => format!("{name}|{subcommand}").to_lowercase(),
            None => name.to_lowercase(),
        }
    }
}

/// Commands of the engine that are not played, and why.
#[cfg(test)]
const ABSENT: &[(&str, &str)] = &[
    ("dump", "the bytes carry a version of the server; transcripts compare them"),
    ("lindex", "Valkey 9.1.2 cuts its index to 32 bits in a listpack"),
    ("lset", "as lindex"),
    ("migrate", "it needs a second server"),
    ("object", "nothing without its subcommands"),
    ("object|help", "the texts are our own"),
    ("pfselftest", "it tests the server's own code"),
    ("wait", "it is about replicas"),
    ("waitaof", "it is about replicas"),
    ("xgroup", "nothing without its subcommands"),
    ("xgroup|help", "the texts are our own"),
    ("xinfo", "nothing without its subcommands"),
    ("xinfo|help", "the texts are our own"),
];

#[test]
fn every_command_on_keys_is_played_or_says_why_not() {
    let groups =
        "bitmap generic geo hash hyperloglog list set sorted-set stream string transactions";
    let table = keylane::commands::table::build(&[]).expect("no renames, no errors").table;
    let calls = table.calls.iter().flat_map(|call| std::iter::once(call).chain(&call.subcommands));
    let lines: Vec<&Line> = FAMILIES.iter().flat_map(|family| family.lines).collect();
    for spec in calls.map(|call| call.spec) {
        if groups.split(' ').any(|group| group == spec.group.name()) {
            let absent = ABSENT.iter().any(|(name, _)| *name == spec.name);
            let played = lines.iter().any(|line| line.command() == spec.name);
            assert!(played != absent, "{}: give it a line in its family, or a reason", spec.name);
        }
    }
}
