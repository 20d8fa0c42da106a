//! What is written: random commands of all types by several connections at once. A seed decides
//! all of it but how the connections meet, so what a connection sent can be told again later.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use shards::base::random::Random;

use crate::client::{Client, Reply, push_request, shown};
use crate::plan::Repertoire;
use crate::processes::Server;
use crate::servers::{Family, Kind};
use crate::shapes::{Piece, Version, Words, draw, read};
use crate::words::{Dice, KEYS, Manners};

/// Connections that write at once.
const CONNECTIONS: u64 = 4;
/// Databases that are written.
const DATABASES: u64 = 4;
/// Each round of a connection takes one of so many sets of keys.
const HOMES: u64 = 24;
/// One reading command in so many is kept: it may find that a key is over.
const READS: usize = 8;
/// One FLUSHALL in so many is kept, and one FLUSHDB or SWAPDB: with more nothing would gather.
const FLUSHALLS: usize = 60;
const WHOLES: usize = 10;
/// One command in so many is followed by one of `EXTRA`.
const EXTRAS: usize = 6;
/// Requests that are sent before their replies are read, at most.
const PIPELINE: usize = 32;
/// Commands of a key that are told of.
const RECENT: usize = 12;
/// No string becomes longer.
const LONGEST: &str = "1mb";

/// Limits that are small at the primary alone, if it has them: values outgrow their encodings
/// there, and may fit into them again where a snapshot is loaded.
const SMALL: &[&str] = &[
    "hash-max-listpack-entries",
    "list-max-listpack-size",
    "set-max-intset-entries",
    "set-max-listpack-entries",
    "stream-node-max-entries",
    "zset-max-listpack-entries",
];
const SMALL_LIMIT: &str = "4";

/// What the generator of the other tests leaves out, since there a clock or chance would decide:
/// short times, real waits, ids and members that the primary chooses.
const EXTRA: &[&str] = &[
    "PEXPIRE key 1",
    "PEXPIRE key 15",
    "PEXPIRE key 80 (LT|GT)",
    "EXPIRE key 1",
    "EXPIRE key 100",
    "SET key value PX 20",
    "SET key value EX 1",
    "SET key value KEEPTTL",
    "PSETEX key 5 value",
    "GETEX key PX 40",
    "PEXPIREAT key 1000",
    "HPEXPIRE key 30 FIELDS #field",
    "HPEXPIRE key 1 FIELDS #field",
    "HEXPIRE key 1 FIELDS #field",
    "HSETEX key PX 25 FIELDS #(field value)",
    "HGETEX key PX 10 FIELDS #field",
    "SPOP key",
    "SPOP key 2",
    "XADD key * field value",
    "XADD key MAXLEN ~ 5 * field value",
    "XADD key NOMKSTREAM MAXLEN 3 * field value",
    "XREADGROUP GROUP group consumer COUNT 2 BLOCK 10 STREAMS key >",
    "XAUTOCLAIM key group consumer 0 0",
    "INCRBYFLOAT key 0.5",
    "HINCRBYFLOAT key field 1.5",
    "BLPOP key key 0.01",
    "BRPOP key key 0.05",
    "BLMOVE key key LEFT RIGHT 0.02",
    "BZPOPMIN key key 0.01",
    "BLMPOP 0.01 #key LEFT COUNT 2",
    "MSET key value key value key value",
    "RENAME key key",
    "COPY key key REPLACE",
    "COPY key key DB db REPLACE",
    "MOVE key db",
    "PUBLISH value value",
    "LPUSH key element...",
    "RPUSH key element...",
];

/// Scripts that write two keys; that of which the effects are random, too.
const SCRIPTS: &[&str] = &[
    "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('RPUSH', KEYS[2], ARGV[1])",
    "local n = redis.call('INCR', KEYS[1]) return redis.call('PEXPIRE', KEYS[1], 10 * n)",
    "redis.call('SADD', KEYS[1], ARGV[1], 1, 2, 3, 4) return redis.call('SPOP', KEYS[1], 2)",
    "redis.call('SET', KEYS[2], redis.call('TIME')[2]) return redis.call('DEL', KEYS[1])",
];
/// One command in so many is followed by a script.
const SCRIPT: usize = 60;

/// Commands that set times of fields: only servers of one family hold the same. Not for Valkey and
/// Redis as primaries: a Valkey that removes fields whose time has passed by itself may keep a hash
/// that its replica has lost (valkey#4732), and stays so.
const FIELD_TIMES: &[&str] =
    &["hexpire", "hexpireat", "hpexpire", "hpexpireat", "hsetex", "hgetex", "hpersist"];
/// What is not asked where a Valkey or Redis takes part, and a word of it: one that refuses an
/// overflow makes the key that was missing, and tells its replicas nothing of it.
const SPARED: (&str, &str) = ("bitfield", "fail");
/// What is not asked of a Redis that a Valkey follows, unless it has this word: a Redis takes texts
/// as numbers that a Valkey refuses, and tells it of the command as it came. Keylane takes them
/// from a primary.
const SORTED: (&str, &str) = ("sort", "alpha");
/// What is kept of a round though it writes nothing.
const STEERING: &[&str] = &["multi", "exec", "discard", "watch", "unwatch"];
const WHOLE_DATABASES: &[&str] = &["flushall", "flushdb", "swapdb"];

/// A load for servers that know the same, in parts that are sent one after the other.
#[derive(Debug)]
pub struct Load {
    seed: u64,
    repertoire: Repertoire,
    extra: Vec<Vec<Piece>>,
    /// Whether all know EVAL.
    scripts: bool,
    /// Whether all are Keylane, so that `SPARED` is asked.
    ours: bool,
    /// Whether it is a Redis that is written and a Valkey that follows, so that `SORTED` is spared.
    spares_sorts: bool,
    writes: BTreeSet<String>,
    manners: Manners,
    /// Commands of each connection in the parts so far.
    parts: Vec<u64>,
    /// Names of servers to which parts were sent.
    writers: Mutex<BTreeSet<String>>,
    sent: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    /// What all these servers know and can hold. Makes the primary, which is the first, refuse long
    /// strings, and its limits of encodings small.
    pub fn for_servers(seed: u64, kinds: &[Kind], servers: &[&Server]) -> Self {
        let mut clients: Vec<Client> = servers.iter().map(|server| server.client()).collect();
        let limited = clients[0].call(&["CONFIG", "SET", "proto-max-bulk-len", LONGEST]);
        assert!(matches!(limited, Ok(Reply::Simple(_))), "strings are limited: {limited:?}");
        for name in SMALL {
            let set = clients[0].call(&["CONFIG", "SET", name, SMALL_LIMIT]);
            assert!(set.is_ok(), "{name}: {set:?}");
        }
        let of_one_family = kinds.iter().all(|kind| kind.family() == kinds[0].family());
        let alike = kinds.iter().all(|kind| kind.is_reference())
            || kinds.iter().all(|kind| *kind == kinds[0]);
        let version = clients.iter_mut().map(version).min().expect("there are servers");
        let knows = |name: &str| {
            // What is no command is refused by all, and costs nothing.
            let has_field_times = of_one_family && !kinds[0].is_reference();
            (has_field_times || !FIELD_TIMES.contains(&name))
                && clients_know(servers, name).iter().all(|known| *known)
        };
        // Servers of several ages do not write the same of what is odd.
        let manners = if alike { Manners::Wild } else { Manners::Tame };
        let extra = EXTRA
            .iter()
            .filter(|shape| knows(&shape.split(' ').next().unwrap_or_default().to_lowercase()));
        let extra = extra.filter_map(|shape| read(shape, version)).collect();
        let scripts = knows("eval");
        let repertoire = Repertoire::new(&knows, version, manners);
        let writes = writes(&mut clients[0]);
        Self {
            seed,
            repertoire,
            extra,
            scripts,
            ours: kinds.iter().all(|kind| kind.is_keylane()),
            spares_sorts: kinds[0].family() == Family::Redis && kinds.iter().any(is_valkey),
            writes,
            manners,
            parts: Vec::new(),
            writers: Mutex::default(),
            sent: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Announces a part of so many commands, to be sent by `send`.
    pub fn begin(&mut self, commands: u64) -> Part {
        self.parts.push(commands.div_ceil(CONNECTIONS));
        Part(self.parts.len() - 1)
    }

    /// Sends a part by all connections at once and reads every reply.
    pub fn send(&self, part: Part, primary: &Server) {
        self.writers.lock().expect("no holder panics").insert(primary.name.clone());
        thread::scope(|scope| {
            for connection in 0..CONNECTIONS {
                scope.spawn(move || {
                    let mut client = primary.client();
                    let mut random = Random::new(self.seed ^ connection);
                    self.requests(part, connection, |round| {
                        self.play(&mut client, round, &mut random);
                    });
                });
            }
        });
    }

    /// The names of all servers that were written to.
    pub fn writers(&self) -> BTreeSet<String> {
        self.writers.lock().expect("no holder panics").clone()
    }

    /// One line on what was sent.
    pub fn summary(&self) -> String {
        let sent = self.sent.load(Ordering::Relaxed);
        let refused = 100 * self.refused.load(Ordering::Relaxed) / sent.max(1);
        format!("SEED={}: {sent} commands, {refused} % refused", self.seed)
    }

    /// The last commands of each connection that may have changed this key: how they met is not
    /// known.
    pub fn recent(&self, db: usize, key: &[u8]) -> String {
        let wanted = db.to_string();
        let mut text = String::new();
        for connection in 0..CONNECTIONS {
            let mut lines = Vec::new();
            for part in 0..self.parts.len() {
                self.requests(Part(part), connection, |round| {
                    let mut db = Vec::new();
                    for words in round {
                        if words[0].eq_ignore_ascii_case(b"SELECT") {
                            db.clone_from(&words[1]);
                        }
                        let names_key = words.iter().any(|word| word == key);
                        let is_there = db == wanted.as_bytes() || reaches_out(words);
                        if names_key && is_there || is_whole(words) {
                            let line = words.iter().map(|word| brief(word)).collect::<Vec<_>>();
                            lines.push(format!("{}: {}", shown(&db), line.join(" ")));
                        }
                    }
                });
            }
            for line in &lines[lines.len().saturating_sub(RECENT)..] {
                text.push_str(&format!("    connection {connection}, db {line}\n"));
            }
        }
        text
    }

    fn play(&self, client: &mut Client, round: &[Words], random: &mut Random) {
        let mut rest = round;
        while !rest.is_empty() {
            let depth = 1 + usize::try_from(random.below(PIPELINE as u64)).expect("it is small");
            let (now, later) = rest.split_at(depth.min(rest.len()));
            rest = later;
            let mut bytes = Vec::new();
            now.iter().for_each(|words| push_request(&mut bytes, words));
            client.send_raw(&bytes).expect("the primary takes requests");
            for words in now {
                let reply = client.receive();
                let reply = reply.unwrap_or_else(|error| panic!("{error}: {words:?}"));
                self.sent.fetch_add(1, Ordering::Relaxed);
                if let Reply::Error(_) = reply {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Gives the rounds of a connection's part one after the other.
    fn requests(&self, Part(part): Part, connection: u64, mut take: impl FnMut(&[Words])) {
        let (mut count, mut number) = (0, 0);
        while count < self.parts[part] {
            let place = (part as u64) << 48 | connection << 40 | number;
            let round = self.round(Random::new(self.seed.wrapping_add(place)).bits());
            count += round.len() as u64;
            number += 1;
            take(&round);
        }
    }

    fn round(&self, seed: u64) -> Vec<Words> {
        let mut random = Random::new(seed);
        let mut dice = Dice::new(random.bits(), self.manners);
        dice.settle(&[0]);
        let home = random.below(HOMES);
        let db = random.below(DATABASES).to_string().into_bytes();
        let mut round = vec![vec![b"SELECT".to_vec(), db.clone()]];
        for step in self.repertoire.plan(random.bits()) {
            if self.is_kept(&step.words, &mut dice) {
                round.push(step.words);
            }
            if dice.one_in(EXTRAS) && !self.extra.is_empty() {
                round.push(draw(dice.pick::<Vec<Piece>>(&self.extra), &mut dice));
            }
            if self.scripts && dice.one_in(SCRIPT) {
                round.push(script(&mut dice));
            }
        }
        // What is left of a transaction would take in the next round.
        round.push(vec![b"DISCARD".to_vec()]);
        round.iter_mut().skip(1).flatten().for_each(|word| rename(word, home));
        round
    }

    fn is_kept(&self, words: &Words, dice: &mut Dice) -> bool {
        let name = String::from_utf8_lossy(&words[0]).to_lowercase();
        if WHOLE_DATABASES.contains(&name.as_str()) {
            return dice.one_in(if name == "flushall" { FLUSHALLS } else { WHOLES });
        }
        let has = |wanted: &str| words.iter().any(|it| it.eq_ignore_ascii_case(wanted.as_bytes()));
        if !self.ours && name == SPARED.0 {
            return !has(SPARED.1);
        }
        if self.spares_sorts && name == SORTED.0 {
            return has(SORTED.1);
        }
        // What a consumer is given once more is counted where it is read, by Valkey as well.
        if name == "xreadgroup" {
            return words.last().is_some_and(|id| id == b">");
        }
        if name == "select" {
            return words.get(1).is_some_and(|db| matches!(db.as_slice(), b"0" | b"1" | b"2"));
        }
        self.writes.contains(&name) || STEERING.contains(&name.as_str()) || dice.one_in(READS)
    }
}

/// A part of a load.
#[derive(Clone, Copy, Debug)]
pub struct Part(usize);

fn script(dice: &mut Dice) -> Words {
    let script = *dice.pick(SCRIPTS);
    let [one, other] = [(); 2].map(|()| *dice.pick(&KEYS));
    [b"EVAL", script.as_bytes(), b"2", one, other, b"5"].iter().map(|word| word.to_vec()).collect()
}

fn is_valkey(kind: &Kind) -> bool {
    kind.family() == Family::Valkey && !kind.is_keylane()
}

fn is_whole(words: &Words) -> bool {
    WHOLE_DATABASES.iter().any(|name| words[0].eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether a command may change another database than its own.
fn reaches_out(words: &Words) -> bool {
    ["MOVE", "COPY"].iter().any(|name| words[0].eq_ignore_ascii_case(name.as_bytes()))
}

fn brief(word: &[u8]) -> String {
    const BYTES: usize = 60;
    if word.len() <= BYTES {
        return shown(word);
    }
    format!("{}...({} bytes)", shown(&word[..BYTES]), word.len())
}

/// Gives a key of the generator its name in this home: `b` and `{b}x` stay in one slot.
fn rename(word: &mut Vec<u8>, home: u64) {
    if KEYS.contains(&word.as_slice()) && !word.is_empty() {
        let place = word.iter().position(|byte| *byte == b'}').unwrap_or(word.len());
        word.splice(place..place, format!(":{home}").into_bytes());
    }
}

/// Which servers know this command.
fn clients_know(servers: &[&Server], name: &str) -> Vec<bool> {
    let known = |server: &&Server| {
        let reply = server.client().call(&["COMMAND", "INFO", name]);
        matches!(reply, Ok(Reply::Group(_, members)) if matches!(members[0], Reply::Group(..)))
    };
    servers.iter().map(known).collect()
}

/// The commands that the server says write.
fn writes(client: &mut Client) -> BTreeSet<String> {
    let Ok(Reply::Group(_, all)) = client.call(&["COMMAND"]) else {
        panic!("COMMAND is not answered with commands");
    };
    let write = |command: &Reply| {
        let Reply::Group(_, parts) = command else { return None };
        let (Reply::Bulk(name), Reply::Group(_, flags)) = (&parts[0], &parts[2]) else {
            return None;
        };
        // A container has no flags of its own; only streams have one whose commands write.
        let writes = flags.contains(&Reply::Simple(b"write".to_vec())) || name == b"xgroup";
        writes.then(|| String::from_utf8_lossy(name).into_owned())
    };
    all.iter().filter_map(write).collect()
}

fn version(client: &mut Client) -> Version {
    let Ok(Reply::Bulk(text)) = client.call(&["INFO", "server"]) else {
        panic!("INFO is not answered with text");
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let version = field("valkey_version:").or_else(|| field("redis_version:"));
    let mut numbers = version.expect("INFO tells the version").split('.');
    let mut next = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (next(), next())
}
