//! Whether two servers hold the same: every key of every database, its type, value and time, times
//! of fields, and of streams their groups, consumers and pending entries.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use crate::client::{Client, Reply, push_request, shown};
use crate::load::Load;
use crate::processes::Server;
use crate::servers::wait_until_offsets_meet;
use crate::shapes::Words;

/// Databases that are looked at: more than any load writes.
const DATABASES: usize = 16;
/// Keys that are read at once.
const CHUNK: usize = 64;
/// Fields of XINFO STREAM that need not be equal: trees are laid out by each server, seen and
/// active times are of its own clock, and the lag follows from the rest.
const LEFT_OUT: &[&str] =
    &["radix-tree-keys", "radix-tree-nodes", "seen-time", "active-time", "lag"];

/// The first difference that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub db: usize,
    /// Empty if the databases as such differ, which `aspect` then says.
    pub key: Vec<u8>,
    /// What was asked.
    pub aspect: &'static str,
    primary: Reply,
    replica: Reply,
}

/// What was asked of a key, and what was said.
type Aspect = (&'static str, Reply);

/// Fails unless the replica comes to hold what the primary holds, once all of the load was sent.
/// Keys that expire meanwhile are waited for.
pub fn assert_equal(primary: &Server, replica: &Server, load: &Load) {
    const TRIES: usize = 300;
    let mut found = None;
    // Each server that was a primary may have kept something to itself.
    let untold = load.writers().iter().map(|name| Untold::by(name)).max();
    let untold = untold.unwrap_or(Untold::Nothing);
    for _ in 0..TRIES {
        wait_until_offsets_meet(primary, replica);
        found = first_of(primary, replica, untold);
        if found.is_none() {
            return;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let difference = found.expect("the last look found one");
    let (summary, recent) = (load.summary(), load.recent(difference.db, &difference.key));
    panic!("{} -> {}: {summary}\n{difference}{recent}", primary.name, replica.name);
}

/// The first difference between the two as they are now, if only the primary was ever written.
pub fn first_difference(primary: &Server, replica: &Server) -> Option<Difference> {
    first_of(primary, replica, Untold::by(&primary.name))
}

fn first_of(primary: &Server, replica: &Server, untold: Untold) -> Option<Difference> {
    let mut sides = [Reader::new(primary, untold), Reader::new(replica, untold)];
    (0..DATABASES).find_map(|db| in_database(&mut sides, db).expect("servers answer"))
}

/// What DEBUG DIGEST says. It is told, but does not judge: of times it covers only that there is
/// one (of fields, in Valkey, not even that), of streams only the entries; and Redis 7.0 takes 17
/// digits of a score where others take the fewest, as each server has its own word for -0.
pub fn digest(server: &Server) -> Vec<u8> {
    match server.client().call(&["DEBUG", "DIGEST"]) {
        Ok(Reply::Simple(digest) | Reply::Bulk(digest)) => digest,
        other => panic!("{}: DEBUG DIGEST is answered {other:?}", server.name),
    }
}

/// How many keys there are.
pub fn keys(server: &Server) -> usize {
    let mut reader = Reader::new(server, Untold::Nothing);
    (0..DATABASES).map(|db| reader.keys(db).expect("the server answers").len()).sum()
}

fn in_database(sides: &mut [Reader; 2], db: usize) -> io::Result<Option<Difference>> {
    let found = |key: &[u8], aspect, primary, replica| {
        Ok(Some(Difference { db, key: key.to_vec(), aspect, primary, replica }))
    };
    let [ours, theirs] = sides;
    let (our_keys, their_keys) = (ours.keys(db)?, theirs.keys(db)?);
    if let Some(key) = our_keys.symmetric_difference(&their_keys).next() {
        let has = |keys: &BTreeSet<_>| Reply::Boolean(keys.contains(key));
        return found(key, "EXISTS", has(&our_keys), has(&their_keys));
    }
    let keys: Vec<&[u8]> = our_keys.iter().map(Vec::as_slice).collect();
    for chunk in keys.chunks(CHUNK) {
        let (our_states, their_states) = (ours.states(chunk)?, theirs.states(chunk)?);
        for (key, (ours, theirs)) in chunk.iter().zip(our_states.into_iter().zip(their_states)) {
            // The types are equal, or else they are the first that differs.
            for (our, their) in ours.into_iter().zip(theirs) {
                if our != their {
                    return found(key, our.0, our.1, their.1);
                }
            }
        }
    }
    // What is over but not removed is hidden from all but this.
    let (our, their) = (ours.ask(&["DBSIZE"])?, theirs.ask(&["DBSIZE"])?);
    if our == their { Ok(None) } else { found(b"", "DBSIZE", our, their) }
}

/// What a primary does not tell its replicas of streams, so that it need not be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Untold {
    Nothing,
    /// Consumers that came to be by a command and were given no entry (Valkey 8.1 and 9.1, Redis
    /// 8.0, some commands of Redis 7.0).
    IdleConsumers,
    /// Besides, how many entries a group has read (Redis 7.0).
    IdleConsumersAndEntriesRead,
}

impl Untold {
    fn by(primary: &str) -> Self {
        match primary {
            name if name.starts_with("keylane") => Self::Nothing,
            "redis-7.0" => Self::IdleConsumersAndEntriesRead,
            _ => Self::IdleConsumers,
        }
    }

    fn holds(self, field: &str) -> bool {
        self == Self::IdleConsumersAndEntriesRead && field == "entries-read"
    }
}

/// Reads what a server holds.
struct Reader {
    client: Client,
    fields_expire: bool,
    untold: Untold,
}

impl Reader {
    fn new(server: &Server, untold: Untold) -> Self {
        let mut client = server.client();
        let known = client.call(&["COMMAND", "INFO", "HPEXPIRETIME"]);
        let fields_expire = matches!(&known, Ok(Reply::Group(_, commands))
            if matches!(commands.as_slice(), [Reply::Group(..)]));
        Self { client, fields_expire, untold }
    }

    fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        self.client.call(words)
    }

    fn ask_all(&mut self, requests: &[Words]) -> io::Result<Vec<Reply>> {
        let mut bytes = Vec::new();
        requests.iter().for_each(|words| push_request(&mut bytes, words));
        self.client.send_raw(&bytes)?;
        requests.iter().map(|_| self.client.receive()).collect()
    }

    fn keys(&mut self, db: usize) -> io::Result<BTreeSet<Vec<u8>>> {
        self.ask(&["SELECT", &db.to_string()])?;
        Ok(bulks(self.ask(&["KEYS", "*"])?).into_iter().collect())
    }

    /// All that matters of these keys.
    fn states(&mut self, keys: &[&[u8]]) -> io::Result<Vec<Vec<Aspect>>> {
        let asked = keys.iter().flat_map(|key| [words("TYPE", key), words("PEXPIRETIME", key)]);
        let heads = self.ask_all(&asked.collect::<Vec<_>>())?;
        let mut states: Vec<Vec<Aspect>> = heads
            .chunks(2)
            .map(|head| vec![("TYPE", head[0].clone()), ("PEXPIRETIME", head[1].clone())])
            .collect();
        let readers: Vec<&[&str]> = states.iter().map(|state| readers(&state[0].1)).collect();
        let asked = keys.iter().zip(&readers);
        let asked = asked.flat_map(|(key, lines)| lines.iter().map(|line| words(line, key)));
        let mut replies = self.ask_all(&asked.collect::<Vec<_>>())?.into_iter();
        for (state, lines) in states.iter_mut().zip(&readers) {
            for line in *lines {
                let reply = replies.next().expect("each request has its reply");
                state.push((aspect(line), alike(line, reply, self.untold)));
            }
        }
        if self.fields_expire {
            self.add_field_times(keys, &mut states)?;
        }
        Ok(states)
    }

    fn add_field_times(&mut self, keys: &[&[u8]], states: &mut [Vec<Aspect>]) -> io::Result<()> {
        for (key, state) in keys.iter().zip(states) {
            let Some((_, Reply::Group(_, pairs))) =
                state.iter().find(|(aspect, _)| *aspect == "HGETALL")
            else {
                continue;
            };
            let fields: Vec<Vec<u8>> = pairs.chunks(2).filter_map(|pair| bulk(&pair[0])).collect();
            let count = fields.len().to_string().into_bytes();
            let mut words = words("HPEXPIRETIME", key);
            words.extend([b"FIELDS".to_vec(), count]);
            words.extend(fields);
            state.push(("HPEXPIRETIME", self.client.call(&words)?));
        }
        Ok(())
    }
}

/// How a value is read, by what TYPE says. The key stands behind the words up to a bar.
fn readers(kind: &Reply) -> &'static [&'static str] {
    let Reply::Simple(kind) = kind else { return &[] };
    match kind.as_slice() {
        b"string" => &["GET"],
        b"hash" => &["HGETALL", "HLEN"],
        b"list" => &["LRANGE | 0 -1"],
        b"set" => &["SMEMBERS"],
        b"zset" => &["ZRANGE | 0 -1 WITHSCORES"],
        b"stream" => &["XINFO STREAM | FULL COUNT 0"],
        _ => &[],
    }
}

fn aspect(line: &'static str) -> &'static str {
    line.split(" |").next().unwrap_or(line)
}

fn words(line: &str, key: &[u8]) -> Words {
    let (before, behind) = line.split_once(" |").unwrap_or((line, ""));
    let texts = |part: &str| part.split_whitespace().map(Into::into).collect::<Words>();
    [texts(before), vec![key.to_vec()], texts(behind)].concat()
}

/// The reply in a form that is equal whenever the values are.
fn alike(line: &str, reply: Reply, untold: Untold) -> Reply {
    let Reply::Group(kind, members) = reply else { return reply };
    let members = match aspect_of(line) {
        "HGETALL" => sorted(&members, 2),
        "SMEMBERS" => sorted(&members, 1),
        "ZRANGE" => members.chunks(2).flat_map(scored).collect(),
        "XINFO" => without_own(members, untold),
        _ => members,
    };
    Reply::Group(kind, members)
}

fn aspect_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

fn sorted(members: &[Reply], size: usize) -> Vec<Reply> {
    let mut groups: Vec<&[Reply]> = members.chunks(size).collect();
    groups.sort_by_key(|group| bulk(&group[0]));
    groups.concat()
}

/// A member and its score as the shortest digits: older servers write more of them, and where a
/// zero has a sign depends on how it is stored.
fn scored(pair: &[Reply]) -> Vec<Reply> {
    let [member, Reply::Bulk(score)] = pair else { return pair.to_vec() };
    let number = str::from_utf8(score).ok().and_then(|text| text.parse::<f64>().ok());
    let shortest = number.map_or_else(|| score.clone(), |score| (score + 0.0).to_string().into());
    vec![member.clone(), Reply::Bulk(shortest)]
}

/// What XINFO STREAM says, without what is each server's own.
fn without_own(members: Vec<Reply>, untold: Untold) -> Vec<Reply> {
    let mut kept = Vec::new();
    for pair in members.chunks(2) {
        let [Reply::Bulk(name), value] = pair else { continue };
        let is = |names: &[&str]| names.iter().any(|text| text.as_bytes() == name);
        let value = match value {
            _ if is(LEFT_OUT) || untold.holds(&String::from_utf8_lossy(name)) => continue,
            Reply::Group(kind, inner) if is(&["groups", "consumers"]) => {
                let inner = inner.iter().filter_map(|member| match member {
                    Reply::Group(kind, fields) => {
                        let fields = without_own(fields.clone(), untold);
                        let is_idle = is(&["consumers"]) && has_none_pending(&fields);
                        (untold == Untold::Nothing || !is_idle)
                            .then_some(Reply::Group(*kind, fields))
                    }
                    other => Some(other.clone()),
                });
                Reply::Group(*kind, inner.collect())
            }
            value => value.clone(),
        };
        kept.extend([pair[0].clone(), value]);
    }
    kept
}

fn has_none_pending(consumer: &[Reply]) -> bool {
    consumer.chunks(2).any(|pair| *pair == [Reply::Bulk(b"pel-count".to_vec()), Reply::Integer(0)])
}

fn bulk(reply: &Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::Bulk(text) => Some(text.clone()),
        _ => None,
    }
}

fn bulks(reply: Reply) -> Vec<Vec<u8>> {
    let Reply::Group(_, members) = reply else { return Vec::new() };
    members.iter().filter_map(bulk).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { db, key, aspect, primary, replica } = self;
        writeln!(out, "  db {db}, key {}: {aspect} differs", shown(key))?;
        let (ours, theirs) = (primary.lines(), replica.lines());
        // Long replies are alike for a while.
        let first = ours.iter().zip(&theirs).position(|(our, their)| our != their);
        let first = first.unwrap_or(ours.len().min(theirs.len()));
        writeln!(out, "  from line {} on", first + 1)?;
        for (name, lines) in [("primary", ours), ("replica", theirs)] {
            writeln!(out, "  {name}, {} lines:", lines.len())?;
            for line in lines.iter().skip(first).take(6) {
                let brief: String = line.chars().take(200).collect();
                writeln!(out, "    {brief}")?;
            }
        }
        writeln!(out, "  the last commands that named it:")
    }
}
