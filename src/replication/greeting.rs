//! What a peer has told by REPLCONF before it asks for a stream, and what follows from it for the
//! snapshot and for what comes behind.
//!
//! ```text
//! listening-port n   ip-address host   where the replica can be reached
//! capa eof | psync2 | ...              what it understands; unknown ones are welcome
//! version a.b.c                        which snapshots it reads
//! rdb-only 0|1   rdb-filter-only words a tool that wants a file, no stream
//! set-cluster-node-id id               which node of the cluster it is
//! keylane version[:vector[:stream]]    it takes each log by a connection of its own, from version
//!                                      2 on all keys by several, from 3 on logs meanwhile
//! ack n   fack n   getack *            of a stream that runs; before it they mean nothing
//! ```
//! Texts and tolerance are those of Valkey 9.1.2. `rdb-channel` and `set-rdb-client-id` are unknown
//! options here: nothing offers a second channel.

use shards::base::number::parse_i64;
use shards::rdb::kind::Version as Rdb;
use shards::resp::error::Error;
use shards::resp::inline;

use crate::replication::address::Address;
use crate::replication::history::Vector;

/// Bytes that an announced address may have: Valkey's limit.
const HOST_BYTES_MAX: usize = 255;

/// The versions of flows that have chunks, and logs while these come.
const CHUNKS_SINCE: i64 = 2;
const STORES_SINCE: i64 = 3;

/// What a peer has told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    port: u16,
    host: Option<String>,
    eof: bool,
    psync2: bool,
    version: Option<Version>,
    rdb_only: bool,
    filter: Filter,
    node_id: Option<Vec<u8>>,
    flows: Option<FlowsAsked>,
}

/// A replica can take each log by a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowsAsked {
    /// It takes all keys as chunks, by connections of their own.
    pub takes_chunks: bool,
    /// It stores logs meanwhile.
    pub stores_logs: bool,
    /// Where it is in each log, if it has some of them.
    pub vector: Option<Vector>,
    /// Whether that is a place of the stream, too.
    pub is_in_stream: bool,
}

/// What stands behind a vector that is a place of the stream, too.
pub const IN_STREAM: &str = "stream";

/// What a REPLCONF without errors is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `+OK`
    Ok,
    /// Not a byte: so it is with `ack` and `getack`.
    Silence,
}

/// Which nodes there are.
#[derive(Clone, Copy)]
pub enum Cluster<'a> {
    /// There is no cluster.
    Off,
    /// There is one, and this says whether a node with this id belongs to it.
    On(&'a dyn Fn(&[u8]) -> bool),
}

/// A peer's version of Valkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `9` of `9.1.2`.
    pub major: u8,
    /// `1` of `9.1.2`.
    pub minor: u8,
    /// `2` of `9.1.2`.
    pub patch: u8,
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// All there is.
    #[default]
    All,
    /// Functions, no keys.
    Functions,
    /// Neither: a head and an end.
    Nothing,
}

/// The command that asks for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `SYNC`, as old replicas and tools do.
    Sync,
    /// `PSYNC`.
    Psync,
}

/// In which version a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdbForm {
    /// In this one. What it cannot say refuses the sync.
    Exactly(Rdb),
    /// In the lowest that can say all there is, which only its end knows. Tools that say no
    /// version keep the file: it is to be complete, and any server that can should read it.
    Lowest,
}

/// How the end of a snapshot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `$EOF:` and a mark of 40 bytes, which stands behind the snapshot again.
    Eof,
    /// `$` and the length: the snapshot must be complete before it is sent.
    Length,
    /// It comes as chunks by connections of its own, each of which has an end.
    Chunks,
}

/// What comes behind a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequel {
    /// The connection ends: a tool wanted the file.
    End,
    /// The stream, once the replica has acknowledged the snapshot.
    AwaitAck,
    /// The stream at once. The replica acknowledges when it has loaded.
    Stream,
    /// The stream at once, to a replica that never acknowledges: it asked by SYNC.
    StreamUnacked,
}

/// What a full sync with this peer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The command that asked.
    pub asked: Asked,
    /// The version of the snapshot.
    pub rdb: RdbForm,
    /// How its end shows.
    pub framing: Framing,
    /// What it holds.
    pub filter: Filter,
    /// What comes behind it.
    pub sequel: Sequel,
    /// The version that the peer told.
    pub version: Option<Version>,
}

impl Terms {
    /// The same, but all keys go as chunks.
    pub fn by_chunks(self) -> Self {
        Self { framing: Framing::Chunks, sequel: Sequel::AwaitAck, ..self }
    }
}

impl Greeting {
    /// Notes what stands behind `REPLCONF`. As in Valkey, options in front of a bad one hold, and
    /// options behind `ack` or `getack` are not read.
    ///
    /// # Errors
    /// If an option has no value, is unknown, or has a value that makes no sense.
    pub fn apply(&mut self, options: &[&[u8]], cluster: Cluster<'_>) -> Result<Answer, Error> {
        if !options.len().is_multiple_of(2) {
            return Err(Error::Syntax);
        }
        for option in options.chunks_exact(2) {
            let (name, value) = (option[0], option[1]);
            match name.to_ascii_lowercase().as_slice() {
                b"listening-port" => self.port = port(value)?,
                b"ip-address" => self.host = host(value)?,
                b"capa" => self.note_capability(value),
                b"version" => self.version = Some(Version::parse(value)?),
                b"rdb-only" => self.rdb_only = flag(value)?,
                b"rdb-filter-only" => self.filter = Filter::parse(value)?,
                b"keylane" => self.flows = Some(FlowsAsked::parse(value)?),
                b"set-cluster-node-id" => self.node_id = Some(node_id(value, cluster)?),
                b"ack" | b"getack" => return Ok(Answer::Silence),
                _ => return Err(Error::naming("ERR Unrecognized REPLCONF option: ", name, "")),
            }
        }
        Ok(Answer::Ok)
    }

    /// Where the peer can be reached, if its socket is connected to `host`.
    pub fn address(&self, host: &str) -> Address {
        let host = self.host.as_deref().unwrap_or(host).to_string();
        Address { host, port: self.port }
    }

    /// Whether `+CONTINUE` may name a history: older replicas expect the word alone.
    pub fn knows_psync2(&self) -> bool {
        self.psync2
    }

    /// What it said of flows; `None`: it wants the stream of all logs.
    pub fn flows(&self) -> Option<&FlowsAsked> {
        self.flows.as_ref().filter(|_| !self.rdb_only)
    }

    /// The version that it told.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The id of the cluster's node that it is, if it told one.
    pub fn node_id(&self) -> Option<&[u8]> {
        self.node_id.as_deref()
    }

    /// What a full sync with it looks like.
    ///
    /// # Errors
    /// If it wants a part of a snapshot and does not know the form with a mark.
    pub fn terms(&self, asked: Asked) -> Result<Terms, Error> {
        if self.filter != Filter::All && !self.eof {
            return Err(Error::Text("ERR Filtered replica requires EOF capability"));
        }
        let rdb = self.rdb_form();
        let framing = match (asked, rdb) {
            (Asked::Psync, RdbForm::Exactly(_)) if self.eof => Framing::Eof,
            (Asked::Psync | Asked::Sync, RdbForm::Exactly(_) | RdbForm::Lowest) => Framing::Length,
        };
        let sequel = match (self.rdb_only, asked, framing) {
            (true, _, _) => Sequel::End,
            (false, Asked::Sync, _) => Sequel::StreamUnacked,
            (false, Asked::Psync, Framing::Eof | Framing::Chunks) => Sequel::AwaitAck,
            (false, Asked::Psync, Framing::Length) => Sequel::Stream,
        };
        Ok(Terms { asked, rdb, framing, filter: self.filter, sequel, version: self.version })
    }

    fn rdb_form(&self) -> RdbForm {
        match self.version {
            None if self.rdb_only && self.filter == Filter::All => RdbForm::Lowest,
            None => RdbForm::Exactly(Rdb::V10),
            Some(version) => RdbForm::Exactly(version.reads()),
        }
    }

    fn note_capability(&mut self, name: &[u8]) {
        self.eof |= name.eq_ignore_ascii_case(b"eof");
        self.psync2 |= name.eq_ignore_ascii_case(b"psync2");
    }
}

impl FlowsAsked {
    /// The version of flows that the replica speaks, and behind a colon its vector, and behind
    /// another one [`IN_STREAM`]. A later version is welcome: the lower one is spoken.
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::naming("ERR Unrecognized version of flows: ", text, "");
        let mut parts = text.splitn(3, |byte| *byte == b':');
        let version = parts.next().and_then(parse_i64);
        let version = version.filter(|version| 1 <= *version).ok_or_else(malformed)?;
        let vector = parts.next().map(|it| Vector::parse(it).ok_or_else(malformed)).transpose()?;
        let (takes_chunks, stores_logs) = (CHUNKS_SINCE <= version, STORES_SINCE <= version);
        let word = parts.next();
        if word.is_some_and(|word| word != IN_STREAM.as_bytes()) {
            return Err(malformed());
        }
        Ok(Self { takes_chunks, stores_logs, vector, is_in_stream: word.is_some() })
    }
}

impl Version {
    /// The newest format of snapshots that it reads.
    fn reads(self) -> Rdb {
        match (self.major, self.minor) {
            (0..=6, _) | (7, 0..=1) => Rdb::V10,
            (7..=8, _) => Rdb::V11,
            (9.., _) => Rdb::V80,
        }
    }

    /// Three numbers below 256 with dots between them. As in Valkey a number may be missing, then
    /// it is 0, and may have zeros in front.
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::naming("ERR Unrecognized version format: ", text, "");
        let mut parts = text.split(|byte| *byte == b'.').map(version_part);
        let mut part = || parts.next().flatten().ok_or_else(malformed);
        let version = Self { major: part()?, minor: part()?, patch: part()? };
        if parts.next().is_some() { Err(malformed()) } else { Ok(version) }
    }
}

fn version_part(digits: &[u8]) -> Option<u8> {
    let add = |number: u8, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        number.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0, add)
}

impl Filter {
    /// Words with spaces between them, quoted or not.
    fn parse(text: &[u8]) -> Result<Self, Error> {
        let missing = Error::Text("ERR Missing rdb-filter-only values");
        let words = inline::split(text).ok_or(missing)?;
        let is_known = |word: &&Vec<u8>| word.eq_ignore_ascii_case(b"functions");
        if let Some(word) = words.iter().find(|word| !is_known(word)) {
            return Err(Error::naming("ERR Unsupported rdb-filter-only option: ", word, ""));
        }
        Ok(if words.is_empty() { Self::Nothing } else { Self::Functions })
    }
}

/// A port. Valkey takes any number; one that is no port is as good as none.
fn port(text: &[u8]) -> Result<u16, Error> {
    let number = parse_i64(text).ok_or(Error::NotInteger)?;
    Ok(u16::try_from(number).unwrap_or(0))
}

/// An announced address; none if it is empty. INFO shows it in a line of fields, so what would
/// break that line is refused, other than in Valkey.
fn host(text: &[u8]) -> Result<Option<String>, Error> {
    if HOST_BYTES_MAX < text.len() {
        let len = text.len();
        return Err(Error::Owned(format!(
            "ERR REPLCONF ip-address provided by replica instance is too long: {len} bytes"
        )));
    }
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'=');
    if !text.iter().all(is_plain) {
        return Err(Error::Text("ERR REPLCONF ip-address is no address"));
    }
    let host = String::from_utf8_lossy(text).into_owned();
    Ok(if host.is_empty() { None } else { Some(host) })
}

fn flag(text: &[u8]) -> Result<bool, Error> {
    match parse_i64(text) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(_) => Err(Error::Text("ERR value is out of range, value must between 0 and 1")),
        None => Err(Error::NotInteger),
    }
}

fn node_id(id: &[u8], cluster: Cluster<'_>) -> Result<Vec<u8>, Error> {
    match cluster {
        Cluster::Off => Err(Error::ClusterDisabled),
        Cluster::On(knows) if knows(id) => Ok(id.to_vec()),
        Cluster::On(_) => Err(Error::naming("ERR Unknown node ", id, "")),
    }
}

#[cfg(test)]
mod tests {
    use shards::base::random::Random;
    use shards::resp::inline::split;

    use super::*;

    const NODE: &[u8] = b"b3caf5b4d246f53bbdce4d496b17360be1a284f3";

    /// What a new peer is answered; `` is silence.
    fn answer(greeting: &mut Greeting, line: &str, cluster: Cluster<'_>) -> String {
        let words = split(line.as_bytes()).expect("quotes are closed");
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match greeting.apply(&words, cluster) {
            Ok(Answer::Ok) => "+OK".to_string(),
            Ok(Answer::Silence) => String::new(),
            Err(error) => {
                let mut out = Vec::new();
                error.write(&mut out);
                let text = String::from_utf8(out).expect("it is text");
                text.trim_end_matches("\r\n").to_string()
            }
        }
    }

    /// What stands behind REPLCONF, and what Valkey 9.1.2 answers.
    const ANSWERS: &[(&str, &str)] = &[
        ("", "+OK"),
        ("a", "-ERR syntax error"),
        ("a b", "-ERR Unrecognized REPLCONF option: a"),
        ("a b c", "-ERR syntax error"),
        ("\"AbC\\r\\nx%s\" b", "-ERR Unrecognized REPLCONF option: AbC  x%s"),
        ("listening-port x", "-ERR value is not an integer or out of range"),
        ("listening-port ''", "-ERR value is not an integer or out of range"),
        ("listening-port 01", "-ERR value is not an integer or out of range"),
        ("listening-port 99999999999999999999", "-ERR value is not an integer or out of range"),
        ("Listening-Port 6379", "+OK"),
        ("listening-port -1", "+OK"),
        ("listening-port 70000", "+OK"),
        ("ip-address 1.2.3.4", "+OK"),
        ("ip-address ''", "+OK"),
        ("capa eof", "+OK"),
        ("capa nope", "+OK"),
        ("capa ''", "+OK"),
        ("capa eof capa psync2 capa dual-channel", "+OK"),
        ("capa eof bogus x", "-ERR Unrecognized REPLCONF option: bogus"),
        ("version 9.1.2", "+OK"),
        ("version 255.255.255", "+OK"),
        ("version 09.01.02", "+OK"),
        ("version 9..1", "+OK"),
        ("version ..", "+OK"),
        ("version x", "-ERR Unrecognized version format: x"),
        ("version ''", "-ERR Unrecognized version format: "),
        ("version 9", "-ERR Unrecognized version format: 9"),
        ("version 9.1", "-ERR Unrecognized version format: 9.1"),
        ("version 1.2.3.", "-ERR Unrecognized version format: 1.2.3."),
        ("version 9.1.2-rc1", "-ERR Unrecognized version format: 9.1.2-rc1"),
        ("version +9.1.2", "-ERR Unrecognized version format: +9.1.2"),
        ("version 256.0.0", "-ERR Unrecognized version format: 256.0.0"),
        ("version 2560.0.0", "-ERR Unrecognized version format: 2560.0.0"),
        ("rdb-only 0", "+OK"),
        ("rdb-only 1", "+OK"),
        ("rdb-only 2", "-ERR value is out of range, value must between 0 and 1"),
        ("rdb-only -1", "-ERR value is out of range, value must between 0 and 1"),
        ("rdb-only x", "-ERR value is not an integer or out of range"),
        ("rdb-filter-only ''", "+OK"),
        ("rdb-filter-only FUNCTIONS", "+OK"),
        ("rdb-filter-only ' functions functions '", "+OK"),
        ("rdb-filter-only 'functions x'", "-ERR Unsupported rdb-filter-only option: x"),
        ("rdb-filter-only '\"x'", "-ERR Missing rdb-filter-only values"),
        ("set-cluster-node-id x", "-ERR This instance has cluster support disabled"),
        ("ack 1", ""),
        ("ack x", ""),
        ("ack 1 fack 2", ""),
        ("ack 1 bogus x", ""),
        ("capa eof ack 1 bogus x", ""),
        ("fack 1", "-ERR Unrecognized REPLCONF option: fack"),
        ("getack *", ""),
        ("GETACK x bogus 1", ""),
    ];

    #[test]
    fn a_replica_says_that_it_takes_logs_and_where_it_is_in_them() {
        for (said, answered, vector) in [
            ("keylane 1", "+OK", Some(None)),
            ("keylane 1:5,0", "+OK", Some(Some("5,0"))),
            // A later release speaks the version of this one, too.
            ("keylane 2", "+OK", Some(None)),
            ("keylane 3:5", "+OK", Some(Some("5"))),
            ("keylane 0", "-ERR Unrecognized version of flows: 0", None),
            ("keylane 1:", "-ERR Unrecognized version of flows: 1:", None),
            ("keylane 1:5,0:stream", "+OK", Some(Some("5,0"))),
            ("keylane 1:5:x", "-ERR Unrecognized version of flows: 1:5:x", None),
            ("keylane 1:x", "-ERR Unrecognized version of flows: 1:x", None),
            ("keylane x", "-ERR Unrecognized version of flows: x", None),
            // A tool wants a file.
            ("rdb-only 1 keylane 1", "+OK", None),
        ] {
            let mut greeting = Greeting::default();
            assert_eq!(answer(&mut greeting, said, Cluster::Off), answered, "{said}");
            let at = greeting.flows().map(|flows| flows.vector.as_ref().map(Vector::to_string));
            assert_eq!(at, vector.map(|vector| vector.map(str::to_owned)), "{said}");
            let takes = |is: fn(&FlowsAsked) -> bool| greeting.flows().is_some_and(is);
            let has_chunks = matches!(said, "keylane 2" | "keylane 3:5");
            assert_eq!(takes(|flows| flows.takes_chunks), has_chunks, "{said}");
            assert_eq!(takes(|flows| flows.stores_logs), said == "keylane 3:5", "{said}");
        }
    }

    #[test]
    fn a_peer_is_answered_as_valkey_answers_it() {
        for (line, expected) in ANSWERS {
            assert_eq!(answer(&mut Greeting::default(), line, Cluster::Off), *expected, "{line}");
        }
    }

    #[test]
    fn an_address_is_short_and_plain() {
        let mut greeting = Greeting::default();
        let long = format!("ip-address {}", "x".repeat(HOST_BYTES_MAX));
        assert_eq!(answer(&mut greeting, &long, Cluster::Off), "+OK");
        let longer = format!("{long}x");
        let text = "-ERR REPLCONF ip-address provided by replica instance is too long: 256 bytes";
        assert_eq!(answer(&mut greeting, &longer, Cluster::Off), text);
        for odd in ["'a b'", "a,b", "a=b", "\"a\\r\\nrole:x\"", "\"\\xff\""] {
            let given = answer(&mut greeting, &format!("ip-address {odd}"), Cluster::Off);
            assert_eq!(given, "-ERR REPLCONF ip-address is no address", "{odd}");
        }
        assert_eq!(greeting.address("::1").host.len(), HOST_BYTES_MAX);
    }

    #[test]
    fn a_node_must_belong_to_the_cluster() {
        let cluster = Cluster::On(&|id| id == NODE);
        let mut greeting = Greeting::default();
        let unknown = answer(&mut greeting, "set-cluster-node-id abc", cluster);
        assert_eq!(unknown, "-ERR Unknown node abc");
        assert_eq!(greeting.node_id(), None);
        let line = format!("SET-CLUSTER-NODE-ID {}", NODE.escape_ascii());
        assert_eq!(answer(&mut greeting, &line, cluster), "+OK");
        assert_eq!(greeting.node_id(), Some(NODE));
    }

    #[test]
    fn options_in_front_of_a_bad_one_hold() {
        let mut greeting = Greeting::default();
        answer(&mut greeting, "capa psync2 listening-port 7 bogus x version 9.0.0", Cluster::Off);
        assert!(greeting.knows_psync2());
        let address = Address { host: "10.0.0.1".to_string(), port: 7 };
        assert_eq!(greeting.address("10.0.0.1"), address);
        assert_eq!(greeting.version(), None);
        answer(&mut greeting, "ip-address name listening-port 70000", Cluster::Off);
        assert_eq!(greeting.address("10.0.0.1"), Address { host: "name".to_string(), port: 0 });
        answer(&mut greeting, "ip-address ''", Cluster::Off);
        assert_eq!(greeting.address("10.0.0.1").host, "10.0.0.1");
    }

    /// The greeting, the command, and what follows: version, framing, filter, sequel.
    const TERMS: &[(&str, &str, &str)] = &[
        ("", "psync", "10 length all stream"),
        ("capa eof capa psync2", "psync", "10 eof all await"),
        ("capa eof version ..", "psync", "10 eof all await"),
        ("capa eof version 7.1.9", "psync", "10 eof all await"),
        ("capa eof version 7.2.0", "psync", "11 eof all await"),
        ("capa eof version 8.9.9", "psync", "11 eof all await"),
        ("capa eof version 9.0.0", "psync", "80 eof all await"),
        ("version 255.0.0", "psync", "80 length all stream"),
        ("", "sync", "10 length all unacked"),
        ("capa eof version 9.1.2", "sync", "80 length all unacked"),
        ("capa eof rdb-only 1", "sync", "lowest length all end"),
        ("capa eof rdb-only 1", "psync", "lowest length all end"),
        ("capa eof rdb-only 1 version 8.0.0", "psync", "11 eof all end"),
        ("rdb-only 1", "sync", "lowest length all end"),
        ("capa eof rdb-only 1 rdb-filter-only functions", "sync", "10 length functions end"),
        ("capa eof rdb-only 1 rdb-filter-only ''", "psync", "10 eof nothing end"),
        ("rdb-only 1 rdb-filter-only functions", "sync", "refused"),
    ];

    fn words(terms: &Terms) -> String {
        let rdb = match terms.rdb {
            RdbForm::Exactly(version) => version.number().to_string(),
            RdbForm::Lowest => "lowest".to_string(),
        };
        let framing = match terms.framing {
            Framing::Eof => "eof",
            Framing::Length => "length",
            Framing::Chunks => "chunks",
        };
        let filter = match terms.filter {
            Filter::All => "all",
            Filter::Functions => "functions",
            Filter::Nothing => "nothing",
        };
        let sequel = match terms.sequel {
            Sequel::End => "end",
            Sequel::AwaitAck => "await",
            Sequel::Stream => "stream",
            Sequel::StreamUnacked => "unacked",
        };
        format!("{rdb} {framing} {filter} {sequel}")
    }

    #[test]
    fn what_was_told_decides_how_a_sync_looks() {
        for (line, command, expected) in TERMS {
            let mut greeting = Greeting::default();
            assert_eq!(answer(&mut greeting, line, Cluster::Off), "+OK", "{line}");
            let asked = if *command == "sync" { Asked::Sync } else { Asked::Psync };
            let given = greeting.terms(asked);
            let given = given.map_or("refused".to_string(), |terms| words(&terms));
            assert_eq!(given, *expected, "{line} {command}");
        }
    }

    #[test]
    fn bytes_by_chance_are_noted_or_refused() {
        const NAMES: [&[u8]; 8] =
            [b"listening-port", b"ip-address", b"capa", b"version", b"rdb-only", b"ack", b"", b"x"];
        let seed = 12;
        let mut random = Random::new(seed);
        for round in 0..20_000 {
            let mut greeting = Greeting::default();
            let mut args = Vec::new();
            for _ in 0..random.below(5) {
                let pick = usize::try_from(random.below(8)).expect("it is small");
                args.push(NAMES[pick].to_vec());
                let value = (0..random.below(12)).map(|_| {
                    b"019.\x00\xff-x \"e,"[usize::try_from(random.below(12)).expect("it is small")]
                });
                args.push(value.collect());
            }
            args.truncate(usize::try_from(random.below(10)).expect("it is small"));
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let given = greeting.apply(&args, Cluster::Off);
            let odd = !args.len().is_multiple_of(2);
            assert!(!odd || given == Err(Error::Syntax), "seed {seed} round {round}: {args:?}");
            let host = greeting.address("h").host;
            assert!(!host.contains([',', '\0']), "seed {seed} round {round}: {host}");
        }
    }
}
