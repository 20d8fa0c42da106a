//! A round: its commands on every side, then what they left behind.

use std::collections::BTreeSet;
use std::io;

use crate::client::{Reply, shown};
use crate::compare::first_difference;
use crate::families::{Care, MILLISECONDS, Policy};
use crate::plan::Step;
use crate::shapes::Words;
use crate::sides::{Protocol, Side, ask_all, fresh};
use crate::words::Manners;

/// All servers, and what holds for every round.
#[derive(Debug)]
pub struct Arena {
    /// The peer is the last.
    pub sides: Vec<Side>,
    pub manners: Manners,
    /// Sent before each round, so that settings are what they were.
    pub settings: Vec<Words>,
    /// Whether all know HPTTL.
    pub fields_expire: bool,
    /// How many commands were answered with an error so far.
    pub refused: usize,
}

/// Where a side and the peer differ.
#[derive(Debug)]
pub struct Difference {
    pub side: usize,
    /// What was sent, to the difference, and what the peer said.
    pub steps: Vec<(Step, Reply)>,
    /// What was then asked on a connection of its own, if only that differs.
    pub after: Vec<(Step, Reply)>,
    /// What the side said instead.
    pub instead: String,
    /// The side said nothing any more.
    pub broke: bool,
}

/// How a value is read, by what TYPE says.
const READERS: &[(&str, &[&str], Policy)] = &[
    ("string", &["GET"], Policy::Exact),
    ("hash", &["HGETALL"], Policy::Pairs),
    ("list", &["LRANGE", "0", "-1"], Policy::Exact),
    ("set", &["SMEMBERS"], Policy::Unordered),
    ("zset", &["ZRANGE", "0", "-1", "WITHSCORES"], Policy::Exact),
    ("stream", &["XRANGE", "-", "+"], Policy::Exact),
    ("stream", &["XINFO GROUPS"], Policy::Exact),
    ("stream", &["XINFO STREAM", "FULL", "COUNT", "0"], Policy::Near(MILLISECONDS)),
];

/// How many databases there are.
const DATABASES: usize = 16;

impl Arena {
    /// Plays a round. A side that broke on it is started anew.
    pub fn play(&mut self, steps: &[Step], protocol: Protocol) -> Option<Box<Difference>> {
        let mut found = self.play_once(steps, protocol).err();
        if let Some(difference) = &mut found
            && difference.broke
        {
            let side = &mut self.sides[difference.side];
            difference.instead += &format!("\n{}", side.last_words());
            side.revive();
        }
        if found.is_some() {
            // The next round must not take unread replies for its own.
            self.sides.iter_mut().for_each(Side::reconnect);
        }
        found
    }

    fn play_once(&mut self, steps: &[Step], protocol: Protocol) -> Result<(), Box<Difference>> {
        let mut before = fresh(protocol);
        before.push(vec![b"FLUSHALL".to_vec()]);
        before.extend(self.settings.iter().cloned());
        let replies = self.ask(&before, steps)?;
        self.refused += replies.iter().filter(|reply| matches!(reply, Reply::Error(_))).count();
        let told: Vec<(Step, Reply)> = steps.iter().cloned().zip(replies).collect();
        self.look_behind(steps, protocol).map_err(|mut difference| {
            difference.after = std::mem::replace(&mut difference.steps, told);
            difference
        })
    }

    /// Compares what is in the databases.
    fn look_behind(&mut self, steps: &[Step], protocol: Protocol) -> Result<(), Box<Difference>> {
        let databases: Vec<Vec<u8>> = (0..DATABASES)
            .map(|db| db.to_string().into_bytes())
            .filter(|db| *db == b"0" || steps.iter().any(|step| step.words.contains(db)))
            .collect();
        let select = |db: &Vec<u8>| asking(&[b"SELECT", db], Policy::Exact);
        let keys = asking(&[b"KEYS", b"*"], Policy::Unordered);
        let list: Vec<Step> = databases.iter().flat_map(|db| [select(db), keys.clone()]).collect();
        let listed = self.ask(&fresh(protocol), &list)?;
        self.scan(&listed[1])?;
        let mut looks = Vec::new();
        for (db, keys) in databases.iter().zip(listed.chunks(2)) {
            // In the same order on every side and each time.
            let keys: BTreeSet<&[u8]> = members(&keys[1]).into_iter().collect();
            looks.push(select(db));
            for key in keys {
                looks.push(asking(&[b"TYPE", key], Policy::Exact));
                if self.manners == Manners::Wild {
                    looks.push(asking(&[b"OBJECT", b"ENCODING", key], Policy::Exact));
                }
                looks.push(asking(&[b"PTTL", key], Policy::Near(MILLISECONDS)));
            }
        }
        let looked = self.ask(&[], &looks)?;
        let mut reads = Vec::new();
        for (step, reply) in looks.iter().zip(&looked) {
            match (step.words[0].as_slice(), reply) {
                (b"SELECT", _) => reads.push(step.clone()),
                (b"TYPE", Reply::Simple(name)) => {
                    read_by_type(name, &step.words[1], self.manners, &mut reads);
                }
                _ => {}
            }
        }
        let read = self.ask(&[], &reads)?;
        if self.fields_expire {
            let mut fields = Vec::new();
            for (step, reply) in reads.iter().zip(&read) {
                match step.words[0].as_slice() {
                    b"SELECT" => fields.push(step.clone()),
                    b"HGETALL" => fields.push(ask_fields(&step.words[1], reply)),
                    _ => {}
                }
            }
            self.ask(&[], &fields)?;
        }
        Ok(())
    }

    /// Whether SCAN, called until it is through, finds what KEYS found in the first database.
    fn scan(&mut self, listed: &Reply) -> Result<(), Box<Difference>> {
        let expected: BTreeSet<&[u8]> = members(listed).into_iter().collect();
        for side in 0..self.sides.len() - 1 {
            let found = scan_all(&mut self.sides[side]);
            let broke = found.is_err();
            let instead = match found {
                Ok(found) if found.iter().map(Vec::as_slice).eq(expected.iter().copied()) => {
                    continue;
                }
                Ok(found) => {
                    let found = found.into_iter().map(Reply::Bulk).collect();
                    Reply::Group('*', found).lines().join("\n")
                }
                Err(error) => error.to_string(),
            };
            let step = asking(&[b"SCAN", b"0", b"COUNT", b"3"], Policy::Unordered);
            let (steps, after) = (vec![(step, listed.clone())], Vec::new());
            return Err(Box::new(Difference { side, steps, after, instead, broke }));
        }
        Ok(())
    }

    /// Puts steps to all sides behind requests whose replies do not matter. Gives what the peer
    /// said, if all others said the same.
    fn ask(&mut self, before: &[Words], steps: &[Step]) -> Result<Vec<Reply>, Box<Difference>> {
        let words = steps.iter().map(|step| step.words.clone());
        let requests: Vec<Words> = before.iter().cloned().chain(words).collect();
        let mut answers = ask_all(&mut self.sides, &requests);
        for answer in &mut answers {
            answer.replies.drain(..before.len().min(answer.replies.len()));
        }
        let theirs = answers.pop().expect("the peer is one of them");
        if let Some(why) = theirs.broken {
            let last = requests.get(before.len() + theirs.replies.len());
            panic!("{}: {why}: {last:?}", self.sides.last().expect("the peer").name);
        }
        for (side, ours) in answers.into_iter().enumerate() {
            let found = first_difference(steps, &ours.replies, &theirs.replies, self.manners);
            let Some(at) = found else { continue };
            let instead = match ours.replies.get(at) {
                Some(reply) => reply.lines().join("\n"),
                None => ours.broken.clone().unwrap_or_default(),
            };
            let steps = steps[..=at].iter().cloned().zip(theirs.replies).collect();
            let broke = ours.broken.is_some();
            let after = Vec::new();
            return Err(Box::new(Difference { side, steps, after, instead, broke }));
        }
        Ok(theirs.replies)
    }
}

/// What SCAN finds in the first database if it is called until it is through, or often enough.
fn scan_all(side: &mut Side) -> io::Result<BTreeSet<Vec<u8>>> {
    const CALLS_MAX: usize = 100;
    let (mut cursor, mut found) = (b"0".to_vec(), BTreeSet::new());
    side.ask(&["SELECT", "0"])?;
    for _ in 0..CALLS_MAX {
        let reply = side.ask(&[&b"SCAN"[..], &cursor, b"COUNT", b"3"])?;
        let Reply::Group(_, parts) = reply else { break };
        let [Reply::Bulk(next), keys] = parts.as_slice() else { break };
        found.extend(members(keys).into_iter().map(<[u8]>::to_vec));
        cursor.clone_from(next);
        if cursor == b"0" {
            return Ok(found);
        }
    }
    Err(io::Error::other(format!("SCAN does not end: cursor {}", shown(&cursor))))
}

fn asking(words: &[&[u8]], policy: Policy) -> Step {
    Step { words: words.iter().map(|word| word.to_vec()).collect(), policy, care: Care::None }
}

fn read_by_type(name: &[u8], key: &[u8], manners: Manners, reads: &mut Vec<Step>) {
    for (_, line, policy) in READERS.iter().filter(|(of, ..)| of.as_bytes() == name) {
        // Older servers count consumers and entries otherwise.
        if manners == Manners::Tame && line[0].starts_with("XINFO") {
            continue;
        }
        let (command, rest) = line.split_first().expect("a reader has a name");
        let mut words: Words = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        words.push(key.to_vec());
        words.extend(rest.iter().map(|word| word.as_bytes().to_vec()));
        reads.push(Step { words, policy: *policy, care: Care::None });
    }
}

/// When each field of a hash expires, whose fields and values these are.
fn ask_fields(key: &[u8], pairs: &Reply) -> Step {
    let members = members(pairs);
    let fields: BTreeSet<&[u8]> = members.chunks(2).map(|pair| pair[0]).collect();
    let count = fields.len().to_string();
    let words = [b"HPTTL", key, b"FIELDS", count.as_bytes()].into_iter().chain(fields);
    asking(&words.collect::<Vec<_>>(), Policy::Near(MILLISECONDS))
}

/// The texts in an array, set or map.
fn members(reply: &Reply) -> Vec<&[u8]> {
    let Reply::Group(_, members) = reply else { return Vec::new() };
    let texts = members.iter().filter_map(|member| match member {
        Reply::Bulk(text) => Some(text.as_slice()),
        _ => None,
    });
    texts.collect()
}
