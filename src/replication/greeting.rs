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
//! keylane-topology id:version          which node of a topology from outside it is, and which
//!                                      version of that it knows
//! ack n   fack n   getack *            of a stream that runs; before it they mean nothing
//! ```
//! Texts and tolerance are those of Valkey 9.1.2. `rdb-channel` and `set-rdb-client-id` are unknown
//! options here: nothing offers a second channel.

pub mod member;

use shards::base::number::parse_i64;
use shards::rdb::kind::Version as Rdb;
use shards::resp::error::Error;
use shards::resp::inline;

use crate::replication::address::Address;
use crate::replication::greeting::member::{ID_BYTES_MAX, Identity, Member};
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
    flows: Option<FlowsAsked>,
    identity: Identity,
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
                b"keylane-topology" => self.identity.member = Some(Member::parse(value)?),
                b"set-cluster-node-id" => self.note_node(value, cluster)?,
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

    /// Which node it is, as far as it has told.
    pub fn identity(&self) -> &Identity {
        &self.identity
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

    /// One that this node does not know was perhaps forgotten: then it is not let in.
    fn note_node(&mut self, id: &[u8], cluster: Cluster<'_>) -> Result<(), Error> {
        let Cluster::On(knows) = cluster else { return Err(Error::ClusterDisabled) };
        self.identity.node_id = Some(id.to_vec()).filter(|id| id.len() <= ID_BYTES_MAX);
        if knows(id) { Ok(()) } else { Err(Error::naming("ERR Unknown node ", id, "")) }
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

#[cfg(test)]
mod tests;
