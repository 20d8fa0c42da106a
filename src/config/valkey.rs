//! Valkey's settings that Keylane does not act on: ignored with a warning where nothing depends on
//! them, refused where they ask for a promise that cannot be kept. Nothing is misread in silence.

use super::kinds::{Reason, memory};
use super::setting::Change;

/// A setting of Valkey 9.1.2 that has no effect here.
#[derive(Debug)]
pub struct Foreign {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Valkey's default, which is what holds here; CONFIG GET says so.
    pub value: &'static str,
    /// What becomes of another value.
    pub fate: Fate,
    /// Whether CONFIG GET and SET know it.
    pub shown: Shown,
    /// When Valkey lets it change; the same errors are given here.
    pub change: Change,
    /// Whether its value must not show in logs.
    pub secret: bool,
    /// Words besides `value` that ask for nothing.
    pub harmless: fn(&[&[u8]]) -> bool,
}

/// What becomes of a value that is not Valkey's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is ignored, with a warning that says why.
    Ignored(&'static str),
    /// It is an error, for this reason.
    Refused(&'static str),
}

/// Whether CONFIG GET shows a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// To every pattern.
    Listed,
    /// Only to its exact name: Valkey hides what is for its own tests.
    Exact,
    /// Not at all: only files and options know it.
    Never,
}

impl Foreign {
    /// Takes the words of a line or of CONFIG SET: a warning, nothing to say, or a refusal.
    pub fn take(&self, words: &[&[u8]]) -> Result<Option<String>, Reason> {
        if words.is_empty() {
            return Err("wrong number of arguments".into());
        }
        if self.is_default(words) || (self.harmless)(words) {
            return Ok(None);
        }
        match self.fate {
            Fate::Ignored(why) => Ok(Some(format!("{} is ignored: {why}", self.name))),
            Fate::Refused(why) => Err(format!("{} is not supported: {why}", self.name)),
        }
    }

    fn is_default(&self, words: &[&[u8]]) -> bool {
        let text = words.join(&b' ');
        if self.shown == Shown::Never {
            return false;
        }
        // 10mb is 10485760.
        let bytes = memory(&text);
        let same_bytes = bytes.is_some() && bytes == memory(self.value.as_bytes());
        same_bytes || text.eq_ignore_ascii_case(self.value.as_bytes())
    }

    const fn at_start(self) -> Self {
        Self { change: Change::AtStart, ..self }
    }

    const fn exact(self) -> Self {
        Self { shown: Shown::Exact, ..self }
    }

    const fn file_only(self) -> Self {
        Self { shown: Shown::Never, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn harmless(self, harmless: fn(&[&[u8]]) -> bool) -> Self {
        Self { harmless, ..self }
    }
}

/// The setting of this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static Foreign> {
    FOREIGN.iter().find(|foreign| name.eq_ignore_ascii_case(foreign.name.as_bytes()))
}

const fn ignored(name: &'static str, value: &'static str, why: &'static str) -> Foreign {
    foreign(name, value, Fate::Ignored(why))
}

const fn refused(name: &'static str, value: &'static str, why: &'static str) -> Foreign {
    foreign(name, value, Fate::Refused(why))
}

const fn foreign(name: &'static str, value: &'static str, fate: Fate) -> Foreign {
    let (shown, change) = (Shown::Listed, Change::AtRuntime);
    Foreign { name, value, fate, shown, change, secret: false, harmless: never }
}

fn never(_: &[&[u8]]) -> bool {
    false
}

/// The line that Valkey's CONFIG REWRITE leaves in every file: the default user, free of limits.
fn default_user(words: &[&[u8]]) -> bool {
    let free: [&[u8]; 9] = [
        b"on",
        b"nopass",
        b"sanitize-payload",
        b"~*",
        b"allkeys",
        b"&*",
        b"allchannels",
        b"+@all",
        b"allcommands",
    ];
    matches!(words, [b"default", rules @ ..]
        if rules.contains(&b"nopass".as_slice()) && rules.iter().all(|rule| free.contains(rule)))
}

const ANNOUNCED: &str = "every replica is announced";
const ANYWHERE: &str = "snapshots are written on any processor the server may use";
const AOF: &str = "there is no append-only file yet";
const APPLIED: &str = "a replica applies what its primary sends, and tells in its \
    log what went wrong";
const NO_MIGRATION: &str = "there is no atomic slot migration yet";
const DISKLESS: &str = "snapshots for replicas go from memory to memory, without a file";
const EVICTS: &str = "a replica evicts nothing by itself";
const LAZILY: &str = "a replica changes all keys at once, and frees the old ones little by little";
const LINK: &str = "a replica has one connection, from the address that the \
    system chooses, and what is sent on it goes at once";
const LOADING: &str = "clients are served between short steps of loading";
const LOCALE: &str = "texts are compared byte by byte";
const LOOKS: &str = "it would change nothing that is shown here";
const MEMORY: &str = "tables grow and memory returns in small steps by themselves";
const MODULES: &str = "there are no modules";
const OLD: &str = "Valkey 9 ignores it too";
const PROCESS: &str = "the process is left as it was started";
const RDMA: &str = "there is no RDMA";
const SCRIPTS: &str = "there are no scripts yet";
const SENTINEL: &str = "there is no sentinel mode";
const SOCKETS: &str = "sockets get neither marks nor another group";
const SUPERVISOR: &str = "the server stays in the foreground, so that a supervisor (systemd, a \
    container) can hold it; say `daemonize no`";
const SYNCED: &str = "snapshots are always written to the disk bit by bit";
const THREADS: &str = "each shard has one thread of its own; see shards and shard-cpus";
const TLS: &str = "there is no TLS yet";
const USERS: &str = "there are no users but the default one yet; see requirepass";
const WRITABLE: &str = "a replica that changes keys by itself has no place in a stream any more";

/// All of them, grouped by reason.
pub static FOREIGN: &[Foreign] = &[
    refused("appendonly", "no", AOF),
    ignored("aof-load-truncated", "yes", AOF),
    ignored("aof-rewrite-cpulist", "", AOF).at_start(),
    ignored("aof_rewrite_cpulist", "", AOF).at_start(),
    ignored("aof-rewrite-incremental-fsync", "yes", AOF),
    ignored("aof-timestamp-enabled", "no", AOF),
    ignored("aof-use-rdb-preamble", "yes", AOF),
    ignored("appenddirname", "appendonlydir", AOF).at_start(),
    ignored("appendfilename", "appendonly.aof", AOF).at_start(),
    ignored("appendfsync", "everysec", AOF),
    ignored("auto-aof-rewrite-min-size", "67108864", AOF),
    ignored("auto-aof-rewrite-percentage", "100", AOF),
    ignored("no-appendfsync-on-rewrite", "no", AOF),
    ignored("aof-disable-auto-gc", "no", AOF).exact(),
    ignored("bgsave-cpulist", "", ANYWHERE).at_start(),
    ignored("bgsave_cpulist", "", ANYWHERE).at_start(),
    ignored("rdb-del-sync-files", "no", DISKLESS),
    ignored("rdb-save-incremental-fsync", "yes", SYNCED),
    ignored("key-load-delay", "0", LOADING).exact(),
    ignored("loading-process-events-interval-bytes", "2097152", LOADING).exact(),
    ignored("bind-source-addr", "", LINK),
    ignored("dual-channel-replication-enabled", "no", LINK),
    ignored("propagation-error-behavior", "ignore", APPLIED),
    ignored("repl-disable-tcp-nodelay", "no", LINK),
    ignored("repl-diskless-sync", "yes", DISKLESS),
    ignored("repl-diskless-sync-max-replicas", "0", DISKLESS),
    ignored("repl-mptcp", "no", PROCESS).at_start(),
    ignored("replica-announced", "yes", ANNOUNCED),
    ignored("replica-ignore-disk-write-errors", "no", APPLIED),
    ignored("replica-ignore-maxmemory", "yes", EVICTS),
    ignored("replica-lazy-flush", "yes", LAZILY),
    refused("replica-read-only", "yes", WRITABLE),
    ignored("slave-ignore-maxmemory", "yes", EVICTS),
    ignored("slave-lazy-flush", "yes", LAZILY),
    refused("slave-read-only", "yes", WRITABLE),
    ignored("cluster-announce-client-tls-port", "0", TLS),
    ignored("cluster-announce-tls-port", "0", TLS),
    ignored("cluster-slot-migration-log-max-len", "1000", NO_MIGRATION),
    ignored("slot-migration-max-failover-repl-bytes", "0", NO_MIGRATION),
    refused("tls-port", "0", TLS),
    refused("tls-cluster", "no", TLS),
    refused("tls-replication", "no", TLS),
    ignored("tls-auth-clients", "yes", TLS),
    ignored("tls-auth-clients-user", "off", TLS),
    ignored("tls-auto-reload-interval", "0", TLS),
    ignored("tls-ca-cert-dir", "", TLS),
    ignored("tls-ca-cert-file", "", TLS),
    ignored("tls-cert-file", "", TLS),
    ignored("tls-ciphers", "", TLS),
    ignored("tls-ciphersuites", "", TLS),
    ignored("tls-client-cert-file", "", TLS),
    ignored("tls-client-key-file", "", TLS),
    ignored("tls-client-key-file-pass", "", TLS).secret(),
    ignored("tls-dh-params-file", "", TLS),
    ignored("tls-key-file", "", TLS),
    ignored("tls-key-file-pass", "", TLS).secret(),
    ignored("tls-prefer-server-ciphers", "no", TLS),
    ignored("tls-protocols", "", TLS),
    ignored("tls-session-cache-size", "20480", TLS),
    ignored("tls-session-cache-timeout", "300", TLS),
    ignored("tls-session-caching", "yes", TLS),
    ignored("max-new-tls-connections-per-cycle", "1", TLS),
    refused("rdma-port", "0", RDMA),
    refused("rdma-bind", "", RDMA),
    ignored("rdma-completion-vector", "-1", RDMA).at_start(),
    ignored("rdma-rx-size", "1048576", RDMA).at_start(),
    refused("aclfile", "", USERS).at_start(),
    ignored("acl-pubsub-default", "resetchannels", USERS),
    ignored("acllog-max-len", "128", USERS),
    ignored("enable-module-command", "no", MODULES).at_start(),
    ignored("busy-reply-threshold", "5000", SCRIPTS),
    ignored("lua-time-limit", "5000", SCRIPTS),
    ignored("lua-enable-deprecated-api", "no", SCRIPTS).exact(),
    ignored("lua-enable-insecure-api", "no", SCRIPTS).exact(),
    ignored("locale-collate", "", LOCALE),
    ignored("io-threads", "1", THREADS),
    ignored("prefetch-batch-max-size", "16", THREADS),
    ignored("bio-cpulist", "", THREADS).at_start(),
    ignored("bio_cpulist", "", THREADS).at_start(),
    ignored("server-cpulist", "", THREADS).at_start(),
    ignored("server_cpulist", "", THREADS).at_start(),
    ignored("max-new-connections-per-cycle", "10", THREADS),
    ignored("io-threads-always-active", "no", THREADS).exact(),
    ignored("min-io-threads-avoid-copy-reply", "7", THREADS).exact(),
    ignored("min-string-size-avoid-copy-reply", "16384", THREADS).exact(),
    ignored("min-string-size-avoid-copy-reply-threaded", "65536", THREADS).exact(),
    ignored("active-defrag-cycle-max", "25", MEMORY),
    ignored("active-defrag-cycle-min", "1", MEMORY),
    ignored("active-defrag-cycle-us", "500", MEMORY),
    ignored("active-defrag-ignore-bytes", "104857600", MEMORY),
    ignored("active-defrag-max-scan-fields", "1000", MEMORY),
    ignored("active-defrag-threshold-lower", "10", MEMORY),
    ignored("active-defrag-threshold-upper", "100", MEMORY),
    ignored("activedefrag", "no", MEMORY),
    ignored("activerehashing", "yes", MEMORY),
    ignored("disable-thp", "yes", MEMORY).at_start(),
    ignored("maxmemory-eviction-tenacity", "10", MEMORY),
    ignored("hash-seed", "", MEMORY).at_start(),
    refused("daemonize", "no", SUPERVISOR).at_start(),
    ignored("always-show-logo", "no", LOOKS).at_start(),
    ignored("proc-title-template", "{title} {listen-addr} {server-mode}", LOOKS),
    ignored("set-proc-title", "yes", LOOKS).at_start(),
    ignored("ignore-warnings", "", LOOKS),
    ignored("oom-score-adj", "no", PROCESS),
    ignored("oom-score-adj-values", "0 200 800", PROCESS),
    ignored("crash-memcheck-enabled", "yes", PROCESS),
    ignored("mptcp", "no", PROCESS).at_start(),
    ignored("watchdog-period", "0", PROCESS).exact(),
    ignored("use-exit-on-panic", "no", PROCESS).exact(),
    ignored("enable-debug-assert", "no", PROCESS).at_start().exact(),
    ignored("debug-context", "", PROCESS).exact(),
    refused("socket-mark-id", "0", SOCKETS).at_start(),
    refused("unixsocketgroup", "", SOCKETS).at_start(),
    ignored("dynamic-hz", "", OLD).file_only(),
    ignored("events-per-io-thread", "", OLD).file_only(),
    ignored("io-threads-do-reads", "", OLD).file_only(),
    ignored("list-max-ziplist-entries", "", OLD).file_only(),
    ignored("list-max-ziplist-value", "", OLD).file_only(),
    ignored("lua-replicate-commands", "", OLD).file_only(),
    ignored("sanitize-dump-payload", "", OLD).file_only(),
    refused("user", "", USERS).file_only().harmless(default_user),
    refused("loadmodule", "", MODULES).file_only(),
    refused("sentinel", "", SENTINEL).file_only(),
];

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn take(line: &str) -> Result<Option<String>, Reason> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let words: Vec<&[u8]> = words.iter().map(|&w| if w == b"\"\"" { b"" } else { w }).collect();
        find(words[0]).unwrap_or_else(|| panic!("{line} is known")).take(&words[1..])
    }

    #[test]
    fn no_setting_is_listed_twice() {
        let mut names: Vec<_> = FOREIGN.iter().map(|foreign| foreign.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, next| one < next));
        for name in names {
            assert!(table::find(name.as_bytes()).is_none(), "{name} is in both tables");
        }
    }

    #[test]
    fn defaults_ask_for_nothing() {
        for foreign in FOREIGN.iter().filter(|foreign| foreign.shown != Shown::Never) {
            assert_eq!(foreign.take(&[foreign.value.as_bytes()]), Ok(None), "{}", foreign.name);
        }
    }

    #[test]
    fn what_harnesses_carry_asks_for_nothing_or_is_ignored() {
        let quiet = [
            "appendonly no",
            "daemonize no",
            "tls-port 0",
            "repl-diskless-sync yes",
            "auto-aof-rewrite-min-size 64mb",
            "user default on nopass sanitize-payload ~* &* +@all",
            "activerehashing yes",
            "oom-score-adj-values 0 200 800",
        ];
        for line in quiet {
            assert_eq!(take(line), Ok(None), "{line}");
        }
        let warned = [
            "rdb-del-sync-files yes",
            "enable-module-command yes",
            "io-threads 4",
            "maxmemory-eviction-tenacity 20",
            "dynamic-hz yes",
            "tls-cert-file a.pem",
            "aof-use-rdb-preamble no",
        ];
        for line in warned {
            assert!(take(line).is_ok_and(|warning| warning.is_some()), "{line}");
        }
    }

    #[test]
    fn promises_that_cannot_be_kept_are_refused() {
        let refused = [
            "appendonly yes",
            "daemonize yes",
            "tls-port 6380",
            "replica-read-only no",
            "loadmodule a.so",
            "aclfile users.acl",
            "user default off",
            "user default on >secret ~* &* +@all",
            "user alice on nopass ~* +@all",
        ];
        for line in refused {
            let reason = take(line).expect_err(line);
            assert!(reason.contains("is not supported: "), "{line}: {reason}");
        }
        assert!(take("appendonly").is_err());
    }
}
