//! Growth of resident memory per key, also on the way: tables that grow in jumps show themselves.

use crate::options::Options;
use crate::report::Report;
use crate::servers::client::{Connection, key, write_request};
use crate::servers::peer::Peer;
use crate::servers::process;
use crate::servers::server::Server;

/// Points of the fill at which memory is looked at.
const STEPS: u64 = 10;
/// Requests of a fill that are under way at once.
const DEPTH: u64 = 1000;
/// Members of a collection.
const MEMBERS: u64 = 10;

/// What keys hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// 64 bytes.
    String,
    /// Ten fields `field:N` with values `value:N`.
    Hash,
    /// Ten integers.
    Set,
    /// Ten items `item:N`.
    List,
    /// Ten members `member:N` with small scores.
    SortedSet,
}

/// Their names.
const VALUES: &[(&str, Values)] = &[
    ("string", Values::String),
    ("hash", Values::Hash),
    ("set", Values::Set),
    ("list", Values::List),
    ("zset", Values::SortedSet),
];

impl Values {
    /// Those of this name; says what is wrong with it.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = VALUES.iter().find(|(known, _)| *known == name);
        found.map(|(_, values)| *values).ok_or(format!("--values knows no `{name}`; see --help"))
    }

    fn name(self) -> &'static str {
        VALUES.iter().find(|(_, values)| *values == self).map_or("", |(name, _)| name)
    }

    /// Writes the keys of these numbers.
    fn fill(
        self,
        connection: &mut Connection,
        numbers: std::ops::Range<u64>,
    ) -> Result<(), String> {
        if self == Self::String {
            return connection.fill(numbers, DEPTH);
        }
        connection.fill_with(numbers, DEPTH, format!(":{MEMBERS}\r\n").as_bytes(), |out, number| {
            let mut words = vec![self.command().to_owned(), key(number)];
            words.extend((0..MEMBERS).flat_map(|member| self.member(number, member)));
            write_request(out, &words.iter().map(String::as_str).collect::<Vec<_>>());
        })
    }

    fn command(self) -> &'static str {
        match self {
            Self::String => "SET",
            Self::Hash => "HSET",
            Self::Set => "SADD",
            Self::List => "RPUSH",
            Self::SortedSet => "ZADD",
        }
    }

    /// What stands in the command for a member of the key of this number.
    fn member(self, number: u64, member: u64) -> Vec<String> {
        match self {
            Self::String => Vec::new(),
            Self::Hash => vec![format!("field:{member}"), format!("value:{member}")],
            Self::Set => vec![(number % 1000 * MEMBERS + member).to_string()],
            Self::List => vec![format!("item:{member}")],
            Self::SortedSet => vec![member.to_string(), format!("member:{member}")],
        }
    }
}

/// Measures one server after the other, and writes the table.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let mut head = vec!["values".to_owned(), "server".to_owned()];
    head.extend((1..=STEPS).map(|step| (options.keys * step / STEPS).to_string()));
    let mut rows = vec![head];
    for values in &options.values {
        for peer in &options.peers {
            rows.push(row(options, *values, peer)?);
        }
    }
    report.say(
        "Growth of resident memory in bytes per key, by number of keys: 16 bytes of key; values \
         of 64 bytes, or ten small members.",
    );
    report.table(&rows);
    Ok(())
}

fn row(options: &Options, values: Values, peer: &Peer) -> Result<Vec<String>, String> {
    eprintln!("filling {} with values of type {}", peer.name, values.name());
    let server = Server::start(peer, options)?;
    let mut connection = server.connect()?;
    let before = process::resident_bytes(server.pid())?;
    let mut row = vec![values.name().to_owned(), peer.name.clone()];
    for step in 1..=STEPS {
        let (from, to) = (options.keys * (step - 1) / STEPS, options.keys * step / STEPS);
        values.fill(&mut connection, from..to)?;
        let grown = process::resident_bytes(server.pid())?.saturating_sub(before);
        row.push(format!("{:.1}", grown as f64 / to.max(1) as f64));
    }
    Ok(row)
}
