//! Settings that are one word out of a few: the types and their words.

/// Least severe line that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Much, but not what only a developer asks for.
    Verbose,
    /// What matters in production.
    Notice,
    /// Only what an operator should look at.
    Warning,
    /// Nothing at all.
    Nothing,
}

impl LogLevel {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[
        ("debug", Self::Debug),
        ("verbose", Self::Verbose),
        ("notice", Self::Notice),
        ("warning", Self::Warning),
        ("nothing", Self::Nothing),
    ];
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// As Valkey writes it: pid, role, time, level mark, text.
    Text,
    /// `name=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The words in the file. Valkey calls its text format `legacy`.
    pub const WORDS: &[(&str, Self)] = &[
        ("legacy", Self::Text),
        ("text", Self::Text),
        ("logfmt", Self::Logfmt),
        ("json", Self::Json),
    ];
}

/// Shape of the time in a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTime {
    /// `21 Nov 2026 16:49:44.316`
    Legacy,
    /// `2026-11-21T16:49:44.316+00:00`
    Iso8601,
    /// Milliseconds since the epoch.
    Milliseconds,
}

impl LogTime {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[
        ("legacy", Self::Legacy),
        ("iso8601", Self::Iso8601),
        ("milliseconds", Self::Milliseconds),
    ];
}

/// What kind of program the system's log takes the server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the system's, and say no more")]
pub enum SyslogFacility {
    User,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

impl SyslogFacility {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[
        ("user", Self::User),
        ("local0", Self::Local0),
        ("local1", Self::Local1),
        ("local2", Self::Local2),
        ("local3", Self::Local3),
        ("local4", Self::Local4),
        ("local5", Self::Local5),
        ("local6", Self::Local6),
        ("local7", Self::Local7),
    ];

    /// The number that the system knows it by.
    pub const fn number(self) -> u8 {
        match self {
            Self::User => 1,
            local => 15 + local as u8,
        }
    }
}

/// Who holds the process and wants to be told that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// Upstart: ready is told by stopping once.
    Upstart,
    /// Systemd: ready is told on its notification socket.
    Systemd,
    /// Whichever the environment names.
    Auto,
    /// No supervisor.
    No,
}

impl Supervised {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[
        ("upstart", Self::Upstart),
        ("systemd", Self::Systemd),
        ("auto", Self::Auto),
        ("no", Self::No),
    ];
}

/// Which keys may go when memory is short, and which go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxmemoryPolicy {
    /// Keys that expire, the longest unused first.
    VolatileLru,
    /// Keys that expire, the least often used first.
    VolatileLfu,
    /// Keys that expire, by chance.
    VolatileRandom,
    /// Keys that expire, the soonest first.
    VolatileTtl,
    /// Any key, the longest unused first.
    AllKeysLru,
    /// Any key, the least often used first.
    AllKeysLfu,
    /// Any key, by chance.
    AllKeysRandom,
    /// None: writes fail.
    NoEviction,
}

impl MaxmemoryPolicy {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[
        ("volatile-lru", Self::VolatileLru),
        ("volatile-lfu", Self::VolatileLfu),
        ("volatile-random", Self::VolatileRandom),
        ("volatile-ttl", Self::VolatileTtl),
        ("allkeys-lru", Self::AllKeysLru),
        ("allkeys-lfu", Self::AllKeysLfu),
        ("allkeys-random", Self::AllKeysRandom),
        ("noeviction", Self::NoEviction),
    ];
}

/// Who may do something dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// No client.
    No,
    /// Every client.
    Yes,
    /// Clients on this machine: loopback or the unix socket.
    Local,
}

impl Allowed {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] =
        &[("no", Self::No), ("yes", Self::Yes), ("local", Self::Local)];

    /// Whether this caller may.
    pub const fn permits(self, caller: Caller) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => matches!(caller, Caller::Local),
        }
    }
}

/// Where a client sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// On this machine: loopback or the unix socket.
    Local,
    /// Anywhere else.
    Remote,
}

/// How one client's pipeline meets several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineOrder {
    /// Commands take effect in the order sent.
    Strict,
    /// Commands on one key each may take effect in any order, each at once; replies keep theirs.
    Relaxed,
}

impl PipelineOrder {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[("strict", Self::Strict), ("relaxed", Self::Relaxed)];
}

/// Which snapshots are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionCheck {
    /// Those of Valkey, and of Redis up to 7.2.
    Strict,
    /// Those of later Redis too, as far as what is in them is known here.
    Relaxed,
}

impl VersionCheck {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[("strict", Self::Strict), ("relaxed", Self::Relaxed)];
}

/// What becomes of a replica's keys when all of its primary's are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisklessLoad {
    /// They go first.
    Disabled,
    /// They go first, if there are any.
    OnEmptyDb,
    /// They stay until the new ones are complete, if there is memory for both.
    SwapDb,
    /// They go first.
    FlushBeforeLoad,
}

impl DisklessLoad {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[
        ("disabled", Self::Disabled),
        ("on-empty-db", Self::OnEmptyDb),
        ("swapdb", Self::SwapDb),
        ("flush-before-load", Self::FlushBeforeLoad),
    ];
}

/// What becomes of the process when nodes.conf cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveBehavior {
    /// It ends.
    Sync,
    /// The process goes on, and tells no node what a restart would forget.
    BestEffort,
}

impl SaveBehavior {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[("sync", Self::Sync), ("best-effort", Self::BestEffort)];
}

/// What sets the topology of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterTopology {
    /// Nodes agree on it by the cluster bus.
    Gossip,
    /// Each node is told by CLUSTERX.
    External,
}

impl ClusterTopology {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[("gossip", Self::Gossip), ("external", Self::External)];
}

/// What a primary does that starts without data, while it has replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyRestart {
    /// It asks its replicas to take over.
    Yield,
    /// It serves, and its replicas drop what they have.
    Serve,
}

impl EmptyRestart {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] = &[("yield", Self::Yield), ("serve", Self::Serve)];
}

/// By what clients are told to reach a node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointType {
    /// Its address.
    Ip,
    /// Its host name.
    Hostname,
    /// The address that the client has used before.
    Unknown,
}

impl EndpointType {
    /// The words in the file.
    pub const WORDS: &[(&str, Self)] =
        &[("ip", Self::Ip), ("hostname", Self::Hostname), ("unknown-endpoint", Self::Unknown)];
}
